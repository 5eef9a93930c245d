"""Blood Pressure Measurement (2A35): the layout is the profile's; here it is only compiled, and encoded for peers.

Source: Bluetooth GATT Specification Supplement; captures of an A&D UA-651BLE in tests/vectors/ble_bls.json.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from drivers.ble_values import Special, date_time_bytes, sfloat_word
from drivers.profile_message import Decoded
from drivers.profile_vectors import VectorDecoder, date_text, decode_source
from drivers.units import exactly

PROFILE = Path(__file__).parent / "bls_generic.toml"
PRESSURES = ("systolic", "diastolic", "mean_arterial")
_WRITTEN = {"mm[Hg]": "mmHg", "kPa": "kPa"}  # how vectors write the units


def decode(data: bytes) -> Decoded:
    """One measurement. ProtocolError whose message begins with the reason."""
    return decode_source(PROFILE, "2A35", data)


@dataclass(frozen=True, slots=True)
class Record:
    """What a cuff stores: mm[Hg] and beats a minute, Special.NAN where it failed."""

    systolic: float | Special
    diastolic: float | Special
    mean_arterial: float | Special
    pulse: float | Special
    at: datetime
    status: int = 0


FAILED = (Special.NAN, Special.NAN, Special.NAN, Special.NAN)


def encode(record: Record) -> bytes:
    """The device's end: time, pulse and status, as an A&D cuff sends them."""
    pressures = (record.systolic, record.diastolic, record.mean_arterial)
    return (
        b"\x16"
        + b"".join(sfloat_word(value).to_bytes(2, "little") for value in pressures)
        + date_time_bytes(record.at)
        + sfloat_word(record.pulse).to_bytes(2, "little")
        + record.status.to_bytes(2, "little")
    )


def _vector(data: bytes, _context: Mapping[str, Any]) -> dict[str, Any]:
    decoded = decode(data)
    values = decoded.values
    given = decoded.units["systolic"]
    pressures = {(name, given): values[name] for name in PRESSURES}
    if given == "kPa":
        known = {name: value for name in PRESSURES if (value := values[name]) is not None}
        pressures |= {(name, "mm[Hg]"): exactly(value, given, "mm[Hg]") for name, value in known.items()}
    return {
        "unit": _WRITTEN[given],
        **{f"{name}_{_WRITTEN[unit]}": value for (name, unit), value in pressures.items()},
        "time_local": date_text(values["time_local"]),
        "pulse_bpm": values["pulse"],
        "user_id": values["user_id"],
        "status": values["status"],
    }


VECTOR_DECODERS: dict[str, VectorDecoder] = {"2A35": _vector}
