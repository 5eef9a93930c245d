"""Temperature Measurement (2A1C): the layout is the profile's; here it is only compiled, and encoded for peers.

Source: Bluetooth GATT Specification Supplement; vectors in tests/vectors/ble_hts.json.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from drivers.ble_values import Special, date_time_bytes, float32_word
from drivers.profile_message import Decoded
from drivers.profile_vectors import VectorDecoder, date_text, decode_source
from drivers.units import exactly

PROFILE = Path(__file__).parent / "hts_generic.toml"


def decode(data: bytes) -> Decoded:
    """One measurement. ProtocolError whose message begins with the reason."""
    return decode_source(PROFILE, "2A1C", data)


def encode(celsius: float | Special, at: datetime, site: int = 3) -> bytes:
    """The device's end, with its time and where it measured (3: ear)."""
    return b"\x06" + float32_word(celsius).to_bytes(4, "little") + date_time_bytes(at) + bytes([site])


def _vector(data: bytes, _context: Mapping[str, Any]) -> dict[str, Any]:
    decoded = decode(data)
    values = decoded.values
    value, unit = values["temperature"], decoded.units["temperature"]
    shown = {"temperature_F": value} if unit == "[degF]" else {}
    celsius = None if value is None else exactly(value, unit, "Cel")
    return {**shown, "temperature_C": celsius, "time_local": date_text(values["time_local"]), "site": values["site"]}


VECTOR_DECODERS: dict[str, VectorDecoder] = {"2A1C": _vector}
