"""Oximeters on a pseudo-terminal and on a virtual radio: values once a second, finger, beats, silence, faults."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest

from drivers.base import Device
from drivers.berry_bci.driver import CONTEC_NOTIFY, CONTEC_WRITE, FAMILY, FAMILY_BLE, SerialOximeter
from drivers.berry_bci.frame import (
    BciPacket,
    BciStream,
    BerryFrame,
    ContecParams,
    encode_bci,
    encode_berry,
    encode_contec,
)
from drivers.berry_bci.peer import BleOximeterPeer, finger, no_finger
from drivers.berry_bci.reader import BciReader, Maker
from drivers.faulty_line import LineFault, VirtualPort
from drivers.serial_link import SerialPort
from drivers.stream_peer import StreamPeer
from gateway.core.clock import ManualClock, SystemClock
from gateway.core.errors import ConfigError, LinkError
from gateway.core.model import Stamp
from tests.drivers import ble_ward
from tests.drivers.recording_sink import RecordingSink, until
from tests.drivers.serial_bench import beside, ended, wire

AT = Stamp("00000001", 50 * 10**9)


class Bench:
    """A driver on a pseudo-terminal whose device's end the test writes itself, under a manual clock."""

    def __init__(self, model: str, virtual: VirtualPort) -> None:
        self.virtual = virtual
        self.clock = ManualClock()
        self.sink = RecordingSink()
        self.sent = 0
        self.port = SerialPort(virtual.path, self.clock)
        self.driver = FAMILY.make([Device("oxi", "berry_bci", model, "p", "b-1")], self.port, self.clock)
        self.task = asyncio.create_task(self.driver.run(self.sink))

    async def send(self, frames: Sequence[bytes], *, period_s: float = 0.01) -> None:
        for frame in frames:
            self.clock.shift(period_s)
            os.write(self.virtual.fd, frame)
            self.sent += len(frame)
            await until(lambda: self.port.received_bytes == self.sent)
            for _ in range(3):
                await asyncio.sleep(0)


async def bench(model: str) -> AsyncIterator[Bench]:
    async with wire() as virtual:
        one = Bench(model, virtual)
        await until(lambda: one.port.is_open)
        yield one
        one.task.cancel()
        await asyncio.gather(one.task, return_exceptions=True)


@pytest.fixture
async def berry() -> AsyncIterator[Bench]:
    async for one in bench("berrymed_bci"):
        yield one


@pytest.fixture
async def contec() -> AsyncIterator[Bench]:
    async for one in bench("contec_cms50d_plus"):
        yield one


@pytest.fixture
async def frames() -> AsyncIterator[Bench]:
    async for one in bench("berrymed_berry"):
        yield one


async def test_a_finger_is_told_once_a_second_by_the_medians(berry: Bench) -> None:
    await berry.send(list(itertools.islice(finger(97, 72), 305)))
    assert berry.sink.values("worn") == [1, 1, 1, 1]
    assert set(berry.sink.values("spo2")) == {97}
    assert set(berry.sink.values("pulse_rate")) == {72}
    assert 3 <= len(berry.sink.values("spo2")) <= 4
    assert {(m.bed, m.unit) for m in berry.sink.measurements if m.quantity == "spo2"} == {("b-1", "%")}


async def test_a_wrong_number_among_a_hundred_is_outvoted(berry: Bench) -> None:
    packets = list(itertools.islice(finger(97, 72), 150))
    packets[60] = encode_bci(BciPacket(7, False, False, False, 50, 5, False, False, 200, 60))
    await berry.send(packets)
    assert set(berry.sink.values("spo2")) == {97}


async def test_beats_are_intervals_on_the_grid_of_the_packets(berry: Bench) -> None:
    await berry.send(list(itertools.islice(finger(97, 75), 300)))
    assert berry.sink.values("ibi") == [800, 800]


async def test_a_lost_packet_makes_no_wrong_interval(berry: Bench) -> None:
    packets = list(itertools.islice(finger(97, 75), 300))
    packets[100] = packets[100][:3]
    await berry.send(packets)
    assert set(berry.sink.values("ibi")) == {800}
    assert len(berry.sink.values("ibi")) == 1


async def test_the_first_two_packets_after_a_break_are_not_believed(berry: Bench) -> None:
    await berry.send([next(finger(97, 72)), next(finger(97, 72)), b"\x00"] * 200)
    assert berry.sink.measurements == []


async def test_without_a_finger_sensor_off_is_said_once_and_no_number_told(berry: Bench) -> None:
    await berry.send(list(itertools.islice(finger(97, 72), 110)))
    told = len(berry.sink.values("spo2"))
    await berry.send([no_finger()] * 250)
    assert berry.sink.kinds("oxi") == ["sensor_off"]
    assert len(berry.sink.values("spo2")) == told
    assert berry.sink.values("worn")[-1] == 0


