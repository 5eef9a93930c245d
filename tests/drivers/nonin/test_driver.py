"""Nonin devices on a pseudo-terminal and on a virtual radio."""

import asyncio
import itertools
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from drivers.base import Device
from drivers.faulty_line import LineFault
from drivers.nonin.driver import FAMILY, FAMILY_BLE, BleDriver
from drivers.nonin.frame import (
    DISCONNECTED,
    SENSOR_ALARM,
    Df8,
    Df8Stream,
    PacketStream,
    encode_df8,
    encode_packet,
    packet_values,
)
from drivers.nonin.peer import Ble3230Peer, SpotPeer, packets
from drivers.nonin.reader import Df8Reader, PacketReader
from drivers.nonin.spot import GET_TIME, Record3230, SpotCheck, encode_3230, select_format, set_time
from drivers.serial_link import SerialPort
from drivers.stream_peer import StreamPeer
from gateway.core.clock import ManualClock, SystemClock
from gateway.core.errors import ConfigError, LinkError
from gateway.core.model import Stamp
from tests.drivers import ble_ward
from tests.drivers.recording_sink import RecordingSink, until
from tests.drivers.serial_bench import beside, flowing, wire

PARIS = "Europe/Paris"
NOW = datetime(2026, 11, 24, 20, 0, tzinfo=UTC)
NOW_LOCAL = datetime(2026, 11, 24, 21, 0)  # noqa: DTZ001 - in Paris
AT = Stamp("00000001", 50 * 10**9)


def nonin(model: str, **settings: str | bool) -> Device:
    return Device("nonin", "nonin", model, "p", "b-1", settings={"time_zone": PARIS, **settings})


def test_the_display_values_that_outlive_the_finger_are_not_told() -> None:
    """After the finger has gone, rate and saturation are missing, and the -D values stay for ten seconds."""
    values = packet_values(72, 97)
    values[0], values[1], values[2] = 3, 0x7F, 127
    sink, reader = RecordingSink(), PacketReader(nonin("nonin_df2"))
    (packet,), _ = PacketStream(2).feed(encode_packet(values, range(25), SENSOR_ALARM))
    assert (packet.spo2_d_percent, packet.hr_d_bpm) == (97, 72)
    for number in range(12):
        reader.take([packet], AT.plus_s(number / 3), sink)
    assert sink.values("spo2") == []
    assert sink.values("pulse_rate") == []
    assert sink.kinds("nonin") == ["sensor_off"]


def test_a_sensor_alarm_silences_even_values_that_are_there() -> None:
    sink, reader = RecordingSink(), PacketReader(nonin("nonin_df2"))
    taken, _ = PacketStream(2).feed(encode_packet(packet_values(72, 97), range(25), SENSOR_ALARM))
    for number in range(6):
        reader.take(taken, AT.plus_s(number / 3), sink)
    assert sink.values("spo2") == []


def test_a_disconnected_sensor_and_a_low_battery_are_faults() -> None:
    sink, reader = RecordingSink(), PacketReader(nonin("nonin_df2"))
    bad, _ = PacketStream(2).feed(encode_packet(packet_values(None, None, low_battery=True), range(25), DISCONNECTED))
    reader.take(bad * 3, AT, sink)
    faults = [event.detail["fault"] for event in sink.events if event.kind == "device_fault"]
    assert faults == ["sensor_disconnected", "low_battery"]


@pytest.mark.parametrize("data_format", [2, 7])
async def test_over_a_line_with_a_fifth_of_the_writes_disturbed_nothing_is_invented(data_format: int) -> None:
    async with wire() as virtual:
        clock, sink = ManualClock(), RecordingSink()
        port = SerialPort(virtual.path, clock)
        driver = FAMILY.make([nonin(f"nonin_df{data_format}")], port, clock)
        frames = list(frames_of(itertools.repeat((96, 68), 90), data_format))
        peer = StreamPeer(virtual.fd, clock, frames, rate_hz=75, seed=5, share=0.2)
        peer.line.share = 0.0
        async with beside(driver.run(sink)) as (driving,):
            await until(lambda: port.is_open)
            async with beside(peer.run()):
                number = 0
                while not driving.done():
                    number += 1
                    peer.line.share = 0.2 if number % 25 == 0 else 0.0  # a packet is 25 writes: each third one survives
                    await clock.advance(1 / 75)
                    await until(lambda: port.received_bytes == peer.line.sent_bytes or driving.done())
    assert set(peer.line.disturbed) == set(LineFault)
    assert set(sink.values("spo2")) == {96}
    assert set(sink.values("pulse_rate")) == {68}
    assert len(sink.values("spo2")) >= 20


