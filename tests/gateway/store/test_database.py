"""Opening: damaged files are put aside, newer ones stop the start, old ones are migrated, numbers never go back."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from gateway.core.clock import ManualClock
from gateway.core.errors import StoreError
from gateway.core.model import Stamp
from gateway.store import sqlite
from gateway.store.database import ALARM_STEP, JOURNAL_STEP, Store
from tests.gateway.store.crash import crash
from tests.gateway.store.facts import alarm, event, heart_rate

OLD = Path(__file__).parents[2] / "databases"


async def filled(directory: Path) -> Store:
    """A store with rows in both databases, an upstream with marks, all committed."""
    store = await Store.open(directory, ManualClock())
    store.outbox.register("district")
    for n in range(30):
        store.journal.observation(heart_rate(60 + n))
    await store.alarms.save(alarm(), store.alarms.next_seq())
    store.outbox.live_acked("district", "obs", 10)
    store.outbox.live_acked("district", "alarm", 1)
    await store.flush()
    return store


def scribble(path: Path, offset: int = 0) -> None:
    """Overwrite the file from `offset` on with what no database holds."""
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(offset)
        file.write(b"\xa5" * (size - offset))


@pytest.mark.parametrize("name", ["journal", "alarms"])
@pytest.mark.parametrize("offset", [0, 4096])
async def test_a_damaged_database_is_put_aside_and_the_store_opens(tmp_path: Path, name: str, offset: int) -> None:
    await (await filled(tmp_path)).close()
    scribble(tmp_path / f"{name}.db", offset)
    store = await Store.open(tmp_path, ManualClock())
    (aside,) = tmp_path.glob(f"{name}.db.damaged-20261124T200000Z")
    assert aside.stat().st_size > 0
    (trouble,) = store.findings
    assert trouble.kind == "box_trouble"
    assert trouble.detail["part"] == "store"
    assert trouble.detail["reason"] == "database_damaged"
    assert trouble.detail["put_aside"] == aside.name
    assert await store.journal.observation(heart_rate(60)) > 0
    await store.close()


async def test_a_second_damage_in_the_same_second_keeps_the_first_file(tmp_path: Path) -> None:
    for _ in range(2):
        await (await Store.open(tmp_path, ManualClock())).close()
        scribble(tmp_path / "journal.db")
        await (await Store.open(tmp_path, ManualClock())).close()
    assert len(list(tmp_path.glob("journal.db.damaged-*"))) == 2


async def test_numbers_go_on_above_when_the_journal_is_lost(tmp_path: Path) -> None:
    await (await filled(tmp_path)).close()
    scribble(tmp_path / "journal.db")
    store = await Store.open(tmp_path, ManualClock())
    seq = await store.journal.observation(heart_rate(60))
    assert 30 < seq <= 3 * JOURNAL_STEP
    store.outbox.register("district")
    assert [row.seq for row in await store.outbox.live("district", "obs", 9)] == [seq]
    assert await store.outbox.live("district", "alarm", 9) == []
    await store.close()


async def test_numbers_go_on_above_when_the_alarms_are_lost(tmp_path: Path) -> None:
    await (await filled(tmp_path)).close()
    scribble(tmp_path / "alarms.db")
    store = await Store.open(tmp_path, ManualClock())
    seq = store.alarms.next_seq()
    assert 1 < seq <= 3 * ALARM_STEP
    await store.alarms.save(alarm("b"), seq)
    await store.outbox.link_up("district")
    assert [row.seq for row in await store.outbox.backlog("district", "alarm", 9)] == [seq]
    await store.flush()
    assert any(gap.reason.startswith("database_lost:1-") for gap in await store.journal.gaps(9))
    await store.close()


async def test_numbers_go_on_above_when_both_are_lost(tmp_path: Path) -> None:
    await (await filled(tmp_path)).close()
    for name in ("journal", "alarms"):
        scribble(tmp_path / f"{name}.db")
    store = await Store.open(tmp_path, ManualClock())
    assert store.alarms.next_seq() > 2**50
    assert 2**53 > await store.journal.observation(heart_rate(60)) > 2**50
    await store.close()


async def test_a_plain_restart_never_makes_numbers_jump(tmp_path: Path) -> None:
    for n in range(1, 4):
        store = await Store.open(tmp_path, ManualClock())
        assert await store.journal.observation(heart_rate(60)) == n
        await store.flush()
        await store.close()


@pytest.mark.parametrize("name", ["journal", "alarms"])
async def test_a_newer_database_stops_the_start_with_a_hint_and_is_left_alone(tmp_path: Path, name: str) -> None:
    await (await filled(tmp_path)).close()
    path = tmp_path / f"{name}.db"
    with sqlite3.connect(path) as newer:
        newer.execute("PRAGMA user_version = 999")
    newer.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="schema 999") as refused:
        await Store.open(tmp_path, ManualClock())
    assert "newer carebed" in refused.value.hint
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*.damaged-*"))


async def test_a_second_process_is_kept_out(tmp_path: Path) -> None:
    store = await Store.open(tmp_path, ManualClock())
    with pytest.raises(StoreError, match="in use by another process"):
        await Store.open(tmp_path, ManualClock())
    await store.close()
    await (await Store.open(tmp_path, ManualClock())).close()


async def test_a_state_directory_that_cannot_be_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="state directory"):
        await Store.open(tmp_path / "file" / "state", ManualClock())


async def test_marks_survive_a_crash_once_their_future_has_resolved(tmp_path: Path) -> None:
    store = await filled(tmp_path / "a")
    await store.outbox.link_up("district")
    done = store.outbox.backlog_acked("district", "obs", [11, 13])
    await store.flush()
    assert done.done()
    store = await Store.open(await crash(store, tmp_path / "a", tmp_path / "b"), ManualClock())
    assert [row.seq for row in await store.outbox.backlog("district", "obs", 3)] == [12, 14, 15]
    await store.close()


async def test_opening_closing_and_opening_leaves_no_thread_and_no_lock(tmp_path: Path) -> None:
    import threading

    for _ in range(3):
        await (await Store.open(tmp_path, ManualClock())).close()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("store")]


# -- migrations -----------------------------------------------------------------------------------------------------


def revive(name: str, to: Path) -> None:
    """Make a database from the dump of an old one."""
    dump = (OLD / f"{name}.sql").read_text(encoding="utf-8")
    connection = sqlite3.connect(to)
    connection.executescript(dump)
    connection.close()


async def test_a_journal_of_schema_1_is_migrated_and_opens_twice(tmp_path: Path) -> None:
    revive("journal_001", tmp_path / "journal.db")
    revive("alarms_001", tmp_path / "alarms.db")
    for _ in range(2):
        store = await Store.open(tmp_path, ManualClock(boot_id="0000000f"))
        assert store.findings == ()
        assert (await store.journal.counts())["obs"] == 3
        assert await store.journal.setting("engine") == b"timers"
        assert [one.value for one in await store.journal.observations(9)] == [60.0, 61.0, 62.0]
        (minute,) = await store.journal.minutes("b-7Q4MZ2K9", "heart_rate", None, None, 9)
        assert minute.n == 30
        assert [one.id for one in await store.alarms.open_alarms()] == ["a-1"]
        assert store.outbox.waiting("district") == {"alarm": 2, "obs": 1, "summary": 0, "tech": 3}
        assert store.alarms.next_seq() > 3
        await store.read("journal", lambda db: db.execute("SELECT count(*) FROM bed").fetchone())
        assert await store.utc([Stamp("00000001", 10**12)]) == [1_795_550_400_000_000_000]
        await store.close()


def test_a_migration_that_fails_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    good, bad = (1, "CREATE TABLE a (x);"), (2, "CREATE TABLE b (x); INSERT INTO b VALUES (1); CREATE TABLE a (x);")
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        sqlite.migrate(connection, "x", [good, bad])
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
    assert sqlite.migrate(connection, "x", [good])
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    assert not sqlite.migrate(connection, "x", [good])
    connection.close()


@pytest.mark.parametrize("name", ["journal", "alarms"])
def test_schema_files_are_numbered_without_holes(name: str) -> None:
    assert [number for number, _ in sqlite.schemas(name)] == list(range(1, len(sqlite.schemas(name)) + 1))


# -- reading beside writing -------------------------------------------------------------------------------------------


async def test_reading_never_waits_for_the_writer(tmp_path: Path) -> None:
    import threading

    store = await filled(tmp_path)
    held = threading.Event()
    writing = store.write("journal", lambda db: held.wait(10))
    async with asyncio.timeout(5):
        assert (await store.journal.counts())["obs"] == 30
    assert not writing.done()
    held.set()
    assert await writing
    await store.close()


async def test_the_reader_cannot_write(tmp_path: Path) -> None:
    store = await filled(tmp_path)
    with pytest.raises(StoreError, match="readonly"):
        await store.read("journal", lambda db: db.execute("DELETE FROM obs"))
    await store.close()


async def test_a_failing_transaction_changes_nothing_and_hands_over_its_error(tmp_path: Path) -> None:
    store = await filled(tmp_path)

    def work(db: object) -> None:
        db.execute("DELETE FROM obs")  # type: ignore[attr-defined]
        raise KeyError("on purpose")

    with pytest.raises(KeyError):
        await store.write("journal", work)
    assert (await store.journal.counts())["obs"] == 30
    assert await store.journal.event(event("link_lost")) > 0
    await store.close()


