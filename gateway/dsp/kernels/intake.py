"""What of a hop is a sample at all, and how much an acceleration varies."""

import math

from gateway.dsp.kernels.compiler import Floats, kernel


@kernel
def examine(data: Floats, width: int, full_scale: float, out: Floats) -> int:
    """Replace what is not finite, or at or beyond the full scale either way, by NaN; how many rows have none of it.

    data: shape (n * width,), rows of `width` values, any unit. out: shape (3,): values at or beyond the full scale that
    are finite; how many real rows are the same as the first of them, itself included; highest of all values that are
    left, -inf when there is none. NaN policy: a NaN is not finite. Source: counting.
    """
    rows = data.shape[0] // width
    real = 0
    same = 0
    clipped = 0
    first = 0
    highest = -math.inf
    for i in range(rows):
        at = i * width
        whole = True
        for k in range(at, at + width):
            size = abs(data[k])
            if size < full_scale:
                highest = max(highest, data[k])
            else:  # also NaN
                clipped += 1 if size < math.inf else 0
                data[k] = math.nan
                whole = False
        if whole:
            if real == 0:
                first = at
            equal = True
            for k in range(width):
                equal = equal and data[at + k] == data[first + k]
            real += 1
            same += 1 if equal else 0
    out[0] = clipped
    out[1] = same
    out[2] = highest
    return real


@kernel
def spread(data: Floats) -> float:
    """Standard deviation of a vector: root of the sum of its components' variances, in data's unit.

    data: shape (n, k). NaN policy: a component that is not finite is left out; NaN when one never is. Source:
    definition.
    """
    total = 0.0
    for k in range(data.shape[1]):
        count = 0
        mean = 0.0
        for i in range(data.shape[0]):
            if math.isfinite(data[i, k]):
                mean += data[i, k]
                count += 1
        if count == 0:
            return math.nan
        mean /= count
        square = 0.0
        for i in range(data.shape[0]):
            if math.isfinite(data[i, k]):
                square += (data[i, k] - mean) * (data[i, k] - mean)
        total += square / count
    return math.sqrt(total)
