"""What holds for every decoder, whatever the bytes; AssertionError or the decoder's own exception when it does not."""

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any

from gateway.core.errors import ProtocolError
from tests.fuzz.targets import Feeds, Stream, Whole

MOST_STATE_BYTES = 65_536  # of one decoder, however much it was fed


def whole(target: Whole, data: bytes) -> None:
    """No exception but a refusal, from the message and from its halves."""
    for part in (data, data[: len(data) // 2], data[:-1], data[1:]):
        with suppress(ProtocolError):
            target.call(part)


def stream(target: Stream, data: bytes, cuts: Sequence[int]) -> None:
    """The same frames in any chunks, counters that add up, bounded memory, and the third good frame is heard."""
    at_once, in_chunks = target.make(), target.make()
    wanted = list(at_once.feed(data)[0])
    places = [0, *sorted({cut for cut in cuts if cut < len(data)}), len(data)]
    found: list[Any] = []
    for start, end in pairwise(places):
        found += in_chunks.feed(data[start:end])[0]
        counted(in_chunks)
    assert repr(found) == repr(wanted)
    assert _counter(in_chunks).rejected == _counter(at_once).rejected
    counted(at_once)
    for frame in target.frames:
        if is_good(target, frame):
            resynchronised(at_once, frame)


def is_good(target: Stream, frame: bytes) -> bool:
    """This frame alone, three times, is heard three times and leaves nothing behind."""
    fresh = target.make()
    heard = []
    for _ in range(3):
        before = _counter(fresh).accepted_bytes
        fresh.feed(frame)
        heard.append(_counter(fresh).accepted_bytes - before)
    return heard == [len(frame)] * 3


def resynchronised(decoder: Feeds, frame: bytes) -> None:
    """Two good frames may be held back by what came before; the third may not."""
    for _ in range(2):
        decoder.feed(frame)
    before = _counter(decoder).accepted_bytes
    decoder.feed(frame)
    assert _counter(decoder).accepted_bytes > before, f"not in step again after two frames of {len(frame)} bytes"
    counted(decoder)


def counted(decoder: Feeds) -> None:
    """No byte is unaccounted for, and none is kept for ever."""
    counter = _counter(decoder)
    assert counter.received_bytes == counter.accepted_bytes + counter.skipped_bytes + counter.pending_bytes
    assert state_bytes(decoder) <= MOST_STATE_BYTES


def state_bytes(thing: object, depth: int = 4) -> int:
    """About how much a decoder remembers: bytes and elements of what it holds."""
    if isinstance(thing, bytes | bytearray | str):
        return len(thing)
    if depth == 0 or thing is None or isinstance(thing, int | float | type):
        return 0
    if isinstance(thing, list | tuple | set | frozenset | deque):
        return sum(8 + state_bytes(one, depth - 1) for one in thing)
    if isinstance(thing, dict):
        return sum(16 + state_bytes(one, depth - 1) for one in thing.values())
    return sum(state_bytes(one, depth - 1) for one in vars(thing).values()) if hasattr(thing, "__dict__") else 0


def _counter(decoder: Feeds) -> Any:
    """The decoder that counts: itself, or the one inside it."""
    return decoder if hasattr(decoder, "received_bytes") else decoder.stream  # type: ignore[attr-defined]