async def test_the_same_bit_means_finger_out_to_contec_and_no_signal_to_berry(berry: Bench, contec: Bench) -> None:
    packet = encode_bci(BciPacket(3, True, False, False, 50, 5, False, False, 72, 97))
    await berry.send([packet] * 100)
    await contec.send([packet] * 100)
    assert berry.sink.values("spo2") == [97]
    assert contec.sink.values("spo2") == []
    assert set(contec.sink.values("worn")) == {0}


async def test_an_unplugged_probe_is_a_fault_that_comes_and_goes(berry: Bench) -> None:
    unplugged = encode_bci(BciPacket(None, False, True, False, None, 0, False, True, None, None))
    await berry.send([unplugged] * 20 + list(itertools.islice(finger(97, 72), 20)))
    faults = [dict(event.detail) for event in berry.sink.events if event.kind == "device_fault"]
    assert faults == [{"fault": "probe_unplugged", "active": True}, {"fault": "probe_unplugged", "active": False}]


async def test_a_single_packet_that_says_otherwise_moves_neither_finger_nor_fault(berry: Bench) -> None:
    packets = list(itertools.islice(finger(97, 72), 60))
    packets[30] = encode_bci(BciPacket(None, False, True, False, None, 0, True, True, None, None))
    await berry.send(packets)
    assert berry.sink.kinds("oxi") == []
    assert berry.sink.values("worn") == [1]


async def test_implausible_medians_are_rejected_with_their_bytes(berry: Bench) -> None:
    await berry.send(list(itertools.islice(finger(120, 72), 100)))
    assert berry.sink.values("spo2") == []
    assert berry.sink.rejects["oxi", "implausible_spo2"] == 1
    assert len(berry.sink.raw["oxi", "implausible_spo2"]) == 5


async def test_a_berry_device_is_told_its_mode_and_gives_perfusion_battery_and_beats(frames: Bench) -> None:
    assert os.read(frames.virtual.fd, 16) == b"\xe1\xf3"
    sent = [
        encode_berry(BerryFrame(n, False, False, False, True, 96, 70, 855, 25, 40, 1, 81, 1)) for n in range(3)
    ]
    await frames.send(sent, period_s=1.0)
    assert frames.sink.values("perfusion_index") == [2.5] * 2
    assert frames.sink.values("battery") == [81]
    assert frames.sink.values("ibi") == [855] * 3


async def test_silence_is_a_link_error_that_names_the_line_settings(contec: Bench) -> None:
    await contec.clock.advance(2)
    os.write(contec.virtual.fd, b"\x01\x02\x03")
    await until(lambda: contec.port.received_bytes == 3)
    await contec.clock.advance(3.1)
    with pytest.raises(LinkError, match="no valid frame for 5 s") as caught:
        await contec.task
    assert "8O1" in caught.value.hint


async def test_unplugging_in_mid_packet_is_told(berry: Bench) -> None:
    await berry.send([next(finger(97, 72)), next(finger(97, 72))[:3]])
    berry.virtual.unplug()
    with pytest.raises(LinkError, match="unplugged"):
        async with asyncio.timeout(5):
            await berry.task
    assert berry.sink.rejects["oxi", "half_frame"] == 1


def berry_frames(spo2: int, pulse: int) -> Iterator[bytes]:
    """A beat in each frame: one a second."""
    for number in itertools.count():
        yield encode_berry(BerryFrame(number % 256, False, False, False, True, spo2, pulse, 855, 25, 40, -7, 81, 1))


@pytest.mark.parametrize(
    ("model", "rate_hz", "count"),
    [("berrymed_bci", 100.0, 1000), ("contec_cms50d_plus", 60.0, 800), ("berrymed_berry", 1.0, 400)],
)
async def test_with_a_fifth_of_the_writes_disturbed_no_value_is_invented(
    model: str, rate_hz: float, count: int
) -> None:
    """BCI has no checksum: sync bits, three unbroken packets and a second's median guard it. BERRY has a sum of 8 bits,
    and a rate that is one of four numbers."""
    frames = berry_frames(97, 72) if model == "berrymed_berry" else finger(97, 72, rate_hz=rate_hz)
    async with wire() as virtual:
        clock, sink = ManualClock(), RecordingSink()
        port = SerialPort(virtual.path, clock)
        driver = FAMILY.make([Device("oxi", "berry_bci", model, "p")], port, clock)
        peer = StreamPeer(virtual.fd, clock, itertools.islice(frames, count), rate_hz=rate_hz, seed=3, share=0.2)
        async with beside(driver.run(sink)) as (driving,):
            await until(lambda: port.is_open)
            async with beside(peer.run()) as (sending,):
                while not driving.done():
                    await clock.advance(1 / rate_hz)
                    await until(lambda: port.received_bytes == peer.line.sent_bytes or driving.done())
                assert sending.done()
    assert set(peer.line.disturbed) == set(LineFault)
    assert sum(peer.line.disturbed.values()) > count * 0.15
    assert set(sink.values("spo2")) == {97}
    assert set(sink.values("pulse_rate")) == {72}
    assert len(sink.values("spo2")) >= count / rate_hz * 0.7
    assert set(sink.values("worn")) == {1}
    assert set(sink.values("battery")) <= {81}
    assert set(sink.values("perfusion_index")) <= {2.5}
    beat_s = 0.855 if model == "berrymed_berry" else round(60 * rate_hz / 72) / rate_hz
    assert all(0.9 < ibi / 1000 / beat_s < 1.001 for ibi in sink.values("ibi"))  # a whole packet's loss shows nowhere
    assert sink.kinds("oxi") == []


