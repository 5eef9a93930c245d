"""The radar on a pseudo-terminal: switched on, asked, believed within what it can see; with a bad cable too."""

import asyncio
from collections.abc import Iterator

import pytest

from drivers.base import Device
from drivers.faulty_line import LineFault, VirtualPort
from drivers.profile_models import load_model
from drivers.r60abd1.driver import FAMILY, READY, SLEEP_MODE, SWITCHES
from drivers.r60abd1.frame import PROFILE, encode
from drivers.r60abd1.peer import Person, radar
from drivers.serial_link import SerialPort
from gateway.core.clock import SystemClock
from gateway.core.errors import LinkError
from tests.drivers.ble_ward import running
from tests.drivers.recording_sink import RecordingSink, until

RADAR = Device("radar-1", "r60abd1", "r60abd1", "radar-port", bed="b-1")


@pytest.fixture
def wire() -> Iterator[VirtualPort]:
    wire = VirtualPort()
    yield wire
    wire.unplug()



async def test_it_is_switched_on_and_asked_and_tells_bed_pulse_and_breath(wire: VirtualPort) -> None:
    clock, sink, person = SystemClock(), RecordingSink(), Person(in_bed=True, heart_rate=66)
    peer = radar(wire.fd, clock, lambda: person, period_s=0.05)
    driver = FAMILY.make([RADAR], SerialPort(wire.path, clock, baud=115200), clock)
    async with running(peer.run(), driver.run(sink)):
        await until(lambda: bool(sink.values("bed_occupied") and sink.values("heart_rate")))
        person.in_bed = False
        await until(lambda: sink.values("bed_occupied")[-1] == 0)
    assert sink.values("bed_occupied") == [1, 0]
    assert set(sink.values("heart_rate")) == {66}
    assert set(sink.values("respiration_rate")) == {14}
    assert set(sink.values("movement")) == {0.03}
    assert not sink.rejects
    asked = [cut.key for cut in peer.asked]
    assert asked[0] == READY
    assert asked[1 : 2 + len(SWITCHES)] == [*SWITCHES, SLEEP_MODE]


async def test_nought_is_no_pulse_and_an_impossible_breath_is_refused(wire: VirtualPort) -> None:
    clock, sink = SystemClock(), RecordingSink()
    person = Person(heart_rate=0, respiration_rate=99)
    driver = FAMILY.make([RADAR], SerialPort(wire.path, clock, baud=115200), clock)
    async with running(radar(wire.fd, clock, lambda: person, period_s=0.05).run(), driver.run(sink)):
        await until(lambda: sink.rejects["radar-1", "implausible_respiration_rate"] >= 2)
    assert sink.values("heart_rate") == []
    assert sink.values("respiration_rate") == []
    assert sink.raw["radar-1", "implausible_respiration_rate"] == encode("8102", b"\x63")


async def test_a_fifth_of_the_writes_disturbed_costs_frames_but_never_a_wrong_number(wire: VirtualPort) -> None:
    clock, sink, person = SystemClock(), RecordingSink(), Person(heart_rate=77, respiration_rate=15)
    peer = radar(wire.fd, clock, lambda: person, period_s=0.01, seed=7, share=0.2)
    driver = FAMILY.make([RADAR], SerialPort(wire.path, clock, baud=115200), clock)
    async with running(peer.run(), driver.run(sink)):
        await until(lambda: peer.line.written >= 400 and len(sink.values("heart_rate")) >= 60)
    assert sum(peer.line.disturbed.values()) > 40
    assert set(peer.line.disturbed) == set(LineFault)
    assert set(sink.values("heart_rate")) == {77}
    assert set(sink.values("respiration_rate")) == {15}
    assert sink.rejects


async def test_an_unplugged_radar_is_a_broken_link(wire: VirtualPort) -> None:
    clock, sink = SystemClock(), RecordingSink()
    driver = FAMILY.make([RADAR], SerialPort(wire.path, clock, baud=115200), clock)
    async with running(radar(wire.fd, clock, Person, period_s=0.05).run()) as peers:
        task = asyncio.create_task(driver.run(sink))
        await until(lambda: bool(sink.values("heart_rate")))
        peers[0].cancel()
        await asyncio.gather(peers[0], return_exceptions=True)
        wire.unplug()
        async with asyncio.timeout(5):
            (error,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(error, LinkError)
    assert "unplugged" in str(error)


def test_what_it_cannot_see_is_declared() -> None:
    capability = load_model(PROFILE).device.capability
    assert capability["heart_rate"].range == (60.0, 120.0)
    assert capability["bed_occupied"].latency_s == 30
