"""Alarms are committed one by one, their numbers come once, and commands are known before they act."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.core.clock import ManualClock
from gateway.core.model import Delivery, Gap
from gateway.store.database import FileName, Store
from gateway.store.writer import BATCH_ROWS
from tests.gateway.store.crash import crash
from tests.gateway.store.facts import AT, BED, alarm, heart_rate


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path / "state", ManualClock())
    yield opened
    await opened.close()


async def test_a_saved_alarm_is_on_disk_without_any_group(store: Store) -> None:
    waiting = store.journal.observation(heart_rate(60))
    assert await store.alarms.save(alarm(), store.alarms.next_seq()) == 1
    assert await store.alarms.open_alarms() == [alarm()]
    assert not waiting.done()


async def test_an_alarm_waits_for_at_most_one_batch_of_telemetry(store: Store) -> None:
    rows = [store.journal.observation(heart_rate(60)) for _ in range(10 * BATCH_ROWS)]
    await store.alarms.save(alarm(), store.alarms.next_seq())
    assert sum(row.done() for row in rows) <= 2 * BATCH_ROWS
    await store.flush()


async def test_every_commit_of_both_databases_is_synced(store: Store) -> None:
    files: tuple[FileName, FileName] = ("alarms", "journal")
    pragmas = ("synchronous", "journal_mode", "auto_vacuum")
    for file in files:
        asked = store.write(file, lambda db: [db.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas])
        assert await asked == [2, "wal", 2]  # FULL, write-ahead log, incremental auto_vacuum


async def test_open_alarms_are_the_newest_states_that_nobody_closed(store: Store) -> None:
    for one in (alarm("a"), alarm("b"), alarm("a", 2), alarm("b", 2, closed=AT), alarm("c")):
        await store.alarms.save(one, store.alarms.next_seq())
    assert await store.alarms.open_alarms() == [alarm("a", 2), alarm("c")]
    assert [(row.seq, row.body) for row in await store.alarms.open_rows()] == [(3, alarm("a", 2)), (5, alarm("c"))]
    assert await store.alarms.history(2) == [alarm("c"), alarm("b", 2, closed=AT)]
    assert await store.alarms.history(9, bed="b-OTHER000") == []
    assert len(await store.alarms.history(9, bed=BED)) == 3
    assert await store.alarms.alarm("a") == alarm("a", 2)
    assert await store.alarms.alarm("zz") is None
    assert await store.alarms.transitions("a") == [alarm("a"), alarm("a", 2)]


async def test_progress_of_delivery_is_kept_without_a_new_number(store: Store) -> None:
    await store.alarms.save(alarm("a"), store.alarms.next_seq())
    received = replace(alarm("a"), delivery=Delivery.RECEIVED)
    await store.alarms.progress(received)
    await store.alarms.progress(replace(alarm("a", 7), delivery=Delivery.STORED))  # not the newest
    assert await store.alarms.open_alarms() == [received]
    assert await store.alarms.alarm("a") == received
    newest = await store.alarms.newest_row("a")
    assert newest is not None
    assert (newest.seq, newest.body) == (1, received)
    await store.alarms.save(alarm("a", 2), store.alarms.next_seq())
    assert await store.alarms.open_alarms() == [alarm("a", 2)]


async def test_an_older_state_that_is_stored_late_does_not_replace_the_newer(store: Store) -> None:
    first, second = store.alarms.next_seq(), store.alarms.next_seq()
    await store.alarms.save(alarm("a", 2, closed=AT), second)
    await store.alarms.save(alarm("a", 1), first)
    assert await store.alarms.open_alarms() == []
    assert [row.seq for row in await store.outbox.range("alarm", 0, 9)] == [1, 2]


async def test_numbers_go_on_after_a_clean_stop_without_a_hole(tmp_path: Path) -> None:
    for expected in (1, 2, 3):
        store = await Store.open(tmp_path, ManualClock())
        seq = store.alarms.next_seq()
        assert seq == expected
        await store.alarms.save(alarm(f"a-{seq}"), seq)
        await store.close()
    store = await Store.open(tmp_path, ManualClock())
    await store.flush()
    assert await store.journal.gaps(9) == []
    await store.close()


async def test_numbers_that_were_given_out_never_come_again_after_a_crash(store: Store, tmp_path: Path) -> None:
    await store.alarms.save(alarm(), store.alarms.next_seq())
    await store.flush()
    given = [store.alarms.next_seq() for _ in range(100)]  # published within 200 ms, and then the power goes
    again = await Store.open(await crash(store, tmp_path / "state", tmp_path / "after"), ManualClock())
    assert again.alarms.next_seq() > max(given)
    await again.flush()
    (burnt,) = await again.journal.gaps(9)
    assert burnt == Gap("alarm", "numbers_unused:2-256", AT, 255)
    again.outbox.register("district")
    await again.outbox.link_up("district")
    assert [row.seq for row in await again.outbox.backlog("district", "alarm", 500)] == [1]
    assert again.outbox.waiting("district")["alarm"] == 1
    await again.close()


async def test_thousands_of_numbers_can_be_drawn_and_saved(store: Store) -> None:
    futures = [store.alarms.save(alarm(f"a-{n}"), store.alarms.next_seq()) for n in range(1000)]
    assert [await future for future in futures] == list(range(1, 1001))


async def test_a_number_cannot_hold_two_transitions(store: Store) -> None:
    seq = store.alarms.next_seq()
    await store.alarms.save(alarm("a"), seq)
    assert await store.alarms.save(alarm("a"), seq) == seq
    with pytest.raises(ValueError, match="holds another transition"):
        await store.alarms.save(alarm("b"), seq)


async def test_a_transition_that_can_never_be_stored_is_a_gap_and_a_line_in_the_journal(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    seq = store.alarms.next_seq()
    await store.alarms.save(alarm("a"), seq)
    refused = store.alarms.save(alarm("b"), seq)
    with pytest.raises(ValueError, match="holds another transition"):
        await refused
    await store.flush()
    assert await store.journal.gaps(9) == [Gap("alarm", "not_stored:1", AT, 1, BED)]
    assert "alarm b rev 1, number 1, cannot be stored" in caplog.text


async def test_a_command_is_new_once_and_then_gives_its_answer(tmp_path: Path) -> None:
    store = await Store.open(tmp_path, ManualClock())
    first = await store.alarms.command("district:01", "alarm.ack", b"body")
    assert (first.new, first.answer) == (True, None)
    assert not (await store.alarms.command("district:01", "alarm.ack", b"other")).new
    await store.alarms.answer("district:01", b"200")
    await store.close()
    store = await Store.open(tmp_path, ManualClock())
    again = await store.alarms.command("district:01", "alarm.ack", b"body")
    assert (again.new, again.payload, again.answer) == (False, b"body", b"200")
    assert await store.alarms.answered("district:01") == b"200"
    assert await store.alarms.answered("district:02") is None
    await store.alarms.answer("district:02", b"404")
    assert await store.alarms.answered("district:02") == b"404"
    await store.close()
