"""A TaiDoc or FORA scale's weighing: a long frame with the moment, the user's key and on some the body's composition.

Sources: the W310B record with its bytes in markchuang56/iOS-Demo; advmeds-bluetooth-lib's decoder of the TD-25 series;
the byte table of the FORA TNG scale in a public BLE demonstration. Numbers of more than a byte are big-endian here.
"""

from datetime import datetime
from typing import Any, NamedTuple

from gateway.core.errors import ProtocolError

LEAST_DATA = 27  # a reply has 32 bytes at least
WITH_COMPOSITION = 35  # data bytes of scales that measure the body's impedance
NO_YEAR = 0xFF  # of a place in the memory that holds no weighing
NO_WEIGHT = (0, 0xFFFF)
UNITS = {0: "kg", 1: "[lb_av]", 2: "[stone_av]"}  # what the scale shows; both kilograms and pounds are always sent

TIME, USER, HEIGHT, UNIT, KILOGRAMS, POUNDS, BMI, FAT, MUSCLE, BONE, WATER = 1, 6, 8, 12, 13, 15, 17, 21, 23, 25, 26


class Weighing(NamedTuple):
    """shown: the scale's own time, None when it is none. user: the key that was pressed, as the scale numbers them.

    bmi, body_fat_percent, muscle_percent, bone_percent, water_percent: by the scale's own formula and the height that
    somebody once keyed in; None where it has none.
    """

    shown: datetime | None
    user: int
    height_cm: int
    unit: str
    weight_kg: float
    weight_lb: float
    bmi: float | None
    body_fat_percent: float | None = None
    muscle_percent: float | None = None
    bone_percent: float | None = None
    water_percent: float | None = None


def decode_weighing(data: bytes) -> Weighing:
    """From a long frame's data. ProtocolError "length", "empty" (nothing is stored there) or "no_value"."""
    if len(data) < LEAST_DATA:
        raise ProtocolError(f"length: {data.hex()} is no weighing", hint="is this a scale of the 25 series?")
    if is_empty(data):
        raise ProtocolError("empty: there is no weighing with this number", hint="step onto the scale")
    kilograms = _word(data, KILOGRAMS)
    if kilograms in NO_WEIGHT:
        raise ProtocolError(f"no_value: {data.hex()} holds no weight", hint="weigh again, standing still")
    whole = len(data) >= WITH_COMPOSITION
    return Weighing(
        moment(data), data[USER], data[HEIGHT], UNITS.get(data[UNIT], ""),
        kilograms / 10, _word(data, POUNDS) / 10, _tenths(_word(data, BMI)),
        _tenths(_word(data, FAT) if whole else 0), _tenths(_word(data, MUSCLE) if whole else 0),
        _tenths(data[BONE] if whole else 0), _tenths(_word(data, WATER) if whole else 0),
    )  # fmt: skip


def is_empty(data: bytes) -> bool:
    """Whether a scale says that it has no weighing of this number."""
    return len(data) > TIME and data[TIME] == NO_YEAR


def moment(data: bytes) -> datetime | None:
    """When it was, by the scale's own clock; None when its bytes are no moment."""
    if len(data) < LEAST_DATA:
        return None
    year, month, day, hour, minute = data[TIME : TIME + 5]
    try:
        return datetime(2000 + year, month, day, hour, minute)  # noqa: DTZ001 - device's local
    except ValueError:
        return None


def encode_weighing(shown: datetime, weight_kg: float, *, user: int = 0, height_cm: int = 0, bmi: float = 0.0) -> bytes:
    """The data of a weighing without composition, as a scale sends it."""
    data = bytearray(29)
    data[TIME : TIME + 5] = bytes((shown.year - 2000, shown.month, shown.day, shown.hour, shown.minute))
    data[USER], data[HEIGHT] = user, height_cm
    for at, value in ((KILOGRAMS, weight_kg), (POUNDS, weight_kg / 0.45359237), (BMI, bmi)):
        data[at : at + 2] = round(value * 10).to_bytes(2, "big")
    return bytes(data)


def vector(data: bytes) -> dict[str, Any]:
    """A weighing under the names that vector files use."""
    weighing = decode_weighing(data)
    return {
        "time_local": None if weighing.shown is None else weighing.shown.isoformat(),
        "user": weighing.user,
        "height_cm": weighing.height_cm,
        "weight_kg": weighing.weight_kg,
        "weight_lb": weighing.weight_lb,
        "bmi_kg_m2": weighing.bmi,
        "body_fat_percent": weighing.body_fat_percent,
    }


def _word(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "big")


def _tenths(raw: int) -> float | None:
    return raw / 10 if raw else None
