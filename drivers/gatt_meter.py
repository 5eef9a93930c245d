"""Meters and monitors over GATT, as their profiles describe them: one session driver for every standard service.

A meter advertises for a minute after a measurement: connect at once, bond, write the time before anything is let
through (many send at once and hang up), subscribe, collect until it hangs up or falls silent. A monitor that streams is
the same until its notifications come every second; losing it then is a lost link.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from drivers.base import Device, Family, Sink
from drivers.ble_battery import read_battery
from drivers.ble_gatt import Gatt, Notification
from drivers.ble_link import Advert, BleAdapter
from drivers.ble_slots import Use
from drivers.ble_values import DATE_TIME_SIZE, current_time_bytes, date_time, date_time_bytes
from drivers.local_time import UNSET_S, local_time, time_is_known, zone_of
from drivers.profile import models_in
from drivers.profile_ble import full_uuid
from drivers.profile_models import Sources, load_model
from drivers.profile_reading import SourceReader
from drivers.profile_schema import Profile
from gateway.core.clock import Clock
from gateway.core.errors import ConfigError, Fault, LinkError, ProtocolError
from gateway.core.model import Detail, Event, Stamp

CURRENT_TIME = full_uuid("2A2B")

DUMP_SILENCE_S = 5.0  # after the last record of a meter that does not hang up by itself
STREAM_SILENCE_S = 15.0  # a monitor notifies about once a second
REST_S = 15.0  # a meter may go on advertising after it was read
PAUSE_S = 3.0  # so long unheard, and its next advert is a new call; meters that call advertise at least once a second

Hook = Callable[[Gatt], Awaitable[None]]


class GattCaller(ABC):
    """One device that calls by advertising: when it is visited; its battery and its clock, once it is.

    rest_s: so long after a visit, an advert is a new call; so is one after pause_s of silence.
    """

    rest_s, pause_s = REST_S, PAUSE_S

    def __init__(self, device: Device, adapter: BleAdapter, clock: Clock, profile: Profile) -> None:
        self.devices = (device,)
        self._device = device
        self._adapter = adapter
        self._clock = clock
        self._profile = profile
        self._zone = zone_of(device)
        self._call = asyncio.Event()
        self._heard: Stamp | None = None
        self._visited: Stamp | None = None

    async def run(self, sink: Sink) -> None:
        """Answer the device's calls. LinkError when a visit broke off or a stream was lost; PairingError."""
        self._call.clear()
        subscription = self._adapter.subscribe(self._device.address, self._advert)
        try:
            while True:
                await self._call.wait()
                self._visited = None
                await self._visit(sink)
                self._visited = self._heard = self._clock.now()
                self._call.clear()
        finally:
            subscription.close()

    @abstractmethod
    async def _visit(self, sink: Sink) -> None:
        """Connect, take what the device has, hang up. LinkError, PairingError."""

    def _advert(self, advert: Advert) -> None:
        """A new call, unless the device was visited just now and has not been silent since."""
        before, self._heard = self._heard, advert.at
        paused = before is None or advert.at.since_s(before) >= self.pause_s * self._clock.speed
        if paused or self._visited is None or advert.at.since_s(self._visited) >= self.rest_s * self._clock.speed:
            self._call.set()

    async def _set_clock(self, gatt: Gatt, sink: Sink) -> float | None:
        """How many seconds the device's clock is ahead is told where it can be read, else None; then ours is written.

        Neither where the device lets nothing be written, or where the box itself does not know the time.
        """
        uuid = next((uuid for uuid in map(full_uuid, self._profile.device.time_write) if gatt.has(uuid)), None)
        if uuid is None or not time_is_known(self._clock):
            return None
        characteristic = gatt.client.services.get_characteristic(uuid)
        offset_s = None
        if characteristic is not None and "read" in characteristic.properties:  # some let it be written only
            offset_s = self._compare(await gatt.read(uuid), sink)
        local = local_time(self._clock, self._clock.now(), self._zone)
        await gatt.write(uuid, current_time_bytes(local) if uuid == CURRENT_TIME else date_time_bytes(local))
        return offset_s

    def _compare(self, data: bytes, sink: Sink) -> float | None:
        now = self._clock.now()
        try:
            shown = date_time(data[:DATE_TIME_SIZE])
        except ProtocolError:
            sink.rejected(self._device.id, "device_time", data)
            return None
        if shown is None:
            return None
        offset_s = (shown - local_time(self._clock, now, self._zone)).total_seconds()
        kind = "device_clock" if abs(offset_s) <= UNSET_S else "device_clock_unset"
        self._event(kind, now, {"offset_s": round(offset_s, 1)}, sink)
        return offset_s

    def _event(self, kind: str, at: Stamp, detail: Detail, sink: Sink) -> None:
        sink.event(Event(kind, at, self._device.bed, self._device.id, detail))


