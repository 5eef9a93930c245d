"""Frames out of a byte stream: any chunking gives the same frames and counters, and no bytes raise.

The profile engine (profile_frames.py) and the families whose framing is code derive from here. A candidate that fails
costs one byte: the search goes on right behind its first, so a true frame hidden in a damaged one is still found. A
candidate that says how long it is could hold back true frames until so many bytes have come: SizedStream gives it up.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Generic, TypeVar

from gateway.core.errors import ProtocolError

RAW_KEPT = 64  # bytes of the last rejected piece kept for the person who looks into it

T = TypeVar("T")
Cut = tuple[int, T | None]
"""Bytes taken, and the frame they make (None: understood, but nothing to tell)."""


@dataclass(slots=True)
class Rejects:
    """Rejected since the last call: `noise` counts bytes that belong to no frame, every other reason candidates."""

    counts: dict[str, int] = field(default_factory=dict)
    last: dict[str, bytes] = field(default_factory=dict)

    def add(self, reason: str, raw: bytes, count: int = 1) -> None:
        self.counts[reason] = self.counts.get(reason, 0) + count
        self.last[reason] = raw[-RAW_KEPT:]


class ByteStream(ABC, Generic[T]):
    """received_bytes = accepted_bytes + skipped_bytes + pending_bytes, always; pending is less than one candidate.

    unbroken: frames taken one right behind the other up to now, 0 after any byte that belongs to none.
    """

    def __init__(self) -> None:
        self._buffer = b""
        self.received_bytes = 0
        self.accepted_bytes = 0
        self.skipped_bytes = 0
        self.unbroken = 0
        self.rejected: dict[str, int] = {}

    @abstractmethod
    def lead(self, buffer: bytes, at: int) -> int:
        """Where a frame may begin at or after `at`; the buffer's length when nowhere."""

    @abstractmethod
    def cut(self, buffer: bytes, at: int) -> Cut[T] | str | None:
        """The frame at `at`; a reason when there is none; None while that cannot be said. Depends on the bytes from
        `at` on, on `unbroken` and on earlier frames, never on what lies before `at`."""

    def shown(self, buffer: bytes, at: int) -> bytes:
        """What a person is shown of a rejected candidate."""
        return buffer[at : at + 16]

    @property
    def pending(self) -> bytes:
        """The frame that is not yet whole, as far as it has come."""
        return self._buffer

    @property
    def pending_bytes(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> tuple[list[T], Rejects]:
        """Frames completed by `data`, and what was rejected on the way."""
        self.received_bytes += len(data)
        buffer = self._buffer + data
        frames: list[T] = []
        rejects = Rejects()
        end, at, edge = len(buffer), 0, 0  # edge: end of the last frame; between it and `at` lies noise
        while (at := self.lead(buffer, at)) < end:
            if at != edge:
                self.unbroken = 0
            found = self.cut(buffer, at)
            if found is None:
                break
            if isinstance(found, str):
                rejects.add(found, self.shown(buffer, at))
                at += 1
                continue
            if at != edge:
                self._skip(buffer[edge:at], rejects)
            size, frame = found
            self.unbroken += 1
            self.accepted_bytes += size
            if frame is not None:
                frames.append(frame)
            edge = at = at + size
        self._skip(buffer[edge:at], rejects)
        self._buffer = buffer[at:]
        for reason, count in rejects.counts.items():
            self.rejected[reason] = self.rejected.get(reason, 0) + count
        return frames, rejects

    def drop_pending(self) -> Rejects:
        """Give up the half frame that waits: between question and answer, or when the link has broken."""
        rejects = Rejects()
        self._skip(self._buffer, rejects)
        self._buffer = b""
        for reason, count in rejects.counts.items():
            self.rejected[reason] = self.rejected.get(reason, 0) + count
        return rejects

    def _skip(self, skipped: bytes, rejects: Rejects) -> None:
        if skipped:
            self.unbroken = 0
            self.skipped_bytes += len(skipped)
            rejects.add("noise", skipped, len(skipped))


class SizedStream(ByteStream[T]):
    """Frames that say how long they are, whose false heads are in step again after two true frames.

    A candidate is given up ("overtaken") once two intact frames, one right behind the other, end before the end that it
    claims, even if it should prove intact itself: that could be known only by waiting for it, which is what a false
    head must not bring about, and a result must not depend on how the bytes came in. Data that look like two whole
    frames with both checksums are rarer than a false head by far.

    Every place is looked at once ahead of its turn: time is linear in the bytes, whatever they are. shortest: bytes of
    the shortest frame there is. `lead`, `claim` and `whole` depend on nothing but the bytes.
    """

    def __init__(self, shortest: int) -> None:
        super().__init__()
        self._least = 2 * shortest + 1  # bytes from the start of a pair to a claimed end that it overtakes
        self._ahead = 0  # places up to here have been looked at; places are counted from the first byte ever received
        self._open: list[tuple[int, int, int]] = []  # heap of where a candidate ends and begins, and its pair begins
        self._pairs: list[tuple[int, int]] = []  # heap of where a pair ends and begins

    @abstractmethod
    def claim(self, buffer: bytes, at: int) -> int:
        """Bytes that the candidate at `at` (a place that `lead` gave) is judged by; 0 while that cannot be said."""

    @abstractmethod
    def whole(self, raw: bytes) -> T | str:
        """The frame that all bytes of a candidate make, or a reason when they make none."""

    def cut(self, buffer: bytes, at: int) -> Cut[T] | str | None:
        size = self.claim(buffer, at)
        if not size:
            return None
        if size > self._least and self._overtaken(buffer, at, at + size):
            return "overtaken"
        raw = buffer[at : at + size]
        if len(raw) < size:
            return None
        found = self.whole(raw)
        return found if isinstance(found, str) else (size, found)

    def shown(self, buffer: bytes, at: int) -> bytes:
        return buffer[at : at + min(self.claim(buffer, at), RAW_KEPT)]

    def _overtaken(self, buffer: bytes, at: int, end: int) -> bool:
        """Whether two frames behind `at` have come that end before `end`."""
        base = self.received_bytes - len(buffer)
        here, pairs, opened = base + at, self._pairs, self._open
        self._look_ahead(buffer, base, max(at + 1, self._ahead - base), end - self._least)
        known = min(self.received_bytes, base + end - 1)
        while opened and opened[0][0] <= known:
            until, place, first = heappop(opened)
            if first <= here:
                continue
            if place != first:
                self._follow(buffer, base, place, first)
            elif not isinstance(self.whole(buffer[place - base : until - base]), str):
                self._follow(buffer, base, until, first)
        while pairs and pairs[0][1] <= here:
            heappop(pairs)
        return bool(pairs) and pairs[0][0] < base + end

    def _look_ahead(self, buffer: bytes, base: int, at: int, last: int) -> None:
        """Note the candidates from `at` to `last`, both in `buffer`."""
        while at <= last and (at := self.lead(buffer, at)) <= last:
            size = self.claim(buffer, at)
            if not size:
                break
            heappush(self._open, (base + at + size, base + at, base + at))
            at += 1
        self._ahead = base + at

    def _follow(self, buffer: bytes, base: int, place: int, first: int) -> None:
        """Judge what stands right behind the first frame of a pair, or note it until its bytes have come."""
        at = place - base
        if self.lead(buffer, at) != at:
            return
        size = self.claim(buffer, at)
        if not size or place + size > self.received_bytes:
            heappush(self._open, (place + size if size else self.received_bytes + 1, place, first))
        elif not isinstance(self.whole(buffer[at : at + size]), str):
            heappush(self._pairs, (place + size, first))


def only_frame(stream: ByteStream[T], data: bytes) -> T:
    """The one frame that `data` is, whole. ProtocolError whose message begins with the reason of the refusal."""
    frames, rejects = stream.feed(data)
    if len(frames) == 1 and stream.accepted_bytes == len(data):
        return frames[0]
    reason = next((reason for reason in rejects.counts if reason != "noise"), "length")
    what = f"{reason}: {data.hex()} is no single whole frame ({len(frames)} frames in {len(data)} bytes)"
    raise ProtocolError(what, hint="compare head, length and checksum with the device's document")
