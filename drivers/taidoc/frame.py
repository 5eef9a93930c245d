"""TaiDoc's frames: 51, command, four data bytes, direction, sum; a scale's are longer and say how long.

Sources: glucometer-protocols, taidoc/td42xx; the test of glucometerutils' td42xx driver; command constants and layouts
of advmeds-bluetooth-lib; for mixed meters, control solution and the flags of a cuff's time also the FORA D40 reader of
markchuang56/iOS-Demo. Vectors: tests/vectors/taidoc.json. Command 52 erases a meter: this file cannot encode it.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import IntEnum
from typing import Any, NamedTuple

from drivers.byte_stream import ByteStream, Cut, only_frame
from drivers.taidoc import scale
from drivers.units import normalise
from gateway.core.errors import ProtocolError

SERVICE = "00001523-1212-efde-1523-785feabcd123"
CHARACTERISTIC = "00001524-1212-efde-1523-785feabcd123"

FRAME_BYTES = 8
STX = 0x51
TO_DEVICE, FROM_DEVICE = 0xA3, 0xA5
_DIRECTIONS = {TO_DEVICE: "to_device", FROM_DEVICE: "from_device"}
_HINT = "compare with the meter's document; is the model right?"


class Command(IntEnum):
    """What may be sent. 0x52, which erases all records, is left out on purpose."""

    CONNECT = 0x22
    GET_TIME = 0x23
    MODEL = 0x24
    RECORD_TIME = 0x25
    RECORD_VALUE = 0x26
    COUNT = 0x2B
    SET_TIME = 0x33
    LIVE_SPO2 = 0x49
    POWER_OFF = 0x50
    WEIGHING = 0x71
    WEIGHING_BIA = 0x77


LONG = (Command.WEIGHING, Command.WEIGHING_BIA)  # a scale's: a length byte stands before their data
MOST_LONG_DATA = 40  # a weighing has 29 data bytes, with body composition 35

CONNECT_REPLIES = (0x22, 0x24, 0x54)

CONTROL = "control"  # a drop of the maker's solution, no person's
MEALS = {0x00: None, 0x40: "before", 0x80: "after", 0xC0: CONTROL}
MG_DL_PER_KETONE, MG_DL_PER_LACTATE = 30, 9.008
ANALYTES = {
    0: "glucose", 6: "haematocrit", 7: "ketone", 8: "uric_acid", 9: "cholesterol", 11: "haemoglobin", 12: "lactate",
}  # fmt: skip
_SCALES = {"ketone": 1 / MG_DL_PER_KETONE, "uric_acid": 0.1, "haemoglobin": 0.1, "lactate": 1 / MG_DL_PER_LACTATE}
UNITS = {  # UCUM, of a value after its scale
    "glucose": "mg/dL", "haematocrit": "%", "ketone": "mmol/L", "uric_acid": "mg/dL", "cholesterol": "mg/dL",
    "haemoglobin": "g/dL", "lactate": "mmol/L",
}  # fmt: skip
RHYTHMS = ("normal", "fast_or_slow", "varied", "atrial_fibrillation")  # what a cuff makes of the beats; no diagnosis

LAST_ERROR_PULSE = 3  # a "pulse" up to here is the cuff's error code
HIGHEST_SYSTOLIC = 300  # above it the second byte is a flag, not a number


class Frame(NamedTuple):
    """cmd: also of answers to commands we do not send. data: four bytes; of a long frame up to MOST_LONG_DATA."""

    cmd: int
    data: bytes
    direction: int
    is_long: bool = False

    @property
    def raw(self) -> bytes:
        return encode(self.cmd, self.data, self.direction, is_long=self.is_long)


class Pressure(NamedTuple):
    systolic: int
    diastolic: int
    pulse_bpm: int


class Blood(NamedTuple):
    """analyte: one of ANALYTES. unit: as UNITS has it. meal: one of MEALS."""

    analyte: str
    value: float
    unit: str
    meal: str | None


class RecordFlags(NamedTuple):
    """What the upper bits of a cuff's time say of its record. is_pressure: in a memory that holds glucose too.

    irregular: the beats were. rhythm: one of RHYTHMS. average: the mean of several measurements.
    """

    is_pressure: bool
    irregular: bool
    rhythm: str
    average: bool


class TaidocStream(ByteStream[Frame]):
    """Frames of one or both directions. direction: only this one counts, None for any. long: a scale's frames too."""

    def __init__(self, direction: int | None = FROM_DEVICE, *, long: bool = False) -> None:
        super().__init__()
        self._directions = (TO_DEVICE, FROM_DEVICE) if direction is None else (direction,)
        self._long = LONG if long else ()

    def lead(self, buffer: bytes, at: int) -> int:
        found = buffer.find(STX, at)
        return found if found >= 0 else len(buffer)

    def cut(self, buffer: bytes, at: int) -> Cut[Frame] | str | None:
        raw = buffer[at : at + FRAME_BYTES]
        if self._long and len(raw) > 2 and raw[1] in self._long:
            return self._cut_long(buffer, at, raw[2])
        if len(raw) < FRAME_BYTES:
            return None
        if raw[6] not in self._directions:
            return "direction"
        if sum(raw[:7]) & 0xFF != raw[7]:
            return "checksum"
        return FRAME_BYTES, Frame(raw[1], raw[2:6], raw[6])

    def _cut_long(self, buffer: bytes, at: int, size: int) -> Cut[Frame] | str | None:
        if not 0 < size <= MOST_LONG_DATA:
            return "length"
        raw = buffer[at : at + size + 5]
        if len(raw) < size + 5:
            return None
        if raw[-2] not in self._directions:
            return "direction"
        if sum(raw[:-1]) & 0xFF != raw[-1]:
            return "checksum"
        return len(raw), Frame(raw[1], raw[3:-2], raw[-2], is_long=True)


