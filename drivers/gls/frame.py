"""Glucose Measurement (0x2A18) and its Context (0x2A34): the layout is the profile's; here it is compiled and encoded.

Source: Bluetooth GATT Specification Supplement, "Glucose Measurement" and "Glucose Measurement Context"; vectors in
tests/vectors/ble_gls.json.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from drivers.ble_values import HINT, Special, date_time_bytes, sfloat_word
from drivers.gls.racp import RecordCount, decode_answer
from drivers.hrs.frame import Rejected
from drivers.profile_ble import full_uuid
from drivers.profile_message import Decoded
from drivers.profile_vectors import decode_source, sources
from drivers.units import exactly
from gateway.core.errors import ProtocolError

MEASUREMENT = "00002a18-0000-1000-8000-00805f9b34fb"
CONTEXT = "00002a34-0000-1000-8000-00805f9b34fb"

PROFILE = Path(__file__).parent / "gls_generic.toml"

_OFFSET, _CONCENTRATION, _MOLAR, _STATUS, _CONTEXT = 0x01, 0x02, 0x04, 0x08, 0x10
_CONTROL_SAMPLE, _CONTROL_LOCATION = 10, 4


@dataclass(frozen=True, slots=True)
class Glucose:
    """One record.

    base_time: the meter's wall clock, None where it does not know. offset_min: what the user has turned it by.
    value: in `unit`, "kg/L" or "mol/L"; None where the record has none. sample, location: 4 bits as sent.
    status: bits as sent, None where not sent. context_follows: a record of CONTEXT with the same sequence comes.
    """

    sequence: int
    base_time: datetime | None
    offset_min: int | None = None
    value: float | Special | None = None
    unit: str = "kg/L"
    sample: int | None = None
    location: int | None = None
    status: int | None = None
    context_follows: bool = False

    @property
    def user_time(self) -> datetime | None:
        """What the meter showed to its user; None where it is unknown or cannot be."""
        if self.base_time is None:
            return None
        try:
            return self.base_time + timedelta(minutes=self.offset_min or 0)
        except OverflowError:
            return None

    @property
    def status_names(self) -> tuple[str, ...]:
        return tuple(name for mask, name in meanings("2A18", "status").items() if (self.status or 0) & mask)

    @property
    def sample_name(self) -> str | None:
        return meanings("2A18", "sample").get(self.sample or 0)

    @property
    def location_name(self) -> str | None:
        return meanings("2A18", "location").get(self.location or 0)

    @property
    def is_control(self) -> bool:
        """A test of the meter with control solution: nobody's blood."""
        return self.sample == _CONTROL_SAMPLE or self.location == _CONTROL_LOCATION


@dataclass(frozen=True, slots=True)
class Context:
    """What the user told the meter about the record with the same sequence; None where nothing was told.

    medication_unit: "kg" or "L". A Special is a float that is no number.
    """

    sequence: int
    extended: int | None = None
    carbohydrate: int | None = None
    carbohydrate_kg: float | Special | None = None
    meal: int | None = None
    tester: int | None = None
    health: int | None = None
    exercise_s: int | None = None
    exercise_percent: int | None = None
    medication: int | None = None
    medication_amount: float | Special | None = None
    medication_unit: str = "kg"
    hba1c_percent: float | Special | None = None


def decode_measurement(data: bytes) -> Glucose | Rejected:
    """Never raises. Reserved flags and a length that does not match the flags are refused, not guessed at."""
    found = _decoded("2A18", data)
    if isinstance(found, Rejected):
        return found
    values, kind = found.values, found.raw.get("kind")
    return Glucose(
        sequence=values["sequence"],
        base_time=values["base_time"],
        offset_min=values["time_offset_min"],
        value=found.specials.get("glucose", values["glucose"]),
        unit=found.units.get("glucose", "mol/L" if found.raw["flags"] & _MOLAR else "kg/L"),
        sample=None if kind is None else kind & 0x0F,
        location=None if kind is None else kind >> 4,
        status=found.raw.get("status"),
        context_follows=values["context_follows"],
    )


