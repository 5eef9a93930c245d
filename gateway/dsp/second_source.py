"""Do two hearts beat in this bed? Two sleepers, or a sleeper and an animal: their rates must be withheld.

In: once a hop of one second the envelope of the beats (`gateway.dsp.heart`), float64, shape (n,), 25 Hz and faster; the
rms of the pulse band and the load in kg (NaN when unknown), and whether the second moved. Every LOOK_S the spectrum of
the last WINDOW_S of the envelope is searched for the best comb (a rate and its double), and for a second one that is no
fraction of the first. One heart has a second comb too, but at another place each time; the second heart's stays.
Flagged when it stayed in SURE of the last LOOKS looks, or in LIKELY of the newest MANY when load and energy have risen
together within the last HINT_S, as when somebody lies down beside the sleeper. The flag holds for HOLD_S after the last
such look, an exit ends it. Latency: 2 to 10 minutes. Two hearts within 6 % of each other or in a ratio of 1:2 or 2:3
are not told apart. Occupancy is not touched. Gap policy: a window of which a quarter moved or is missing is not looked
at; a long gap forgets everything. Source: own, tuned on synthetic beds: flagged in 2 % of the time over one sleeper.
"""

import math
from collections import deque
from statistics import median

import numpy as np

from gateway.dsp.filters import Window
from gateway.dsp.kernels.compiler import Floats

RATE_HZ = 10.0
WINDOW_S = 64.0
LOOK_S = 8
BINS = 1024
RATES_HZ = (0.6, 1.7)
APART_HZ = 0.06  # of a fraction of the first rate: closer is the first heart's own wander
FRACTIONS = (0.5, 2.0 / 3.0, 1.0, 1.5, 2.0)
LEAST = 0.2  # the second comb over the first
STAYS_HZ, MAIN_STAYS_HZ = 0.05, 0.08
LOOKS, SURE = 12, 12
MANY, LIKELY = 8, 6
HINT_S, HOLD_S = 1800, 600
MOST_UNFIT = 0.25
BEFORE_S, AFTER_S = 60, 30
RISE_KG, RISE_LOAD, RISE_ENERGY = 4.0, 1.1, 1.2
_FRACTIONS: Floats = np.array(FRACTIONS).reshape(-1, 1)
_APART_HZ: Floats = APART_HZ * np.maximum(1.0, _FRACTIONS)


class SecondSource:
    """Fed once per hop of one second."""

    def __init__(self, rate_hz: float) -> None:
        self._window = Window(rate_hz, RATE_HZ, WINDOW_S)
        n, hertz = len(self._window.samples), np.fft.rfftfreq(BINS, 1.0 / self._window.rate_hz)
        self._taper: Floats = np.hanning(n)
        first, end = (int(np.searchsorted(hertz, edge)) for edge in RATES_HZ)
        self._bins = np.arange(first, end)
        self._hertz: Floats = np.asarray(hertz[first:end])
        self._unfit: deque[bool] = deque(maxlen=round(WINDOW_S))
        self._found: deque[tuple[float, float]] = deque(maxlen=LOOKS)
        self._rms: deque[float] = deque(maxlen=BEFORE_S + AFTER_S)
        self._load: deque[float] = deque(maxlen=BEFORE_S + AFTER_S)
        self._hint_s = self._hold_s = self._hop = 0

    @property
    def flagged(self) -> bool:
        return self._hold_s > 0

    def step(self, envelope: Floats, rms: float, load_kg: float, *, unfit: bool) -> bool:
        """unfit: this second moved, or too little of it is real. True while two hearts are believed to be there."""
        self._window.push(envelope)
        self._unfit.append(unfit)
        self._hint_s, self._hold_s = max(0, self._hint_s - 1), max(0, self._hold_s - 1)
        if not unfit:
            self._rms.append(rms)
            self._load.append(load_kg)
        self._hop += 1
        if self._hop % LOOK_S == 0 and self._window.full and sum(self._unfit) <= MOST_UNFIT * WINDOW_S:
            self._look()
        return self.flagged

    def _look(self) -> None:
        if self._risen():
            self._hint_s = HINT_S
        self._found.append(self._combs())
        likely = self._hint_s > 0 and self._stays(MANY) >= LIKELY
        if likely or (len(self._found) == LOOKS and self._stays(LOOKS) >= SURE):
            self._hold_s = HOLD_S

    def _risen(self) -> bool:
        """Load and energy of the last half minute at rest are above those of the minute before."""
        if len(self._rms) < BEFORE_S + AFTER_S:
            return False
        load, rms = list(self._load), list(self._rms)
        if not math.isfinite(sum(load) + sum(rms)):  # a median of what is unknown in part is none
            return False
        before_kg, after_kg = median(load[:BEFORE_S]), median(load[BEFORE_S:])
        if not (after_kg > before_kg + RISE_KG and after_kg > RISE_LOAD * before_kg):
            return False
        return median(rms[BEFORE_S:]) > RISE_ENERGY * median(rms[:BEFORE_S])

    def _combs(self) -> tuple[float, float]:
        """Rates in Hz of the best comb and of a second one, NaN when that is too weak."""
        x = self._window.samples - self._window.samples.mean()
        limit = 4.0 * float(np.median(np.abs(x)))
        power = np.abs(np.fft.rfft(np.clip(x, -limit, limit) * self._taper, BINS)) ** 2
        smooth = np.convolve(power, np.full(3, 1.0 / 3.0), mode="same")
        wide = np.maximum(np.maximum(smooth[2 * self._bins - 1], smooth[2 * self._bins]), smooth[2 * self._bins + 1])
        comb = smooth[self._bins] + wide / math.sqrt(2.0)
        best = int(np.argmax(comb))
        first_hz = float(self._hertz[best])
        free = (np.abs(self._hertz - _FRACTIONS * first_hz) > _APART_HZ).all(axis=0)
        if not free.any() or not comb[best] > 0.0:
            return first_hz, math.nan
        second = int(np.argmax(np.where(free, comb, 0.0)))
        return first_hz, float(self._hertz[second]) if comb[second] > LEAST * comb[best] else math.nan

    def _stays(self, looks: int) -> int:
        """In how many of the newest looks both combs lay where they usually lie."""
        newest = list(self._found)[-looks:]
        seen = [(one_hz, other_hz) for one_hz, other_hz in newest if math.isfinite(other_hz)]
        if len(newest) < looks or not seen:
            return 0
        first, second = median([one_hz for one_hz, _ in newest]), median([other_hz for _, other_hz in seen])
        return sum(
            abs(one_hz - first) < MAIN_STAYS_HZ and abs(other_hz - second) < STAYS_HZ for one_hz, other_hz in seen
        )

    def reset(self) -> None:
        """After an exit or a long gap."""
        self._window.reset()
        for memory in (self._unfit, self._found, self._rms, self._load):
            memory.clear()
        self._hint_s = self._hold_s = self._hop = 0
