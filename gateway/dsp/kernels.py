"""Every compiled loop of the house, in one file because numba's cache key sees neither callees in other files nor
fastmath flags (numba 0.68: the caller kept the old result after its callee's file had changed).

The same source is plain Python when NUMBA_DISABLE_JIT=1: the oracle in the tests and the fallback of the worker.
Results are cached only when NUMBA_CACHE_DIR is set; `gateway.worker` sets it after it has checked the directory.
Each kernel takes float64 arrays that the caller owns (C-contiguous, writable: another layout would compile again) and
gives the same result for any chunking of its input. Reductions may be reassociated; NaN checks are never dropped.
"""

import math
import os
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
F = TypeVar("F", bound=Callable[..., Any])

OPTIONS = "nogil error_model=numpy reductions=reassoc,contract"  # part of the cache directory's name


def _compiler(*fastmath: str) -> Callable[[F], F]:
    """numba's decorator with the house's options, or the identity when the JIT is off (numba is then not imported)."""
    if os.environ.get("NUMBA_DISABLE_JIT") == "1":
        return lambda function: function
    from numba import njit

    cached = bool(os.environ.get("NUMBA_CACHE_DIR"))
    decorate: Callable[[F], F] = njit(
        cache=cached, nogil=True, error_model="numpy", fastmath=set(fastmath) if fastmath else False
    )
    return decorate


kernel = _compiler()
reduction = _compiler("reassoc", "contract")

# Rows of the state of `fall`, shape (FALL_STATE,).
FALL_STATE = 24
FALL_ROW = 7


@kernel
def sos_filter(x: Floats, sos: Floats, state: Floats, hold: Floats, y: Floats) -> None:
    """Cascade of second-order sections, transposed direct form II, sections interleaved sample by sample.

    x, y: shape (n,), any unit. sos: shape (m, 6), a0 = 1. state: shape (m, 2), carried. hold: shape (3,), carried: last
    finite input, offset, primed. The first finite sample is subtracted for ever: with no gain at DC that equals
    starting in the steady state. NaN policy: a non-finite sample is replaced by the last finite one (zero before any).
    Source: Oppenheim and Schafer, Discrete-Time Signal Processing, 6.3.
    """
    for i in range(x.shape[0]):
        if math.isfinite(x[i]):
            hold[0] = x[i]
            if hold[2] == 0.0:
                hold[1] = x[i]
                hold[2] = 1.0
        v = hold[0] - hold[1]
        for s in range(sos.shape[0]):
            w = sos[s, 0] * v + state[s, 0]
            state[s, 0] = sos[s, 1] * v - sos[s, 4] * w + state[s, 1]
            state[s, 1] = sos[s, 2] * v - sos[s, 5] * w
            v = w
        y[i] = v


@kernel
def decimate(x: Floats, factor: int, phase: Ints, window: Floats) -> int:
    """Keep one sample in `factor` (x must be band-limited already) and slide it into `window`; returns how many.

    x: shape (n,). phase: shape (1,), carried: samples since the last one kept. window: shape (k,), newest last.
    NaN policy: passed on. Source: decimation by selection, no arithmetic.
    """
    kept = 0
    n = x.shape[0]
    k = window.shape[0]
    step = phase[0]
    for _ in range(n):
        step += 1
        if step >= factor:
            step = 0
            kept += 1
    shift = min(kept, k)
    for i in range(k - shift):
        window[i] = window[i + shift]
    at = k - kept
    step = phase[0]
    for i in range(n):
        step += 1
        if step >= factor:
            step = 0
            if at >= 0:
                window[at] = x[i]
            at += 1
    phase[0] = step
    return kept


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


@reduction
def energy(x: Floats) -> float:
    """Root mean square of the finite samples of x, shape (n,), in x's unit; NaN when none is finite.

    Source: short-time energy (Lydon 2015: more robust than beats on frail sleepers).
    """
    total = 0.0
    count = 0
    for i in range(x.shape[0]):
        if math.isfinite(x[i]):
            total += x[i] * x[i]
            count += 1
    if count == 0:
        return math.nan
    return math.sqrt(total / count)


@kernel
def occupancy(load: Floats, rate_hz: float, moving: float, params: Floats, state: Floats) -> int:
    """Load state of a bed after these samples: 1 loaded, 0 empty, -1 unknown.

    load: shape (n,), kg above the empty bed. rate_hz: samples a second. moving: 1.0 while the waveform moves, which
    delays the step to empty (a sleeper who turns lifts off the belt for a moment). params: shape (6,): on_kg, off_kg,
    on_s, off_s when still, off_s when moving, forget_s. state: shape (4,), carried: state, s above on, s below off, s
    unseen. NaN policy: a NaN advances no timer but the one that forgets the state. Source: Schmitt trigger.
    """
    step_s = 1.0 / rate_hz
    off_s = params[4] if moving > 0.0 else params[3]
    for i in range(load.shape[0]):
        if not math.isfinite(load[i]):
            state[3] += step_s
            if state[3] > params[5]:
                state[0] = -1.0
            continue
        state[3] = 0.0
        state[1] = state[1] + step_s if load[i] >= params[0] else 0.0
        state[2] = state[2] + step_s if load[i] <= params[1] else 0.0
        if state[1] >= params[2] - 0.5 * step_s:  # half a sample: ten steps of 0.1 s do not add up to 1.0
            state[0] = 1.0
        elif state[2] >= off_s - 0.5 * step_s:
            state[0] = 0.0
    return int(state[0])


