"""SunTech Advantage frames: 3A command checksum, 3E length data checksum; all bytes sum to 0 modulo 256.

Sources: test of a public interceptor of this protocol (result and cuff frames) and comments of hwy0606/STM32F103
(commands, replies). What the error codes mean is in SunTech's own document, which is not public. Vectors:
tests/vectors/suntech_nibp.json. Start commands are recognised and cannot be encoded: nothing here starts a cuff.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from drivers.byte_stream import SizedStream, only_frame
from gateway.core.errors import ProtocolError

HOST, MODULE = 0x3A, 0x3E
GET_RESULT, GET_CUFF, ABORT = b"\x79\x03\x00", b"\x79\x05\x00", b"\x79\x01\x00"
SAFE = (GET_RESULT, GET_CUFF, ABORT)

_COMMAND_BYTES = {0x20: 1, 0x56: 1, 0x79: 3}  # of what stands between head and checksum, by its first byte

REPLIES = {0x4F: "accepted", 0x4B: "done", 0x42: "busy", 0x41: "aborted", 0x53: "sleeping", 0x4E: "invalid"}
_BYTES = (4, 5, 7, 24)
_CUFF_TAG = 1


class Reply(NamedTuple):
    """word: one of REPLIES."""

    word: str
    raw: bytes = b""


class Cuff(NamedTuple):
    """Pressure in the cuff now, mm[Hg]."""

    mmhg: int
    raw: bytes = b""


class Result(NamedTuple):
    """The last measurement; its numbers mean something only when error_code is 0."""

    systolic: int
    diastolic: int
    beats: int
    status: int
    pulse_bpm: int
    mean_arterial: int
    error_code: int
    raw: bytes = b""


class SuntechStream(SizedStream[Reply | Cuff | Result]):
    """What the module says."""

    def __init__(self) -> None:
        super().__init__(_BYTES[0])

    def lead(self, buffer: bytes, at: int) -> int:
        found = buffer.find(MODULE, at)
        return found if found >= 0 else len(buffer)

    def claim(self, buffer: bytes, at: int) -> int:
        head = buffer[at : at + 2]
        if len(head) < 2:
            return 0
        return head[1] if head[1] in _BYTES else 2

    def whole(self, raw: bytes) -> Reply | Cuff | Result | str:
        if len(raw) not in _BYTES:
            return "length"
        return "checksum" if sum(raw) & 0xFF else _meaning(raw)


def _meaning(raw: bytes) -> Reply | Cuff | Result | str:
    match len(raw):
        case 4:
            word = REPLIES.get(raw[2])
            return Reply(word, raw) if word else "reply"
        case 5:
            return Cuff(int.from_bytes(raw[2:4], "little"), raw)
        case 7:
            return Cuff(int.from_bytes(raw[3:5], "little"), raw) if raw[2] == _CUFF_TAG else "tag"
        case _:
            systolic, diastolic = struct.unpack_from("<2H", raw, 2)
            mean = int.from_bytes(raw[18:20], "little")
            return Result(systolic, diastolic, raw[6], raw[7], raw[16], mean, raw[20], raw)


def encode_command(command: bytes) -> bytes:
    """A host's frame. ValueError for a command that is not one of SAFE: a cuff is started by a person at the device."""
    if command not in SAFE:
        raise ValueError(f"command {command.hex()} is not one of those that move no cuff")
    return _summed(bytes((HOST,)) + command)


def encode(said: Reply | Cuff | Result) -> bytes:
    """What the module sends."""
    if isinstance(said, Reply):
        code = next(code for code, word in REPLIES.items() if word == said.word)
        return _summed(bytes((MODULE, 4, code)))
    if isinstance(said, Cuff):
        return _summed(bytes((MODULE, 5)) + said.mmhg.to_bytes(2, "little"))
    body = struct.pack("<BBHHBB8xBxHBxx", MODULE, 24, said.systolic, said.diastolic, said.beats, said.status,
                       said.pulse_bpm, said.mean_arterial, said.error_code)  # fmt: skip
    return _summed(body)


def _summed(body: bytes) -> bytes:
    return body + bytes((-sum(body) & 0xFF,))


def _module_vector(data: bytes, _context: Mapping[str, Any]) -> dict[str, Any]:
    said = only_frame(SuntechStream(), data)
    if isinstance(said, Reply):
        return {"reply": said.word}
    if isinstance(said, Cuff):
        return {"cuff_pressure_mmHg": said.mmhg}
    return {
        "systolic_mmHg": said.systolic,
        "diastolic_mmHg": said.diastolic,
        "beats": said.beats,
        "bp_status": said.status,
        "pulse_bpm": said.pulse_bpm,
        "mean_arterial_mmHg": said.mean_arterial,
        "error_code": said.error_code,
    }


def _command_vector(data: bytes, _context: Mapping[str, Any]) -> dict[str, Any]:
    """Any command of a host, a starting one too: recognising it moves nothing."""
    if len(data) < 3 or data[0] != HOST:
        raise ProtocolError(f"head: {data.hex()} is no host's frame", hint="a host's frame begins with 3A")
    if sum(data) & 0xFF:
        raise ProtocolError(f"checksum: the bytes of {data.hex()} do not sum to 0", hint="compare with the document")
    if _COMMAND_BYTES.get(data[1], len(data) - 2) != len(data) - 2:  # a zero behind a frame leaves its sum as it is
        raise ProtocolError(f"length: {data.hex()} is longer or shorter than its command", hint="compare the document")
    return {"direction": "to_module", "payload_hex": data[1:-1].hex()}


VECTOR_DECODERS: dict[str, Callable[[bytes, Mapping[str, Any]], dict[str, Any]]] = {
    "suntech": _module_vector,
    "suntech_cmd": _command_vector,
}
