"""The daemon as a process on a machine: how long until it is ready, what it uses, what waits in it."""

import asyncio
import os
import signal
import socket
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from gateway.core.clock import SystemClock
from gateway.core.errors import CarebedError
from gateway.demo.processes import DaemonProcess

PATIENCE_S = 60.0
BYTES_PER_MB = 1_000_000
LOOKS = 11  # at a queue: a block in flight for a millisecond is no queue, so the median of several looks counts
LOOK_S = 0.3
LOG_CHARACTERS = 3000
RUN = (sys.executable, "-m", "gateway", "run", "--config")


@dataclass(frozen=True, slots=True)
class Spent:
    """What one process used over a window. cpu_percent: of one core; rss_mb: at its end, in MB of 10^6 bytes."""

    cpu_percent: float
    rss_mb: float


@dataclass(frozen=True, slots=True)
class Queues:
    """What waits in the daemon: blocks without the worker's answer, rows without the platform's."""

    blocks: float
    rows: float


def last_words(log: Path) -> str:
    """The end of a daemon's log: the directory it lies in does not outlive the benchmark."""
    return log.read_text(encoding="utf-8", errors="replace")[-LOG_CHARACTERS:]


def percent_of_a_core(before_s: float, after_s: float, window_s: float) -> float:
    """From two readings of a process's CPU seconds."""
    return 100.0 * (after_s - before_s) / window_s


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


async def spent(pids: Sequence[int], window_s: float) -> list[Spent]:
    """What each process uses from now on for `window_s`; psutil.NoSuchProcess when one of them ends."""
    clock, processes = SystemClock(), [psutil.Process(pid) for pid in pids]
    began_ns, before_s = clock.real_ns(), [_cpu_s(process) for process in processes]
    await clock.sleep(window_s)
    after_s, lasted_s = [_cpu_s(process) for process in processes], (clock.real_ns() - began_ns) / 1e9
    return [
        Spent(percent_of_a_core(before, after, lasted_s), process.memory_info().rss / BYTES_PER_MB)
        for process, before, after in zip(processes, before_s, after_s, strict=True)
    ]


async def worker_pid(daemon: DaemonProcess) -> int:
    """The signal worker that serves this daemon now."""
    return int((await daemon.ask("health"))["gauges"]["worker_pid"])


async def worker_restarts(daemon: DaemonProcess) -> int:
    """How many workers have died under this daemon."""
    return int((await daemon.ask("health"))["gauges"]["worker_restarts"])


async def beds_with_vitals(daemon: DaemonProcess) -> int:
    """How many beds have a pulse and a breathing rate of this moment: a worker that measures nothing costs nothing."""
    beds = (await daemon.ask("ward"))["beds"]
    return sum(all(bed[what] and not bed[what]["stale"] for what in ("heart", "respiration")) for bed in beds)


async def queues(daemon: DaemonProcess) -> Queues:
    """Medians of several looks."""
    blocks, rows = [], []
    for _ in range(LOOKS):
        blocks.append(float((await daemon.ask("health"))["gauges"]["worker_queued_blocks"]))
        rows.append(float(sum(s["waiting"] for up in await daemon.ask("uplinks") for s in up["streams"].values())))
        await SystemClock().sleep(LOOK_S)
    return Queues(statistics.median(blocks), statistics.median(rows))


def growth(start: Queues, end: Queues) -> Queues:
    """What came on top, never below zero: a queue that shrinks does not make up for one that grows."""
    return Queues(max(0.0, end.blocks - start.blocks), max(0.0, end.rows - start.rows))


async def ready_s(config: Path, notify: Path, log: Path, *, command: Sequence[str] = RUN) -> float:
    """Seconds from the start of a daemon to its READY=1; it is then told to stop. CarebedError when it ends badly."""
    clock = SystemClock()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as notices, log.open("ab") as file:
        notify.unlink(missing_ok=True)
        notices.bind(str(notify))
        began_ns = clock.real_ns()
        process = await asyncio.create_subprocess_exec(
            *command, str(config), stdout=file, stderr=file, env=os.environ | {"NOTIFY_SOCKET": str(notify)}
        )
        try:
            took_s = (await _ready_ns(notices, process) - began_ns) / 1e9
        except CarebedError:
            sys.stderr.write(last_words(log))
            raise
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_S):
            code = await process.wait()
    if code != 0:
        sys.stderr.write(last_words(log))
        raise CarebedError(f"the daemon was ready, then ended with code {code}", hint="its last words stand above")
    return took_s


async def _ready_ns(notices: socket.socket, process: asyncio.subprocess.Process) -> int:
    """The real time at which READY=1 arrived."""
    ended = asyncio.create_task(process.wait())
    hearing = asyncio.create_task(_heard_ready_ns(notices))
    done, waiting = await asyncio.wait({ended, hearing}, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    if hearing in done:
        return hearing.result()
    seen = f"ended with code {process.returncode}" if ended in done else f"said nothing for {PATIENCE_S:.0f} s"
    raise CarebedError(f"the daemon {seen} before READY=1", hint="its last words stand above")


async def _heard_ready_ns(notices: socket.socket) -> int:
    while True:
        text = await asyncio.get_running_loop().sock_recv(notices, 4096)
        at_ns = SystemClock().real_ns()
        if b"READY=1" in text.splitlines():
            return at_ns
