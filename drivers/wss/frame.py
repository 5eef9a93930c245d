"""Weight (2A9D) and Body Composition (2A9C): the layouts are the profile's; only compiled here, and encoded for peers.

Source: Bluetooth Weight Scale Service and Body Composition Service; vectors in tests/vectors/ble_wss.json and
own_ble_wss.json.
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
MASSES = ("muscle_mass", "fat_free_mass", "soft_lean_mass", "water_mass", "weight")
COMPOSITION = {  # what vectors call the other fields of a body composition
    "body_fat_percent": "body_fat",
    "user_id": "user_id",
    "basal_metabolism_kJ": "basal_metabolism",
    "muscle_percent": "muscle_share",
    "impedance_ohm": "impedance",
}


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


def _composition(data: bytes, _context: Mapping[str, Any]) -> dict[str, Any]:
    decoded = decode_source(PROFILE, "2A9C", data)
    values = decoded.values
    found = {name: values[own] for name, own in COMPOSITION.items()}
    found["time_local"] = date_text(values["time_local"])
    for name in MASSES:
        mass, unit = values[name], decoded.units.get(name, "kg")
        found[f"{name}_kg"] = None if mass is None else exactly(mass, unit, "kg")
    height, unit = values["height"], decoded.units.get("height", "m")
    return found | {"height_m": None if height is None else exactly(height, unit, "cm") / 100}


VECTOR_DECODERS: dict[str, VectorDecoder] = {"2A9D": _vector, "2A9C": _composition}
