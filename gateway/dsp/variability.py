"""Variability of the heart from clean inter-beat intervals: RMSSD, SDNN and how irregular the rhythm is.

In: intervals in s with the moment at which each ended, as a pulse or an electrocardiogram gave them; an interval that
something doubtful touched must not be given. Out: numbers over the last WINDOW_S, or None. A trend of one person, never
an alarm and never a diagnosis. Window 300 s, hop: each interval, latency: that of the intervals. Gap policy: two
intervals are a pair only when the second began where the first ended (to CONTIGUOUS_S); RMSSD and irregularity use
pairs alone, so a gap costs evidence and never makes a difference. An interval that differs from the median of its
neighbours by more than ARTEFACT is left out of SDNN and RMSSD (a missed or doubled beat, an extrasystole), not of
irregularity, which would not see fibrillation without them.
Sources: Task Force of the ESC and NASPE 1996 (RMSSD, SDNN over five minutes); irregularity: median of the absolute
successive differences over the median interval, 0.02-0.06 asleep in sinus rhythm, above 0.12 in atrial fibrillation.
"""

import math
from collections import deque
from dataclasses import dataclass

SHORTEST_S, LONGEST_S = 0.27, 2.2
WINDOW_S = 300.0
CONTIGUOUS_S = 0.02
ARTEFACT = 0.3
NEIGHBOURS = 5
MIN_INTERVALS, MIN_PAIRS = 60, 40
FULL_INTERVALS = 240  # as many give full quality


@dataclass(frozen=True, slots=True)
class Variability:
    """rmssd_ms, sdnn_ms: ms. irregularity: 0 for a clock, about 0.2 in atrial fibrillation. intervals, pairs: how many
    stand behind it. quality: 0 to 1, share of FULL_INTERVALS times share that is no artefact."""

    rmssd_ms: float
    sdnn_ms: float
    irregularity: float
    intervals: int
    pairs: int
    quality: float


class Intervals:
    """The intervals of the last WINDOW_S."""

    def __init__(self) -> None:
        self._ends_s: deque[float] = deque()
        self._lengths_s: deque[float] = deque()

    def add(self, end_s: float, length_s: float) -> None:
        """One clean interval; one that cannot be (not finite, out of range, earlier than the last) is left out."""
        if not (math.isfinite(end_s) and SHORTEST_S <= length_s <= LONGEST_S):  # False for NaN
            return
        if self._ends_s and end_s <= self._ends_s[-1]:
            return
        self._ends_s.append(end_s)
        self._lengths_s.append(length_s)
        while self._ends_s[0] <= end_s - WINDOW_S:
            self._ends_s.popleft()
            self._lengths_s.popleft()

    def measure(self) -> Variability | None:
        """None when fewer than MIN_INTERVALS, or MIN_PAIRS of adjacent ones, are there."""
        lengths, ends = list(self._lengths_s), list(self._ends_s)
        if len(lengths) < MIN_INTERVALS:
            return None
        usual = [_usual(lengths, i) for i in range(len(lengths))]
        kept = [abs(length / near - 1.0) <= ARTEFACT for length, near in zip(lengths, usual, strict=True)]
        pairs = [i for i in range(1, len(lengths)) if abs(ends[i] - lengths[i] - ends[i - 1]) < CONTIGUOUS_S]
        clean = [i for i in pairs if kept[i] and kept[i - 1]]
        whole = [length for length, keep in zip(lengths, kept, strict=True) if keep]
        if len(whole) < MIN_INTERVALS or len(clean) < MIN_PAIRS:
            return None
        mean_s = sum(whole) / len(whole)
        sdnn_s = math.sqrt(sum((length - mean_s) ** 2 for length in whole) / (len(whole) - 1))
        rmssd_s = math.sqrt(sum((lengths[i] - lengths[i - 1]) ** 2 for i in clean) / len(clean))
        steps = sorted(abs(lengths[i] - lengths[i - 1]) for i in pairs)
        irregularity = steps[len(steps) // 2] / sorted(lengths)[len(lengths) // 2]
        quality = min(1.0, len(whole) / FULL_INTERVALS) * len(whole) / len(lengths)
        return Variability(1000.0 * rmssd_s, 1000.0 * sdnn_s, irregularity, len(lengths), len(pairs), quality)

    def reset(self) -> None:
        """Of another person, or after a long gap."""
        self._ends_s.clear()
        self._lengths_s.clear()


def _usual(lengths: list[float], at: int) -> float:
    """Median of the intervals around one, itself left out."""
    first = max(0, at - NEIGHBOURS)
    near = sorted(lengths[first:at] + lengths[at + 1 : at + 1 + NEIGHBOURS])
    return near[len(near) // 2]
