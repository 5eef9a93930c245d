"""The loop of a device that streams on a port of its own: bytes to its decoder, silence and breakage to LinkError."""

from collections.abc import Callable
from typing import TypeVar

from drivers.base import Device, Sink
from drivers.byte_stream import ByteStream
from drivers.profile_frames import Rejects
from drivers.serial_link import SerialPort, wire_seconds
from gateway.core.clock import Clock
from gateway.core.errors import LinkError
from gateway.core.model import Stamp

T = TypeVar("T")
SILENCE_FLOOR_S = 1.0  # of real time: a demonstration's fast clock must not call a busy machine's pause a lost device


class Reports:
    """Tells the sink what a decoder rejected and what the port's buffer dropped."""

    def __init__(self, device: Device, port: SerialPort | None, sink: Sink) -> None:
        self._device = device
        self._port = port
        self._sink = sink
        self._dropped_bytes = port.dropped_bytes if port else 0

    def rejects(self, rejects: Rejects) -> None:
        for reason, count in rejects.counts.items():
            self._sink.rejected(self._device.id, reason, rejects.last[reason], count=count)
        if self._port and (dropped := self._port.dropped_bytes - self._dropped_bytes):
            self._dropped_bytes = self._port.dropped_bytes
            self._sink.rejected(self._device.id, "receive_buffer_full", b"", count=dropped)

    def half_frame(self, pending: bytes) -> None:
        if pending:
            self._sink.rejected(self._device.id, "half_frame", pending)


class SerialStream:
    """One streaming device on its port, already open. silence_s: without a valid frame for so long, the link is lost.

    wanted: the line settings the device speaks, for the hint, e.g. "19200 baud 8O1".
    """

    def __init__(self, device: Device, port: SerialPort, clock: Clock, *, silence_s: float, wanted: str) -> None:
        self._device = device
        self._port = port
        self._clock = clock
        self._silence_s = silence_s
        self._wanted = wanted

    async def run(self, decoder: ByteStream[T], take: Callable[[list[T], Stamp], None], sink: Sink) -> None:
        """Hand frames to `take` until the port breaks or falls silent: LinkError."""
        reports = Reports(self._device, self._port, sink)
        try:
            await self._hear(decoder, take, sink, reports)
        except LinkError:
            reports.half_frame(decoder.pending)
            raise

    async def _hear(
        self, decoder: ByteStream[T], take: Callable[[list[T], Stamp], None], sink: Sink, reports: Reports
    ) -> None:
        silence_s = max(self._silence_s, wire_seconds(self._clock, SILENCE_FLOOR_S))
        heard = self._clock.now()
        while True:
            left_s = silence_s - self._clock.now().since_s(heard)
            chunk = await self._port.read_within(left_s) if left_s > 0 else None
            if chunk is None:
                raise self._silent(decoder, silence_s)
            data, at = chunk
            frames, rejects = decoder.feed(data)
            reports.rejects(rejects)
            if frames:
                heard = at
                sink.heard(self._device.id)
                take(frames, at)

    def _silent(self, decoder: ByteStream[T], silence_s: float) -> LinkError:
        seen = ", ".join(f"{reason} {count}" for reason, count in decoder.rejected.items())
        message = (
            f"{self._device.id} on {self._port.name}: no valid frame for {silence_s:g} s "
            f"({decoder.received_bytes} bytes received since the port was opened; rejected: {seen or 'nothing'})"
        )
        if not decoder.received_bytes:
            return LinkError(message, hint="is the device switched on? check its plug")
        given = f"{self._port.baud} baud {self._port.format}"
        return LinkError(message, hint=f"the device speaks {self._wanted}, the port is set to {given}; check the model")
