"""BCI 5-byte packets, BERRY 20-byte frames and Contec CMS50D-BT packets: bytes to values and back.

Sources: "BCI & BERRY Protocol V1.0" (vendor document, public in zh2x/SpO2-BLE-for-Android); atbrask/CMS50Dplus (same
packet); issue 2 of tobiasisenberg/OxiVis (CMS50D-BT). Vectors: tests/vectors/berry_bci.json.
"""

import re
import struct
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from drivers.byte_stream import ByteStream, Cut, only_frame

SOFTWARE_VERSION, HARDWARE_VERSION, BCI_MODE, BERRY_MODE = b"\xff", b"\xfe", b"\xe0", b"\xe1"
RATE_1_HZ, STOP = b"\xf3", b"\xf6"  # BERRY mode: one frame a second is what monitoring needs
START_CONTEC_BT = bytes.fromhex("9B011C")

BCI_BYTES, BERRY_BYTES = 5, 20
VERSION_PACKETS = 3
RR_MS = 5  # a BERRY beat interval counts 5 ms

_HIGH = re.compile(rb"[\x80-\xff]")
_BERRY = struct.Struct("<2x6BH3BiBB")
_NO_SPO2, _NO_PULSE, _NO_SIGNAL = 127, 255, 15
_BERRY_RESERVED = 0xF0
_VERSION_KINDS = {0x53: "software", 0x48: "hardware"}


class BciPacket(NamedTuple):
    """100 a second (BerryMed) or 60 (Contec). The three bits mean different things by maker: driver.py names them.

    pulse_bpm, spo2_percent, pleth, signal: None where the device says that it has none. unbroken: packets received
    without a foreign byte in between, this one included; there is no checksum, so the first ones prove little.
    """

    signal: int | None
    bit4_first: bool
    bit5_first: bool
    beat: bool
    pleth: int | None
    bargraph: int
    bit4_third: bool
    searching: bool
    pulse_bpm: int | None
    spo2_percent: int | None
    unbroken: int = 0
    raw: bytes = b""


class BerryFrame(NamedTuple):
    """1, 50, 100 or 200 a second. pulse and saturation: the averaged ones. perfusion in permille; adc: raw light."""

    number: int
    sensor_off: bool
    no_finger: bool
    no_pulse_signal: bool
    beat: bool
    spo2_percent: int | None
    pulse_bpm: int | None
    rr_ms: int | None
    perfusion_permille: int | None
    pleth: int | None
    adc: int
    battery_percent: int
    rate_hz: int
    raw: bytes = b""


class BerryVersion(NamedTuple):
    """kind: "software" or "hardware"."""

    kind: str
    version: str


class ContecParams(NamedTuple):
    """Once a second. finger_byte: meaning not certain (4 was seen with good values, 6 too)."""

    finger_byte: int
    pulse_bpm: int | None
    spo2_percent: int | None
    raw: bytes = b""


class ContecWave(NamedTuple):
    pleth: int
    bargraph: int


def _next_high(buffer: bytes, at: int) -> int:
    if at < len(buffer) and buffer[at] & 0x80:
        return at
    found = _HIGH.search(buffer, at)
    return found.start() if found else len(buffer)


