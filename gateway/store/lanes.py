"""What one upstream has acknowledged of one stream, as plain arithmetic: a live mark and the ranges missed before it.

Everything up to the mark is acknowledged, except the ranges. The mark moves with acknowledgements, and jumps to the
head when a link comes up: what lay between becomes a range. Ranges shrink with acknowledgements and never move. So
every number is, at any moment, in exactly one of three places: acknowledged, in a range, or after the mark.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

Range = tuple[int, int]  # lowest and highest sequence number, both included


def runs(numbers: Iterable[int]) -> Iterator[Range]:
    """Ascending numbers as ranges without holes."""
    first = last = None
    for number in numbers:
        if first is not None and last is not None and number == last + 1:
            last = number
            continue
        if first is not None and last is not None:
            yield first, last
        first = last = number
    if first is not None and last is not None:
        yield first, last


def subtract(ranges: Sequence[Range], cut: Range) -> list[Range]:
    """Ascending, disjoint `ranges` without the numbers of `cut`."""
    low, high = cut
    start = bisect_right(ranges, low, key=lambda kept: kept[0])
    start = start - 1 if start and ranges[start - 1][1] >= low else start
    stop = bisect_right(ranges, high, key=lambda kept: kept[0])
    kept: list[Range] = []
    for lo, hi in ranges[start:stop]:
        if lo < low:
            kept.append((lo, low - 1))
        if hi > high:
            kept.append((high + 1, hi))
    return [*ranges[:start], *kept, *ranges[stop:]]


class Lane:
    """Marks of one upstream and stream, and what of them is not yet on disk."""

    def __init__(self, mark: int, ranges: Iterable[Range] = (), *, saved: bool = True) -> None:
        self.mark = mark
        self.ranges: list[Range] = sorted(ranges)
        self._saved: tuple[int, frozenset[Range]] | None = (mark, frozenset(self.ranges)) if saved else None

    @property
    def waiting(self) -> int:
        """Rows missed and not yet delivered, without those after the mark."""
        return sum(hi - lo + 1 for lo, hi in self.ranges)

    @property
    def acked_hi(self) -> int:
        """The highest number up to which everything is acknowledged."""
        return self.ranges[0][0] - 1 if self.ranges else self.mark

    def live_acked(self, seq: int) -> None:
        """Everything live up to `seq` is acknowledged. A number before the mark (an alarm that is still open and was
        sent again) leaves its range instead."""
        if seq > self.mark:
            self.mark = seq
        else:
            self.acked((seq,))

    def acked(self, seqs: Iterable[int]) -> None:
        """These missed rows are acknowledged; numbers that are in no range are ignored."""
        for run in runs(sorted(seqs)):
            self.ranges = subtract(self.ranges, run)

    def came_late(self, seq: int) -> None:
        """A row was stored after higher numbers were acknowledged (the disk had refused it): it waits in a range."""
        if seq <= self.mark and not self.still_missed(seq):
            self.ranges = sorted([*self.ranges, (seq, seq)])

    def link_up(self, head: int, unused: Iterable[Range]) -> None:
        """What lies between mark and head becomes a range, without numbers that never were rows."""
        if head <= self.mark:
            return
        missed: list[Range] = [(self.mark + 1, head)]
        for hole in unused:
            missed = subtract(missed, hole)
        self.mark = head
        if self.ranges and missed and self.ranges[-1][1] + 1 == missed[0][0]:
            missed[0] = (self.ranges.pop()[0], missed[0][1])
        self.ranges += missed

    def missed(self, limit: int, after: int) -> list[Range]:
        """The oldest missed numbers after `after`, at most `limit` of them."""
        found: list[Range] = []
        for lo, hi in self.ranges:
            lo = max(lo, after + 1)
            if limit <= 0:
                break
            if lo <= hi:
                found.append((lo, min(hi, lo + limit - 1)))
                limit -= found[-1][1] - lo + 1
        return found

    def still_missed(self, seq: int) -> bool:
        """True while `seq` waits in a range."""
        at = bisect_right(self.ranges, seq, key=lambda kept: kept[0])
        return at > 0 and self.ranges[at - 1][1] >= seq

    def changes(self) -> tuple[frozenset[Range], frozenset[Range]]:
        """(ranges to delete, ranges to insert) since the last `saved`."""
        known = self._saved[1] if self._saved else frozenset[Range]()
        present = frozenset(self.ranges)
        return known - present, present - known

    @property
    def state(self) -> tuple[int, frozenset[Range]]:
        """What `saved` takes once it is committed."""
        return self.mark, frozenset(self.ranges)

    def saved(self, state: tuple[int, frozenset[Range]]) -> None:
        """The disk now holds `state`."""
        self._saved = state

    @property
    def dirty(self) -> bool:
        """True while the disk holds something else."""
        return self._saved != self.state
