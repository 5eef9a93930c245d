"""How regularly a window repeats itself."""

import math

from gateway.dsp.kernels.compiler import Floats, reduction


@reduction
def dot(a: Floats, b: Floats) -> float:
    """Sum of products of two arrays of the same shape (n,); NaN gives NaN. Vectorises because it takes slices."""
    total = 0.0
    for i in range(a.shape[0]):
        total += a[i] * b[i]
    return total


@reduction
def autocorrelation_peak(
    x: Floats, shortest: int, longest: int, guard: float, centred: Floats, acf: Floats, out: Floats
) -> float:
    """Lag (samples, refined by a parabola) of the periodicity of a window; 0.0 when there is none.

    x: shape (n,). shortest, longest: lags searched, 2 <= shortest < longest < n - 1. guard: a shorter lag whose peak
    reaches this fraction of the best one wins (against octave errors). centred: scratch (n,). acf: scratch
    (longest + 2,), afterwards the unbiased normalised autocorrelation from shortest - 1 on. out: shape (1,), height of
    the peak, about 0 to 1. NaN policy: any NaN in x gives lag 0 and height 0. Source: signals reference, section 4b.
    """
    n = x.shape[0]
    out[0] = 0.0
    total = 0.0
    for i in range(n):
        total += x[i]
    mean = total / n
    for i in range(n):
        centred[i] = x[i] - mean
    power = dot(centred, centred)
    if not power > 0.0 or not math.isfinite(power):
        return 0.0
    for lag in range(shortest - 1, longest + 2):
        acf[lag] = dot(centred[: n - lag], centred[lag:n]) / power * n / (n - lag)
    best = 0.0
    at = 0
    for lag in range(shortest, longest + 1):
        if acf[lag] > acf[lag - 1] and acf[lag] >= acf[lag + 1] and acf[lag] > best:
            best = acf[lag]
            at = lag
    if at == 0:
        return 0.0
    for lag in range(shortest, at):
        if acf[lag] > acf[lag - 1] and acf[lag] >= acf[lag + 1] and acf[lag] >= guard * best:
            best = acf[lag]
            at = lag
            break
    out[0] = best
    curvature = acf[at - 1] - 2.0 * acf[at] + acf[at + 1]
    refined = 0.5 * (acf[at - 1] - acf[at + 1]) / curvature if curvature != 0.0 else 0.0
    return float(at + refined)
