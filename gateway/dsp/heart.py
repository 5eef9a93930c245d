"""Heart rate of a sleeper from the bed waveform: autocorrelation of the band 0.7 to 10 Hz over ten seconds.

Gap policy: missing samples are held and counted; an estimate needs 80 % real samples in its window and a window that
moved for at most three seconds; a long gap empties the window. Irregular hearts (atrial fibrillation) and movement have
no periodicity and give no number. No recording of a real bed stands behind the accuracy: synthetic beats only.
"""

from collections import deque

import numpy as np

from gateway.core.quantities import quantity
from gateway.dsp.estimate import Estimate
from gateway.dsp.filters import Window
from gateway.dsp.kernels import periodicity
from gateway.dsp.kernels.compiler import Floats

ORIGIN = "heart/1"
WINDOW_S = 10.0
ACF_RATE_HZ = 50.0
SHORTEST_S, LONGEST_S = 0.33, 1.7  # 182 to 35 beats a minute
OCTAVE_GUARD = 0.85
MIN_QUALITY = 0.4
MIN_REAL = 0.8
MOVED = 0.3  # movement (0 to 1) above which a second says nothing of the heart
MAX_MOVED_S = 3
MIN_RATE_HZ = 25.0  # of the waveform: below, the band of the heart beat is cut


class Heart:
    """Fed once per hop of one second with the band-passed waveform."""

    def __init__(self, rate_hz: float) -> None:
        self._window = Window(rate_hz, ACF_RATE_HZ, WINDOW_S)
        n = self._window.samples.shape[0]
        self._lags = (max(2, int(SHORTEST_S * self._window.rate_hz)), int(LONGEST_S * self._window.rate_hz))
        self._centred: Floats = np.zeros(n)
        self._acf: Floats = np.zeros(self._lags[1] + 2)
        self._height: Floats = np.zeros(1)
        self._real: deque[float] = deque(maxlen=round(WINDOW_S))
        self._moved: deque[bool] = deque(maxlen=round(WINDOW_S))

    def step(self, band: Floats, real: float, movement: float | None) -> Estimate | None:
        """The rate over the last ten seconds, or None when there is none to be had."""
        self._window.push(band)
        self._real.append(real)
        self._moved.append(movement is not None and movement > MOVED)
        share = sum(self._real) / WINDOW_S
        if not self._window.full or share < MIN_REAL or sum(self._moved) > MAX_MOVED_S:
            return None
        lag = periodicity.autocorrelation_peak(
            self._window.samples, *self._lags, OCTAVE_GUARD, self._centred, self._acf, self._height
        )
        if lag <= 0.0:
            return None
        rate = 60.0 * self._window.rate_hz / lag
        quality = min(1.0, float(self._height[0])) * share
        if quality < MIN_QUALITY or not quantity("heart_rate").plausible(rate):
            return None
        return Estimate(rate, quality, WINDOW_S)

    def reset(self) -> None:
        """After a long gap: the window is empty again."""
        self._window.reset()
        self._real.clear()
        self._moved.clear()
