"""One SQLite file: opened or put aside, migrated, written in transactions, read through a second connection.

A damaged file is moved aside with a stamp in its name and a fresh one takes its place, so that the daemon always
starts. A file that is newer than the code is left alone and stops the start.
"""

import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from gateway.core.errors import StoreError
from gateway.store.lean import sqlite_utils_alone

sqlite_utils = sqlite_utils_alone()
log = logging.getLogger(__name__)

WAL_LIMIT_BYTES = 16 * 1024 * 1024  # a WAL that grew in a burst is cut back to this at the next checkpoint
BUSY_TIMEOUT_MS = 5000  # only a person's own sqlite3 shell can hold the lock: the house has one writer
_DAMAGE = frozenset((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB))
_FULL = frozenset((sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE))

T = TypeVar("T")
Statement = tuple[str, Sequence[object]]


@dataclass(frozen=True, slots=True)
class Opened:
    """What `open_file` found. fresh: there was nothing to go on with. quarantined: where the damaged file lies now."""

    file: "SqliteFile"
    fresh: bool
    quarantined: Path | None
    damage: str


class SqliteFile:
    """The writer's connection of one database; created, used and closed on the writer thread only."""

    def __init__(self, name: str, path: Path, connection: sqlite3.Connection) -> None:
        self.name = name
        self.path = path
        self.db: Any = sqlite_utils.Database(connection, execute_plugins=False)
        self._connection = connection

    def transact(self, work: Callable[[Any], T]) -> T:
        """Run `work(db)` in one transaction: all of it is committed and synced, or none of it. sqlite3.Error as is."""
        with _immediate(self._connection):
            return work(self.db)

    def execute(self, statements: Sequence[Statement]) -> None:
        """The statements in one transaction: the short way, for rows that come by the thousand."""
        with _immediate(self._connection):
            for sql, values in statements:
                self._connection.execute(sql, values)

    def close(self) -> None:
        """Move the WAL into the database if there is room, and let go of the file."""
        try:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            log.warning("%s: the WAL stays beside the database until the next start: %s", self.path.name, error)
        self._connection.close()


@contextmanager
def _immediate(connection: sqlite3.Connection) -> Iterator[None]:
    """BEGIN IMMEDIATE ... COMMIT; a full disk may have rolled back already, then there is nothing left to undo."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def open_file(name: str, directory: Path, aside_stamp: str) -> Opened:
    """Check, quarantine if damaged, open and migrate `directory/name.db`. StoreError when it can be neither."""
    path = directory / f"{name}.db"
    damage = _damage(path, name)
    quarantined = _put_aside(path, aside_stamp) if damage else None
    try:
        connection, fresh = _connect(path, name)
    except sqlite3.Error as error:
        raise store_error(error, f"{path} cannot be opened") from error
    return Opened(SqliteFile(name, path, connection), fresh, quarantined, damage)


def open_reader(path: Path) -> Any:
    """A `sqlite_utils.Database` on a read-only connection; created and used on the reader thread only."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    return sqlite_utils.Database(connection, execute_plugins=False)


def schemas(name: str) -> list[tuple[int, str]]:
    """(number, SQL) of every `schema/{name}_NNN.sql`, in order."""
    found = [
        (int(file.name.removesuffix(".sql").rpartition("_")[2]), file.read_text(encoding="utf-8"))
        for file in files("gateway.store").joinpath("schema").iterdir()
        if file.name.startswith(f"{name}_") and file.name.endswith(".sql")
    ]
    return sorted(found)


def migrate(connection: sqlite3.Connection, name: str, steps: list[tuple[int, str]] | None = None) -> bool:
    """Bring the schema up to date, all or nothing; True when there was none. StoreError when it is newer than the code.

    steps: the numbered SQL files; given by tests only.
    """
    steps = schemas(name) if steps is None else steps
    present = _version(connection, name, steps[-1][0])
    wanted = [(number, sql) for number, sql in steps if number > present]
    if wanted:
        db: Any = sqlite_utils.Database(connection, execute_plugins=False)
        with _immediate(connection):
            for _, sql in wanted:
                db.executescript(sql)
            connection.execute(f"PRAGMA user_version = {steps[-1][0]}")
    return present == 0


def _version(connection: sqlite3.Connection, name: str, newest: int) -> int:
    present = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if present > newest:
        raise StoreError(
            f"{name}.db has schema {present}, this version of carebed knows schemas up to {newest}",
            hint="it was written by a newer carebed: install that version again, or restore the backup made before it",
        )
    return present


def store_error(error: BaseException, doing: str) -> StoreError:
    """The house's error for one of SQLite or the system: what was done, what came back, what a person can do."""
    return StoreError(f"{doing}: {error} [{reason_of(error)}]", hint=hint_of(reason_of(error)))


def hint_of(reason: str) -> str:
    """What a person can do about a `reason_of`."""
    return _HINTS.get(reason, _HINTS["other"])


def reason_of(error: BaseException) -> str:
    """A key for logs and events: disk_full, damaged, read_only, or SQLite's own name of the error."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return "disk_full" if isinstance(error, OSError) and error.errno == 28 else type(error).__name__.lower()
    if code in _FULL or code & 0xFF == sqlite3.SQLITE_FULL:
        return "disk_full"
    if code & 0xFF in _DAMAGE:
        return "damaged"
    if code & 0xFF == sqlite3.SQLITE_READONLY:
        return "read_only"
    return str(getattr(error, "sqlite_errorname", "")).removeprefix("SQLITE_").lower() or "other"


_HINTS = {
    "disk_full": "free space on the disk that holds the state directory; writing goes on by itself when there is room",
    "damaged": "restart carebed: it checks the file, puts it aside and starts a fresh one",
    "read_only": "the disk or the file is read-only: look for file system errors in the kernel's log (dmesg)",
    "other": "check that the state directory exists, is writable for the user carebed and its disk is healthy (dmesg)",
}


def _damage(path: Path, name: str) -> str:
    """What `quick_check` says against the file; "" when it is sound or not there. StoreError when it is sound and newer
    than the code, before anything is written to it."""
    if not path.exists():
        return ""
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            verdict = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
            if verdict == "ok":
                _version(connection, name, schemas(name)[-1][0])
    except sqlite3.Error as error:
        if reason_of(error) != "damaged":
            raise store_error(error, f"{path} cannot be checked") from error
        return str(error)
    return "" if verdict == "ok" else verdict.splitlines()[-1]


def _put_aside(path: Path, stamp: str) -> Path:
    """Rename the file with its WAL; the name tells when, and never hits an earlier one."""
    target = path.with_name(f"{path.name}.damaged-{stamp}")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    path.rename(target)
    for suffix in ("-wal", "-shm"):
        companion = path.with_name(path.name + suffix)
        if companion.exists():
            companion.rename(target.with_name(target.name + suffix))
    return target


def _connect(path: Path, name: str) -> tuple[sqlite3.Connection, bool]:
    """The writer's connection, migrated, and whether there was no schema before.

    synchronous=FULL in both files: a row whose future has resolved survives a power cut. In groups of a second that
    costs one fsync a second; NORMAL would save it and could lose every row since the last checkpoint.
    """
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        for pragma in (
            "auto_vacuum = INCREMENTAL", "journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON",
            f"busy_timeout = {BUSY_TIMEOUT_MS}", f"journal_size_limit = {WAL_LIMIT_BYTES}",
        ):  # fmt: skip  # auto_vacuum only takes before the first table exists
            connection.execute(f"PRAGMA {pragma}")
        return connection, migrate(connection, name)
    except BaseException:
        connection.close()
        raise
