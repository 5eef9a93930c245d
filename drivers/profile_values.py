"""Raw numbers to values and back, as a profile declares them: no eval, no code in data."""

import struct
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.profile_schema import SIZES, MessageField, Order, Value
from gateway.core.errors import ProtocolError

CODES = {"u8": "B", "s8": "b", "u16": "H", "s16": "h", "u32": "I", "s32": "i", "f32": "f"}
NUMPY = {"u8": "u1", "s8": "i1", "u16": "u2", "s16": "i2", "u32": "u4", "s32": "i4", "f32": "f4"}
SIGN = {"little": "<", "big": ">"}
HINT = "the device sends something else than its profile says: check model and firmware"


def unpack(kind: str, order: Order, data: bytes) -> int | float:
    """One raw number from exactly as many bytes as its type has."""
    number: int | float = struct.unpack(SIGN[order] + CODES[kind], data)[0]
    return number


def pack(kind: str, order: Order, number: float) -> bytes:
    """The reverse of unpack; ProtocolError when the number does not fit its type."""
    try:
        return struct.pack(SIGN[order] + CODES[kind], number if kind == "f32" else round(number))
    except struct.error as error:
        raise ProtocolError(f"range: {number} does not fit {kind}", hint="give a number in its range") from error


def digits(value: Value) -> int | None:
    """Decimal places of a scaled value; None for floats, which are kept as they are."""
    if value.type == "f32":
        return None
    exponents = (int(part.as_tuple().exponent) for part in (value.scale, value.offset))
    return max(0, -min(exponents))


def scaled(value: Value, raw: float) -> float | None:
    """What a raw number means, or None where the profile says "not measured" (a float's NaN too).

    ProtocolError (reason "value" or "out_of_range") where the profile forbids the number.
    """
    if value.must_equal is not None and raw != value.must_equal:
        raise ProtocolError(f"value: {value.name} is {raw}, not {value.must_equal}", hint=HINT)
    if raw in value.null or raw != raw:
        return None
    places = digits(value)
    number = raw * float(value.scale) + float(value.offset)
    if places is not None:
        number = round(number, places)
    if (value.min is not None and number < value.min) or (value.max is not None and number > value.max):
        message = f"out_of_range: {value.name} is {number:g}, allowed {value.min} to {value.max}"
        raise ProtocolError(message, hint=HINT)
    return number


def unscaled(value: Value, number: float | None) -> float:
    """The raw number that means `number`; None is the first of the profile's null numbers."""
    if number is None:
        if not value.null:
            raise ProtocolError(f"null: {value.name} has no raw number for 'not measured'", hint="give a number")
        return value.null[0]
    raw = (Decimal(repr(float(number))) - value.offset) / value.scale
    return float(raw) if value.type == "f32" else round(raw)


def limits(value: Value) -> tuple[float, float]:
    """The scaled bounds of an integer type: samples that stand there may be clipped."""
    info = np.iinfo(NUMPY[value.type])
    return float(info.min) * float(value.scale), float(info.max) * float(value.scale)


def decode_message(fields: Sequence[MessageField], order: Order, data: bytes) -> dict[str, Any]:
    """Values by name; a repeated field gives float32, shape (n,). ProtocolError when the data are too short or long."""
    values: dict[str, Any] = {}
    at = 0
    for field in fields:
        field_order = field.byte_order or order
        if field.repeat:
            values[field.name] = _decode_repeated(field, field_order, data[at:])
            return values
        end = at + SIZES[field.type]
        if end > len(data):
            raise ProtocolError(f"short: {field.name} needs {end} bytes of data, there are {len(data)}", hint=HINT)
        values[field.name] = scaled(field, unpack(field.type, field_order, data[at:end]))
        at = end
    if at != len(data):
        raise ProtocolError(f"long: {len(data)} bytes of data, the fields fill {at}", hint=HINT)
    return values


def _decode_repeated(field: MessageField, order: Order, data: bytes) -> NDArray[np.float32]:
    if len(data) % SIZES[field.type]:
        raise ProtocolError(f"short: {len(data)} bytes are no whole number of {field.name} ({field.type})", hint=HINT)
    raw = np.frombuffer(data, dtype=SIGN[order] + NUMPY[field.type])
    values = (raw * float(field.scale) + float(field.offset)).astype(np.float32)
    if field.null:
        values[np.isin(raw, field.null)] = np.nan
    return values


def encode_message(fields: Sequence[MessageField], order: Order, values: Mapping[str, Any]) -> bytes:
    """The reverse of decode_message, for the device's end of the wire; samples beyond the type's range are clipped."""
    data = bytearray()
    for field in fields:
        field_order = field.byte_order or order
        if field.repeat:
            low, high = (np.iinfo(NUMPY[field.type]).min, np.iinfo(NUMPY[field.type]).max)
            raw = (np.asarray(values[field.name], dtype=np.float64) - float(field.offset)) / float(field.scale)
            whole = np.rint(np.clip(raw, low, high))
            data += whole.astype(SIGN[field_order] + NUMPY[field.type]).tobytes()
        else:
            fixed = field.must_equal
            number = fixed if isinstance(fixed, int) else unscaled(field, values[field.name])
            data += pack(field.type, field_order, number)
    return bytes(data)
