"""The waveform of a finger: only while one is in, in blocks of about a second, with what is missing counted."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from drivers.base import Device
from drivers.berry_bci import frame as bci
from drivers.berry_bci.reader import BciReader, BerryReader, Maker
from drivers.catalogue import DELIVERS
from drivers.nonin import frame as nonin
from drivers.nonin.reader import PacketReader
from gateway.core.model import Event, Measurement, SampleBlock, Stamp
from gateway.dsp.chain import Chains
from tests.drivers.recording_sink import RecordingSink
from tests.gateway.dsp.synthetic import finger

AT = Stamp("00000001", 100 * 10**9)
DEVICE = Device("oxi", "berry_bci", "berrymed_bci", "p", "b-1")


def samples(blocks: Sequence[SampleBlock]) -> list[float]:
    return [float(one) for block in blocks for one in block.data]


def packet(pleth: int | None, *, beat: bool = False, fingerless: bool = False) -> bytes:
    return bci.encode_bci(bci.BciPacket(5, False, False, beat, pleth, 3, fingerless, False, 70, 97))


class Bci:
    """A BerryMed's bytes at 100 Hz to its reader, in chunks of ten packets."""

    def __init__(self, maker: Maker = Maker.BERRY) -> None:
        self.sink, self.stream, self.reader = RecordingSink(), bci.BciStream(), BciReader(DEVICE, maker)
        self.rate_hz, self.sent = maker.value, 0

    def send(self, packets: Sequence[bytes], *, noise: bytes = b"", lost: int = 0) -> None:
        for chunk in (packets[at : at + 10] for at in range(0, len(packets), 10)):
            self.sent += len(chunk) + lost
            frames, _ = self.stream.feed(noise + b"".join(chunk))
            if frames:
                self.reader.take(frames, AT.plus_s(self.sent / self.rate_hz), self.sink)
            noise, lost = b"", 0


@pytest.mark.parametrize("maker", Maker)
def test_a_bci_wave_arrives_in_blocks_of_about_a_second_at_the_makers_rate(maker: Maker) -> None:
    one = Bci(maker)
    wave = [1 + i % 100 for i in range(600)]
    one.send([packet(value) for value in wave])
    blocks = one.sink.blocks
    assert samples(blocks) == wave[2 : 2 + len(samples(blocks))], "two packets are needed to believe the third"
    assert len(samples(blocks)) > 500
    assert {(b.device, b.bed, b.channel, b.unit, b.rate_hz) for b in blocks} == {
        ("oxi", "b-1", "ppg", "1", maker.value)
    }
    assert all(0.5 <= len(block.data) / maker.value <= 1.5 for block in blocks)
    assert sum(block.lost_before for block in blocks) == 0
    for earlier, later in itertools.pairwise(blocks):
        assert later.start.since_s(earlier.start) == pytest.approx(len(earlier.data) / maker.value, abs=1e-3)


def test_without_a_finger_no_wave_is_told_and_a_short_absence_comes_as_no_numbers_and_not_as_a_loss() -> None:
    one = Bci()
    one.send([packet(50)] * 200)
    one.send([packet(50, fingerless=True)] * 500)
    assert samples(one.sink.blocks) == [50.0] * 198
    one.send([packet(60)] * 200)
    told = samples(one.sink.blocks)
    assert told[:198] == [50.0] * 198
    assert np.isnan(told[198:698]).all()
    assert set(told[698:]) == {60.0}
    assert sum(block.lost_before for block in one.sink.blocks) == 0
    back = next(block for block in one.sink.blocks if np.isnan(block.data[0]))
    assert back.start.since_s(one.sink.blocks[0].start) == pytest.approx(1.98, abs=0.02)


def test_a_long_absence_shows_in_the_stamps_only() -> None:
    one = Bci()
    one.send([packet(50)] * 200)
    one.send([packet(50, fingerless=True)] * 6000)
    one.send([packet(60)] * 200)
    assert not np.isnan(samples(one.sink.blocks)).any()
    assert sum(block.lost_before for block in one.sink.blocks) == 0
    back = next(block for block in one.sink.blocks if block.data[0] == 60)
    assert back.start.since_s(one.sink.blocks[0].start) == pytest.approx(61.98, abs=0.02)


def test_a_finger_that_was_out_gives_no_interval_across_the_absence() -> None:
    one = Bci()
    wave = finger(40.0)
    scaled = np.clip(np.round(1 + 90 * (wave - wave.min()) / np.ptp(wave)), 1, 100).astype(int).tolist()
    one.send([packet(value) for value in scaled[:2000]])
    one.send([packet(50, fingerless=True)] * 120)
    one.send([packet(value) for value in scaled[2000:]])
    chains = Chains()
    told = [result for block in one.sink.blocks for result in chains.feed(block) if isinstance(result, Measurement)]
    ends = [(result.at.since_s(AT), result.value / 1e3) for result in told if result.quantity == "ibi"]
    assert len(ends) > 20
    assert not [end for end, length in ends if end > 20.0 and end - length < 21.2]


def test_a_break_in_the_bytes_costs_what_the_clock_misses_and_at_least_what_is_not_believed() -> None:
    one = Bci()
    one.send([packet(50)] * 100)
    one.send([packet(60)] * 100, noise=b"\x10", lost=0)
    one.send([packet(70)] * 100, noise=b"\x10", lost=300)
    short, long = (next(b for b in one.sink.blocks if b.data[0] == value) for value in (60, 70))
    assert 1 <= short.lost_before <= 4
    assert long.lost_before == pytest.approx(302, abs=11)


