"""What the frames of a BCI or BERRY oximeter mean: finger and probe by maker, values once a second, beats, waveform.

The waveform goes as "ppg" while a finger is in (drivers/pleth.py). BCI packets have no counter: a break in their bytes
costs at least one sample, and what is missing is told by the clock; whole packets lost without a trace are not counted.
BERRY frames are numbered to 255: the numbers count what is missing, and beyond a round of them the clock the rounds.
"""

from collections.abc import Sequence
from enum import Enum

from drivers.base import Device, Sink
from drivers.berry_bci.frame import BciPacket, BerryFrame, BerryVersion, ContecParams, ContecWave
from drivers.oximeter import OximeterReader
from drivers.pleth import Pleth
from drivers.spot_reading import tell
from gateway.core.model import Stamp

TRUSTED = 3  # packets in a row before one is believed: there is no checksum
RATES_HZ = (1, 50, 100, 200)  # of BERRY frames, as each of them says
ROUND = 256  # of a BERRY frame's number
LONGEST_INTERVAL_S = 3.0  # beats further apart than this are no interval


class Maker(Enum):
    """The same packet with other meanings; the value is the packets' rate in Hz."""

    BERRY = 100.0
    CONTEC = 60.0


class BciReader:
    """Packets of one device to facts."""

    def __init__(self, device: Device, maker: Maker) -> None:
        self._device = device
        self._maker = maker
        self._seconds = OximeterReader(device, agree=TRUSTED)
        self._pleth = Pleth(device, maker.value)
        self._was_beat = False
        self._since_beat: int | None = None  # packets; None: no beat is known to count from

    def take(self, packets: Sequence[BciPacket], at: Stamp, sink: Sink) -> None:
        """Packets of one chunk, the last one received at `at`."""
        period_s = 1 / self._maker.value
        for left, packet in zip(range(len(packets) - 1, -1, -1), packets, strict=True):
            if packet.unbroken == 1:
                self._since_beat = None
            worn, fault = self._contact(packet)
            when = at.plus_s(-left * period_s)
            self._beat(packet, when, sink, believed=worn and packet.pulse_bpm is not None)
            self._wave(packet, when, sink, worn=worn)
            if packet.unbroken < TRUSTED:
                continue
            self._seconds.fault(*fault, at, sink)
            self._seconds.take(
                at, packet.raw, sink, worn=worn, spo2=packet.spo2_percent, pulse_rate=packet.pulse_bpm
            )

    def _wave(self, packet: BciPacket, at: Stamp, sink: Sink, *, worn: bool) -> None:
        if packet.unbroken == 1:
            self._pleth.lose(max(1, self._pleth.unseen(at)), at)
        if packet.unbroken < TRUSTED:
            self._pleth.lose(1, at)
        else:
            self._pleth.take([packet.pleth], at, sink, worn=worn)

    def _contact(self, packet: BciPacket) -> tuple[bool, tuple[str, bool]]:
        """Whether a finger is in, and the probe's fault with its state."""
        if self._maker is Maker.BERRY:
            return not (packet.bit4_third or packet.bit5_first), ("probe_unplugged", packet.bit5_first)
        return not packet.bit4_first, ("probe_error", packet.bit4_third)

    def _beat(self, packet: BciPacket, at: Stamp, sink: Sink, *, believed: bool) -> None:
        """Intervals on the grid of the packets: 10 or 16.7 ms, no finer."""
        rises, self._was_beat = packet.beat and not self._was_beat, packet.beat
        if self._since_beat is not None:
            self._since_beat += 1
            if self._since_beat > LONGEST_INTERVAL_S * self._maker.value:
                self._since_beat = None
        if rises and packet.unbroken > 1:
            if self._since_beat is not None and believed:
                ibi_ms = self._since_beat * 1000 / self._maker.value
                tell(sink, self._device, at, packet.raw, {"ibi": ibi_ms})
            self._since_beat = 0


class BerryReader:
    """Frames of one device to facts. Their sum has 8 bits only: once in 256 times a frame that lost a byte passes with
    the next one's first as its sum; its own sum then stands where the rate should."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._seconds = OximeterReader(device)
        self._was_beat = False
        self._pleth: Pleth | None = None  # no waveform at one frame a second
        self._number: int | None = None
        self._heard: Stamp | None = None

    def take(self, frames: Sequence[BerryFrame | BerryVersion], at: Stamp, sink: Sink) -> None:
        """Frames of one chunk, the last one received at `at`."""
        for left, frame in zip(range(len(frames) - 1, -1, -1), frames, strict=True):
            if isinstance(frame, BerryFrame) and frame.rate_hz not in RATES_HZ:
                sink.rejected(self._device.id, "rate", frame.raw)
            elif isinstance(frame, BerryFrame):
                self._take(frame, at, sink)
                self._wave(frame, at.plus_s(-left / frame.rate_hz), sink)

    def _wave(self, frame: BerryFrame, at: Stamp, sink: Sink) -> None:
        lost, self._number, self._heard = self._missing(frame, at), frame.number, at
        if frame.rate_hz == 1:
            return
        if self._pleth is None:
            self._pleth = Pleth(self._device, frame.rate_hz)
        self._pleth.at_rate(frame.rate_hz, sink)
        self._pleth.lose(lost, at)
        self._pleth.take([frame.pleth], at, sink, worn=not (frame.sensor_off or frame.no_finger))

    def _missing(self, frame: BerryFrame, at: Stamp) -> int:
        """Frames between this one and the last: as many as fit the numbers, and the clock best."""
        if self._number is None or self._heard is None:
            return 0
        step = (frame.number - self._number - 1) % ROUND
        if step == 0:
            return 0
        by_clock = at.since_s(self._heard) * frame.rate_hz - 1
        return max(0, step + ROUND * round((by_clock - step) / ROUND))

    def _take(self, frame: BerryFrame, at: Stamp, sink: Sink) -> None:
        worn = not (frame.sensor_off or frame.no_finger)
        self._seconds.fault("probe_unplugged", frame.sensor_off, at, sink)
        self._seconds.battery(frame.battery_percent, at, frame.raw, sink)
        pulse = None if frame.no_pulse_signal else frame.pulse_bpm
        spo2 = None if frame.no_pulse_signal else frame.spo2_percent
        perfusion = None if frame.perfusion_permille is None else frame.perfusion_permille / 10
        self._seconds.take(at, frame.raw, sink, worn=worn, spo2=spo2, pulse_rate=pulse, perfusion_index=perfusion)
        rises, self._was_beat = (frame.beat and not self._was_beat) or frame.rate_hz == 1, frame.beat
        if rises and worn and pulse is not None and frame.rr_ms is not None:
            tell(sink, self._device, at, frame.raw, {"ibi": frame.rr_ms})


class ContecBtReader:
    """Packets of a CMS50D-BT to facts. Whether a finger is in is not known for certain; without one no value comes."""

    def __init__(self, device: Device) -> None:
        self._seconds = OximeterReader(device)

    def take(self, frames: Sequence[ContecParams | ContecWave], at: Stamp, sink: Sink) -> None:
        for frame in frames:
            if isinstance(frame, ContecParams):
                self._seconds.take(
                    at, frame.raw, sink, worn=None, spo2=frame.spo2_percent, pulse_rate=frame.pulse_bpm
                )
