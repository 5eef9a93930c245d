"""The belt's end of the wire: sends frames of any samples on a pseudo-terminal, at the profile's pace, with faults."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.bed_belt.frame import BeltFormat, BeltFrame
from drivers.faulty_line import FaultyLine, LineFault
from gateway.core.clock import Clock


@dataclass(frozen=True, slots=True)
class BeltInput:
    """What the belt feels during one frame. samples: shape (n,), -1 to 1 (beyond is clipped); load_kg: None if unknown.

    status: bits of the profile, e.g. 0x01 sensor fault, 0x02 saturated.
    """

    samples: NDArray[np.float64] | NDArray[np.float32]
    load_kg: float | None = None
    status: int = 0


class BeltPeer:
    """A virtual belt on the device's end `fd` of a pseudo-terminal. inputs: one for each frame; the belt stops after.

    line: faults on demand. sequence: of the next frame; setting it to 0 is a reset of the belt.
    """

    def __init__(
        self, fd: int, clock: Clock, belt: BeltFormat, inputs: Iterable[BeltInput], *, seed: int = 0, share: float = 0.0
    ) -> None:
        self.line = FaultyLine(fd, clock, seed=seed, share=share)
        self.sequence = 0
        self.sent: list[LineFault | None] = []
        self.keep_record = False
        self._clock = clock
        self._belt = belt
        self._inputs = inputs

    async def run(self) -> None:
        """Send until the inputs end or the task is cancelled. OSError once the pseudo-terminal is gone.

        Frames are due by the clock from the start on: a late one is sent at once, so that the rate holds.
        """
        start = self._clock.now()
        sent_samples = 0
        for given in self._inputs:
            sent_samples += len(given.samples)
            due = start.plus_s(sent_samples / self._belt.stream.rate_hz)
            await self._clock.sleep(due.since_s(self._clock.now()))
            await self._send(given)

    async def _send(self, given: BeltInput) -> None:
        frame = BeltFrame(self.sequence, given.samples.astype(np.float32), given.load_kg, given.status)
        self.sequence = (self.sequence + 1) % self._belt.modulus
        fault = await self.line.write(self._belt.encode(frame))
        if self.keep_record:
            self.sent.append(fault)
