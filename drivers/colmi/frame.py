"""The ring's packets of 16 bytes: command, 14 bytes of data, sum of the first 15 modulo 256.

Source: github.com/tahnok/colmi_r02_client (MIT), with its captures; vectors in tests/vectors/colmi_r02.json. Bit 7 of
the command says that the ring refused it. Blood pressure, glucose and "stress" that the ring claims to measure are
guesses of its firmware and are refused here.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from drivers.hrs.frame import Rejected
from gateway.core.errors import ProtocolError

SERVICE = "6e40fff0-b5a3-f393-e0a9-e50e24dcca9e"
WRITE = "6e400002-b5a3-f393-e0a9-e50e24dcca9e"
NOTIFY = "6e400003-b5a3-f393-e0a9-e50e24dcca9e"

SIZE = 16
SET_TIME, BATTERY, HR_LOG, HR_SETTINGS, REALTIME, REALTIME_STOP = 0x01, 0x03, 0x15, 0x16, 0x69, 0x6A
UNASKED = frozenset((0x2F, 0x73))  # what the ring says by itself; nothing of it is needed
REFUSED = 0x80

HEART_RATE, SPO2 = 1, 3  # kinds of a realtime reading
KINDS = {HEART_RATE: "pulse_rate", SPO2: "spo2"}
START, CONTINUE = 1, 3
WORN_INCORRECTLY = 1  # error of a realtime reading

NONE = (0, 0xFF)  # of a log's values: nothing was measured
MOST_VALUES = 288  # a day at one value in 5 minutes
_FIRST_VALUES, _NEXT_VALUES = 9, 13
_ENGLISH = 1


@dataclass(frozen=True, slots=True)
class Battery:
    percent: int
    charging: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """One realtime answer. value: 1/min or %, 0 while the ring still looks for one. error: 0 for none."""

    kind: int
    error: int
    value: int


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Whether the ring logs the pulse by itself, and how often."""

    enabled: bool
    interval_min: int


@dataclass(frozen=True, slots=True)
class NoLog:
    """The ring has no log of the day asked for."""


@dataclass(frozen=True, slots=True)
class LogHead:
    """A day's log follows: so many packets, this one counted; one value for each interval."""

    packets: int
    interval_min: int


@dataclass(frozen=True, slots=True)
class LogPart:
    """Values of a day's log, 1/min, one of NONE where nothing was measured. start_s: midnight, in the first part."""

    index: int
    values: tuple[int, ...]
    start_s: int | None = None


@dataclass(frozen=True, slots=True)
class TimeSet:
    """The ring has taken the time."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The ring does not carry out this command."""

    command: int


@dataclass(frozen=True, slots=True)
class Other:
    """A sound packet of which nothing is needed."""

    command: int


Packet = Battery | Reading | LogSettings | NoLog | LogHead | LogPart | TimeSet | Refused | Other


def packet(command: int, data: bytes = b"") -> bytes:
    """A whole packet; at most 14 bytes of data."""
    body = bytes([command]) + data.ljust(SIZE - 2, b"\x00")
    return body + bytes([sum(body) & 0xFF])


