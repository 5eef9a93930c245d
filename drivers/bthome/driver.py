"""A BTHome device: an SOS press becomes an event inside the advert's own callback, with nothing awaited in between.

Settings: purpose "sos" or "service"; service_buttons "2,3": positions (from 1) of an SOS device that only ask for
service; bind_key: 32 hex characters of an encrypted device; beacon: true when the device advertises by itself, so that
its silence is a fault; position "bed": what it sees occupied is the bed and not the room.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from drivers.base import Device, Driver, Family, Sink
from drivers.ble_ear import Ear
from drivers.ble_gatt import patience_s
from drivers.ble_link import Advert, BleAdapter
from drivers.bthome import frame
from drivers.bthome.repeats import SAME_ID_S, SAME_PAYLOAD_S, Repeats
from drivers.bthome.states import States
from drivers.coded_model import Key, code_for, profile_for
from drivers.profile import models_in
from gateway.core.clock import Clock
from gateway.core.errors import PairingError
from gateway.core.model import Event, Measurement, Stamp
from gateway.core.quantities import QUANTITIES

BEACON_SILENCE_S = 900.0  # a Shelly in beacon mode is heard every few seconds to minutes
WATCH_S = 30.0  # how often the silence of a beacon is looked at

_VALUES = (
    ("battery", (frame.BATTERY,)),
    ("room_temperature", frame.TEMPERATURE_IDS),
    ("room_humidity", frame.HUMIDITY_IDS),
)
HERE = Path(__file__).parent
MODELS = models_in(HERE)
CODES: dict[Key, object] = {("service_data_FCD2", None): frame.decode}


class BthomeDriver:
    """One device. It stays subscribed whatever happens: an SOS must be heard during every back-off."""

    def __init__(self, device: Device, adapter: BleAdapter, clock: Clock) -> None:
        self.devices = (device,)
        self._device = device
        self._clock = clock
        self._repeats = Repeats(patience_s(clock, SAME_ID_S), patience_s(clock, SAME_PAYLOAD_S))
        self._states = States(in_bed=device.settings.get("position") == "bed")
        self._ear = Ear(adapter, device.id, device.address, self.hear)
        self._key: bytes | None = None
        self._heard = clock.now()
        self._lost = False
        positions = str(device.settings.get("service_buttons", "")).split(",")
        self._service_buttons = {int(text) for text in positions if text.strip().isdigit()}

    async def run(self, sink: Sink) -> None:
        """Listen until cancelled. PairingError when the bind key in the settings is not one.

        What `hear` raises ends the run, but not the hearing: while its supervisor waits, presses go to the same sink.
        """
        self._key = self._bind_key()
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
        """One advert, at its receipt."""
        data = advert.service_data.get(frame.SERVICE_DATA_UUID)
        if data is None:
            return
        objects = frame.decode(data, advert.address, self._key)
        if isinstance(objects, frame.Rejected):
            sink.rejected(self._device.id, objects.reason, data)
            return
        if self._repeats.replayed(objects):
            sink.rejected(self._device.id, "replayed_counter", data)
            return
        if self._repeats.fresh(objects, data, advert.at):
            try:
                self._press(objects, advert.at, sink)
            except Exception:
                self._repeats.forget()  # the next advert of the burst tells the press that this one could not
                raise
            self._measure(objects, advert.at, sink)
            self._tell_states(objects, advert.at, sink)
            if objects.unread:
                sink.rejected(self._device.id, objects.unread, data)
        self._alive(advert, sink)

    def _bind_key(self) -> bytes | None:
        text = self._device.settings.get("bind_key")
        if text is None:
            return None
        key = frame.parse_key(str(text))
        if key is None:
            raise PairingError(
                f"{self._device.id}: the bind key has to be 32 hexadecimal characters",
                hint="copy it from the maker's app and correct the device's settings",
            )
        return key

    def _press(self, objects: frame.Objects, at: Stamp, sink: Sink) -> None:
        """Any code but 00 is a press: a frightened person does not press the way the manual says."""
        for position, code in enumerate(objects.presses, start=1):
            if code == frame.NOT_PRESSED:
                continue
            sos = self._device.settings.get("purpose") == "sos" and position not in self._service_buttons
            detail: dict[str, str | int | float | bool] = {
                "button": position,
                "press": frame.PRESS_NAMES.get(code, f"code_{code}"),
            }
            kind = "sos_pressed" if sos else "service_requested"
            sink.event(Event(kind, at, self._device.bed, self._device.id, detail))

    def _measure(self, objects: frame.Objects, at: Stamp, sink: Sink) -> None:
        device = self._device
        for name, ids in _VALUES:
            value = objects.first(*ids)
            if value is None:
                continue
            quantity = QUANTITIES[name]
            if quantity.plausible(value):
                sink.measurement(Measurement(device.bed, device.id, name, float(value), quantity.unit, at))
            else:
                sink.rejected(device.id, f"implausible_{name}", str(value).encode())

    def _tell_states(self, objects: frame.Objects, at: Stamp, sink: Sink) -> None:
        device = self._device
        for told in self._states.hear(objects, at):
            unit = QUANTITIES[told.quantity].unit
            sink.measurement(Measurement(device.bed, device.id, told.quantity, float(told.value), unit, at))
            if told.event:
                sink.event(Event(told.event, at, device.bed, device.id, told.detail))

    def _alive(self, advert: Advert, sink: Sink) -> None:
        self._heard = advert.at
        if self._lost:
            self._lost = False
            sink.event(Event("link_up", advert.at, self._device.bed, self._device.id))
        sink.heard(self._device.id, rssi_dbm=advert.rssi_dbm)

    async def _watch(self, sink: Sink) -> None:
        """A beacon that has fallen silent is reported once; the driver goes on listening."""
        while True:
            await self._clock.sleep(WATCH_S)
            now = self._clock.now()
            silent = now.since_s(self._heard) > patience_s(self._clock, BEACON_SILENCE_S)
            if silent and not self._lost and self._device.settings.get("beacon") is True:
                self._lost = True
                detail = {
                    "reason": f"no advert for {BEACON_SILENCE_S / 60:g} min",
                    "hint": "press the button as a test; change its battery",
                }
                sink.event(Event("link_lost", now, self._device.bed, self._device.id, detail))


def make(devices: Sequence[Device], adapter: BleAdapter, clock: Clock) -> Driver:
    """One driver for one device. ConfigError for a model that the family does not have."""
    (device,) = devices
    code_for(profile_for(device, MODELS), CODES)
    return BthomeDriver(device, adapter, clock)


FAMILY: Family[BleAdapter] = Family("bthome", "ble-adv", tuple(MODELS), make)
