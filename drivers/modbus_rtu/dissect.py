"""What a whole frame on a bus says when nobody knows its question: for vectors and for what an installer has captured.

The driver knows what it has asked and uses `frame.search` alone; here the frame has to speak for itself. A valid frame
with a zero byte behind it has a valid CRC too, so every length is compared. Source: Modbus application protocol V1.1b3.
"""

from typing import Any

from drivers.modbus_rtu.frame import EXCEPTION, EXCEPTION_BYTES, Request, is_intact, search
from gateway.core.errors import ProtocolError

READ_BITS, READ_REGISTERS = (1, 2), (3, 4)
WRITE_COILS, WRITE_REGISTERS = 15, 16
WRITES = (5, 6, WRITE_COILS, WRITE_REGISTERS)  # answered with the first six bytes of their request
PLAIN_BYTES = 8  # unit, function, address, count or value, CRC
HEAD_BYTES = 7  # of a request that carries data: unit, function, address, count, byte count
HINT = "compare with the device's document"


def request(frame: bytes) -> dict[str, Any]:
    """A master's request: unit, function, address, count_or_value, and the registers that it writes. ProtocolError."""
    if not is_intact(frame):
        raise ProtocolError("checksum: no request with a true CRC", hint=HINT)
    found = _plain(frame)
    if frame[1] not in (WRITE_COILS, WRITE_REGISTERS):
        _need(frame, PLAIN_BYTES)
        return found
    count = found["count_or_value"]
    size = (count + 7) // 8 if frame[1] == WRITE_COILS else 2 * count
    _need(frame, HEAD_BYTES + size + 2)
    if frame[HEAD_BYTES - 1] != size:
        raise ProtocolError(f"length: {count} values are {size} bytes, not {frame[HEAD_BYTES - 1]}", hint=HINT)
    data = frame[HEAD_BYTES:-2]
    return found | ({"bits": _bits(data, count)} if frame[1] == WRITE_COILS else {"registers": _registers(data)})


def answer(frame: bytes) -> dict[str, Any]:
    """A slave's answer: unit, function, and exception, bits, registers, or what was written. ProtocolError."""
    if not is_intact(frame):
        raise ProtocolError("checksum: no answer with a true CRC", hint=HINT)
    head = {"unit": frame[0], "function": frame[1] & ~EXCEPTION}
    if frame[1] & EXCEPTION:
        _need(frame, EXCEPTION_BYTES)
        return head | {"exception": frame[2]}
    if frame[1] in WRITES:
        _need(frame, PLAIN_BYTES)
        return _plain(frame)
    if frame[1] not in (*READ_BITS, *READ_REGISTERS):
        raise ProtocolError(f"function: {frame[1]} is none whose answer is known here", hint=HINT)
    given, bits = frame[2], frame[1] in READ_BITS
    asked = Request(frame[0], frame[1], 0, 8 * given if bits else given // 2)
    found, seen = search(asked, frame)
    if not given or found is None or found.frame != frame:
        raise ProtocolError(f"{seen or 'length'}: no single whole answer", hint=HINT)
    return head | ({"bits": _bits(found.data, 8 * given)} if bits else {"registers": _registers(found.data)})


def _plain(frame: bytes) -> dict[str, Any]:
    if len(frame) < PLAIN_BYTES:
        raise ProtocolError(f"length: {len(frame)} bytes are no whole frame", hint=HINT)
    address, count = int.from_bytes(frame[2:4], "big"), int.from_bytes(frame[4:6], "big")
    return {"unit": frame[0], "function": frame[1], "address": address, "count_or_value": count}


def _need(frame: bytes, size: int) -> None:
    if len(frame) != size:
        raise ProtocolError(f"length: {len(frame)} bytes, a frame of function {frame[1]} has {size} here", hint=HINT)


def _bits(data: bytes, count: int) -> list[bool]:
    """The lowest bit of the first byte is the first input."""
    return [bool(data[at // 8] >> at % 8 & 1) for at in range(count)]


def _registers(data: bytes) -> list[int]:
    return [high << 8 | low for high, low in zip(data[::2], data[1::2], strict=True)]
