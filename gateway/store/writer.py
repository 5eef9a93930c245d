"""One writer thread for both databases: groups of rows that share a commit, and single transactions that wait for none.

A group gathers on the event loop and is handed over when its interval has passed or a batch is full; one batch of each
database is with the thread at any time, so an alarm waits for at most one batch. A future resolves when its row is
committed and synced, and not before. What the disk refuses fails its future at once and is counted as a loss, which is
written as a Gap when there is room again.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from gateway.core.clock import call_later_real
from gateway.core.errors import StoreError
from gateway.core.model import Gap
from gateway.store.sqlite import SqliteFile, Statement, reason_of, store_error

BATCH_ROWS = 1000  # at about 20 µs a row a batch holds the thread for some 20 ms: the longest an alarm waits for one
MIN_GROUP_S = 0.2  # real seconds between commits: a scaled clock must not make the disk run faster
MAX_ROWS = 20_000  # at 200 rows/s the disk may stand still for 100 s; about 15 MB
MAX_OTHERS = 10_000  # marks, settings, anchors: coalesced or rare

T = TypeVar("T")
Numbered = Callable[[int], Sequence[Statement]]


@dataclass(slots=True)
class Write:
    """One thing to commit with its group.

    statements: given the row's number, what to execute (evaluated on the loop when the batch is built). stream: whose
    number it takes, "" for none; then the number is 0. loss: what is lost with it, a Gap without a reason takes the
    reason of the loss; None where the writer of it keeps it.
    """

    future: asyncio.Future[int]
    statements: Numbered
    stream: str = ""
    loss: Gap | None = None


class Health:
    """Which databases can be written, told once when it changes."""

    def __init__(self) -> None:
        self.on_trouble: Callable[[str], None] = lambda reason: None
        self.on_recovered: Callable[[], None] = lambda: None
        self._reasons: dict[str, str] = {}

    @property
    def reason(self) -> str:
        """Why rows cannot be kept now, "" when all is well."""
        return next(iter(self._reasons.values()), "")

    def failed(self, file: str, reason: str) -> None:
        before = self.reason
        self._reasons[file] = reason
        if not before:
            self.on_trouble(reason)

    def worked(self, file: str) -> None:
        if self._reasons.pop(file, None) and not self._reasons:
            self.on_recovered()


class Group:
    """All writes of one database. Methods are called on the event loop; `file` is touched by the writer thread only."""

    def __init__(
        self, thread: Executor, file: SqliteFile, health: Health, *, heads: dict[str, int], group_s: float,
        note_loss: Callable[[Gap], None],
    ) -> None:  # fmt: skip
        self._loop = asyncio.get_running_loop()
        self._thread = thread
        self._file = file
        self._health = health
        self._group_s = max(group_s, MIN_GROUP_S)
        self._note_loss = note_loss
        self._rows: deque[Write] = deque()  # at most MAX_ROWS: the oldest is dropped and becomes a Gap
        self._others: deque[Write] = deque()  # at most MAX_OTHERS: a further one is refused, its writer keeps it
        self._timer: asyncio.TimerHandle | None = None
        self._batch: asyncio.Future[None] | None = None
        self._running: set[asyncio.Future[Any]] = set()  # transactions with the thread: an alarm is never refused here
        self._closed = False
        self.heads = heads
        self.sources: list[Callable[[], list[Write]]] = []  # asked for what they have to say before each commit
        self.after_commit: Callable[[frozenset[str]], None] = lambda streams: None

    def add(self, write: Write) -> asyncio.Future[int]:
        """Commit `write` with the next group; the future carries its number, or StoreError when it was not kept."""
        if self._closed:
            _fail(write.future, _closed_error(self._file.name))
        else:
            self._gather(write)
            self._arm()
        return write.future

    def run(self, work: Callable[[Any], T]) -> asyncio.Future[T]:
        """`work(db)` in a transaction of its own, at once and never grouped. What the disk refuses is a StoreError; an
        error in the work itself (sqlite3.IntegrityError included) is handed to the caller as it is."""
        future: asyncio.Future[T] = self._loop.create_future()
        if self._closed:
            _fail(future, _closed_error(self._file.name))
            return future
        job = self._submit(lambda: self._file.transact(work))
        job.add_done_callback(lambda done: self._answer(done, future))
        self._running.add(job)
        job.add_done_callback(self._running.discard)
        return future

    def commit(self) -> None:
        """Hand over what has gathered, unless a batch is still with the thread: then it follows that one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._batch is not None:
            return
        batch = self._take([write for source in self.sources for write in source()])
        if not batch:
            return
        heads = dict(self.heads)
        statements: list[Statement] = []
        for write in batch:
            if write.stream:
                heads[write.stream] += 1
            statements += write.statements(heads.get(write.stream, 0))
        for stream, head in heads.items():
            if head != self.heads[stream]:
                statements.append(("UPDATE stream SET head = ? WHERE name = ?", (head, stream)))
        self._batch = self._submit(lambda: self._file.execute(statements))
        self._batch.add_done_callback(lambda done: self._finished(done, batch))

    async def flush(self) -> None:
        """Commit what has gathered so far and wait for it, and for transactions on their way; after a failure the rest
        waits for the next interval."""
        if self._running:
            await asyncio.wait(self._running)
        for _ in range((len(self._rows) + len(self._others)) // BATCH_ROWS + 2):
            self.commit()
            if self._batch is None:
                return
            (done,), _ = await asyncio.wait((self._batch,))
            if done.exception():
                return

    def wake(self) -> None:
        """Come round after the interval even if nothing is added: a source has something to say."""
        if self._timer is None and self._batch is None and not self._closed:
            self._timer = call_later_real(self._group_s, self.commit)

    def close(self) -> None:
        """Refuse everything from now on."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _gather(self, write: Write) -> None:
        if not write.stream and len(self._others) >= MAX_OTHERS:
            self._lose(write, "queue_full", _queue_full())
        elif not write.stream:
            self._others.append(write)
        else:
            self._rows.append(write)
            if len(self._rows) > MAX_ROWS:
                self._lose(self._rows.popleft(), "queue_full", _queue_full())

    def _submit(self, job: Callable[[], T]) -> asyncio.Future[T]:
        return self._loop.run_in_executor(self._thread, job)

    def _take(self, batch: list[Write]) -> list[Write]:
        """What the sources say goes first and is never queued: it must not push out a row that waits."""
        for queue in (self._others, self._rows):
            room = max(0, BATCH_ROWS - len(batch))
            batch += [queue.popleft() for _ in range(min(len(queue), room))]
        return batch

    def _finished(self, done: asyncio.Future[None], batch: list[Write]) -> None:
        self._batch = None
        error = done.exception()
        if error is None:
            self._kept(batch)
        else:
            refused = store_error(error, f"{len(batch)} rows could not be written to {self._file.path}")
            for write in batch:
                self._lose(write, reason_of(error), refused)
            self._health.failed(self._file.name, reason_of(error))
        if len(self._rows) >= BATCH_ROWS:
            self.commit()
        else:
            self._arm()

    def _kept(self, batch: list[Write]) -> None:
        for write in batch:
            if write.stream:
                self.heads[write.stream] += 1
            if not write.future.done():
                write.future.set_result(self.heads.get(write.stream, 0))
        self._health.worked(self._file.name)
        self.after_commit(frozenset(write.stream for write in batch if write.stream))

    def _lose(self, write: Write, reason: str, error: StoreError) -> None:
        _fail(write.future, error)
        if write.loss is not None:
            self._note_loss(write.loss if write.loss.reason else replace(write.loss, reason=reason))

    def _answer(self, done: asyncio.Future[T], future: asyncio.Future[T]) -> None:
        error = done.exception()
        if isinstance(error, sqlite3.Error) and not isinstance(error, sqlite3.IntegrityError):
            self._health.failed(self._file.name, reason_of(error))
            _fail(future, store_error(error, f"{self._file.path} refused a transaction"))
        elif error is not None:
            _fail(future, error)
        else:
            self._health.worked(self._file.name)
            if not future.done():
                future.set_result(done.result())

    def _arm(self) -> None:
        """Commit after the interval, at once when a batch is full."""
        if self._closed or self._batch is not None:
            return
        if len(self._rows) >= BATCH_ROWS:
            self.commit()
        elif self._timer is None and (self._rows or self._others):
            self._timer = call_later_real(self._group_s, self.commit)


def _fail(future: asyncio.Future[T], error: BaseException) -> None:
    """`Health` tells the error too: a caller who does not look at the future must not be reported as a bug."""
    if not future.done():
        future.set_exception(error)
        future.exception()


def _queue_full() -> StoreError:
    return StoreError(
        f"more than {MAX_ROWS} rows wait for the disk; the oldest was dropped and marked as a gap",
        hint="the disk is too slow or stands still: look at its health (dmesg) and at what else writes to it",
    )


def _closed_error(name: str) -> StoreError:
    return StoreError(f"{name}.db is closed", hint="this comes after the store's close: stop its callers first")
