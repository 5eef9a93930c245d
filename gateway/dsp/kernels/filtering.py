"""Filtering, thinning and energy of a sampled signal."""

import math

from gateway.dsp.kernels.compiler import Floats, Ints, kernel, reduction


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
def energy(x: Floats) -> float:
    """Root mean square of the finite samples of x, shape (n,), in x's unit; NaN when none is finite.

    Source: short-time energy (Lydon 2015: more robust than beats on frail sleepers).
    """
    total = 0.0
    count = 0.0
    for i in range(x.shape[0]):
        finite = abs(x[i]) < math.inf
        value = x[i] if finite else 0.0
        total += value * value
        count += 1.0 if finite else 0.0
    if count == 0.0:
        return math.nan
    return math.sqrt(total / count)