def _decoded(uuid: str, data: bytes) -> Decoded | Rejected:
    try:
        return decode_source(PROFILE, uuid, data)
    except ProtocolError as error:
        return Rejected(str(error).split(":")[0])


@cache
def meanings(uuid: str, field: str) -> Mapping[int, str]:
    """What the codes of a mapped field are called, and what the bits of a field of bits."""
    wanted = full_uuid(uuid)
    fields = (entry for one, _ in sources(PROFILE).items() if one.characteristic == wanted for entry in one.field)
    (entry,) = (entry for entry in fields if entry.name == field)
    flags = {mask: name for name, mask in entry.bits.items()}
    return flags | {int(code): str(name) for code, name in entry.map.items()}


def encode_measurement(record: Glucose, *, exponent: int | None = None) -> bytes:
    """The meter's end. exponent: of the SFLOAT, by default mg/dL for kg/L and 0.1 mmol/L for mol/L."""
    flags = record.context_follows * _CONTEXT | (record.unit == "mol/L") * _MOLAR
    rest = b""
    if record.offset_min is not None:
        flags |= _OFFSET
        rest += struct.pack("<h", record.offset_min)
    if record.value is not None:
        flags |= _CONCENTRATION
        power = exponent if exponent is not None else (-4 if record.unit == "mol/L" else -5)
        rest += sfloat_word(record.value, power).to_bytes(2, "little")
        rest += bytes([(record.location or 0) << 4 | (record.sample or 0)])
    if record.status is not None:
        flags |= _STATUS
        rest += struct.pack("<H", record.status)
    return struct.pack("<BH", flags, record.sequence) + date_time_bytes(record.base_time) + rest


_CARB, _MEAL, _TESTER, _EXERCISE, _MEDICATION, _LITRES, _HBA1C, _EXTENDED = (1 << bit for bit in range(8))


def decode_context(data: bytes) -> Context | Rejected:
    """Never raises. All flags of a context are known; extended ones may announce fields of a later specification."""
    found = _decoded("2A34", data)
    if isinstance(found, Rejected):
        return found
    values, raw, specials = found.values, found.raw, found.specials
    who = raw.get("who")
    return Context(
        sequence=values["sequence"],
        extended=values["extended"],
        carbohydrate=raw.get("carbohydrate"),
        carbohydrate_kg=specials.get("carbohydrate_kg", values["carbohydrate_kg"]),
        meal=raw.get("meal"),
        tester=None if who is None else who & 0x0F,
        health=None if who is None else who >> 4,
        exercise_s=values["exercise_s"],
        exercise_percent=values["exercise_percent"],
        medication=raw.get("medication"),
        medication_amount=specials.get("medication_amount", values["medication_amount"]),
        medication_unit="L" if raw["flags"] & _LITRES else "kg",
        hba1c_percent=specials.get("hba1c_percent", values["hba1c_percent"]),
    )


def encode_context(context: Context) -> bytes:
    """The meter's end: the fields that are not None."""
    flags, rest = (_LITRES if context.medication_unit == "L" else 0), b""
    if context.extended is not None:
        flags, rest = flags | _EXTENDED, rest + bytes([context.extended])
    if context.carbohydrate is not None and context.carbohydrate_kg is not None:
        grams = sfloat_word(context.carbohydrate_kg, -3)
        flags, rest = flags | _CARB, rest + struct.pack("<BH", context.carbohydrate, grams)
    if context.meal is not None:
        flags, rest = flags | _MEAL, rest + bytes([context.meal])
    if context.tester is not None:
        flags, rest = flags | _TESTER, rest + bytes([(context.health or 0) << 4 | context.tester])
    if context.exercise_s is not None:
        flags, rest = flags | _EXERCISE, rest + struct.pack("<HB", context.exercise_s, context.exercise_percent or 0)
    if context.medication is not None and context.medication_amount is not None:
        amount = sfloat_word(context.medication_amount, -6)
        flags, rest = flags | _MEDICATION, rest + struct.pack("<BH", context.medication, amount)
    if context.hba1c_percent is not None:
        flags, rest = flags | _HBA1C, rest + struct.pack("<H", sfloat_word(context.hba1c_percent, -1))
    return struct.pack("<BH", flags, context.sequence) + rest


