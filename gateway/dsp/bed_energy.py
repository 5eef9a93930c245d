"""What the energy of a bed's waveform says of whether somebody lies there, learnt for each bed.

In: once a second the rms of the pulse band (0.7 to 10 Hz, the waveform's unit), NaN when too little of it was real. A
living sleeper's energy (log-mean of seconds with pulse or breath, MEMORY_S) and the empty bed's decide together: the
threshold is their geometric mean, and there is none before they are SEPARATE apart. The empty bed's is learnt while the
load says so, or without load from a steady, lifeless minute well below the sleeper's. Latency: QUIET_S. Gap policy: a
second of NaN changes nothing, FORGET_S of them make the state unknown. Source: short-time energy, Lydon 2015.
"""

import math
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

MEMORY_S = 120.0
USUAL, UNUSUAL_S = math.log(4.0), 3600.0  # what postures and mattresses change; what is more is learnt in an hour
SEPARATE = 2.5  # between the energies of sleeper and empty bed, in amplitude (8 dB): less tells nothing
LOST = 0.1  # of the sleeper's energy (-20 dB), while the load says that somebody is there
QUIET_S, RISEN_S = 2, 3  # seconds in a row; only a heart below 30 /min leaves out two seconds
FORGET_S = 10  # without energy the state is kept no longer
MOVED_S = 15  # who leaves has moved so lately
ALIVE_S = 10
STEADY_S, STEADY = 60, 2.5  # a minute whose seconds differ by this at most in energy,
TAIL_S = 3  # but for the loudest and the faintest few
BURST = 2.0  # times the threshold: lying down is louder than any sleeper at rest


class Level(NamedTuple):
    """now: rms of this second. empty: of the empty bed as the movement has learnt it, None when it has not."""

    now: float
    empty: float | None


SILENT = Level(math.nan, None)


class BedEnergy:
    """Stepped once a second; `quiet` and `lost` speak of the newest second, None when they cannot tell."""

    def __init__(self, memory: Mapping[str, float]) -> None:
        self._living = memory.get("living", 0.0)
        self._learnt = memory.get("silence", 0.0)
        self._steady: deque[float] = deque(maxlen=STEADY_S)
        self._state: bool | None = None
        self._quiet_s = self._risen_s = self._silent_s = self._alive_s = 0
        self._burst = False
        self._since_moved_s = MOVED_S + 1
        self.quiet: bool | None = None
        self.lost = False

    def memory(self) -> dict[str, float]:
        """To be given to the next one of this bed."""
        return {key: value for key, value in (("living", self._living), ("silence", self._learnt)) if value > 0.0}

    def agree(self, occupied: bool) -> None:
        """The load knows better."""
        self._state = occupied

    def step(self, level: Level, *, moving: bool, alive: bool) -> bool | None:
        """Occupied by waveform alone; None while that is not known."""
        self._since_moved_s = 0 if moving else self._since_moved_s + 1
        if math.isnan(level.now):
            self.quiet, self.lost = None, False
            return self._after_silence(alive)
        self._silent_s = 0
        self._learn(level, moving, alive)
        empty = level.empty if level.empty is not None else self._learnt
        threshold = math.sqrt(empty * self._living) if empty > 0.0 and self._living >= SEPARATE * empty else None
        self.quiet = None if threshold is None else level.now < threshold
        self.lost = self._living > 0.0 and level.now < LOST * self._living
        self._count(level.now, threshold)
        self._decide(threshold, alive)
        return self._state

    def _decide(self, threshold: float | None, alive: bool) -> None:
        """Quiet after movement is an exit; quiet without any is a sensor that failed, a sleeper who died, or an exit
        before the empty bed was known: nobody can say."""
        if threshold is None:
            self._state = True if alive else self._state
        elif self._quiet_s >= QUIET_S and self._since_moved_s <= MOVED_S and self._state is not None:
            self._state = False
        elif self._quiet_s >= STEADY_S and self._state and not alive:
            self._state = None
        elif self._risen_s >= RISEN_S and (alive or self._burst):
            self._state = True

    def _after_silence(self, alive: bool) -> bool | None:
        """Without energy the state is kept for a while; a pulse still proves a sleeper."""
        self._silent_s += 1
        if alive:
            self._state = True
        elif self._silent_s > FORGET_S:
            self._state = None
        return self._state

    def _count(self, now: float, threshold: float | None) -> None:
        if threshold is None:
            self._quiet_s = self._risen_s = 0
            return
        self._quiet_s = self._quiet_s + 1 if now < threshold else 0
        self._risen_s = self._risen_s + 1 if now >= threshold else 0
        self._burst = self._risen_s > 0 and (self._burst or now >= BURST * threshold)

    def _learn(self, level: Level, moving: bool, alive: bool) -> None:
        if alive and not moving and level.now > 0.0 and self.quiet is not True:
            change = math.log(level.now / self._living) if self._living > 0.0 else 0.0
            memory_s = MEMORY_S if abs(change) < USUAL else UNUSUAL_S
            self._living = (self._living or level.now) * math.exp(change / memory_s)
        self._alive_s = self._alive_s + 1 if alive else 0
        if self._alive_s >= ALIVE_S or moving:  # noise looks alive for seconds, no longer
            self._steady.clear()
            return
        self._steady.append(level.now)
        if len(self._steady) < STEADY_S:
            return
        ordered = sorted(self._steady)
        middle = ordered[STEADY_S // 2]
        if ordered[-TAIL_S] <= STEADY * ordered[TAIL_S] and self._living >= SEPARATE * middle > 0.0:
            self._learnt = middle
