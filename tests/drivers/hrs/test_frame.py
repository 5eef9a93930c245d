"""Heart Rate Measurement: the published vectors, and that no bytes at all can raise."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.hrs.frame import HeartRate, Rejected, battery_percent, beat_ages_s, decode, encode

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "ble_hrs.json").read_text(encoding="utf-8"))

heart_rates = st.builds(
    HeartRate,
    bpm=st.integers(0, 0xFFFF),
    contact=st.none() | st.booleans(),
    energy_kj=st.none() | st.integers(0, 0xFFFF),
    rr=st.lists(st.integers(0, 0xFFFF), max_size=9).map(tuple),
)


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: str(case["id"]))
def test_published_vector_is_decoded(case: dict[str, Any]) -> None:
    decoded = decode(bytes.fromhex(case["hex"]))
    expect = case["expect"]
    if expect.get("reject"):
        assert isinstance(decoded, Rejected)
        return
    assert decoded == HeartRate(
        expect["heart_rate_bpm"], expect["sensor_contact"], expect["energy_expended_kJ"], tuple(expect["rr_1024ths_s"])
    )


@given(st.binary(max_size=64))
def test_any_bytes_decode_or_are_rejected_and_never_raise(data: bytes) -> None:
    assert isinstance(decode(data), HeartRate | Rejected)
    assert isinstance(battery_percent(data), int | Rejected)


@given(heart_rates)
def test_what_a_strap_sends_is_what_is_read(heart_rate: HeartRate) -> None:
    assert decode(encode(heart_rate)) == heart_rate


def test_a_frame_with_a_reserved_flag_is_refused_and_not_guessed_at() -> None:
    assert decode(bytes.fromhex("2055")) == Rejected("reserved_flag")


def test_a_byte_too_many_refuses_the_frame() -> None:
    assert decode(bytes.fromhex("005500")) == Rejected("too_long")


def test_beats_are_counted_back_from_the_notification() -> None:
    assert beat_ages_s((1024, 512, 256)) == (0.75, 0.25, 0.0)
