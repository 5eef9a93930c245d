"""TaiDoc frames: vectors, and properties of their stream decoder."""

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.profile import models_in
from drivers.taidoc.frame import (
    FROM_DEVICE,
    TO_DEVICE,
    VECTOR_DECODERS,
    Command,
    Frame,
    TaidocStream,
    decode_blood,
    decode_count,
    decode_flags,
    decode_model,
    decode_pressure,
    decode_saturation,
    decode_temperature,
    decode_time,
    encode,
    encode_time,
    weighing_request,
)
from drivers.taidoc.meaning import Meaning, meaning
from drivers.taidoc.models import HERE, Kind, load
from drivers.taidoc.scale import decode_weighing, encode_weighing
from gateway.core.errors import ProtocolError
from gateway.core.model import Status
from tests.drivers.serial_bench import cases, check, same_in_any_pieces

ANSWER = bytes.fromhex("51267d005040a529")
WEIGHING = bytes.fromhex("51711d15100b1212210400a702911d000268054e00dc00000000000000000000a5ed")
MODELS = sorted(models_in(HERE))
WHY = ("", "no_value", "analyte", "cuff_error", "length", "empty")
PARTS = [ANSWER, ANSWER[:5], encode(Command.COUNT), b"\x51\x51", b"\x51\x71", WEIGHING, WEIGHING[:30]]
pieces = st.lists(
    st.one_of(st.binary(max_size=12), st.sampled_from(PARTS)),
    max_size=12,
).map(b"".join)


@pytest.mark.parametrize("case", cases("taidoc"), ids=lambda case: str(case["id"]))
def test_published_vector_is_decoded(case: dict[str, Any]) -> None:
    check(VECTOR_DECODERS, case)


@given(stream=pieces, cuts=st.lists(st.integers(0, 2000), max_size=15))
def test_any_chunking_of_any_bytes_gives_the_same_frames_and_counters(stream: bytes, cuts: list[int]) -> None:
    same_in_any_pieces(TaidocStream, stream, cuts, 8)
    same_in_any_pieces(lambda: TaidocStream(None), stream, cuts, 8)
    same_in_any_pieces(lambda: TaidocStream(long=True), stream, cuts, 45)


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
    ("data", "analyte", "value", "unit", "told"),
    [
        ("69000000", "glucose", 105, "mg/dL", 5.83), ("2a000018", "haematocrit", 42, "%", 42.0),
        ("1f00001c", "ketone", 31 / 30, "mmol/L", 1.03), ("32000020", "uric_acid", 5.0, "mg/dL", 297.4),
        ("c8000024", "cholesterol", 200, "mg/dL", 5.17), ("8c00002c", "haemoglobin", 14.0, "g/dL", 140.0),
        ("5a000030", "lactate", 90 / 9.008, "mmol/L", 9.99),
    ],
)  # fmt: skip
def test_a_meter_of_many_strips_says_which_one(data: str, analyte: str, value: float, unit: str, told: float) -> None:
    blood = decode_blood(bytes.fromhex(data), many=True)
    assert (blood.analyte, blood.unit, blood.meal) == (analyte, unit, None)
    assert blood.value == pytest.approx(value)
    assert meaning(load("td_4216"), bytes.fromhex(data)).values == {analyte: told}


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 5, 10, 13, 14, 15])
def test_a_strip_that_nobody_described_is_refused(kind: int) -> None:
    with pytest.raises(ProtocolError, match=r"^analyte"):
        decode_blood(bytes((105, 0, 0, kind << 2)), many=True)


@pytest.mark.parametrize(("flag", "meal"), [(0x00, None), (0x40, "before"), (0x80, "after"), (0xC0, "control")])
def test_the_meal_stands_in_the_two_upper_bits_beside_the_strip(flag: int, meal: str | None) -> None:
    assert decode_blood(bytes((105, 0, 6, flag))).meal == meal
    assert decode_blood(bytes((105, 0, 6, flag | 0x03))).meal == meal  # the code of the strip
    assert decode_blood(bytes((30, 0, 0, flag | 7 << 2)), many=True)[::3] == ("ketone", meal)


def test_a_control_solution_is_a_reading_of_nobody() -> None:
    found = meaning(load("td_4277"), bytes.fromhex("6f0000c0"))
    assert (found.values, found.is_control) == ({}, True)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [(0, 0.0), (366, 36.6), (999, 99.9), (1000, 10.0), (3650, 36.5), (3655, 36.55), (65535, 655.35)],
)
def test_a_temperature_is_in_hundredths_from_a_thousand_on(raw: int, shown: float) -> None:
    assert decode_temperature(raw.to_bytes(2, "little") + b"\0\0") == shown


def test_no_saturation_and_no_pulse_are_none() -> None:
    assert decode_saturation(bytes((97, 0, 0, 72))) == (97, 72)
    assert decode_saturation(bytes((97, 0, 0, 0))) == (97, None)
    assert decode_saturation(bytes(4)) == (None, None)


def test_a_model_is_told_by_four_decimal_digits() -> None:
    assert decode_model(bytes.fromhex("35420102")) == "TD-4235"
    assert decode_model(bytes.fromhex("01000000")) == "TD-0001"
    with pytest.raises(ProtocolError, match=r"^model"):
        decode_model(bytes.fromhex("4a420000"))


