"""Frames out of a byte stream where the framing is code: any chunking gives the same frames, and no bytes raise.

The profile engine (profile_frames.py) cuts what a [framer] can describe; families whose frames are found by a bit, by a
neighbour or by several layouts at once derive from here. A candidate that fails costs one byte: the search goes on
right behind its first, so a true frame hidden in a damaged one is still found.
"""

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from drivers.profile_frames import Rejects
from gateway.core.errors import ProtocolError

T = TypeVar("T")
Cut = tuple[int, T | None]
"""Bytes taken, and the frame they make (None: understood, but nothing to tell)."""


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
                rejects.add(found, buffer[at : at + 16])
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


def only_frame(stream: ByteStream[T], data: bytes) -> T:
    """The one frame that `data` is, whole. ProtocolError whose message begins with the reason of the refusal."""
    frames, rejects = stream.feed(data)
    if len(frames) == 1 and stream.accepted_bytes == len(data):
        return frames[0]
    reason = next((reason for reason in rejects.counts if reason != "noise"), "length")
    what = f"{reason}: {data.hex()} is no single whole frame ({len(frames)} frames in {len(data)} bytes)"
    raise ProtocolError(what, hint="compare head, length and checksum with the device's document")
