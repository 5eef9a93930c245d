"""Frames of the 0x01 radars: the layout is the profile's; here it is only compiled, and encoded for peers.

Source: esphome seeed_mr60bha2.cpp, SEEED_MR60BHA2.h; tests/vectors/tf_radar.json (derived, no capture is public).
"""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drivers.profile_vectors import VectorDecoder, decode_frame, framed

PROFILE = Path(__file__).parent / "mr60bha2.toml"


def decode(data: bytes) -> dict[str, Any]:
    """One whole frame: its id, its type and the values. ProtocolError."""
    key, decoded = decode_frame(PROFILE, data)
    return {"id": int.from_bytes(data[1:3], "big"), "type": f"0x{key.hex().upper()}"} | decoded.values


def encode(kind: str, *floats: float, data: bytes = b"") -> bytes:
    """The device's end: a frame of a type such as "0a14" with floats or plain bytes."""
    return framed(PROFILE).layout.wrap(data + struct.pack(f"<{len(floats)}f", *floats), bytes.fromhex(kind))


def _vector(data: bytes, _context: Mapping[str, Any]) -> dict[str, Any]:
    return decode(data)


VECTOR_DECODERS: dict[str, VectorDecoder] = {"tf": _vector}
