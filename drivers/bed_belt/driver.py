"""A bed belt on its own serial port: frames to blocks of samples that say what was lost before them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drivers.base import Device, Family, Sink
from drivers.bed_belt.frame import BeltDecoder, BeltFormat, BeltFrame, load_format
from drivers.bed_belt.sequence import SequenceTracker
from drivers.profile import models_in
from drivers.profile_frames import Rejects
from drivers.serial_link import SerialPort, wire_seconds
from gateway.core.clock import Clock
from gateway.core.errors import ConfigError, Fault, LinkError
from gateway.core.model import Event, SampleBlock, Stamp

HERE = Path(__file__).parent
WAVE, LOAD = "bed.wave", "bed.load"
SILENCE_FLOOR_S = 1.0  # of real time: a demonstration's fast clock must not call a busy machine's pause a lost belt


@dataclass(slots=True)
class _Pending:
    """Consecutive frames not yet handed on. end: when the last sample of the last frame was taken."""

    end: Stamp
    lost: int
    waves: list[NDArray[np.float32]] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)


class BeltDriver:
    """One belt. Its sequence numbers are remembered across reconnects, so that an outage too is a counted loss."""

    def __init__(self, device: Device, port: SerialPort, clock: Clock, belt: BeltFormat) -> None:
        self.devices = (device,)
        self._device = device
        self._port = port
        self._clock = clock
        self._belt = belt
        self._sequence = SequenceTracker(belt.modulus, belt.stream.rate_hz)
        self._pending: _Pending | None = None
        self._status = 0
        self._dropped_bytes = 0

    async def run(self, sink: Sink) -> None:
        """Stream until the port breaks or the belt is silent for the profile's silence_s. LinkError."""
        self._port.open()
        try:
            await self._listen(sink)
        finally:
            self._flush(sink)
            self._port.close()

    async def _listen(self, sink: Sink) -> None:
        """A frame that had only begun when the link broke is a rejected one: no silence about its bytes."""
        decoder = BeltDecoder(self._belt)
        try:
            await self._hear(decoder, sink)
        except LinkError:
            if half := decoder.stream.pending:
                sink.rejected(self._device.id, "half_frame", half)
            raise

    async def _hear(self, decoder: BeltDecoder, sink: Sink) -> None:
        silence_s = max(self._belt.stream.silence_s, wire_seconds(self._clock, SILENCE_FLOOR_S))
        heard = self._clock.now()
        while True:
            left_s = silence_s - self._clock.now().since_s(heard)
            chunk = await self._port.read_within(left_s) if left_s > 0 else None
            if chunk is None:
                raise self._silent(decoder, silence_s)
            data, at = chunk
            frames, rejects = decoder.feed(data)
            self._report(rejects, sink)
            if frames:
                heard = at
                self._take_all(frames, at, sink)
                sink.heard(self._device.id)

    def _take_all(self, frames: Sequence[BeltFrame], at: Stamp, sink: Sink) -> None:
        """Frames that came in one chunk: the last one ended at its receipt, the others one after another before it."""
        after = sum(len(frame.samples) for frame in frames)
        for frame in frames:
            after -= len(frame.samples)
            self._take(frame, at.plus_s(-after / self._belt.stream.rate_hz), sink)

    def _take(self, frame: BeltFrame, end: Stamp, sink: Sink) -> None:
        lost = self._sequence.lost_before(frame.sequence, len(frame.samples), end)
        if lost is None:
            sink.rejected(self._device.id, "old_sequence", frame.sequence.to_bytes(4, "big"))
            return
        self._tell_faults(frame.status, end, sink)
        pending = self._pending
        if pending is not None and (lost or len(pending.waves[-1]) != len(frame.samples)):
            self._flush(sink)
            pending = None
        if pending is None:
            pending = self._pending = _Pending(end, lost)
        pending.end = end
        pending.waves.append(self._judged(frame))
        pending.loads.append(np.nan if frame.load_kg is None else frame.load_kg)
        if len(pending.waves) >= self._belt.stream.frames_per_block:
            self._flush(sink)

    def _judged(self, frame: BeltFrame) -> NDArray[np.float32]:
        """The frame's samples, NaN where the belt itself says that they are no measurement."""
        stream = self._belt.stream
        if frame.status & stream.bad_samples:
            return np.full(len(frame.samples), np.nan, dtype=np.float32)
        if not frame.status & stream.saturated:
            return frame.samples
        low, high = self._belt.sample_limits
        samples = frame.samples.copy()
        samples[(samples <= low) | (samples >= high)] = np.nan
        return samples

    def _flush(self, sink: Sink) -> None:
        pending, self._pending = self._pending, None
        if pending is None:
            return
        rate_hz = self._belt.stream.rate_hz
        wave = np.concatenate(pending.waves)
        a_frame = len(pending.waves[-1])
        start = pending.end.plus_s(-len(wave) / rate_hz)
        device, bed = self._device.id, self._device.bed
        sink.block(SampleBlock(device, WAVE, start, rate_hz, "1", wave, pending.lost, bed))
        if self._belt.stream.load is not None:
            loads = np.array(pending.loads, dtype=np.float32)
            lost_frames = -(-pending.lost // a_frame)
            sink.block(SampleBlock(device, LOAD, start, rate_hz / a_frame, "kg", loads, lost_frames, bed))

    def _tell_faults(self, status: int, at: Stamp, sink: Sink) -> None:
        """One event when a fault bit comes, one when it goes."""
        changed, self._status = self._status ^ status, status
        for name, bits in self._belt.stream.faults.items():
            if changed & bits:
                detail: dict[str, str | bool] = {"fault": name, "active": bool(status & bits)}
                sink.event(Event("device_fault", at, self._device.bed, self._device.id, detail))

    def _report(self, rejects: Rejects, sink: Sink) -> None:
        for reason, count in rejects.counts.items():
            sink.rejected(self._device.id, reason, rejects.last[reason], count=count)
        if dropped := self._port.dropped_bytes - self._dropped_bytes:
            self._dropped_bytes = self._port.dropped_bytes
            sink.rejected(self._device.id, "receive_buffer_full", b"", count=dropped)

    def _silent(self, decoder: BeltDecoder, silence_s: float) -> LinkError:
        stream = decoder.stream
        seen = ", ".join(f"{reason} {count}" for reason, count in (stream.rejected | decoder.refused).items())
        message = (
            f"{self._device.id} on {self._port.name}: no valid frame for {silence_s:g} s "
            f"({stream.received_bytes} bytes received since the port was opened; rejected: {seen or 'nothing'})"
        )
        if not stream.received_bytes:
            return LinkError(message, hint="check the belt's power and its plug")
        wanted = self._belt.profile.device.serial
        expected = f"{wanted.baud} baud {wanted.format}" if wanted else "the profile's baud and format"
        given = f"{self._port.baud} baud {self._port.format}"
        return LinkError(message, hint=f"the belt speaks {expected}, the port is set to {given}; check cable and model")


def family(directory: Path = HERE) -> Family[SerialPort]:
    """The family with the models whose profiles lie in `directory`."""
    paths = models_in(directory)

    def make(devices: Sequence[Device], port: SerialPort, clock: Clock) -> BeltDriver:
        (device,) = devices
        if device.model not in paths:
            message = f"unknown model {device.model!r}; known: {', '.join(paths)}"
            raise ConfigError(device.id, (Fault(0, "model", message, "name one of these models"),))
        return BeltDriver(device, port, clock, load_format(paths[device.model]))

    return Family("bed_belt", "serial", tuple(paths), make)


FAMILY = family()
