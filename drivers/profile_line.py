"""Devices that speak lines of ASCII text, as scales with an RS-232 plug do: lines cut, columns to values."""

import re
from typing import Any

from drivers.byte_stream import ByteStream, Cut, only_frame
from drivers.profile_message import Decoded
from drivers.profile_schema import Line, LineField
from drivers.profile_values import HINT
from gateway.core.errors import ProtocolError

ENDS = re.compile(rb"[\r\n]")
DECIMAL = re.compile(r"\s*([+-]?)\s*(\d{1,9}(?:\.\d{1,6})?)\s*([^\d\s.]{0,8})\s*")


class LineStream(ByteStream[bytes]):
    """Lines out of a byte stream, without their ends; empty ones are no lines."""

    def __init__(self, line: Line) -> None:
        super().__init__()
        self._longest = line.max_length

    def lead(self, buffer: bytes, at: int) -> int:
        return at

    def cut(self, buffer: bytes, at: int) -> Cut[bytes] | str | None:
        """A line of printable characters up to its end; what is longer or unprintable is none."""
        found = ENDS.search(buffer, at, at + self._longest + 1)
        end = found.start() if found else min(len(buffer), at + self._longest + 1)
        text = buffer[at:end]
        if not text.isascii() or not text.decode("ascii").isprintable():
            return "ascii"
        if found is None:
            return "too_long" if len(text) > self._longest else None
        return end + 1 - at, text or None

    @staticmethod
    def only_line(line: Line, data: bytes) -> bytes:
        """The one line in `data`. ProtocolError."""
        return only_frame(LineStream(line), data.rstrip(b"\r\n") + b"\n")


class LineDecoder:
    """Columns to values."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def decode(self, text: bytes) -> Decoded:
        """ProtocolError with reason length, columns, decimal, unmapped or unit."""
        if self._line.exact_length is not None and len(text) != self._line.exact_length:
            wanted = f"length: {len(text)} characters, not {self._line.exact_length}"
            raise ProtocolError(wanted, hint=HINT)
        columns = text.decode("ascii").split(self._line.separator)
        if len(columns) != self._line.columns:
            wanted = f"columns: {len(columns)} columns, not {self._line.columns}"
            raise ProtocolError(wanted, hint=HINT)
        decoded = Decoded()
        for entry in self._line.field:
            decoded.values[entry.name] = _value(entry, columns[entry.column], decoded)
        return decoded

    def believed(self, decoded: Decoded) -> bool:
        """True when the columns say what publish_if wants."""
        return all(decoded.values.get(name) == wanted for name, wanted in self._line.publish_if.items())


def _value(entry: LineField, text: str, decoded: Decoded) -> Any:
    if entry.type == "text":
        plain = text.strip()
        if entry.map and plain not in entry.map:
            raise ProtocolError(f"unmapped: {entry.name} is {plain!r}, which has no meaning", hint=HINT)
        return entry.map.get(plain, plain)
    found = DECIMAL.fullmatch(text)
    if found is None:
        raise ProtocolError(f"decimal: {entry.name} is {text!r}", hint=HINT)
    sign, digits, unit = found.groups()
    if unit and unit not in entry.units:
        raise ProtocolError(f"unit: {entry.name} is in {unit!r}", hint=HINT)
    decoded.units[entry.name] = entry.units[unit] if unit else entry.unit
    number = float(sign + digits)
    return None if number in entry.null else number
