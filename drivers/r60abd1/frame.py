"""Frames of the R60ABD1: the layout is the profile's; here it is only compiled, and encoded for peers.

Source: R60ABD1 user manual V3.0 (ZyoungInc/R60ABD1_Driver); tests/vectors/r60abd1.json.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drivers.profile_vectors import VectorDecoder, decode_frame, framed

PROFILE = Path(__file__).parent / "r60abd1.toml"
ANSWER = 0x80  # in the command byte of a question and of its answer


def decode(data: bytes) -> dict[str, Any]:
    """One whole frame: ctrl, cmd, whether it belongs to a question, and the values. ProtocolError."""
    key, decoded = decode_frame(PROFILE, data)
    found: dict[str, Any] = {"ctrl": key[0], "cmd": key[1]}
    if key[1] & ANSWER:
        found["query_or_ack"] = True
    return found | decoded.values


def encode(key: str, data: bytes) -> bytes:
    """The device's end: a frame of control and command word, such as "8502"."""
    return framed(PROFILE).layout.wrap(data, bytes.fromhex(key))


def _vector(data: bytes, _context: Mapping[str, Any]) -> dict[str, Any]:
    return decode(data)


VECTOR_DECODERS: dict[str, VectorDecoder] = {"r60": _vector}
