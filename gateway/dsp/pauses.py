"""Breathing pauses of a sleeper who lies in bed and is still: how long breath was almost absent before it came back.

In: hops of one second of the raw waveform, float64, shape (n,), any unit, 4 Hz or more, NaN where missing; low-pass 0.7
Hz, thinned to 5 Hz. The envelope is the largest swing within 4 s, one a second. A pause is an envelope below 30 % of
its own median over the last two minutes of breath, for at least 10 s and at most 90, after which the envelope comes
back to half of the median or more: what does not come back is a sensor that slipped, or a matter for the sign of life
(`vital`), and is not told here. The value is the length in s, told once, in the second in which breath is back (1 s
after it on average); 0 in every other second that was judged, so that pauses and the time in which they could have been
seen are both in the minutes. An index from it is a trend of one sleeper, never a diagnosis: no oxygen, no flow, and a
pause with effort (obstruction) does not look like one. Gap policy: a second with less than 90 % real samples (a
waveform that stands still has none), or with movement, or without a loaded bed, ends what was going on and is not
judged; the envelope is used again 4 s later, and after movement the median is learnt anew for 30 s, because posture
changes the amplitude. Source: criterion of signals reference 4c (30 % of a two-minute median, 10 s as in the AASM
manual).
"""

from collections import deque

from gateway.dsp.estimate import Estimate
from gateway.dsp.filters import Filter, Window, lowpass
from gateway.dsp.kernels import breathing
from gateway.dsp.kernels.compiler import Floats
from gateway.dsp.reasons import Withheld

ORIGIN = "pauses/1"
HIGH_HZ = 0.7
RATE_HZ = 5.0
MIN_RATE_HZ = 4.0
ENVELOPE_S = 4  # shorter than half of the slowest breath would ripple, longer would hide where a pause ends
MEDIAN_S = 120
MIN_SEEN_S = 30
LOW = 0.3
BACK = 0.5
SHORTEST_S, LONGEST_S = 10, 90
BACK_WITHIN_S = 6
MIN_REAL = 0.9
MOVED = 0.7  # as for the rate: breath that comes back deeply is not movement


class Pauses:
    """Fed once per hop of one second with the raw waveform."""

    def __init__(self, rate_hz: float) -> None:
        self._slow = rate_hz < MIN_RATE_HZ
        self._filter = Filter(lowpass(2, min(HIGH_HZ, 0.45 * rate_hz), rate_hz))
        self._window = Window(rate_hz, RATE_HZ, ENVELOPE_S)
        self._seen: deque[float] = deque(maxlen=MEDIAN_S)  # envelopes of breath; the oldest go
        self._clean_s = 0
        self._low_s = self._after_s = 0
        self._depth = 0.0  # sum of the envelope over its median in the low seconds
        self.withheld = Withheld.FILLING

    def step(self, wave: Floats, real: float, movement: float | None, *, loaded: bool) -> Estimate | None:
        """Length in s of the pause that ended in this second, 0 when none did; None when that cannot be said:
        `withheld` then says why."""
        self._window.push(self._filter.step(wave))
        self.withheld = self._unfit(real, movement, loaded)
        if self.withheld:
            self._clean_s = 0
            self._forget_pause()
            if self.withheld in (Withheld.MOVING, Withheld.EMPTY):
                self._seen.clear()
            return None
        self._clean_s += 1
        if self._clean_s <= ENVELOPE_S:
            self.withheld = Withheld.FILLING
            return None
        return self._judge(float(breathing.largest_swing(self._window.samples)), real)

    def _unfit(self, real: float, movement: float | None, loaded: bool) -> Withheld:
        """Why this second cannot be judged."""
        if self._slow:
            return Withheld.SLOW
        if not loaded:
            return Withheld.EMPTY
        if real < MIN_REAL:
            return Withheld.GAP
        return Withheld.MOVING if movement is None or movement > MOVED else Withheld.NOTHING

    def _judge(self, swing: float, real: float) -> Estimate | None:
        if len(self._seen) < MIN_SEEN_S:
            self._seen.append(swing)
            self.withheld = Withheld.FILLING
            return None
        usual = sorted(self._seen)[len(self._seen) // 2]
        if swing < LOW * usual:
            self._low_s += 1 + self._after_s
            self._after_s = 0
            self._depth += swing / usual
            if self._low_s + ENVELOPE_S - 1 > LONGEST_S:
                self._forget_pause()
                self._seen.clear()
                self.withheld = Withheld.FILLING
                return None
            return Estimate(0.0, real, 1.0)
        self._seen.append(swing)
        return self._ended(swing >= BACK * usual, real) if self._low_s else Estimate(0.0, real, 1.0)

    def _ended(self, back: bool, real: float) -> Estimate:
        """The envelope has left the low: is breath back?"""
        length_s = self._low_s + ENVELOPE_S - 1
        if not back and self._after_s < BACK_WITHIN_S:
            self._after_s += 1
            return Estimate(0.0, real, 1.0)
        depth = min(LOW, self._depth / self._low_s)
        self._forget_pause()
        if not back or length_s < SHORTEST_S:
            return Estimate(0.0, real, 1.0)
        return Estimate(float(length_s), real * (1.0 - 0.5 * depth / LOW), float(length_s))

    def _forget_pause(self) -> None:
        self._low_s = self._after_s = 0
        self._depth = 0.0

    def reset(self) -> None:
        """After a long gap or an exit: nothing of before says what is usual now."""
        self._filter.reset()
        self._window.reset()
        self._seen.clear()
        self._forget_pause()
        self._clean_s = 0
        self.withheld = Withheld.FILLING
