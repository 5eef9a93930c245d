"""Nonin serial data formats 2, 7 and 8 and the host's commands: bytes to values and back; spot.py has the others.

Source: Nonin "9560 OEM Specification" (vendor document, public in mattjlewis/NoninPulseOx); packet bytes from
pez-globo/pufferfish-vent-software. Vectors: tests/vectors/nonin.json.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from drivers.byte_stream import ByteStream, Cut, only_frame
from drivers.nonin.spot import command_vector, df13_vector, record_3230_vector
from drivers.profile_frames import Rejects
from gateway.core.errors import ProtocolError

FRAME_BYTES, PACKET_FRAMES = 5, 25  # 75 frames a second make three packets
NO_RATE, NO_SPO2 = 511, 127

SYNC, GREEN, RED, SENSOR_ALARM, OUT_OF_TRACK, ARTIFACT, DISCONNECTED = (1 << bit for bit in range(7))
_HIGH = re.compile(rb"[\x80-\xff]")


class NoninPacket(NamedTuple):
    """A third of a second. Values are None where the device has none.

    d: the display values, kept 10 s after the finger has gone: never a fresh measurement. e: averaged over 8 beats
    instead of 4. flags: the status bits of all frames together. pleth: 25 values, 8 or 16 bits.
    """

    hr_bpm: int | None
    spo2_percent: int | None
    firmware: int
    smartpoint: bool
    low_battery: bool
    spo2_d_percent: int | None
    spo2_fast_percent: int | None
    spo2_beat_percent: int | None
    e_hr_bpm: int | None
    e_spo2_percent: int | None
    e_spo2_d_percent: int | None
    hr_d_bpm: int | None
    e_hr_d_bpm: int | None
    flags: int
    pleth: tuple[int, ...]
    raw: bytes = b""

    def has(self, flag: int) -> bool:
        return self.flags & flag != 0


class Df8(NamedTuple):
    """One a second. unbroken: frames received without a foreign byte in between, this one included."""

    disconnected: bool
    out_of_track: bool
    low_perfusion: bool
    marginal_perfusion: bool
    artifact: bool
    pulse_bpm: int | None
    spo2_percent: int | None
    smartpoint: bool
    sensor_alarm: bool
    low_battery: bool
    unbroken: int = 0
    raw: bytes = b""


class PacketStream(ByteStream[NoninPacket]):
    """Data format 2 (frames begin with 01) or 7 (with their status): 25 frames from SYNC on make a packet.

    A frame counts once two in a row are good. A checksum error, a SYNC too early or too late costs its packet.
    """

    def __init__(self, data_format: int) -> None:
        if data_format not in (2, 7):
            raise ValueError(f"data format {data_format} has no packets; 2 and 7 have")
        super().__init__()
        self._is_2 = data_format == 2
        self._frames: list[bytes] = []  # at most PACKET_FRAMES
        self._lost: dict[str, int] = {}

    def lead(self, buffer: bytes, at: int) -> int:
        if self._is_2:
            found = buffer.find(1, at)
            return found if found >= 0 else len(buffer)
        found_high = _HIGH.search(buffer, at)
        return found_high.start() if found_high else len(buffer)

    def cut(self, buffer: bytes, at: int) -> Cut[NoninPacket] | str | None:
        reason = self._wrong(buffer, at)
        if reason is None or reason:
            return reason
        if not self.unbroken:
            following = self._wrong(buffer, at + FRAME_BYTES)
            if following is None:
                return None
            if following:
                return "unconfirmed"
        frame = buffer[at : at + FRAME_BYTES]
        if not self.unbroken:
            self._lose("cut_packet")
        return FRAME_BYTES, self._gather(frame)

    def feed(self, data: bytes) -> tuple[list[NoninPacket], Rejects]:
        """Packets completed by `data`; what a packet lost its frames to counts as its own reason."""
        packets, rejects = super().feed(data)
        for reason, count in self._lost.items():
            rejects.add(reason, b"", count)
            self.rejected[reason] = self.rejected.get(reason, 0) + count
        self._lost.clear()
        return packets, rejects

    def _wrong(self, buffer: bytes, at: int) -> str | None:
        """Why there is no frame at `at`; "" for a frame, None while that cannot be said."""
        frame = buffer[at : at + FRAME_BYTES]
        size = len(frame)
        if self._is_2:
            if (size and frame[0] != 1) or (size > 1 and frame[1] < 0x80):
                return "sync"
        elif size and frame[0] < 0x80:
            return "sync"
        if size < FRAME_BYTES:
            return None
        return "" if sum(frame[:4]) & 0xFF == frame[4] else "checksum"

    def _gather(self, frame: bytes) -> NoninPacket | None:
        is_first = frame[1 if self._is_2 else 0] & SYNC
        if is_first:
            self._lose("early_sync")
        elif not self._frames:
            self._lost["no_sync"] = self._lost.get("no_sync", 0) + 1
            return None
        self._frames.append(frame)
        if len(self._frames) < PACKET_FRAMES:
            return None
        packet = _packet(self._frames, is_2=self._is_2)
        self._frames = []
        return packet

    def _lose(self, reason: str) -> None:
        if self._frames:
            self._lost[reason] = self._lost.get(reason, 0) + 1
            self._frames = []


def _packet(frames: Sequence[bytes], *, is_2: bool) -> NoninPacket:
    value = [frame[3] for frame in frames]
    status_at = 1 if is_2 else 0
    flags = 0
    for frame in frames:
        flags |= frame[status_at]
    return NoninPacket(
        rate(value[0], value[1]),
        saturation(value[2]),
        value[3],
        value[7] & 0x20 != 0,
        value[7] & 0x01 != 0,
        saturation(value[8]),
        saturation(value[9]),
        saturation(value[10]),
        rate(value[13], value[14]),
        saturation(value[15]),
        saturation(value[16]),
        rate(value[19], value[20]),
        rate(value[21], value[22]),
        flags,
        tuple(frame[2] if is_2 else frame[1] << 8 | frame[2] for frame in frames),
        b"".join(frames),
    )


def rate(high: int, low: int) -> int | None:
    """Nine bits over two bytes whose upper bits are no number; 511 is none."""
    bpm = (high & 3) << 7 | low & 0x7F
    return None if bpm == NO_RATE else bpm


def saturation(value: int) -> int | None:
    """127 is none."""
    return None if value & 0x7F == NO_SPO2 else value & 0x7F


class Df8Stream(ByteStream[Df8]):
    """Four bytes, only the first with bit 7; no checksum."""

    def lead(self, buffer: bytes, at: int) -> int:
        found = _HIGH.search(buffer, at)
        return found.start() if found else len(buffer)

    def cut(self, buffer: bytes, at: int) -> Cut[Df8] | str | None:
        raw = buffer[at : at + 4]
        if not raw[1:].isascii():
            return "sync"
        if len(raw) < 4:
            return None
        first, low, spo2, second = raw
        return 4, Df8(
            first & 0x40 != 0,
            first & 0x20 != 0,
            first & 0x10 != 0,
            first & 0x08 != 0,
            first & 0x04 != 0,
            rate(first & 3, low),
            saturation(spo2),
            second & 0x20 != 0,
            second & 0x08 != 0,
            second & 0x01 != 0,
            self.unbroken + 1,
            raw,
        )


def encode_packet(values: Sequence[int], pleth: Sequence[int], status: int = 0, *, data_format: int = 2) -> bytes:
    """What the device sends in a third of a second: 25 values as the table of the specification orders them."""
    packet = b""
    for number, (value, wave) in enumerate(zip(values, pleth, strict=True)):
        head = 0x80 | status | (SYNC if number == 0 else 0)
        frame = bytes((1, head, wave & 0xFF, value) if data_format == 2 else (head, wave >> 8, wave & 0xFF, value))
        packet += frame + bytes((sum(frame) & 0xFF,))
    return packet


def packet_values(hr_bpm: int | None, spo2_percent: int | None, *, low_battery: bool = False) -> list[int]:
    """The 25 values of a device that shows the same saturation and rate everywhere."""
    bpm, spo2 = NO_RATE if hr_bpm is None else hr_bpm, NO_SPO2 if spo2_percent is None else spo2_percent
    values = [0] * PACKET_FRAMES
    for at in (0, 13, 19, 21):
        values[at], values[at + 1] = bpm >> 7, bpm & 0x7F
    for at in (2, 8, 9, 10, 15, 16):
        values[at] = spo2
    values[3], values[7] = 48, int(low_battery)
    return values


def encode_df8(frame: Df8) -> bytes:
    """What the device sends."""
    bpm = NO_RATE if frame.pulse_bpm is None else frame.pulse_bpm
    first = 0x80 | frame.disconnected << 6 | frame.out_of_track << 5 | frame.low_perfusion << 4
    first |= frame.marginal_perfusion << 3 | frame.artifact << 2 | bpm >> 7
    second = frame.smartpoint << 5 | frame.sensor_alarm << 3 | frame.low_battery
    return bytes((first, bpm & 0x7F, NO_SPO2 if frame.spo2_percent is None else frame.spo2_percent, second))


def _packet_vector(data_format: int) -> Callable[[bytes, Mapping[str, Any]], dict[str, Any]]:
    def decode(data: bytes, _context: Mapping[str, Any]) -> dict[str, Any]:
        stream = PacketStream(data_format)
        packets, rejects = stream.feed(data)
        if len(packets) != 1 or rejects.counts or len(data) != FRAME_BYTES * PACKET_FRAMES:
            reason = next(iter(rejects.counts), "length")
            what = f"{reason}: these {len(data)} bytes are no packet of {PACKET_FRAMES} frames"
            raise ProtocolError(what, hint="compare SYNC, checksums and length with the device's document")
        (packet,) = packets
        return {
            "hr_bpm": packet.hr_bpm,
            "spo2_percent": packet.spo2_percent,
            "fw_rev": packet.firmware,
            "smartpoint": packet.smartpoint,
            "low_battery": packet.low_battery,
            "hr_d_bpm": packet.hr_d_bpm,
            "e_hr_bpm": packet.e_hr_bpm,
            "e_hr_d_bpm": packet.e_hr_d_bpm,
            "spo2_d_percent": packet.spo2_d_percent,
            "spo2_fast_percent": packet.spo2_fast_percent,
            "spo2_bb_percent": packet.spo2_beat_percent,
            "e_spo2_percent": packet.e_spo2_percent,
            "e_spo2_d_percent": packet.e_spo2_d_percent,
            "pleth_first": packet.pleth[0],
            "artifact_any": packet.has(ARTIFACT),
            "out_of_track_any": packet.has(OUT_OF_TRACK),
            "sensor_alarm_any": packet.has(SENSOR_ALARM),
        }

    return decode


def _df8_vector(data: bytes, _context: Mapping[str, Any]) -> dict[str, Any]:
    values = only_frame(Df8Stream(), data)._asdict()
    del values["raw"]
    return values


VECTOR_DECODERS: dict[str, Callable[[bytes, Mapping[str, Any]], dict[str, Any]]] = {
    "df2_packet": _packet_vector(2),
    "df7_packet": _packet_vector(7),
    "df8": _df8_vector,
    "df13": df13_vector,
    "df_command": command_vector,
    "nonin_3230_0AAD7EA0": record_3230_vector,
}