class BciStream(ByteStream[BciPacket]):
    """Only a packet's first byte has bit 7, so any point of the stream is good to begin at.

    version: what was answered to expect_version(); its packets look like ordinary ones, known only by the asking.
    """

    def __init__(self) -> None:
        super().__init__()
        self.version = ""
        self._version_due = 0

    def expect_version(self) -> None:
        """Call when SOFTWARE_VERSION or HARDWARE_VERSION is sent."""
        self.version, self._version_due = "", VERSION_PACKETS

    def lead(self, buffer: bytes, at: int) -> int:
        return _next_high(buffer, at)

    def cut(self, buffer: bytes, at: int) -> Cut[BciPacket] | str | None:
        raw = buffer[at : at + BCI_BYTES]
        if not raw[1:].isascii():  # bit 7 in a later byte: this packet was cut short
            return "sync"
        if len(raw) < BCI_BYTES:
            return None
        first, pleth, third, low, spo2 = raw
        if first == 0xFF and self._version_due:
            self._version_due -= 1
            self.version += raw[1:].decode("ascii").rstrip("\0 ")
            return BCI_BYTES, None
        pulse = (third & 0x40) << 1 | low
        signal = first & 0x0F
        return BCI_BYTES, BciPacket(
            None if signal == _NO_SIGNAL else signal,
            first & 0x10 != 0,
            first & 0x20 != 0,
            first & 0x40 != 0,
            pleth or None,
            third & 0x0F,
            third & 0x10 != 0,
            third & 0x20 != 0,
            None if pulse in (0, _NO_PULSE) else pulse,
            None if spo2 in (0, _NO_SPO2) else spo2,
            self.unbroken + 1,
            raw,
        )


class BerryStream(ByteStream[BerryFrame | BerryVersion]):
    """FF AA, 17 bytes, and the low byte of their sum."""

    def lead(self, buffer: bytes, at: int) -> int:
        found = buffer.find(b"\xff\xaa", at)
        if found >= 0:
            return found
        return len(buffer) - 1 if len(buffer) > at and buffer[-1] == 0xFF else len(buffer)

    def cut(self, buffer: bytes, at: int) -> Cut[BerryFrame | BerryVersion] | str | None:
        raw = buffer[at : at + BERRY_BYTES]
        if len(raw) < BERRY_BYTES:
            return None
        if sum(raw[:-1]) & 0xFF != raw[-1]:
            return "checksum"
        if raw[3] & _BERRY_RESERVED:  # no status; "V" (0x56) is one of these, so a version is never taken for data
            kind = _VERSION_KINDS.get(raw[2])
            text = raw[3:-1].partition(b"\0")[0].rstrip(b" ")
            if kind is None or not text.startswith(b"V") or not text.isascii():
                return "reserved_flag"
            return BERRY_BYTES, BerryVersion(kind, text.decode("ascii"))
        return BERRY_BYTES, _berry(raw)


def _berry(raw: bytes) -> BerryFrame:
    number, status, spo2, _, pulse, _, rr, perfusion, _, pleth, adc, battery, rate = _BERRY.unpack_from(raw)
    return BerryFrame(
        number,
        status & 1 != 0,
        status & 2 != 0,
        status & 4 != 0,
        status & 8 != 0,
        None if spo2 in (0, _NO_SPO2) else spo2,
        None if pulse in (0, _NO_PULSE) else pulse,
        rr * RR_MS or None,
        perfusion or None,
        pleth or None,
        adc,
        battery,
        rate,
        raw,
    )


class ContecBtStream(ByteStream[ContecParams | ContecWave]):
    """EB 01 (8 bytes) and EB 00 (6 bytes); the last byte is the sum of the others, in 7 bits as far as seen."""

    def lead(self, buffer: bytes, at: int) -> int:
        found = buffer.find(b"\xeb", at)
        return found if found >= 0 else len(buffer)

    def cut(self, buffer: bytes, at: int) -> Cut[ContecParams | ContecWave] | str | None:
        head = buffer[at : at + 2]
        if len(head) < 2:
            return None
        if head[1] > 1:
            return "type"
        size = 8 if head[1] else 6
        raw = buffer[at : at + size]
        if len(raw) < size:
            return None
        total = sum(raw[:-1])
        if raw[-1] not in (total & 0x7F, total & 0xFF):
            return "checksum"
        if not head[1]:
            return size, ContecWave(raw[3], raw[4])
        pulse, spo2 = raw[3], raw[4]
        no_pulse = pulse in (0, _NO_PULSE)
        return size, ContecParams(raw[2], None if no_pulse else pulse, None if spo2 in (0, _NO_SPO2) else spo2, raw)