class GattMeter(GattCaller):
    """One device. What it told is remembered across visits, so that a stored record sent again is a repeat."""

    def __init__(
        self, device: Device, adapter: BleAdapter, clock: Clock, profile: Profile, *, before: Hook | None = None
    ) -> None:
        super().__init__(device, adapter, clock, profile)
        self._before = before
        self._sources = {
            source.characteristic or "": (source, decoder, SourceReader(device, profile, source, clock))
            for source, decoder in Sources(profile).items()
        }

    async def _visit(self, sink: Sink) -> None:
        for _, _, reader in self._sources.values():
            reader.new_visit()
        use = Use.HELD if any(source.reading == "stream" for source, _, _ in self._sources.values()) else Use.METER
        async with self._adapter.connect(self._device.address, use=use) as gatt:
            sink.heard(self._device.id)
            if self._profile.device.bond != "none":
                await gatt.pair()
            await read_battery(gatt, self._device, self._clock, sink)
            if self._before is not None:
                await self._before(gatt)
            if self._profile.device.subscribe_after == "time_write":
                await self._learn_clock(gatt, sink)
                streams = await self._subscribe(gatt, sink)
            else:
                streams = await self._subscribe(gatt, sink)
                await self._learn_clock(gatt, sink)
            self._event("link_up", self._clock.now(), {}, sink)  # also a device that has nothing to tell is back
            await self._collect(gatt, sink, streams=streams)

    async def _learn_clock(self, gatt: Gatt, sink: Sink) -> None:
        offset_s = await self._set_clock(gatt, sink)
        for _, _, reader in self._sources.values():
            reader.offset_s = offset_s

    async def _subscribe(self, gatt: Gatt, sink: Sink) -> bool:
        """Let every characteristic of the profile come; True when one of them streams."""
        offered = [(uuid, source) for uuid, (source, _, _) in self._sources.items() if gatt.has(uuid)]
        if not offered:
            wanted = ", ".join(self._sources)
            raise LinkError(f"{gatt.address}: offers none of {wanted}", hint="not this model? check its profile")
        for uuid, source in offered:
            if source.mode == "read":
                self._take(Notification(uuid, await gatt.read(uuid), self._clock.now()), sink)
            else:
                await gatt.notify(uuid)
        return any(source.reading == "stream" for _, source in offered)

    async def _collect(self, gatt: Gatt, sink: Sink, *, streams: bool) -> None:
        """Until the device hangs up or falls silent: a meter's normal end, but a lost link where it streams."""
        silence_s = STREAM_SILENCE_S if streams else DUMP_SILENCE_S
        while True:
            try:
                note = await gatt.next(silence_s)
            except LinkError:
                if streams:
                    raise
                return
            sink.heard(self._device.id)
            self._take(note, sink)

    def _take(self, note: Notification, sink: Sink) -> None:
        _, decoder, reader = self._sources[note.uuid]
        try:
            decoded = decoder.decode(note.data)
        except ProtocolError as error:
            sink.rejected(self._device.id, str(error).split(":")[0], note.data)
            return
        reader.take(decoded, note.data, note.at, sink)


NO_HOOKS: Mapping[str, Hook] = {}


def gatt_family(name: str, directory: Path, hooks: Mapping[str, Hook] = NO_HOOKS) -> Family[BleAdapter]:
    """The family with the models whose profiles lie in `directory`; hooks: what a profile may name as device.hook."""
    paths = models_in(directory)

    def make(devices: Sequence[Device], adapter: BleAdapter, clock: Clock) -> GattMeter:
        (device,) = devices
        if device.model not in paths:
            message = f"unknown model {device.model!r}; known: {', '.join(paths)}"
            raise ConfigError(device.id, (Fault(0, "model", message, "name one of these models"),))
        profile = load_model(paths[device.model])
        hook = profile.device.hook
        if hook is not None and hook not in hooks:
            fault = Fault(0, "device.hook", f"no hook {hook!r}", f"known: {', '.join(hooks) or 'none'}")
            raise ConfigError(device.model, (fault,))
        return GattMeter(device, adapter, clock, profile, before=hooks[hook] if hook else None)

    return Family(name, "ble-gatt", tuple(paths), make)

