"""A Polar band: raw acceleration for fall detection and the heart rate service, in one connection; PPG if asked for.

PPG costs the band its battery and the radio as much again as the acceleration: setting `ppg = true`, for models whose
profile says that they send it ("PMD_PPG"). It is a guest: refused or silent, it costs nothing else.

The band's control point answers through the same inbox as its data, so a request goes on taking data while it waits.
"""

import asyncio
import logging
import math
from collections.abc import Sequence
from pathlib import Path

from drivers.base import Device, Driver, Family, Sink
from drivers.ble_gatt import Gatt, Notification, patience_s
from drivers.ble_link import BleAdapter
from drivers.coded_model import Key, code_for, profile_for
from drivers.hrs.driver import HeartRateReader
from drivers.hrs.frame import Rejected
from drivers.polar_pmd import frame
from drivers.polar_pmd.stream import PpgStream, Stream
from drivers.polar_pmd.timeline import JUMP_S
from drivers.profile import models_in
from drivers.profile_schema import Profile
from gateway.core.clock import Clock
from gateway.core.errors import ConfigError, Fault, LinkError, PairingError
from gateway.core.model import Detail, Event, SampleBlock, Stamp

log = logging.getLogger(__name__)

HERE = Path(__file__).parent
MODELS = models_in(HERE)
CODES: dict[Key, object] = {("PMD_DATA", None): frame.decode_data}
WANTED_RATE_HZ = 52.0  # a Verity's only rate; an H10 offers 50
WANTED_RANGE_G = 8.0  # impacts of falls exceed 4 g at the wrist
REPLY_S = 5.0  # a control point request
SILENCE_S = 10.0  # a frame arrives about every 0.7 s
REFUSED_RETRY_S = 60.0  # acceleration refused (memory full ...): asked again while the pulse goes on
PPG_KIND = "PMD_PPG"  # of the profile's codec.kinds


