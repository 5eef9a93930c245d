"""One second of a pulse wave from samples to rate in a single call: a call from Python costs as much as a detector."""

import math

from gateway.dsp.kernels import filtering, peaks
from gateway.dsp.kernels.compiler import Floats, Ints, kernel

WINDOW_S = 8.0
LATENCY_S = 2.0  # what MSPTD needs on the right to be sure; beats are told 2 to 3 s after they were
LONG_WINDOW_S, A_BEAT = (0.5, 1.2), 0.8  # of Elgendi: about one beat, as long as MSPTD says that beats are
LONGEST_SCALE_S = 1.0  # of MSPTD: half the longest interval
AGREE_S = 0.12
RATE_WINDOW_S = 8.0
MIN_INTERVALS = 4
SHORTEST_S, LONGEST_S = 0.27, 2.2
SHAPE_S = 0.3  # of a beat on either side of its crest, compared with the others
MIN_REAL = 0.8
LIKE_NOTHING = 0.5  # correlation of shapes that noise reaches
MOVING_G = 0.3  # spread of the acceleration within a second above which the rate is withheld
SPREAD_FULL = 0.6  # interquartile range of the intervals over their median at which quality is nil
RATE, FILLING, GAP, MOVING, NO_AGREEMENT = range(5)  # what `second` answers
HOPS, PUSHED, JUDGED, START_S, LAST_BEAT_S, LIKE, SEEN, NEW = range(8)  # rows of its state


@kernel
def _sort(values: Floats) -> None:
    """In place, ascending; a few dozen at most."""
    for i in range(1, values.shape[0]):
        value = values[i]
        at = i
        for j in range(i, 0, -1):
            if not values[j - 1] > value:
                break
            values[j] = values[j - 1]
            at = j - 1
        values[at] = value