def measurement_values(data: bytes, _context: Mapping[str, Any]) -> dict[str, Any]:
    """A 2A18 vector's fields by their published names. ProtocolError where the bytes are refused."""
    record = decode_measurement(data)
    if isinstance(record, Rejected):
        raise _refused(record, data)
    user_time = record.user_time
    values: dict[str, Any] = {
        "sequence": record.sequence,
        "base_time": record.base_time and record.base_time.isoformat(),
        "time_offset_min": record.offset_min,
        "user_facing_time": user_time and user_time.isoformat(),
        "type": record.sample_name,
        "location": record.location_name,
        "status": None if record.status is None else list(record.status_names),
        "context_follows": record.context_follows,
    }
    number = None if isinstance(record.value, Special) else record.value
    values["glucose_flag"] = record.value.value if isinstance(record.value, Special) else None
    if record.unit == "kg/L":
        values["glucose_kg_L"] = number
        values["glucose_mg_dL"] = None if number is None else round(number * 1e5, 4)
    else:
        values["glucose_mol_L"] = number
    values["glucose_mmol_L"] = None if number is None else exactly(number, record.unit, "mmol/L")
    return values


def context_values(data: bytes, _context: Mapping[str, Any]) -> dict[str, Any]:
    """A 2A34 vector's fields. ProtocolError where the bytes are refused."""
    context = decode_context(data)
    if isinstance(context, Rejected):
        raise _refused(context, data)
    return {"sequence": context.sequence, **told(context)}


def told(context: Context) -> dict[str, str | int | float]:
    """What the user told, in words and numbers with their units; what was not told is not there."""
    amount_unit = "l" if context.medication_unit == "L" else "kg"
    fields: dict[str, str | int | float | Special | None] = {
        "carbohydrate": _called("carbohydrate", context.carbohydrate),
        "carbohydrate_kg": context.carbohydrate_kg,
        "meal": _called("meal", context.meal),
        "tester": _called("tester", context.tester),
        "health": _called("health", context.health),
        "exercise_s": context.exercise_s,
        "exercise_percent": context.exercise_percent,
        "medication": _called("medication", context.medication),
        f"medication_{amount_unit}": context.medication_amount,
        "hba1c_percent": context.hba1c_percent,
    }
    return {name: value for name, value in fields.items() if value is not None and not isinstance(value, Special)}


def _called(field: str, code: int | None) -> str | None:
    return meanings("2A34", field).get(code or 0)


def control_point_values(data: bytes, _context: Mapping[str, Any]) -> dict[str, Any]:
    """A 2A52 vector's fields. ProtocolError where the bytes are refused."""
    answer = decode_answer(data)
    if isinstance(answer, Rejected):
        raise _refused(answer, data)
    if isinstance(answer, RecordCount):
        return {"op": "number_of_records", "count": answer.count}
    return {
        "op": "response",
        "request_op": answer.request_op,
        "result_code": answer.code,
        "result": answer.result,
    }


def _refused(rejected: Rejected, data: bytes) -> ProtocolError:
    return ProtocolError(f"{rejected.reason}: {data.hex()}", hint=HINT)


VECTOR_DECODERS: dict[str, Callable[[bytes, Mapping[str, Any]], dict[str, Any]]] = {
    "2A18": measurement_values,
    "2A34": context_values,
    "2A52": control_point_values,
}
