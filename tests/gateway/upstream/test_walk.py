"""The main walk: birth, alarm, received, acknowledged, closed; rows live and after a cut."""

import asyncio

import pytest

from gateway.core.model import Priority
from gateway.upstream.envelope import AlarmState
from tests.broker import Broker
from tests.gateway.upstream.conftest import GW, Start, make_link, make_platform, until
from tests.gateway.upstream.house import MemoryHouse, alarm
from tests.proxy import Proxy

pytestmark = pytest.mark.system


async def test_birth_and_inventory_are_retained_for_whoever_comes_later(
    broker: Broker, house: MemoryHouse, start: Start
) -> None:
    link = await start(make_link(house, broker.port))
    await until(lambda: link.status.state == "up")
    platform = await start(make_platform(broker.port))
    await until(lambda: GW in platform.gateways and platform.gateways[GW].inventory is not None)
    state = platform.gateways[GW].state
    assert state.on
    assert (state.boot, state.bootn, state.inv, state.majors) == (house.clock.boot_id, 41, 88, [1])
    assert platform.gateways[GW].inventory.devices[0].dev == "belt-0A3F"


async def test_alarm_is_received_acknowledged_and_closed_by_the_platform(
    broker: Broker, house: MemoryHouse, start: Start
) -> None:
    platform = await start(make_platform(broker.port))
    link = await start(make_link(house, broker.port))
    await until(lambda: link.status.state == "up")
    raised = alarm(house.clock)
    link.alarm(raised, house.keep("alarm", raised))
    await until(lambda: ("received", raised.id, 1) in house.calls)
    assert ("published", raised.id, 1) in house.calls

    reply = await platform.acknowledge(GW, raised.id, "carer-7", "on my way")
    assert reply.st == 200
    link.rows_ready()
    await until(lambda: platform.gateways[GW].alarms[raised.id].rev == 2)
    seen = platform.gateways[GW].alarms[raised.id]
    assert (seen.ack.by, seen.ack.note, seen.ack.via) == ("carer-7", "on my way", "district")

    assert (await platform.close(GW, raised.id, "helped", "carer-7")).st == 200
    link.rows_ready()
    await until(lambda: platform.gateways[GW].alarms[raised.id].outcome == "helped")
    assert platform.seen.duplicates == {}


async def test_cut_in_the_middle_of_publishing_loses_no_row_and_counts_none_twice(
    broker: Broker, proxy: Proxy, house: MemoryHouse, start: Start
) -> None:
    platform = await start(make_platform(broker.port))
    link = await start(make_link(house, proxy.port))
    await until(lambda: link.status.state == "up")
    for _ in range(150):
        house.keep_summary()
    proxy.cut_after = 40_000  # about the fiftieth summary
    link.rows_ready()
    await until(lambda: proxy.cuts == 1)
    for _ in range(100):
        house.keep_summary()
    link.rows_ready()
    await until(lambda: len(platform.seen.of(GW, "summary")) == 250)
    assert platform.seen.of(GW, "summary").missing(1, 250) == []
    manifest = await house.outbox.manifest("district")
    await until(lambda: house.outbox._of("district", "summary").missed == [])
    assert manifest["summary"]["hi"] == 250
    kinds = [event.kind for event in house.events]
    assert kinds == ["uplink_back", "uplink_lost", "uplink_back"]
    late = [record for record in platform.seen.records if record.how == "page"]
    assert late
    assert all(record.message.hist for record in late)


async def test_uplink_down_alarms_come_first_after_it_returns_high_before_low(
    broker: Broker, proxy: Proxy, house: MemoryHouse, start: Start
) -> None:
    platform = await start(make_platform(broker.port))
    link = await start(make_link(house, proxy.port))
    await until(lambda: link.status.state == "up")
    proxy.refuse = True
    proxy.cut()
    await until(lambda: link.status.state != "up")
    for _ in range(30):
        house.keep_summary()
    for name, priority in (("low", Priority.LOW), ("medium", Priority.MEDIUM), ("high", Priority.HIGH)):
        raised = alarm(house.clock, name, priority=priority)
        link.alarm(raised, house.keep("alarm", raised))
    proxy.refuse = False
    await until(lambda: len(platform.seen.of(GW, "summary")) == 30 and len(platform.seen.of(GW, "alarm")) == 3)
    order = [record.message.id if record.stream == "alarm" else "summary" for record in platform.seen.records]
    assert order[:4] == ["a-high", "a-medium", "a-low", "summary"]
    first = platform.seen.records[0].message
    assert isinstance(first, AlarmState)
    assert not first.hist, "an open alarm is news, however late"


async def test_clean_stop_is_said_and_a_lost_gateway_is_told_by_its_will(
    broker: Broker, proxy: Proxy, house: MemoryHouse, start: Start
) -> None:
    platform = await start(make_platform(broker.port))
    link = make_link(house, proxy.port)
    task = asyncio.get_running_loop().create_task(link.run())
    await until(lambda: GW in platform.gateways and platform.gateways[GW].on)
    proxy.refuse = True
    proxy.cut()
    await until(lambda: not platform.gateways[GW].on, seconds=15.0)  # the will waits ten seconds
    assert platform.gateways[GW].state.why == "lost"
    assert platform.gateways[GW].state.boot == house.clock.boot_id
    proxy.refuse = False
    await until(lambda: platform.gateways[GW].on)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: not platform.gateways[GW].on)
    assert platform.gateways[GW].state.why == "stopped"