def test_a_sample_that_the_device_does_not_have_is_not_a_number() -> None:
    one = Bci()
    one.send([packet(50)] * 20 + [packet(None)] + [packet(50)] * 100)
    assert np.flatnonzero(np.isnan(samples(one.sink.blocks))).tolist() == [18]


def berry(number: int, pleth: int, *, rate_hz: int = 100, no_finger: bool = False) -> bci.BerryFrame:
    return bci.BerryFrame(number % 256, False, no_finger, False, False, 97, 70, 860, 50, pleth, 1000, 90, rate_hz)


def berry_sink(frames: Sequence[tuple[int, bci.BerryFrame]], rate_hz: int) -> RecordingSink:
    sink, reader = RecordingSink(), BerryReader(DEVICE)
    for tick, frame in frames:
        reader.take([frame], AT.plus_s(tick / rate_hz), sink)
    return sink


@pytest.mark.parametrize("rate_hz", [50, 100, 200])
@pytest.mark.parametrize("gap", [1, 37, 255, 256, 700])
def test_berry_frames_lost_are_counted_by_their_numbers_and_whole_rounds_by_the_clock(rate_hz: int, gap: int) -> None:
    ticks = [*range(300), *range(300 + gap, 700 + gap)]
    sink = berry_sink([(tick, berry(tick, 1 + tick % 90, rate_hz=rate_hz)) for tick in ticks], rate_hz)
    assert {block.rate_hz for block in sink.blocks} == {float(rate_hz)}
    assert sum(block.lost_before for block in sink.blocks) == (gap if gap != 256 else 0), "one round exactly is unseen"


def test_berry_frames_that_only_come_late_are_no_loss() -> None:
    ticks = range(600)
    late = [(max(tick, 450) if tick > 300 else tick, berry(tick, 40 + tick % 20)) for tick in ticks]
    assert sum(block.lost_before for block in berry_sink(late, 100).blocks) == 0


def test_a_berry_device_at_one_frame_a_second_has_no_wave() -> None:
    assert berry_sink([(tick, berry(tick, 50, rate_hz=1)) for tick in range(30)], 1).blocks == []


def test_a_berry_device_that_changes_its_rate_begins_anew() -> None:
    slow = [(2 * tick, berry(tick, 50, rate_hz=50)) for tick in range(100)]
    fast = [(200 + tick, berry(100 + tick, 50)) for tick in range(200)]
    blocks = berry_sink([*slow, *fast], 100).blocks
    assert [block.rate_hz for block in blocks] == sorted(block.rate_hz for block in blocks)
    assert {block.rate_hz for block in blocks} == {50.0, 100.0}
    assert sum(block.lost_before for block in blocks) == 0


class Nonin:
    """Packets of data format 7 to its reader, three a second."""

    def __init__(self) -> None:
        self.sink, self.stream = RecordingSink(), nonin.PacketStream(7)
        self.reader, self.sent = PacketReader(Device("nin", "nonin", "nonin_df7", "p", "b-1")), 0

    def send(self, waves: Sequence[Sequence[int]], *, status: int = 0, damaged: bool = False) -> None:
        for wave in waves:
            self.sent += 1
            data = nonin.encode_packet(nonin.packet_values(70, 97), wave, status, data_format=7)
            if damaged:
                data = data[:52] + bytes([data[52] ^ 1]) + data[53:]
            frames, _ = self.stream.feed(data)
            if frames:
                self.reader.take(frames, AT.plus_s(self.sent / 3), self.sink)


def test_a_nonin_wave_arrives_whole_at_75_hz_and_a_damaged_packet_is_counted() -> None:
    one = Nonin()
    wave = np.arange(1, 1 + 25 * 60).reshape(60, 25).tolist()
    one.send(wave[:30])
    one.send(wave[30:31], damaged=True)
    one.send(wave[31:])
    expected = [value for part in (*wave[:30], *wave[31:]) for value in part]
    got = samples(one.sink.blocks)
    assert got == expected[: len(got)]
    assert len(got) > 1350
    assert {block.rate_hz for block in one.sink.blocks} == {75.0}
    assert [block.lost_before for block in one.sink.blocks if block.lost_before] == [25]


def test_a_nonin_without_its_sensor_tells_no_wave() -> None:
    one = Nonin()
    one.send([[50] * 25] * 9, status=nonin.DISCONNECTED)
    assert one.sink.blocks == []
    one.send([[60] * 25] * 9)
    assert set(samples(one.sink.blocks)) == {60.0}
    assert sum(block.lost_before for block in one.sink.blocks) == 0


def test_the_worker_tells_an_oximeters_variability_and_leaves_its_pulse_to_the_device() -> None:
    one = Bci()
    wave = finger(200.0)
    scaled = np.clip(np.round(1 + 90 * (wave - wave.min()) / np.ptp(wave)), 1, 100).astype(int).tolist()
    one.send([packet(value) for value in scaled])
    chains = Chains()
    chains.describe("oxi", {"own_pulse": "pulse_rate" in DELIVERS[DEVICE.family]}, {})
    results: list[Measurement | Event] = []
    for block in one.sink.blocks:
        results += chains.feed(block)
    told = {one.quantity for one in results if isinstance(one, Measurement)}
    assert told == {"rmssd", "sdnn", "irregularity"}
    assert one.sink.values("pulse_rate")
