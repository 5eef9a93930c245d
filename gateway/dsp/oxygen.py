"""How far a device's own SpO2 may be trusted, from its two raw lights; never a saturation of our own.

In: seconds of red and infrared light with their DC, float64, shape (n,), any unit but the same, above zero, 20 to 2000
Hz, NaN where missing. Over the last WINDOW_S: the perfusion index is the infrared pulse's peak-to-peak over its mean,
in per cent; the ratio of ratios is (AC/DC of red) / (AC/DC of infrared), AC as the root mean square of 0.5 to 5 Hz. A
device's value is doubted (a factor 0 to 1 for its quality) when the lights do not pulse together, when the pulse is
weaker than WEAK_PERCENT, or when the textbook line 110 - 25 R is further from it than any calibration would be.
Latency: none beyond the window. Gap policy: missing samples are held; fewer than 80 % real samples in the window, or a
light of zero, say nothing; a long gap empties the window. Sources: Webster, Design of Pulse Oximeters (1997), ch. 4
(ratio of ratios, empirical line); signals reference, 4a: an uncalibrated line may check a value, it may not be one.
"""

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from gateway.dsp.filters import Filter, band
from gateway.dsp.kernels import filtering
from gateway.dsp.kernels.compiler import Floats

WINDOW_S = 4
LOW_HZ, HIGH_HZ = 0.5, 5.0
SETTLE_S = 4  # of the filter, after a start or a long gap
MIN_REAL = 0.8
WEAK_PERCENT = 0.2  # a pulse below this part of the light is unreadable
TOGETHER = 0.6  # correlation of the two pulses below which one of them is something else
LINE = (110.0, -25.0)  # textbook: per cent, and per cent for each unit of the ratio
SURE_PERCENT, DOUBT_PERCENT = 4.0, 12.0  # off the line: surely within calibrations; surely not


@dataclass(frozen=True, slots=True)
class Lights:
    """ratio: of ratios, about 0.4 (100 %) to 2. perfusion_percent: of infrared. together: correlation, -1 to 1."""

    ratio: float
    perfusion_percent: float
    together: float


class Oxygen:
    """Fed once per hop of one second."""

    def __init__(self, rate_hz: float) -> None:
        sections = band(LOW_HZ, HIGH_HZ, rate_hz, order=2)
        self._filters = (Filter(sections), Filter(sections))
        self._seconds: deque[tuple[Floats, Floats, float, float, float]] = deque(maxlen=WINDOW_S)
        self._skipped = 0

    def step(self, red: Floats, infrared: Floats) -> Lights | None:
        """The lights of the last WINDOW_S, or None when they say nothing."""
        seen = np.isfinite(red) & np.isfinite(infrared)
        real = float(seen.mean())
        pulses = [light_filter.step(light) for light_filter, light in zip(self._filters, (red, infrared), strict=True)]
        self._skipped += 1
        if self._skipped <= SETTLE_S or not real:
            return None
        means = [float(light[seen].mean()) for light in (red, infrared)]
        self._seconds.append((pulses[0], pulses[1], means[0], means[1], real))
        return self._lights() if len(self._seconds) == WINDOW_S else None

    def reset(self) -> None:
        """After a long gap."""
        for light_filter in self._filters:
            light_filter.reset()
        self._seconds.clear()
        self._skipped = 0

    def _lights(self) -> Lights | None:
        red, infrared = (np.concatenate([second[k] for second in self._seconds]) for k in (0, 1))
        red_dc, infrared_dc, real = (sum(second[k] for second in self._seconds) / WINDOW_S for k in (2, 3, 4))
        red_ac, infrared_ac = filtering.energy(red), filtering.energy(infrared)
        if real < MIN_REAL or min(red_dc, infrared_dc, red_ac, infrared_ac) <= 0.0:
            return None
        together = float(np.mean(red * infrared)) / (red_ac * infrared_ac)
        perfusion = 100.0 * float(np.ptp(infrared)) / infrared_dc
        return Lights(float(red_ac / red_dc / (infrared_ac / infrared_dc)), float(perfusion), together)


def trust(lights: Lights, spo2_percent: float) -> float:
    """Factor 0 to 1 for the quality of a device's own value."""
    if lights.perfusion_percent < WEAK_PERCENT or lights.together < TOGETHER or not math.isfinite(spo2_percent):
        return 0.0
    off = abs(min(100.0, LINE[0] + LINE[1] * lights.ratio) - spo2_percent)
    return min(1.0, max(0.0, (DOUBT_PERCENT - off) / (DOUBT_PERCENT - SURE_PERCENT)))
