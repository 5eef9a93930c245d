"""TaiDoc frames: vectors, and properties of their stream decoder."""

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.taidoc.frame import (
    FROM_DEVICE,
    TO_DEVICE,
    VECTOR_DECODERS,
    Command,
    Frame,
    TaidocStream,
    decode_blood,
    decode_count,
    decode_pressure,
    decode_time,
    encode,
    encode_time,
)
from drivers.taidoc.models import MODELS, meaning
from gateway.core.errors import ProtocolError
from gateway.core.model import Status
from tests.drivers.serial_bench import cases, check, same_in_any_pieces

ANSWER = bytes.fromhex("51267d005040a529")
pieces = st.lists(
    st.one_of(st.binary(max_size=12), st.sampled_from([ANSWER, ANSWER[:5], encode(Command.COUNT), b"\x51\x51"])),
    max_size=12,
).map(b"".join)


@pytest.mark.parametrize("case", cases("taidoc"), ids=lambda case: str(case["id"]))
def test_published_vector_is_decoded(case: dict[str, Any]) -> None:
    check(VECTOR_DECODERS, case)


@given(stream=pieces, cuts=st.lists(st.integers(0, 2000), max_size=15))
def test_any_chunking_of_any_bytes_gives_the_same_frames_and_counters(stream: bytes, cuts: list[int]) -> None:
    same_in_any_pieces(TaidocStream, stream, cuts, 8)
    same_in_any_pieces(lambda: TaidocStream(None), stream, cuts, 8)


@given(noise=st.binary(max_size=60))
def test_after_any_noise_the_second_frame_is_recognised(noise: bytes) -> None:
    assert TaidocStream().feed(noise + ANSWER * 2)[0][-1].raw == ANSWER


def test_a_gateway_s_own_request_is_no_answer() -> None:
    frames, rejects = TaidocStream().feed(encode(Command.CONNECT) + ANSWER)
    assert [frame.raw for frame in frames] == [ANSWER]
    assert rejects.counts["direction"] == 1


def test_the_command_that_erases_a_meter_cannot_be_encoded() -> None:
    with pytest.raises(ValueError, match="82"):
        encode(0x52)
    assert 0x52 not in list(Command)


@given(local=st.datetimes(datetime(2000, 1, 1), datetime(2127, 12, 31)))  # noqa: DTZ001 - a device's local time
def test_a_time_survives_the_wire_to_the_minute_whatever_flags_a_cuff_adds(local: datetime) -> None:
    data = encode_time(local)
    flagged = data[:2] + bytes((data[2] | 0xC0, data[3] | 0xE0))
    assert decode_time(data) == decode_time(flagged) == local.replace(second=0, microsecond=0)


def test_a_day_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ProtocolError, match=r"^time"):
        decode_time(bytes.fromhex("00000000"))


def test_an_empty_meter_has_no_records() -> None:
    assert decode_count(bytes.fromhex("0000ffff")) == 0
    assert decode_count(bytes.fromhex("ffff0000")) == 0
    assert decode_count(bytes.fromhex("2c010500")) == 300


def test_a_flag_in_the_second_byte_is_no_pressure() -> None:
    assert decode_pressure(bytes.fromhex("7d015040"), one_byte=True).systolic == 125
    assert decode_pressure(bytes.fromhex("7d805040")).systolic == 125
    assert decode_pressure(bytes.fromhex("04010040")).systolic == 260


@pytest.mark.parametrize("code", [0, 1, 2, 3])
def test_a_pulse_up_to_three_is_the_cuff_s_error(code: int) -> None:
    with pytest.raises(ProtocolError, match=r"^cuff_error"):
        decode_pressure(bytes((125, 0, 80, code)))


@pytest.mark.parametrize(
    ("data", "analyte", "value"),
    [
        ("69000000", "glucose", 105), ("69000018", "haematocrit", 105), ("1e00001c", "ketone", 1.0),
        ("32000020", "uric_acid", 5.0), ("c8000024", "cholesterol", 200), ("8c00002c", "haemoglobin", 14.0),
        ("5a000030", "lactate", 90 / 9.008),
    ],
)  # fmt: skip
def test_a_meter_of_many_strips_says_which_one(data: str, analyte: str, value: float) -> None:
    blood = decode_blood(bytes.fromhex(data), many=True)
    assert blood.analyte == analyte
    assert blood.value == pytest.approx(value)


@given(data=st.binary(min_size=4, max_size=4), model=st.sampled_from(sorted(MODELS)))
def test_any_record_has_a_meaning_or_is_refused_with_its_reason(data: bytes, model: str) -> None:
    try:
        found = meaning(MODELS[model], data)
    except ProtocolError as error:
        refusal = str(error).split(":")[0]
    else:
        refusal = ""
        assert found.values
    assert refusal in ("", "no_value", "analyte", "meal", "cuff_error") or refusal.startswith("no_quantity_")


def test_glucose_beyond_the_meter_s_range_carries_the_limit() -> None:
    high, low = meaning(MODELS["taidoc_glucose"], b"\x59\x02\0\0"), meaning(MODELS["taidoc_glucose"], b"\x0a\0\0\0")
    assert (high.values["glucose"], high.status) == (33.3, Status.OVER)
    assert (low.values["glucose"], low.status) == (1.11, Status.UNDER)


def test_glucose_keeps_what_the_meter_said() -> None:
    found = meaning(MODELS["taidoc_glucose"], bytes.fromhex("6f000080"))
    assert (found.values, found.status) == ({"glucose": 6.16}, Status.VALID)
    assert found.original == {"analyte": "glucose", "value": 111, "unit": "mg/dL", "meal": "after"}


def test_a_frame_knows_its_bytes() -> None:
    assert Frame(0x26, bytes.fromhex("7d005040"), FROM_DEVICE).raw == ANSWER
    assert Frame(Command.MODEL, bytes(4), TO_DEVICE).raw == encode(Command.MODEL)
