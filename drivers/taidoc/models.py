"""Which TaiDoc meter measures what, and how its records are read."""

from dataclasses import dataclass
from enum import Enum

from drivers.taidoc.frame import decode_blood, decode_pressure, decode_saturation, decode_temperature
from drivers.units import normalise
from gateway.core.errors import ProtocolError
from gateway.core.model import Status

HIGHEST_MG_DL, LOWEST_MG_DL = 600, 20  # a meter shows HI above and LO below
NO_MORE_MG_DL = 999  # beyond it a number is no HI but damage


class Kind(Enum):
    PRESSURE = "pressure"
    BLOOD = "blood"
    TEMPERATURE = "temperature"
    SATURATION = "saturation"


@dataclass(frozen=True, slots=True)
class Model:
    """number: what the meter must say of itself, "" where any will do. user: whose records are asked for.

    one_byte: the systolic's second byte is a flag. many: strips for more than glucose. live: no records, asked once a
    second while a finger is in.
    """

    kind: Kind
    number: str = ""
    user: int = 0
    one_byte: bool = False
    many: bool = False
    live: bool = False


MODELS = {
    "taidoc_pressure": Model(Kind.PRESSURE),
    "td_3128": Model(Kind.PRESSURE, "TD-3128", one_byte=True),
    "td_3140": Model(Kind.PRESSURE, "TD-3140", user=1, one_byte=True),
    "taidoc_glucose": Model(Kind.BLOOD),
    "td_4277": Model(Kind.BLOOD, "TD-4277"),
    "td_4235": Model(Kind.BLOOD, "TD-4235"),
    "td_4216": Model(Kind.BLOOD, "TD-4216", many=True),
    "fora_md6": Model(Kind.BLOOD, many=True),
    "taidoc_thermometer": Model(Kind.TEMPERATURE),
    "taidoc_oximeter": Model(Kind.SATURATION),
    "td_8255": Model(Kind.SATURATION, "TD-8255", live=True),
}


@dataclass(frozen=True, slots=True)
class Meaning:
    """Values by quantity, in its unit; what the meter itself said, in its own."""

    values: dict[str, float]
    original: dict[str, str | float]
    status: Status = Status.VALID


def meaning(model: Model, data: bytes) -> Meaning:
    """A record's four value bytes. ProtocolError whose message begins with the reason, for what is no measurement."""
    if model.kind is Kind.PRESSURE:
        pressure = decode_pressure(data, one_byte=model.one_byte)
        values: dict[str, float] = {
            "systolic": pressure.systolic, "diastolic": pressure.diastolic, "pulse_rate": pressure.pulse_bpm,
        }  # fmt: skip
        return Meaning(values, {})
    if model.kind is Kind.TEMPERATURE:
        return Meaning({"body_temperature": decode_temperature(data)}, {})
    if model.kind is Kind.SATURATION:
        spo2, pulse = decode_saturation(data)
        if spo2 is None or pulse is None:
            raise ProtocolError("no_value: no saturation in this record", hint="measure again")
        return Meaning({"spo2": spo2, "pulse_rate": pulse}, {})
    return _blood(model, data)


def _blood(model: Model, data: bytes) -> Meaning:
    blood = decode_blood(data, many=model.many)
    original: dict[str, str | float] = {"analyte": blood.analyte, "value": blood.value}
    if blood.meal is not None:
        original["meal"] = blood.meal
    if blood.analyte != "glucose":
        raise ProtocolError(f"no_quantity_{blood.analyte}: {blood.value:g}", hint="the house keeps glucose only")
    original["unit"] = "mg/dL"
    if HIGHEST_MG_DL < blood.value <= NO_MORE_MG_DL:
        return Meaning({"glucose": normalise("glucose", HIGHEST_MG_DL, "mg/dL")}, original, Status.OVER)
    if blood.value < LOWEST_MG_DL:
        return Meaning({"glucose": normalise("glucose", LOWEST_MG_DL, "mg/dL")}, original, Status.UNDER)
    return Meaning({"glucose": normalise("glucose", blood.value, "mg/dL")}, original)