async def test_a_berry_frame_at_a_rate_that_there_is_not_is_no_number(frames: Bench) -> None:
    lost = encode_berry(BerryFrame(5, False, False, False, False, 60, 199, 855, 25, 40, 1, 81, 77))
    await frames.send([lost] * 3, period_s=1.0)
    assert frames.sink.measurements == []
    assert frames.sink.rejects["oxi", "rate"] == 3


def test_a_packet_damaged_without_showing_it_moves_no_median() -> None:
    """Every bit below the sync bits, turned in every fifth packet."""
    frames = list(itertools.islice(finger(97, 72), 120))
    for bit in set(range(40)) - {7, 15, 23, 31, 39}:
        sink, stream = RecordingSink(), BciStream()
        reader = BciReader(Device("oxi", "berry_bci", "berrymed_bci", "p"), Maker.BERRY)
        for number, true in enumerate(frames):
            data = bytearray(true)
            if number % 5 == 4:
                data[bit // 8] ^= 1 << bit % 8
            reader.take(stream.feed(bytes(data))[0], AT.plus_s(number / 100), sink)
        assert (set(sink.values("spo2")), set(sink.values("pulse_rate"))) == ({97}, {72})
        assert (set(sink.values("worn")), sink.kinds("oxi")) == ({1}, [])


def test_an_unknown_model_is_a_fault_of_the_registry() -> None:
    clock = ManualClock()
    with pytest.raises(ConfigError, match="berrymed_bci"):
        SerialOximeter(Device("oxi", "berry_bci", "nobody", "p"), SerialPort("/dev/null", clock), clock)


async def test_over_ble_a_packet_split_between_notifications_is_whole_and_a_cut_link_comes_back() -> None:
    clock, sink = SystemClock(), ble_ward.RecordingSink()
    device = Device("d-0C", "berry_bci_ble", "berrymed_bm1000", "virtual", "b-1", "F1:00:00:00:00:0C")
    async with ble_ward.radio_space() as (space, port):
        peer = BleOximeterPeer(space, clock, device.address, finger(95, 66), per_note=17)
        await peer.start()
        async with ble_ward.scanning_adapter(port) as adapter, ble_ward.running(peer.run(pause_s=0.01)):
            driver = FAMILY_BLE.make([device], adapter, clock)

            async def cut() -> None:
                await sink.until(lambda: len(sink.values("spo2")) >= 1)
                peer.peripheral.disappear()

            async with ble_ward.running(cut()):
                error = await ble_ward.ended(driver, sink)
            assert isinstance(error, LinkError)
            peer.peripheral.reappear()
            told = len(sink.values("spo2"))
            async with ble_ward.running(driver.run(sink)):
                await sink.until(lambda: len(sink.values("spo2")) > told)
    assert set(sink.values("spo2")) == {95}
    assert sink.values("battery") == [80, 80]
    assert {reason for _, reason, _ in sink.rejections} <= {"half_frame", "noise"}  # a stream that is entered midway


async def test_a_cms50d_bt_is_started_by_its_command() -> None:
    clock, sink = SystemClock(), ble_ward.RecordingSink()
    device = Device("d-0D", "berry_bci_ble", "contec_cms50d_bt", "virtual", "b-1", "F1:00:00:00:00:0D")
    frames = itertools.repeat(encode_contec(ContecParams(6, 71, 98)))
    async with ble_ward.radio_space() as (space, port):
        uuids = ("0000ff00-0000-1000-8000-00805f9b34fb", CONTEC_WRITE, CONTEC_NOTIFY)
        peer = BleOximeterPeer(space, clock, device.address, frames, per_note=8, uuids=uuids, name="CMS50D-BT")
        await peer.start()
        async with (
            ble_ward.scanning_adapter(port) as adapter,
            ble_ward.running(peer.run(pause_s=0.02), FAMILY_BLE.make([device], adapter, clock).run(sink)),
        ):
            await sink.until(lambda: bool(sink.values("spo2")))
    assert peer.written == [bytes.fromhex("9B011C")]
    assert (sink.values("spo2")[0], sink.values("pulse_rate")[0]) == (98, 71)


async def ends_with_link_error(driver: SerialOximeter, sink: RecordingSink) -> bool:
    return isinstance(await ended(driver, sink), LinkError)


async def test_a_port_that_is_not_there_is_a_link_error() -> None:
    clock = ManualClock()
    port = SerialPort("/dev/serial/by-id/nothing", clock)
    device = Device("oxi", "berry_bci", "berrymed_bci", "p")
    assert await ends_with_link_error(SerialOximeter(device, port, clock), RecordingSink())
