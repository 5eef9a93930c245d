"""The device's end of a wire that only streams: ready frames, one write each, at their rate, with faults on demand."""

from collections.abc import Iterable

from drivers.faulty_line import FaultyLine, LineFault
from gateway.core.clock import Clock


class StreamPeer:
    """A virtual device on the device's end `fd` of a pseudo-terminal. frames: it stops after the last.

    line: faults on demand. sent: the fault that hit each frame, kept when keep_record is set.
    """

    def __init__(
        self, fd: int, clock: Clock, frames: Iterable[bytes], *, rate_hz: float = 100, seed: int = 0, share: float = 0.0
    ) -> None:
        self.line = FaultyLine(fd, clock, seed=seed, share=share)
        self.keep_record = False
        self.sent: list[LineFault | None] = []
        self._clock = clock
        self._frames = frames
        self._rate_hz = rate_hz

    async def run(self) -> None:
        """Send until the frames end or the task is cancelled. OSError once the pseudo-terminal is gone."""
        start = self._clock.now()
        for number, frame in enumerate(self._frames, 1):
            due = start.plus_s(number / self._rate_hz)
            await self._clock.sleep(due.since_s(self._clock.now()))
            fault = await self.line.write(frame)
            if self.keep_record:
                self.sent.append(fault)
