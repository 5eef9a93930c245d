"""How regularly a window repeats itself."""

import math

from gateway.dsp.kernels.compiler import Floats, Ints, kernel, reduction


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


@kernel
def expected_peak(acf: Floats, shortest: int, longest: int, expected: float, spread: float) -> float:
    """Lag of the local maximum of an autocorrelation that is highest once weighted by what is expected; 0.0 for none.

    acf: as `autocorrelation_peak` leaves it. expected: lag in samples, > 0, with this log-normal spread. NaN policy: a
    NaN is no maximum. Only maxima above zero count. Source: the log-normal prior of Brueser et al. 2013.
    """
    best = 0.0
    at = 0
    for lag in range(shortest, longest + 1):
        if acf[lag] > acf[lag - 1] and acf[lag] >= acf[lag + 1]:
            distance = math.log(lag / expected) / spread
            weighted = acf[lag] * math.exp(-0.5 * distance * distance)
            if weighted > best:
                best = weighted
                at = lag
    if at == 0:
        return 0.0
    curvature = acf[at - 1] - 2.0 * acf[at] + acf[at + 1]
    return at + (0.5 * (acf[at - 1] - acf[at + 1]) / curvature if curvature != 0.0 else 0.0)


@reduction
def _highest(centred: Floats, power: float, lag: float, tolerance: float) -> float:
    """Of the unbiased normalised autocorrelation within this relative tolerance of a lag; -1 past the window's end."""
    n = centred.shape[0]
    highest = -1.0
    for at in range(int(lag * (1.0 - tolerance)), min(n - 2, int(lag * (1.0 + tolerance)) + 2)):
        height = dot(centred[: n - at], centred[at:n]) / power * n / (n - at)
        highest = height if not height <= highest else highest
    return highest


@kernel
def echoes(centred: Floats, lag: float, tolerance: float, out: Floats) -> None:
    """How well a period holds over more than one interval: what tells a regular rhythm in noise from an irregular one,
    and a period from its double.

    centred: shape (n,), zero mean, n > 3.3 * lag. out: shape (5,), heights of the unbiased normalised autocorrelation:
    the highest within this relative tolerance of two, three, a half and one and a half lags, and that at one and a half
    lags itself. NaN policy: NaN in gives NaN out; a signal without power gives zeros.
    Source: measured on synthetic beds (`gateway.dsp.rhythm`).
    """
    n = centred.shape[0]
    power = dot(centred, centred)
    if power == 0.0:
        out[:] = 0.0
        return
    out[0] = _highest(centred, power, 2.0 * lag, tolerance)
    out[1] = _highest(centred, power, 3.0 * lag, tolerance)
    out[2] = _highest(centred, power, 0.5 * lag, tolerance)
    out[3] = _highest(centred, power, 1.5 * lag, tolerance)
    at = min(n - 2, int(1.5 * lag + 0.5))
    out[4] = dot(centred[: n - at], centred[at:n]) / power * n / (n - at)


@kernel
def line_share(spectrum: Floats, body: Ints, limb: Ints, half: float) -> float:
    """Of the power of a band, what the strongest line of a part of it holds, 0 to 1; 0 when there is no power.

    spectrum: shape (2 * n,), real and imaginary parts of the bins in turn. body, limb: shape (2,), first bin and the
    one after the last of band and part. half: of the line, in bins. NaN policy: NaN gives 0. Source: definition.
    """
    whole = 0.0
    for k in range(body[0], body[1]):
        whole += spectrum[2 * k] * spectrum[2 * k] + spectrum[2 * k + 1] * spectrum[2 * k + 1]
    if not whole > 0.0:
        return 0.0
    best = 0.0
    at = limb[0]
    for k in range(limb[0], limb[1]):
        power = spectrum[2 * k] * spectrum[2 * k] + spectrum[2 * k + 1] * spectrum[2 * k + 1]
        if power > best:
            best = power
            at = k
    line = 0.0
    width = int(half + 1e-9)
    for k in range(max(0, at - width), min(spectrum.shape[0] // 2, at + width + 1)):
        line += spectrum[2 * k] * spectrum[2 * k] + spectrum[2 * k + 1] * spectrum[2 * k + 1]
    return line / whole
