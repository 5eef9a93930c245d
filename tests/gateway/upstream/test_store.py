"""The link over the real store: cut, restart of the box, and a pull, with every row exactly once."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from gateway.core.clock import SystemClock
from gateway.core.model import Alarm, Event, Measurement
from gateway.store.database import Store
from gateway.upstream.ports import House, Row
from gateway.upstream.translate import message_of
from tests.broker import Broker
from tests.gateway.upstream.conftest import GW, Start, make_link, make_platform, until
from tests.gateway.upstream.house import BED, MemoryHouse, alarm, summary
from tests.proxy import Proxy

pytestmark = pytest.mark.system


class StoreHouse(MemoryHouse):
    """The small house with its rows in the real store."""

    def __init__(self, store: Store, clock: SystemClock) -> None:
        super().__init__(clock)
        self.store = store
        self.port = House(
            clock=clock,
            outbox=store.outbox,
            reader=self,
            asks=self,
            replies=self,
            when=self.when,
            on_event=lambda event: None,
        )

    async def open_alarms(self) -> Sequence[Row]:
        return await self.store.alarms.open_rows()

    async def fill(self, minutes: int, readings: int = 0) -> None:
        """Bed minutes, readings and events, committed."""
        now = self.clock.now()
        written = [self.store.journal.bed_minute(BED, now, summary(now, self.random)) for _ in range(minutes)]
        for number in range(readings):
            reading = Measurement(BED, "kiosk", "systolic", 120.0 + number, "mm[Hg]", self.clock.now())
            written.append(self.store.journal.observation(reading))
            written.append(self.store.journal.event(Event("sos_pressed", self.clock.now(), BED, "btn-1")))
            written.append(self.store.journal.event(Event("link_lost", self.clock.now(), device="belt-1")))
        await self.store.flush()
        await asyncio.gather(*written)


@pytest.fixture
async def stored(tmp_path: Path) -> AsyncIterator[StoreHouse]:
    clock = SystemClock()
    store = await Store.open(tmp_path, clock, group_s=0.02)
    store.journal.anchor(clock.anchor())
    yield StoreHouse(store, clock)
    await store.close()


async def test_every_row_of_the_store_arrives_once_over_a_cut(
    broker: Broker, proxy: Proxy, stored: StoreHouse, start: Start
) -> None:
    platform = await start(make_platform(broker.port))
    link = make_link(stored, proxy.port)
    stored.store.outbox.register("district")
    stored.store.outbox.watch(lambda _: link.rows_ready())
    await start(link)
    await until(lambda: link.status.state == "up")
    proxy.cut_after = 30_000
    await stored.fill(120, readings=20)
    await until(lambda: proxy.cuts == 1)
    await stored.fill(60, readings=5)
    streams = {"summary": 180, "obs": 50, "tech": 25}
    await until(lambda: all(len(platform.seen.of(GW, stream)) == count for stream, count in streams.items()), 20.0)
    for stream, count in streams.items():
        assert platform.seen.of(GW, stream).missing(1, count) == []
    await until(lambda: not any(stored.store.outbox.waiting("district").values()))


async def test_an_alarm_published_before_its_commit_is_not_sent_again_after_it(
    broker: Broker, stored: StoreHouse, start: Start
) -> None:
    platform = await start(make_platform(broker.port))
    link = await start(make_link(stored, broker.port))
    await until(lambda: link.status.state == "up")
    raised = alarm(stored.clock)
    seq = stored.store.alarms.next_seq()
    link.alarm(raised, seq)
    await until(lambda: ("published", raised.id, 1) in stored.calls)
    await stored.store.alarms.save(raised, seq)
    link.rows_ready()
    await asyncio.sleep(0.2)
    assert platform.seen.duplicates == {}
    assert stored.store.outbox.waiting("district")["alarm"] == 0


async def test_a_box_that_was_switched_off_sends_what_it_kept_and_its_open_alarm_first(
    broker: Broker, tmp_path: Path, start: Start
) -> None:
    clock = SystemClock()
    before = await Store.open(tmp_path, clock, group_s=0.02)
    before.outbox.register("district")
    house = StoreHouse(before, clock)
    await house.fill(50)
    raised = alarm(clock)
    await before.alarms.save(raised, before.alarms.next_seq())
    await before.close()

    after = await Store.open(tmp_path, clock, group_s=0.02)
    platform = await start(make_platform(broker.port))
    await start(make_link(StoreHouse(after, clock), broker.port))
    await until(lambda: len(platform.seen.of(GW, "summary")) == 50)
    first = platform.seen.records[0]
    assert (first.stream, first.how, first.message.hist) == ("alarm", "live", False)
    assert platform.seen.duplicates == {}
    await after.close()


async def test_a_pull_from_the_store_is_verified_and_agrees_with_what_was_pushed(
    broker: Broker, stored: StoreHouse, start: Start
) -> None:
    await stored.fill(300, readings=10)
    platform = await start(make_platform(broker.port))
    await start(make_link(stored, broker.port))
    await until(lambda: len(platform.seen.of(GW, "summary")) == 300)
    pushed = {record.message.seq: record.message for record in platform.seen.records if record.stream == "summary"}
    pulled = await platform.pull(GW, "summaries.read", {"bed": BED}, credit=2)
    assert pulled.verified
    assert {row.seq: row for row in pulled.rows} == pushed
    observations = await platform.pull(GW, "obs.read")
    assert observations.verified
    assert len(observations.rows) == 20, "readings and events about a person"


async def test_an_alarm_row_of_the_store_has_a_wire_form(stored: StoreHouse) -> None:
    raised = alarm(stored.clock)
    await stored.store.alarms.save(raised, stored.store.alarms.next_seq())
    (row,) = await stored.store.alarms.open_rows()
    assert isinstance(row.body, Alarm)
    assert message_of(row, stored.when).seq == row.seq
