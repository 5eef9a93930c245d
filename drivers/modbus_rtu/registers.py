"""A poll's answer to values by field name, and back, as the profile's map says."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drivers.modbus_rtu.frame import Request, search
from drivers.profile import load
from drivers.profile_schema import SIZES, Poll, PollField, Profile, Vector
from drivers.profile_values import pack, scaled, unpack, unscaled
from gateway.core.errors import ProtocolError

Values = dict[str, bool | float | None]


def request_of(poll: Poll, unit: int) -> Request:
    """What to ask slave `unit` for this poll; addresses of maps that count from 1 are brought down to the wire's."""
    return Request(unit, poll.function, poll.address - poll.address_base, poll.size)


def decode(poll: Poll, data: bytes) -> tuple[Values, list[ProtocolError]]:
    """Values by name, and what the profile refuses (such fields are left out). A bit is True while its input is closed.

    data: exactly as many bytes as the poll asks for.
    """
    values: Values = {}
    refused = []
    for field in poll.field:
        try:
            values[field.name] = _decode(field, data)
        except ProtocolError as error:
            refused.append(error)
    return values, refused


def _decode(field: PollField, data: bytes) -> bool | float | None:
    if field.bit is not None:
        return bool(data[field.bit // 8] >> (field.bit % 8) & 1)
    at, size = _place(field)
    return scaled(field, unpack(field.type, "big", _reordered(field, data[at : at + size])))


def encode(field: PollField, number: float | None) -> list[int]:
    """Registers that mean `number` in this field: the slaves' end."""
    raw = _reordered(field, _widened(field, unscaled(field, number)))
    return [int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2)]


def _place(field: PollField) -> tuple[int, int]:
    """Offset and size in the data; an 8-bit type is the low byte of its register."""
    register = field.register_at or 0
    size = SIZES[field.type]
    return (2 * register + 1, 1) if size == 1 else (2 * register, size)


def _widened(field: PollField, raw: float) -> bytes:
    packed = pack(field.type, "big", raw)
    return bytes(1) + packed if len(packed) == 1 else packed


def _reordered(field: PollField, data: bytes) -> bytes:
    """Big-endian from the order the device uses, and back: each of the four orders is its own reverse."""
    if len(data) != 4:
        return data
    return bytes(data["ABCD".index(letter)] for letter in field.word_order)


def decode_vector(profile: Profile, vector: Vector) -> Mapping[str, Any]:
    """Values of a whole answer; ProtocolError with "checksum", "half_reply", "exception_N" or the field's reason."""
    frame = bytes.fromhex(vector.hex)
    poll = profile.poll[vector.poll]
    found, seen = search(request_of(poll, frame[0]), frame)
    if found is None:
        raise ProtocolError(f"{seen}: no answer to this poll", hint="compare function, count and CRC (low byte first)")
    if found.code:
        raise ProtocolError(f"exception_{found.code}: the device refused", hint="compare address and count")
    values, refused = decode(poll, found.data)
    if refused:
        raise refused[0]
    return values


def load_map(path: Path) -> Profile:
    """The profile in `path`, checked. ConfigError with every fault."""
    return load(path, decode_vector)
