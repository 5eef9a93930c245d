"""A virtual column scale: prints five lines a second, whoever stands on it."""

from collections.abc import Callable

from drivers.faulty_line import FaultyLine
from drivers.line_scale.frame import encode
from gateway.core.clock import Clock

PERIOD_S = 0.2


class ColumnScale:
    """The device on `fd`. load: kilograms and whether they have settled, asked for each line."""

    def __init__(
        self,
        fd: int,
        clock: Clock,
        load: Callable[[], tuple[float, bool]],
        *,
        period_s: float = PERIOD_S,
        seed: int = 0,
        share: float = 0.0,
    ) -> None:
        self.line = FaultyLine(fd, clock, seed=seed, share=share)
        self._clock = clock
        self._load = load
        self._period_s = period_s

    async def run(self) -> None:
        """Print until cancelled. OSError once the pseudo-terminal is gone."""
        while True:
            kilograms, settled = self._load()
            await self.line.write(encode(kilograms, settled=settled))
            await self._clock.sleep(self._period_s)
