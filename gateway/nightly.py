"""Once after each night: every bed's minutes to a process of its own, what it tells to the store and to who reads.

The night is 19:00 to 09:00 of the site's clock, whatever the clock change does. Beds come one after another, so that a
box is never busy with more than one; a process that fails or takes longer than PATIENCE_S is killed with its reason in
the log and started again at the next look, at most TRIES times a night. A box that was off in the morning does it when
it is back; older nights than the last one are left out, and so is a night in which a bed measured nothing.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from gateway.core.clock import Clock
from gateway.core.errors import WorkerError
from gateway.core.model import Minute, Stamp
from gateway.core.night import SECONDS, Night, NightTask, decode_nights, encode_nights, encode_task

log = logging.getLogger(__name__)

EVENING, MORNING = time(19), time(9)
SETTLED = timedelta(minutes=10)  # after MORNING: minutes of a worker that had fallen behind are in
LOOK_S = 300.0
FIRST_LOOK_S = 60.0  # a box that starts has more urgent things to do
PATIENCE_S = 120.0  # real time; the process is niced and the box may be busy
TRIES = 3
SET_SINCE_NS = 1_735_689_600 * 10**9  # 2025: a box without battery starts in 1970
KEPT = 36  # nights of each bed: a week, four before it, and one
QUANTITIES = ("bed_occupied", "movement", "turned", "heart_rate", "respiration_rate", "breathing_pause")
COMMAND = (sys.executable, "-m", "gateway.night_process")
FRUGAL = {"OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
SETTING = "night."


class Bed(Protocol):
    """A bed as the registry has it."""

    @property
    def id(self) -> str: ...
    @property
    def resident(self) -> str | None: ...


class Books(Protocol):
    """What is asked of the store's journal."""

    async def minutes(
        self, bed: str, quantity: str, from_: Stamp | None, to: Stamp | None, limit: int
    ) -> Sequence[Minute]: ...
    async def setting(self, key: str) -> bytes | None: ...
    def set_setting(self, key: str, value: bytes) -> asyncio.Future[int]: ...


Utc = Callable[[Sequence[Stamp]], Awaitable[Sequence[int | None]]]


