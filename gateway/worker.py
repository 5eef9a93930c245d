"""The process that does the arithmetic: blocks in on stdin, results out on stdout, words to the log on stderr.

Started by `gateway.worker_link` as `python -m gateway.worker --cache DIR`, or by `carebed warm` with `--warm`. It ends
when stdin ends. NUMBA_DISABLE_JIT=1 makes it the degraded worker: no numba, no cache, the slow chains only.
numba is imported only after the cache has been checked, because loading a damaged cache can abort the process.
"""

import argparse
import importlib.metadata
import logging
import os
import platform
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from gateway import worker_cpu, worker_memory
from gateway.core import messages, warm
from gateway.core.clock import SystemClock
from gateway.core.errors import WorkerError
from gateway.core.messages import Done, EventResult, Feed, MeasurementResult, Ready, Warmed
from gateway.core.model import Measurement

EXIT_SOFTWARE = 70  # EX_SOFTWARE of sysexits.h: kernels that do not give the stored numbers, a broken pipe protocol
MEMORY_EVERY = 60  # blocks of one device between two notes of what its chain has learnt
READ_BYTES = 1 << 16
log = logging.getLogger("carebed.worker")


@dataclass(frozen=True, slots=True)
class Warmth:
    """How the kernels became ready. cache: "warm", "cold" or "off"."""

    cache: str
    seconds: float


def _facts(cpu: str) -> tuple[str, ...]:
    """What the machine code depends on: sources and options, versions, CPU and Python."""
    dsp = Path(__file__).parent / "dsp"
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("numba", "llvmlite", "numpy")]
    kernels = "".join(path.read_text(encoding="utf-8") for path in sorted((dsp / "kernels").glob("*.py")))
    return (str(dsp), kernels, *versions, platform.python_version(), platform.machine(), cpu)


def _warm_kernels(tell: Callable[[str, float], None]) -> None:
    """Compile or load each kernel, in the ward's order, and hold its numbers against the stored ones."""
    from gateway.dsp import selftest

    clock = SystemClock()
    expected = selftest.golden()
    for name in selftest.CHECKS:
        start_ns = clock.real_ns()
        selftest.check(name, expected[name])
        tell(name, (clock.real_ns() - start_ns) / 1e9)


def warm_up(cache_dir: Path | None, tell: Callable[[str, float], None]) -> Warmth:
    """Make every kernel ready. cache_dir None, or one that cannot be written: compile without storing.

    WorkerError when a kernel's numbers are wrong.
    """
    clock = SystemClock()
    start_ns = clock.real_ns()
    degraded = os.environ.get("NUMBA_DISABLE_JIT") == "1"
    cpu = "" if degraded else worker_cpu.settle()
    usable = cache_dir if cache_dir is not None and not degraded and warm.writable(cache_dir) else None
    if cache_dir is not None and usable is None and not degraded:
        log.warning("kernel cache %s cannot be written: kernels are compiled at every start", cache_dir)
    with warm.locked(usable) if usable is not None else nullcontext():
        cache = _with_cache(usable, cpu, tell) if usable is not None else _without_cache(tell)
    return Warmth(cache, (clock.real_ns() - start_ns) / 1e9)


def _without_cache(tell: Callable[[str, float], None]) -> str:
    os.environ.pop("NUMBA_CACHE_DIR", None)
    _warm_kernels(tell)
    return "off"


def _with_cache(cache_dir: Path, cpu: str, tell: Callable[[str, float], None]) -> str:
    kernels = warm.directory(cache_dir, *_facts(cpu))
    fault = warm.fault(kernels)
    if fault:
        if kernels.exists():
            log.warning("kernel cache %s is deleted and compiled anew: %s", kernels.name, fault)
        warm.wipe_all(cache_dir)  # with what earlier versions have left
        kernels.mkdir()
    os.environ["NUMBA_CACHE_DIR"] = str(kernels)
    _warm_kernels(tell)
    if not fault:
        return "warm"
    if not any(kernels.rglob("*.nbc")):  # whoever seals this would find it warm for ever, and compile at every start
        log.warning("nothing was stored in the kernel cache: the kernels were imported before it was named")
        return "off"
    warm.seal(kernels)
    return "cold"


class Loop:
    """Answers messages one by one; the chains are its only state."""

    def __init__(self, *, degraded: bool) -> None:
        from gateway.dsp.chain import Chains

        self._chains = Chains(degraded=degraded)
        self._answered: dict[str, int] = {}

    def answer(self, message: messages.ToWorker) -> Done | None:
        """The answer to a block, None to a description."""
        if isinstance(message, messages.Describe):
            self._chains.describe(message.device, message.settings, message.memory)
            return None
        return self._process(message)

    def _process(self, feed: Feed) -> Done:
        try:
            block = messages.block_of(feed)
            found = self._chains.feed(block, phase=feed.phase)
        except WorkerError as error:
            return Done(feed.id, [], refused=str(error))
        results = [MeasurementResult(r) if isinstance(r, Measurement) else EventResult(r) for r in found]
        count = self._answered.get(feed.device, 0) + 1
        self._answered[feed.device] = count
        memory = self._chains.memory(feed.device) if count % MEMORY_EVERY == 0 else {}
        withheld = self._chains.withheld(block)
        return Done(feed.id, results, phase=self._chains.phase(block), memory=memory, withheld=withheld)


def _own_stdout() -> int:
    """The pipe to the daemon under a number of its own; whatever a library prints goes to stderr."""
    pipe = os.dup(1)
    os.dup2(2, 1)
    return pipe


def _send(pipe: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(pipe, view) :]


def serve(cache_dir: Path | None) -> None:
    """Warm up, say ready, answer until stdin ends. WorkerError when a frame is broken."""
    pipe = _own_stdout()
    warmth = warm_up(cache_dir, lambda name, seconds: _send(pipe, messages.encode(Warmed(name, seconds))))
    degraded = os.environ.get("NUMBA_DISABLE_JIT") == "1"
    loop = Loop(degraded=degraded)
    worker_memory.tidy()
    how = "kernels run as plain Python" if degraded else ""
    ready = Ready(how, warmth.cache, warmth.seconds, worker_memory.rss_bytes())
    _send(pipe, messages.encode(ready))
    splitter = messages.to_worker()
    while data := os.read(0, READ_BYTES):
        for message in splitter.feed(data):
            if (answer := loop.answer(message)) is not None:
                _send(pipe, messages.encode(answer))  # at once: a block that kills must be the first without an answer


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0, or 70 with the reason and a hint on stderr."""
    parser = argparse.ArgumentParser(prog="gateway.worker", description="Signal worker of carebed.")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="where compiled kernels are kept")
    parser.add_argument("--warm", action="store_true", help="compile, test and store every kernel, then end")
    options = parser.parse_args(arguments)
    worker_memory.leave_out_unused()
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(message)s", level=logging.INFO)
    try:
        if not options.warm:
            serve(options.cache)
            return 0
        warmth = warm_up(options.cache, lambda name, seconds: print(f"{name:<22} {seconds:6.2f} s", flush=True))
    except WorkerError as error:
        log.error("%s (%s)", error, error.hint)
        return EXIT_SOFTWARE
    except BrokenPipeError:
        log.error("the daemon closed the pipe")
        return EXIT_SOFTWARE
    print(f"{'kernels ready':<22} {warmth.seconds:6.2f} s  cache {warmth.cache}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
