"""SunTech frames: vectors, properties of the stream decoder, and that no frame of ours can start a cuff."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.suntech.frame import (
    GET_CUFF,
    GET_RESULT,
    REPLIES,
    VECTOR_DECODERS,
    Cuff,
    Reply,
    Result,
    SuntechStream,
    encode,
    encode_command,
)
from tests.drivers.serial_bench import cases, check, same_in_any_pieces

RESULT = bytes.fromhex("3e1873004a001e01000000000000310755005800000000e9")
DONE = bytes.fromhex("3e044b73")
pieces = st.lists(
    st.one_of(st.binary(max_size=12), st.sampled_from([RESULT, RESULT[:13], DONE, DONE[:3], encode(Cuff(180))])),
    max_size=12,
).map(b"".join)


@pytest.mark.parametrize("case", cases("suntech_nibp"), ids=lambda case: str(case["id"]))
def test_published_vector_is_decoded(case: dict[str, Any]) -> None:
    check(VECTOR_DECODERS, case)


@given(stream=pieces, cuts=st.lists(st.integers(0, 2000), max_size=15))
def test_any_chunking_of_any_bytes_gives_the_same_frames_and_counters(stream: bytes, cuts: list[int]) -> None:
    same_in_any_pieces(SuntechStream, stream, cuts, 24)


@given(noise=st.binary(max_size=60))
def test_after_any_noise_the_second_result_is_recognised(noise: bytes) -> None:
    assert SuntechStream().feed(noise + RESULT * 2)[0][-1].raw == RESULT


@pytest.mark.parametrize("word", list(REPLIES.values()))
def test_every_reply_survives_the_wire(word: str) -> None:
    (said,), _ = SuntechStream().feed(encode(Reply(word)))
    assert isinstance(said, Reply)
    assert said.word == word


def test_a_result_and_a_cuff_survive_the_wire() -> None:
    result = Result(260, 110, 31, 2, 88, 160, 7)
    said, rejects = SuntechStream().feed(encode(result) + encode(Cuff(299)))
    assert [one._replace(raw=b"") for one in said] == [result, Cuff(299)]
    assert rejects.counts == {}


def test_a_cuff_of_the_streaming_mode_is_tagged() -> None:
    body = bytes((0x3E, 7, 1, 0x2C, 0x01, 0))
    (cuff,), _ = SuntechStream().feed(body + bytes((-sum(body) & 0xFF,)))
    assert isinstance(cuff, Cuff)
    assert cuff.mmhg == 300


def test_the_commands_that_move_no_cuff_are_those_of_the_document() -> None:
    assert encode_command(GET_RESULT).hex() == "3a7903004a"
    assert encode_command(GET_CUFF).hex() == "3a79050048"


@pytest.mark.parametrize("start", [b"\x20", b"\x56", b"\x28", b""])
def test_a_command_that_starts_a_cuff_cannot_be_encoded(start: bytes) -> None:
    with pytest.raises(ValueError, match="move no cuff"):
        encode_command(start)
