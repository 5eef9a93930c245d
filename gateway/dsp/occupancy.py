"""Is the bed loaded? From the static load, and from the waveform where the load is silent or in doubt.

An entry is told within 3 s and an exit within 5 s of the load's change: a load below the threshold must last 2 s, or
3 s while the waveform moves, because a sleeper who turns over lifts off the belt for a moment. Gap policy: the state is
held for 10 s without load samples and then unknown; without load a pulse or breath proves a sleeper, silence nothing.
"""

import math
from dataclasses import dataclass

import numpy as np

from gateway.dsp.kernels import loading
from gateway.dsp.kernels.compiler import Floats

ORIGIN = "occupancy/1"
ON_KG, OFF_KG = 12.0, 6.0  # above the empty bed; a belt carries only a part of the sleeper
ON_S, OFF_STILL_S, OFF_MOVING_S = 1.0, 2.0, 3.0
FORGET_S = 10.0


@dataclass(frozen=True, slots=True)
class Occupied:
    """loaded: None is unknown. changed: the state went over between loaded and empty in this hop. after_gap: the last
    known state is older than this hop. quality: 0 to 1. load_kg: median of the hop, NaN without load samples."""

    loaded: bool | None
    changed: bool
    after_gap: bool
    quality: float
    load_kg: float


class Occupancy:
    """Stepped once a second with what is there of load and waveform."""

    def __init__(self, *, on_kg: float = ON_KG, off_kg: float = OFF_KG) -> None:
        self._params: Floats = np.array([on_kg, off_kg, ON_S, OFF_STILL_S, OFF_MOVING_S, FORGET_S])
        self._state: Floats = np.array([-1.0, 0.0, 0.0, 0.0])
        self._known: bool | None = None
        self._silent_s = 0.0
        self._unknown_since_known = False
        self._last_kg = math.nan
        self.load_step_kg = 0.0

    @property
    def loaded(self) -> bool | None:
        """By static load alone."""
        return None if self._state[0] < 0.0 else bool(self._state[0])

    def step(self, load: Floats | None, rate_hz: float, moving: bool, alive: bool) -> Occupied:
        """load: kg, shape (n,), None when the channel was silent for this hop of one second. moving, alive: what the
        waveform says (moved; pulse or breath seen)."""
        quality, load_kg = self._step_load(load, rate_hz, moving)
        by_load = self.loaded
        loaded = by_load
        if by_load is None and alive:
            loaded, quality = True, 0.5
        elif by_load is False and alive:
            quality *= 0.5  # the load says empty, the waveform breathes: one of the two is broken
        changed = loaded is not None and self._known is not None and loaded != self._known
        after_gap = changed and self._unknown_since_known
        if loaded is None:
            self._unknown_since_known = True
        else:
            self._known, self._unknown_since_known = loaded, False
        return Occupied(loaded, changed, after_gap, quality, load_kg)

    def _step_load(self, load: Floats | None, rate_hz: float, moving: bool) -> tuple[float, float]:
        if load is None:
            self._silent_s += 1.0
            if self._silent_s > FORGET_S:
                self._state[:] = (-1.0, 0.0, 0.0, 0.0)
            self.load_step_kg = 0.0
            return max(0.0, 1.0 - self._silent_s / FORGET_S), math.nan
        self._silent_s = 0.0
        loading.occupancy(load, rate_hz, float(moving), self._params, self._state)
        finite = load[np.isfinite(load)]
        if not finite.size:
            self.load_step_kg = 0.0
            return 0.0, math.nan
        load_kg = float(np.median(finite))
        self.load_step_kg = abs(load_kg - self._last_kg) if math.isfinite(self._last_kg) else 0.0
        self._last_kg = load_kg
        return finite.size / load.size, load_kg
