"""Nonin's spot check (data format 13), the host's commands, and the 3230's BLE record: bytes to values and back.

Source: Nonin "9560 OEM Specification"; record layout of the 3230 from its iOS sample. The 3230 is big-endian.
"""

import struct
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from drivers.byte_stream import SizedStream, only_frame
from gateway.core.errors import ProtocolError

RECORD_3230 = "0aad7ea0-0d60-11e2-8e3c-0002a5d5c51b"
SERVICE_3230 = "46a970e0-0d5f-11e2-8b5e-0002a5d5c51b"

ACK, NAK = b"\x06", b"\x15"
GET_TIME = bytes.fromhex("02720003")
FORMATS = (2, 7, 8, 13)

_HEAD_13, _HEAD_TIME = b"\x00\x02\x00\x0d", b"\x02\xf2\x06"
_HEAD_BYTES, _TIME_BYTES = 6, 10
_LEAST_DATA, _MOST_DATA = 14, 32  # later firmware may append; more than this is no record
_DATA_13 = struct.Struct(">8BHHBB")
_3230 = struct.Struct(">BBBHHBH")
_SMARTPOINT, _NO_MEASUREMENT, _FROM_MEMORY, _LOW_BATTERY = 0x0200, 0x0100, 0x0010, 0x0001
_SELECT_REPLY = "06 ACK / 15 NAK within the first 5 s after connect"


class SpotCheck(NamedTuple):
    """One measurement. time_local: None when the device's clock holds no date (its batteries were out)."""

    time_local: datetime | None
    smartpoint: bool
    no_measurement: bool
    from_memory: bool
    low_battery: bool
    pulse_bpm: int | None
    spo2_percent: int | None
    raw: bytes = b""


class ClockReply(NamedTuple):
    """Answer to GET_TIME."""

    time_local: datetime | None


class Record3230(NamedTuple):
    """One a second while the device is on. counter rises by one each; perfusion in percent."""

    weak_signal: bool
    smartpoint: bool
    searching: bool
    finger_in: bool
    low_battery: bool
    encrypted: bool
    battery_v: float
    perfusion_percent: float
    counter: int
    spo2_percent: int | None
    pulse_bpm: int | None


class SpotStream(SizedStream[SpotCheck | ClockReply]):
    """Data format 13 and answers about the clock, on one line. A damaged record counts as "checksum": answer NAK."""

    def __init__(self) -> None:
        super().__init__(_TIME_BYTES)

    def lead(self, buffer: bytes, at: int) -> int:
        while at < len(buffer):
            rest = buffer[at : at + 4]
            if _HEAD_13.startswith(rest) or _HEAD_TIME.startswith(rest[:3]):
                return at
            at += 1
        return at

    def claim(self, buffer: bytes, at: int) -> int:
        head = buffer[at : at + _HEAD_BYTES]
        if head.startswith(_HEAD_TIME[:1]):
            return _TIME_BYTES
        if len(head) < _HEAD_BYTES:
            return 0
        size = int.from_bytes(head[4:], "big")
        return size + 8 if _LEAST_DATA <= size <= _MOST_DATA else _HEAD_BYTES

    def whole(self, raw: bytes) -> SpotCheck | ClockReply | str:
        if raw[0] == _HEAD_TIME[0]:
            return ClockReply(_moment(2000 + raw[3], *raw[4:9])) if raw[-1] == 3 else "tail"
        if len(raw) == _HEAD_BYTES:
            return "length"
        data = raw[6:-2]
        return _spot(data, raw) if raw[-1] == 3 and sum(data) & 0xFF == raw[-2] else "checksum"


def _spot(data: bytes, raw: bytes) -> SpotCheck:
    *digits, _, status, pulse, _, spo2 = _DATA_13.unpack_from(data)
    pulse &= 0x1FF
    return SpotCheck(
        _from_bcd(digits),
        status & _SMARTPOINT != 0,
        status & _NO_MEASUREMENT != 0,
        status & _FROM_MEMORY != 0,
        status & _LOW_BATTERY != 0,
        None if pulse == 511 else pulse,
        None if spo2 == 127 else spo2,
        raw,
    )


def _from_bcd(digits: list[int]) -> datetime | None:
    if any(byte & 0x0F > 9 or byte >> 4 > 9 for byte in digits):
        return None
    century, *rest = (10 * (byte >> 4) + (byte & 0x0F) for byte in digits)
    return _moment(100 * century + rest[0], *rest[1:])


