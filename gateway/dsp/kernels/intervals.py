"""The interval between two similar events around a moment, without saying where the events are."""

import math

from gateway.dsp.kernels.compiler import Floats, Ints, kernel


@kernel
def _gather(value: float, before: Floats, product: Floats, apart: Floats, pair: Floats) -> None:
    """One sample after the moment, held against one sample before it for each lag. Vectorises: lag by lag nothing waits
    for anything, which a sum over the stretch of one lag does (3 times faster so)."""
    for k in range(before.shape[0]):
        product[k] += value * before[k]
        apart[k] += abs(value - before[k])
        pair[k] = value + before[k] if value + before[k] > pair[k] else pair[k]


@kernel
def likeness(x: Floats, at: int, shortest: int, longest: int, scores: Floats) -> None:
    """How alike what follows a moment is to what came before it, for each lag.

    x: shape (n,), longest <= at <= n - longest. scores: shape (6, longest + 1), afterwards by lag from shortest on: in
    rows 0 to 2 mean product, mean absolute difference, greatest sum of a pair; row 5 is scratch. NaN policy: a NaN
    within reach of a lag makes its first two NaN.
    """
    product = scores[0]
    apart = scores[1]
    pair = scores[2]
    before = scores[5]
    product[:] = 0.0
    apart[:] = 0.0
    pair[:] = -math.inf
    for k in range(longest):
        before[k] = x[at - 1 - k]
    for i in range(longest):
        first = max(shortest, i + 1)
        _gather(
            x[at + i], before[first - 1 - i : longest - i], product[first : longest + 1], apart[first : longest + 1],
            pair[first : longest + 1],
        )  # fmt: skip
    for lag in range(shortest, longest + 1):
        product[lag] /= lag
        apart[lag] /= lag


@kernel
def _shortest(scores: Floats, shortest: int, longest: int, guard: float) -> int:
    """The shortest lag at which row 3 has a maximum of at least this fraction of its greatest; 0 for none."""
    best = 0.0
    at = 0
    for lag in range(shortest, longest + 1):
        if scores[3, lag] > best:
            best = scores[3, lag]
            at = lag
    for lag in range(shortest + 1, at):
        score = scores[3, lag]
        if score >= guard * best and score > scores[3, lag - 1] and score >= scores[3, lag + 1]:
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
    prior: a lag that is expected, 0 for none, with this log-normal spread. scores: scratch (6, longest + 1). out: shape
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
            scores[4, lag] = math.exp(-0.5 * distance * distance)
    for k in range(rows):
        at = x.shape[0] - longest - round((rows - 1 - k) * step)
        out[k, 0] = 0.0
        out[k, 1] = 0.0
        most_product = 0.0
        least_apart = math.inf
        most_apart = 0.0
        lowest_pair = math.inf
        highest_pair = -math.inf
        likeness(x, at, shortest, longest, scores)
        for lag in range(shortest, longest + 1):
            most_product = max(most_product, scores[0, lag])
            least_apart = min(least_apart, scores[1, lag])
            most_apart = max(most_apart, scores[1, lag])
            lowest_pair = min(lowest_pair, scores[2, lag])
            highest_pair = max(highest_pair, scores[2, lag])
        # False for NaN, for a constant and for a stretch that resembles nothing.
        if not (most_product > 0.0 and most_apart > least_apart and highest_pair > lowest_pair):
            continue
        for lag in range(shortest, longest + 1):
            score = max(0.0, scores[0, lag]) / most_product
            score *= (most_apart - scores[1, lag]) / (most_apart - least_apart)
            scores[3, lag] = score * (scores[2, lag] - lowest_pair) / (highest_pair - lowest_pair)
        out[k, 0] = out[k, 1] = _shortest(scores, shortest, longest, guard)
        if prior > 0.0:
            for lag in range(shortest, longest + 1):
                scores[3, lag] *= scores[4, lag]
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
