"""The ladder against silence: each step in its turn, none too often, also when the radio was dead from the start."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from bleak import BleakScanner
from bleak.exc import BleakError

from drivers.ble_ladder import POWER_CYCLE_EVERY_S, RESTART_EVERY_S, SILENCE_S, Act, Cures, Ladder, Rung, nothing
from drivers.ble_link import BleAdapter, Heard, Radio
from gateway.core.clock import ManualClock
from gateway.core.errors import LinkError
from gateway.core.model import Event
from tests.drivers.ble_ward import SilentRadio, running


class DeafRadio(SilentRadio):
    """Scans, hears nothing, and can be switched; `order` is what was done to the box."""

    def __init__(self, order: list[str]) -> None:
        super().__init__()
        self.order = order

    async def forget(self, address: str) -> bool:
        return True

    async def power_cycle(self) -> None:
        self.order.append("power_cycle")


class BrokenRadio(DeafRadio):
    """Its scan does not even start."""

    def scanner(self, heard: Heard) -> BleakScanner:
        raise BleakError("no scan")


class Box:
    """An adapter whose cures are noted in `order`."""

    def __init__(self, radio_class: type[DeafRadio] = DeafRadio) -> None:
        self.clock = ManualClock()
        self.order: list[str] = []
        self.events: list[Event] = []
        self.radio = radio_class(self.order)
        cures = Cures(restart_service=self._act("restart_bluetoothd"), restart_box=self._act("exit"))
        self.adapter = BleAdapter("deaf", self.clock, self._opened, on_event=self.events.append, cures=cures)

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Radio]:
        yield self.radio

    def _act(self, name: str) -> Act:
        async def act() -> None:
            self.order.append(name)

        return act

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


async def test_dead_from_the_start_climbs_rescan_then_power_then_bluetoothd_and_exits_only_hours_later() -> None:
    box = Box()
    async with running(box.adapter.run()):
        box.adapter.subscribe(None, lambda _: None)
        await box.clock.advance(1.5 * SILENCE_S)
        assert (box.radio.starts, box.order) == (2, [])
        await box.clock.advance(SILENCE_S)
        assert box.order == ["power_cycle"]
        await box.clock.advance(SILENCE_S)
        assert box.order == ["power_cycle", "restart_bluetoothd"]
        await box.clock.advance(7200.0 - 4 * SILENCE_S)
        assert "exit" not in box.order
        await box.clock.advance(3 * SILENCE_S)
        assert box.order.count("exit") == 1
    assert set(box.kinds()) == {"box_trouble"}


async def test_no_step_is_taken_more_often_than_it_may_be_in_a_whole_day_of_silence() -> None:
    box = Box()
    async with running(box.adapter.run()):
        box.adapter.subscribe(None, lambda _: None)
        day_s = 86_400.0
        await box.clock.advance(day_s)
    assert box.order.count("power_cycle") <= day_s / POWER_CYCLE_EVERY_S + 1
    assert 2 <= box.order.count("restart_bluetoothd") <= day_s / RESTART_EVERY_S + 1
    assert 2 <= box.order.count("exit") <= 12


async def test_a_scan_that_cannot_even_start_is_mended_too() -> None:
    box = Box(BrokenRadio)
    box.adapter.subscribe(None, lambda _: None)
    for _ in range(12):
        with pytest.raises(LinkError, match="no scan"):
            await box.adapter.run()
        await box.clock.advance(30.0)
    assert box.order == ["power_cycle", "restart_bluetoothd"]


async def test_an_adapter_that_cannot_be_opened_goes_on_to_the_restart_of_its_service() -> None:
    box = Box()

    @asynccontextmanager
    async def closed() -> AsyncIterator[Radio]:
        if box.radio.starts == 0:
            raise FileNotFoundError(2, "no bus")
        yield box.radio

    box.adapter._backend = closed
    box.adapter.subscribe(None, lambda _: None)
    for _ in range(12):
        with pytest.raises(LinkError, match="no D-Bus system bus"):
            await box.adapter.run()
        await box.clock.advance(30.0)
    assert box.order == ["restart_bluetoothd"]


async def test_one_advert_brings_the_ladder_back_to_its_foot_and_is_told_once() -> None:
    box = Box()
    async with running(box.adapter.run()):
        box.adapter.subscribe(None, lambda _: None)
        await box.clock.advance(2.5 * SILENCE_S)
        assert box.kinds() == ["box_trouble"]
        box.radio.advert("F1:00:00:00:00:01")
        box.radio.advert("F1:00:00:00:00:01")
        assert box.kinds() == ["box_trouble", "box_recovered"]
        starts = box.radio.starts
        await box.clock.advance(1.5 * SILENCE_S)
        assert (box.radio.starts, box.order) == (starts + 1, ["power_cycle"])


async def test_a_house_where_nobody_listens_is_only_scanned_anew() -> None:
    box = Box()
    async with running(box.adapter.run()):
        await box.clock.advance(20 * SILENCE_S)
    assert (box.order, box.events) == ([], [])
    assert box.radio.starts == 21


async def test_a_step_that_fails_does_not_end_the_watch_and_the_next_silence_takes_the_next_one() -> None:
    clock, taken = ManualClock(), list[str]()

    async def fails() -> None:
        raise BleakError("the switch is stuck")

    ladder = Ladder(clock, [Rung("rescan", nothing), Rung("first", fails), Rung("second", nothing)], taken.append)
    for _ in range(3):
        await ladder.climb()
    assert taken == ["rescan", "first", "second"]


async def test_while_the_strong_step_rests_the_strongest_that_may_be_taken_is_taken() -> None:
    clock, taken = ManualClock(), list[str]()
    rungs = [Rung("rescan", nothing), Rung("weak", nothing, gap_s=100.0), Rung("strong", nothing, gap_s=1000.0)]
    ladder = Ladder(clock, rungs, taken.append)
    for _ in range(6):
        await ladder.climb()
        await clock.advance(50.0)
    assert taken == ["rescan", "weak", "strong", "weak", "rescan", "weak"]


async def test_a_power_switch_that_never_answers_holds_up_nothing() -> None:
    box = Box()

    async def stuck() -> None:
        await asyncio.Event().wait()

    box.radio.power_cycle = stuck  # type: ignore[method-assign]
    async with running(box.adapter.run()):
        box.adapter.subscribe(None, lambda _: None)
        await box.clock.advance(4.5 * SILENCE_S)
    assert box.order == ["restart_bluetoothd"]
