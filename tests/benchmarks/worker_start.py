"""The worker process itself: how soon it is ready when its kernels are in the cache, and how much memory it takes."""

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

from gateway.core import messages
from gateway.core.clock import SystemClock
from gateway.core.errors import CarebedError
from gateway.core.messages import Done, Ready
from tests.benchmarks.box import BYTES_PER_MB
from tests.benchmarks.chain_speed import SETTINGS, bed
from tests.benchmarks.figures import Figure
from tests.evaluation.feeding import DEVICE

STARTS = 5
FED_S = 120
READY_BAR_S, MEMORY_BAR_MB = 3.0, 170.0
COMMAND = (sys.executable, "-m", "gateway.worker", "--cache")
READ_BYTES = 1 << 16


def measure() -> list[Figure]:
    """The cache is filled by a start that is told apart. CarebedError when the worker does not get ready."""
    with tempfile.TemporaryDirectory(prefix="carebed-worker-") as directory:
        cold = Start(Path(directory), fed_s=0)
        warm = [Start(Path(directory), fed_s=FED_S if k == 0 else 0) for k in range(STARTS)]
    if any(start.cache != "warm" for start in warm):
        raise CarebedError("the second start found no warm cache", hint="see the worker's lines above")
    ready_s = statistics.median(start.ready_s for start in warm)
    return [
        Figure("worker, start to ready from a warm cache", ready_s, "s", READY_BAR_S, "lower",
               f"wall clock, median of {STARTS}; load average {os.getloadavg()[0]:.1f}"),
        Figure("worker, start to ready from an empty cache", cold.ready_s, "s", None, "lower"),
        Figure(
            "worker, memory warm and after two minutes of a bed", warm[0].rss_mb, "MB", MEMORY_BAR_MB, "lower",
            f"RSS; {warm[1].rss_mb:.0f} MB when ready",
        ),
    ]  # fmt: skip


class Start:
    """One worker from its start to its end. ready_s: until it says that it is ready. rss_mb: at the end, MB of 10^6."""

    def __init__(self, cache_dir: Path, *, fed_s: int) -> None:
        clock = SystemClock()
        environment = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA_")}
        began_ns = clock.real_ns()
        with subprocess.Popen(
            [*COMMAND, str(cache_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            self._pipe, self._splitter = process.stdout.fileno(), messages.from_worker()
            ready = self._until(Ready)
            assert isinstance(ready, Ready)
            self.ready_s, self.cache = (clock.real_ns() - began_ns) / 1e9, ready.cache
            process.stdin.write(messages.encode(messages.Describe(DEVICE, SETTINGS, {})))
            for number, block in enumerate(bed(fed_s) if fed_s else []):
                process.stdin.write(messages.encode(messages.feed_of(block, number)))
                process.stdin.flush()
                self._until(Done)
            self.rss_mb = psutil.Process(process.pid).memory_info().rss / BYTES_PER_MB
            process.stdin.close()
            if code := process.wait(timeout=30):
                raise CarebedError(f"the worker ended with code {code}", hint="see its lines above")

    def _until(self, kind: type[Ready] | type[Done]) -> messages.FromWorker:
        while data := os.read(self._pipe, READ_BYTES):
            for message in self._splitter.feed(data):
                if isinstance(message, kind):
                    return message
        raise CarebedError(f"the worker ended before {kind.__name__}", hint="see its lines above")
