"""A full disk: told once, counted, and over by itself when there is room; alarms are kept until they are stored."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.core.clock import ManualClock, SystemClock, within
from gateway.core.errors import StoreError
from gateway.core.model import Gap, Minute
from gateway.store import alarms as alarm_store
from gateway.store.database import Store
from tests.gateway.store.facts import AT, BED, alarm, gap, heart_rate, minute

TMPFS_KB = 4096


class Told:
    """What the daemon would hear."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def trouble(self, reason: str) -> None:
        self.heard.append(reason)

    def recovered(self) -> None:
        self.heard.append("recovered")


async def eventually(ready: Callable[[], bool]) -> None:
    assert await within(SystemClock(), 10.0, ready), "did not happen within 10 s"


def limit(pages: int) -> Callable[[Any], object]:
    """Let the database grow by no more than `pages`: SQLite then says SQLITE_FULL as on a full disk."""

    def work(db: Any) -> object:
        present = db.execute("PRAGMA page_count").fetchone()[0]
        return db.execute(f"PRAGMA max_page_count = {present + pages}").fetchone()

    return work


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
async def store(tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    monkeypatch.setattr(alarm_store, "RETRY_S", 0.05)
    opened = await Store.open(
        tmp_path, ManualClock(), group_s=0.2, on_trouble=told.trouble, on_recovered=told.recovered
    )
    opened.outbox.register("district")
    await opened.flush()
    yield opened
    await opened.close()


async def test_rows_that_find_no_room_fail_and_become_one_gap_when_there_is_room(store: Store, told: Told) -> None:
    await store.write("journal", limit(0))
    lost = [store.journal.bed_minute(BED, AT, many_minutes()) for _ in range(40)]
    await store.flush()
    assert {type(future.exception()) for future in lost} == {StoreError}
    assert told.heard == ["disk_full"]
    await store.write("journal", limit(1000))
    await eventually(lambda: told.heard == ["disk_full", "recovered"])
    assert await store.journal.observation(heart_rate(60)) == 1
    assert await store.journal.gaps(9) == [Gap("summary", "disk_full", AT, 40, BED)]


async def test_the_error_says_what_to_do(store: Store) -> None:
    await store.write("journal", limit(0))
    future = store.journal.bed_minute(BED, AT, many_minutes())
    futures = [future, *(store.journal.bed_minute(BED, AT, many_minutes()) for _ in range(40))]
    await store.flush()
    error = futures[0].exception()
    assert isinstance(error, StoreError)
    assert "disk_full" in str(error)
    assert "free space" in error.hint


async def test_a_gap_that_finds_no_room_is_not_lost_itself(store: Store) -> None:
    await store.write("journal", limit(0))
    filler = [store.journal.bed_minute(BED, AT, many_minutes()) for _ in range(40)]
    gone = [store.journal.gap(gap(5)), store.journal.gap(gap(7))]
    await store.flush()
    assert all(isinstance(future.exception(), StoreError) for future in [*filler, *gone])
    await store.write("journal", limit(1000))
    await store.flush()
    await store.flush()
    assert gap(12) in await store.journal.gaps(9)


async def test_marks_that_find_no_room_are_right_at_once_and_written_later(store: Store, tmp_path: Path) -> None:
    for _ in range(5):
        store.journal.observation(heart_rate(60))
    await store.flush()
    await store.write("journal", limit(0))
    filler = [store.journal.bed_minute(BED, AT, many_minutes()) for _ in range(40)]
    acked = store.outbox.live_acked("district", "obs", 4)
    await store.flush()
    assert filler[0].exception()
    assert isinstance(acked.exception(), StoreError)
    assert [row.seq for row in await store.outbox.live("district", "obs", 9)] == [5]
    await store.write("journal", limit(1000))
    await store.flush()
    await store.flush()
    sql = "SELECT live FROM mark WHERE upstream = 'district' AND stream = 'obs'"
    assert await store.read("journal", lambda db: db.execute(sql).fetchone()[0]) == 4


async def test_an_alarm_that_finds_no_room_is_stored_when_there_is(store: Store, told: Told) -> None:
    await store.write("alarms", limit(0))
    refused, number = await fill_alarms(store)
    assert told.heard == ["disk_full"]
    assert store.alarms.unsaved == len(refused)
    store.outbox.live_acked("district", "alarm", number)
    await store.write("alarms", limit(1000))
    await eventually(lambda: store.alarms.unsaved == 0)
    assert told.heard == ["disk_full", "recovered"]
    assert len(await store.alarms.open_alarms()) == number
    missed = await store.outbox.backlog("district", "alarm", 999)
    assert [row.seq for row in missed] == refused  # those that came late wait for the platform once more


async def test_alarms_go_on_while_the_journal_has_no_room(store: Store) -> None:
    await store.write("journal", limit(0))
    filler = [store.journal.bed_minute(BED, AT, many_minutes()) for _ in range(40)]
    await store.flush()
    assert filler[0].exception()
    assert await store.alarms.save(alarm(), store.alarms.next_seq()) == 1


async def fill_alarms(store: Store) -> tuple[list[int], int]:
    """Save alarms until several were refused: (their numbers, the last number drawn)."""
    refused: list[int] = []
    seq = 0
    while len(refused) < 5:
        seq = store.alarms.next_seq()
        future = store.alarms.save(alarm(f"a-{seq}"), seq)
        await asyncio.wait((future,))
        if future.exception():
            refused.append(seq)
    return refused, seq


def many_minutes() -> list[Minute]:
    """More than fits the free space of a page, so that a limit of no page is met at once."""
    return [minute(quantity=f"quantity-{n}") for n in range(40)]


# -- a file system that is really full --------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 4 MB. Mounting needs CAP_SYS_ADMIN; the reason is printed where it is refused."""
    mount = tmp_path / "disk"
    mount.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={TMPFS_KB}k", "tmpfs", str(mount)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"no small file system can be mounted as uid {os.getuid()}: {done.stderr.strip()}")
    yield mount
    subprocess.run(["umount", "--lazy", str(mount)], check=True)  # a failing test may still hold it


async def test_a_really_full_disk_is_survived_and_recovers_by_itself(small_disk: Path, told: Told) -> None:
    ballast = small_disk / "ballast"
    store = await Store.open(
        small_disk / "state", ManualClock(), group_s=0.2, on_trouble=told.trouble, on_recovered=told.recovered
    )
    kept, lost = 0, 0
    ballast.write_bytes(b"x" * 3_000_000)
    while not told.heard:
        futures = [store.journal.observation(heart_rate(60 + n)) for n in range(200)]
        await store.flush()
        kept += sum(future.exception() is None for future in futures)
        lost += sum(future.exception() is not None for future in futures)
    assert told.heard == ["disk_full"]
    ballast.unlink()
    await eventually(lambda: told.heard == ["disk_full", "recovered"])
    assert await store.journal.observation(heart_rate(1)) == kept + 1
    assert sum(one.lost for one in await store.journal.gaps(9)) == lost
    await store.close()
    store = await Store.open(small_disk / "state", ManualClock())
    assert store.findings == ()
    assert (await store.journal.counts())["obs"] == kept + 1
    await store.close()


async def test_a_store_on_a_full_disk_closes_and_opens_again(small_disk: Path, told: Told) -> None:
    store = await Store.open(small_disk / "state", ManualClock(), on_trouble=told.trouble)
    assert await store.journal.observation(heart_rate(1)) == 1
    fill(small_disk / "ballast")
    lost = [store.journal.bed_minute(BED, AT, many_minutes()) for _ in range(40)]
    await store.close()
    assert {type(future.exception()) for future in lost} == {StoreError}
    assert told.heard == ["disk_full"]
    (small_disk / "ballast").unlink()
    store = await Store.open(small_disk / "state", ManualClock())
    assert (await store.journal.counts())["obs"] == 1
    await store.close()


async def test_what_a_full_disk_refuses_to_the_end_is_named_in_the_last_line(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = await Store.open(small_disk / "state", ManualClock())
    fill(small_disk / "ballast")
    refused, _ = await fill_alarms(store)
    lost = [store.journal.bed_minute(BED, AT, many_minutes()) for _ in range(40)]
    await store.close()
    assert {type(future.exception()) for future in lost} == {StoreError}
    (last,) = [record.getMessage() for record in caplog.records if record.levelname == "CRITICAL"]
    assert "40 of summary" in last
    assert f"{len(refused)} transitions of alarms" in last
    assert "free space" in last


async def test_opening_on_a_full_disk_says_so(small_disk: Path) -> None:
    fill(small_disk / "ballast")
    with pytest.raises(StoreError) as refused:
        await Store.open(small_disk / "state", ManualClock())
    assert "free space" in refused.value.hint


def fill(path: Path) -> None:
    """Take what room there is."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return