def _moment(year: int, month: int, day: int, hour: int, minute: int, second: int) -> datetime | None:
    """The device's wall clock, without a zone."""
    try:
        return datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - a device's local time
    except ValueError:
        return None


def decode_3230(data: bytes) -> Record3230:
    """One notification of RECORD_3230. ProtocolError "length" when it or its length byte is not 10."""
    if len(data) != 10 or data[0] != 10:
        what = f"length: {data.hex()} is no record of ten bytes"
        raise ProtocolError(what, hint="is this a Nonin 3230?")
    _, status, battery, perfusion, counter, spo2, pulse = _3230.unpack(data)
    weak, smartpoint, searching, finger_in, low_battery, encrypted = (status & 1 << bit != 0 for bit in range(1, 7))
    return Record3230(
        weak,
        smartpoint,
        searching,
        finger_in,
        low_battery,
        encrypted,
        battery / 10,
        perfusion / 100,
        counter,
        None if spo2 == 127 else spo2,
        None if pulse == 511 else pulse,
    )


def encode_3230(record: Record3230) -> bytes:
    """What the device sends."""
    status = sum(flag << bit for bit, flag in enumerate(record[:6], 1))
    battery, perfusion = round(record.battery_v * 10), round(record.perfusion_percent * 100)
    spo2 = 127 if record.spo2_percent is None else record.spo2_percent
    pulse = 511 if record.pulse_bpm is None else record.pulse_bpm
    return _3230.pack(10, status, battery, perfusion, record.counter & 0xFFFF, spo2, pulse)


def encode_spot(check: SpotCheck) -> bytes:
    """What the device sends; without a time all its digits are zero."""
    digits = f"{check.time_local:%Y%m%d%H%M%S}" if check.time_local else "0" * 14
    status = check.smartpoint * _SMARTPOINT | check.no_measurement * _NO_MEASUREMENT
    status |= check.from_memory * _FROM_MEMORY | check.low_battery * _LOW_BATTERY
    pulse = 511 if check.pulse_bpm is None else check.pulse_bpm
    data = bytes.fromhex(digits) + struct.pack(
        ">BHHBB", 0, status, pulse, 0, 127 if check.spo2_percent is None else check.spo2_percent
    )
    return _HEAD_13 + len(data).to_bytes(2, "big") + data + bytes((sum(data) & 0xFF, 3))


def select_format(number: int) -> bytes:
    """Data format 2, 7, 8 or 13; obeyed only in the first five seconds."""
    if number not in FORMATS:
        raise ValueError(f"data format {number}; known: {', '.join(map(str, FORMATS))}")
    return bytes((2, 0x70, 2, 2, number, 3))


def set_time(local: datetime) -> bytes:
    """The device does not answer."""
    return bytes((2, 0x72, 6, local.year - 2000, *local.timetuple()[1:6], 3))


def time_reply(local: datetime) -> bytes:
    """What the device answers to GET_TIME."""
    return _HEAD_TIME + bytes((local.year - 2000, *local.timetuple()[1:6], 3))


def command_vector(data: bytes, _context: Mapping[str, Any]) -> dict[str, Any]:
    """What a host's command asks for. ProtocolError when it is none of ours, byte for byte."""
    if data == GET_TIME:
        return {"encode": "get_time"}
    if len(data) == 6 and data[4] in FORMATS and data == select_format(data[4]):
        return {"encode": "select_data_format", "format": data[4], "reply": _SELECT_REPLY}
    if len(data) == 10 and (local := _moment(2000 + data[3], *data[4:9])) and data == set_time(local):
        return {"encode": "set_time", "time": local.isoformat()}
    raise ProtocolError(f"command: {data.hex()} is no command of ours", hint="compare with the device's document")


def df13_vector(data: bytes, _context: Mapping[str, Any]) -> dict[str, Any]:
    check = only_frame(SpotStream(), data)
    if isinstance(check, ClockReply):
        return {"time_local": check.time_local.isoformat() if check.time_local else None}
    values = check._asdict()
    del values["raw"]
    values["time_local"] = check.time_local.isoformat() if check.time_local else None
    return values


def record_3230_vector(data: bytes, _context: Mapping[str, Any]) -> dict[str, Any]:
    values = decode_3230(data)._asdict()
    values["battery_V"] = values.pop("battery_v")
    values["pai_percent"] = values.pop("perfusion_percent")
    return values
