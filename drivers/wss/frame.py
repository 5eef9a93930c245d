"""Weight Measurement (2A9D): the layout is the profile's; here it is only compiled, and encoded for peers.

Source: Bluetooth Weight Scale Service; vectors in tests/vectors/ble_wss.json.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from drivers.ble_values import date_time_bytes
from drivers.profile_message import Decoded
from drivers.profile_vectors import VectorDecoder, date_text, decode_source
from drivers.units import exactly

PROFILE = Path(__file__).parent / "wss_generic.toml"
UNSUCCESSFUL = 0xFFFF


def decode(data: bytes) -> Decoded:
    """One weighing. ProtocolError whose message begins with the reason."""
    return decode_source(PROFILE, "2A9D", data)


def encode(kilograms: float | None, at: datetime, user: int = 255) -> bytes:
    """The device's end, with its time and user; None is an unsuccessful measurement."""
    raw = UNSUCCESSFUL if kilograms is None else round(kilograms / 0.005)
    return b"\x06" + raw.to_bytes(2, "little") + date_time_bytes(at) + bytes([user])


def _vector(data: bytes, _context: Mapping[str, Any]) -> dict[str, Any]:
    decoded = decode(data)
    values = decoded.values
    found = {"time_local": date_text(values["time_local"]), "user_id": values["user_id"], "bmi_kg_m2": values["bmi"]}
    weight, height = values["weight"], values["height"]
    if decoded.units["weight"] == "kg":
        return {**found, "weight_kg": weight, "height_m": height}
    metres = None if height is None else exactly(height, "[in_i]", "cm") / 100
    kilograms = None if weight is None else exactly(weight, "[lb_av]", "kg")
    return {**found, "weight_lb": weight, "weight_kg": kilograms, "height_in": height, "height_m": metres}


VECTOR_DECODERS: dict[str, VectorDecoder] = {"2A9D": _vector}
