"""Narrow lines that are no sleeper: the pump of an alternating-pressure mattress, and tremor.

Tremor. In: the waveform within 0.7-10 Hz, float64, shape (n,), 25 Hz and faster, once a second. The spectrum of the
last 8 s is searched every 2 s: when one line at 3.5-7 Hz (0.7 Hz wide) holds most of the power of 2-10 Hz, limbs shake.
A heart beat's ringing there is 2 Hz wide. Flagged from the second look on, until 10 s after the last. Latency 6 s.

Pump. In: the raw waveform, 4 Hz and faster, thinned to 5 Hz. Every 20 s the spectrum of the last 205 s is searched for
lines at 0.1-1 Hz. In a bed that is empty all that time a line that stands for two looks is a pump's, and is remembered
(`learnt_hz`) until the empty bed is without it; over a sleeper it is then known at the first look at which it stands
out of its neighbourhood. A pump that was never seen in the empty bed is not recognised: a ventilated sleeper's breath
and a paced heart are as narrow. Latency: 4 minutes in the empty bed, 20 s over a sleeper; flagged until the line has
been missing for 2 minutes. Mains at its alias is a line too and treated alike.
Gap policy: missing samples are held; a long gap forgets the window, not what was learnt. Source: own, synthetic beds.
"""

import math
from collections import deque

import numpy as np

from gateway.dsp.filters import Filter, Window, lowpass
from gateway.dsp.kernels import periodicity
from gateway.dsp.kernels.compiler import Floats

TREMOR_WINDOW_S, TREMOR_LOOK_S, TREMOR_HOLD_S = 8.0, 2, 10
TREMOR_RATE_HZ = 25.0
TREMOR_HZ, BODY_HZ, TREMOR_HALF_HZ = (3.5, 7.0), (2.0, 10.0), 0.35
TREMOR_SHARE = 0.68
PUMP_RATE_HZ, PUMP_BINS = 5.0, 1024
PUMP_LOOK_S, PUMP_HOLD_S = 20, 120
PUMP_HZ = (0.1, 1.0)
LOBE, AROUND = 2, 12  # bins: a line's width behind a Hann window, and its neighbourhood
PUMP_SHARE = 0.9  # of the power of the neighbourhood that the line holds
PUMP_LEAST = 0.01  # of all power above 0.08 Hz
CLIP = 6.0  # medians: a sleeper who turns must not drown the line
STAYS = 0.003  # relative
STANDS_OUT = 8.0  # medians of the neighbourhood
LOOKS = 2


class Tremor:
    """Fed once per hop of one second."""

    def __init__(self, rate_hz: float) -> None:
        self._window = Window(rate_hz, TREMOR_RATE_HZ, TREMOR_WINDOW_S)
        self._taper: Floats = np.hanning(len(self._window.samples))
        bins = len(self._taper) / self._window.rate_hz  # of one Hz
        most = len(self._taper) // 2 + 1
        self._body, self._limb = (
            np.array([math.ceil(low * bins), min(most, math.floor(high * bins) + 1)])
            for low, high in (BODY_HZ, TREMOR_HZ)
        )
        self._half = TREMOR_HALF_HZ * bins
        self._hop = self._seen = self._hold_s = 0

    def step(self, band: Floats) -> bool:
        """True while limbs shake."""
        self._window.push(band)
        self._hop += 1
        self._hold_s = max(0, self._hold_s - 1)
        if self._hop % TREMOR_LOOK_S == 0 and self._window.full:
            self._seen = self._seen + 1 if self.share() > TREMOR_SHARE else 0
            if self._seen >= 2:
                self._hold_s = TREMOR_HOLD_S
        return self._hold_s > 0

    def share(self) -> float:
        """Of the power of 2-10 Hz in the last 8 s, what the strongest line at 3.5-7 Hz holds: 0 to 1."""
        spectrum = np.fft.rfft(self._window.samples * self._taper)
        return float(periodicity.line_share(spectrum.view(np.float64), self._body, self._limb, self._half))

    def reset(self) -> None:
        self._window.reset()
        self._hop = self._seen = self._hold_s = 0


