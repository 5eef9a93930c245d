"""Glucose records: the published vectors, and that no bytes at all can raise."""

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.ble_values import Special
from drivers.gls.frame import (
    VECTOR_DECODERS,
    Context,
    Glucose,
    decode_context,
    decode_measurement,
    encode_context,
    encode_measurement,
    told,
)
from drivers.gls.racp import Answer, RecordCount, Request, decode_answer, decode_request, encode_answer, encode_request
from drivers.hrs.frame import Rejected
from drivers.vectors import same
from gateway.core.errors import ProtocolError

VECTORS = json.loads(
    (Path(__file__).parents[2] / "vectors" / "ble_gls.json").read_text(encoding="utf-8"), parse_float=Decimal
)
EARLIEST, LATEST = datetime.fromisoformat("1582-01-01"), datetime.fromisoformat("9999-12-31T23:59")
TIMES = st.none() | st.datetimes(EARLIEST, LATEST).map(lambda moment: moment.replace(microsecond=0))

glucoses = st.builds(
    Glucose,
    sequence=st.integers(0, 0xFFFF),
    base_time=TIMES,
    offset_min=st.none() | st.integers(-32768, 32767),
    value=st.integers(-2000, 2000).map(lambda mantissa: mantissa / 1e5) | st.sampled_from(Special),
    unit=st.just("kg/L"),
    sample=st.integers(0, 15),
    location=st.integers(0, 15),
    status=st.none() | st.integers(0, 0xFFFF),
    context_follows=st.booleans(),
)


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: str(case["id"]))
def test_published_vector_is_decoded(case: dict[str, Any]) -> None:
    decode, data, expect = VECTOR_DECODERS[case["kind"]], bytes.fromhex(case["hex"]), case["expect"]
    if expect.get("reject"):
        with pytest.raises(ProtocolError):
            decode(data, {})
        return
    values = decode(data, {})
    assert {name: values[name] for name in expect if not same(values[name], expect[name])} == {}


@given(st.binary(max_size=40))
def test_any_bytes_decode_or_are_rejected_and_never_raise(data: bytes) -> None:
    assert isinstance(decode_measurement(data), Glucose | Rejected)
    assert isinstance(decode_context(data), Context | Rejected)
    assert isinstance(decode_answer(data), Answer | RecordCount | Rejected)
    assert isinstance(decode_request(data), Request | Answer)


@given(glucoses)
def test_what_a_meter_sends_is_what_is_read_and_no_shorter_or_longer_frame_is(record: Glucose) -> None:
    data = encode_measurement(record)
    assert decode_measurement(data) == record
    assert decode_measurement(data[:-1]) == Rejected("truncated")
    assert decode_measurement(data + b"\x00") == Rejected("too_long")


@given(
    st.builds(
        Context,
        sequence=st.integers(0, 0xFFFF),
        meal=st.none() | st.integers(0, 255),
        exercise_s=st.none() | st.integers(0, 0xFFFE),
        exercise_percent=st.just(0),
        carbohydrate=st.just(2),
        carbohydrate_kg=st.integers(0, 2000).map(lambda grams: grams / 1000),
        hba1c_percent=st.none() | st.integers(0, 2000).map(lambda tenths: tenths / 10),
    )
)
def test_a_context_is_read_as_it_was_sent(context: Context) -> None:
    decoded = decode_context(encode_context(context))
    assert isinstance(decoded, Context)
    sent = told(context)
    if context.exercise_s is None:
        del sent["exercise_percent"]
    assert told(decoded) == sent


def test_a_context_by_hand_says_meal_carbohydrates_and_medication() -> None:
    # flags carb, meal, tester, medication in litres; sequence 7; lunch 50 g; preprandial; self, no issues; 6 µl rapid
    data = bytes.fromhex("37 0700 02 32d0 01 51 01 06a0".replace(" ", ""))
    decoded = decode_context(data)
    assert isinstance(decoded, Context)
    assert told(decoded) == {
        "carbohydrate": "lunch",
        "carbohydrate_kg": 0.05,
        "meal": "preprandial",
        "tester": "self",
        "health": "no_issues",
        "medication": "rapid_acting_insulin",
        "medication_l": 6e-06,
    }


def test_an_exercise_longer_than_the_meter_can_say_is_not_told_as_18_hours() -> None:
    decoded = decode_context(encode_context(Context(1, exercise_s=0xFFFF, exercise_percent=50)))
    assert isinstance(decoded, Context)
    assert told(decoded) == {"exercise_percent": 50}


def test_a_reserved_flag_is_refused_and_not_guessed_at() -> None:
    assert decode_measurement(bytes.fromhex("200100e8070614080000")) == Rejected("reserved")
    assert decode_context(bytes.fromhex("80010001")) == Rejected("reserved")


def test_a_date_that_is_none_is_refused() -> None:
    assert decode_measurement(bytes.fromhex("000100e8070d14080000")) == Rejected("time")


def test_an_offset_beyond_the_calendar_is_an_unknown_time() -> None:
    record = Glucose(1, LATEST, offset_min=32767)
    assert record.user_time is None


@given(st.binary(min_size=2, max_size=5))
def test_a_request_survives_the_wire(data: bytes) -> None:
    request = decode_request(data)
    if isinstance(request, Request) and request.op.name != "ABORT":
        assert encode_request(request) == data


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 0xFFFFFFFF))
def test_answers_survive_the_wire(op: int, code: int, count: int) -> None:
    assert decode_answer(encode_answer(Answer(op, code))) == Answer(op, code)
    assert decode_answer(encode_answer(RecordCount(count))) == RecordCount(count)