def encode(cmd: int, data: bytes = bytes(4), direction: int = TO_DEVICE, *, is_long: bool = False) -> bytes:
    """A whole frame. ValueError for a request that is none of Command's, the erasing one above all."""
    if direction == TO_DEVICE:
        cmd = Command(cmd)
    length = bytes((len(data),)) if is_long else b""
    body = bytes((STX, cmd)) + length + data + bytes((direction,))
    return body + bytes((sum(body) & 0xFF,))


def weighing_request(command: Command, index: int) -> bytes:
    """WEIGHING or WEIGHING_BIA of one record; 0 is the newest."""
    return encode(command, index.to_bytes(2, "little"), is_long=True)


def record_request(command: Command, index: int, user: int = 0) -> bytes:
    """RECORD_TIME or RECORD_VALUE of one record; 0 is the newest. user: 1 on cuffs that keep records by person."""
    return encode(command, index.to_bytes(2, "little") + bytes((0, user)))


def encode_time(local: datetime) -> bytes:
    """The four data bytes of a local time; its seconds are cut off."""
    day = (local.year - 2000) << 9 | local.month << 5 | local.day
    return day.to_bytes(2, "little") + bytes((local.minute, local.hour))


def decode_time(data: bytes) -> datetime:
    """The device's wall clock, without a zone. ProtocolError "time" when there is no such moment.

    Some cuffs keep flags in the upper bits of minute and hour; they are no part of the time.
    """
    day = int.from_bytes(data[:2], "little")
    minute, hour = data[2] & 0x3F, data[3] & 0x1F
    try:
        return datetime(2000 + (day >> 9), day >> 5 & 0x0F, day & 0x1F, hour, minute)  # noqa: DTZ001 - device's local
    except ValueError:
        raise ProtocolError(f"time: {data.hex()} is no moment", hint=_HINT) from None


def decode_flags(data: bytes) -> RecordFlags:
    """Of a record's four time bytes, on cuffs that keep flags there (FORA D40, P30 Plus); elsewhere they are clear."""
    minute, hour = data[2], data[3]
    return RecordFlags(bool(minute & 0x80), bool(minute & 0x40), RHYTHMS[hour >> 5 & 0x03], bool(hour & 0x80))


def decode_model(data: bytes) -> str:
    """ "TD-3128" from 28 31. ProtocolError "model" when the digits are none."""
    digits = data[1::-1].hex()
    if not digits.isdecimal():
        raise ProtocolError(f"model: {data.hex()} is no model number", hint=_HINT)
    return f"TD-{digits}"


def decode_count(data: bytes) -> int:
    """Records kept; a meter that never had any fills the other word with FFFF."""
    count, other = int.from_bytes(data[:2], "little"), int.from_bytes(data[2:], "little")
    return 0 if 0xFFFF in (count, other) else count


def decode_pressure(data: bytes, *, one_byte: bool = False) -> Pressure:
    """Pressures in mm[Hg]. one_byte: models whose second byte is a flag. ProtocolError "cuff_error" when it failed."""
    systolic = int.from_bytes(data[:2], "little")
    if one_byte or systolic > HIGHEST_SYSTOLIC:
        systolic = data[0]
    if data[3] <= LAST_ERROR_PULSE:
        raise ProtocolError(f"cuff_error: the cuff says error {data[3]}", hint="measure again, sitting still")
    return Pressure(systolic, data[2], data[3])


