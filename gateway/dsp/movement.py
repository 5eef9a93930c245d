"""How much a sleeper moves, 0 to 1 per second: energy of the bed waveform over the sleeper's own resting energy.

0 up to twice the resting energy, 1 from sixteen times on, logarithmic between; a changing static load counts too. The
resting energy is the lower quintile of the last two minutes in bed. Gap policy: a hop with less than half its samples
says nothing; gaps do not change the resting energy. Nothing is said before ten seconds in bed have been seen.
"""

import math
from collections import deque

from gateway.dsp.estimate import Estimate
from gateway.dsp.kernels import filtering
from gateway.dsp.kernels.compiler import Floats

ORIGIN = "movement/1"
MEMORY_S = 120
MIN_SEEN_S = 10
MIN_REAL = 0.5
STILL_RATIO, FULL_RATIO = 2.0, 16.0
FULL_LOAD_STEP_KG = 8.0  # a shift of the load within a second that counts as full movement
EMPTY_MEMORY_S = 60


class Movement:
    """Fed once per hop of one second with the band-passed waveform (0.7 to 10 Hz). empty: rms of the empty bed (floor,
    pump, street), None until it was seen empty for ten seconds. now: rms of the newest hop."""

    def __init__(self, *, resting: float | None = None, empty: float | None = None) -> None:
        """resting, empty: rms of a sleeper at rest and of the empty bed as an earlier chain of this bed learnt them."""
        self._rms: deque[float] = deque([resting] * MIN_SEEN_S if resting else [], maxlen=MEMORY_S)
        self._empty: deque[float] = deque([empty] * MIN_SEEN_S if empty else [], maxlen=EMPTY_MEMORY_S)
        self.empty = _quantile(self._empty, 0.5)
        self.now = math.nan  # NaN when too little of it was real

    def hear(self, band: Floats, real: float) -> None:
        """The waveform of this second, before `step`: `now` is known at once."""
        self.now = filtering.energy(band) if real >= MIN_REAL else math.nan

    def step(self, real: float, loaded: bool | None, load_step_kg: float) -> Estimate | None:
        """Movement in the second that was heard; None when nothing can be said, or when the bed is empty."""
        if math.isnan(self.now):
            return None
        if loaded is False:
            self._empty.append(self.now)
            self.empty = _quantile(self._empty, 0.5)
            return None
        self._rms.append(self.now)
        resting = self.resting
        if resting is None:
            return None
        from_wave = _ratio_to_movement(self.now / resting) if resting > 0.0 else 0.0
        from_load = min(1.0, load_step_kg / FULL_LOAD_STEP_KG) if load_step_kg > 0.1 * FULL_LOAD_STEP_KG else 0.0
        return Estimate(max(from_wave, from_load), real, 1.0)

    @property
    def resting(self) -> float | None:
        """Rms of this sleeper at rest, None until ten seconds were seen."""
        return _quantile(self._rms, 0.2)


def _ratio_to_movement(ratio: float) -> float:
    if ratio <= STILL_RATIO:
        return 0.0
    return min(1.0, math.log(ratio / STILL_RATIO) / math.log(FULL_RATIO / STILL_RATIO))


def _quantile(values: deque[float], share: float) -> float | None:
    """None until ten seconds were seen."""
    if len(values) < MIN_SEEN_S:
        return None
    ordered = sorted(values)
    return ordered[int(share * (len(ordered) - 1))]