def set_time(utc: datetime) -> bytes:
    """The ring is kept in UTC, so that its log needs no zone."""
    parts = (utc.year % 100, utc.month, utc.day, utc.hour, utc.minute, utc.second)
    return packet(SET_TIME, bytes(part // 10 << 4 | part % 10 for part in parts) + bytes([_ENGLISH]))


def start_realtime(kind: int, action: int = START) -> bytes:
    """Begin (START) or go on (CONTINUE) with spot readings of KINDS."""
    return packet(REALTIME, bytes([kind, action]))


def stop_realtime(kind: int) -> bytes:
    """End spot readings: they cost the battery more than anything else."""
    return packet(REALTIME_STOP, bytes([kind, 0, 0]))


READ_LOG_SETTINGS = packet(HR_SETTINGS, b"\x01")


def write_log_settings(settings: LogSettings) -> bytes:
    return packet(HR_SETTINGS, bytes([2, 1 if settings.enabled else 2, settings.interval_min]))


def read_log(midnight_s: int) -> bytes:
    """The log of the day that began at this moment of UTC, seconds since 1970."""
    return packet(HR_LOG, midnight_s.to_bytes(4, "little"))


def decode(data: bytes) -> Packet | Rejected:
    """What the ring notified. Never raises."""
    if len(data) != SIZE:
        return Rejected("length")
    if sum(data[:-1]) & 0xFF != data[-1]:
        return Rejected("checksum")
    command = data[0]
    if command & REFUSED:
        return Refused(command & ~REFUSED)
    match command:
        case 0x03:
            return Battery(data[1], bool(data[2])) if data[1] <= 100 else Rejected("battery")
        case 0x69:
            return Reading(data[1], data[2], data[3]) if data[1] in KINDS else Rejected("not_credible")
        case 0x16:
            return LogSettings(data[2] == 1, data[3]) if data[1] in (1, 2) else Rejected("settings")
        case 0x15:
            return _log(data)
        case 0x01:
            return TimeSet()
    return Other(command)


def _log(data: bytes) -> NoLog | LogHead | LogPart | Rejected:
    index = data[1]
    if index == 0xFF:
        return NoLog()
    if index == 0:
        return LogHead(data[2], data[3]) if data[3] else Rejected("log_interval")
    if index == 1:
        return LogPart(1, tuple(data[6:15]), int.from_bytes(data[2:6], "little"))
    return LogPart(index, tuple(data[2:15]))


class LogReader:
    """Puts one day's log together, packet by packet; a packet that is missing or out of order spoils it."""

    def __init__(self) -> None:
        self._head: LogHead | None = None
        self._start_s = 0
        self._values: list[int] = []  # bounded: a head announces at most 254 packets, values stop at MOST_VALUES
        self._next = 0

    def take(self, part: LogHead | LogPart | NoLog) -> list[tuple[int, int]] | Rejected | None:
        """(seconds since 1970, 1/min) of each value once the last part is there; None before; Rejected when spoilt."""
        if isinstance(part, NoLog):
            self._head = None
            return []
        if isinstance(part, LogHead):
            self._head, self._values, self._next = part, [], 1
            return [] if part.packets <= 1 else None
        if self._head is None:
            return Rejected("log_without_head")
        if part.index != self._next:
            self._head = None
            return Rejected("log_part_missing")
        self._next += 1
        self._start_s = self._start_s if part.start_s is None else part.start_s
        self._values += part.values
        if part.index < self._head.packets - 1:
            return None
        step_s, self._head = self._head.interval_min * 60, None
        day = self._values[: min(MOST_VALUES, 86_400 // step_s)]
        return [(self._start_s + number * step_s, value) for number, value in enumerate(day) if value not in NONE]


def log_packets(start_s: int, interval_min: int, values: bytes) -> list[bytes]:
    """The ring's end: a day's log as packets."""
    rest = values[_FIRST_VALUES:]
    parts = [rest[at : at + _NEXT_VALUES] for at in range(0, len(rest), _NEXT_VALUES)]
    head = packet(HR_LOG, bytes([0, len(parts) + 2, interval_min]))
    first = packet(HR_LOG, b"\x01" + struct.pack("<I", start_s) + values[:_FIRST_VALUES])
    return [head, first, *(packet(HR_LOG, bytes([index]) + part) for index, part in enumerate(parts, start=2))]


def packet_values(data: bytes, _context: Mapping[str, Any]) -> dict[str, Any]:
    """A vector's fields by their published names. ProtocolError where the bytes are refused."""
    match decode(data):
        case Battery(percent, charging):
            return {"cmd": BATTERY, "battery_percent": percent, "charging": charging}
        case Reading(kind, error, value):
            named = {} if error else {"heart_rate_bpm" if kind == HEART_RATE else "spo2_percent": value}
            return {"cmd": REALTIME, "kind": kind, "error_code": error, "value": value, **named}
        case LogSettings(enabled, interval_min):
            return {"cmd": HR_SETTINGS, "hr_log_enabled": enabled, "interval_min": interval_min}
        case NoLog():
            return {"cmd": HR_LOG, "no_data": True}
        case LogHead(packets, interval_min):
            return {"cmd": HR_LOG, "sub_type": 0, "size": packets, "interval_min": interval_min}
        case LogPart(index, values, start_s):
            start = {} if start_s is None else {"timestamp": start_s}
            return {"cmd": HR_LOG, "sub_type": index, **start, "values": list(values)}
        case TimeSet():
            return {"cmd": SET_TIME}
        case Refused(command):
            return {"cmd": command, "error": True}
        case Other(command):
            return {"cmd": command}
        case Rejected(reason):
            raise ProtocolError(f"{reason}: {data.hex()}", hint="this is no packet of the ring, or it was garbled")


VECTOR_DECODERS: dict[str, Callable[[bytes, Mapping[str, Any]], dict[str, Any]]] = {"colmi16": packet_values}