class PolarDriver:
    """One band."""

    def __init__(self, device: Device, adapter: BleAdapter, clock: Clock) -> None:
        self.devices = (device,)
        self._device = device
        self._adapter = adapter
        self._clock = clock
        self._reader = HeartRateReader(device)
        jump_s = patience_s(clock, JUMP_S)
        wanted: frame.Settings = {
            frame.RATE_HZ: (WANTED_RATE_HZ,), frame.RESOLUTION_BITS: (16.0,), frame.RANGE: (WANTED_RANGE_G,)
        }  # fmt: skip
        self._acc = Stream(frame.ACC, "acceleration", wanted, 3, WANTED_RATE_HZ, jump_s)
        self._ppg = PpgStream(device, jump_s) if device.settings.get("ppg") is True else None
        self._streams = [self._acc] if self._ppg is None else [self._acc, self._ppg.stream]

    async def run(self, sink: Sink) -> None:
        """Connect and stream until the link breaks. LinkError or PairingError."""
        async with self._adapter.connect(self._device.address) as gatt:
            for stream in self._streams:
                stream.connected()
            try:
                await self._open(gatt, sink)
                await self._stream(gatt, sink)
            except asyncio.CancelledError:
                await self._stop(gatt)
                raise
            finally:
                if self._ppg is not None:
                    self._ppg.flush(sink)

    async def _open(self, gatt: Gatt, sink: Sink) -> None:
        await gatt.notify(frame.CONTROL_POINT)
        await gatt.notify(frame.DATA)
        for stream in self._streams:
            await self._start(gatt, sink, stream)
        await self._reader.subscribe(gatt, sink, self._clock)

    async def _stream(self, gatt: Gatt, sink: Sink) -> None:
        while True:
            self._take(await gatt.next(SILENCE_S), sink)
            await self._reader.refresh_battery(gatt, sink, self._clock)
            for stream in self._streams:
                await self._keep_running(gatt, sink, stream)

    async def _keep_running(self, gatt: Gatt, sink: Sink, stream: Stream) -> None:
        now = self._clock.now()
        if stream.heard is None:
            if stream.asked is None or now.since_s(stream.asked) >= REFUSED_RETRY_S:
                await self._start(gatt, sink, stream)
        elif now.since_s(stream.heard) > patience_s(self._clock, SILENCE_S):
            if stream is self._acc:
                raise LinkError(
                    f"{gatt.address}: no usable acceleration for {SILENCE_S:g} s though the band is connected",
                    hint="the connection is made anew; if it stays, restart the band",
                )
            self._fault(stream, f"no usable {stream.name}", now, sink, active=True)
            await self._start(gatt, sink, stream)

    def _take(self, note: Notification, sink: Sink) -> None:
        sink.heard(self._device.id)
        if note.uuid == frame.DATA:
            self._data(note, sink)
        elif note.uuid == frame.CONTROL_POINT:
            self._unasked(note, sink)
        else:
            self._reader.take(note, sink)

    def _data(self, note: Notification, sink: Sink) -> None:
        is_ppg = self._ppg is not None and note.data[:1] == bytes([frame.PPG])
        stream = self._streams[-1] if is_ppg else self._acc
        data = frame.decode_data(note.data, stream.factor)
        match data:
            case Rejected(reason):
                sink.rejected(self._device.id, reason, note.data)
            case frame.Acceleration() if not data.plausible:
                sink.rejected(self._device.id, "acc_implausible", note.data)
            case frame.Acceleration():
                self._acceleration(data, note, sink)
            case frame.Light():
                self._light(data, note, sink)
            case frame.PulseIntervals():  # never asked for: it would slow the heart rate to one value in 5 s
                sink.rejected(self._device.id, "unasked_ppi", note.data)

    def _light(self, data: frame.Light, note: Notification, sink: Sink) -> None:
        if self._ppg is None or not data.plausible:
            sink.rejected(self._device.id, "unasked_ppg" if self._ppg is None else "ppg_implausible", note.data)
            return
        self._ppg.stream.heard = note.at
        self._over(self._ppg.stream, sink)
        self._ppg.take(data, note.at, note.data, sink)

    def _acceleration(self, data: frame.Acceleration, note: Notification, sink: Sink) -> None:
        placed = self._acc.place(data.at_ns, len(data.data_g), note.at)
        if placed is None:
            sink.rejected(self._device.id, "acc_timestamp_not_newer", note.data)
            return
        self._acc.heard = note.at
        if placed.jumped:
            self._fault(self._acc, "the band's clock jumped", note.at, sink)
        device = self._device
        sink.block(
            SampleBlock(device.id, "acc", placed.start, self._acc.rate_hz, "[g]", data.data_g, placed.lost, device.bed)
        )

    def _unasked(self, note: Notification, sink: Sink) -> None:
        match frame.decode_control(note.data):
            case Rejected(reason):
                sink.rejected(self._device.id, reason, note.data)
            case frame.Stopped(measurements):
                for stream in self._streams:
                    if stream.kind in measurements or not measurements:
                        stream.heard = stream.asked = None
            case frame.Reply():
                log.debug("%s: late control point reply %s", self._device.id, note.data.hex())

    async def _start(self, gatt: Gatt, sink: Sink, stream: Stream) -> None:
        """Start a measurement; one that an earlier client left running is stopped first."""
        stream.asked = self._clock.now()
        offered = await self._request(gatt, sink, bytes([frame.GET_SETTINGS, stream.kind]))
        reply = offered
        if offered.status == frame.OK:
            start = bytes([frame.START, stream.kind]) + stream.chosen(offered.params)
            reply = await self._request(gatt, sink, start)
            if reply.status == frame.ALREADY_IN_STATE:
                await self._request(gatt, sink, bytes([frame.STOP, stream.kind]))
                reply = await self._request(gatt, sink, start)
        if reply.status == frame.OK:
            self._running(stream, reply, sink)
        else:
            self._refused(stream, reply, sink)

    def _running(self, stream: Stream, reply: frame.Reply, sink: Sink) -> None:
        settings = frame.decode_settings(reply.params)
        factor = 1.0 if isinstance(settings, Rejected) else settings.get(frame.FACTOR, (1.0,))[0]
        stream.factor = factor if math.isfinite(factor) and factor > 0 else 1.0
        stream.heard = self._clock.now()
        if stream is self._acc:  # that PPG runs, only its frames prove
            self._over(stream, sink)

    def _over(self, stream: Stream, sink: Sink) -> None:
        """What was told to last is over."""
        if stream.complaint.startswith((stream.refused, f"no usable {stream.name}")):
            over: Detail = {"reason": stream.complaint, "active": False}
            sink.event(Event("device_fault", self._clock.now(), self._device.bed, self._device.id, over))
        stream.complaint = ""

    def _refused(self, stream: Stream, reply: frame.Reply, sink: Sink) -> None:
        text = frame.STATUS_TEXT.get(reply.status, f"status {reply.status}")
        now = self._clock.now()
        stream.heard = None
        if reply.status == frame.IN_CHARGER:
            if self._acc.complaint != text:
                self._acc.complaint = text
                sink.event(Event("sensor_off", now, self._device.bed, self._device.id, {"reason": text}))
            raise LinkError(f"{self._device.id}: the band is {text}", hint="take it off the charger and put it on")
        self._fault(stream, f"{stream.refused}: {text}", now, sink, active=True)  # no fall, no pulse is seen: it lasts

    def _fault(self, stream: Stream, reason: str, at: Stamp, sink: Sink, *, active: bool | None = None) -> None:
        """active: True for what lasts until it is told to be over, None for what happened once."""
        if stream.complaint == reason:
            return
        stream.complaint = reason
        detail: Detail = {"reason": reason} if active is None else {"reason": reason, "active": active}
        sink.event(Event("device_fault", at, self._device.bed, self._device.id, detail))

    async def _request(self, gatt: Gatt, sink: Sink, request: bytes) -> frame.Reply:
        """Write to the control point and wait for the answer to it."""
        await gatt.write(frame.CONTROL_POINT, request)
        asked = self._clock.now()
        while self._clock.now().since_s(asked) < patience_s(self._clock, REPLY_S):
            note = await gatt.next(REPLY_S)
            if note.uuid == frame.CONTROL_POINT:
                reply = frame.decode_control(note.data)
                if isinstance(reply, frame.Reply) and (reply.operation, reply.measurement) == tuple(request[:2]):
                    return reply
            self._take(note, sink)
        raise LinkError(
            f"{gatt.address}: the control point did not answer {request.hex()} within {REPLY_S:g} s",
            hint="the connection is made anew; if it stays, restart the band",
        )

    async def _stop(self, gatt: Gatt) -> None:
        """An H10 streams, and drains its battery, until it is told to stop: said even while we are being cancelled."""
        try:
            for stream in self._streams:
                if stream.heard is not None:
                    await gatt.write(frame.CONTROL_POINT, bytes([frame.STOP, stream.kind]))
        except (LinkError, PairingError) as error:
            log.debug("%s: stop of its measurements: %s", self._device.id, error)


def _check(device: Device, profile: Profile) -> None:
    """ConfigError for a setting `ppg` that is no truth value, or of a model that sends no PPG."""
    wants = device.settings.get("ppg", False)
    has = profile.codec is not None and PPG_KIND in profile.codec.kinds
    if not isinstance(wants, bool):
        raise ConfigError(device.id, (Fault(0, "ppg", f"{wants!r} is neither true nor false", "write ppg = true"),))
    if wants and not has:
        fault = Fault(0, "ppg", f"a {device.model} sends no PPG that can be read", "leave the setting out")
        raise ConfigError(device.id, (fault,))


def make(devices: Sequence[Device], adapter: BleAdapter, clock: Clock) -> Driver:
    """One driver for one band. ConfigError for a model that the family does not have."""
    (device,) = devices
    profile = profile_for(device, MODELS)
    code_for(profile, CODES)
    _check(device, profile)
    return PolarDriver(device, adapter, clock)


FAMILY: Family[BleAdapter] = Family("polar_pmd", "ble-gatt", tuple(MODELS), make)
