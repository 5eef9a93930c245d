"""The 0x01 radar on a pseudo-terminal: rates as floats, no estimate is no number; with a bad cable too."""

import os
from collections.abc import Iterator

import pytest

from drivers.base import Device
from drivers.faulty_line import LineFault, VirtualPort
from drivers.profile_vectors import framed
from drivers.serial_link import SerialPort
from drivers.tf_radar.driver import FAMILY
from drivers.tf_radar.frame import PROFILE, encode
from drivers.tf_radar.peer import radar
from gateway.core.clock import SystemClock
from tests.drivers.ble_ward import running
from tests.drivers.recording_sink import RecordingSink, until

RADAR = Device("radar-2", "tf_radar", "mr60bha2", "radar-port", bed="b-1")


@pytest.fixture
def wire() -> Iterator[VirtualPort]:
    wire = VirtualPort()
    yield wire
    wire.unplug()


async def test_rates_are_told_and_none_while_there_is_no_estimate(wire: VirtualPort) -> None:
    clock, sink = SystemClock(), RecordingSink()
    rates = iter([(0.0, 0.0), (float("nan"), float("nan")), (14.5, 61.25)])
    peer = radar(wire.fd, clock, lambda: next(rates, (15.0, 62.0)), period_s=0.03)
    driver = FAMILY.make([RADAR], SerialPort(wire.path, clock, baud=115200), clock)
    async with running(peer.run(), driver.run(sink)):
        await until(lambda: len(sink.values("heart_rate")) >= 2)
    assert sink.values("heart_rate")[:2] == [61.25, 62.0]
    assert sink.values("respiration_rate")[:2] == [14.5, 15.0]
    assert sink.kinds("radar-2") == ["link_up"]
    assert not sink.rejects


async def test_a_fifth_of_the_writes_disturbed_costs_frames_but_never_a_wrong_number(wire: VirtualPort) -> None:
    clock, sink = SystemClock(), RecordingSink()
    peer = radar(wire.fd, clock, lambda: (15.0, 62.0), period_s=0.01, seed=5, share=0.2)
    driver = FAMILY.make([RADAR], SerialPort(wire.path, clock, baud=115200), clock)
    async with running(peer.run(), driver.run(sink)):
        await until(lambda: peer.line.written >= 400 and len(sink.values("heart_rate")) >= 60)
    assert sum(peer.line.disturbed.values()) > 40
    assert set(peer.line.disturbed) == set(LineFault)
    assert set(sink.values("heart_rate")) == {62.0}
    assert set(sink.values("respiration_rate")) == {15.0}
    assert sink.rejects


async def test_a_false_head_of_a_thousand_bytes_holds_back_two_frames_and_is_told(wire: VirtualPort) -> None:
    clock, sink, layout = SystemClock(), RecordingSink(), framed(PROFILE).layout
    false_head = layout.wrap(bytes(1024), b"\x0f\xff")[: layout.needed]
    port = SerialPort(wire.path, clock, baud=115200)
    async with running(FAMILY.make([RADAR], port, clock).run(sink)):
        await until(lambda: port.is_open)
        os.write(wire.fd, encode("0a15", 60.0) + false_head + encode("0a15", 61.0))
        await until(lambda: sink.values("heart_rate") == [60.0])
        os.write(wire.fd, encode("0a15", 62.0))
        await until(lambda: sink.values("heart_rate") == [60.0, 61.0, 62.0])
    assert sink.rejects["radar-2", "overtaken"] == 1
    assert sink.raw["radar-2", "overtaken"].startswith(false_head)
