"""Is what a channel sends a signal at all? Constant, saturated, or not at the rate that was declared.

One watch for each channel. A fault that lasts FAULT_S of signal is told as a `device_fault`, and its end after GOOD_S.
The rate is counted between receipt stamps over up to SPAN_S: a wrong declaration (half, double) would move every rate
that is derived from the channel, and no quality would fall. Stamps jitter by bursts of a radio, hence the tolerance;
a clock that drifts by 200 ppm is far inside. Any chunking gives the same answer as long as the stamps say the same.
"""

from collections import deque

from gateway.core.model import Event, SampleBlock, Stamp
from gateway.dsp.hops import JUMP_S, Hop
from gateway.dsp.reasons import Withheld

FAULT_S, GOOD_S = 60.0, 10.0
CLIPPED = 0.5  # share of a second at the end of the range
SPAN_S, MARK_S, MIN_SPAN_S = 32.0, 4.0, 8.0
TOLERANCE, BURST_S = 0.15, 2.5  # of the rate; a radio's burst at either end of the span
MEANING = {
    Withheld.CONSTANT: "the samples do not vary: sensor or cable is broken",
    Withheld.SATURATED: "the samples are at the end of the sensor's range",
    Withheld.WRONG_RATE: "samples do not come at the declared rate: compare the profile",
    Withheld.SLIPPED: "load and waveform contradict each other: the sensor is not under the sleeper",
}


class RateWatch:
    """Fed with every block of a channel."""

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._marks: deque[tuple[Stamp, int]] = deque()  # bounded by SPAN_S / MARK_S
        self._count = 0
        self.wrong = False

    def block(self, block: SampleBlock) -> None:
        """Book the block; `wrong` then says whether the rate can be true."""
        start = block.start
        self._count += block.lost_before
        if self._marks and not 0.0 <= start.since_s(self._marks[-1][0]) <= JUMP_S:
            self._marks.clear()
        if not self._marks or start.since_s(self._marks[-1][0]) >= MARK_S:
            self._judge(start)
            self._marks.append((start, self._count))
        self._count += len(block.data)

    def _judge(self, start: Stamp) -> None:
        while self._marks and start.since_s(self._marks[0][0]) > SPAN_S:
            self._marks.popleft()
        span_s = start.since_s(self._marks[0][0]) if self._marks else 0.0
        if span_s < MIN_SPAN_S:
            return
        counted_s = (self._count - self._marks[0][1]) / self._rate_hz
        self.wrong = abs(counted_s / span_s - 1.0) > TOLERANCE + BURST_S / span_s


class Faults:
    """One channel's faults that last. device, bed: whose."""

    def __init__(self, device: str, bed: str | None, channel: str) -> None:
        self._device, self._bed, self._channel = device, bed, channel
        self._lasts_s: dict[Withheld, float] = {}
        self._good_s: dict[Withheld, float] = {}
        self._told: set[Withheld] = set()

    def step(self, seen: Withheld, span_s: float, at: Stamp, *, fresh: bool = False) -> list[Event]:
        """seen: what is wrong with this hop of `span_s` (one of MEANING), or NOTHING. fresh: after a long gap; a link
        that broke has made the technician's page forget, so that what still lasts is told again."""
        if fresh:
            self._lasts_s.clear()
        if not seen and not self._lasts_s and not self._told:  # nearly always
            return []
        events: list[Event] = []
        for why in MEANING:
            if why is seen:
                self._good_s.pop(why, None)
                events += self._lasts(why, span_s, at)
            elif why in self._lasts_s or why in self._told:
                events += self._good(why, span_s, at)
        return events

    def _lasts(self, why: Withheld, span_s: float, at: Stamp) -> list[Event]:
        before = self._lasts_s.get(why, 0.0)
        self._lasts_s[why] = min(FAULT_S, before + span_s)
        if not before < FAULT_S <= self._lasts_s[why]:
            return []
        self._told.add(why)
        return [self._event(why, at, active=True)]

    def _good(self, why: Withheld, span_s: float, at: Stamp) -> list[Event]:
        """A fault that was told ends after a while, one that was not at once."""
        if why not in self._told:
            del self._lasts_s[why]
            return []
        self._good_s[why] = self._good_s.get(why, 0.0) + span_s
        if self._good_s[why] < GOOD_S:
            return []
        del self._good_s[why]
        self._lasts_s.pop(why, None)
        self._told.discard(why)
        return [self._event(why, at, active=False)]

    def _event(self, why: Withheld, at: Stamp, *, active: bool) -> Event:
        detail = {"fault": why.value, "part": self._channel, "meaning": MEANING[why], "active": active}
        return Event("device_fault", at, bed=self._bed, device=self._device, detail=detail)


def fault_of(hop: Hop, *, wrong_rate: bool, varies: bool = True) -> Withheld:
    """What is wrong with this hop. varies: of a channel that must (a waveform always has noise, a load may rest)."""
    if wrong_rate:
        return Withheld.WRONG_RATE
    if hop.clipped >= CLIPPED:
        return Withheld.SATURATED
    return Withheld.CONSTANT if hop.constant and varies else Withheld.NOTHING
