"""After the night: a process of its own, once for each bed, with a bound on time, and what it tells is kept."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gateway.core.clock import ManualClock
from gateway.core.model import Minute, Stamp
from gateway.core.night import Night, NightTask, decode_nights, encode_task
from gateway.night_process import EXIT_DATA, EXIT_SOFTWARE
from gateway.nightly import COMMAND, LOOK_S, SETTING, TRIES, Nightly
from gateway.store.database import Store

SHANGHAI = ZoneInfo("Asia/Shanghai")
EVENING = datetime(2026, 3, 1, 11, 0, tzinfo=UTC)  # 19:00 in Shanghai
MORNING_S = 14 * 3600.0
NIGHT = "2026-03-02"


@dataclass(frozen=True)
class Bed:
    id: str
    resident: str | None = None


BEDS = (Bed("b-1", "r-1"), Bed("b-2"))


@pytest.fixture
async def clock() -> ManualClock:
    return ManualClock(utc=EVENING)


@pytest.fixture
async def store(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path, clock, group_s=0.01)
    opened.journal.anchor(clock.anchor())
    yield opened
    await opened.close()


class Told(list[Night]):
    """What was told, with a way to make the one who tells."""

    def nightly(
        self, clock: ManualClock, store: Store, *, command: tuple[str, ...] = COMMAND, patience_s: float = 60.0
    ) -> Nightly:
        books = store.journal
        return Nightly(
            clock, SHANGHAI, BEDS, books, store.utc, on_night=self.append, command=command, patience_s=patience_s
        )


async def slept(clock: ManualClock, store: Store, bed: str = "b-1", hours: float = 8.0) -> None:
    """From 22:00 on: in bed, breathing at 14 /min, out for five minutes after three hours."""
    start = clock.now().plus_s(3 * 3600.0)
    for minute in range(round(60 * hours)):
        out = 180 <= minute < 185
        at = start.plus_s(60.0 * minute)
        values = {"bed_occupied": 0.0 if out else 1.0} | ({} if out else {"respiration_rate": 14.0, "movement": 0.0})
        store.journal.bed_minute(bed, at, [one_minute(bed, name, at, value) for name, value in values.items()])
    await store.flush()


def one_minute(bed: str, quantity: str, at: Stamp, value: float) -> Minute:
    return Minute(bed, quantity, at, 60, value, value, value, 1.0, np.full(60, value, np.float32))


async def test_a_night_is_summed_up_once_in_the_morning_and_kept(clock: ManualClock, store: Store) -> None:
    told = Told()
    nightly = told.nightly(clock, store)
    await nightly.load()
    await slept(clock, store)
    await clock.advance(MORNING_S - 60)
    await nightly.look()
    assert told == []
    await clock.advance(900)
    await nightly.look()
    await nightly.look()
    [night] = told
    assert (night.bed, night.resident, night.date) == ("b-1", "r-1", NIGHT)
    assert night.in_bed_min == pytest.approx(475.0, abs=3.0)
    assert [each.away_s for each in night.exits] == [300]
    assert night.respiration is not None
    assert night.respiration.median == 14.0
    assert night.respiration.coverage == pytest.approx(1.0, abs=0.01)
    await store.flush()
    assert decode_nights(await store.journal.setting(SETTING + "b-1") or b"") == [night]


async def test_a_daemon_that_starts_again_tells_the_known_night_and_does_not_ask_anew(
    clock: ManualClock, store: Store
) -> None:
    first, second = Told(), Told()
    await slept(clock, store)
    await clock.advance(MORNING_S + 900)
    await first.nightly(clock, store).look()
    await store.flush()
    nightly = second.nightly(clock, store, command=("false",))
    await nightly.load()
    await nightly.look()
    assert second == first
    assert len(second) == 1


async def test_a_bed_that_measured_nothing_starts_no_process(clock: ManualClock, store: Store) -> None:
    told = Told()
    await clock.advance(MORNING_S + 900)
    await told.nightly(clock, store, command=("/nonexistent",)).look()
    assert told == []


async def test_a_process_that_hangs_is_killed_with_a_reason_and_started_again_at_the_next_look(
    clock: ManualClock, store: Store, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    told = Told()
    pid = tmp_path / "pid"
    script = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    nightly = told.nightly(clock, store, command=(sys.executable, "-c", script), patience_s=1.0)
    await slept(clock, store)
    await clock.advance(MORNING_S + 900)
    for _ in range(TRIES + 2):
        await nightly.look()
    reasons = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(reasons) == TRIES
    assert reasons[0].startswith("night of b-1, try 1 of 3: killed: no answer within 1 s")
    assert told == []
    assert not Path(f"/proc/{pid.read_text()}").exists()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("import sys; sys.stdin.read(); print('no memory', file=sys.stderr); sys.exit(70)", "exit code 70: no memory"),
        ("import sys; sys.stdin.buffer.read(); print('[]')", "its answer is no night"),
        ("import sys; sys.stdin.buffer.read(); print('nonsense')", "its answer is no night"),
    ],
)
async def test_a_process_that_fails_costs_only_its_own_bed(
    clock: ManualClock, store: Store, caplog: pytest.LogCaptureFixture, script: str, reason: str
) -> None:
    told = Told()
    await slept(clock, store)
    await slept(clock, store, "b-2")
    await clock.advance(MORNING_S + 900)
    await told.nightly(clock, store, command=(sys.executable, "-c", script)).look()
    assert [reason in record.getMessage() for record in caplog.records] == [True, True]
    await told.nightly(clock, store).look()
    assert {night.bed for night in told} == {"b-1", "b-2"}


async def test_a_box_that_has_never_been_set_tells_no_night(store: Store) -> None:
    told = Told()
    await told.nightly(ManualClock(utc=datetime(1970, 1, 2, 3, 0, tzinfo=UTC)), store).look()
    assert told == []


async def test_damaged_nights_begin_anew(clock: ManualClock, store: Store) -> None:
    told = Told()
    await store.journal.set_setting(SETTING + "b-1", b'[{"bed"')
    nightly = told.nightly(clock, store)
    await nightly.load()
    await slept(clock, store)
    await clock.advance(MORNING_S + 900)
    await nightly.look()
    assert len(told) == 1


async def test_it_looks_again_and_again_and_ends_when_told(clock: ManualClock, store: Store) -> None:
    told = Told()
    await slept(clock, store)
    await clock.advance(MORNING_S)
    running = asyncio.create_task(told.nightly(clock, store).run())
    async with asyncio.timeout(30):
        while not told:
            await clock.advance(LOOK_S)
            await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert told[0].date == NIGHT


async def test_a_process_that_would_need_more_memory_than_it_may_ends_with_its_reason() -> None:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    task = NightTask("b-1", None, NIGHT, 0, 10**7, {}, [])
    answer, words = await process.communicate(encode_task(task))
    assert (process.returncode, answer) == (EXIT_SOFTWARE, b"")
    assert b"more than 128 MB" in words


async def test_the_process_steps_back_and_refuses_what_is_no_task() -> None:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    before = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[16]
    nice = before
    async with asyncio.timeout(30):
        while nice == before:
            nice = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[16]
            await asyncio.sleep(0.01)
    assert int(nice) == min(19, int(before) + 15)
    answer, words = await process.communicate(b"\x93\x01")
    assert (process.returncode, answer) == (EXIT_DATA, b"")
    assert b"the task cannot be read" in words
