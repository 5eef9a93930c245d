"""What a TaiDoc meter's record says of a person, or why it says nothing."""

from dataclasses import dataclass, field

from drivers.taidoc.frame import (
    CONTROL,
    decode_blood,
    decode_flags,
    decode_pressure,
    decode_saturation,
    decode_temperature,
)
from drivers.taidoc.models import Kind, Model
from drivers.taidoc.scale import decode_weighing
from drivers.units import normalise
from gateway.core.errors import ProtocolError
from gateway.core.model import Status
from gateway.core.quantities import QUANTITIES

HIGHEST_MG_DL, LOWEST_MG_DL = 600, 20  # a meter shows HI above and LO below
NO_MORE_MG_DL = 999  # beyond it a number is no HI but damage

Original = dict[str, str | float | bool]


@dataclass(frozen=True, slots=True)
class Meaning:
    """Values by quantity, in its unit; what the meter itself said, in its own. is_control: of no person."""

    values: dict[str, float]
    original: Original = field(default_factory=dict)
    status: Status = Status.VALID
    is_control: bool = False


def meaning(model: Model, data: bytes, time: bytes = bytes(4)) -> Meaning:
    """A record's value bytes and the four bytes of its time. ProtocolError that begins with the reason, for what is no
    measurement."""
    if model.kind is Kind.WEIGHT:
        return _weight(data)
    if model.kind is Kind.TEMPERATURE:
        if not (celsius := decode_temperature(data)):
            raise ProtocolError("no_value: no temperature in this record", hint="measure again")
        return Meaning({"body_temperature": celsius})
    if model.kind is Kind.SATURATION:
        spo2, pulse = decode_saturation(data)
        if spo2 is None or pulse is None:
            raise ProtocolError("no_value: no saturation in this record", hint="measure again")
        return Meaning({"spo2": spo2, "pulse_rate": pulse})
    if model.kind is Kind.PRESSURE or (model.kind is Kind.MIXED and decode_flags(time).is_pressure):
        return _pressure(model, data, time)
    return _blood(model, data)


def _pressure(model: Model, data: bytes, time: bytes) -> Meaning:
    pressure = decode_pressure(data, one_byte=model.one_byte)
    original: Original = {}
    if model.flags:
        flags = decode_flags(time)
        said = {"irregular": flags.irregular, "average": flags.average}
        original |= {name: True for name, is_so in said.items() if is_so}
        if flags.irregular or flags.rhythm != "normal":
            original["rhythm"] = flags.rhythm
    values = {"systolic": pressure.systolic, "diastolic": pressure.diastolic, "pulse_rate": pressure.pulse_bpm}
    return Meaning({name: float(value) for name, value in values.items()}, original)


def _blood(model: Model, data: bytes) -> Meaning:
    blood = decode_blood(data, many=model.many)
    original: Original = {"analyte": blood.analyte, "value": round(blood.value, 2), "unit": blood.unit}
    if blood.meal == CONTROL:
        return Meaning({}, original, is_control=True)
    if blood.meal is not None:
        original["meal"] = blood.meal
    value, status = blood.value, Status.VALID
    if blood.analyte == "glucose" and HIGHEST_MG_DL < value <= NO_MORE_MG_DL:
        value, status = HIGHEST_MG_DL, Status.OVER
    elif blood.analyte == "glucose" and value < LOWEST_MG_DL:
        value, status = LOWEST_MG_DL, Status.UNDER
    return Meaning({blood.analyte: round(normalise(blood.analyte, value, blood.unit), 2)}, original, status)


def _weight(data: bytes) -> Meaning:
    """The weight, and what the scale made of it where that can be; a height keyed in wrongly costs no weighing."""
    weighing = decode_weighing(data)
    derived = {"bmi": weighing.bmi, "body_fat": weighing.body_fat_percent}
    values = {"weight": weighing.weight_kg}
    values |= {name: value for name, value in derived.items() if value and QUANTITIES[name].plausible(value)}
    original: Original = {"user": weighing.user, "weight_lb": weighing.weight_lb, "unit": weighing.unit}
    if weighing.height_cm:
        original["height_cm"] = weighing.height_cm
    for name in ("muscle_percent", "bone_percent", "water_percent"):
        if (part := getattr(weighing, name)) is not None:
            original[name] = part
    return Meaning(values, original)