@kernel
def _beat_samples(at: Ints, work: Floats) -> float:
    """Median of the distances between peaks, at least two. work: scratch."""
    n = at.shape[0] - 1
    for i in range(n):
        work[i] = at[i + 1] - at[i]
    _sort(work[:n])
    return 0.5 * float(work[n // 2] + work[(n - 1) // 2])


@kernel
def spread(lengths: Floats) -> float:
    """Interquartile range over median of intervals, at least one, sorted by this: 0 for a clock, about 0.3 in atrial
    fibrillation. Source: order statistics."""
    _sort(lengths)
    n = lengths.shape[0]
    return float((lengths[(3 * (n - 1) + 2) // 4] - lengths[(n - 1) // 4]) / lengths[n // 2])


@kernel
def _apart(at: int, others: Ints, nearest: int) -> int:
    """Index of the one of the others, ascending, that lies nearest; the search goes on from `nearest`."""
    while nearest + 1 < others.shape[0] and abs(others[nearest + 1] - at) <= abs(others[nearest] - at):
        nearest += 1
    return nearest


@kernel
def _see(when_s: float, agreed: bool, state: Floats, seen: Floats) -> None:
    """Note a peak in `seen`, with its interval when the peak before it was agreed upon too."""
    at = int(state[SEEN])
    if at == seen.shape[0]:
        at -= 1
        for i in range(at):
            for k in range(3):
                seen[i, k] = seen[i + 1, k]
    seen[at, 0] = when_s
    seen[at, 1] = 1.0 if agreed else 0.0
    length_s = when_s - state[LAST_BEAT_S]
    seen[at, 2] = length_s if agreed and SHORTEST_S <= length_s <= LONGEST_S else 0.0  # False for NaN
    state[LAST_BEAT_S] = when_s if agreed else math.nan
    state[SEEN] = at + 1
    state[NEW] += 1.0


@kernel
def _judge(
    x: Floats, rate_hz: float, known: float, state: Floats, elgendi: Floats, work: Floats, found: Ints, seen: Floats
) -> None:
    """Hold both detectors against each other in the second that ended LATENCY_S ago, of which `known` was real."""
    n = x.shape[0]
    two = found[0][: peaks.msptd_peaks(x, int(LONGEST_SCALE_S * rate_hz), found[0])]
    if two.shape[0] > MIN_INTERVALS:
        beat_s = _beat_samples(two, work) / rate_hz
        elgendi[1] = min(LONG_WINDOW_S[1], max(LONG_WINDOW_S[0], A_BEAT * beat_s))
    one = found[1][: peaks.elgendi_peaks(x, rate_hz, elgendi, work, found[1])]
    half = round(SHAPE_S * rate_hz)
    state[LIKE] = peaks.likeness(x, two, half, work[: 2 * half + 1])
    end = int(state[PUSHED]) - round(LATENCY_S * rate_hz)
    first = max(int(state[JUDGED]), end - math.ceil(rate_hz))
    state[JUDGED] = end
    if known < 1.0:
        state[LAST_BEAT_S] = math.nan
        return
    near = AGREE_S * rate_hz
    before = int(state[PUSHED]) - n
    i = 0
    j = 0
    nearest_one = 0
    nearest_two = 0
    while i < two.shape[0] or j < one.shape[0]:
        if j == one.shape[0] or (i < two.shape[0] and two[i] <= one[j]):
            at = two[i]
            i += 1
            nearest_one = _apart(at, one, nearest_one)
            agreed = one.shape[0] > 0 and abs(one[nearest_one] - at) <= near
        else:
            at = one[j]
            j += 1
            nearest_two = _apart(at, two, nearest_two)
            agreed = False
            if two.shape[0] > 0 and abs(two[nearest_two] - at) <= near:
                continue
        if first <= before + at < end:
            _see(state[START_S] + (before + at + 1 + peaks.vertex(x, at)) / rate_hz, agreed, state, seen)


@kernel
def _forget(oldest_s: float, state: Floats, seen: Floats) -> None:
    """Let go of peaks that no rate needs any more."""
    n = int(state[SEEN])
    gone = 0
    while gone < n and seen[gone, 0] < oldest_s:
        gone += 1
    if gone > 0:
        for i in range(n - gone):
            for k in range(3):
                seen[i, k] = seen[i + gone, k]
        state[SEEN] = n - gone


@kernel
def _rate(recent: Floats, state: Floats, seen: Floats, work: Floats, out: Floats) -> int:
    """Rate and quality of the clean intervals that are left, or why there is none."""
    share = 0.0
    moved = 0.0
    for k in range(recent.shape[0]):
        share += recent[k, 0]
        moved = max(moved, recent[k, 1])
    share /= WINDOW_S
    if share < MIN_REAL:
        return GAP
    if not moved < MOVING_G:
        return MOVING
    count = 0
    agreed = 0.0
    total = 0.0
    n = int(state[SEEN])
    for i in range(n):
        agreed += seen[i, 1]
        if seen[i, 2] > 0.0:
            work[count] = seen[i, 2]
            total += seen[i, 2]
            count += 1
    if count < MIN_INTERVALS:
        return NO_AGREEMENT
    agreed /= n
    like = max(0.0, (state[LIKE] - LIKE_NOTHING) / (1.0 - LIKE_NOTHING)) if math.isfinite(state[LIKE]) else 0.0
    steady = max(0.0, 1.0 - spread(work[:count]) / SPREAD_FULL)
    out[0] = 60.0 * count / total
    out[1] = share * agreed * agreed * steady * like * (1.0 - 0.5 * moved / MOVING_G)
    return RATE


@kernel
def second(
    wave: Floats, real: float, motion_g: float, sos: Floats, carried: Floats, hold: Floats, filtered: Floats,
    factor: int, phase: Ints, x: Floats, rate_hz: float, state: Floats, recent: Floats, elgendi: Floats, work: Floats,
    found: Ints, seen: Floats, out: Floats,
) -> int:  # fmt: skip
    """A second more of a pulse wave. The answer is RATE, with rate per minute and quality in out (2,), or why there is
    none.

    wave: shape (m,), any unit, upright. real: part of its samples that are real, 0-1. motion_g: spread of the
    acceleration meanwhile. sos, carried, hold: filter as of `sos_filter`; filtered: scratch (m,). factor, phase, x: as
    of `decimate`, x of shape (n,) at rate_hz. state: shape (8,), carried: see HOPS to NEW; afterwards the last
    state[NEW] of the state[SEEN] rows of `seen` are new. recent: shape (8, 2), carried: real and motion_g of the last
    seconds.
    elgendi: params of `elgendi_peaks`, carried. work: scratch (n + 1,). found: scratch (2, n). seen: shape (k, 3),
    carried, peaks of the last RATE_WINDOW_S: when in s of signal, agreed 1 or 0, length in s of the clean interval that
    it ends or 0. NaN policy: held by the filter; a second with real < 1 gives no peak. Sources: `gateway.dsp.pulse`.
    """
    filtering.sos_filter(wave, sos, carried, hold, filtered)
    state[PUSHED] += filtering.decimate(filtered, factor, phase, x)
    state[HOPS] += 1.0
    state[NEW] = 0.0
    last = recent.shape[0] - 1
    for k in range(last):
        recent[k, 0] = recent[k + 1, 0]
        recent[k, 1] = recent[k + 1, 1]
    recent[last, 0] = real
    recent[last, 1] = motion_g
    if state[PUSHED] < x.shape[0]:
        return FILLING
    _judge(x, rate_hz, recent[last - int(LATENCY_S), 0], state, elgendi, work, found, seen)
    _forget(state[HOPS] - LATENCY_S - RATE_WINDOW_S, state, seen)
    return int(_rate(recent, state, seen, work, out))