class Pump:
    """Fed once per hop of one second with the raw waveform."""

    def __init__(self, rate_hz: float, *, learnt_hz: float | None = None) -> None:
        """learnt_hz: the pump's line as an earlier chain of this bed learnt it."""
        self._filter = Filter(lowpass(4, min(1.5, 0.4 * rate_hz), rate_hz))
        self._window = Window(rate_hz, PUMP_RATE_HZ, PUMP_BINS / PUMP_RATE_HZ)
        self._taper: Floats = np.hanning(len(self._window.samples))
        self._hertz: Floats = np.fft.rfftfreq(len(self._taper), 1.0 / self._window.rate_hz).astype(np.float64)
        self._seen: deque[list[float]] = deque(maxlen=LOOKS)
        self._hop = self._empty_s = self._hold_s = 0
        self.learnt_hz = learnt_hz
        self.now_hz = math.nan  # of the line that flagged

    def step(self, wave: Floats, *, empty: bool) -> bool:
        """empty: nobody is in the bed. True while a pump runs."""
        self._window.push(self._filter.step(wave))
        self._hop += 1
        self._hold_s = max(0, self._hold_s - 1)
        self._empty_s = self._empty_s + 1 if empty else 0
        if self._hop % PUMP_LOOK_S == 0 and self._window.full:
            self._look(empty=self._empty_s >= PUMP_BINS / PUMP_RATE_HZ)
        return self._hold_s > 0

    def _look(self, *, empty: bool) -> None:
        power = self._power()
        self._seen.append(self._lines(power))
        if empty:
            standing = [line_hz for line_hz in self._seen[-1] if self._stood(line_hz) >= LOOKS]
            self.learnt_hz = standing[0] if standing else None
        if self.learnt_hz is not None and self._stands_out(power, self.learnt_hz):
            self._hold_s, self.now_hz = PUMP_HOLD_S, self.learnt_hz

    def _stood(self, line_hz: float) -> int:
        """In how many of the newest looks, without a break, this line was there."""
        looks = 0
        for before in reversed(self._seen):
            if not any(abs(before_hz / line_hz - 1.0) < STAYS for before_hz in before):
                break
            looks += 1
        return looks

    def _power(self) -> Floats:
        x = self._window.samples - self._window.samples.mean()
        limit = CLIP * float(np.median(np.abs(x)))
        return np.asarray(np.abs(np.fft.rfft(np.clip(x, -limit, limit) * self._taper)) ** 2)

    def _stands_out(self, power: Floats, line_hz: float) -> bool:
        at = round(line_hz / float(self._hertz[1]))
        around = np.concatenate((power[max(1, at - AROUND) : at - LOBE], power[at + LOBE + 1 : at + AROUND + 1]))
        return float(power[at - 1 : at + 2].max()) > STANDS_OUT * float(np.median(around))

    def _lines(self, power: Floats) -> list[float]:
        """Hz of the narrow lines, the strongest first, refined between bins."""
        sums = np.concatenate(([0.0], np.cumsum(power)))
        first, end = (int(np.searchsorted(self._hertz, edge)) for edge in PUMP_HZ)
        at = np.arange(first, end)
        lobe = sums[at + LOBE + 1] - sums[at - LOBE]
        around = sums[at + AROUND + 1] - sums[np.maximum(1, at - AROUND)]
        peak = (power[at] > power[at - 1]) & (power[at] >= power[at + 1])
        whole = float(sums[-1] - sums[first - 4])
        found = at[peak & (lobe > PUMP_SHARE * around) & (lobe > PUMP_LEAST * whole)]
        return [self._refined(power, int(k)) for k in sorted(found, key=lambda k: -power[k])]

    def _refined(self, power: Floats, at: int) -> float:
        left, top, right = (math.log(float(each) + 1e-300) for each in power[at - 1 : at + 2])
        curvature = left - 2.0 * top + right
        offset = 0.5 * (left - right) / curvature if curvature < 0.0 else 0.0
        return float((at + offset) * self._hertz[1])

    def reset(self) -> None:
        """After a long gap; the bed's pump stays known."""
        self._filter.reset()
        self._window.reset()
        self._seen.clear()
        self._hop = self._empty_s = self._hold_s = 0
