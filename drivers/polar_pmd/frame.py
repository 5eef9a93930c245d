"""Polar Measurement Data: control point, settings, acceleration, PPG and pulse-to-pulse frames, bytes to values.

Facts from the polar-ble-sdk documentation and tests (vectors in tests/vectors/polar_pmd.json and own_polar_ppg.json);
no code of it. PPG of frame type 0: three photocurrents of green light and the ambient light, 24 bits each, signed;
compressed, the reference sample has the same 24 bits. Other PPG frame types (gains, operation mode, the two channels of
a Polar 360) are refused by name.
"""

import struct
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drivers.hrs.frame import Rejected
from drivers.polar_pmd import delta

SERVICE = "fb005c80-02e7-f387-1cad-8acd2d8df0c8"
CONTROL_POINT = "fb005c81-02e7-f387-1cad-8acd2d8df0c8"
DATA = "fb005c82-02e7-f387-1cad-8acd2d8df0c8"

PPG, ACC, PPI = 1, 2, 3
GET_SETTINGS, START, STOP = 1, 2, 3

OK, ALREADY_IN_STATE, INVALID_STATE, IN_CHARGER, DISK_FULL = 0, 6, 12, 13, 14
STATUS_TEXT = {
    0: "ok",
    1: "unknown operation",
    2: "unknown measurement type",
    3: "not supported",
    4: "wrong length",
    5: "wrong parameter",
    6: "already in this state",
    7: "resolution not supported",
    8: "sample rate not supported",
    9: "range not supported",
    10: "MTU too small",
    11: "number of channels not supported",
    12: "invalid state",
    13: "in the charger",
    14: "memory full",
}

RATE_HZ, RESOLUTION_BITS, RANGE, RANGE_MILLI, CHANNEL_COUNT, FACTOR = range(6)
_SETTING_FORMATS = ("<H", "<H", "<H", "<I", "<B", "<f")

_REPLY, _STOPPED = 0xF0, 0x01
_HEADER = struct.Struct("<BQB")  # type, time of the LAST sample in ns since 2000-01-01, frame type
_COMPRESSED = 0x80
_RAW_BYTES = {0x00: 1, 0x01: 2, 0x02: 3}  # raw frame types: bytes of a value, mG
_RAW_MG, _DELTA_FACTOR_G, _DELTA_MG = 0x01, 0x80, 0x81
_PPG_RAW, _PPG_DELTA, _PPG_CHANNELS, _PPG_BYTES = 0x00, 0x80, 4, 3
_PPI_SAMPLE = struct.Struct("<BHHB")
_LIMIT_G = 40.0  # no band of the family measures more than 16 g: more is a misread block or a wrong factor

