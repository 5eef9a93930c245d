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
