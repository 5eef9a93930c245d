"""Register maps: word orders, signs, nulls, and maps that count from one."""

import struct
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus_rtu.driver import HERE
from drivers.modbus_rtu.registers import decode, encode, load_map, request_of
from drivers.profile import models_in
from drivers.profile_schema import Poll

ORDERS = ["ABCD", "CDAB", "BADC", "DCBA"]


def poll_of(**field: Any) -> Poll:
    entry = {"name": "x", "register": 0, **field}
    return Poll.model_validate({"function": 3, "address": 10, "every_ms": 1000, "field": [entry]})


@pytest.mark.parametrize(
    ("order", "data"),
    [("ABCD", "12345678"), ("CDAB", "56781234"), ("BADC", "34127856"), ("DCBA", "78563412")],
)
def test_a_32_bit_number_is_read_in_the_devices_word_order(order: str, data: str) -> None:
    poll = poll_of(type="u32", word_order=order)
    assert decode(poll, bytes.fromhex(data)) == ({"x": 0x12345678}, [])


@given(number=st.floats(width=32, allow_nan=False, allow_infinity=False), order=st.sampled_from(ORDERS))
def test_floats_come_back_from_every_word_order(number: float, order: str) -> None:
    poll = poll_of(type="f32", word_order=order)
    registers = encode(poll.field[0], number)
    assert decode(poll, struct.pack(">2H", *registers))[0]["x"] == number


@given(number=st.integers(-(2**31), 2**31 - 1), order=st.sampled_from(ORDERS))
def test_signed_numbers_come_back_from_every_word_order(number: int, order: str) -> None:
    poll = poll_of(type="s32", word_order=order, scale=Decimal("0.1"))
    registers = encode(poll.field[0], number / 10)
    assert decode(poll, struct.pack(">2H", *registers))[0]["x"] == round(number * 0.1, 1)


def test_an_8_bit_number_is_the_low_byte_of_its_register() -> None:
    assert decode(poll_of(type="s8"), b"\x55\xfe")[0]["x"] == -2
    assert encode(poll_of(type="u8").field[0], 7) == [7]


def test_a_sentinel_is_not_measured_and_a_value_out_of_range_leaves_the_others_alone() -> None:
    entries = [
        {"name": "a", "register": 0, "null": [0x7FFF]},
        {"name": "b", "register": 1, "max": 100},
        {"name": "c", "register": 2},
    ]
    poll = Poll.model_validate({"function": 4, "address": 0, "every_ms": 1000, "field": entries})
    values, refused = decode(poll, struct.pack(">3H", 0x7FFF, 101, 5))
    assert values == {"a": None, "c": 5}
    assert [str(error).split(":")[0] for error in refused] == ["out_of_range"]


@pytest.mark.parametrize("null", [0x8000, -32768])
def test_a_sentinel_is_meant_by_its_bits_however_the_document_prints_it(null: int) -> None:
    poll = poll_of(type="s16", scale=Decimal("0.1"), null=[null, 0x7FFF])
    for raw, value in ((0x8000, None), (0x7FFF, None), (0xFFFF, -0.1), (0x8001, -3276.7), (0, 0)):
        assert decode(poll, struct.pack(">H", raw)) == ({"x": value}, [])
    assert encode(poll.field[0], None) == [0x8000]


@pytest.mark.parametrize("order", ORDERS)
def test_a_sentinel_of_32_bits_is_looked_for_in_the_devices_word_order(order: str) -> None:
    poll = poll_of(type="s32", word_order=order, null=[0x80000000])
    assert decode(poll, struct.pack(">2H", *encode(poll.field[0], None)))[0]["x"] is None
    assert decode(poll, struct.pack(">2H", *encode(poll.field[0], -2)))[0]["x"] == -2


def test_a_float_that_is_none_is_not_measured_and_an_endless_one_is_out_of_any_range() -> None:
    poll = poll_of(type="f32", min=-40, max=85)
    assert decode(poll, bytes.fromhex("7fc00000")) == ({"x": None}, [])
    values, refused = decode(poll, bytes.fromhex("7f800000"))
    assert (values, [str(error).split(":")[0] for error in refused]) == ({}, ["out_of_range"])


def test_a_sentinel_that_the_type_cannot_hold_is_a_fault_of_the_profile() -> None:
    with pytest.raises(ValueError, match="null 70000 does not fit u16"):
        poll_of(null=[70000])


def test_a_map_that_counts_from_one_is_asked_one_lower_and_the_count_comes_from_the_fields() -> None:
    entries = [{"name": "a", "register": 0}, {"name": "b", "register": 3, "type": "u32"}]
    poll = Poll.model_validate(
        {"function": 3, "address": 1, "address_base": 1, "every_ms": 1000, "field": entries}
    )
    request = request_of(poll, 80)
    assert (request.unit, request.address, request.count) == (80, 0, 5)


def test_every_shipped_map_loads_with_its_vectors() -> None:
    paths = models_in(HERE)
    assert sorted(paths) == ["open_kiosk_1", "waveshare_io8", "xy_md02"]
    assert [load_map(path).device.id for path in paths.values()] == list(paths)