Settings = dict[int, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Reply:
    """The control point's answer. params: settings TLV, empty unless status is OK."""

    operation: int
    measurement: int
    status: int
    more: bool = False
    params: bytes = b""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The band stopped these measurements by itself."""

    measurements: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Acceleration:
    """One frame. at_ns: of the last sample, device time, ns since 2000. data_g: float32, shape (n, 3), unit [g]."""

    at_ns: int
    data_g: NDArray[np.float32]
    frame_type: int

    @property
    def plausible(self) -> bool:
        """False for what no band can have measured."""
        return bool(np.all(np.abs(self.data_g) <= _LIMIT_G))


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """One PPG frame. at_ns: as of `Acceleration`. counts: float64, shape (n, 4), any unit: three lights that came back
    from the skin, and the ambient one. Blood takes light: with a beat the counts of the three fall."""

    at_ns: int
    counts: NDArray[np.float64]
    frame_type: int

    @property
    def plausible(self) -> bool:
        """False for what 24 bits cannot have said: a misread block."""
        return bool(np.all(np.abs(self.counts) <= 1 << 8 * _PPG_BYTES - 1))


@dataclass(frozen=True, slots=True)
class PulseInterval:
    """flags: bit 0 the band moved and the interval is worthless, bit 1 skin contact, bit 2 bit 1 can be believed."""

    bpm: int
    interval_ms: int
    error_ms: int
    flags: int

    @property
    def blocker(self) -> bool:
        return bool(self.flags & 1)

    @property
    def contact(self) -> bool | None:
        """None where the device cannot tell."""
        return bool(self.flags & 2) if self.flags & 4 else None

    @property
    def usable(self) -> bool:
        return not self.blocker and self.contact is not False


@dataclass(frozen=True, slots=True)
class PulseIntervals:
    """One PPI frame."""

    at_ns: int
    samples: tuple[PulseInterval, ...] = field(default=())


def decode_control(data: bytes) -> Reply | Stopped | Rejected:
    """An indication of the control point. Never raises."""
    if not data:
        return Rejected("empty")
    if data[0] == _STOPPED:
        return Stopped(tuple(data[1:]))
    if data[0] != _REPLY:
        return Rejected("unknown_control_reply")
    if len(data) < 4:
        return Rejected("truncated")
    return Reply(data[1], data[2], data[3], len(data) > 4 and bool(data[4]), data[5:])


def encode_reply(reply: Reply) -> bytes:
    """The band's end."""
    return bytes([_REPLY, reply.operation, reply.measurement, reply.status, reply.more]) + reply.params


def decode_settings(data: bytes) -> Settings | Rejected:
    """Settings TLV: type, count, values. Never raises. An unknown type has an unknown length: what stands before it is
    kept, and a list that begins with one is refused."""
    settings: Settings = {}
    at = 0
    while at < len(data):
        if data[at] >= len(_SETTING_FORMATS):
            return settings or Rejected("unknown_setting")
        if at + 2 > len(data):
            return Rejected("truncated")
        layout = _SETTING_FORMATS[data[at]]
        size, count = struct.calcsize(layout), data[at + 1]
        values = data[at + 2 : at + 2 + size * count]
        if len(values) < size * count:
            return Rejected("truncated")
        settings[data[at]] = tuple(value for (value,) in struct.iter_unpack(layout, values))
        at += 2 + size * count
    return settings


def encode_settings(settings: Settings) -> bytes:
    """The TLV of settings; whole numbers except FACTOR."""
    parts = []
    for kind, values in settings.items():
        layout = _SETTING_FORMATS[kind]
        packed = b"".join(struct.pack(layout, value if kind == FACTOR else int(value)) for value in values)
        parts.append(bytes([kind, len(values)]) + packed)
    return b"".join(parts)


def decode_data(data: bytes, factor: float = 1.0) -> Acceleration | Light | PulseIntervals | Rejected:
    """A data notification; `factor` is the start reply's of its measurement. Never raises."""
    if len(data) < _HEADER.size:
        return Rejected("truncated")
    measurement, at_ns, frame_type = _HEADER.unpack_from(data)
    payload = data[_HEADER.size :]
    if measurement & 0x3F == ACC:
        return _acceleration(at_ns, frame_type, payload, factor)
    if measurement & 0x3F == PPG:
        return _light(at_ns, frame_type, payload, factor)
    if measurement & 0x3F == PPI and frame_type == 0:
        return _pulse_intervals(at_ns, payload)
    return Rejected("unknown_measurement")


def encode_acceleration(at_ns: int, data_mg: NDArray[np.integer], *, compressed: bool = True) -> bytes:
    """The band's end: one frame of int16 mG samples, shape (n >= 1, 3)."""
    header = _HEADER.pack(ACC, at_ns, _DELTA_MG if compressed else _RAW_MG)
    return header + (delta.pack(data_mg) if compressed else data_mg.astype("<i2").tobytes())


def encode_light(at_ns: int, counts: NDArray[np.integer], *, compressed: bool = True) -> bytes:
    """The band's end: one PPG frame of type 0, shape (n >= 1, 4), values of 24 bits."""
    header = _HEADER.pack(PPG, at_ns, _PPG_DELTA if compressed else _PPG_RAW)
    return header + (delta.pack(counts, _PPG_BYTES) if compressed else delta.raw(counts, _PPG_BYTES))


def _acceleration(at_ns: int, frame_type: int, payload: bytes, factor: float) -> Acceleration | Rejected:
    if (size := _RAW_BYTES.get(frame_type)) is not None:
        if not payload or len(payload) % (3 * size):
            return Rejected("acc_length")
        data_g: NDArray[np.floating] = delta.signed(payload, size).reshape(-1, 3) / 1000.0
    elif frame_type in (_DELTA_MG, _DELTA_FACTOR_G):
        samples = delta.unpack(payload)
        if samples is None:
            return Rejected("acc_block")
        data_g = samples * (factor / 1000.0 if frame_type == _DELTA_MG else factor)
    else:
        return Rejected("acc_frame_type")
    with np.errstate(over="ignore"):
        narrow = data_g.astype(np.float32)
    return Acceleration(at_ns, narrow, frame_type) if np.isfinite(narrow).all() else Rejected("acc_not_finite")


def _light(at_ns: int, frame_type: int, payload: bytes, factor: float) -> Light | Rejected:
    samples: NDArray[np.integer] | None
    if frame_type == _PPG_RAW:
        if not payload or len(payload) % (_PPG_CHANNELS * _PPG_BYTES):
            return Rejected("ppg_length")
        samples = delta.signed(payload, _PPG_BYTES).reshape(-1, _PPG_CHANNELS)
    elif frame_type == _PPG_DELTA:
        samples = delta.unpack(payload, _PPG_CHANNELS, _PPG_BYTES)
        if samples is None:
            return Rejected("ppg_block")
    else:
        return Rejected("ppg_frame_type")
    return Light(at_ns, samples.astype(np.float64) * factor, frame_type)


def _pulse_intervals(at_ns: int, payload: bytes) -> PulseIntervals | Rejected:
    if not payload or len(payload) % _PPI_SAMPLE.size:
        return Rejected("ppi_length")
    return PulseIntervals(at_ns, tuple(PulseInterval(*fields) for fields in _PPI_SAMPLE.iter_unpack(payload)))
