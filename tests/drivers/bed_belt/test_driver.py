"""A belt on a real pseudo-terminal: blocks, losses, faults, silence and unplugging, back to back with the peer."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Iterator

import numpy as np
import pytest

from drivers.base import Device
from drivers.bed_belt.driver import FAMILY, HERE, LOAD, WAVE, BeltDriver
from drivers.bed_belt.frame import BeltFrame, load_format
from drivers.bed_belt.peer import BeltInput, BeltPeer
from drivers.faulty_line import LineFault, VirtualPort
from drivers.serial_link import SerialPort
from gateway.core.clock import ManualClock, SystemClock
from gateway.core.errors import ConfigError, LinkError
from gateway.core.model import SampleBlock
from tests.drivers.recording_sink import RecordingSink, until

BELT = load_format(HERE / "open_belt_1.toml")
DEVICE = Device("belt-1", "bed_belt", "open_belt_1", "belt-port", bed="b-1")


@pytest.fixture
def wire() -> Iterator[VirtualPort]:
    wire = VirtualPort()
    yield wire
    wire.unplug()


class Bench:
    """A driver on a pseudo-terminal whose device's end the test writes itself, under a manual clock."""

    def __init__(self, wire: VirtualPort) -> None:
        self.wire = wire
        self.clock = ManualClock()
        self.sink = RecordingSink()
        self.port = SerialPort(wire.path, self.clock, baud=115200)
        self.driver = BeltDriver(DEVICE, self.port, self.clock, BELT)
        self.task = asyncio.create_task(self.driver.run(self.sink))
        self.sent = 0

    async def send(self, data: bytes) -> None:
        before = self.port.received_bytes
        os.write(self.wire.fd, data)
        await until(lambda: self.port.received_bytes == before + len(data))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def frames(self, *sequences: int, status: int = 0, wave: float = 0.25) -> None:
        """Frames a tenth of a second apart, each sample `wave`."""
        for sequence in sequences:
            self.clock.shift(0.1)
            await self.send(BELT.encode(BeltFrame(sequence, np.full(10, wave, np.float32), 61.0, status)))

    def blocks(self, channel: str) -> list[SampleBlock]:
        return [block for block in self.sink.blocks if block.channel == channel]

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@pytest.fixture
async def bench(wire: VirtualPort) -> AsyncIterator[Bench]:
    bench = Bench(wire)
    await until(lambda: bench.port.is_open)
    yield bench
    await bench.stop()


async def test_five_frames_make_a_block_that_ends_at_the_receipt_of_its_last_byte(bench: Bench) -> None:
    await bench.frames(0, 1, 2, 3, 4)
    (wave,), (load,) = bench.blocks(WAVE), bench.blocks(LOAD)
    assert (wave.device, wave.bed, wave.unit, wave.rate_hz, wave.lost_before) == ("belt-1", "b-1", "1", 100.0, 0)
    assert wave.data.shape == (50,)
    assert wave.data.dtype == np.float32
    assert wave.start.plus_s(0.5) == bench.clock.now()
    assert (load.unit, load.rate_hz, load.data.tolist(), load.start) == ("kg", 10.0, [61.0] * 5, wave.start)
    assert bench.sink.heard_from["belt-1"] == 5


async def test_a_lost_frame_ends_the_block_and_the_next_one_says_what_is_missing(bench: Bench) -> None:
    await bench.frames(65533, 65534, 1, 2, 3, 4, 5)
    first, second = bench.blocks(WAVE)
    assert (len(first.data), first.lost_before) == (20, 0)
    assert (len(second.data), second.lost_before) == (50, 20)
    assert [block.lost_before for block in bench.blocks(LOAD)] == [0, 2]


async def test_frames_that_come_in_one_chunk_are_counted_back_one_after_another(bench: Bench) -> None:
    bench.clock.shift(1.0)
    wave = np.zeros(10, np.float32)
    await bench.send(b"".join(BELT.encode(BeltFrame(n, wave, 61.0)) for n in range(5)))
    (block,) = bench.blocks(WAVE)
    assert block.start.plus_s(0.5) == bench.clock.now()
    assert len(block.data) == 50


async def test_a_duplicate_frame_is_dropped_and_counted(bench: Bench) -> None:
    await bench.frames(10, 11, 11, 12, 13, 14)
    (block,) = bench.blocks(WAVE)
    assert (len(block.data), block.lost_before) == (50, 0)
    assert bench.sink.rejects[("belt-1", "old_sequence")] == 1


async def test_a_reset_belt_goes_on_after_a_marked_gap(bench: Bench) -> None:
    await bench.frames(5000, 5001)
    bench.clock.shift(2.0)
    await bench.frames(0, 1, 2, 3, 4)
    before, after = bench.blocks(WAVE)
    assert len(before.data) == 20
    assert (len(after.data), after.lost_before) == (50, 200)


async def test_saturated_samples_become_nan_only_when_the_belt_says_so(bench: Bench) -> None:
    await bench.frames(0, 1, wave=1.0)
    await bench.frames(2, 3, 4, wave=1.0, status=0x02)
    (block,) = bench.blocks(WAVE)
    assert np.isfinite(block.data[:20]).all()
    assert np.isnan(block.data[20:]).all()


