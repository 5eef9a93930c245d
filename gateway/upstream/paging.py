"""A pull, page by page: what is asked, where it stopped, and the proof that nothing is missing.

The cursor is opaque to the platform: stream, filter, last number, the highest number when the read began (rows that
come later do not shift pages), rows so far, and a digest chained over the pages: d(k) = SHA-256(d(k-1) + JSON of page k
before deflate), d(0) empty. It needs no memory here, so a read goes on after a cut, a restart, or on another link.
"""

import binascii
import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass

import msgspec

from gateway.upstream.envelope import U64, Query
from gateway.upstream.pages import Packed, pack
from gateway.upstream.ports import Outbox
from gateway.upstream.translate import When, message_of

ROWS_AT_ONCE = 120  # a page holds at most this: 120 summaries deflate to about 5 kB, and take 3 ms to make
_FORMAT = 1


class _State(msgspec.Struct, array_like=True):
    form: int
    stream: str
    filter: bytes
    after: U64
    hi: U64
    rows: U64
    digest: bytes


@dataclass(frozen=True, slots=True)
class PulledPage:
    """One page of a pull. cursor: how to go on behind it, None on the last; rows and digest: of all pages so far."""

    packed: Packed
    number: int
    cursor: str | None
    rows: int
    digest: str


def _filter_tag(query: Query) -> bytes:
    asked = f"{query.bed}|{query.from_}|{query.to}|{query.after}|{query.hi}|{query.res}"
    return hashlib.sha256(asked.encode()).digest()[:8]


def _begin(stream: str, query: Query, head: int) -> _State:
    hi = head if query.hi is None else min(head, query.hi)
    return _State(_FORMAT, stream, _filter_tag(query), query.after or 0, hi, 0, b"")


def _resume(stream: str, query: Query, cursor: str) -> _State:
    """ValueError when the cursor is none of ours or belongs to another read."""
    try:
        state = msgspec.msgpack.decode(urlsafe_b64decode(cursor.encode("ascii")), type=_State)
    except (msgspec.MsgspecError, binascii.Error, UnicodeError) as error:
        raise ValueError(f"cursor is none of this gateway's: {error}") from None
    if state.form != _FORMAT or state.stream != stream or state.filter != _filter_tag(query):
        raise ValueError("cursor belongs to another read: stream, bed, from, to, after, hi and res must be the same")
    return state


def start(stream: str, query: Query, head: int) -> _State:
    """Where a read begins or goes on. ValueError for a foreign cursor or a resolution other than one minute."""
    if query.res != "1m":
        raise ValueError(f"res {query.res!r}: only '1m' is kept")
    return _begin(stream, query, head) if query.cursor is None else _resume(stream, query, query.cursor)


async def read(outbox: Outbox, when: When, state: _State, query: Query, limit_bytes: int) -> AsyncIterator[PulledPage]:
    """Pages until the rows or the credit `query.max_pages` end."""
    for number in range(1, query.max_pages + 1):
        rows = await outbox.range(
            state.stream,
            state.after,
            ROWS_AT_ONCE + 1,
            bed=query.bed,
            from_utc_ms=query.from_,
            to_utc_ms=query.to,
            hi=state.hi,
        )
        messages = [message_of(row, when, hist=True) for row in rows[:ROWS_AT_ONCE]]
        packed = pack(state.stream, messages, limit_bytes)
        last = packed.rows == len(rows)
        if packed.rows:
            state.after = rows[packed.rows - 1].seq
        state.rows += packed.rows
        state.digest = hashlib.sha256(state.digest + packed.plain).digest()
        cursor = None if last else urlsafe_b64encode(msgspec.msgpack.encode(state)).decode("ascii")
        yield PulledPage(packed, number, cursor, state.rows, state.digest.hex())
        if last:
            return
