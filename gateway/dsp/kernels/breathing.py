"""Breaths counted one by one: what stands beside the autocorrelation, which sees only how a window repeats itself."""

import math

from gateway.dsp.kernels.compiler import Floats, kernel


@kernel
def rises(x: Floats, centre: float, swing: float, out: Floats) -> int:
    """When a signal rose through its centre, each time once: it must have been below centre - swing before, and reach
    centre + swing afterwards.

    x: shape (n,), any unit. centre, swing: in x's unit, swing >= 0. out: shape (k,), moments in samples, ascending, the
    last crossing of the centre before the upper level, interpolated; returns how many. NaN policy: a NaN is no sample;
    a crossing beside it is taken at the sample after it. Source: zero crossings with hysteresis (Schmitt trigger).
    """
    found = 0
    below = False
    crossed = -1.0
    for i in range(x.shape[0]):
        v = x[i] - centre
        if v < -swing:
            below = True
        if not below:
            continue
        if v > 0.0 and crossed < 0.0:
            crossed = float(i)
            if i > 0:
                before = x[i - 1] - centre
                if before <= 0.0:
                    crossed = i - v / (v - before)
        elif v <= 0.0:
            crossed = -1.0
        if v > swing:
            if found < out.shape[0]:
                out[found] = crossed
                found += 1
            below = False
            crossed = -1.0
    return found


@kernel
def largest_swing(x: Floats) -> float:
    """Highest minus lowest finite sample of x, shape (n,), in x's unit; 0 when there is none. NaN policy: left out."""
    low = math.inf
    high = -math.inf
    for i in range(x.shape[0]):
        if abs(x[i]) < math.inf:  # branches that are hardly ever taken: faster than min and max, which wait
            if x[i] > high:
                high = x[i]
            if x[i] < low:
                low = x[i]
    return high - low if high >= low else 0.0


@kernel
def breaths(x: Floats, swing: float, work: Floats, out: Floats) -> int:
    """How many breaths a window holds, and how long they are.

    x: shape (n,), any unit. swing: hysteresis of `rises` around the mean, in standard deviations of x. work: scratch
    (n,). out: shape (2,): mean and standard deviation of the intervals between rises, in samples; 0 for fewer than two
    rises. Returns the number of rises. NaN policy: a NaN in x gives no rise. Source: see `rises`.
    """
    n = x.shape[0]
    mean = 0.0
    for i in range(n):
        mean += x[i]
    mean /= n
    square = 0.0
    for i in range(n):
        square += (x[i] - mean) * (x[i] - mean)
    count = rises(x, mean, swing * math.sqrt(square / n), work)
    out[0] = 0.0
    out[1] = 0.0
    if count < 2:
        return int(count)
    intervals = count - 1
    length = (work[intervals] - work[0]) / intervals
    square = 0.0
    for i in range(intervals):
        off = work[i + 1] - work[i] - length
        square += off * off
    out[0] = length
    out[1] = math.sqrt(square / intervals)
    return int(count)
