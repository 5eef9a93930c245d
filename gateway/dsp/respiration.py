"""Respiration rate of a sleeper from the bed waveform: autocorrelation and counting that must agree.

In: hops of one second of the raw waveform, float64, shape (n,), any unit, 4 Hz or more, NaN where missing. Band 0.07 to
0.7 Hz, thinned to 5 Hz. Each hop, over the last 40 s, rises through the mean with hysteresis are counted, and the
autocorrelation (lags of 1.4 to 12 s) is asked for its peak nearest to them, which need not be the highest: two breaths
may repeat better than one. A rate, the mean of both, is told when they agree within AGREE_PER_MIN, so the latency is 20
s and the first rate comes after 40 s. Quality: what both agree on has 0.5 and more, times the share of real samples; it
rises with the height of the autocorrelation, with agreement and with the evenness of the breaths. Gap policy: missing
samples are held and counted, 80 % must be real, at most a quarter of the window may have moved, a long gap empties it.
`breath_now` says whether the newest ten seconds still carry the breath that the window shows: the rate alone lags half
a window behind a breath that stopped. Sources: Charlton 2016 (counting among the best), Schaefer and Kratky 2008
(counting with a threshold), signals reference, 4c.
"""

import math
from collections import deque

import numpy as np

from gateway.core.quantities import quantity
from gateway.dsp.estimate import Estimate
from gateway.dsp.filters import Filter, Window, band
from gateway.dsp.kernels import breathing, filtering, periodicity
from gateway.dsp.kernels.compiler import Floats
from gateway.dsp.reasons import Withheld

ORIGIN = "respiration/2"
WINDOW_S = 40.0
RATE_HZ = 5.0
MIN_RATE_HZ = 4.0
LOW_HZ, HIGH_HZ = 0.07, 0.7
SHORTEST_S, LONGEST_S = 1.4, 12.0  # 43 to 5 breaths a minute
GUARD = 0.85
NEAR_SPREAD = 0.1  # log-normal: how near to the counted breath the autocorrelation's own peak is looked for
MIN_HEIGHT = 0.2  # of the autocorrelation: below, a window of noise looks as periodic
SWING = 0.25 * math.sqrt(2.0)  # hysteresis in standard deviations: a quarter of the amplitude of a sine
MIN_RISES = 3
AGREE_PER_MIN = 2.0
LEAST_QUALITY = 0.5  # of what both agree on, before missing samples lower it
CLEAR_HEIGHT = 0.5  # of the autocorrelation at which breath is there although its rate is in doubt
MIN_REAL = 0.8
MOVED = 0.7  # below, harmonics of a strong breath look like movement (0.6 seen on impedance); tossing is above
MAX_MOVED_S = 10
NEWEST_S = 10.0
STOPPED = 0.3  # the newest breath is below this part of the window's, in rms: breathing has (nearly) stopped
DEGRADED_EVERY = 5  # hops between estimates when the kernels run as plain Python


class Respiration:
    """Fed once per hop of one second with the raw waveform."""

    def __init__(self, rate_hz: float, *, every: int = 1) -> None:
        """every: hops between two estimates."""
        self._slow = rate_hz < MIN_RATE_HZ
        self._filter = Filter(band(min(LOW_HZ, 0.1 * rate_hz), HIGH_HZ, rate_hz, order=2))
        self._window = Window(rate_hz, RATE_HZ, WINDOW_S)
        n = len(self._window.samples)
        self._lags = (max(2, int(SHORTEST_S * self._window.rate_hz)), int(LONGEST_S * self._window.rate_hz))
        self._centred: Floats = np.zeros(n)
        self._acf: Floats = np.zeros(self._lags[1] + 2)
        self._height: Floats = np.zeros(1)
        self._rises: Floats = np.zeros(n)
        self._lengths: Floats = np.zeros(2)
        self._real: deque[float] = deque(maxlen=round(WINDOW_S))
        self._moved: deque[bool] = deque(maxlen=round(WINDOW_S))
        self._every, self._hop = every, 0
        self.breath_now = False
        self.withheld = Withheld.FILLING

    def step(self, wave: Floats, real: float, movement: float | None) -> Estimate | None:
        """The rate over the last 40 s, or None when there is none to be had or it is not this hop's turn; `withheld`
        then says why, NOTHING when it is not its turn."""
        self._window.push(self._filter.step(wave))
        self._real.append(real)
        self._moved.append(movement is not None and movement > MOVED)
        self._hop += 1
        if self._hop % self._every:
            self.withheld = Withheld.NOTHING
            return None
        share = sum(self._real) / WINDOW_S
        self.withheld = self._unfit(share)
        estimate = self._estimate(share) if not self.withheld else None
        seen = estimate is not None or (not self._unfit(share) and self._height[0] >= CLEAR_HEIGHT)
        self.breath_now = seen and self._newest_share() > STOPPED
        return estimate

    def _unfit(self, share: float) -> Withheld:
        """Why the window cannot be judged."""
        if self._slow:
            return Withheld.SLOW
        if not self._window.full:
            return Withheld.FILLING
        if share < MIN_REAL:
            return Withheld.GAP
        return Withheld.MOVING if sum(self._moved) > MAX_MOVED_S else Withheld.NOTHING

    def _estimate(self, share: float) -> Estimate | None:
        x, rate_hz = self._window.samples, self._window.rate_hz
        periodicity.autocorrelation_peak(x, *self._lags, GUARD, self._centred, self._acf, self._height)
        highest = float(self._height[0])
        count = breathing.breaths(x, SWING, self._rises, self._lengths)
        if highest < MIN_HEIGHT or count < MIN_RISES:
            self.withheld = Withheld.NO_RHYTHM
            return None
        mean, deviation = self._lengths.tolist()
        lag = periodicity.expected_peak(self._acf, *self._lags, mean, NEAR_SPREAD)
        height = float(self._acf[round(lag)]) if lag > 0.0 else 0.0
        if height < MIN_HEIGHT:
            self.withheld = Withheld.NO_AGREEMENT
            return None
        repeated, counted = 60.0 * rate_hz / lag, 60.0 * rate_hz / mean
        apart = abs(repeated - counted) / AGREE_PER_MIN
        rate = 0.5 * (repeated + counted)
        if apart >= 1.0 or not quantity("respiration_rate").plausible(rate):
            self.withheld = Withheld.NO_AGREEMENT
            return None
        even = max(0.0, 1.0 - deviation / mean)
        clear = min(1.0, height) * min(1.0, height / highest)
        quality = LEAST_QUALITY + (1.0 - LEAST_QUALITY) * clear * (1.0 - apart) * even
        return Estimate(rate, share * quality, WINDOW_S)

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
        self.withheld = Withheld.FILLING
