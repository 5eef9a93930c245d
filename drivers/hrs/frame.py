"""Heart Rate Measurement (0x2A37), Battery Level (0x2A19): bytes to values and back.

Source: Bluetooth GATT Specification Supplement, "Heart Rate Measurement"; vectors in tests/vectors/ble_hrs.json.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

HEART_RATE_MEASUREMENT = "00002a37-0000-1000-8000-00805f9b34fb"
BATTERY_LEVEL = "00002a19-0000-1000-8000-00805f9b34fb"

RR_HZ = 1024  # an RR interval counts 1/1024 s, not milliseconds

_U16_RATE, _CONTACT, _CONTACT_KNOWN, _ENERGY, _RR, _RESERVED = 0x01, 0x02, 0x04, 0x08, 0x10, 0xE0


@dataclass(frozen=True, slots=True)
class Rejected:
    """Bytes that do not follow the format, by reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class HeartRate:
    """One notification. bpm: 0 says "no reading yet". contact: None where the device cannot tell.

    rr: 1/1024 s each, oldest first, the last one ending at about the notification.
    """

    bpm: int
    contact: bool | None = None
    energy_kj: int | None = None
    rr: tuple[int, ...] = ()


def decode(data: bytes) -> HeartRate | Rejected:
    """Never raises. A reserved flag announces fields we do not know: the whole frame is refused, not guessed at."""
    if not data:
        return Rejected("empty")
    flags = data[0]
    if flags & _RESERVED:
        return Rejected("reserved_flag")
    body = 3 if flags & _U16_RATE else 2
    rr_at = body + (2 if flags & _ENERGY else 0)
    if len(data) < rr_at:
        return Rejected("truncated")
    rr_bytes = data[rr_at:]
    if rr_bytes and not flags & _RR:
        return Rejected("too_long")
    if len(rr_bytes) % 2:
        return Rejected("odd_rr_byte")
    return HeartRate(
        bpm=int.from_bytes(data[1:body], "little"),
        contact=bool(flags & _CONTACT) if flags & _CONTACT_KNOWN else None,
        energy_kj=int.from_bytes(data[body:rr_at], "little") if flags & _ENERGY else None,
        rr=struct.unpack(f"<{len(rr_bytes) // 2}H", rr_bytes),
    )


def encode(heart_rate: HeartRate) -> bytes:
    """The device's end."""
    wide = heart_rate.bpm > 0xFF
    flags = wide * _U16_RATE | (heart_rate.energy_kj is not None) * _ENERGY | bool(heart_rate.rr) * _RR
    if heart_rate.contact is not None:
        flags |= _CONTACT_KNOWN | heart_rate.contact * _CONTACT
    energy = b"" if heart_rate.energy_kj is None else struct.pack("<H", heart_rate.energy_kj)
    rate = struct.pack("<H" if wide else "<B", heart_rate.bpm)
    return bytes([flags]) + rate + energy + struct.pack(f"<{len(heart_rate.rr)}H", *heart_rate.rr)


def battery_percent(data: bytes) -> int | Rejected:
    """Battery Level: one byte, 0 to 100."""
    if len(data) != 1 or data[0] > 100:
        return Rejected("battery")
    return data[0]


def beat_ages_s(rr: Sequence[int]) -> tuple[float, ...]:
    """Seconds before the notification at which each interval ended: the last at 0, the others counted back from it."""
    ages, age_s = [], 0.0
    for interval in reversed(rr):
        ages.append(age_s)
        age_s += interval / RR_HZ
    return tuple(reversed(ages))
