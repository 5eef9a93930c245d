"""What a platform has seen: every message with its real receipt time, and which numbers came, once or again."""

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field

from gateway.upstream.envelope import Event


@dataclass(frozen=True, slots=True)
class Record:
    """One message. real_ns: CLOCK_BOOTTIME at receipt, never scaled. how: "live", "page" or "pull"."""

    gw: str
    stream: str
    message: Event
    real_ns: int
    how: str
    duplicate: bool


class Numbers:
    """A set of sequence numbers as ranges: what is missing is seen at a glance, millions cost nothing."""

    def __init__(self) -> None:
        self._ranges: list[list[int]] = []

    def add(self, seq: int) -> bool:
        """True when `seq` is new."""
        at = bisect_right(self._ranges, seq, key=lambda known: known[0])
        before = self._ranges[at - 1] if at else None
        if before is not None and seq <= before[1]:
            return False
        after = self._ranges[at] if at < len(self._ranges) else None
        joins_before = before is not None and before[1] + 1 == seq
        joins_after = after is not None and after[0] == seq + 1
        if before is not None and joins_before:
            before[1] = after[1] if after is not None and joins_after else seq
            if joins_after:
                del self._ranges[at]
        elif after is not None and joins_after:
            after[0] = seq
        else:
            self._ranges.insert(at, [seq, seq])
        return True

    def __len__(self) -> int:
        return sum(hi - lo + 1 for lo, hi in self._ranges)

    def missing(self, lo: int, hi: int) -> list[tuple[int, int]]:
        """The ranges within lo..hi (both included) that never came."""
        holes, next_wanted = [], lo
        for low, high in self._ranges:
            if high < next_wanted:
                continue
            if low > hi:
                break
            if low > next_wanted:
                holes.append((next_wanted, low - 1))
            next_wanted = high + 1
        if next_wanted <= hi:
            holes.append((next_wanted, hi))
        return holes


@dataclass(slots=True)
class Seen:
    """records: the newest 100 000, older ones are counted in `forgotten`. duplicates: by (gw, stream)."""

    records: deque[Record] = field(default_factory=lambda: deque(maxlen=100_000))
    numbers: dict[tuple[str, str], Numbers] = field(default_factory=dict)
    duplicates: dict[tuple[str, str], int] = field(default_factory=dict)
    unreadable: int = 0
    forgotten: int = 0

    def take(self, gw: str, stream: str, message: Event, real_ns: int, how: str) -> Record:
        """Keep a message; its record says whether its number has come before."""
        key = (gw, stream)
        new = self.numbers.setdefault(key, Numbers()).add(message.seq)
        if not new:
            self.duplicates[key] = self.duplicates.get(key, 0) + 1
        record = Record(gw, stream, message, real_ns, how, not new)
        self.forgotten += len(self.records) == self.records.maxlen
        self.records.append(record)
        return record

    def of(self, gw: str, stream: str) -> Numbers:
        """The numbers of one stream; empty when nothing came."""
        return self.numbers.get((gw, stream), Numbers())