def frames_of(readings: Iterator[tuple[int, int]], data_format: int) -> Iterator[bytes]:
    for packet in packets(readings, data_format=data_format):
        yield from (packet[at : at + 5] for at in range(0, 125, 5))


async def test_every_fifth_write_of_whole_packets_disturbed_leaves_true_values_only() -> None:
    async with wire() as virtual:
        clock, sink = ManualClock(), RecordingSink()
        port = SerialPort(virtual.path, clock)
        driver = FAMILY.make([nonin("nonin_df2")], port, clock)
        peer = StreamPeer(virtual.fd, clock, packets(itertools.repeat((95, 61), 120)), rate_hz=3, seed=5, share=0.2)
        async with beside(driver.run(sink)) as (driving,):
            await until(lambda: port.is_open)
            async with beside(peer.run()):
                while not driving.done():
                    await clock.advance(1 / 3)
                    await until(lambda: port.received_bytes == peer.line.sent_bytes or driving.done())
    assert set(peer.line.disturbed) == set(LineFault)
    assert set(sink.values("spo2")) == {95}
    assert set(sink.values("pulse_rate")) == {61}
    assert len(sink.values("spo2")) >= 25


async def test_format_8_is_believed_from_the_third_frame_on() -> None:
    async with wire() as virtual:
        clock, sink = ManualClock(), RecordingSink()
        port = SerialPort(virtual.path, clock)
        frame = encode_df8(Df8(False, False, False, False, False, 72, 97, True, False, False))
        peer = StreamPeer(virtual.fd, clock, [frame] * 5, rate_hz=1)
        async with beside(FAMILY.make([nonin("nonin_df8")], port, clock).run(sink)):
            await until(lambda: port.is_open)
            async with beside(peer.run()):
                for _ in range(5):
                    await clock.advance(1)
                    await until(lambda: port.received_bytes == peer.line.sent_bytes)
                await until(lambda: len(sink.values("spo2")) == 2)
    assert sink.values("pulse_rate") == [72, 72]


def df8(pulse: int | None = 72, spo2: int | None = 97, *, alarm: bool = False, low_battery: bool = False) -> Df8:
    return Df8(False, False, False, False, False, pulse, spo2, True, alarm, low_battery)


def read_df8(stream: bytes) -> RecordingSink:
    """What is told of frames that come one a second."""
    sink, reader, decoder = RecordingSink(), Df8Reader(nonin("nonin_df8")), Df8Stream()
    for number in range(0, len(stream), 4):
        frames, _ = decoder.feed(stream[number : number + 4])
        reader.take(frames, AT.plus_s(number / 4), sink)
    return sink


