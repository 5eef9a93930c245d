"""What goes into the journal comes out of it, numbered in the order of its commit."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.core.clock import Anchor, ManualClock
from gateway.core.errors import StoreError
from gateway.core.model import Gap, Stamp
from gateway.store import writer
from gateway.store.database import Store
from tests.gateway.store.facts import AT, BED, alarm, event, gap, heart_rate, minute


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path, ManualClock())
    yield opened
    await opened.close()


async def test_futures_carry_numbers_in_the_order_of_writing(store: Store) -> None:
    futures = [store.journal.observation(heart_rate(60 + n)) for n in range(50)]
    await store.flush()
    assert [future.result() for future in futures] == list(range(1, 51))


async def test_a_group_is_committed_without_being_asked(store: Store) -> None:
    async with asyncio.timeout(5):
        assert await store.journal.event(event("link_lost")) == 1


async def test_a_future_is_not_resolved_before_the_commit(store: Store) -> None:
    future = store.journal.observation(heart_rate(60))
    assert (await store.journal.counts())["obs"] == 0
    assert not future.done()
    await store.flush()
    assert future.done()
    assert (await store.journal.counts())["obs"] == 1


async def test_minutes_of_a_bed_come_back_by_quantity_and_time(store: Store) -> None:
    store.journal.anchor(Anchor("00000001", 0, 10**18, 1, "ntp"))
    starts = [AT.plus_s(60 * n) for n in range(5)]
    for start in starts:
        store.journal.bed_minute(BED, start, [minute(start), minute(start, "movement")])
        store.journal.bed_minute("b-OTHER000", start, [minute(start, bed="b-OTHER000")])
    await store.flush()
    found = await store.journal.minutes(BED, "heart_rate", starts[1], starts[4], 10)
    assert [one.start for one in found] == starts[1:4]
    assert {one.bed for one in found} == {BED}
    newest = await store.journal.minutes(BED, "movement", None, None, 2)
    assert [one.start for one in newest] == starts[3:]


async def test_a_chart_reaches_across_a_restart_of_the_box(store: Store) -> None:
    store.journal.anchor(Anchor("000000aa", 0, 1_000 * 10**9, 1, "ntp"))
    store.journal.anchor(Anchor("000000bb", 0, 2_000 * 10**9, 1, "ntp"))
    before, after = Stamp("000000aa", 900 * 10**9), Stamp("000000bb", 60 * 10**9)
    for start in (before, after):
        store.journal.bed_minute(BED, start, [minute(start)])
    await store.flush()
    now = after.plus_s(60)
    assert [one.start for one in await store.journal.minutes(BED, "heart_rate", now.plus_s(-600), now, 9)] == [
        before, after,
    ]  # fmt: skip
    assert [one.start for one in await store.journal.minutes(BED, "heart_rate", now.plus_s(-90), now, 9)] == [after]


async def test_utc_of_a_stamp_is_known_for_every_boot_that_left_an_anchor(tmp_path: Path) -> None:
    store = await Store.open(tmp_path, ManualClock())
    store.journal.anchor(Anchor("000000aa", 0, 1_000, 1, "ntp"))
    await store.close()
    store = await Store.open(tmp_path, ManualClock())
    assert await store.utc([Stamp("000000aa", 5), Stamp("000000cc", 5)]) == [1_005, None]
    await store.close()


async def test_events_are_filed_by_whom_they_concern(store: Store) -> None:
    store.journal.event(event("sos_pressed"))
    store.journal.event(event("link_lost", AT.plus_s(1)))
    store.journal.gap(gap())
    await store.flush()
    assert [row.body for row in await store.outbox.range("obs", 0, 9)] == [event("sos_pressed")]
    assert [row.body for row in await store.outbox.range("tech", 0, 9)] == [event("link_lost", AT.plus_s(1)), gap()]
    assert [one.kind for one in await store.journal.events(9)] == ["sos_pressed", "link_lost"]
    assert await store.journal.gaps(9, bed=BED) == [gap()]
    assert await store.journal.gaps(9, bed="b-OTHER000") == []


async def test_rejected_bytes_are_counted_and_the_last_few_kept(store: Store) -> None:
    for n in range(20):
        store.journal.rejected("belt-1", "crc", bytes([n]), 2)
    store.journal.rejected("belt-2", "short", b"x" * 9999, 1)
    await store.flush()
    crc, short = await store.journal.rejections()
    assert (crc.device, crc.count) == ("belt-1", 40)
    assert crc.raw == tuple(bytes([n]) for n in range(19, 11, -1))
    assert len(short.raw[0]) == 256
    assert (await store.journal.counts())["rejected"] == 41


async def test_settings_are_kept_with_a_revision(tmp_path: Path) -> None:
    store = await Store.open(tmp_path, ManualClock())
    assert await store.journal.setting("engine") is None
    store.journal.set_setting("engine", b"one")
    store.journal.set_setting("engine", b"")
    await store.close()
    store = await Store.open(tmp_path, ManualClock())
    assert await store.journal.setting_rev("engine") == (2, b"")
    await store.close()


async def test_a_full_queue_drops_the_oldest_and_says_how_many(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MAX_ROWS", 10)
    futures = [store.journal.observation(heart_rate(60 + n)) for n in range(25)]
    alarm_future = store.alarms.save(alarm(), store.alarms.next_seq())
    await store.flush()
    await store.flush()
    assert [future.exception() is None for future in futures] == [False] * 15 + [True] * 10
    assert isinstance(futures[0].exception(), StoreError)
    assert await store.journal.gaps(9) == [Gap("obs", "queue_full", AT, 15, BED)]
    assert [row.seq for row in await store.outbox.range("obs", 0, 99)] == list(range(1, 11))
    assert await alarm_future == 1


async def test_a_caller_who_stops_waiting_loses_nothing(store: Store) -> None:
    future = store.journal.observation(heart_rate(60))
    future.cancel()
    await store.flush()
    assert (await store.journal.counts())["obs"] == 1


async def test_writing_after_close_is_refused(tmp_path: Path) -> None:
    store = await Store.open(tmp_path, ManualClock())
    await store.close()
    with pytest.raises(StoreError, match="closed"):
        await store.journal.observation(heart_rate(60))


async def test_close_commits_what_is_still_waiting(tmp_path: Path) -> None:
    store = await Store.open(tmp_path, ManualClock())
    futures = [store.journal.observation(replace(heart_rate(60), value=float(n))) for n in range(2500)]
    await store.close()
    assert [future.result() for future in futures] == list(range(1, 2501))
    store = await Store.open(tmp_path, ManualClock())
    assert (await store.journal.counts())["obs"] == 2500
    assert await store.journal.observation(heart_rate(1)) == 2501
    await store.close()
