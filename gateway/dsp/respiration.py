"""Respiration rate of a sleeper from the bed waveform: autocorrelation over 40 s at 5 Hz.

Gap policy: as for the heart (80 % real samples, at most a quarter of the window moved, a long gap empties it).
`breath_now` says whether the newest ten seconds still carry the breath that the window shows: the rate alone lags half
a window behind a breath that stopped.
"""

from collections import deque

import numpy as np

from gateway.core.quantities import quantity
from gateway.dsp.estimate import Estimate
from gateway.dsp.filters import Filter, Window, band
from gateway.dsp.kernels import filtering, periodicity
from gateway.dsp.kernels.compiler import Floats

ORIGIN = "respiration/1"
WINDOW_S = 40.0
ACF_RATE_HZ = 5.0
LOW_HZ, HIGH_HZ = 0.07, 1.0
SHORTEST_S, LONGEST_S = 1.4, 12.0  # 43 to 5 breaths a minute
GUARD = 0.85
MIN_QUALITY = 0.5
MIN_REAL = 0.8
MOVED = 0.3
MAX_MOVED_S = 10
NEWEST_S = 10.0
STOPPED = 0.3  # the newest breath is below this part of the window's, in rms: breathing has (nearly) stopped
DEGRADED_EVERY = 5  # hops between estimates when the kernels run as plain Python


class Respiration:
    """Fed once per hop of one second with the raw waveform."""

    def __init__(self, rate_hz: float, *, every: int = 1) -> None:
        """every: hops between two estimates."""
        self._filter = Filter(band(LOW_HZ, HIGH_HZ, rate_hz, order=2))
        self._window = Window(rate_hz, ACF_RATE_HZ, WINDOW_S)
        n = self._window.samples.shape[0]
        self._lags = (max(2, int(SHORTEST_S * self._window.rate_hz)), int(LONGEST_S * self._window.rate_hz))
        self._centred: Floats = np.zeros(n)
        self._acf: Floats = np.zeros(self._lags[1] + 2)
        self._height: Floats = np.zeros(1)
        self._real: deque[float] = deque(maxlen=round(WINDOW_S))
        self._moved: deque[bool] = deque(maxlen=round(WINDOW_S))
        self._every, self._hop = every, 0
        self.breath_now = False

    def step(self, wave: Floats, real: float, movement: float | None) -> Estimate | None:
        """The rate over the last 40 s, or None when there is none to be had or it is not this hop's turn."""
        self._window.push(self._filter.step(wave))
        self._real.append(real)
        self._moved.append(movement is not None and movement > MOVED)
        self._hop += 1
        if self._hop % self._every:
            return None
        estimate = self._estimate()
        self.breath_now = estimate is not None and self._newest_share() > STOPPED
        return estimate

    def _estimate(self) -> Estimate | None:
        share = sum(self._real) / WINDOW_S
        if not self._window.full or share < MIN_REAL or sum(self._moved) > MAX_MOVED_S:
            return None
        lag = periodicity.autocorrelation_peak(
            self._window.samples, *self._lags, GUARD, self._centred, self._acf, self._height
        )
        if lag <= 0.0:
            return None
        rate = 60.0 * self._window.rate_hz / lag
        quality = min(1.0, float(self._height[0])) * share
        if quality < MIN_QUALITY or not quantity("respiration_rate").plausible(rate):
            return None
        return Estimate(rate, quality, WINDOW_S)

    def _newest_share(self) -> float:
        """Rms of the newest ten seconds over the window's."""
        newest = self._window.samples[-round(NEWEST_S * self._window.rate_hz) :]
        whole = filtering.energy(self._window.samples)
        return filtering.energy(newest) / whole if whole > 0.0 else 0.0

    @property
    def full(self) -> bool:
        """True once a whole window has been seen: from then on the absence of an estimate means something."""
        return self._window.full

    def reset(self) -> None:
        """After a long gap: filter and window are empty again."""
        self._filter.reset()
        self._window.reset()
        self._real.clear()
        self._moved.clear()
        self.breath_now = False
