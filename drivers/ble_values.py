"""Numbers and times of the Bluetooth health services: SFLOAT, FLOAT, Date Time.

Layouts: IEEE 11073-20601 (medical floats) and the Bluetooth GATT Specification Supplement (Date Time, 2A08). A special
is told before anything is decoded, so that "not a number" never becomes 2047; scaling is decimal, so that 0xF0BD is
18.9 and not 18.900000000000002.
"""

from datetime import datetime
from enum import StrEnum

from gateway.core.errors import ProtocolError

DATE_TIME_SIZE = 7
FIRST_YEAR = 1582  # of the calendar, and of what Date Time may say
HINT = "the device sends something else than the specification says: check model and firmware"


class Special(StrEnum):
    """What a medical float says instead of a number."""

    NAN = "nan"  # the measurement failed
    NRES = "nres"  # the number does not fit the resolution
    PINF = "pinf"  # above the device's range
    NINF = "ninf"  # below it
    RESERVED = "reserved"


_SFLOAT_SPECIALS = {
    0x07FF: Special.NAN,
    0x0800: Special.NRES,
    0x07FE: Special.PINF,
    0x0802: Special.NINF,
    0x0801: Special.RESERVED,
}
_FLOAT_SPECIALS = {
    0x007FFFFF: Special.NAN,
    0x00800000: Special.NRES,
    0x007FFFFE: Special.PINF,
    0x00800002: Special.NINF,
    0x00800001: Special.RESERVED,
}
_POWERS = tuple(10.0**exponent for exponent in range(23))  # the powers of ten that a double holds exactly


def sfloat(word: int) -> float | Special:
    """The meaning of a 16-bit SFLOAT, given as an unsigned number: sfloat(0xF0BD) is 18.9."""
    if (special := _SFLOAT_SPECIALS.get(word)) is not None:
        return special
    return _decimal(_signed(word & 0x0FFF, 12), _signed(word >> 12, 4))


def float32(word: int) -> float | Special:
    """The meaning of a 32-bit FLOAT, given as an unsigned number: float32(0xFF00016E) is 36.6."""
    if (special := _FLOAT_SPECIALS.get(word)) is not None:
        return special
    return _decimal(_signed(word & 0x00FF_FFFF, 24), _signed(word >> 24, 8))


def number_or_none(value: float | Special) -> float | None:
    """A special is no number: None."""
    return None if isinstance(value, Special) else value


def sfloat_word(value: float | Special, exponent: int = 0) -> int:
    """The reverse of sfloat, for the device's end. ValueError when the mantissa does not fit."""
    return _word(value, exponent, _SFLOAT_SPECIALS, mantissa_bits=12, exponent_bits=4)


def float32_word(value: float | Special, exponent: int = -2) -> int:
    """The reverse of float32, for the device's end. ValueError when the mantissa does not fit."""
    return _word(value, exponent, _FLOAT_SPECIALS, mantissa_bits=24, exponent_bits=8)


def date_time(data: bytes) -> datetime | None:
    """Seven bytes of Date Time: the device's wall clock, without a zone; None where it does not know the date.

    ProtocolError (reason "time") where the bytes are no date.
    """
    if len(data) != DATE_TIME_SIZE:
        raise ProtocolError(f"short: a date has {DATE_TIME_SIZE} bytes, there are {len(data)}", hint=HINT)
    year = int.from_bytes(data[:2], "little")
    month, day, hour, minute, second = data[2:]
    if year == 0 or month == 0 or day == 0:
        return None
    if year < FIRST_YEAR:
        raise ProtocolError(f"time: year {year} is before {FIRST_YEAR}", hint=HINT)
    try:
        return datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - the device knows no zone
    except ValueError as error:
        raise ProtocolError(f"time: {data.hex()} is no date: {error}", hint=HINT) from error


def date_time_bytes(moment: datetime | None) -> bytes:
    """The reverse of date_time; None is the unknown date."""
    if moment is None:
        return bytes(DATE_TIME_SIZE)
    return moment.year.to_bytes(2, "little") + bytes(
        (moment.month, moment.day, moment.hour, moment.minute, moment.second)
    )


def current_time_bytes(moment: datetime, *, reason: int = 0x01) -> bytes:
    """Ten bytes of Current Time (2A2B): Date Time, weekday 1 (Monday) to 7, 256ths of a second, why it was set."""
    fraction = moment.microsecond * 256 // 1_000_000
    return date_time_bytes(moment) + bytes((moment.isoweekday(), fraction, reason))


def _signed(number: int, bits: int) -> int:
    return number - (1 << bits) if number >> (bits - 1) else number


def _decimal(mantissa: int, exponent: int) -> float:
    """mantissa * 10**exponent, the double nearest to the decimal number."""
    if -23 < exponent < 0:
        return mantissa / _POWERS[-exponent]
    if 0 <= exponent < 23:
        return mantissa * _POWERS[exponent]
    return float(f"{mantissa}e{exponent}")


def _word(
    value: float | Special, exponent: int, specials: dict[int, Special], *, mantissa_bits: int, exponent_bits: int
) -> int:
    if isinstance(value, Special):
        return next(word for word, special in specials.items() if special is value)
    mantissa = round(float(f"{value!r}e{-exponent}")) if "e" not in repr(value) else round(value / 10.0**exponent)
    limit = 1 << (mantissa_bits - 1)
    if not -limit + 3 <= mantissa <= limit - 3:
        raise ValueError(f"{value} at exponent {exponent} does not fit {mantissa_bits} bits")
    return (exponent & ((1 << exponent_bits) - 1)) << mantissa_bits | mantissa & ((1 << mantissa_bits) - 1)
