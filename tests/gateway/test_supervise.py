"""Promises of the supervisor: lost once, back once, never silent, never dead."""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

from drivers.base import Device, Sink
from gateway.core.clock import ManualClock, SystemClock
from gateway.core.errors import LinkError, PairingError
from gateway.core.model import Event, Measurement, SampleBlock, Stamp
from gateway.supervise import PAIRING_BACKOFF_S, Crew, PartSupervisor, Supervisor
from gateway.worker_link import WorkerLink
from tests.gateway.test_worker_link import PLAIN, RUN, WAIT_S, night

BELT = Device("belt-1", "bed_belt", "open-belt-1", "port", bed="b-1")


class Recorder:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.blocks: list[SampleBlock] = []

    def block(self, block: SampleBlock) -> None:
        self.blocks.append(block)

    def measurement(self, measurement: Measurement) -> None:
        raise AssertionError(measurement)

    def event(self, event: Event) -> None:
        self.events.append(event)

    def rejected(self, device: str, reason: str, raw: bytes, *, count: int = 1) -> None:
        raise AssertionError(reason)

    def heard(self, device: str, *, rssi_dbm: int | None = None) -> None:
        raise AssertionError(device)

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


class Scripted:
    """A driver whose runs are written down beforehand; after the last it streams for ever."""

    devices = (BELT,)

    def __init__(self, *runs: Callable[[Sink], Awaitable[None]]) -> None:
        self._runs = list(runs)
        self.started = 0

    async def run(self, sink: Sink) -> None:
        self.started += 1
        if self._runs:
            await self._runs.pop(0)(sink)
        else:
            await asyncio.Event().wait()


def sample(clock: ManualClock) -> SampleBlock:
    return SampleBlock(BELT.id, "bed.wave", clock.now(), 100.0, "1", np.zeros(1, np.float32), 0, "b-1")


