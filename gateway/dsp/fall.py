"""Fall suspected: an impact at the wrist or waist, then a body that lies differently and mostly still.

An impact opens a candidate; eight seconds after the last impact it is judged: who moves on as before gets no alarm.
Thresholds follow position and range; a band of +-2 g cannot tell a fall from a clap and says so. Gap policy: missing
samples pass time, so that a gap never ends a candidate, and lower the confidence; nothing seen at all after an impact
is suspected with the lowest confidence. Tuned on staged falls: real ones are softer.
"""

import math
from dataclasses import dataclass

import numpy as np

from gateway.dsp.kernels import falling
from gateway.dsp.kernels.compiler import Floats

ORIGIN = "fall/1"
CONFIRMATION_S = 8.0  # from the last impact to the suspicion
SETTLE_S = 1.5
GRAVITY_TAU_S = 4.0  # slow, so that the fall itself has not yet turned what "before" means
MIN_RANGE_G = 4.0  # falls at the wrist peak above 3 g: 77 % of those behind a +-2 g sensor hit its stop
MIN_RATE_HZ = 20.0  # slower sampling misses the impact
IMPACT_G = {"wrist": 3.0, "waist": 1.9}
STILL_G = {"wrist": 0.12, "waist": 0.10}
POSTURE_DEG = {"wrist": 40.0, "waist": 45.0}
MIN_STILL = 0.5  # who lies hurt still moves an arm
UNSEEN_CONFIDENCE = 0.2


@dataclass(frozen=True, slots=True)
class Suspicion:
    """index: sample of the fed array at which the confirmation time ended. peak_g: largest magnitude. clipped: an axis
    reached the end of its range, the true peak is higher. confidence: 0 to 1."""

    index: int
    peak_g: float
    still: float
    posture_deg: float
    real: float
    clipped: bool
    confidence: float


class Fall:
    """One wearer's detector; carries its state over any chunking."""

    def __init__(self, rate_hz: float, *, position: str = "wrist", range_g: float = 8.0) -> None:
        """position: "wrist" or "waist". range_g: the sensor's full scale, +- g."""
        self._rate_hz, self._range_g = rate_hz, range_g
        self._impact_g = IMPACT_G.get(position, IMPACT_G["wrist"])
        self._posture_deg = POSTURE_DEG.get(position, POSTURE_DEG["wrist"])
        still_g = STILL_G.get(position, STILL_G["wrist"])
        self._params: Floats = np.array([self._impact_g, SETTLE_S, CONFIRMATION_S, still_g, GRAVITY_TAU_S])
        self._state: Floats = np.zeros(falling.FALL_STATE)
        self._out: Floats = np.zeros((4, falling.FALL_ROW))

    @staticmethod
    def why_not(rate_hz: float, range_g: float) -> str:
        """Empty when a band with this rate and range can be used for falls, else the reason as a key."""
        if range_g < MIN_RANGE_G:
            return "range_too_small"
        return "rate_too_low" if rate_hz < MIN_RATE_HZ else ""

    def step(self, acc: Floats) -> list[Suspicion]:
        """acc: g, shape (n, 3), NaN where missing. The falls whose confirmation ended in these samples."""
        found = falling.fall(acc, self._rate_hz, self._params, self._state, self._out)
        judged = [self._judge(self._out[k]) for k in range(found)]
        return [suspicion for suspicion in judged if suspicion is not None]

    def miss(self, seconds: float) -> list[Suspicion]:
        """Pass a gap of this length and forget what was before it, but not an impact that waits for its judgement."""
        suspicions = self.step(np.full((math.ceil(min(seconds, CONFIRMATION_S) * self._rate_hz), 3), np.nan))
        self._state[:] = 0.0
        return suspicions

    def _judge(self, row: Floats) -> Suspicion | None:
        index, peak_g, still, posture_deg, real = (float(value) for value in row[:5])
        clipped = peak_g >= 0.98 * self._range_g
        if still < 0.0:
            return Suspicion(int(index), peak_g, 0.0, 0.0, real, clipped, UNSEEN_CONFIDENCE)
        if posture_deg < self._posture_deg or still < MIN_STILL:
            return None
        harder = min(1.0, (peak_g - self._impact_g) / self._impact_g)
        certain = 0.4 + 0.2 * harder + 0.2 * min(1.0, posture_deg / 90.0) + 0.2 * still
        return Suspicion(int(index), peak_g, still, posture_deg, real, clipped, max(UNSEEN_CONFIDENCE, certain * real))