@pytest.mark.parametrize("command", [*Command, 0x22, 0x24, 0x43, 0x52, 0x54, 0x00, 0xFF])
def test_an_answer_to_any_command_is_a_frame(command: int) -> None:
    raw = encode(command, b"\x51\xa5\x51\xa3", FROM_DEVICE)
    assert TaidocStream().feed(raw)[0] == [Frame(command, b"\x51\xa5\x51\xa3", FROM_DEVICE)]


@given(data=st.binary(min_size=4, max_size=4), command=st.integers(0, 255), at=st.integers(0, 7), bit=st.integers(0, 7))
def test_one_flipped_bit_is_never_the_same_frame_and_hardly_another(
    data: bytes, command: int, at: int, bit: int
) -> None:
    raw = bytearray(encode(command, data, FROM_DEVICE))
    raw[at] ^= 1 << bit
    assert TaidocStream().feed(bytes(raw))[0] == []


def test_the_time_of_a_cuff_says_how_the_beats_were() -> None:
    at = datetime(2026, 11, 24, 21, 30)  # noqa: DTZ001 - a device's local time
    plain = encode_time(at)
    assert decode_flags(plain) == (False, False, "normal", False)
    marked = plain[:2] + bytes((plain[2] | 0xC0, plain[3] | 0xE0))
    assert decode_flags(marked) == (True, True, "atrial_fibrillation", True)
    assert decode_time(marked) == at
    said = meaning(load("td_3261"), bytes((125, 0, 80, 64)), marked).original
    assert said == {"irregular": True, "average": True, "rhythm": "atrial_fibrillation"}


def test_a_mixed_memory_says_of_each_record_what_it_is() -> None:
    model, value = load("td_3261"), bytes((125, 0, 80, 64))
    pressure = meaning(model, value, bytes.fromhex("21268e15"))
    glucose = meaning(model, value, bytes.fromhex("21260e15"))
    assert pressure.values == {"systolic": 125, "diastolic": 80, "pulse_rate": 64}
    assert glucose.values == {"glucose": 6.94}


def test_a_weighing_of_a_real_scale_is_decoded() -> None:
    frames, rejects = TaidocStream(long=True).feed(b"\x51\x71\xff" + WEIGHING[:9] + WEIGHING)
    assert [frame.raw for frame in frames] == [WEIGHING]
    assert rejects.counts["length"] == 1
    weighing = decode_weighing(frames[0].data)
    assert weighing[1:7] == (4, 167, "kg", 61.6, 135.8, 22.0)
    assert weighing.shown == datetime(2016, 11, 18, 18, 33)  # noqa: DTZ001 - a device's local time
    assert meaning(load("td_2551"), frames[0].data).values == {"weight": 61.6, "bmi": 22.0}


def test_a_height_keyed_in_wrongly_costs_no_weighing() -> None:
    at = datetime(2026, 11, 24, 21, 30)  # noqa: DTZ001 - a device's local time
    found: Meaning = meaning(load("td_2551"), encode_weighing(at, 72.5, height_cm=17, bmi=2508.6))
    assert found.values == {"weight": 72.5}
    assert found.original["height_cm"] == 17


def test_the_request_for_a_weighing_is_the_published_one() -> None:
    assert weighing_request(Command.WEIGHING, 0).hex() == "51710200 00a367".replace(" ", "")
    assert weighing_request(Command.WEIGHING_BIA, 0).hex() == "5177020000a36d"


@given(
    data=st.binary(min_size=4, max_size=40), time=st.binary(min_size=4, max_size=4), model=st.sampled_from(MODELS)
)
def test_any_record_has_a_meaning_or_is_refused_with_its_reason(data: bytes, time: bytes, model: str) -> None:
    of_scale = load(model).kind is Kind.WEIGHT
    refusal = ""
    try:
        found = meaning(load(model), data if of_scale else data[:4], time)
    except ProtocolError as error:
        refusal = str(error).split(":")[0]
    else:
        assert found.values or found.is_control
    assert refusal in WHY


@pytest.mark.parametrize(
    ("mg_dl", "told", "status"),
    [
        (19, 1.11, Status.UNDER), (20, 1.11, Status.VALID), (600, 33.3, Status.VALID), (601, 33.3, Status.OVER),
        (999, 33.3, Status.OVER), (1000, 55.51, Status.VALID),
    ],
)  # fmt: skip
def test_glucose_beyond_the_meter_s_range_carries_the_limit(mg_dl: int, told: float, status: Status) -> None:
    """What is more than any meter counts is left as it is, for the plausible range to refuse."""
    found = meaning(load("taidoc_glucose"), mg_dl.to_bytes(2, "little") + b"\0\0")
    assert (found.values, found.status) == ({"glucose": told}, status)


@pytest.mark.parametrize("raw", [0, 0xFFFF])
def test_a_strip_without_a_value_is_no_reading(raw: int) -> None:
    with pytest.raises(ProtocolError, match=r"^no_value"):
        decode_blood(raw.to_bytes(2, "little") + b"\0\0")


def test_glucose_keeps_what_the_meter_said() -> None:
    found = meaning(load("taidoc_glucose"), bytes.fromhex("6f000080"))
    assert (found.values, found.status) == ({"glucose": 6.16}, Status.VALID)
    assert found.original == {"analyte": "glucose", "value": 111, "unit": "mg/dL", "meal": "after"}


def test_a_frame_knows_its_bytes() -> None:
    assert Frame(0x26, bytes.fromhex("7d005040"), FROM_DEVICE).raw == ANSWER
    assert Frame(Command.MODEL, bytes(4), TO_DEVICE).raw == encode(Command.MODEL)
