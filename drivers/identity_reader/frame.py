"""What readers of cards and codes send, cut out of the bytes and checked as far as each format allows.

Sources: RDM6300 and ID-12LA data sheets (STX, ten hexadecimal digits, their XOR in two digits, ETX; the ID-12LA puts CR
LF before ETX); readers with a block check as sold with "STX, length, card type, SNR, BCC, ETX"; GM65 manual V1.3 and
others of its kind (a line of text for each scan). Our own label is a line that bears a pseudonym and a CRC.
"""

import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import xor
from typing import Any

from drivers.byte_stream import ByteStream, Cut, Rejects, only_frame
from gateway.core.errors import ProtocolError

STX, ETX, CR, LF = 0x02, 0x03, 0x0D, 0x0A
EM_DIGITS = 12  # of the number and its check
BCC_SIZES = (9, 10, 12)  # whole frames of four, five and seven bytes of number
UID_DIGITS = (8, 14, 20)  # ISO/IEC 14443-3: four, seven or ten bytes
MAX_LINE = 256  # characters of a line; a QR code of a ward is far shorter

HEX = frozenset(b"0123456789abcdefABCDEF")
LABEL = re.compile(r"carebed:(p-[0-9A-HJKMNP-TV-Z]{8}):([0-9A-F]{4})")
HINT = "show it again; if it stays so, compare with the reader's document"


