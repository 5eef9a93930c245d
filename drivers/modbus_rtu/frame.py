"""Modbus RTU on the wire: the requests we send and the one answer that belongs to each.

An answer's length is known from its request, so frames are cut by length and CRC, never by gaps: a USB adapter's
latency timer (1 to 16 ms) hides the gaps of the standard (Modbus over serial line V1.02, 2.5.1).
"""

from dataclasses import dataclass
from functools import cached_property

from drivers.profile_frames import crc16_modbus

EXCEPTION = 0x80  # added to the function code of a refusal
EXCEPTION_BYTES = 5  # unit, function, code, CRC
LONGEST_ADU = 256
EXCEPTIONS = {
    1: "function not known",
    2: "address not known",
    3: "value or count not allowed",
    4: "device failure",
    5: "accepted, still working",
    6: "busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target does not answer",
}


def with_crc(body: bytes) -> bytes:
    """A frame with its CRC, low byte first."""
    return body + crc16_modbus(body).to_bytes(2, "little")


def is_intact(frame: bytes) -> bool:
    """The last two bytes are the CRC of the others, low byte first; the reverse order some manuals print is refused."""
    return len(frame) >= 4 and crc16_modbus(frame[:-2]) == int.from_bytes(frame[-2:], "little")


@dataclass(frozen=True)
class Request:
    """Read `count` bits (function 1, 2) or registers (3, 4) from `address` (zero-based, as on the wire)."""

    unit: int
    function: int
    address: int
    count: int

    @cached_property
    def adu(self) -> bytes:
        """The eight bytes on the wire."""
        numbers = self.address.to_bytes(2, "big") + self.count.to_bytes(2, "big")
        return with_crc(bytes((self.unit, self.function)) + numbers)

    @property
    def data_bytes(self) -> int:
        """Data bytes of the answer."""
        return (self.count + 7) // 8 if self.function in (1, 2) else 2 * self.count

    @property
    def answer_bytes(self) -> int:
        """Whole length of the answer."""
        return self.data_bytes + 5


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found. frame: the whole answer; code: of the exception, 0 for data; noise: bytes before it."""

    frame: bytes
    code: int
    noise: bytes

    @property
    def data(self) -> bytes:
        return self.frame[3:-2]


def search(request: Request, buffer: bytes) -> tuple[Found | None, str]:
    """The answer to `request` somewhere in `buffer`, else None with what was seen so far.

    The request's own echo (some adapters hear themselves) and other slaves' late answers are stepped over.
    Seen: "no_reply" (nothing, or the echo alone), "noise", "checksum" or "half_reply".
    """
    start = len(request.adu) if buffer.startswith(request.adu) else 0
    seen = "noise" if len(buffer) > start else "no_reply"
    for at in range(start, len(buffer) - 1):
        size = _answer_size(request, buffer[at : at + 3])
        if not size:
            continue
        frame = buffer[at : at + size]
        if len(frame) < size:
            seen = "half_reply" if seen != "checksum" else seen
        elif is_intact(frame):
            return Found(frame, frame[2] if frame[1] & EXCEPTION else 0, buffer[start:at]), ""
        else:
            seen = "checksum"
    return None, seen


def _answer_size(request: Request, begin: bytes) -> int:
    """Whole length of the answer that begins with these two or three bytes; 0 when it is no answer to `request`."""
    if begin[0] != request.unit or begin[1] & ~EXCEPTION != request.function:
        return 0
    if begin[1] & EXCEPTION:
        return EXCEPTION_BYTES
    return request.answer_bytes if begin[2:3] in (b"", bytes((request.data_bytes,))) else 0


def parse_request(frame: bytes) -> Request | None:
    """The slaves' end: a whole, intact read request, else None."""
    if len(frame) != 8 or not is_intact(frame):
        return None
    return Request(frame[0], frame[1], int.from_bytes(frame[2:4], "big"), int.from_bytes(frame[4:6], "big"))


def answer(request: Request, data: bytes) -> bytes:
    """The slaves' end: the answer with `data`."""
    return with_crc(bytes((request.unit, request.function, len(data))) + data)


def refusal(request: Request, code: int) -> bytes:
    """The slaves' end: an exception."""
    return with_crc(bytes((request.unit, request.function | EXCEPTION, code)))
