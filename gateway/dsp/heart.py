"""Heart rate of a sleeper from the bed waveform: two estimators that must agree, and a rhythm that must be regular.

In: once a hop of one second the waveform, band-passed to 0.7-10 Hz, float64, shape (n,), 25 Hz and faster. The envelope
of its 3-10 Hz part (rectified, 0.6-2.5 Hz, thinned to 33 Hz) rises with each beat whatever the beat's shape, which
changes with posture, and does not ring with the mattress. Over its last WINDOW_S two estimators look at it: the
autocorrelation (lags of LAGS_S, octave guard) and the median of local intervals, four a second. A rate is told when
both agree within AGREE and the rhythm has been regular for a while (`rhythm`); then the last rate told helps to choose
among the peaks of both, never in judging the rhythm. Window 10 s, hop 1 s, latency 5 s; the first rate
comes 45 s after lying down at the earliest. Quality: share of real samples, times how many local intervals resemble the
period and how high the autocorrelation stands, scaled so that 0.4 is the least that is told.
Gap policy: missing samples are held and counted; an estimate needs 80 % real samples in its window and a window that
moved for at most three seconds; a long gap forgets everything.
Sources: Brueser 2013 (local intervals), Lydon 2015 (energy instead of J-peaks), signals reference 4b. No recording of a
real bed stands behind the accuracy: synthetic beds with real intervals only.
"""

import math
from collections import deque

import numpy as np

from gateway.core.quantities import quantity
from gateway.dsp.estimate import Estimate
from gateway.dsp.filters import Filter, Window, highpass, lowpass
from gateway.dsp.kernels import intervals, periodicity
from gateway.dsp.kernels.compiler import Floats, Ints
from gateway.dsp.reasons import Withheld
from gateway.dsp.rhythm import Look, Rhythm

ORIGIN = "heart/2"
WINDOW_S = 10.0
ENVELOPE_RATE_HZ = 100.0 / 3.0
BEAT_LOW_HZ = 3.0  # below, breath and mattress carry more than the beat
ENVELOPE_HZ = (0.6, 2.5)
LAGS_S = (0.33, 1.7)  # 182 to 35 beats a minute
OCTAVE_GUARD = 0.85
HALF_GUARD = 0.7  # half the period wins when a half and one and a half repeat this well, against one and two
LOCAL_PER_S = 4
LOCAL_GUARD = 0.7
PRIOR_SPREAD = 0.3  # log-normal, of what is expected of a local interval
PEAK_SPREAD = 0.15  # the same for a peak of the autocorrelation
PRIOR_S = 30  # without agreement the last rate is expected no longer
ECHO_TOLERANCE = 0.07
NEAR = 0.1
AGREE = 0.12
MIN_HEIGHT = 0.15
FADED = 0.5  # of the mean height of the last minute: the beat that was heard has gone
GONE, GONE_S = 0.4, 15  # as much and as long, and the rhythm must be proven again
MIN_QUALITY = 0.4
BEATING = 0.5  # of the autocorrelation: something beats now, whether or not its rate can be told
MIN_REAL = 0.8
MOVED = 0.3  # movement (0 to 1) above which a second says nothing of the heart
MAX_MOVED_S = 3
MIN_RATE_HZ = 25.0  # of the waveform: below, the band of the heart beat is cut


