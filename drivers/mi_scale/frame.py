"""Service data of Mi scales: the layouts are the profiles'; here they are only compiled, and encoded for peers.

Source: adverts recorded by users of ble_monitor and theengs; tests/vectors/mi_scale.json.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from drivers.ble_values import date_time_bytes
from drivers.profile_message import Decoded
from drivers.profile_vectors import VectorDecoder, decode_source, renamed
from drivers.units import exactly

HERE = Path(__file__).parent
PROFILES = {"181D": HERE / "mi_scale_1.toml", "181B": HERE / "mi_scale_2.toml"}
STABILIZED, IMPEDANCE, REMOVED = 0x20, 0x02, 0x80


def decode(service: str, data: bytes) -> Decoded:
    """Service data of "181D" (Mi Scale 1) or "181B" (Mi Body Composition Scale). ProtocolError."""
    return decode_source(PROFILES[service], service, data)


def encode_weight(kilograms: float, at: datetime, *, control: int = STABILIZED | 0x02) -> bytes:
    """The advert of a Mi Scale 1."""
    return bytes([control]) + round(kilograms * 200).to_bytes(2, "little") + date_time_bytes(at)


def encode_composition(kilograms: float, impedance_ohm: int, at: datetime, *, control: int) -> bytes:
    """The advert of a Mi Body Composition Scale."""
    tail = impedance_ohm.to_bytes(2, "little") + round(kilograms * 200).to_bytes(2, "little")
    return bytes([2, control]) + date_time_bytes(at) + tail


def _vector(service: str, data: bytes, _context: Mapping[str, Any]) -> dict[str, Any]:
    decoded = decode(service, data)
    values = renamed(decoded, {"impedance": "impedance_ohm"})
    unit, weight = decoded.units["weight"], decoded.values["weight"]
    name = "lb" if unit == "[lb_av]" else unit
    return values | {"unit": name, f"weight_{name}": weight, "weight_kg": exactly(weight, unit, "kg")}


VECTOR_DECODERS: dict[str, VectorDecoder] = {f"service_data_{name}": partial(_vector, name) for name in PROFILES}