def encode_bci(packet: BciPacket) -> bytes:
    """What the device sends."""
    pulse = _NO_PULSE if packet.pulse_bpm is None else packet.pulse_bpm
    spo2 = _NO_SPO2 if packet.spo2_percent is None else packet.spo2_percent
    signal = _NO_SIGNAL if packet.signal is None else packet.signal
    first = 0x80 | signal | packet.bit4_first << 4 | packet.bit5_first << 5 | packet.beat << 6
    third = packet.bargraph | packet.bit4_third << 4 | packet.searching << 5 | (pulse & 0x80) >> 1
    return bytes((first, packet.pleth or 0, third, pulse & 0x7F, spo2))


def encode_berry(frame: BerryFrame) -> bytes:
    """What the device sends; the unaveraged values repeat the averaged ones."""
    status = frame.sensor_off | frame.no_finger << 1 | frame.no_pulse_signal << 2 | frame.beat << 3
    spo2 = _NO_SPO2 if frame.spo2_percent is None else frame.spo2_percent
    pulse = _NO_PULSE if frame.pulse_bpm is None else frame.pulse_bpm
    perfusion = frame.perfusion_permille or 0
    body = b"\xff\xaa" + _BERRY.pack(
        frame.number & 0xFF, status, spo2, spo2, pulse, pulse, (frame.rr_ms or 0) // RR_MS, perfusion, perfusion,
        frame.pleth or 0, frame.adc, frame.battery_percent, frame.rate_hz,
    )[2:]  # fmt: skip
    return body + bytes((sum(body) & 0xFF,))


def encode_contec(params: ContecParams) -> bytes:
    """What a CMS50D-BT sends."""
    spo2 = _NO_SPO2 if params.spo2_percent is None else params.spo2_percent
    body = bytes((0xEB, 1, params.finger_byte, params.pulse_bpm or 0, spo2, 0x7F, 0))
    return body + bytes((sum(body) & 0x7F,))


def _bci_vector(data: bytes, _context: Mapping[str, Any]) -> dict[str, Any]:
    packet = only_frame(BciStream(), data)
    return {
        "signal_strength": packet.signal,
        "bit4_of_byte1": packet.bit4_first,
        "bit5_of_byte1": packet.bit5_first,
        "beep": packet.beat,
        "pleth": packet.pleth,
        "bargraph": packet.bargraph,
        "bit4_of_byte3": packet.bit4_third,
        "searching": packet.searching,
        "pulse_bpm": packet.pulse_bpm,
        "spo2_percent": packet.spo2_percent,
    }


def _berry_vector(data: bytes, _context: Mapping[str, Any]) -> dict[str, Any]:
    frame = only_frame(BerryStream(), data)
    if isinstance(frame, BerryVersion):
        return {"version_kind": frame.kind, "version": frame.version}
    values = frame._asdict()
    del values["raw"]
    values["perfusion_index_permille"] = values.pop("perfusion_permille")
    values["index"] = values.pop("number")
    values["rate_Hz"] = values.pop("rate_hz")
    return values


def _contec_vector(data: bytes, _context: Mapping[str, Any]) -> dict[str, Any]:
    frame = only_frame(ContecBtStream(), data)
    if isinstance(frame, ContecWave):
        return {"kind": "wave", "pleth": frame.pleth, "bargraph": frame.bargraph}
    return {
        "kind": "params",
        "finger_byte": frame.finger_byte,
        "pulse_bpm": frame.pulse_bpm,
        "spo2_percent": frame.spo2_percent,
    }


VECTOR_DECODERS: dict[str, Callable[[bytes, Mapping[str, Any]], dict[str, Any]]] = {
    "bci5": _bci_vector,
    "berry20": _berry_vector,
    "contec_cms50d_bt": _contec_vector,
}
