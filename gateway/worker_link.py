"""Starts, feeds, watches and restarts the signal worker; the daemon's side of the pipe, without numba.

A worker that dies early is given a fresh kernel cache once, because a damaged one can abort whoever loads it; if that
does not help it runs as plain Python (degraded: no pulse, breath every five seconds) until the compiled kernels are
tried again. Blocks wait meanwhile in `gateway.worker_buffer` and are caught up; no second is measured twice.
"""

import asyncio
import logging
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from gateway.core import messages, warm
from gateway.core.clock import Clock
from gateway.core.errors import WorkerError
from gateway.core.messages import Describe, Done, MeasurementResult, Ready, Setting
from gateway.core.model import Event, Gap, Measurement, SampleBlock
from gateway.worker_buffer import Buffer

log = logging.getLogger(__name__)

READ_BYTES = 1 << 16
END_S = 5.0  # real seconds for a process to be gone once its output has ended or it was killed
STDERR_LINES = 5  # kept for the reason of a death
MAX_EARLY_DEATHS = 3  # of any cause, in a row, before the compiled kernels are given up
COMMAND = (sys.executable, "-m", "gateway.worker")
FRUGAL = {"NUMBA_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}


class WorkerName(StrEnum):
    STARTING = "starting"
    READY = "ready"
    DEGRADED = "degraded"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class WorkerState:
    """reason: why it is degraded or dead, or how it became ready. restarts: since the daemon started. queued_blocks:
    those without an answer. rss_bytes: of the worker when it became ready, 0 before."""

    name: WorkerName
    reason: str = ""
    pid: int | None = None
    restarts: int = 0
    queued_blocks: int = 0
    rss_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the link waits, in seconds of real time."""

    buffer_s: float = 120.0
    hang_s: float = 20.0  # without an answer though blocks are in flight; a full pipe takes milliseconds
    warm_s: float = 300.0  # without a kernel becoming ready; the slowest takes half a minute on a Zero 2 W
    early_s: float = 60.0  # a death within this time of the start speaks for a damaged cache
    backoff_s: tuple[float, ...] = (0.2, 1.0, 5.0, 30.0)
    retry_compiled_s: float = 6 * 3600.0  # a degraded worker makes way for a compiled one after this time
    check_s: float = 0.5


@dataclass(slots=True)
class _Life:
    """One worker process. progress_ns: real time of its last sign of life. code: set when it ended by itself or was
    killed by somebody else, None when the link gave it up. planned: it was given up although nothing was wrong."""

    process: asyncio.subprocess.Process
    started_ns: int
    progress_ns: int
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    silent: asyncio.Event = field(default_factory=asyncio.Event)  # its stderr has ended
    last_words: deque[str] = field(default_factory=lambda: deque(maxlen=STDERR_LINES))  # the oldest line is dropped
    code: int | None = None
    planned: bool = False

    @property
    def blameless(self) -> bool:
        """Whoever kills it from outside (or the link, to try something better) says nothing about cache or blocks."""
        return self.planned or self.code in (-signal.SIGKILL, -signal.SIGTERM)


class WorkerLink:
    """The daemon's one signal worker."""

    def __init__(
        self,
        clock: Clock,
        *,
        cache_dir: Path,
        on_result: Callable[[Measurement | Event], None],
        on_gap: Callable[[Gap], None],
        on_state: Callable[[WorkerState], None],
        on_withheld: Callable[[str, Mapping[str, str]], None] = lambda device, reasons: None,
        patience: Patience | None = None,
        command: tuple[str, ...] = COMMAND,
    ) -> None:
        """cache_dir: where kernels are kept. on_state is called at every change of name or reason, on_withheld with a
        device and, by quantity, why it has no value now (see `messages.Done`)."""
        self._clock = clock
        self._cache_dir = cache_dir
        self._on_result, self._on_gap, self._on_state = on_result, on_gap, on_state
        self._on_withheld = on_withheld
        self._patience = patience or Patience()
        self._command = command
        self._buffer = Buffer(on_gap, limit_s=self._patience.buffer_s * clock.speed)
        self._settings: dict[str, dict[str, Setting]] = {}
        self._memory: dict[str, dict[str, float]] = {}
        self._to_describe: dict[str, None] = {}
        self._wake = asyncio.Event()
        self._state = WorkerState(WorkerName.STARTING)
        self._early_deaths, self._wiped, self._degraded = 0, False, ""

    @property
    def state(self) -> WorkerState:
        """As it is now."""
        state = self._state
        return WorkerState(
            state.name, state.reason, state.pid, state.restarts, self._buffer.queued, state.rss_bytes
        )

    def describe(self, device: str, channel: str, settings: Mapping[str, Setting]) -> None:
        """What the chain of this device's channel should know; merged with what other channels said."""
        known = self._settings.setdefault(device, {})
        known.update(settings)
        self._to_describe[device] = None
        self._wake.set()

    def feed(self, block: SampleBlock) -> None:
        """Queue a block for the worker; returns at once. When full, the oldest is dropped and told as a Gap."""
        self._buffer.add(block)
        self._wake.set()

    async def run(self) -> None:
        """Keep one worker alive until cancelled."""
        failures = 0
        while True:
            lived_s = await self._one_life()
            failures = 0 if lived_s >= self._patience.early_s else failures + 1
            steps = self._patience.backoff_s
            await self._sleep_real(steps[min(max(0, failures - 1), len(steps) - 1)])

    # -- one life -----------------------------------------------------------------------------------------------------

    async def _one_life(self) -> float:
        """Start a worker and serve it to its end; how many seconds it lived, 0 when it could not be started."""
        try:
            life = await self._start()
        except OSError as error:
            self._change(WorkerName.DEAD, f"cannot be started: {error}")
            log.warning("signal worker cannot be started: %s", error)
            return 0.0
        try:
            reason = await self._live(life)
        except Exception:
            self._buffer.rewind(blame=False)  # the supervisor tells what went wrong; the next worker begins in order
            raise
        finally:
            await _end(life.process)
        lived_s = (self._clock.real_ns() - life.started_ns) / 1e9
        await self._mourn(life, reason, lived_s)
        return lived_s

    def _environment(self) -> dict[str, str]:
        environment = dict(os.environ) | FRUGAL
        paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
        environment.pop("NUMBA_DISABLE_JIT", None)
        if self._degraded:
            environment["NUMBA_DISABLE_JIT"] = "1"
        return environment

    async def _spawn(self) -> asyncio.subprocess.Process:
        """A started process. Cancelling asyncio in the midst of it waits for ever (Python 3.11 and 3.12 never finish a
        transport whose pipes are not connected), so the start is let finish and the child then ended."""
        creation = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                *self._command, "--cache", str(self._cache_dir),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
                env=self._environment(),
            )
        )  # fmt: skip
        try:
            return await asyncio.shield(creation)
        except asyncio.CancelledError:
            await _end(await creation)
            raise

    async def _start(self) -> _Life:
        process = await self._spawn()
        now_ns = self._clock.real_ns()
        self._change(WorkerName.STARTING, self._degraded, pid=process.pid)
        return _Life(process, now_ns, now_ns)

    async def _live(self, life: _Life) -> str:
        """Serve one process until it fails; why it did.

        No TaskGroup: before Python 3.13 it lets a child's error hide the cancellation of its owner, and the daemon
        would wait for ever for a link that has just started another worker.
        """
        tasks = [asyncio.create_task(part(life)) for part in (self._listen, self._log, self._talk, self._watch)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        errors = [error for error in ended if isinstance(error, Exception)]
        for error in errors:
            if not isinstance(error, WorkerError):
                raise error
        return str(errors[0])

    async def _listen(self, life: _Life) -> None:
        assert life.process.stdout is not None
        splitter = messages.from_worker()
        while data := await life.process.stdout.read(READ_BYTES):
            life.progress_ns = self._clock.real_ns()
            for message in splitter.feed(data):
                self._heard(life, message)
            self._wake.set()
        with suppress(TimeoutError):  # it closed its output but lives on, or asyncio has missed its end
            async with asyncio.timeout(END_S):
                await life.process.wait()
                await life.silent.wait()
        life.code = life.process.returncode
        raise WorkerError(_death(life.code, life.last_words), hint="it is restarted")

    def _heard(self, life: _Life, message: messages.FromWorker) -> None:
        if isinstance(message, Done):
            self._answered(message)
        elif isinstance(message, Ready):
            life.ready.set()
            name = WorkerName.DEGRADED if self._degraded else WorkerName.READY
            reason = self._degraded or f"kernel cache {message.cache}, {message.seconds:.1f} s"
            self._change(name, reason, pid=life.process.pid, rss_bytes=message.rss_bytes)

    def _answered(self, answer: Done) -> None:
        block, new = self._buffer.done(answer)
        if answer.memory:
            self._memory[block.device] = answer.memory
        if answer.withheld:  # of a replay too: it ends nearer to now than what was known before
            self._on_withheld(block.device, answer.withheld)
        if not new:
            return
        if answer.refused:
            log.debug("worker refused a block: %s", answer.refused)
            self._on_gap(Gap(block.channel, answer.refused, block.start, len(block.data), block.bed, block.device))
        for result in answer.results:
            self._on_result(result.measurement if isinstance(result, MeasurementResult) else result.event)

    async def _log(self, life: _Life) -> None:
        assert life.process.stderr is not None
        while raw := await life.process.stderr.read(READ_BYTES):
            for line in filter(str.strip, raw.decode("utf-8", "replace").splitlines()):
                life.last_words.append(line)
                log.log(logging.WARNING if line.startswith(("WARNING", "ERROR")) else logging.INFO, "worker: %s", line)
        life.silent.set()

    async def _talk(self, life: _Life) -> None:
        pipe = life.process.stdin
        assert pipe is not None
        await life.ready.wait()
        self._to_describe = dict.fromkeys(self._settings)
        try:
            while True:
                self._wake.clear()
                for frame in self._outgoing(life):
                    pipe.write(frame)
                await pipe.drain()
                await self._wake.wait()
        except ConnectionError:
            return  # the worker has gone: whoever listens to it sees that too, and knows why

    def _outgoing(self, life: _Life) -> list[bytes]:
        described, self._to_describe = self._to_describe, {}
        frames = [
            messages.encode(Describe(device, self._settings[device], self._memory.get(device, {})))
            for device in described
        ]
        if not self._buffer.in_flight:
            life.progress_ns = self._clock.real_ns()
        while (feed := self._buffer.take()) is not None:
            frames.append(messages.encode(feed))
        return frames

    async def _watch(self, life: _Life) -> None:
        """WorkerError when the process hangs, or when it is time to try the compiled kernels again."""
        while True:
            await self._sleep_real(self._patience.check_s)
            now_ns = self._clock.real_ns()
            silent_s = (now_ns - life.progress_ns) / 1e9
            if not life.ready.is_set() and silent_s > self._patience.warm_s:
                raise WorkerError(f"no kernel became ready for {silent_s:.0f} s", hint="it is restarted")
            if life.ready.is_set() and self._buffer.in_flight and silent_s > self._patience.hang_s:
                raise WorkerError(f"no answer for {silent_s:.0f} s", hint="it is restarted")
            if self._degraded and (now_ns - life.started_ns) / 1e9 > self._patience.retry_compiled_s:
                self._degraded, self._wiped, self._early_deaths, life.planned = "", False, 0, True
                raise WorkerError("time to try the compiled kernels again", hint="it is restarted")

    # -- between lives ------------------------------------------------------------------------------------------------

    async def _mourn(self, life: _Life, reason: str, lived_s: float) -> None:
        """Book the death, and choose how the next worker runs."""
        explained = self._buffer.rewind(blame=not life.blameless)
        self._change(WorkerName.DEAD, reason, restarts=self._state.restarts + 1)
        log.warning("signal worker %d ended after %.1f s: %s", life.process.pid, lived_s, reason)
        if explained or lived_s >= self._patience.early_s:
            self._early_deaths, self._wiped = 0, False
            return
        self._early_deaths += 1
        if self._degraded:
            return
        if self._wiped or self._early_deaths >= MAX_EARLY_DEATHS:
            self._degraded = f"compiled kernels died {self._early_deaths} times early, last: {reason}"
        elif not life.blameless:
            self._wiped = True
            await asyncio.to_thread(self._wipe)

    def _wipe(self) -> None:
        try:
            warm.wipe_all(self._cache_dir)
        except OSError as error:
            log.warning("kernel cache %s cannot be deleted: %s", self._cache_dir, error)

    def _change(
        self, name: WorkerName, reason: str, *, pid: int | None = None, restarts: int | None = None, rss_bytes: int = 0
    ) -> None:
        restarts = self._state.restarts if restarts is None else restarts
        self._state = WorkerState(name, reason, pid, restarts, self._buffer.queued, rss_bytes)
        self._on_state(self._state)

    async def _sleep_real(self, seconds: float) -> None:
        await self._clock.sleep(seconds * self._clock.speed)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill what is left of the process and reap it; it holds nothing that is not in the link too."""
    with suppress(ProcessLookupError):  # it may have gone by itself
        process.kill()
    reaping = asyncio.ensure_future(process.communicate())
    ended, _ = await asyncio.wait([reaping], timeout=END_S)
    if not ended:  # seen once in hundreds of ends on a busy machine with Python 3.11: killed, but its pipes stayed open
        reaping.cancel()
        log.warning("signal worker %d was killed, but its pipes stay open", process.pid)


def _death(code: int | None, last_words: deque[str]) -> str:
    if code is None:
        return "it closed its output but did not end"
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return f"{how}: {last_words[-1]}" if last_words else how
