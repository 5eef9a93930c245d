"""Slots: held links leave one for meters, meters go first, nobody who gave up is waited for."""

import asyncio
from collections.abc import Mapping

import pytest

from drivers.ble_link import BleAdapter, Use, backend_virtual
from drivers.ble_slots import Slots
from drivers.polar_pmd.peer import PolarBand
from gateway.core.clock import ManualClock, SystemClock
from gateway.core.errors import LinkError
from gateway.core.model import Event
from tests.drivers.ble_ward import SilentRadio, adapter_with, lying_still, pulse_of, radio_space, running


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_held_links_leave_the_reserved_slot_to_a_meter() -> None:
    slots = Slots(3, reserved=1)
    await slots.acquire("a", Use.HELD)
    await slots.acquire("b", Use.HELD)
    third = asyncio.create_task(slots.acquire("c", Use.HELD))
    await settled()
    assert not third.done()
    await slots.acquire("m", Use.METER)
    assert slots.free == 0
    slots.release("m", Use.METER)
    await settled()
    assert not third.done()
    slots.release("a", Use.HELD)
    await third
    assert slots.holders() == {"b": Use.HELD, "c": Use.HELD}


async def test_a_meter_that_came_later_gets_the_free_slot_first() -> None:
    slots = Slots(1)
    await slots.acquire("a", Use.HELD)
    order: list[str] = []

    async def wait(address: str, use: Use) -> None:
        await slots.acquire(address, use)
        order.append(address)
        slots.release(address, use)

    waiters = [asyncio.create_task(wait("h", Use.HELD))]
    await settled()
    waiters.append(asyncio.create_task(wait("m", Use.METER)))
    await settled()
    assert slots.waiting == 2
    slots.release("a", Use.HELD)
    await asyncio.gather(*waiters)
    assert order == ["m", "h"]


async def test_a_waiter_that_is_cancelled_the_moment_it_is_woken_hands_the_slot_on() -> None:
    slots = Slots(1)
    await slots.acquire("a", Use.HELD)
    first = asyncio.create_task(slots.acquire("b", Use.HELD))
    second = asyncio.create_task(slots.acquire("c", Use.HELD))
    await settled()
    slots.release("a", Use.HELD)
    first.cancel()
    await asyncio.wait_for(second, 1.0)
    assert slots.holders() == {"c": Use.HELD}
    assert slots.waiting == 0


async def test_one_connection_is_made_at_a_time_and_a_meter_has_the_next_turn() -> None:
    slots = Slots(4)
    order: list[str] = []

    async def turn(name: str, use: Use) -> None:
        async with slots.turn(use):
            order.append(name)
            await settled()

    tasks = [asyncio.create_task(turn("first", Use.HELD)), asyncio.create_task(turn("held", Use.HELD))]
    await asyncio.sleep(0)
    tasks.append(asyncio.create_task(turn("meter", Use.METER)))
    await asyncio.gather(*tasks)
    assert order == ["first", "meter", "held"]


async def test_the_last_free_slot_is_told_with_who_holds_them() -> None:
    told: list[Mapping[str, Use]] = []
    slots = Slots(2, on_full=told.append)
    await slots.acquire("a", Use.HELD)
    assert told == []
    await slots.acquire("m", Use.METER)
    assert told == [{"a": Use.HELD, "m": Use.METER}]


def test_an_adapter_without_a_slot_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Slots(0)


async def test_a_meter_is_served_while_all_slots_for_bands_are_taken() -> None:
    clock, events = SystemClock(), list[Event]()
    async with radio_space() as (space, port):
        for number in (1, 2, 3):
            await PolarBand(space, clock, f"F1:00:00:00:00:0{number}", lying_still, pulse_of(60)).start()
        adapter = _adapter(port, clock, events)
        async with running(adapter.run()), asyncio.timeout(15), adapter.connect("F1:00:00:00:00:01"):
            with pytest.raises(LinkError, match=r"all 1 connection slots for held links are in use by F1:.*:01"):
                async with adapter.connect("F1:00:00:00:00:02", 0.05):
                    pass
            assert events == []
            async with adapter.connect("F1:00:00:00:00:03", use=Use.METER) as gatt:
                assert gatt.address == "F1:00:00:00:00:03"
            async with adapter.connect("F1:00:00:00:00:03", use=Use.METER):
                pass
    assert [event.kind for event in events] == ["ble_slots_full"]
    assert events[0].detail == {"part": "radio virtual", "slots": 2, "held": 1}


def _adapter(port: int, clock: SystemClock, events: list[Event]) -> BleAdapter:
    backend = backend_virtual(f"tcp-client:127.0.0.1:{port}")
    return BleAdapter("virtual", clock, backend, slots=2, on_event=events.append)


async def test_a_meter_that_hung_up_is_called_again_only_when_it_is_heard_anew() -> None:
    clock = SystemClock()
    async with radio_space() as (space, port):
        band = PolarBand(space, clock, "F1:00:00:00:00:01", lying_still, pulse_of(60))
        await band.start()
        adapter = _adapter(port, clock, [])
        async with running(adapter.run()), asyncio.timeout(15):
            for _ in range(2):
                async with adapter.connect("F1:00:00:00:00:01", use=Use.METER):
                    assert "F1:00:00:00:00:01" in adapter._known
                assert "F1:00:00:00:00:01" not in adapter._known


async def test_a_band_that_is_not_there_holds_no_slot_while_it_is_waited_for() -> None:
    clock = ManualClock()
    adapter = adapter_with(SilentRadio(), clock)
    absent = asyncio.create_task(_connect(adapter))
    async with running(adapter.run()):
        await clock.advance(10.0)
        assert adapter.slots.free == adapter.slots.count
        await clock.advance(15.0)
    with pytest.raises(LinkError, match="not heard"):
        await absent


async def _connect(adapter: BleAdapter) -> None:
    async with adapter.connect("F1:00:00:00:00:77"):
        pass


async def test_an_adapter_for_adverts_alone_refuses_connections_and_goes_on_scanning() -> None:
    clock, radio = ManualClock(), SilentRadio()
    adapter = adapter_with(radio, clock)
    adapter.scan_only = True
    heard: list[object] = []
    async with running(adapter.run()):
        await clock.advance(0)
        adapter.subscribe(None, heard.append)
        with pytest.raises(LinkError, match="only scans") as caught:
            await _connect(adapter)
        radio.advert("F1:00:00:00:00:01")
    assert len(heard) == 1
    assert "another adapter" in caught.value.hint
