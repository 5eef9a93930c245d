"""Pulse peaks in a window of band-passed PPG, by two detectors that share nothing but the window."""

import math

from gateway.dsp.kernels.compiler import Floats, Ints, kernel, reduction


@kernel
def elgendi_peaks(x: Floats, rate_hz: float, params: Floats, sums: Floats, out: Ints) -> int:
    """Highest sample of each block where the short average of the squared upper half exceeds the long one.

    x: shape (n,), zero mean, any unit. rate_hz: samples a second. params: shape (4,): short window s, long window s,
    shortest block s, refractory s. sums: scratch (n + 1,). out: shape (k,), indices ascending; returns how many. Both
    averages are centred. A block that reaches the end of the window is not judged. NaN policy: a NaN counts as zero.
    Source: Elgendi et al. 2013, PLoS ONE 8(10) e76585, with beta 0 and centred windows (signals reference, 4a).
    """
    n = x.shape[0]
    sums[0] = 0.0
    for i in range(n):
        upper = x[i] if x[i] > 0.0 else 0.0  # False for NaN
        sums[i + 1] = sums[i] + upper * upper
    short = int(0.5 * params[0] * rate_hz)
    long = int(0.5 * params[1] * rate_hz)
    found = 0
    begin = -1
    top = 0
    last = -n
    for i in range(n):
        near = sums[min(n, i + short + 1)] - sums[max(0, i - short)]
        far = sums[min(n, i + long + 1)] - sums[max(0, i - long)]
        if near * (2 * long + 1) > far * (2 * short + 1):
            if begin < 0:
                begin = i
                top = i
            elif x[i] > x[top]:
                top = i
        elif begin >= 0:
            if i - begin >= params[2] * rate_hz and top - last >= params[3] * rate_hz and found < out.shape[0]:
                out[found] = top
                found += 1
                last = top
            begin = -1
    return found


@reduction
def higher_than_both(x: Floats, before: Floats, after: Floats) -> int:
    """How many x[i] exceed before[i] and after[i], arrays of one shape (n,); NaN never does. Vectorises: slices, &."""
    count = 0.0  # a float: integers of 64 bits are counted at half the speed
    for i in range(x.shape[0]):
        count += 1.0 if (x[i] > before[i]) & (x[i] > after[i]) else 0.0
    return int(count)


@kernel
def msptd_peaks(x: Floats, longest: int, out: Ints) -> int:
    """Samples that are maxima at every scale up to the one at which the window has the most maxima.

    x: shape (n,), any unit. longest: scales 1 to this are tried, in samples, less than n / 2. out: shape (k,), indices
    ascending; returns how many. The first and last samples, up to the scale, are never peaks. NaN policy: a NaN is no
    peak and hides its neighbours. Source: Bishop and Ercole 2018, MSPTD; scalogram rows are counted, not stored, as in
    MSPTDfast (Charlton et al. 2024).
    """
    n = x.shape[0]
    most = -1
    scale = 1
    for s in range(1, longest + 1):
        count = higher_than_both(x[s : n - s], x[: n - 2 * s], x[2 * s : n])
        if count > most:
            most = count
            scale = s
    found = 0
    for i in range(scale, n - scale):
        peak = True
        for s in range(1, scale + 1):
            if not (x[i] > x[i - s] and x[i] > x[i + s]):
                peak = False
                break
        if peak and found < out.shape[0]:
            out[found] = i
            found += 1
    return found


@kernel
def vertex(x: Floats, at: int) -> float:
    """Where the parabola through a peak and its neighbours is highest, as a fraction of samples from `at`, -0.5 to 0.5;
    0 at the ends, beside a NaN, or on a plateau. Source: three-point parabolic interpolation."""
    if at <= 0 or at >= x.shape[0] - 1:
        return 0.0
    curvature = x[at - 1] - 2.0 * x[at] + x[at + 1]
    if not curvature < 0.0:
        return 0.0
    offset = 0.5 * (x[at - 1] - x[at + 1]) / curvature
    return min(0.5, max(-0.5, offset)) if math.isfinite(offset) else 0.0


@kernel
def likeness(x: Floats, at: Ints, half: int, template: Floats) -> float:
    """Mean correlation, -1 to 1, of the shapes around peaks with their own mean shape; NaN for fewer than two.

    x: shape (n,). at: shape (k,), indices; those nearer than `half` to an end are left out. template: scratch
    (2 * half + 1,), afterwards the mean shape. NaN policy: a NaN in reach gives NaN. Source: template matching of
    Orphanidou et al. 2015, IEEE JBHI 19(3).
    """
    n = x.shape[0]
    width = 2 * half + 1
    for j in range(width):
        template[j] = 0.0
    used = 0
    for i in at:
        if half <= i < n - half:
            used += 1
            for j in range(width):
                template[j] += x[i - half + j]
    if used < 2:
        return math.nan
    centre = 0.0
    for j in range(width):
        template[j] /= used
        centre += template[j] / width
    power = 0.0
    for j in range(width):
        power += (template[j] - centre) ** 2
    total = 0.0
    for i in at:
        if half <= i < n - half:
            mean = 0.0
            for j in range(width):
                mean += x[i - half + j] / width
            product = 0.0
            own = 0.0
            for j in range(width):
                product += (x[i - half + j] - mean) * (template[j] - centre)
                own += (x[i - half + j] - mean) ** 2
            total += product / math.sqrt(own * power) if own * power > 0.0 else 0.0
    return total / used