@kernel
def _begin_candidate(state: Floats, peak_g: float) -> None:
    """Start (or restart) the wait after an impact; see `fall` for the rows of state."""
    if state[0] == 0.0 or state[1] > state[16]:
        for k in range(3):
            state[12 + k] = state[3 + k]
        state[2] = peak_g
    elif peak_g > state[2]:
        state[2] = peak_g
    state[0] = 1.0
    for k in range(9, 12):
        state[k] = 0.0
    state[1] = 0.0
    for k in range(17, 22):
        state[k] = 0.0


@kernel
def _angle_deg(ax: float, ay: float, az: float, bx: float, by: float, bz: float) -> float:
    """Angle between two vectors in degrees; 0 when one of them is nil."""
    norm = math.sqrt((ax * ax + ay * ay + az * az) * (bx * bx + by * by + bz * bz))
    if not norm > 0.0:
        return 0.0
    cosine = min(1.0, max(-1.0, (ax * bx + ay * by + az * bz) / norm))
    return math.acos(cosine) * 180.0 / math.pi


@kernel
def _follow_gravity(x: float, y: float, z: float, slow: float, fast: float, state: Floats) -> float:
    """Move both gravity estimates (state 3-8) towards a sample in g; how far it is from the fast one, g."""
    sample = (x, y, z)
    if state[15] == 0.0:
        state[15] = 1.0
        for k in range(3):
            state[3 + k] = sample[k]
            state[6 + k] = sample[k]
    square = 0.0
    for k in range(3):
        state[3 + k] += slow * (sample[k] - state[3 + k])
        state[6 + k] += fast * (sample[k] - state[6 + k])
        square += (sample[k] - state[6 + k]) ** 2
    return math.sqrt(square)


@kernel
def _decide_fall(index: int, state: Floats, row: Floats) -> None:
    """Write one row of `fall`'s out: what became of the candidate in `state`."""
    row[0] = index
    row[1] = state[2]
    row[2] = state[17] / state[18] if state[18] > 0.0 else -1.0
    row[3] = _angle_deg(state[12], state[13], state[14], state[9], state[10], state[11])
    row[4] = state[19] / state[1]
    row[5] = state[20] / state[21] if state[21] > 0.0 else 0.0
    row[6] = state[1]


@kernel
def fall(acc: Floats, rate_hz: float, params: Floats, state: Floats, out: Floats) -> int:
    """Fall candidates that ended in these samples: how many rows of `out` are filled.

    acc: shape (n, 3), g. rate_hz: samples a second. params: shape (5,): impact_g, settle_s, confirm_s, still_g, tau_s.
    state: shape (FALL_STATE,), carried: 0 candidate open, 1 samples since the last impact, 2 peak g, 3-5 slow gravity,
    6-8 fast gravity, 9-11 sum of the vectors after settling, 12-14 gravity before, 15 primed, 16 settle samples, 17
    still samples, 18 samples seen after settling, 19 samples seen since the impact, 20 samples moving in the second
    half, 21 samples seen in the second half. out: shape (k, FALL_ROW): sample index of the decision, peak g, still
    fraction 0-1 (-1: none seen), posture change deg, real fraction 0-1, moving fraction of the second half, samples
    since the last impact. NaN policy: a row with a NaN passes time but is neither still nor moving: a gap never ends a
    candidate, it lowers its real fraction. Source: impact, stillness, posture (falls reference, section 2).
    """
    found = 0
    state[16] = params[1] * rate_hz
    confirm = params[2] * rate_hz
    half = 0.5 * (state[16] + confirm)
    slow = 1.0 - math.exp(-1.0 / (params[4] * rate_hz))
    fast = 1.0 - math.exp(-1.0 / (0.25 * rate_hz))
    for i in range(acc.shape[0]):
        x = acc[i, 0]
        y = acc[i, 1]
        z = acc[i, 2]
        seen = math.isfinite(x) and math.isfinite(y) and math.isfinite(z)
        deviation = 0.0
        if seen:
            deviation = _follow_gravity(x, y, z, slow, fast, state)
            magnitude = math.sqrt(x * x + y * y + z * z)
            if magnitude > params[0]:
                _begin_candidate(state, magnitude)
        if state[0] == 0.0:
            continue
        state[1] += 1.0
        if seen:
            state[19] += 1.0
            if state[1] > state[16]:
                still = deviation < params[3]
                state[18] += 1.0
                state[17] += 1.0 if still else 0.0
                state[9] += x
                state[10] += y
                state[11] += z
                if state[1] > half:
                    state[21] += 1.0
                    state[20] += 0.0 if still else 1.0
        if state[1] < confirm:
            continue
        if found < out.shape[0]:
            _decide_fall(i, state, out[found])
            found += 1
        state[0] = 0.0
    return found
