"""What the frames of a streaming Nonin mean: values once a second, whether a finger is in, faults of its own.

Formats 2 and 7 have a checksum a frame and 25 frames a packet. Format 8 has neither: what guards it is told there.
The waveform of formats 2 and 7 goes as "ppg" while a finger is in (drivers/pleth.py). Packets have no number: a packet
that was cut or failed its checksum is counted by the clock, in whole packets, when the next one comes LATE_S late.
"""

from collections import deque
from collections.abc import Sequence

from drivers.base import Device, Sink
from drivers.nonin import frame
from drivers.oximeter import OximeterReader
from drivers.pleth import Pleth
from gateway.core.model import Stamp

TRUSTED = 3  # format 8 has no checksum: frames in a row before one is believed, and of which the middle value is told

SOONEST_S = 0.5  # format 8 sends one a second: frames that follow sooner were found in noise, or waited for a busy box
WAVE_HZ = 75.0
LATE_S = 0.25  # three quarters of a packet's third of a second
FAULTS = {"disconnected": "sensor_disconnected", "low_battery": "low_battery"}


class PacketReader:
    """Packets of format 2 or 7 to facts. The display values (-D) are never told: they outlive the finger by 10 s."""

    def __init__(self, device: Device) -> None:
        self._seconds = OximeterReader(device)
        self._pleth = Pleth(device, WAVE_HZ)

    def take(self, packets: Sequence[frame.NoninPacket], at: Stamp, sink: Sink) -> None:
        """Packets of one chunk, the last one received at `at`."""
        missing = self._pleth.unseen(at, frame.PACKET_FRAMES * len(packets), late_s=LATE_S)
        self._pleth.lose(frame.PACKET_FRAMES * round(missing / frame.PACKET_FRAMES), at)
        for left, packet in zip(range(len(packets) - 1, -1, -1), packets, strict=True):
            alarm = packet.has(frame.SENSOR_ALARM)
            self._seconds.fault("sensor_disconnected", packet.has(frame.DISCONNECTED), at, sink)
            self._seconds.fault("low_battery", packet.low_battery, at, sink)
            worn = not (alarm or packet.has(frame.DISCONNECTED))
            self._seconds.take(at, packet.raw, sink, worn=worn, **_values(packet.spo2_percent, packet.hr_bpm))
            when = at.plus_s(-left * frame.PACKET_FRAMES / WAVE_HZ)
            self._pleth.take(packet.pleth, when, sink, worn=worn)


class Df8Reader:
    """Frames of format 8 to facts: of three unbroken frames a second apart the middle values, and of finger and faults
    what all three say. A single frame that was damaged without showing it (a bit below its sync bits) is so never told,
    nor frames that stood in noise before a true one; two of three seconds with the same error would be."""

    def __init__(self, device: Device) -> None:
        self._seconds = OximeterReader(device)
        self._last: deque[frame.Df8] = deque(maxlen=TRUSTED)
        self._at: Stamp | None = None

    def take(self, frames: Sequence[frame.Df8], at: Stamp, sink: Sink) -> None:
        for one in frames:
            if one.unbroken == 1 or (self._at is not None and at.since_s(self._at) < SOONEST_S):
                self._last.clear()
            self._at = at
            self._last.append(one)
            if len(self._last) == TRUSTED:
                self._take(one, at, sink)

    def _take(self, one: frame.Df8, at: Stamp, sink: Sink) -> None:
        for name in ("disconnected", "low_battery"):
            if (said := _agreed([getattr(frame, name) for frame in self._last])) is not None:
                self._seconds.fault(FAULTS[name], said, at, sink)
        worn = _agreed([_is_worn(frame) for frame in self._last])
        spo2 = pulse = None
        if _is_worn(one):
            spo2 = _middle([frame.spo2_percent for frame in self._last])
            pulse = _middle([frame.pulse_bpm for frame in self._last])
        self._seconds.take(at, one.raw, sink, worn=worn, **_values(spo2, pulse))


def _is_worn(one: frame.Df8) -> bool:
    return not (one.sensor_alarm or one.disconnected)


def _agreed(said: Sequence[bool]) -> bool | None:
    """What all say; None while they differ."""
    return said[0] if len(set(said)) == 1 else None


def _middle(values: Sequence[int | None]) -> int | None:
    """The value in the middle; "missing" counts as the lowest."""
    return sorted(values, key=lambda value: -1 if value is None else value)[len(values) // 2]


def _values(spo2: int | None, pulse: int | None) -> dict[str, float | None]:
    return {"spo2": spo2, "pulse_rate": pulse}
