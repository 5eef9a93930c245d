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
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gateway.core.quantities import quantity
from gateway.dsp.estimate import Estimate
from gateway.dsp.filters import band
from gateway.dsp.kernels import beats
from gateway.dsp.kernels.compiler import Floats, Ints

ORIGIN = "pulse/1"
LOW_HZ, HIGH_HZ = 0.7, 8.0
PEAK_RATE_HZ = 25.0
MIN_RATE_HZ = 20.0
WINDOW_S, LATENCY_S, RATE_WINDOW_S = beats.WINDOW_S, beats.LATENCY_S, beats.RATE_WINDOW_S
ELGENDI = (0.111, 0.667, 0.07, 0.27)  # short and long window, shortest block, refractory; s
MIN_QUALITY = 0.3
WITHHELD = {
    beats.FILLING: "filling",
    beats.GAP: "gap",
    beats.MOVING: "moving",
    beats.NO_AGREEMENT: "no_agreement",
}
_PLAUSIBLE = quantity("pulse_rate").plausible


class Interval(NamedTuple):
    """end_s: when its second beat was, in seconds of signal since the start. length_s: 0.27 to 2.2."""

    end_s: float
    length_s: float


class Second(NamedTuple):
    """What one hop told. beats_s: agreed beats, seconds of signal since the start. intervals: clean ones that ended.
    withheld: why there is no rate, empty when there is one."""

    beats_s: tuple[float, ...]
    intervals: tuple[Interval, ...]
    rate: Estimate | None
    withheld: str = ""


class Pulse:
    """Fed once per hop of one second. All arithmetic is one kernel; what it carries is here."""

    def __init__(self, rate_hz: float) -> None:
        if rate_hz < MIN_RATE_HZ:
            raise ValueError(f"{rate_hz} Hz is too slow for a pulse wave; at least {MIN_RATE_HZ} Hz")
        self._factor = max(1, round(rate_hz / PEAK_RATE_HZ))
        self._rate_hz = rate_hz / self._factor
        n = round(WINDOW_S * self._rate_hz)
        self._sos = band(LOW_HZ, HIGH_HZ, rate_hz, order=2)
        self._carried: Floats = np.zeros((len(self._sos), 2))
        self._hold: Floats = np.zeros(3)
        self._filtered: Floats = np.zeros(round(rate_hz))
        self._phase: Ints = np.zeros(1, dtype=np.int64)
        self._window: Floats = np.zeros(n)
        self._state: Floats = np.zeros(beats.NEW + 1)
        self._recent: Floats = np.zeros((round(WINDOW_S), 2))
        self._elgendi: Floats = np.array(ELGENDI)
        self._work: Floats = np.zeros(n + 1)
        self._found: Ints = np.zeros((2, n), dtype=np.int64)
        self._seen: Floats = np.zeros((n, 3))
        self._out: Floats = np.zeros(2)
        self._hops = 0
        self.reset()

    @property
    def elapsed_s(self) -> int:
        """Seconds of signal since the start: the scale of `Second`'s moments."""
        return self._hops

    def step(self, wave: Floats, real: float, motion_g: float | None) -> Second:
        """motion_g: standard deviation of the acceleration vector in this second, None when nobody measures it."""
        self._hops += 1
        if len(wave) != len(self._filtered):
            self._filtered = np.zeros(len(wave))
        told = beats.second(
            wave, real, motion_g if motion_g is not None else 0.0, self._sos, self._carried, self._hold, self._filtered,
            self._factor, self._phase, self._window, self._rate_hz, self._state, self._recent, self._elgendi,
            self._work, self._found, self._seen, self._out,
        )  # fmt: skip
        when, intervals = self._new() if self._state[beats.NEW] else ((), ())
        if told != beats.RATE:
            return Second(when, intervals, None, WITHHELD[told])
        rate, quality = self._out.tolist()
        if quality < MIN_QUALITY or not _PLAUSIBLE(rate):
            return Second(when, intervals, None, "doubtful")
        return Second(when, intervals, Estimate(rate, quality, RATE_WINDOW_S))

    def _new(self) -> tuple[tuple[float, ...], tuple[Interval, ...]]:
        """Beats and intervals of the second just judged."""
        end = int(self._state[beats.SEEN])
        rows = self._seen[end - int(self._state[beats.NEW]) : end].tolist()
        return (
            tuple([when_s for when_s, agreed, _ in rows if agreed]),
            tuple([Interval(when_s, length_s) for when_s, _, length_s in rows if length_s]),
        )

    def reset(self) -> None:
        """After a long gap: nothing from before may mix with what comes."""
        for memory in (self._carried, self._hold, self._window, self._recent, self._state):
            memory[:] = 0.0
        self._phase[:] = 0
        self._state[beats.HOPS] = self._state[beats.START_S] = self._hops
        self._state[beats.LAST_BEAT_S] = math.nan


def spread(lengths: Sequence[float]) -> float:
    """Interquartile range over median of intervals, at least one: 0 for a clock, about 0.3 in atrial fibrillation."""
    return float(beats.spread(np.array(lengths, dtype=np.float64)))