class Heart:
    """Fed once per hop of one second with the band-passed waveform."""

    def __init__(self, rate_hz: float) -> None:
        self._beats = Filter(highpass(4, BEAT_LOW_HZ, rate_hz))
        self._smooth = Filter(np.vstack([lowpass(2, ENVELOPE_HZ[1], rate_hz), highpass(2, ENVELOPE_HZ[0], rate_hz)]))
        self._window = Window(rate_hz, ENVELOPE_RATE_HZ, WINDOW_S)
        n, self._rate_hz = len(self._window.samples), self._window.rate_hz
        self._lags = (max(2, int(LAGS_S[0] * self._rate_hz)), int(LAGS_S[1] * self._rate_hz))
        self._both: Ints = np.array(self._lags)
        self._centred: Floats = np.zeros(n)
        self._acf: Floats = np.zeros(self._lags[1] + 2)
        self._height: Floats = np.zeros(1)
        self._echo: Floats = np.zeros(5)
        self._scores: Floats = np.zeros((6, self._lags[1] + 1))
        self._found: Floats = np.zeros((LOCAL_PER_S, 2))
        judged = round((WINDOW_S - 2 * LAGS_S[1]) * LOCAL_PER_S)  # those whose stretches lie within the window
        self._plain: Floats = np.zeros(judged)
        self._expected: Floats = np.zeros(judged)
        self._real: deque[float] = deque(maxlen=round(WINDOW_S))
        self._moved: deque[bool] = deque(maxlen=round(WINDOW_S))
        self._rhythm = Rhythm()
        self._prior, self._prior_age, self._gone_s = 0.0, 0, 0
        self.withheld = Withheld.FILLING
        self.beating = False
        self.envelope: Floats = np.zeros(0)  # of the last hop, at the waveform's rate

    def step(self, band: Floats, real: float, movement: float | None) -> Estimate | None:
        """The rate over the last ten seconds, or None when there is none to be had: `withheld` then says why."""
        self.envelope = self._smooth.step(np.abs(self._beats.step(band)))
        self._window.push(self.envelope)
        self._real.append(real)
        self._moved.append(movement is not None and movement > MOVED)
        share = sum(self._real) / WINDOW_S
        self._prior_age += 1
        self.beating = False
        if self._prior_age > PRIOR_S:
            self._prior = 0.0
        if not self._window.full:
            return self._nothing(Withheld.FILLING)
        if share < MIN_REAL:
            return self._nothing(Withheld.GAP)
        if sum(self._moved) > MAX_MOVED_S:
            return self._nothing(Withheld.MOVING)
        return self._estimate(share)

    def _estimate(self, share: float) -> Estimate | None:
        lag = plain = self._look()
        if lag <= 0.0:
            return self._nothing(Withheld.NO_RHYTHM)
        if not self._rhythm.regular:
            return self._nothing(Withheld.IRREGULAR if self._rhythm.heard else Withheld.NO_RHYTHM)
        if self._prior > 0.0:
            lag = periodicity.expected_peak(self._acf, *self._lags, self._prior, PEAK_SPREAD)
        height = float(self._acf[round(lag)]) if lag > 0.0 else 0.0
        local = sorted(self._expected.tolist())[len(self._expected) // 2]
        self._gone_s = max(0, self._gone_s + (1 if height < GONE * self._rhythm.height else -1))
        if self._gone_s >= GONE_S:
            self._rhythm.reset()
        if height < max(MIN_HEIGHT, FADED * self._rhythm.height) or abs(local / lag - 1.0) > AGREE:
            return self._nothing(Withheld.DOUBTFUL)
        rate = 60.0 * self._rate_hz / lag
        near = float(intervals.share_near(self._expected, lag, NEAR))
        quality = share * min(1.0, MIN_QUALITY + (1.0 - MIN_QUALITY) * math.sqrt(max(0.0, height - MIN_HEIGHT) * near))
        if abs(plain / lag - 1.0) < AGREE:  # what the expectation chose must not keep itself alive
            self._prior, self._prior_age = lag, 0
        if quality < MIN_QUALITY or not quantity("heart_rate").plausible(rate):
            return self._nothing(Withheld.DOUBTFUL)
        self.withheld = Withheld.NOTHING
        return Estimate(rate, quality, WINDOW_S)

    def _look(self) -> float:
        """Both estimators over the window, and the rhythm's second; the period in samples, 0 for none."""
        x = self._window.samples
        lag = periodicity.autocorrelation_peak(x, *self._lags, OCTAVE_GUARD, self._centred, self._acf, self._height)
        step = self._rate_hz / LOCAL_PER_S
        intervals.local_intervals(
            x, step, self._both, LOCAL_GUARD, self._prior, PRIOR_SPREAD, self._scores, self._found
        )
        for memory, found in ((self._plain, self._found[:, 0]), (self._expected, self._found[:, 1])):
            memory[:-LOCAL_PER_S] = memory[LOCAL_PER_S:]
            memory[-LOCAL_PER_S:] = found
        if lag <= 0.0:
            return 0.0
        height = float(self._height[0])
        self.beating = height > BEATING
        periodicity.echoes(self._centred, lag, ECHO_TOLERANCE, self._echo)
        twice, thrice, half, and_half, between = self._echo.tolist()
        if 0.5 * lag > self._lags[0] and half + and_half > HALF_GUARD * (height + twice):
            lag = 0.5 * lag
            periodicity.echoes(self._centred, lag, ECHO_TOLERANCE, self._echo)
            twice, thrice, _, _, between = self._echo.tolist()
        near = float(intervals.share_near(self._plain, lag, NEAR))
        self._rhythm.step(Look(height, twice, thrice, between, near))
        return float(lag)

    def _nothing(self, why: Withheld) -> Estimate | None:
        self.withheld = why
        return None

    def reset(self) -> None:
        """After a long gap or an exit: somebody else may lie here now."""
        for each in (self._beats, self._smooth, self._window, self._rhythm):
            each.reset()
        self._real.clear()
        self._moved.clear()
        self._plain[:] = self._expected[:] = 0.0
        self._prior, self._prior_age, self._gone_s = 0.0, 0, 0
        self.withheld, self.beating = Withheld.FILLING, False