async def test_a_sensor_fault_makes_no_numbers_and_one_event_when_it_comes_and_goes(bench: Bench) -> None:
    await bench.frames(0)
    await bench.frames(1, 2, status=0x01)
    await bench.frames(3, 4)
    (block,) = bench.blocks(WAVE)
    assert np.isnan(block.data[10:30]).all()
    assert np.isfinite(block.data[30:]).all()
    faults = [(event.kind, dict(event.detail)) for event in bench.sink.events]
    assert faults == [
        ("device_fault", {"fault": "sensor_fault", "active": True}),
        ("device_fault", {"fault": "sensor_fault", "active": False}),
    ]


async def test_garbage_is_reported_by_reason_and_costs_no_true_frame(bench: Bench) -> None:
    await bench.frames(0, 1)
    await bench.send(b"\xb5\x42\x08" + b"garbage" * 9)
    await bench.frames(2, 3, 4)
    (block,) = bench.blocks(WAVE)
    assert (len(block.data), block.lost_before) == (50, 0)
    assert bench.sink.rejects[("belt-1", "checksum")] == 1
    assert bench.sink.rejects[("belt-1", "noise")] == 66


async def test_silence_becomes_a_link_error_that_tells_what_was_heard(bench: Bench) -> None:
    await bench.frames(0, 1)
    await bench.clock.advance(4.9)
    assert not bench.task.done()
    await bench.clock.advance(0.2)
    with pytest.raises(LinkError, match="no valid frame for 5 s") as caught:
        await bench.task
    assert "115200" in caught.value.hint
    assert len(bench.blocks(WAVE)[0].data) == 20


async def test_a_babbling_line_without_frames_is_as_lost_as_a_silent_one(bench: Bench) -> None:
    for _ in range(3):
        await bench.clock.advance(2.4)
        if not bench.task.done():
            await bench.send(b"\x00" * 100)
    with pytest.raises(LinkError, match="noise 200"):
        await bench.task


async def test_unplugging_in_mid_frame_is_a_link_error_and_keeps_what_was_whole(bench: Bench) -> None:
    await bench.frames(0, 1, 2)
    await bench.send(BELT.encode(BeltFrame(3, np.zeros(10, np.float32)))[:9])
    bench.wire.unplug()
    with pytest.raises(LinkError, match="unplugged"):
        async with asyncio.timeout(5):
            await bench.task
    assert len(bench.blocks(WAVE)[0].data) == 30
    assert bench.sink.rejects["belt-1", "half_frame"] == 1
    assert not bench.port.is_open


async def test_an_outage_is_a_counted_loss_of_the_first_block_after_it(bench: Bench) -> None:
    await bench.frames(0, 1, 2, 3, 4)
    await bench.clock.advance(6)
    with pytest.raises(LinkError):
        await bench.task
    bench.task = asyncio.create_task(bench.driver.run(bench.sink))
    await until(lambda: bench.port.is_open)
    await bench.frames(66, 67, 68, 69, 70)
    assert [block.lost_before for block in bench.blocks(WAVE)] == [0, 610]


def ramp(count: int) -> list[BeltInput]:
    """Frames in which every sample bears its own number, so that nothing can be exchanged unseen."""
    return [BeltInput((np.arange(10) + 10 * n - 16_000) / 32768, 61.0) for n in range(count)]


async def test_back_to_back_over_a_line_with_a_fifth_of_the_writes_disturbed_nothing_is_invented(
    wire: VirtualPort,
) -> None:
    clock = ManualClock()
    peer = BeltPeer(wire.fd, clock, BELT, ramp(600), seed=7, share=0.2)
    peer.keep_record = True
    port = SerialPort(wire.path, clock, baud=115200)
    sink = RecordingSink()
    driving = asyncio.create_task(BeltDriver(DEVICE, port, clock, BELT).run(sink))
    await until(lambda: port.is_open)
    sending = asyncio.create_task(peer.run())
    while not driving.done():  # ends by silence once the peer has sent its last frame
        await clock.advance(0.05)
        await until(lambda: port.received_bytes == peer.line.sent_bytes or driving.done())
    assert sending.done()
    with pytest.raises(LinkError, match="no valid frame"):
        await driving

    waves = [block for block in sink.blocks if block.channel == WAVE]
    numbers = np.concatenate([np.rint(block.data * 32768 + 16_000).astype(int) for block in waves])
    harmless = (None, LineFault.GARBAGE, LineFault.BYTE_BY_BYTE)
    expected = [10 * n + k for n, fault in enumerate(peer.sent) if fault in harmless for k in range(10)]
    assert len(peer.line.disturbed) == len(LineFault)
    assert numbers.tolist() == expected
    assert len(numbers) + sum(block.lost_before for block in waves) == numbers[-1] + 1 - numbers[0]
    at = numbers[0]
    for block in waves:
        at += block.lost_before
        assert round(float(block.data[0]) * 32768 + 16_000) == at
        at += len(block.data)


async def test_the_peer_keeps_the_profiles_pace(wire: VirtualPort) -> None:
    clock = ManualClock()
    peer = BeltPeer(wire.fd, clock, BELT, itertools.cycle(ramp(1)))
    running = asyncio.create_task(peer.run())
    await clock.advance(2.05)
    assert peer.line.written == 20
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_the_family_makes_a_driver_for_its_model_and_names_its_models_for_another(wire: VirtualPort) -> None:
    clock = SystemClock()
    port = SerialPort(wire.path, clock)
    assert FAMILY.models == ("open_belt_1",)
    assert FAMILY.make([DEVICE], port, clock).devices == (DEVICE,)
    with pytest.raises(ConfigError, match="unknown model 'sleepy'; known: open_belt_1"):
        FAMILY.make([Device("belt-2", "bed_belt", "sleepy", "belt-port")], port, clock)
