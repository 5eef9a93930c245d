"""Two channels of one device become one sequence of seconds, whichever arrives first.

Hops whose ends lie within half a second belong to the same tick. A hop waits for its partner at most LAG_S of its own
channel's time, and not at all while the other channel is known to be silent.
"""

from collections import deque

from gateway.core.model import Stamp
from gateway.dsp.hops import Hop

PAIR_S = 0.5
LAG_S = 2.5  # a belt sends both channels in one frame; its blocks and hops may still end this far apart


class Join:
    """Index 0 is the waveform, 1 the load."""

    def __init__(self) -> None:
        self._queues: tuple[deque[Hop], deque[Hop]] = (deque(), deque())  # bounded by LAG_S: older hops go out alone
        self._newest: list[Stamp | None] = [None, None]
        self._first: list[Stamp | None] = [None, None]

    def push(self, channel: int, hop: Hop) -> None:
        self._queues[channel].append(hop)
        self._newest[channel] = hop.at
        if self._first[channel] is None:
            self._first[channel] = hop.at

    def ready(self) -> list[tuple[Hop | None, Hop | None]]:
        """The ticks that are complete, in order of time."""
        ticks: list[tuple[Hop | None, Hop | None]] = []
        wave, load = self._queues
        while wave or load:
            if wave and load:
                ahead_s = wave[0].at.since_s(load[0].at)
                take_wave, take_load = ahead_s <= PAIR_S, ahead_s >= -PAIR_S
            else:
                take_wave, take_load = bool(wave), bool(load)
                if not self._goes_alone(0 if wave else 1):
                    break
            ticks.append((wave.popleft() if take_wave else None, load.popleft() if take_load else None))
        return ticks

    def _goes_alone(self, channel: int) -> bool:
        """True when no partner will come for the oldest hop: the other channel is silent, or past it already."""
        newest = self._newest[channel]
        heard = self._newest[1 - channel] or self._first[channel]
        assert newest is not None
        assert heard is not None
        past_s = heard.since_s(self._queues[channel][0].at)
        return newest.since_s(heard) > LAG_S or past_s > PAIR_S
