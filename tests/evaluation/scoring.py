"""Beats against beats, rates against rates: the scorers that several questions share."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.evaluation.recordings import Floats

TOLERANCE_S = 0.15
LAGS_S = np.arange(-0.1, 0.9, 0.02)  # of the pulse behind the R peak, filters included


def matches(reference: Floats, seen: Floats, tolerance_s: float = TOLERANCE_S) -> int:
    """How many beats pair up one to one within the tolerance; both ascending, s."""
    i = j = found = 0
    while i < len(reference) and j < len(seen):
        apart_s = seen[j] - reference[i]
        if abs(apart_s) <= tolerance_s:
            found, i, j = found + 1, i + 1, j + 1
        elif apart_s < 0:
            j += 1
        else:
            i += 1
    return found


def lag_s(reference: Floats, seen: Floats) -> float:
    """The one delay of a record: the best of LAGS_S, then the median of what is left, as long as nothing is lost."""
    if not len(reference) or not len(seen):
        return 0.0
    best = max(LAGS_S, key=lambda lag: matches(reference + lag, seen))
    for _ in range(3):
        moved = reference + best
        nearest = seen[np.abs(seen[None, :] - moved[:, None]).argmin(axis=1)] - moved
        near = nearest[np.abs(nearest) < TOLERANCE_S]
        better = best + float(np.median(near)) if len(near) else best
        if matches(reference + better, seen) < matches(moved, seen):
            break
        best = better
    return float(best)


@dataclass(frozen=True, slots=True)
class BeatScore:
    """Counts of one record. found: reference beats that were seen. true: seen beats that the reference has."""

    found: int
    reference: int
    true: int
    seen: int

    @property
    def f1(self) -> float:
        return f1([self])


def beats(reference: Floats, seen: Floats, start_s: float, end_s: float) -> BeatScore:
    """Scored between start_s and end_s; a partner may lie just outside, so that edges cost nothing."""
    moved = reference + lag_s(reference, seen)

    def within(times: Floats, margin_s: float = 0.0) -> Floats:
        return times[(times > start_s - margin_s) & (times < end_s + margin_s)]

    return BeatScore(
        found=matches(within(moved), within(seen, TOLERANCE_S)),
        reference=len(within(moved)),
        true=matches(within(moved, TOLERANCE_S), within(seen)),
        seen=len(within(seen)),
    )


def f1(scores: Sequence[BeatScore]) -> float:
    """Pooled over records: harmonic mean of the share found and the share true; 0 when there is nothing."""
    reference, seen = sum(score.reference for score in scores), sum(score.seen for score in scores)
    found, true = sum(score.found for score in scores), sum(score.true for score in scores)
    if not found or not true:
        return 0.0
    sensitivity, precision = found / reference, true / seen
    return 2 * sensitivity * precision / (sensitivity + precision)


def worst_tenth(values: Sequence[float]) -> float:
    """Mean of the worst tenth of the records (at least one of them), low being bad."""
    ordered = sorted(values)
    return float(np.mean(ordered[: max(1, round(len(ordered) / 10))]))


def rate_between(times: Floats, start_s: float, end_s: float) -> float:
    """Events a minute from the intervals between the events of a window; NaN for fewer than two events."""
    inside = times[(times >= start_s) & (times <= end_s)]
    return 60.0 * (len(inside) - 1) / float(inside[-1] - inside[0]) if len(inside) > 1 else float("nan")


def mean(values: Sequence[float] | NDArray[np.float64]) -> float:
    """NaN for nothing."""
    return float(np.mean(values)) if len(values) else float("nan")