class Nightly:
    """Keeps the nights of all beds; `run` is a part of the box. known: by bed, oldest first."""

    def __init__(
        self,
        clock: Clock,
        zone: ZoneInfo,
        beds: Sequence[Bed],
        books: Books,
        utc: Utc,
        *,
        on_night: Callable[[Night], None],
        command: Sequence[str] = COMMAND,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """utc: ns since 1970 of stamps, as the store says. on_night is told each night, those of the past at start."""
        self._clock, self._zone, self._beds, self._books, self._utc = clock, zone, beds, books, utc
        self._on_night, self._command, self._patience_s = on_night, tuple(command), patience_s
        self._known: dict[str, list[Night]] = {}
        self._tries: dict[tuple[str, str], int] = {}

    async def run(self) -> None:
        """Until cancelled."""
        await self.load()
        await self._clock.sleep(FIRST_LOOK_S)
        while True:
            await self.look()
            await self._clock.sleep(LOOK_S)

    async def load(self) -> None:
        """What earlier lives of the daemon have kept."""
        for bed in self._beds:
            stored = await self._books.setting(SETTING + bed.id)
            try:
                self._known[bed.id] = decode_nights(stored) if stored else []
            except msgspec.MsgspecError as error:
                log.error("the nights of %s cannot be read and begin anew: %s", bed.id, error)
                self._known[bed.id] = []
            if self._known[bed.id]:
                self._on_night(self._known[bed.id][-1])

    async def look(self) -> None:
        """Sum up the last night of every bed that has not been; nothing while the clock has surely not been set."""
        if self._clock.anchor().utc_ns < SET_SINCE_NS:
            return
        morning = self._last_morning()
        day = morning.isoformat()
        self._tries = {key: count for key, count in self._tries.items() if key[1] == day}
        for bed in self._beds:
            known = self._known.setdefault(bed.id, [])
            if (known and known[-1].date >= day) or self._tries.get((bed.id, day), 0) >= TRIES:
                continue
            task = await self._task(bed, morning)
            if not task.columns:
                self._tries[bed.id, day] = TRIES
            elif (night := await self._tried(task)) is not None:
                self._known[bed.id] = [*known, night][-KEPT:]
                self._books.set_setting(SETTING + bed.id, encode_nights(self._known[bed.id]))
                self._on_night(night)

    async def _tried(self, task: NightTask) -> Night | None:
        """The night, or None with the reason in the log."""
        number = self._tries.get((task.bed, task.date), 0) + 1
        self._tries[task.bed, task.date] = number
        try:
            answer = await self._ask(encode_task(task))
            [night] = decode_nights(answer)
        except WorkerError as error:
            log.warning("night of %s, try %d of %d: %s (%s)", task.bed, number, TRIES, error, error.hint)
            return None
        except (msgspec.MsgspecError, ValueError) as error:
            log.warning("night of %s, try %d of %d: its answer is no night: %s", task.bed, number, TRIES, error)
            return None
        return night

    def _last_morning(self) -> date:
        """The day on which the last whole night ended."""
        anchor = self._clock.anchor()
        now = datetime.fromtimestamp(anchor.utc_ns_of(self._clock.now()) / 1e9, tz=UTC).astimezone(self._zone)
        settled = datetime.combine(now.date(), MORNING, self._zone) + SETTLED
        return now.date() if now >= settled else now.date() - timedelta(days=1)

    async def _task(self, bed: Bed, morning: date) -> NightTask:
        start = datetime.combine(morning - timedelta(days=1), EVENING, self._zone).astimezone(UTC)
        end = datetime.combine(morning, MORNING, self._zone).astimezone(UTC)
        start_s, minutes = int(start.timestamp()), int((end - start).total_seconds()) // SECONDS
        columns = {}
        for quantity in QUANTITIES:
            if (column := await self._column(bed.id, quantity, start_s, minutes)) is not None:
                columns[quantity] = column
        known = self._known.get(bed.id, [])
        return NightTask(bed.id, bed.resident, morning.isoformat(), start_s, minutes, columns, known)

    async def _column(self, bed: str, quantity: str, start_s: int, minutes: int) -> bytes | None:
        """The 1 Hz values of the night by UTC; None when there is not one. A minute of boot time begins anywhere within
        one of UTC: seconds are put where they belong."""
        from_, to = self._at(start_s - SECONDS), self._at(start_s + SECONDS * minutes)
        found = await self._books.minutes(bed, quantity, from_, to, minutes + 2)
        if not found:
            return None
        values = np.full(minutes * SECONDS, np.nan, np.dtype("<f4"))
        for minute, utc_ns in zip(found, await self._utc([minute.start for minute in found]), strict=True):
            if utc_ns is None:
                continue
            first = round(utc_ns / 1e9) - start_s
            begin, end = max(0, first), min(len(values), first + SECONDS)
            if begin < end:
                part = minute.column[begin - first : end - first]
                values[begin:end] = np.where(np.isnan(part), values[begin:end], part)
        return values.tobytes()

    def _at(self, utc_s: int) -> Stamp:
        """The moment as a stamp of this boot, before its start if need be."""
        anchor = self._clock.anchor()
        return Stamp(anchor.boot_id, anchor.mono_ns + utc_s * 10**9 - anchor.utc_ns)

    async def _ask(self, task: bytes) -> bytes:
        """The answer of one process. WorkerError when it fails, or is killed because it takes too long."""
        process = await self._spawn()
        try:
            async with asyncio.timeout(self._patience_s):
                answer, words = await process.communicate(task)
        except TimeoutError as error:
            hint = "it is started again at the next look"
            raise WorkerError(f"killed: no answer within {self._patience_s:.0f} s", hint=hint) from error
        finally:
            with suppress(ProcessLookupError):  # it has gone by itself
                process.kill()
            await process.wait()
        if process.returncode:
            last = words.decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise WorkerError(f"exit code {process.returncode}: {last}", hint="it is started again at the next look")
        return answer

    async def _spawn(self) -> asyncio.subprocess.Process:
        """Cancelling asyncio in the midst of a start waits for ever (see `worker_link`): the start is let finish."""
        creation = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE, env=_environment(),
            )
        )  # fmt: skip
        try:
            return await asyncio.shield(creation)
        except asyncio.CancelledError:
            process = await creation
            process.kill()
            await process.wait()
            raise
        except OSError as error:
            raise WorkerError(f"cannot be started: {error}", hint="it is tried again at the next look") from error


def _environment() -> Mapping[str, str]:
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, **FRUGAL, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
