"""A message's fields compiled once, then bytes to values as often as they come: what the bytes say, not what is likely.

Specials of medical floats become None and are told in `specials`; plausibility is judged one layer above.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from drivers.ble_values import Special, date_time, float32, sfloat
from drivers.profile_condition import Condition, parse
from drivers.profile_parts import WIDE_SIZES, MessageField, Order, pairs
from drivers.profile_values import HINT, SIGN
from gateway.core.errors import ProtocolError

Raw = dict[str, int]
SIGNED = ("s8", "s16", "s32")
MEDICAL = {"sfloat": sfloat, "float32": float32}


@dataclass(slots=True)
class Decoded:
    """One message. values: every field by name, None where it is absent or not measured; a number, a date, a text, a
    list of them, or what a mapped number is called. raw: whole numbers as they stood. units: where they depend on the
    message. specials: what a medical float said instead of a number."""

    values: dict[str, Any] = field(default_factory=dict)
    raw: Raw = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    specials: dict[str, Special] = field(default_factory=dict)


class MessageDecoder:
    """Fields in order. exact: bytes behind the last field refuse the message."""

    def __init__(self, fields: Sequence[MessageField], order: Order, *, exact: bool = True) -> None:
        self._fields = tuple(_Field(entry, entry.byte_order or order) for entry in fields)
        self._exact = exact

    def decode(self, data: bytes) -> Decoded:
        """ProtocolError whose message begins with the reason: truncated, too_long, reserved, value, out_of_range,
        unmapped, time, ascii."""
        found = Decoded()
        at = 0
        for entry in self._fields:
            at = entry.read(data, at, found)
        if self._exact and at != len(data):
            raise ProtocolError(f"too_long: {len(data)} bytes, the fields fill {at}", hint=HINT)
        return found


class _Field:
    """One field made ready."""

    def __init__(self, entry: MessageField, order: Order) -> None:
        self.entry = entry
        self.name = entry.name
        self._order = order
        self._when = parse(entry.when) if entry.when else None
        self._unless = parse(entry.null_unless) if entry.null_unless else None
        self._types = _compiled(entry.type_if)
        self._units = _compiled(entry.unit_if)
        self._scales = [(given, _scale(entry, Decimal(str(scale)))) for given, scale in _compiled(entry.scale_if)]
        self._scale = _scale(entry, entry.scale)
        self._null = frozenset(entry.null)
        self._map = {int(raw, 0): meaning for raw, meaning in entry.map.items()}
        self._shift = ((entry.mask or 1) & -(entry.mask or 1)).bit_length() - 1
        self._is_flag = entry.mask is not None and not entry.map and entry.mask >> self._shift == 1

    def read(self, data: bytes, at: int, found: Decoded) -> int:
        """Decode this field at `at`; where the next one begins."""
        entry = self.entry
        if self._when is not None and not self._when.holds(found.raw):
            found.values[self.name] = None
            return at
        if self._units:
            found.units[self.name] = _chosen(self._units, found.raw)
        kind: str = _chosen(self._types, found.raw) if self._types else entry.type
        if kind == "bits":
            found.values[self.name] = self._bits(found)
            return at
        if kind == "ascii":
            return self._text(data, at, found)
        size = WIDE_SIZES[kind]
        if entry.repeat is not None:
            return self._repeated(kind, size, data, at, found)
        end = at + size
        if end > len(data):
            raise ProtocolError(f"truncated: {self.name} needs {end} bytes, there are {len(data)}", hint=HINT)
        found.values[self.name] = self._value(kind, data[at:end], len(data), found)
        return end

    def _value(self, kind: str, piece: bytes, length: int, found: Decoded) -> Any:
        if kind == "datetime7":
            return date_time(piece)
        if kind == "f32":
            number = struct.unpack(SIGN[self._order] + "f", piece)[0]
            return None if number != number or number in self._null else self._scaled(number, found)
        if (medical := MEDICAL.get(kind)) is not None:
            return self._medical(medical(int.from_bytes(piece, self._order)), found)
        raw = int.from_bytes(piece, self._order, signed=kind in SIGNED)
        if kind == "sm16" and raw & 0x8000:
            raw = -(raw & 0x7FFF)
        found.raw[self.name] = raw
        return self._whole(raw, length, found)

    def _whole(self, raw: int, length: int, found: Decoded) -> Any:
        entry = self.entry
        if raw & entry.reserved_mask:
            raise ProtocolError(f"reserved: {self.name} is 0x{raw:02x}, with bits nobody has defined", hint=HINT)
        wanted = length if entry.must_equal == "len" else entry.must_equal
        if wanted is not None and raw != wanted:
            raise ProtocolError(f"value: {self.name} is {raw}, not {wanted}", hint=HINT)
        if raw in self._null or (self._unless is not None and not self._unless.holds(found.raw)):
            return None
        if self._map:
            return self._mapped(raw)
        if entry.bits:
            return [name for name, mask in entry.bits.items() if raw & mask]
        return self._scaled(raw, found)

    def _mapped(self, raw: int) -> Any:
        if raw not in self._map and self.entry.unmapped == "refuse":
            raise ProtocolError(f"unmapped: {self.name} is {raw}, which has no meaning", hint=HINT)
        return self._map.get(raw)

    def _medical(self, number: float | Special, found: Decoded) -> float | None:
        if isinstance(number, Special):
            found.specials[self.name] = number
            return None
        return number if number in self._null else self._bounded(number)

    def _scaled(self, raw: float, found: Decoded) -> float:
        factor, offset, places = _chosen(self._scales, found.raw) if self._scales else self._scale
        if factor == 1 and not offset:
            return self._bounded(raw)
        number = raw * factor + offset
        return self._bounded(round(number, places) if places is not None else number)

    def _bounded(self, number: float) -> float:
        low, high = self.entry.min, self.entry.max
        if (low is not None and number < low) or (high is not None and number > high):
            raise ProtocolError(f"out_of_range: {self.name} is {number:g}, allowed {low} to {high}", hint=HINT)
        return number

    def _bits(self, found: Decoded) -> Any:
        whole = found.raw.get(self.entry.of or "")
        if whole is None:
            return None
        part = (whole & (self.entry.mask or 0)) >> self._shift
        if self._map:
            return self._mapped(part)
        return bool(part) if self._is_flag else part

    def _repeated(self, kind: str, size: int, data: bytes, at: int, found: Decoded) -> int:
        repeat = self.entry.repeat
        rest = len(data) - at
        count = rest // size if repeat == "to_end" else int(repeat or 0)
        if count * size > rest or (repeat == "to_end" and rest % size):
            raise ProtocolError(f"truncated: {rest} bytes are no whole number of {self.name} ({kind})", hint=HINT)
        end = at + count * size
        pieces = [data[start : start + size] for start in range(at, end, size)]
        found.values[self.name] = [self._value(kind, piece, len(data), found) for piece in pieces]
        return end

    def _text(self, data: bytes, at: int, found: Decoded) -> int:
        end = len(data) if self.entry.size is None else at + self.entry.size
        if end > len(data):
            raise ProtocolError(f"truncated: {self.name} needs {end} bytes, there are {len(data)}", hint=HINT)
        try:
            found.values[self.name] = data[at:end].decode("ascii").rstrip("\0 ") or None
        except UnicodeDecodeError as error:
            raise ProtocolError(f"ascii: {self.name} is {data[at:end].hex()}", hint=HINT) from error
        return end


Branches = list[tuple[Condition | None, Any]]


def _compiled(choice: tuple[Any, ...]) -> Branches:
    if not choice:
        return []
    return [*((parse(str(text)), then) for text, then in pairs(choice)), (None, choice[-1])]


def _chosen(branches: Branches, raw: Raw) -> Any:
    return next(then for condition, then in branches if condition is None or condition.holds(raw))


def _scale(entry: MessageField, scale: Decimal) -> tuple[float, float, int | None]:
    """Factor, offset and decimal places (None for floats, which are kept as they are)."""
    if entry.type == "f32":
        return float(scale), float(entry.offset), None
    exponents = (int(part.as_tuple().exponent) for part in (scale, entry.offset))
    return float(scale), float(entry.offset), max(0, -min(exponents))
