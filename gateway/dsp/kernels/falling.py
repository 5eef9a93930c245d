"""Impact, stillness and posture of a worn accelerometer."""

import math

from gateway.dsp.kernels.compiler import Floats, kernel

# Rows of the state of `fall`, shape (FALL_STATE,).
FALL_STATE = 24
FALL_ROW = 7


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
