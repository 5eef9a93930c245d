"""Modbus RTU frames: published vectors, and properties over any bytes."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus_rtu.frame import Request, answer, is_intact, parse_request, refusal, search, with_crc

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "modbus_rtu.json").read_text(encoding="utf-8"))["cases"]
REQUESTS = [case for case in VECTORS if case["kind"] == "rtu_request"]
REPLIES = [case for case in VECTORS if case["kind"] == "rtu_response" and "reject" not in case["expect"]]
REJECTED = [case for case in VECTORS if "reject" in case["expect"]]


def names(cases: list[dict[str, Any]]) -> list[str]:
    return [case["id"] for case in cases]


def question_for(expect: dict[str, Any]) -> Request:
    """The request that the answer in a vector belongs to."""
    count = len(expect.get("registers", [])) or len(expect.get("bits", [])) or 1
    return Request(expect["unit"], expect["function"], 0, count)


@pytest.mark.parametrize("case", REQUESTS, ids=names(REQUESTS))
def test_requests_are_the_published_bytes(case: dict[str, Any]) -> None:
    expect = case["expect"]
    request = Request(expect["unit"], expect["function"], expect["address"], expect["count_or_value"])
    assert request.adu == bytes.fromhex(case["hex"])
    assert parse_request(request.adu) == request


@pytest.mark.parametrize("case", REPLIES, ids=names(REPLIES))
def test_published_answers_decode(case: dict[str, Any]) -> None:
    expect = case["expect"]
    found, _ = search(question_for(expect), bytes.fromhex(case["hex"]))
    assert found is not None
    if "exception" in expect:
        assert found.code == expect["exception"]
        return
    if "registers" in expect:
        pairs = zip(found.data[::2], found.data[1::2], strict=True)
        assert [high << 8 | low for high, low in pairs] == expect["registers"]
    else:
        assert [bool(found.data[n // 8] >> n % 8 & 1) for n in range(len(expect["bits"]))] == expect["bits"]


@pytest.mark.parametrize("case", REJECTED, ids=names(REJECTED))
def test_published_damaged_frames_are_refused(case: dict[str, Any]) -> None:
    frame = bytes.fromhex(case["hex"])
    count = (len(frame) - 5) // 2 if len(frame) > 4 else 1
    assert search(Request(frame[0], frame[1], 0, count), frame)[0] is None
    assert not is_intact(frame)


requests = st.one_of(
    st.builds(Request, st.integers(1, 247), st.sampled_from([1, 2]), st.integers(0, 65535), st.integers(1, 2000)),
    st.builds(Request, st.integers(1, 247), st.sampled_from([3, 4]), st.integers(0, 65535), st.integers(1, 125)),
)


@given(request=requests, data=st.data())
def test_an_answer_is_found_behind_any_noise_in_any_chunks(request: Request, data: st.DataObject) -> None:
    wanted = answer(request, data.draw(st.binary(min_size=request.data_bytes, max_size=request.data_bytes)))
    noise = data.draw(st.binary(max_size=20))
    cut = data.draw(st.integers(0, len(wanted) - 1))
    assert search(request, noise + wanted[:cut])[0] is None
    found, _ = search(request, noise + wanted)
    assert found is not None
    assert found.frame == wanted
    assert found.noise == noise


@given(request=requests, data=st.data())
def test_the_adapters_echo_is_stepped_over_and_is_no_noise(request: Request, data: st.DataObject) -> None:
    wanted = answer(request, data.draw(st.binary(min_size=request.data_bytes, max_size=request.data_bytes)))
    assert search(request, request.adu) == (None, "no_reply")
    found, _ = search(request, request.adu + wanted)
    assert found is not None
    assert (found.frame, found.noise) == (wanted, b"")


@given(request=requests, other=st.integers(1, 247), code=st.integers(1, 11))
def test_a_late_answer_of_another_slave_is_never_taken(request: Request, other: int, code: int) -> None:
    stranger = Request(other, request.function, request.address, request.count)
    late = refusal(stranger, code) + answer(stranger, bytes(request.data_bytes))
    found, _ = search(request, late)
    assert (found is not None) == (other == request.unit)
    mine, _ = search(request, late + answer(request, bytes(request.data_bytes)))
    assert mine is not None
    assert mine.frame[0] == request.unit


@given(request=requests, buffer=st.binary(max_size=600))
def test_no_bytes_raise_and_what_is_found_is_intact(request: Request, buffer: bytes) -> None:
    found, seen = search(request, buffer)
    if found is None:
        assert seen in ("no_reply", "noise", "checksum", "half_reply")
    else:
        assert is_intact(found.frame)
        assert found.frame[0] == request.unit


@given(request=requests, data=st.data())
def test_a_flipped_bit_is_never_an_answer_with_other_data(request: Request, data: st.DataObject) -> None:
    wanted = answer(request, data.draw(st.binary(min_size=request.data_bytes, max_size=request.data_bytes)))
    flip = data.draw(st.integers(0, 8 * len(wanted) - 1))
    damaged = bytearray(wanted)
    damaged[flip // 8] ^= 1 << flip % 8
    found, seen = search(request, bytes(damaged))
    assert found is None
    assert seen != "no_reply"


def test_an_answer_of_another_length_than_asked_for_is_not_taken() -> None:
    request = Request(1, 4, 1, 2)
    assert search(request, answer(Request(1, 4, 1, 3), bytes(6))) == (None, "noise")
    assert search(request, answer(request, bytes(4))[:5]) == (None, "half_reply")
    assert search(request, with_crc(answer(request, bytes(4))[:-2] + b"\x00")[:9]) == (None, "checksum")


@pytest.mark.parametrize("frame", [b"", bytes(7), bytes(8), Request(1, 3, 0, 1).adu[:-1] + b"\x00", bytes(9)])
def test_the_slaves_end_answers_intact_requests_only(frame: bytes) -> None:
    assert parse_request(frame) is None
