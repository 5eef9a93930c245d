"""The interval between two similar events around a moment, without saying where the events are."""

import math

from gateway.dsp.kernels.compiler import Floats, Ints, kernel, reduction


@kernel
def _highest_pair(before: Floats, after: Floats) -> float:
    """Greatest sum of a pair, -inf for none. Four at a time: one maximum waits for the other, and in the loop of
    `likeness` it would keep that from vectorising (2.3 times faster so)."""
    n = before.shape[0]
    one = two = three = four = -math.inf
    whole = n - n % 4
    for i in range(0, whole, 4):
        pair = before[i] + after[i]
        one = pair if pair > one else one
        pair = before[i + 1] + after[i + 1]
        two = pair if pair > two else two
        pair = before[i + 2] + after[i + 2]
        three = pair if pair > three else three
        pair = before[i + 3] + after[i + 3]
        four = pair if pair > four else four
    for i in range(whole, n):
        pair = before[i] + after[i]
        one = pair if pair > one else one
    return max(max(one, two), max(three, four))


@reduction
def likeness(before: Floats, after: Floats, found: Floats) -> None:
    """How alike two stretches of shape (n,) are. found: shape (3,) or more, afterwards mean product, mean absolute
    difference, greatest sum of a pair. A NaN makes the first two NaN. Vectorises: slices, no branches."""
    product = 0.0
    apart = 0.0
    n = before.shape[0]
    for i in range(n):
        product += before[i] * after[i]
        apart += abs(before[i] - after[i])
    found[0] = product / n
    found[1] = apart / n
    found[2] = _highest_pair(before, after)


@kernel
def _shortest(scores: Floats, shortest: int, longest: int, guard: float) -> int:
    """The shortest lag at which column 3 has a maximum of at least this fraction of its greatest; 0 for none."""
    best = 0.0
    at = 0
    for lag in range(shortest, longest + 1):
        if scores[lag, 3] > best:
            best = scores[lag, 3]
            at = lag
    for lag in range(shortest + 1, at):
        score = scores[lag, 3]
        if score >= guard * best and score > scores[lag - 1, 3] and score >= scores[lag + 1, 3]:
            return lag
    return at


@kernel
def local_intervals(
    x: Floats, step: float, lags: Ints, guard: float, prior: float, spread: float, scores: Floats, out: Floats
) -> None:
    """Lags at which what follows a moment is most like what came before it, at moments `step` samples apart.

    x: shape (n,), zero mean, n > 2 * longest. The last moment lies `longest` samples before the end of x, row k of out
    lies (rows - 1 - k) * step earlier, which must be at least `longest`. lags: shape (2,), shortest and longest tried,
    in samples. guard: a shorter lag that scores this fraction of the best one wins (two intervals are as alike as one).
    prior: a lag that is expected, 0 for none, with this log-normal spread. scores: scratch (longest + 1, 5). out: shape
    (rows, 2): lag; lag with the prior; 0, 0 where there is none. NaN policy: a lag that reaches a NaN is not chosen.
    Each lag's score is the product of three estimators scaled to 0-1: correlation, absolute difference, height of the
    pair of peaks. Source: Brueser et al. 2013, IEEE JBHI 17(2), continuous local interval estimation.
    """
    shortest = lags[0]
    longest = lags[1]
    rows = out.shape[0]
    if prior > 0.0:
        for lag in range(shortest, longest + 1):
            distance = math.log(lag / prior) / spread
            scores[lag, 4] = math.exp(-0.5 * distance * distance)
    for k in range(rows):
        at = x.shape[0] - longest - round((rows - 1 - k) * step)
        out[k, 0] = 0.0
        out[k, 1] = 0.0
        most_product = 0.0
        least_apart = math.inf
        most_apart = 0.0
        lowest_pair = math.inf
        highest_pair = -math.inf
        for lag in range(shortest, longest + 1):
            row = scores[lag]
            likeness(x[at - lag : at], x[at : at + lag], row)
            most_product = max(most_product, row[0])
            least_apart = min(least_apart, row[1])
            most_apart = max(most_apart, row[1])
            lowest_pair = min(lowest_pair, row[2])
            highest_pair = max(highest_pair, row[2])
        # False for NaN, for a constant and for a stretch that resembles nothing.
        if not (most_product > 0.0 and most_apart > least_apart and highest_pair > lowest_pair):
            continue
        for lag in range(shortest, longest + 1):
            score = max(0.0, scores[lag, 0]) / most_product
            score *= (most_apart - scores[lag, 1]) / (most_apart - least_apart)
            scores[lag, 3] = score * (scores[lag, 2] - lowest_pair) / (highest_pair - lowest_pair)
        out[k, 0] = out[k, 1] = _shortest(scores, shortest, longest, guard)
        if prior > 0.0:
            for lag in range(shortest, longest + 1):
                scores[lag, 3] *= scores[lag, 4]
            out[k, 1] = _shortest(scores, shortest, longest, 1.0)


@kernel
def share_near(lags: Floats, lag: float, tolerance: float) -> float:
    """Share of these lags, shape (n,), that differ from one by less than this relative tolerance, 0 to 1.

    NaN policy: a NaN is not near. Source: counting.
    """
    count = 0
    for i in range(lags.shape[0]):
        if abs(lags[i] - lag) < tolerance * lag:
            count += 1
    return float(count / lags.shape[0])
