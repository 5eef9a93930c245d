"""The spot check's line: records and clock replies on one wire, in step again within two frames."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.nonin.spot import ClockReply, SpotStream

REPLY = bytes([0x02, 0xF2, 0x06, 24, 5, 17, 13, 42, 7, 0x03])
LONG_HEAD = bytes.fromhex("0002000D0020")  # a record of 40 bytes that never comes


def replies(pieces: Sequence[bytes]) -> list[ClockReply]:
    stream = SpotStream()
    return [frame for piece in pieces for frame in stream.feed(piece)[0] if isinstance(frame, ClockReply)]


@pytest.mark.parametrize("kept", range(1, len(LONG_HEAD) + 1))
def test_a_head_of_a_record_that_never_comes_holds_back_two_clock_replies_at_most(kept: int) -> None:
    assert len(replies([LONG_HEAD[:kept], REPLY, REPLY, REPLY])) >= 2


@given(st.lists(st.integers(0, 46), max_size=8))
def test_any_chunking_hears_the_same_replies(places: list[int]) -> None:
    data = LONG_HEAD + 4 * REPLY
    edges = [0, *sorted(places), len(data)]
    assert replies([data[a:b] for a, b in pairwise(edges)]) == replies([data])


def test_a_reply_without_its_tail_is_no_reply() -> None:
    assert replies([REPLY[:-1] + b"\x04"]) == []
