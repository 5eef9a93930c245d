"""Pulse Oximeter measurements (2A5E, 2A5F): the layout is the profile's; only compiled here, and encoded for peers.

Source: Bluetooth Pulse Oximeter Service 1.0.1; vectors in tests/vectors/ble_plx.json (derived, no capture is public).
"""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from drivers.ble_values import Special, date_time_bytes, sfloat_word
from drivers.profile_message import Decoded
from drivers.profile_vectors import VectorDecoder, decode_source, renamed

PROFILE = Path(__file__).parent / "plx_generic.toml"
NAMES = {
    "spo2": "spo2_percent",
    "pulse": "pulse_bpm",
    "measurement_status": "measurement_status_raw",
    "device_status": "device_status_raw",
    "perfusion_index": "pulse_amplitude_index_percent",
    "spo2_fast": "spo2_fast_percent",
    "pulse_fast": "pulse_fast_bpm",
    "spo2_slow": "spo2_slow_percent",
    "pulse_slow": "pulse_slow_bpm",
}


def decode(characteristic: str, data: bytes) -> Decoded:
    """One measurement of "2A5E" or "2A5F". ProtocolError whose message begins with the reason."""
    return decode_source(PROFILE, characteristic, data)


def encode_continuous(spo2: float | Special, pulse: float | Special, measurement: int = 0, sensor: int = 0) -> bytes:
    """The device's end of 2A5F, with both status words."""
    words = (sfloat_word(spo2, -1), sfloat_word(pulse))
    values = b"".join(word.to_bytes(2, "little") for word in words)
    return b"\x0c" + values + measurement.to_bytes(2, "little") + sensor.to_bytes(3, "little")


def encode_spot(spo2: float | Special, pulse: float | Special, at: datetime) -> bytes:
    """The device's end of 2A5E, with its time."""
    values = b"".join(sfloat_word(value).to_bytes(2, "little") for value in (spo2, pulse))
    return b"\x01" + values + date_time_bytes(at)


def _vector(characteristic: str, data: bytes, _context: Mapping[str, Any]) -> dict[str, Any]:
    return renamed(decode(characteristic, data), NAMES)


VECTOR_DECODERS: dict[str, VectorDecoder] = {name: partial(_vector, name) for name in ("2A5E", "2A5F")}
