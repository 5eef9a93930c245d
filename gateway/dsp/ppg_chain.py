"""A band's or a finger clip's PPG in, with its acceleration where it has one; pulse rate, intervals, variability out.

A worn band that sends no acceleration gives no rate and no interval: nobody could tell whether the arm moves. A finger
clip may. An interval in which the limb moved is none. Once a minute in which clean intervals came, what the last five
show of the rhythm is told: RMSSD, SDNN and irregularity, a trend of one person and never an alarm. A device that tells
its own pulse rate and intervals (setting own_pulse) is not contradicted: of its waveform only the variability is told,
and why there is none.
"""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import replace

from gateway.core.model import Event, Measurement, SampleBlock, Stamp
from gateway.core.quantities import quantity
from gateway.dsp import pulse
from gateway.dsp.estimate import Estimate
from gateway.dsp.hops import Hop, Hopper
from gateway.dsp.inputs import Faults, RateWatch, fault_of
from gateway.dsp.kernels import intake
from gateway.dsp.kernels.beats import MOVING_G
from gateway.dsp.pulse import Interval, Pulse, Second
from gateway.dsp.reasons import Withheld, Withholding
from gateway.dsp.variability import WINDOW_S, Intervals

PPG, ACC = "ppg", "acc"
HOP_S = 1.0
MAX_FILL_S = 2.0
SWINGING = ("wrist", "arm", "ankle")  # where a sensor moves with a limb
UNKNOWN_G = math.inf  # motion of a limb that nobody measures
PAIR_S = 0.5  # between the ends of a second of PPG and of the second of acceleration that judges it
LAG_S = 2.5  # so long a second of PPG waits for its acceleration
HUGE = 1e10  # above any converter's counts: garbage of a line
MAX_G = 100.0  # of an acceleration: no band measures more, a line's garbage does
MINUTE_S = 60
MIN_NEW = 20  # clean intervals of a minute without which nothing new is told of the rhythm
RHYTHM = "rhythm/1"
MOTION_KEPT = 64  # seconds of acceleration kept for PPG that comes later


