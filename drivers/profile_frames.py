"""Frames out of a byte stream, as a profile's [framer] describes them: any chunking gives the same frames.

What a false head costs, and how long it is believed: drivers/byte_stream.py. No bytes raise.
"""

import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from drivers.byte_stream import Rejects, SizedStream
from drivers.profile_schema import SIZES, Framer
from drivers.profile_values import pack, unpack

__all__ = ["CHECKSUMS", "Cut", "Layout", "Rejects", "StreamDecoder", "crc16_modbus"]

FOLDED = 24  # bytes from which folding halves of one big number beats a loop


def _crc16_modbus_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
        table.append(crc)
    return tuple(table)


_CRC16_MODBUS = _crc16_modbus_table()


def crc16_modbus(data: bytes) -> int:
    """CRC-16/MODBUS: polynomial 0x8005 reflected, initial value 0xFFFF (Modbus serial line guide V1.02, 6.2.2)."""
    crc = 0xFFFF
    for byte in data:
        crc = (crc >> 8) ^ _CRC16_MODBUS[(crc ^ byte) & 0xFF]
    return crc


def _xor8(data: bytes) -> int:
    size, result = len(data), 0
    if size < FOLDED:
        for byte in data:
            result ^= byte
        return result
    result = int.from_bytes(data, "little")
    while size > 1:
        size -= size // 2
        result = result >> 8 * size ^ result & (1 << 8 * size) - 1
    return result


CHECKSUMS: dict[str, tuple[int, Callable[[bytes], int]]] = {
    "sum8": (1, lambda data: sum(data) & 0xFF),
    "sum8neg": (1, lambda data: -sum(data) & 0xFF),
    "xor8": (1, _xor8),
    "notxor8": (1, lambda data: _xor8(data) ^ 0xFF),
    "crc16_modbus": (2, crc16_modbus),
    "crc16_ccitt_false": (2, lambda data: binascii.crc_hqx(data, 0xFFFF)),  # CRC-16/IBM-3740, in C
}


@dataclass(frozen=True, slots=True)
class Cut:
    """A frame that passed length, checksum and tail: its data, all its bytes, those that say which message it is."""

    data: bytes
    raw: bytes
    key: bytes = b""


class Layout:
    """A [framer] made ready: sizes, checksum, and the way back for the device's end.

    sizes: bytes of data that a key always has; another length is a false head, which need not be waited for.
    """

    def __init__(self, framer: Framer, sizes: Mapping[bytes, int] | None = None) -> None:
        self.framer = framer
        self._sizes = sizes or {}
        self.head = bytes.fromhex(framer.head)
        self.tail = bytes.fromhex(framer.tail) if framer.tail else b""
        self.checksum_size, self._checksum = CHECKSUMS[framer.checksum.kind]
        self.extra = framer.data_at + self.checksum_size + len(self.tail)
        self.longest = framer.max_data + self.extra
        self.shortest = framer.min_data + self.extra
        self.length_end = framer.length.at + SIZES[framer.length.type]
        self._head_sum = framer.head_checksum
        self.needed = framer.data_at if framer.head_checksum else self.length_end  # bytes that a head is judged by

    def head_fits(self, frame: bytes) -> bool:
        """False when `needed` bytes cannot be the beginning of a frame."""
        given = self._head_sum
        if given is not None and frame[given.at] != CHECKSUMS[given.kind][1](frame[: given.at]):
            return False
        size = self.data_size(frame)
        return size is not None and (not self._sizes or self._sizes.get(self.key(frame), size) == size)

    def key(self, frame: bytes) -> bytes:
        """The bytes that say which message a frame is."""
        return bytes(frame[at] for at in self.framer.key_at)

    def data_size(self, frame: bytes) -> int | None:
        """Bytes of data the frame says it has; None when that cannot be."""
        length = self.framer.length
        size = int(unpack(length.type, length.byte_order, frame[length.at : self.length_end]))
        if length.counts == "frame":
            size -= self.extra
        return size if self.framer.min_data <= size <= self.framer.max_data else None

    def next_head(self, buffer: bytes, at: int) -> int:
        """Where the head begins at or after `at`; where it may begin once more bytes have come, if it is not there."""
        head = self.head
        found = buffer.find(head, at)
        if found >= 0:
            return found
        for kept in range(min(len(head) - 1, len(buffer) - at), 0, -1):
            if buffer.endswith(head[:kept]):
                return len(buffer) - kept
        return len(buffer)

    def claim(self, buffer: bytes, at: int) -> int:
        """Bytes that the candidate at `at` is judged by; 0 while its head has not come."""
        head = buffer[at : at + self.needed]
        if len(head) < self.needed:
            return 0
        return (self.data_size(head) or 0) + self.extra if self.head_fits(head) else self.needed

    def verdict(self, frame: bytes) -> str:
        if len(frame) == self.needed and not self.head_fits(frame):
            return "head_checksum" if self._head_sum is not None and self.data_size(frame) is not None else "length"
        return "" if self.is_intact(frame) else "checksum"

    def is_intact(self, frame: bytes) -> bool:
        data_end = len(frame) - self.checksum_size - len(self.tail)
        given = frame[data_end : data_end + self.checksum_size]
        return frame.endswith(self.tail) and given == self.checksum(frame[:data_end])

    def checksum(self, frame: bytes) -> bytes:
        """Checksum bytes for a frame from head to the end of its data."""
        value = self._checksum(frame[self.framer.checksum.start :])
        return value.to_bytes(self.checksum_size, self.framer.checksum.byte_order)

    def wrap(self, data: bytes, key: bytes = b"") -> bytes:
        """A whole frame around `data`: what a device sends. Bytes of the head that nothing names are zero."""
        length = self.framer.length
        frame = bytearray(self.framer.data_at)
        frame[: len(self.head)] = self.head
        size = len(data) + (self.extra if length.counts == "frame" else 0)
        frame[length.at : self.length_end] = pack(length.type, length.byte_order, size)
        for at, byte in zip(self.framer.key_at, key, strict=False):
            frame[at] = byte
        if self._head_sum is not None:
            frame[self._head_sum.at] = CHECKSUMS[self._head_sum.kind][1](bytes(frame[: self._head_sum.at]))
        frame += data
        return bytes(frame) + self.checksum(bytes(frame)) + self.tail


class StreamDecoder(SizedStream[Cut]):
    """Bytes in, whole frames out, with the counters that every stream has."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout.shortest)
        self._layout = layout
        self._start = layout.framer.data_at
        self._behind = layout.extra - self._start  # checksum and tail

    def lead(self, buffer: bytes, at: int) -> int:
        return self._layout.next_head(buffer, at)

    def claim(self, buffer: bytes, at: int) -> int:
        return self._layout.claim(buffer, at)

    def whole(self, raw: bytes) -> Cut | str:
        layout = self._layout
        if reason := layout.verdict(raw):
            return reason
        return Cut(raw[self._start : len(raw) - self._behind], raw, layout.key(raw))
