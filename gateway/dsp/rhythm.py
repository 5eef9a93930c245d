"""Is a heart's rhythm regular enough for one number? Decided over a minute or two, with two thresholds.

In: once a second, how the autocorrelation of the beats' envelope and the local intervals look. Out: regular or not.
Three things are averaged (leaky, MEMORY_S, started low): whether the period holds over two and three intervals as well
as over one (behind noise it does, in atrial fibrillation it does not), how many local intervals resemble it, how deep
the trough between two beats is. Their sum must once rise above PROVEN and is believed until it falls below LOST.
An irregular rhythm has no rate that a window of ten seconds could tell; it is said to be irregular, which is a trend
and never a diagnosis. Latency: 40 s for a clear rhythm, minutes for one in noise. Gap policy: seconds that move or are
missing are left out. Source: measured on synthetic beds (tests/evaluation/bed_synth.py), sinus rhythm of real nights
against atrial fibrillation, both in noise of -6 to 20 dB.
"""

from dataclasses import dataclass

MEMORY_S = 60.0
FAST_S = 15.0
PROVEN, LOST = 2.75, 2.05
LOST_NOW = 2.0  # of the fast mean: a heart that falls out of rhythm is not believed for another minute
SEEN = 0.4  # mean height of the autocorrelation above which a heart is there, whatever its rhythm
START = (0.3, 0.3, 0.3, 0.4)  # height, echo, near, depth: of noise and of fibrillation
DEPTH_WEIGHT = 0.3
FLOOR = 0.35  # of the height: below, what repeats is noise


@dataclass(frozen=True, slots=True)
class Look:
    """One second. height: of the autocorrelation's peak. twice, thrice, between: it at two, three and one and a half
    periods. near: share of the local intervals of the window within a tenth of the period."""

    height: float
    twice: float
    thrice: float
    between: float
    near: float


class _Mean:
    """Leaky mean of the three parts of the score."""

    def __init__(self, memory_s: float) -> None:
        self._memory_s = memory_s
        self.height, self._echo, self._near, self._depth = START

    def step(self, look: Look) -> None:
        echo = look.twice + look.thrice
        self.height += (look.height - self.height) / self._memory_s
        self._echo += (echo - self._echo) / self._memory_s
        self._near += (look.near - self._near) / self._memory_s
        self._depth += (echo - 2.0 * look.between - self._depth) / self._memory_s

    @property
    def score(self) -> float:
        """0 to about 4; 1.4 to 2 is noise or an irregular rhythm."""
        return self._echo / max(self.height, FLOOR) + self._near + DEPTH_WEIGHT * self._depth


class Rhythm:
    """Fed once a second that could be judged."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Somebody else may lie here now."""
        self._proven = False
        self._slow, self._fast = _Mean(MEMORY_S), _Mean(FAST_S)

    def step(self, look: Look) -> None:
        """One second more."""
        self._slow.step(look)
        self._fast.step(look)
        self._proven = self.score > (LOST if self._proven else PROVEN)

    @property
    def regular(self) -> bool:
        return self._proven and self._fast.score > LOST_NOW

    @property
    def score(self) -> float:
        return self._slow.score

    @property
    def height(self) -> float:
        """Mean height of the autocorrelation over the last minute."""
        return self._slow.height

    @property
    def heard(self) -> bool:
        """True when there is a heart, whatever its rhythm."""
        return self._slow.height > SEEN
