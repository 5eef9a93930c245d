"""Pulse beats, inter-beat intervals and pulse rate from a PPG waveform: two detectors that must agree.

In: hops of one second, float64, shape (n,), any unit, upright (a beat goes up), 20 to 2000 Hz, NaN where missing. Band
0.7 to 8 Hz, thinned to about 25 Hz. Each hop, centred Elgendi and MSPTD look at the last eight seconds and are held
against each other in the second that ended LATENCY_S ago: a beat is told when both see a peak within AGREE_S. An
interval is clean when nothing that only one of them saw lies inside it. The rate is that of the clean intervals of the
last RATE_WINDOW_S. Gap policy: missing samples are held; a second with a missing sample gives no beat and ends the
chain of intervals; fewer than MIN_REAL real samples in the window give no rate; a long gap forgets everything. Motion,
when an accelerometer tells of it, withholds the rate: PPG quality cannot see an arm that swings at the pulse's rate.
Sources: Elgendi 2013, Bishop and Ercole 2018, Charlton 2022 (both among the best of 15); signals reference, 4a. A pulse
that does not reach the finger is not seen (pulse deficit of extrasystoles).
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gateway.core.quantities import quantity
from gateway.dsp.estimate import Estimate
from gateway.dsp.filters import Filter, Window, band
from gateway.dsp.kernels import peaks
from gateway.dsp.kernels.compiler import Floats, Ints

ORIGIN = "pulse/1"
LOW_HZ, HIGH_HZ = 0.7, 8.0
PEAK_RATE_HZ = 25.0
MIN_RATE_HZ = 20.0
WINDOW_S = 8.0
LATENCY_S = 2.0  # what MSPTD needs on the right to be sure; beats are told 2 to 3 s after they were
LONG_WINDOW_S, A_BEAT = (0.5, 1.2), 0.8  # of Elgendi: about one beat, as long as MSPTD says that beats are
ELGENDI = (0.111, 0.667, 0.07, 0.27)  # short and long window, shortest block, refractory; s
LONGEST_SCALE_S = 1.0  # of MSPTD: half the longest interval
AGREE_S = 0.12
RATE_WINDOW_S = 8.0
MIN_INTERVALS = 4
SHORTEST_S, LONGEST_S = 0.27, 2.2
SHAPE_S = 0.3  # of a beat on either side of its crest, compared with the others
MIN_REAL = 0.8
LIKE_NOTHING = 0.5  # correlation of shapes that noise reaches
MIN_QUALITY = 0.3
MOVING_G = 0.3  # spread of the acceleration within a second above which the rate is withheld
SPREAD_FULL = 0.6  # interquartile range of the intervals over their median at which quality is nil


@dataclass(frozen=True, slots=True)
class Interval:
    """end_s: when its second beat was, in seconds of signal since the start. length_s: 0.27 to 2.2."""

    end_s: float
    length_s: float


@dataclass(frozen=True, slots=True)
class Second:
    """What one hop told. beats_s: agreed beats, seconds of signal since the start. intervals: clean ones that ended.
    withheld: why there is no rate, empty when there is one."""

    beats_s: tuple[float, ...]
    intervals: tuple[Interval, ...]
    rate: Estimate | None
    withheld: str = ""


class Pulse:
    """Fed once per hop of one second."""

    def __init__(self, rate_hz: float) -> None:
        if rate_hz < MIN_RATE_HZ:
            raise ValueError(f"{rate_hz} Hz is too slow for a pulse wave; at least {MIN_RATE_HZ} Hz")
        self._rate_hz = rate_hz
        self._filter = Filter(band(LOW_HZ, HIGH_HZ, rate_hz, order=2))
        self._window = Window(rate_hz, PEAK_RATE_HZ, WINDOW_S)
        n = len(self._window.samples)
        self._sums: Floats = np.zeros(n + 1)
        self._params: Floats = np.array(ELGENDI)
        self._first: Ints = np.zeros(n, dtype=np.int64)
        self._second: Ints = np.zeros(n, dtype=np.int64)
        self._scale = int(LONGEST_SCALE_S * self._window.rate_hz)
        self._half = round(SHAPE_S * self._window.rate_hz)
        self._template: Floats = np.zeros(2 * self._half + 1)
        self._like = math.nan
        self._hops = 0
        self._real: deque[float] = deque(maxlen=round(WINDOW_S))
        self._moved: deque[float] = deque(maxlen=round(WINDOW_S))
        self._seen: deque[tuple[float, bool]] = deque()  # peaks of the last RATE_WINDOW_S: when, and whether agreed
        self._intervals: deque[Interval] = deque()
        self._last_beat_s: float | None = None
        self._start_s = 0  # of the window's first sample, in seconds of signal
        self._judged = 0  # samples of the thinned signal that have been judged

    @property
    def elapsed_s(self) -> int:
        """Seconds of signal since the start: the scale of `Second`'s moments."""
        return self._hops

    def step(self, wave: Floats, real: float, motion_g: float | None) -> Second:
        """motion_g: standard deviation of the acceleration vector in this second, None when nobody measures it."""
        self._window.push(self._filter.step(wave))
        self._hops += 1
        self._real.append(real)
        self._moved.append(motion_g if motion_g is not None else 0.0)
        if not self._window.full:
            return Second((), (), None, "filling")
        beats, intervals = self._judge()
        rate, withheld = self._rate()
        return Second(beats, intervals, rate, withheld)

    def reset(self) -> None:
        """After a long gap: nothing from before may mix with what comes."""
        self._filter.reset()
        self._window.reset()
        for memory in (self._real, self._moved, self._seen, self._intervals):
            memory.clear()
        self._last_beat_s = None
        self._start_s, self._judged = self._hops, 0

    def _judge(self) -> tuple[tuple[float, ...], tuple[Interval, ...]]:
        """Hold both detectors against each other in the second that ended LATENCY_S ago."""
        x, rate_hz = self._window.samples, self._window.rate_hz
        two = self._second[: peaks.msptd_peaks(x, self._scale, self._second)]
        if len(two) > MIN_INTERVALS:
            beat_s = float(np.median(np.diff(two))) / rate_hz
            self._params[1] = min(LONG_WINDOW_S[1], max(LONG_WINDOW_S[0], A_BEAT * beat_s))
        one = self._first[: peaks.elgendi_peaks(x, rate_hz, self._params, self._sums, self._first)]
        self._like = peaks.likeness(x, two, self._half, self._template)
        end = self._window.pushed - round(LATENCY_S * rate_hz)
        first, self._judged = max(self._judged, end - math.ceil(rate_hz)), end
        if self._real[-round(LATENCY_S) - 1] < 1.0:
            self._last_beat_s = None
            return (), ()
        near = AGREE_S * rate_hz
        found = [(int(at), _apart(at, one) <= near) for at in two]
        found += [(int(at), False) for at in one if _apart(at, two) > near]
        beats: list[float] = []
        intervals: list[Interval] = []
        for at, agreed in sorted(found):
            number = self._window.pushed - len(x) + at
            if not first <= number < end:
                continue
            when_s = self._start_s + (number + 1 + peaks.vertex(x, at)) / rate_hz
            self._seen.append((when_s, agreed))
            if agreed:
                beats.append(when_s)
                length_s = when_s - (self._last_beat_s if self._last_beat_s is not None else -math.inf)
                if SHORTEST_S <= length_s <= LONGEST_S:
                    intervals.append(Interval(when_s, length_s))
            self._last_beat_s = when_s if agreed else None
        self._intervals.extend(intervals)
        return tuple(beats), tuple(intervals)

    def _rate(self) -> tuple[Estimate | None, str]:
        oldest_s = self._hops - LATENCY_S - RATE_WINDOW_S
        while self._seen and self._seen[0][0] < oldest_s:
            self._seen.popleft()
        while self._intervals and self._intervals[0].end_s < oldest_s:
            self._intervals.popleft()
        share = sum(self._real) / WINDOW_S
        if share < MIN_REAL:
            return None, "gap"
        if (moved := max(self._moved)) >= MOVING_G:
            return None, "moving"
        lengths = [interval.length_s for interval in self._intervals]
        if len(lengths) < MIN_INTERVALS:
            return None, "no_agreement"
        rate = 60.0 * len(lengths) / sum(lengths)
        agreed = sum(ok for _, ok in self._seen) / len(self._seen)
        like = max(0.0, (self._like - LIKE_NOTHING) / (1.0 - LIKE_NOTHING)) if math.isfinite(self._like) else 0.0
        steady = max(0.0, 1.0 - spread(lengths) / SPREAD_FULL)
        quality = share * agreed**2 * steady * like * (1.0 - 0.5 * moved / MOVING_G)
        if quality < MIN_QUALITY or not quantity("pulse_rate").plausible(rate):
            return None, "doubtful"
        return Estimate(rate, quality, RATE_WINDOW_S), ""


def _apart(at: int, others: Ints) -> float:
    """Samples to the nearest of the others; infinite when there are none."""
    return float(np.abs(others - at).min()) if len(others) else math.inf


def spread(lengths: Sequence[float]) -> float:
    """Interquartile range over median of intervals, at least one: 0 for a clock, about 0.3 in atrial fibrillation."""
    ordered = sorted(lengths)
    n = len(ordered)
    return (ordered[(3 * (n - 1) + 2) // 4] - ordered[(n - 1) // 4]) / ordered[n // 2]
