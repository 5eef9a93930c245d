"""Marks what was lost on the way in, so that a hole in a waveform is a row in the journal and never a silence; knows
what the signal worker still owes.

A lossy line would write a row for each frame; losses of a kind are therefore summed for `PERIOD_S` and marked once.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import replace

from gateway.core.model import Gap, SampleBlock, Stamp

PERIOD_S = 10.0  # a mark at most this often for each channel; short enough to place a loss within a bed-minute


class LossBook:
    """Sums losses of one kind and hands out one Gap for each kind and period."""

    def __init__(self, on_gap: Callable[[Gap], None]) -> None:
        self._on_gap = on_gap
        self._open: dict[tuple[str, str, str, str], Gap] = {}

    def block(self, block: SampleBlock) -> None:
        """Book what is missing directly before `block`."""
        if block.lost_before > 0:
            gap = Gap(block.channel, "lost on the wire", block.start, block.lost_before, block.bed, block.device)
            self.add(gap)

    def add(self, gap: Gap) -> None:
        """Book one loss; of several of the same kind the first gives the moment."""
        key = (gap.what, gap.reason, gap.bed or "", gap.device or "")
        known = self._open.get(key)
        self._open[key] = gap if known is None else replace(known, lost=known.lost + gap.lost)

    def close_due(self, now: Stamp, *, everything: bool = False) -> None:
        """Mark what is older than the period, or everything before a stop."""
        for key, gap in list(self._open.items()):
            if everything or gap.at.boot_id != now.boot_id or now.since_s(gap.at) >= PERIOD_S:
                del self._open[key]
                self._on_gap(gap)


class Owed:
    """The blocks that the worker has not answered yet. It answers in order and drops the oldest first, so that their
    number alone says which they are."""

    def __init__(self) -> None:
        self._starts: deque[Stamp] = deque()  # as long as the worker's own bounded buffer, which drops and marks

    def fed(self, block: SampleBlock) -> None:
        """Handed to the worker."""
        self._starts.append(block.start)

    def behind_s(self, unanswered: int, now: Stamp) -> float:
        """How old the oldest of the newest `unanswered` blocks is; 0 without any."""
        while len(self._starts) > unanswered:
            self._starts.popleft()
        return max(0.0, now.since_s(self._starts[0])) if self._starts else 0.0