def decode_temperature(data: bytes) -> float:
    """Cel, from hundredths (1000 and above) or tenths."""
    value = int.from_bytes(data[:2], "little")
    return value / 100 if value >= 1000 else value / 10


def decode_saturation(data: bytes) -> tuple[int | None, int | None]:
    """SpO2 in %, pulse in /min; 0 is none."""
    return data[0] or None, data[3] or None


def decode_blood(data: bytes, *, many: bool = False) -> Blood:
    """A strip's value. many: meters whose strips measure more than glucose. ProtocolError "no_value" or "analyte"."""
    value = int.from_bytes(data[:2], "little")
    if value in (0, 0xFFFF):
        raise ProtocolError(f"no_value: {data.hex()} holds no measurement", hint="measure again")
    number = data[3] >> 2 & 0x0F if many else 0
    if (analyte := ANALYTES.get(number)) is None:
        raise ProtocolError(f"analyte: kind of strip {number} is not known", hint=_HINT)
    return Blood(analyte, value * _SCALES.get(analyte, 1), UNITS[analyte], MEALS[data[3] & 0xC0])


def _frame(data: bytes, *, long: bool = False) -> tuple[Frame, dict[str, Any]]:
    frame = only_frame(TaidocStream(None, long=long), data)
    return frame, {"cmd": frame.cmd, "direction": _DIRECTIONS[frame.direction]}


def _vector(meaning: Callable[[bytes, Mapping[str, Any]], dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def decode(data: bytes, context: Mapping[str, Any]) -> dict[str, Any]:
        frame, values = _frame(data)
        return values | meaning(frame.data, context)

    return decode


def _pressure_vector(data: bytes, context: Mapping[str, Any]) -> dict[str, Any]:
    pressure = decode_pressure(data, one_byte=context.get("model") in ("TD-3128", "TD-3129", "TD-3140"))
    return {
        "systolic_mmHg": pressure.systolic,
        "diastolic_mmHg": pressure.diastolic,
        "pulse_bpm": pressure.pulse_bpm,
    }


def _saturation_vector(data: bytes, _context: Mapping[str, Any]) -> dict[str, Any]:
    spo2, pulse = decode_saturation(data)
    return {"spo2_percent": spo2, "pulse_bpm": pulse}


def _blood_vector(data: bytes, context: Mapping[str, Any]) -> dict[str, Any]:
    blood = decode_blood(data, many=bool(context.get("multi")))
    values: dict[str, Any] = {"analyte": blood.analyte, "value": blood.value, "unit": blood.unit, "meal": blood.meal}
    if blood.analyte == "glucose":
        values["glucose_mg_dL"] = int(blood.value)
        values["glucose_mmol_L"] = normalise("glucose", blood.value, "mg/dL")
    return values


def _mixed_vector(data: bytes, context: Mapping[str, Any]) -> dict[str, Any]:
    """A record's two answers, time and value, one behind the other."""
    time, _ = _frame(data[:FRAME_BYTES])
    value, _ = _frame(data[FRAME_BYTES:])
    flags = decode_flags(time.data)
    known = {"time_local": decode_time(time.data).isoformat()}
    if not flags.is_pressure:
        return known | _blood_vector(value.data, context)
    told = {"irregular": flags.irregular, "rhythm": flags.rhythm, "average": flags.average}
    return known | told | _pressure_vector(value.data, context)


def _scale_vector(data: bytes, _context: Mapping[str, Any]) -> dict[str, Any]:
    frame, values = _frame(data, long=True)
    return values | scale.vector(frame.data)


VECTOR_DECODERS: dict[str, Callable[[bytes, Mapping[str, Any]], dict[str, Any]]] = {
    "taidoc8": lambda data, _context: _frame(data)[1],
    "taidoc8_datetime": _vector(lambda data, _context: {"time_local": decode_time(data).isoformat()}),
    "taidoc8_bp": _vector(_pressure_vector),
    "taidoc8_temp": _vector(lambda data, _context: {"temperature_C": decode_temperature(data)}),
    "taidoc8_spo2": _vector(_saturation_vector),
    "taidoc8_model": _vector(lambda data, _context: {"model": decode_model(data)}),
    "taidoc8_glucose": _vector(_blood_vector),
    "taidoc8_count": _vector(lambda data, _context: {"count": decode_count(data)}),
    "taidoc8_record": _mixed_vector,
    "taidoc_scale": _scale_vector,
}
