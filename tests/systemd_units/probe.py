"""What the test boots in the daemon's place: does inside the unit what daemon and worker do, and notes the outcome.

Run as `carebed run --config FILE` by the unit. Every entry of the result is a promise of the unit file; each line here
stands for a part of the product that would fail without it.
"""

import asyncio
import ctypes
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from gateway.core.clock import SystemClock
from gateway.notify import Notifier

ORDERS = Path("/probe")  # files that the test lays there: hang, unusable
FOUND = Path(os.environ["STATE_DIRECTORY"], "found.json")
KERNEL = """
import numba
@numba.njit(cache=True, nogil=True, error_model="numpy")
def total(n):
    s = 0.0
    for i in range(n):
        s += i
    return s
print(total(10))
"""


def attempt(act: Callable[[], object]) -> str:
    """The result as text, or the name of the error."""
    try:
        return str(act())
    except OSError as error:
        return type(error).__name__


def compile_kernel() -> str:
    """A compiled and cached kernel in a process of its own, as the worker has it."""
    source = Path(os.environ["RUNTIME_DIRECTORY"], "kernel.py")
    source.write_text(KERNEL)
    done = subprocess.run([sys.executable, str(source)], capture_output=True, text=True, check=False)
    cached = len(list(Path(os.environ["NUMBA_CACHE_DIR"]).rglob("*.nbc"))) if done.returncode == 0 else 0
    return f"{done.stdout.strip()} cached={cached}" if done.returncode == 0 else done.stderr[-400:]


def open_database() -> str:
    """A database in WAL mode in the state directory."""
    with sqlite3.connect(Path(os.environ["STATE_DIRECTORY"], "probe.db")) as database:
        mode: str = database.execute("pragma journal_mode=wal").fetchone()[0]
        database.execute("create table t (x)")
        return mode


def ask_for_time_sync() -> str:
    """ "asked" when the kernel answers whether time is synchronised, else the error number."""
    library = ctypes.CDLL(None, use_errno=True)
    state = library.ntp_adjtime(ctypes.byref((ctypes.c_long * 32)()))
    return "asked" if state >= 0 else f"errno {ctypes.get_errno()}"


def listen() -> str:
    with socket.create_server(("127.0.0.1", 0)):
        return "listening"


def findings() -> dict[str, str]:
    """Each promise with what was found."""
    return {
        "user": str(os.geteuid() != 0),
        "boot_id": attempt(lambda: len(SystemClock().boot_id)),
        "time_sync": attempt(ask_for_time_sync),
        "kernel": attempt(compile_kernel),
        "database": attempt(open_database),
        "page": attempt(listen),
        "write_etc": attempt(lambda: Path("/etc/carebed/x").write_text("x")),
        "write_program": attempt(lambda: Path("/opt/carebed/x").write_text("x")),
        "read_home": attempt(lambda: sorted(Path("/root").iterdir())),
        "raw_socket": attempt(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
        "arguments": " ".join(sys.argv[1:]),
    }


async def live(notifier: Notifier) -> None:
    """Ready until told to stop; silent to the watchdog once the file `hang` is there, as a stuck loop would be."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    feeding = asyncio.create_task(notifier.feed_watchdog(SystemClock(), lambda: not (ORDERS / "hang").exists()))
    notifier.ready("probing")
    await stop.wait()
    feeding.cancel()
    notifier.stopping("told to")


if __name__ == "__main__":
    if (ORDERS / "unusable").exists():
        sys.exit(78)
    if not FOUND.exists():
        FOUND.write_text(json.dumps(findings()))
    asyncio.run(live(Notifier()))