@dataclass(frozen=True, slots=True)
class Shown:
    """What was shown. number: as text, of a card or a foreign code; resident: the pseudonym on a label of our own.

    checked: a check of the frame's own says that nothing was lost or changed on the wire.
    """

    number: str
    checked: bool
    resident: str | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes between two line ends. whole: False for a part of a line longer than MAX_LINE."""

    raw: bytes
    whole: bool = True


# -- cut out of the stream --------------------------------------------------------------------------------------------


class Em4100Stream(ByteStream[bytes]):
    """Whole frames of RDM6300 and ID-12LA readers."""

    def lead(self, buffer: bytes, at: int) -> int:
        found = buffer.find(STX, at)
        return len(buffer) if found < 0 else found

    def cut(self, buffer: bytes, at: int) -> Cut[bytes] | str | None:
        digits = buffer[at + 1 : at + 1 + EM_DIGITS]
        if not HEX.issuperset(digits):
            return "characters"
        end = buffer[at + 1 + EM_DIGITS : at + 4 + EM_DIGITS]
        if not end:
            return None
        tails = (bytes((ETX,)), bytes((CR, LF, ETX)))
        if not any(tail.startswith(end[: len(tail)]) for tail in tails):
            return "end"
        tail = tails[0] if end[0] == ETX else tails[1]
        if len(end) < len(tail):
            return None
        if _xor(bytes.fromhex(digits.decode())):
            return "checksum"
        size = 1 + EM_DIGITS + len(tail)
        return size, buffer[at : at + size]


class BccStream(ByteStream[bytes]):
    """Whole frames of readers with a length, a card type and a block check."""

    def lead(self, buffer: bytes, at: int) -> int:
        found = buffer.find(STX, at)
        return len(buffer) if found < 0 else found

    def cut(self, buffer: bytes, at: int) -> Cut[bytes] | str | None:
        if len(buffer) - at < 2:
            return None
        size = buffer[at + 1]
        if size not in BCC_SIZES:
            return "length"
        raw = buffer[at : at + size]
        if len(raw) < size:
            return None
        if raw[-1] != ETX:
            return "end"
        return "checksum" if _xor(raw[1:-1]) else (size, raw)


class LineStream(ByteStream[Piece]):
    """Lines as they stand, whatever is in them: a line whose beginning is damaged must not become a shorter one."""

    def __init__(self) -> None:
        super().__init__()
        self._within = False  # a line that was too long and has not ended yet

    def lead(self, buffer: bytes, at: int) -> int:
        return at

    def cut(self, buffer: bytes, at: int) -> Cut[Piece] | str | None:
        if buffer[at] in (CR, LF):
            self._within = False
            return 1, None
        found = re.compile(rb"[\r\n]").search(buffer, at, at + MAX_LINE + 1)
        if found is not None:
            return found.start() - at, Piece(buffer[at : found.start()], not self._within)
        if len(buffer) - at <= MAX_LINE:
            return None
        self._within = True
        return MAX_LINE, Piece(buffer[at : at + MAX_LINE], whole=False)

    def drop_pending(self) -> Rejects:
        self._within = False
        return super().drop_pending()


# -- what was shown ---------------------------------------------------------------------------------------------------


def em4100(raw: bytes) -> Shown:
    """A whole frame, with its version byte: the number printed on the card is the last four of the five bytes."""
    return Shown(_not_blank(raw[1 : 1 + EM_DIGITS - 2].decode("ascii").upper()), checked=True)


def bcc(raw: bytes) -> Shown:
    """A whole frame. The type (1 Mifare, 2 EM4100) belongs to the number: two cards of two makes may have the same."""
    return Shown(_not_blank(raw[3:-2].hex().upper()), checked=True)


def uid_hex(line: bytes) -> Shown:
    """A line of hexadecimal digits, perhaps parted by colons, dashes or blanks. It has no check but its length."""
    text = re.sub(r"(?<=[0-9A-Fa-f]{2})[: -](?=[0-9A-Fa-f]{2})", "", _text(line))
    if not HEX.issuperset(text.encode()):
        raise ProtocolError("characters: no hexadecimal digits", hint=HINT)
    if len(text) not in UID_DIGITS:
        raise ProtocolError(f"length: {len(text)} digits, a card has 8, 14 or 20", hint=HINT)
    return Shown(_not_blank(text.upper()), checked=False)


def uid_decimal(line: bytes) -> Shown:
    """A line of ten decimal digits. It has no check but its length and its range of 32 bits."""
    text = _text(line)
    if not text.isdecimal() or not text.isascii():
        raise ProtocolError("characters: no decimal digits", hint=HINT)
    if len(text) != 10 or int(text) >= 2**32:
        raise ProtocolError(f"length: {len(text)} digits, a card has ten and at most 4294967295", hint=HINT)
    return Shown(_not_blank(text), checked=False)


def code(line: bytes) -> Shown:
    """A scanned code: a label of our own with its check, or any other text without one."""
    text = _text(line)
    if not text.startswith("carebed:"):
        if len(text) < 4:
            raise ProtocolError(f"length: {len(text)} characters, at least 4 make a code", hint=HINT)
        return Shown(text, checked=False)
    found = LABEL.fullmatch(text)
    if found is None:
        raise ProtocolError("label: no pseudonym and check behind carebed:", hint=HINT)
    if encode_label(found[1]) != line:
        raise ProtocolError("checksum: the label and its check differ", hint=HINT)
    return Shown("", checked=True, resident=found[1])


def _text(line: bytes) -> str:
    try:
        text = line.decode("ascii")
    except UnicodeDecodeError as error:
        raise ProtocolError("characters: not ASCII", hint=HINT) from error
    if not text.isprintable():
        raise ProtocolError("characters: not printable", hint=HINT)
    return text.strip()


def _not_blank(number: str) -> str:
    if set(number) <= {"0"} or set(number) <= {"F"}:
        raise ProtocolError("blank: all zeros or all ones are no card", hint=HINT)
    return number


def _xor(data: bytes) -> int:
    return reduce(xor, data, 0)


# -- the device's end -------------------------------------------------------------------------------------------------


def encode_em4100(number: str, *, end: bytes = b"") -> bytes:
    """number: ten hexadecimal digits; end: CR LF of an ID-12LA."""
    check = _xor(bytes.fromhex(number))
    return bytes((STX,)) + f"{number}{check:02X}".encode("ascii") + end + bytes((ETX,))


def encode_bcc(number: str, *, kind: int = 2) -> bytes:
    """number: hexadecimal digits of four, five or seven bytes."""
    serial = bytes.fromhex(number)
    body = bytes((len(serial) + 5, kind)) + serial
    return bytes((STX,)) + body + bytes((_xor(body), ETX))


def encode_label(resident: str) -> bytes:
    """The text of a QR code for a resident: pseudonym and CRC-16/IBM-3740 of what stands before the last colon."""
    body = f"carebed:{resident}".encode("ascii")
    return body + f":{binascii.crc_hqx(body, 0xFFFF):04X}".encode("ascii")


# -- vectors ----------------------------------------------------------------------------------------------------------


def whole_line(data: bytes) -> bytes:
    """The one line in `data`, with or without its end. ProtocolError."""
    pieces, _ = LineStream().feed(data.rstrip(b"\r\n") + b"\n")
    if len(pieces) != 1 or not pieces[0].whole:
        raise ProtocolError("length: not one line", hint=HINT)
    return pieces[0].raw


def _told(shown: Shown) -> dict[str, Any]:
    known = {"resident": shown.resident} if shown.resident else {"number": shown.number}
    return {**known, "checked": shown.checked}


def _of_line(decode: Callable[[bytes], Shown]) -> Callable[[bytes, Mapping[str, Any]], dict[str, Any]]:
    return lambda data, _context: _told(decode(whole_line(data)))


def _em4100(data: bytes, _context: Mapping[str, Any]) -> dict[str, Any]:
    return _told(em4100(only_frame(Em4100Stream(), data)))


def _bcc(data: bytes, _context: Mapping[str, Any]) -> dict[str, Any]:
    return _told(bcc(only_frame(BccStream(), data)))


VECTOR_DECODERS: dict[str, Callable[[bytes, Mapping[str, Any]], dict[str, Any]]] = {
    "em4100_frame": _em4100,
    "card_bcc_frame": _bcc,
    "card_uid_hex_line": _of_line(uid_hex),
    "card_uid_decimal_line": _of_line(uid_decimal),
    "scanned_code_line": _of_line(code),
}
