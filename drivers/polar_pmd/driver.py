"""A Polar band: raw acceleration for fall detection and the heart rate service, in one connection.

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
from drivers.polar_pmd.timeline import JUMP_S, Timeline
from drivers.profile import models_in
from gateway.core.clock import Clock
from gateway.core.errors import LinkError, PairingError
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
REFUSED = "acceleration refused"


class PolarDriver:
    """One band."""

    def __init__(self, device: Device, adapter: BleAdapter, clock: Clock) -> None:
        self.devices = (device,)
        self._device = device
        self._adapter = adapter
        self._clock = clock
        self._reader = HeartRateReader(device)
        self._timeline: Timeline | None = None
        self._rate_hz = WANTED_RATE_HZ
        self._factor = 1.0
        self._acc_heard: Stamp | None = None  # None: acceleration is not running
        self._asked: Stamp | None = None
        self._complaint = ""  # the last refusal that was reported, so that each is reported once

    async def run(self, sink: Sink) -> None:
        """Connect and stream until the link breaks. LinkError or PairingError."""
        async with self._adapter.connect(self._device.address) as gatt:
            self._acc_heard = self._asked = None
            if self._timeline is not None:
                self._timeline.reconnected()
            try:
                await self._open(gatt, sink)
                await self._stream(gatt, sink)
            except asyncio.CancelledError:
                await self._stop(gatt)
                raise

    async def _open(self, gatt: Gatt, sink: Sink) -> None:
        await gatt.notify(frame.CONTROL_POINT)
        await gatt.notify(frame.DATA)
        await self._start(gatt, sink)
        await self._reader.subscribe(gatt, sink, self._clock)

    async def _stream(self, gatt: Gatt, sink: Sink) -> None:
        while True:
            self._take(await gatt.next(SILENCE_S), sink)
            await self._reader.refresh_battery(gatt, sink, self._clock)
            now = self._clock.now()
            if self._acc_heard is None:
                if self._asked is None or now.since_s(self._asked) >= REFUSED_RETRY_S:
                    await self._start(gatt, sink)
            elif now.since_s(self._acc_heard) > patience_s(self._clock, SILENCE_S):
                raise LinkError(
                    f"{gatt.address}: no usable acceleration for {SILENCE_S:g} s though the band is connected",
                    hint="the connection is made anew; if it stays, restart the band",
                )

    def _take(self, note: Notification, sink: Sink) -> None:
        sink.heard(self._device.id)
        if note.uuid == frame.DATA:
            self._data(note, sink)
        elif note.uuid == frame.CONTROL_POINT:
            self._unasked(note, sink)
        else:
            self._reader.take(note, sink)

    def _data(self, note: Notification, sink: Sink) -> None:
        data = frame.decode_data(note.data, self._factor)
        match data:
            case Rejected(reason):
                sink.rejected(self._device.id, reason, note.data)
            case frame.Acceleration() if not data.plausible:
                sink.rejected(self._device.id, "acc_implausible", note.data)
            case frame.Acceleration():
                self._acceleration(data, note, sink)
            case frame.PulseIntervals():  # never asked for: it would slow the heart rate to one value in 5 s
                sink.rejected(self._device.id, "unasked_ppi", note.data)

    def _acceleration(self, data: frame.Acceleration, note: Notification, sink: Sink) -> None:
        if self._timeline is None:
            self._timeline = self._new_timeline()
        n = len(data.data_g)
        placed = self._timeline.place(data.at_ns, n, note.at)
        if placed is None:
            sink.rejected(self._device.id, "acc_timestamp_not_newer", note.data)
            return
        self._acc_heard = note.at
        if placed.jumped:
            self._fault("the band's clock jumped", note.at, sink)
        device = self._device
        sink.block(
            SampleBlock(device.id, "acc", placed.start, self._rate_hz, "[g]", data.data_g, placed.lost, device.bed)
        )

    def _unasked(self, note: Notification, sink: Sink) -> None:
        match frame.decode_control(note.data):
            case Rejected(reason):
                sink.rejected(self._device.id, reason, note.data)
            case frame.Stopped():
                self._acc_heard = self._asked = None
            case frame.Reply():
                log.debug("%s: late control point reply %s", self._device.id, note.data.hex())

    async def _start(self, gatt: Gatt, sink: Sink) -> None:
        """Start acceleration; a stream that an earlier client left running is stopped first."""
        self._asked = self._clock.now()
        offered = await self._request(gatt, sink, bytes([frame.GET_SETTINGS, frame.ACC]))
        reply = offered
        if offered.status == frame.OK:
            start = bytes([frame.START, frame.ACC]) + self._chosen(offered.params)
            reply = await self._request(gatt, sink, start)
            if reply.status == frame.ALREADY_IN_STATE:
                await self._request(gatt, sink, bytes([frame.STOP, frame.ACC]))
                reply = await self._request(gatt, sink, start)
        if reply.status == frame.OK:
            self._running(reply, sink)
        else:
            self._refused(reply, sink)

    def _chosen(self, params: bytes) -> bytes:
        """The settings nearest to what we want among those offered; ours where the offer cannot be read."""
        offered = frame.decode_settings(params)
        if isinstance(offered, Rejected):
            offered = {}
        wanted = {frame.RATE_HZ: WANTED_RATE_HZ, frame.RESOLUTION_BITS: 16.0, frame.RANGE: WANTED_RANGE_G}
        chosen: frame.Settings = {}
        for kind, target in wanted.items():
            distances = [(abs(value - target), value) for value in offered.get(kind) or (target,)]
            chosen[kind] = (min(distances)[1],)
        if frame.CHANNEL_COUNT in offered:
            chosen[frame.CHANNEL_COUNT] = (3,)
        self._set_rate(chosen[frame.RATE_HZ][0])
        return frame.encode_settings(chosen)

    def _set_rate(self, rate_hz: float) -> None:
        if rate_hz != self._rate_hz:
            self._rate_hz = float(rate_hz)
            self._timeline = None

    def _new_timeline(self) -> Timeline:
        return Timeline(self._rate_hz, jump_s=patience_s(self._clock, JUMP_S))

    def _running(self, reply: frame.Reply, sink: Sink) -> None:
        settings = frame.decode_settings(reply.params)
        factor = 1.0 if isinstance(settings, Rejected) else settings.get(frame.FACTOR, (1.0,))[0]
        self._factor = factor if math.isfinite(factor) and factor > 0 else 1.0
        self._acc_heard = self._clock.now()
        if self._complaint.startswith(REFUSED):
            over: Detail = {"reason": self._complaint, "active": False}
            sink.event(Event("device_fault", self._acc_heard, self._device.bed, self._device.id, over))
        self._complaint = ""

    def _refused(self, reply: frame.Reply, sink: Sink) -> None:
        text = frame.STATUS_TEXT.get(reply.status, f"status {reply.status}")
        now = self._clock.now()
        if reply.status == frame.IN_CHARGER:
            if self._complaint != text:
                self._complaint = text
                sink.event(Event("sensor_off", now, self._device.bed, self._device.id, {"reason": text}))
            raise LinkError(f"{self._device.id}: the band is {text}", hint="take it off the charger and put it on")
        self._fault(f"{REFUSED}: {text}", now, sink, active=True)  # without acceleration no fall is seen: it lasts

    def _fault(self, reason: str, at: Stamp, sink: Sink, *, active: bool | None = None) -> None:
        """active: True for what lasts until it is told to be over, None for what happened once."""
        if self._complaint == reason:
            return
        self._complaint = reason
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
        if self._acc_heard is None:
            return
        try:
            await gatt.write(frame.CONTROL_POINT, bytes([frame.STOP, frame.ACC]))
        except (LinkError, PairingError) as error:
            log.debug("%s: stop of acceleration: %s", self._device.id, error)


def make(devices: Sequence[Device], adapter: BleAdapter, clock: Clock) -> Driver:
    """One driver for one band. ConfigError for a model that the family does not have."""
    (device,) = devices
    code_for(profile_for(device, MODELS), CODES)
    return PolarDriver(device, adapter, clock)


FAMILY: Family[BleAdapter] = Family("polar_pmd", "ble-gatt", tuple(MODELS), make)
