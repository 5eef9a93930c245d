"""The device's end of a wire where the host asks: whole requests in, answers out over a line with faults."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence

from drivers.faulty_line import FaultyLine
from drivers.peer_ear import hear
from drivers.serial_link import wire_seconds
from gateway.core.clock import Clock


class AnswerPeer(ABC):
    """A virtual device on the device's end `fd` of a pseudo-terminal. delay_s: real seconds before each answer.

    mute: it hears and does not answer, as when switched off. asked: every request understood, in order.
    """

    def __init__(self, fd: int, clock: Clock, *, seed: int = 0, share: float = 0.0) -> None:
        self.line = FaultyLine(fd, clock, seed=seed, share=share)
        self.delay_s = 0.0
        self.mute = False
        self.asked: list[bytes] = []
        self.received_bytes = 0
        self._fd = fd
        self._clock = clock

    @abstractmethod
    def requests(self, data: bytes) -> Sequence[bytes]:
        """Whole requests completed by `data`, in any chunks."""

    @abstractmethod
    def answers(self, request: bytes) -> Sequence[bytes]:
        """What is sent for a request, in order."""

    async def run(self) -> None:
        """Answer until cancelled; cancel before the pseudo-terminal is closed. OSError once the port is gone."""
        async with asyncio.TaskGroup() as tasks:
            await hear(self._fd, lambda arrived: self._take(arrived, tasks))

    def _take(self, arrived: bytes, tasks: asyncio.TaskGroup) -> None:
        self.received_bytes += len(arrived)
        for request in self.requests(arrived):
            self.asked.append(request)
            if not self.mute:
                tasks.create_task(self._answer(request))

    async def _answer(self, request: bytes) -> None:
        if self.delay_s:
            await self._clock.sleep(wire_seconds(self._clock, self.delay_s))
        for answer in self.answers(request):
            await self.line.write(answer)
