"""Medical floats and dates of Bluetooth: published values, every special, and the way back."""

from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.ble_values import (
    Special,
    current_time_bytes,
    date_time,
    date_time_bytes,
    float32,
    float32_word,
    sfloat,
    sfloat_word,
)
from drivers.units import convert, known, normalise
from gateway.core.errors import ProtocolError

NOON = datetime(2026, 11, 24, 12, 0, 5)  # noqa: DTZ001 - a device knows no zone


@pytest.mark.parametrize(
    ("word", "value"),
    [(0xF0BD, 18.9), (0x0062, 98.0), (0xF3D3, 97.9), (0xF0B0, 17.6), (0x8062, 98e-8), (0xFFFF, -0.1), (0x7001, 1e7)],
)
def test_short_floats_are_decimal_numbers(word: int, value: float) -> None:
    assert sfloat(word) == value


def test_specials_are_no_numbers_and_a_look_alike_is_one() -> None:
    assert [sfloat(word) for word in (0x7FF, 0x800, 0x7FE, 0x802, 0x801)] == list(Special)
    words = (0x7FFFFF, 0x800000, 0x7FFFFE, 0x800002, 0x800001)
    assert [float32(word) for word in words] == list(Special)
    assert float32(0x00008002) == 32770


@given(st.integers(0, 0xFFFF))
def test_every_short_float_is_the_double_nearest_to_its_decimal(word: int) -> None:
    value = sfloat(word)
    if isinstance(value, Special):
        assert sfloat(sfloat_word(value)) is value
        return
    mantissa = word & 0xFFF
    exponent = (word >> 12) - 16 * (word >> 15)
    assert value == float(Decimal(mantissa - 4096 * (mantissa >> 11)).scaleb(exponent))


@given(st.integers(-8_388_600, 8_388_600), st.integers(-12, 8))
def test_a_long_float_comes_back_as_it_went(mantissa: int, exponent: int) -> None:
    value = float(Decimal(mantissa).scaleb(exponent))
    assert float32(float32_word(value, exponent)) == value


def test_a_number_that_does_not_fit_is_no_other_number() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        sfloat_word(2047.0)


@given(st.datetimes(min_value=datetime(1582, 1, 1), max_value=datetime(9999, 12, 31)))  # noqa: DTZ001
def test_a_date_comes_back_as_it_went(moment: datetime) -> None:
    assert date_time(date_time_bytes(moment)) == moment.replace(microsecond=0)


@given(st.binary(max_size=9))
def test_any_bytes_are_a_date_or_none_or_refused(data: bytes) -> None:
    try:
        found = date_time(data)
    except ProtocolError as error:
        reason = str(error).split(":")[0]
        found = None
    else:
        reason = ""
    assert reason in ("", "short", "time")
    assert found is None or found.year > 0


def test_an_unknown_year_month_or_day_is_no_date_and_the_30th_of_february_is_refused() -> None:
    for part in (slice(0, 2), slice(2, 3), slice(3, 4)):
        data = bytearray(date_time_bytes(NOON))
        data[part] = bytes(part.stop - part.start)
        assert date_time(bytes(data)) is None
    with pytest.raises(ProtocolError, match=r"^time:"):
        date_time(bytes.fromhex("ea07021e0c0000"))


def test_current_time_says_the_weekday_too() -> None:
    assert current_time_bytes(NOON) == bytes.fromhex("ea070b180c0005" + "020001")


@pytest.mark.parametrize(
    ("value", "unit", "target", "there"),
    [
        (17.6, "kPa", "mm[Hg]", 132.0),
        (98.6, "[degF]", "Cel", 37.0),
        (111.0, "mg/dL", "mmol/L", 6.16),
        (0.00111, "kg/L", "mmol/L", 6.16),
        (0.0058, "mol/L", "mmol/L", 5.8),
        (154.32, "[lb_av]", "kg", 69.998),
        (140.0, "jin", "kg", 70.0),
        (68.9, "[in_i]", "cm", 175.0),
        (72.45, "kg", "kg", 72.45),
    ],
)
def test_units_of_devices_become_the_units_of_the_house(value: float, unit: str, target: str, there: float) -> None:
    assert known(unit, target)
    assert convert(value, unit, target) == there


def test_a_unit_nobody_knows_is_no_number() -> None:
    with pytest.raises(ValueError, match="no conversion from 'st' to 'kg'"):
        normalise("weight", 11.0, "st")


@pytest.mark.parametrize(
    "text",
    ["2d060101000000", "01000101000000", "10270101000000", "e8070d01000000", "e807021e000000", "e8070101183c3c"],
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError, match="time"):
        date_time(bytes.fromhex(text))
