"""The static load of a bed."""

import math

from gateway.dsp.kernels.compiler import Floats, kernel


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
