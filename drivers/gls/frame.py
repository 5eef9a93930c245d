"""Glucose Measurement (0x2A18) and its Context (0x2A34): bytes to values and back.

Source: Bluetooth GATT Specification Supplement, "Glucose Measurement" and "Glucose Measurement Context"; vectors in
tests/vectors/ble_gls.json.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from drivers.ble_values import DATE_TIME_SIZE, HINT, Special, date_time, date_time_bytes, sfloat, sfloat_word
from drivers.gls.racp import RecordCount, decode_answer
from drivers.hrs.frame import Rejected
from drivers.units import convert
from gateway.core.errors import ProtocolError

MEASUREMENT = "00002a18-0000-1000-8000-00805f9b34fb"
CONTEXT = "00002a34-0000-1000-8000-00805f9b34fb"

SAMPLES = {
    1: "capillary_whole_blood",
    2: "capillary_plasma",
    3: "venous_whole_blood",
    4: "venous_plasma",
    5: "arterial_whole_blood",
    6: "arterial_plasma",
    7: "undetermined_whole_blood",
    8: "undetermined_plasma",
    9: "interstitial_fluid",
    10: "control_solution",
}
LOCATIONS = {1: "finger", 2: "alternate_site", 3: "earlobe", 4: "control_solution"}  # 15: not available
STATUS = (
    "battery_low",
    "sensor_malfunction",
    "sample_insufficient",
    "strip_insertion_error",
    "strip_type_incorrect",
    "result_too_high",
    "result_too_low",
    "temperature_too_high",
    "temperature_too_low",
    "read_interrupted",
    "general_fault",
    "time_fault",
)
MEALS = {1: "preprandial", 2: "postprandial", 3: "fasting", 4: "casual", 5: "bedtime"}
CARBOHYDRATES = {1: "breakfast", 2: "lunch", 3: "dinner", 4: "snack", 5: "drink", 6: "supper", 7: "brunch"}
TESTERS = {1: "self", 2: "health_care_professional", 3: "lab_test"}  # 15: not available
HEALTH = {1: "minor_issues", 2: "major_issues", 3: "during_menses", 4: "under_stress", 5: "no_issues"}
MEDICATIONS = {
    1: "rapid_acting_insulin",
    2: "short_acting_insulin",
    3: "intermediate_acting_insulin",
    4: "long_acting_insulin",
    5: "pre_mixed_insulin",
}
EXERCISE_OVERRUN = 0xFFFF  # longer than the meter can say

_OFFSET, _CONCENTRATION, _MOLAR, _STATUS, _CONTEXT, _RESERVED = 0x01, 0x02, 0x04, 0x08, 0x10, 0xE0
_HEAD = 3 + DATE_TIME_SIZE


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
        return tuple(name for bit, name in enumerate(STATUS) if (self.status or 0) >> bit & 1)

    @property
    def is_control(self) -> bool:
        """A test of the meter with control solution: nobody's blood."""
        return self.sample == 10 or self.location == 4


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
    if not data:
        return Rejected("empty")
    flags = data[0]
    if flags & _RESERVED:
        return Rejected("reserved_flag")
    size = _HEAD + 2 * bool(flags & _OFFSET) + 3 * bool(flags & _CONCENTRATION) + 2 * bool(flags & _STATUS)
    if len(data) != size:
        return Rejected("truncated" if len(data) < size else "too_long")
    try:
        base_time = date_time(data[3:_HEAD])
    except ProtocolError:
        return Rejected("time")
    rest = _Reader(data[_HEAD:])
    offset_min = rest.s16() if flags & _OFFSET else None
    value, kind = (rest.sfloat(), rest.u8()) if flags & _CONCENTRATION else (None, None)
    return Glucose(
        sequence=int.from_bytes(data[1:3], "little"),
        base_time=base_time,
        offset_min=offset_min,
        value=value,
        unit="mol/L" if flags & _MOLAR else "kg/L",
        sample=None if kind is None else kind & 0x0F,
        location=None if kind is None else kind >> 4,
        status=rest.u16() if flags & _STATUS else None,
        context_follows=bool(flags & _CONTEXT),
    )


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
_CONTEXT_SIZES = ((_EXTENDED, 1), (_CARB, 3), (_MEAL, 1), (_TESTER, 1), (_EXERCISE, 3), (_MEDICATION, 3), (_HBA1C, 2))


def decode_context(data: bytes) -> Context | Rejected:
    """Never raises. All flags of a context are known; extended ones may announce fields of a later specification."""
    if not data:
        return Rejected("empty")
    flags = data[0]
    size = 3 + sum(size for flag, size in _CONTEXT_SIZES if flags & flag)
    if len(data) != size:
        return Rejected("truncated" if len(data) < size else "too_long")
    rest = _Reader(data[3:])
    extended = rest.u8() if flags & _EXTENDED else None
    if extended:
        return Rejected("reserved_flag")
    carbohydrate, carbohydrate_kg = (rest.u8(), rest.sfloat()) if flags & _CARB else (None, None)
    meal = rest.u8() if flags & _MEAL else None
    who = rest.u8() if flags & _TESTER else None
    exercise_s, exercise_percent = (rest.u16(), rest.u8()) if flags & _EXERCISE else (None, None)
    medication, amount = (rest.u8(), rest.sfloat()) if flags & _MEDICATION else (None, None)
    return Context(
        sequence=int.from_bytes(data[1:3], "little"),
        extended=extended,
        carbohydrate=carbohydrate,
        carbohydrate_kg=carbohydrate_kg,
        meal=meal,
        tester=None if who is None else who & 0x0F,
        health=None if who is None else who >> 4,
        exercise_s=exercise_s,
        exercise_percent=exercise_percent,
        medication=medication,
        medication_amount=amount,
        medication_unit="L" if flags & _LITRES else "kg",
        hba1c_percent=rest.sfloat() if flags & _HBA1C else None,
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


class _Reader:
    """Little-endian numbers one after the other, from bytes whose length has been checked."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def u8(self) -> int:
        return self._take(1)

    def u16(self) -> int:
        return self._take(2)

    def s16(self) -> int:
        word = self._take(2)
        return word - 0x10000 if word & 0x8000 else word

    def sfloat(self) -> float | Special:
        return sfloat(self._take(2))

    def _take(self, size: int) -> int:
        start, self._at = self._at, self._at + size
        return int.from_bytes(self._data[start : self._at], "little")


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
        "type": SAMPLES.get(record.sample or 0),
        "location": LOCATIONS.get(record.location or 0),
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
    values["glucose_mmol_L"] = None if number is None else convert(number, record.unit, "mmol/L")
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
        "carbohydrate": CARBOHYDRATES.get(context.carbohydrate or 0),
        "carbohydrate_kg": context.carbohydrate_kg,
        "meal": MEALS.get(context.meal or 0),
        "tester": TESTERS.get(context.tester or 0),
        "health": HEALTH.get(context.health or 0),
        "exercise_s": None if context.exercise_s == EXERCISE_OVERRUN else context.exercise_s,
        "exercise_percent": context.exercise_percent,
        "medication": MEDICATIONS.get(context.medication or 0),
        f"medication_{amount_unit}": context.medication_amount,
        "hba1c_percent": context.hba1c_percent,
    }
    return {name: value for name, value in fields.items() if value is not None and not isinstance(value, Special)}


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