class PpgChain:
    """One device. settings: position ("finger", "wrist", ...), ppg_full_scale (in the waveform's unit), own_pulse."""

    def __init__(self, device: str, bed: str | None, settings: Mapping[str, object]) -> None:
        self._device, self._bed = device, bed
        self._swings = settings.get("position") in SWINGING
        full_scale = settings.get("ppg_full_scale", HUGE)
        self._full_scale = float(full_scale) if isinstance(full_scale, int | float) else HUGE
        self._own_pulse = settings.get("own_pulse") is True
        self._subject = "rmssd" if self._own_pulse else "pulse_rate"  # of which is told why it is not there
        self._intervals = Intervals()
        self._new = 0  # clean intervals since variability was looked at
        self._moved_s = -math.inf  # end of the last second in which the limb moved, on the scale of `Second`
        self._waiting: deque[Hop] = deque()  # bounded by LAG_S
        self._motion: deque[tuple[Stamp, float]] = deque(maxlen=MOTION_KEPT)  # full: the oldest go, unasked for
        self._hoppers: dict[str, Hopper] = {}
        self._pulse: Pulse | None = None
        self._rates: dict[str, RateWatch] = {}
        self._faults = Faults(device, bed, PPG)
        self.withholding = Withholding()

    def start(self, channel: str, rate_hz: float, phase: int = 0) -> None:
        """(Re)start a channel at this rate; phase: see `Hopper`."""
        full_scale = self._full_scale if channel == PPG else MAX_G
        self._hoppers[channel] = Hopper(
            rate_hz, HOP_S, max_fill_s=MAX_FILL_S, full_scale=full_scale, phase=phase, varies=channel == PPG
        )
        self._rates[channel] = RateWatch(rate_hz)
        if channel == PPG:
            self._pulse = Pulse(rate_hz) if rate_hz >= pulse.MIN_RATE_HZ else None

    def rate_hz(self, channel: str) -> float | None:
        """The rate at which a channel runs, None before it was started."""
        hopper = self._hoppers.get(channel)
        return hopper.rate_hz if hopper else None

    def phase(self, channel: str) -> int:
        """Samples in the hop that the channel is filling."""
        return self._hoppers[channel].phase

    def feed(self, block: SampleBlock) -> list[Measurement | Event]:
        """The seconds that this block completes, in order."""
        self._rates[block.channel].block(block)
        hops = self._hoppers[block.channel].push(block)
        if block.channel == ACC:
            self._motion.extend((hop.at, _spread_g(hop)) for hop in hops)
        else:
            self._waiting.extend(hops)
        results: list[Measurement | Event] = []
        while self._waiting and self._can_be_judged(self._waiting[0]):
            hop = self._waiting.popleft()
            results += self._tick(hop, self._motion_g(hop))
        return results

    def _can_be_judged(self, hop: Hop) -> bool:
        """True when its acceleration is there, will not come, or is not to be had."""
        if ACC not in self._hoppers:
            return True
        judged = bool(self._motion) and self._motion[-1][0].since_s(hop.at) >= -PAIR_S
        return judged or self._waiting[-1].at.since_s(hop.at) > LAG_S

    def _tick(self, hop: Hop, motion_g: float | None) -> list[Measurement | Event]:
        fault = fault_of(hop, wrong_rate=self._rates[PPG].wrong)
        faults = self._faults.step(fault, HOP_S, hop.at, fresh=hop.fresh)
        if self._pulse is None:
            self.withholding.note(self._subject, fault or Withheld.SLOW)
            return [*faults]
        if fault is Withheld.WRONG_RATE:
            hop = replace(hop, real=0.0)
        if hop.fresh:
            self._pulse.reset()
            self._intervals.reset()
            self._new = 0
        second = self._pulse.step(hop.data, hop.real, motion_g)
        self.withholding.note(self._subject, fault if fault and second.withheld else second.withheld)
        now_s = self._pulse.elapsed_s
        if motion_g is not None and not motion_g < MOVING_G:
            self._moved_s = now_s
        clean = [each for each in second.intervals if each.end_s - each.length_s >= self._moved_s]
        told = [] if self._own_pulse else self._pulse_of(second, clean, hop.at, now_s)
        return [*faults, *told, *self._rhythm(clean, hop.at, now_s)]

    def _pulse_of(self, second: Second, clean: list[Interval], at: Stamp, now_s: int) -> list[Measurement]:
        found = [
            self._measured("ibi", Estimate(1e3 * each.length_s, 1.0, each.length_s), at.plus_s(each.end_s - now_s))
            for each in clean
        ]
        return found if second.rate is None else [*found, self._measured("pulse_rate", second.rate, at)]

    def _rhythm(self, clean: list[Interval], at: Stamp, now_s: int) -> list[Measurement]:
        """Variability of the last minutes, each minute of signal."""
        for each in clean:
            self._intervals.add(each.end_s, each.length_s)
        self._new += len(clean)
        if now_s % MINUTE_S:
            return []
        new, self._new = self._new, 0
        found = self._intervals.measure() if new >= MIN_NEW else None
        if found is None:
            return []
        values = {"rmssd": found.rmssd_ms, "sdnn": found.sdnn_ms, "irregularity": found.irregularity}
        return [
            self._measured(name, Estimate(value, found.quality, WINDOW_S), at, RHYTHM)
            for name, value in values.items()
            if quantity(name).plausible(value)
        ]

    def _motion_g(self, hop: Hop) -> float | None:
        """Spread of the acceleration in the same second; infinite when it should be known and is not."""
        while self._motion and self._motion[0][0].since_s(hop.at) < -PAIR_S:
            self._motion.popleft()
        if self._motion and self._motion[0][0].since_s(hop.at) <= PAIR_S:
            return self._motion[0][1]
        return UNKNOWN_G if self._swings or ACC in self._hoppers else None

    def _measured(self, name: str, estimate: Estimate, at: Stamp, origin: str = pulse.ORIGIN) -> Measurement:
        return estimate.measured(name, at, bed=self._bed, device=self._device, origin=origin)


def _spread_g(hop: Hop) -> float:
    """Standard deviation of the acceleration vector in a second, g; infinite when half of it is missing."""
    return float(intake.spread(hop.data)) if hop.real >= 0.5 else UNKNOWN_G