async def supervise(driver: Scripted, clock: ManualClock, seconds: float) -> Recorder:
    sink = Recorder()
    task = asyncio.create_task(Supervisor(driver, sink, clock).run())
    await clock.advance(seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return sink


async def test_a_lost_link_is_reported_once_however_often_the_retry_fails() -> None:
    async def absent(sink: Sink) -> None:
        raise LinkError("the port is not there", hint="plug it in")

    driver = Scripted(*[absent] * 6)
    sink = await supervise(driver, ManualClock(), 300)
    assert driver.started == 7
    assert sink.kinds == ["link_lost"]
    assert sink.events[0].detail["hint"] == "plug it in"


async def test_the_first_block_after_a_loss_says_back_once() -> None:
    clock = ManualClock()

    async def broken(sink: Sink) -> None:
        sink.block(sample(clock))
        sink.block(sample(clock))
        raise LinkError("unplugged", hint="plug it in")

    sink = await supervise(Scripted(broken, broken), clock, 30)
    assert sink.kinds == ["link_up", "link_lost", "link_up", "link_lost"]
    assert len(sink.blocks) == 4


async def test_a_driver_that_raises_what_nobody_expected_is_traced_and_started_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def defect(sink: Sink) -> None:
        raise ZeroDivisionError

    driver = Scripted(defect)
    with caplog.at_level(logging.ERROR):
        sink = await supervise(driver, ManualClock(), 30)
    assert driver.started == 2
    assert sink.kinds == ["link_lost", "device_fault"]
    assert "ZeroDivisionError" in caplog.text


async def test_a_driver_that_fails_the_same_way_again_and_again_is_traced_and_booked_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def defect(sink: Sink) -> None:
        raise ZeroDivisionError

    driver = Scripted(*[defect] * 6)
    with caplog.at_level(logging.WARNING):
        sink = await supervise(driver, ManualClock(), 300)
    assert driver.started == 7
    assert sink.kinds == ["link_lost", "device_fault"]
    assert caplog.text.count("Traceback") == 1


async def test_a_cancellation_that_nobody_asked_for_ends_no_driver() -> None:
    async def waits_for_what_a_library_cancels(sink: Sink) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    driver = Scripted(waits_for_what_a_library_cancels)
    sink = await supervise(driver, ManualClock(), 30)
    assert driver.started == 2
    assert sink.kinds == ["link_lost", "device_fault"]


async def test_a_driver_that_returns_without_being_told_to_is_started_again() -> None:
    async def returns(sink: Sink) -> None:
        return

    driver = Scripted(returns)
    assert (await supervise(driver, ManualClock(), 30)).kinds == ["link_lost"]
    assert driver.started == 2


async def test_a_lost_bond_is_not_hammered() -> None:
    async def unpaired(sink: Sink) -> None:
        raise PairingError("the band has forgotten the bond", hint="pair it again")

    driver = Scripted(unpaired)
    await supervise(driver, ManualClock(), PAIRING_BACKOFF_S * 0.75)
    assert driver.started == 1


async def test_a_slave_reported_by_its_bus_driver_is_not_reported_twice() -> None:
    clock = ManualClock()

    async def bus(sink: Sink) -> None:
        sink.event(Event("link_up", Stamp("00000001", 1), "b-1", BELT.id))
        sink.block(sample(clock))
        sink.event(Event("link_lost", Stamp("00000001", 2), "b-1", BELT.id))
        sink.event(Event("link_up", Stamp("00000001", 3), "b-1", BELT.id))
        await asyncio.Event().wait()

    assert (await supervise(Scripted(bus), clock, 5)).kinds == ["link_up", "link_lost", "link_up"]


async def part(failures: int, seconds: float, error: BaseException) -> list[str]:
    clock = ManualClock()
    events: list[Event] = []

    async def run() -> None:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise error
        await asyncio.Event().wait()

    task = asyncio.create_task(PartSupervisor("radio", run, events.append, clock).run())
    await clock.advance(seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return [event.kind for event in events]


async def test_a_radio_that_comes_back_says_trouble_once_and_recovered_once() -> None:
    assert await part(3, 60, LinkError("adapter not there", hint="plug it in")) == ["box_trouble", "box_recovered"]


async def test_a_radio_that_stays_away_says_trouble_once(caplog: pytest.LogCaptureFixture) -> None:
    assert await part(10_000, 3600, LinkError("adapter not there", hint="plug it in")) == ["box_trouble"]
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1


async def test_a_part_of_the_box_survives_what_nobody_expected(caplog: pytest.LogCaptureFixture) -> None:
    assert await part(1, 60, ZeroDivisionError()) == ["box_trouble", "box_recovered"]
    assert "ZeroDivisionError" in caplog.text


async def test_an_answer_that_the_house_stumbles_over_costs_a_worker_and_not_the_link(tmp_path: Path) -> None:
    told: list[str] = []
    heard: list[Measurement | Event] = []

    def stumble_once(result: Measurement | Event) -> None:
        heard.append(result)
        if len(heard) == 1:
            raise ZeroDivisionError

    clock = SystemClock()
    link = WorkerLink(
        clock, cache_dir=tmp_path, on_result=stumble_once, on_gap=lambda _: None, on_state=lambda _: None,
        command=(sys.executable, "-c", PLAIN + RUN),
    )  # fmt: skip
    supervisor = PartSupervisor("worker link", link.run, lambda event: told.append(event.kind), clock)
    task = asyncio.create_task(supervisor.run())
    for each in night(20):
        link.feed(each)
    async with asyncio.timeout(WAIT_S):
        while len(heard) < 5:
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert told[0] == "box_trouble"


async def test_a_cancellation_that_nobody_asked_for_ends_no_part_of_the_box() -> None:
    assert await part(1, 60, asyncio.CancelledError()) == ["box_trouble", "box_recovered"]


@pytest.mark.parametrize("error", [None, ZeroDivisionError(), asyncio.CancelledError()])
async def test_a_task_that_ends_by_itself_is_told_however_it_ended(error: BaseException | None) -> None:
    told: list[str] = []

    async def ends() -> None:
        if error is not None:
            raise error

    crew = Crew(told.append)
    crew.start("ticking", ends())
    for _ in range(3):
        await asyncio.sleep(0)
    assert told == ["ticking"]


async def test_a_task_that_is_stopped_is_told_to_nobody() -> None:
    told: list[str] = []
    crew = Crew(told.append)
    crew.start("ticking", ManualClock().sleep(3600.0))
    await asyncio.sleep(0)
    await crew.stop()
    assert told == []
