"""Frames that have to speak for themselves: any bytes decode or are refused, and none with a byte too many is taken."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus_rtu import dissect
from drivers.modbus_rtu.frame import Request, answer, refusal, with_crc
from gateway.core.errors import ProtocolError

REASONS = {"", "checksum", "length", "function", "noise", "half_reply", "no_reply"}
READ = (dissect.request, dissect.answer)


def reason(read: Callable[[bytes], dict[str, Any]], frame: bytes) -> str:
    """Why a frame is refused; "" when it is not."""
    try:
        read(frame)
    except ProtocolError as error:
        return str(error).split(":")[0]
    return ""


@given(data=st.binary(max_size=40))
def test_any_bytes_decode_or_are_refused_by_name(data: bytes) -> None:
    for read in READ:
        assert reason(read, data) in REASONS
        assert reason(read, with_crc(data)) in REASONS


@given(unit=st.integers(0, 255), function=st.sampled_from([3, 4]), data=st.binary(min_size=2, max_size=250))
def test_registers_come_back_as_they_were_sent(unit: int, function: int, data: bytes) -> None:
    data = data[: len(data) // 2 * 2]
    frame = answer(Request(unit, function, 0, len(data) // 2), data)
    found = dissect.answer(frame)
    assert (found["unit"], found["function"]) == (unit, function)
    assert b"".join(value.to_bytes(2, "big") for value in found["registers"]) == data
    assert reason(dissect.answer, frame + b"\0") != ""  # whose CRC is true as well


@pytest.mark.parametrize("function", [1, 2, 3, 4, 5, 6, 15, 16])
def test_a_refusal_of_any_function_is_an_exception_with_its_code(function: int) -> None:
    found = dissect.answer(refusal(Request(17, function, 0, 1), 6))
    assert found == {"unit": 17, "function": function, "exception": 6}


def test_what_is_written_is_told_bit_by_bit_and_register_by_register() -> None:
    coils = dissect.request(with_crc(bytes.fromhex("010f0013000a02cd01")))  # the example of the protocol's section 6.11
    assert coils["count_or_value"] == 10
    assert coils["bits"] == [True, False, True, True, False, False, True, True, True, False]
    registers = dissect.request(with_crc(bytes.fromhex("0110000100020400 0a0102".replace(" ", ""))))  # of section 6.12
    assert (registers["address"], registers["registers"]) == (1, [10, 258])
