"""A beacon: a pendant's call becomes an event inside its advert's own callback; where it is follows from its strength.

Settings: those of settings.py and pattern.py; purpose "sos" (default) or "service" for what its alarm asks for.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from drivers.base import Device, Driver, Family, Sink
from drivers.beacon import frame
from drivers.beacon.battery import LOW_PERCENT, coin_cell_percent
from drivers.beacon.pattern import WIDTHS
from drivers.beacon.presence import Change, Zones
from drivers.beacon.settings import read
from drivers.ble_ear import Ear
from drivers.ble_gatt import patience_s
from drivers.ble_link import Advert, BleAdapter
from drivers.hrs.frame import Rejected
from drivers.profile import models_in
from gateway.core.clock import Clock
from gateway.core.model import Detail, Event, Measurement, Stamp
from gateway.core.quantities import QUANTITIES

SAME_CALL_S = 5.0  # a pendant repeats its call for 10 to 30 s; a longer pause means that it was pressed again
TELL_RSSI_S = 10.0  # a strength this often is enough for anybody
WATCH_S = 5.0  # how often silence is looked at
ADDRESS_S = 120.0  # so long an address stands for the identity it showed; bands change theirs every 15 min
STRONGEST_DBM = 20  # 127 says "not known" (Core 5.4 Vol 4 E 7.7.65.2)
ADDRESSES = 8  # addresses remembered

HERE = Path(__file__).parent


class BeaconDriver:
    """One beacon or pendant. It stays subscribed whatever happens: a call must be heard during every back-off."""

    def __init__(self, device: Device, adapter: BleAdapter, clock: Clock) -> None:
        self.devices = (device,)
        self._device = device
        self._ear = Ear(adapter, device.id, device.address or None, self.hear)
        self._clock = clock
        self._settings = read(device)
        self._zones = Zones(self._settings.bounds)
        self._addresses: dict[str, Stamp] = {}  # full: the one seen longest ago is forgotten
        self._called: Stamp | None = None
        self._told_rssi: Stamp | None = None
        self._adv_count: int | None = None
        self._battery_low = False
        self._heard = clock.now()
        self._lost = False

    async def run(self, sink: Sink) -> None:
        """Listen until cancelled."""
        self._heard = self._clock.now()
        subscription = self._ear.open(sink)
        watch = asyncio.ensure_future(self._watch(sink))
        try:
            await asyncio.gather(subscription.failed, watch)
        except asyncio.CancelledError:
            subscription.close()
            raise
        finally:
            watch.cancel()

    def hear(self, advert: Advert, sink: Sink) -> None:
        """One advert, at its receipt: whose is it, does it call, how strong is it, what else does it say."""
        known: dict[str, int] = {}
        ibeacon = self._ibeacon(advert, sink)
        eddystone = self._eddystone(advert, sink)
        if ibeacon is not None:
            known = {"major": ibeacon.major, "minor": ibeacon.minor}
        if isinstance(eddystone, frame.Uid):
            known |= {
                "namespace": int.from_bytes(eddystone.namespace, "big"),
                "instance": int.from_bytes(eddystone.instance, "big"),
            }
        fields = known | ({} if eddystone is None else {"frame": advert.service_data[frame.EDDYSTONE][0]})
        calls = any(pattern.calls(fields, advert) for pattern in self._settings.alarm)
        if not self._is_ours(advert, ibeacon, known, calls=calls):
            return
        if calls:
            self._call(advert.at, sink)
        self._alive(advert, sink)
        if isinstance(eddystone, frame.Telemetry):
            self._telemetry(eddystone, advert.at, sink)

    def _ibeacon(self, advert: Advert, sink: Sink) -> frame.IBeacon | None:
        data = advert.manufacturer_data.get(frame.APPLE)
        if data is None:
            return None
        beacon = frame.decode_ibeacon(data)
        if isinstance(beacon, Rejected):
            if beacon.reason != "not_ibeacon" and self._device.address:  # Apple's other talk is no fault of a beacon's
                sink.rejected(self._device.id, beacon.reason, data)
            return None
        return beacon

    def _eddystone(self, advert: Advert, sink: Sink) -> frame.Eddystone | None:
        data = advert.service_data.get(frame.EDDYSTONE)
        if data is None:
            return None
        decoded = frame.decode_eddystone(data)
        if isinstance(decoded, Rejected):
            if self._device.address:
                sink.rejected(self._device.id, f"eddystone_{decoded.reason}", data)
            return None
        return decoded

    def _is_ours(
        self, advert: Advert, ibeacon: frame.IBeacon | None, known: dict[str, int], *, calls: bool
    ) -> bool:
        """Whether the advert is this beacon's; a call may change the bits that its pattern names."""
        settings = self._settings
        if self._device.address and not settings.identity and settings.uuid is None:
            return True
        shows_uuid = ibeacon is not None and ibeacon.uuid == settings.uuid
        fits = all(
            known[field] == value or (calls and self._differs_only_by_call(field, known[field], value))
            for field, value in settings.identity.items()
            if field in known
        )
        complete = any(field in known for field in settings.identity) or (shows_uuid and not settings.identity)
        if complete and fits and (settings.uuid is None or ibeacon is None or shows_uuid):
            self._remember(advert)
            return True
        if ibeacon is not None or any(field in known for field in WIDTHS):
            return False  # it says who it is, and that is somebody else
        if self._device.address:
            return True
        since = self._addresses.get(advert.address)  # telemetry and makers' frames bear no identity
        return since is not None and advert.at.since_s(since) <= ADDRESS_S

    def _differs_only_by_call(self, field: str, sent: int, own: int) -> bool:
        free = [pattern.free(field) for pattern in self._settings.alarm]
        return any((sent ^ own) & ~bits == 0 for bits in free)

    def _remember(self, advert: Advert) -> None:
        self._addresses.pop(advert.address, None)
        self._addresses[advert.address] = advert.at
        if len(self._addresses) > ADDRESSES:
            del self._addresses[next(iter(self._addresses))]

    def _call(self, at: Stamp, sink: Sink) -> None:
        """The first advert of a call; its repeats are the same press."""
        before, self._called = self._called, at
        if before is None or at.since_s(before) >= patience_s(self._clock, SAME_CALL_S):
            self._event("sos_pressed" if self._settings.sos else "service_requested", at, self._place(), sink)

    def _place(self) -> Detail:
        return {"last_zone": self._zones.last} if self._zones.last else {}

    def _alive(self, advert: Advert, sink: Sink) -> None:
        self._heard = advert.at
        sink.heard(self._device.id, rssi_dbm=advert.rssi_dbm)
        if self._lost:
            self._lost = False
            self._event("link_up", advert.at, {}, sink)
        if advert.rssi_dbm > STRONGEST_DBM:
            return
        zone = self._settings.zone
        if change := self._zones.hear(zone, advert.rssi_dbm, advert.at):
            self._moved(zone, change, sink)
        strength = self._zones.zone(zone).rssi_dbm
        told = self._told_rssi
        if strength is not None and (told is None or advert.at.since_s(told) >= TELL_RSSI_S):
            self._told_rssi = advert.at
            self._measure("rssi", strength, advert.at, sink)

    def _moved(self, zone: str, change: Change, sink: Sink) -> None:
        if not zone:
            return
        before = self._zones.moved(zone, change)
        detail: dict[str, str | int | float | bool] = {"zone": zone, "rssi_dbm": change.rssi_dbm}
        if before:
            detail["last_zone"] = before
        if not change.inside:
            detail["reason"] = change.reason
        self._event("zone_entered" if change.inside else "zone_left", change.at, detail, sink)

    def _telemetry(self, telemetry: frame.Telemetry, at: Stamp, sink: Sink) -> None:
        """Each telemetry frame once; the beacon repeats it until its own count rises."""
        if telemetry.adv_count == self._adv_count or telemetry.voltage_v is None:
            return
        self._adv_count = telemetry.adv_count
        self._measure("voltage", telemetry.voltage_v, at, sink)
        percent = coin_cell_percent(telemetry.voltage_v)
        if percent is None:
            return
        self._measure("battery", percent, at, sink, origin="coin_cell/1")
        if percent < LOW_PERCENT and not self._battery_low:
            self._event("battery_low", at, {"voltage_v": telemetry.voltage_v}, sink)
        self._battery_low = percent < LOW_PERCENT

    async def _watch(self, sink: Sink) -> None:
        """Silence: out of the zone after a minute, lost after an hour; each said once."""
        while True:
            await self._clock.sleep(WATCH_S)
            self._look(self._clock.now(), sink)

    def _look(self, now: Stamp, sink: Sink) -> None:
        for zone, change in self._zones.tick(now):
            self._moved(zone, change, sink)
        silent_s = self._settings.supervise_s
        if not self._settings.beacon or self._lost or now.since_s(self._heard) <= patience_s(self._clock, silent_s):
            return
        self._lost = True
        reason = f"no advert for {silent_s / 60:g} min"
        hint = "is it worn and in the house? press it as a test; change its battery"
        self._event("link_lost", now, {"reason": reason, "hint": hint, **self._place()}, sink)

    def _measure(self, name: str, value: float, at: Stamp, sink: Sink, *, origin: str = "device") -> None:
        device, quantity = self._device, QUANTITIES[name]
        if quantity.plausible(value):
            sink.measurement(Measurement(device.bed, device.id, name, value, quantity.unit, at, origin=origin))
        else:
            sink.rejected(device.id, f"implausible_{name}", str(value).encode())

    def _event(self, kind: str, at: Stamp, detail: Detail, sink: Sink) -> None:
        sink.event(Event(kind, at, self._device.bed, self._device.id, detail))


def make(devices: Sequence[Device], adapter: BleAdapter, clock: Clock) -> Driver:
    """One driver for one beacon. ValueError when its settings cannot be meant."""
    (device,) = devices
    return BeaconDriver(device, adapter, clock)


FAMILY: Family[BleAdapter] = Family("beacon", "ble-adv", tuple(models_in(HERE)), make)