def test_a_frame_of_format_8_damaged_without_showing_it_is_outvoted() -> None:
    """Every bit below the sync bits, turned in every fifth frame: nothing in the frame says so."""
    true = encode_df8(df8())
    for bit in set(range(32)) - {7, 15, 23, 31}:
        wrong = bytearray(true)
        wrong[bit // 8] ^= 1 << bit % 8
        sink = read_df8((true * 4 + bytes(wrong)) * 8)
        assert set(sink.values("spo2")) == {97}
        assert set(sink.values("pulse_rate")) == {72}
        assert set(sink.values("worn")) == {1}
        assert sink.kinds("nonin") == []
        assert len(sink.values("spo2")) >= 29


def test_frames_of_format_8_that_stand_in_noise_before_a_true_one_are_not_told() -> None:
    sink, reader, decoder, true = RecordingSink(), Df8Reader(nonin("nonin_df8")), Df8Stream(), encode_df8(df8())
    for number in range(40):
        frames, _ = decoder.feed((encode_df8(df8(109, 80)) * 3 if number % 5 == 4 else b"") + true)
        reader.take(frames, AT.plus_s(number), sink)
    assert set(sink.values("spo2")) == {97}
    assert len(sink.values("spo2")) >= 15


def test_what_three_frames_of_format_8_say_is_told() -> None:
    sink = read_df8(encode_df8(df8()) * 4 + encode_df8(df8(None, None, alarm=True, low_battery=True)) * 4)
    assert sink.values("worn")[-1] == 0
    assert sorted(sink.kinds("nonin")) == ["device_fault", "sensor_off"]
    sink = read_df8(encode_df8(df8()) * 4 + encode_df8(df8(None, 88)) * 5)
    assert sink.values("spo2")[-1] == 88
    assert len(sink.values("pulse_rate")) < len(sink.values("spo2"))


async def test_format_8_over_a_line_with_a_fifth_of_the_writes_disturbed_tells_true_values_only() -> None:
    """No checksum: sync bits, three unbroken frames and the middle of three guard it."""
    async with wire() as virtual:
        clock, sink = ManualClock(), RecordingSink()
        port = SerialPort(virtual.path, clock)
        driver = FAMILY.make([nonin("nonin_df8")], port, clock)
        frames = itertools.repeat(encode_df8(df8(68, 96)), 600)
        peer = StreamPeer(virtual.fd, clock, frames, rate_hz=1, seed=5, share=0.2)
        async with beside(driver.run(sink)) as (driving,):
            await until(lambda: port.is_open)
            async with beside(peer.run()):
                while not driving.done():
                    await clock.advance(1)
                    await until(lambda: port.received_bytes == peer.line.sent_bytes or driving.done())
    assert set(peer.line.disturbed) == set(LineFault)
    assert set(sink.values("spo2")) == {96}
    assert set(sink.values("pulse_rate")) == {68}
    assert len(sink.values("spo2")) >= 150
    assert set(sink.values("worn")) == {1}
    assert sink.kinds("nonin") == []


async def test_the_format_is_asked_for_where_the_setting_says_so() -> None:
    async with wire() as virtual:
        clock = ManualClock()
        port = SerialPort(virtual.path, clock)
        async with beside(FAMILY.make([nonin("nonin_df7", select_format=True)], port, clock).run(RecordingSink())):
            await until(lambda: port.is_open and port.written_bytes == 6)
            assert os.read(virtual.fd, 16) == select_format(7)


def spot(value: int, *, minutes_ago: int = 0, memory: bool = False, shown: datetime = NOW_LOCAL) -> SpotCheck:
    return SpotCheck(shown - timedelta(minutes=minutes_ago), True, False, memory, False, 70, value)


async def test_a_spot_check_is_told_once_acknowledged_and_its_clock_set() -> None:
    async with wire() as virtual:
        clock, sink = ManualClock(utc=NOW), RecordingSink()
        port = SerialPort(virtual.path, clock)
        peer = SpotPeer(virtual.fd, clock, NOW_LOCAL + timedelta(minutes=7))
        async with beside(FAMILY.make([nonin("nonin_df13")], port, clock).run(sink), peer.run()):
            await until(lambda: bool(peer.set_to))
            await peer.measured(spot(96))
            await until(lambda: not peer.owed)
    assert sink.values("spo2") == [96]
    assert sink.values("pulse_rate") == [70]
    assert peer.asked[0] == GET_TIME
    assert peer.set_to == [set_time(NOW_LOCAL)]
    clocks = [(event.kind, event.detail["offset_s"]) for event in sink.events]
    assert clocks == [("device_clock", 420.0)]


async def test_a_record_sent_again_is_a_repeat_and_is_acknowledged_again() -> None:
    async with wire() as virtual:
        clock, sink = ManualClock(utc=NOW), RecordingSink()
        port = SerialPort(virtual.path, clock)
        peer = SpotPeer(virtual.fd, clock, NOW_LOCAL)
        async with beside(FAMILY.make([nonin("nonin_df13")], port, clock).run(sink), peer.run()):
            await until(lambda: bool(peer.set_to))
            for memory in (False, True):  # when the ACK was lost, the device keeps the record and marks it
                await peer.measured(spot(96, memory=memory))
                await until(lambda: not peer.owed)
    assert sink.values("spo2") == [96]
    assert sink.rejects["nonin", "repeat"] == 1


async def test_a_stored_record_is_as_old_as_the_device_s_own_clock_says() -> None:
    fast = NOW_LOCAL + timedelta(minutes=30)
    async with wire() as virtual:
        clock, sink = ManualClock(utc=NOW, mono_ns=10**14), RecordingSink()
        port = SerialPort(virtual.path, clock)
        peer = SpotPeer(virtual.fd, clock, fast)
        async with beside(FAMILY.make([nonin("nonin_df13")], port, clock).run(sink), peer.run()):
            await until(lambda: bool(peer.set_to))
            await peer.measured(spot(91, minutes_ago=90, memory=True, shown=fast))
            await until(lambda: not peer.owed)
    (told,) = [one for one in sink.measurements if one.quantity == "spo2"]
    assert clock.now().since_s(told.at) == pytest.approx(90 * 60)


async def test_a_failed_measurement_and_a_damaged_record_are_rejected_and_never_numbers() -> None:
    async with wire() as virtual:
        clock, sink = ManualClock(utc=NOW), RecordingSink()
        port = SerialPort(virtual.path, clock)
        peer = SpotPeer(virtual.fd, clock, NOW_LOCAL)
        async with beside(FAMILY.make([nonin("nonin_df13")], port, clock).run(sink), peer.run()):
            await until(lambda: bool(peer.set_to))
            os.write(virtual.fd, bytes.fromhex("0002000d000e2024060514301500020000480061FF03"))
            await until(lambda: peer.naks == 1)
            await peer.measured(SpotCheck(NOW_LOCAL, False, True, False, True, None, None))
            await until(lambda: not peer.owed)
    assert sink.measurements == []
    assert sink.rejects["nonin", "checksum"] == 1
    assert sink.rejects["nonin", "no_measurement"] == 1


async def test_an_unset_clock_is_said_to_be_one() -> None:
    async with wire() as virtual:
        clock, sink = ManualClock(utc=NOW), RecordingSink()
        port = SerialPort(virtual.path, clock)
        peer = SpotPeer(virtual.fd, clock, datetime(2010, 1, 1))  # noqa: DTZ001 - a device's local time
        async with beside(FAMILY.make([nonin("nonin_df13")], port, clock).run(sink), peer.run()):
            await until(lambda: bool(peer.set_to))
    assert sink.kinds("nonin") == ["device_clock_unset"]


async def test_records_over_a_bad_line_all_arrive_once() -> None:
    async with wire() as virtual:
        clock, sink = ManualClock(utc=NOW), RecordingSink()
        port = SerialPort(virtual.path, clock)
        peer = SpotPeer(virtual.fd, clock, NOW_LOCAL, seed=11)
        driver = FAMILY.make([nonin("nonin_df13")], port, clock)
        async with beside(driver.run(sink), peer.run(), flowing(clock)):
            await until(lambda: bool(peer.set_to))
            peer.line.share = 0.2
            for number in range(40):
                await peer.measured(spot(60 + number, minutes_ago=number))
                async with asyncio.timeout(10):
                    while peer.owed:
                        await peer.send()
                        for _ in range(5):
                            await asyncio.sleep(0.002)
    assert sink.values("spo2") == [60 + number for number in range(40)]
    assert set(peer.line.disturbed) == set(LineFault)


def test_an_unknown_model_is_a_fault_of_the_registry() -> None:
    clock = ManualClock()
    with pytest.raises(ConfigError, match="nonin_df13"):
        FAMILY.make([nonin("nobody")], SerialPort("/dev/null", clock), clock)


def test_an_encrypted_record_is_no_number() -> None:
    clock, sink = ManualClock(), RecordingSink()
    driver = BleDriver(nonin("nonin_3230"), ble_ward.adapter_without_radio(clock), clock)
    for number in range(3):
        record = Record3230(False, False, False, True, False, True, 3.0, 1.0, number, 97, 72)
        driver.take(encode_3230(record), AT.plus_s(number), sink)
    driver.take(b"\x0a\x00", AT, sink)
    assert sink.measurements == []
    assert sink.rejects["nonin", "encrypted"] == 3
    assert sink.rejects["nonin", "length"] == 1


async def test_a_3230_streams_until_it_goes_out_of_range_and_comes_back() -> None:
    clock, sink = SystemClock(), ble_ward.RecordingSink()
    device = Device("d-0E", "nonin_ble", "nonin_3230", "virtual", "b-1", "F1:00:00:00:00:0E")
    records = (Record3230(False, True, False, True, False, False, 3.0, 4.5, n, 97, 72) for n in itertools.count())
    async with ble_ward.radio_space() as (space, port):
        peer = Ble3230Peer(space, clock, device.address, records)
        await peer.start()
        async with ble_ward.scanning_adapter(port) as adapter, ble_ward.running(peer.run(period_s=0.3)):
            driver = FAMILY_BLE.make([device], adapter, clock)

            async def cut() -> None:
                await sink.until(lambda: bool(sink.values("spo2")))
                peer.peripheral.disappear()

            async with ble_ward.running(cut()):
                assert isinstance(await ble_ward.ended(driver, sink), LinkError)
            peer.peripheral.reappear()
            told = len(sink.values("spo2"))
            async with ble_ward.running(driver.run(sink)):
                await sink.until(lambda: len(sink.values("spo2")) > told)
    assert (sink.values("spo2")[0], sink.values("pulse_rate")[0], sink.values("perfusion_index")[0]) == (97, 72, 4.5)
    assert sink.values("worn")[0] == 1
