"""The end of a device that streams keyed frames: sends what it is told, answers questions, with faults on demand."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

from drivers.faulty_line import FaultyLine
from drivers.peer_ear import hear
from drivers.profile_frames import Cut, StreamDecoder
from drivers.profile_models import Framed
from gateway.core.clock import Clock


class FramedPeer:
    """A virtual device on the device's end `fd` of a pseudo-terminal.

    answers: key to the data of the answer; a key that is missing is not answered. echo: keys answered with what was
    sent. frames: asked every period_s for the frames to send. asked: every frame heard, in order.
    """

    def __init__(
        self,
        fd: int,
        clock: Clock,
        framed: Framed,
        frames: Callable[[], list[bytes]],
        *,
        answers: Mapping[bytes, bytes] | None = None,
        echo: frozenset[bytes] = frozenset(),
        period_s: float = 0.1,
        seed: int = 0,
        share: float = 0.0,
    ) -> None:
        self.line = FaultyLine(fd, clock, seed=seed, share=share)
        self.asked: list[Cut] = []
        self._fd = fd
        self._clock = clock
        self._layout = framed.layout
        self._frames = frames
        self._answers = dict(answers or {})
        self._echo = echo
        self._period_s = period_s

    async def run(self) -> None:
        """Send and answer until cancelled. OSError once the port is gone."""
        inbox: asyncio.Queue[bytes] = asyncio.Queue(64)  # full: the gateway asks faster than any device listens; lost

        def take(arrived: bytes) -> None:
            with suppress(asyncio.QueueFull):
                inbox.put_nowait(arrived)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._answer(inbox))
            tasks.create_task(self._send())
            tasks.create_task(hear(self._fd, take))

    async def _answer(self, inbox: "asyncio.Queue[bytes]") -> None:
        decoder = StreamDecoder(self._layout)
        while True:
            cuts, _ = decoder.feed(await inbox.get())
            for cut in cuts:
                self.asked.append(cut)
                data = cut.data if cut.key in self._echo else self._answers.get(cut.key)
                if data is not None:
                    await self.line.write(self._layout.wrap(data, cut.key))

    async def _send(self) -> None:
        while True:
            await self._clock.sleep(self._period_s)
            for frame in self._frames():
                await self.line.write(frame)
