"""The link against the real worker process: fed, killed, hung, its cache damaged; nothing is lost and nothing twice."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import pytest

from gateway import worker_link
from gateway.core import warm
from gateway.core.clock import SystemClock
from gateway.core.model import Event, Gap, Measurement, SampleBlock
from gateway.worker_link import Patience, WorkerLink, WorkerName, WorkerState
from tests.gateway.dsp.synthetic import START, block, empty_bed, falling_wrist, sleeper
from tests.kernel_cache import KERNELS

BLOCK_S = 0.5
PLAIN = (  # the real worker without numba: starts in a third of the time, where the machine code does not matter
    "import os, sys\n"
    "os.environ['NUMBA_DISABLE_JIT'] = '1'\n"
    "from gateway import worker\n"
)
RUN = "sys.exit(worker.main())\n"
CONFIRMATION_S = 8.0  # of a fall; `gateway.dsp.fall` itself would load the kernels before their cache is set
WAIT_S = 40.0


@dataclass
class Heard:
    """All that the link said."""

    results: list[Measurement | Event] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    states: list[WorkerState] = field(default_factory=list)
    withheld: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def seconds(self) -> list[tuple[str, float]]:
        """(quantity, moment) of each measurement."""
        return [(r.quantity, r.at.mono_ns) for r in self.results if isinstance(r, Measurement)]


def make(heard: Heard, cache_dir: Path, *, patience: Patience | None = None, code: str = "") -> WorkerLink:
    """code: Python run in place of the worker."""
    command = {"command": (sys.executable, "-c", code)} if code else {}
    return WorkerLink(
        SystemClock(),
        cache_dir=cache_dir,
        on_result=heard.results.append,
        on_gap=heard.gaps.append,
        on_state=heard.states.append,
        on_withheld=lambda device, reasons: heard.withheld.append((device, dict(reasons))),
        patience=patience or Patience(),
        **command,
    )


@asynccontextmanager
async def running(link: WorkerLink) -> AsyncIterator[None]:
    task = asyncio.create_task(link.run())
    try:
        yield
    finally:
        task.cancel()
        ended, _ = await asyncio.wait([task], timeout=WAIT_S)
        assert ended, f"the link does not stop: {[each.get_stack() for each in asyncio.all_tasks()]}"
        assert task.cancelled(), task.exception()


async def until(link: WorkerLink, ready: Callable[[], bool]) -> None:
    """Wait for what must come; fail with the link's state when it does not."""
    try:
        async with asyncio.timeout(WAIT_S):
            while not ready():
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"did not come within {WAIT_S} s; the link is {link.state}")


def night(seconds: int) -> list[SampleBlock]:
    """A sleeper's blocks, wave and load in turn."""
    wave = sleeper(seconds)
    per = round(BLOCK_S * 100)
    blocks = []
    for i in range(0, len(wave), per):
        blocks.append(block("bed.wave", wave[i : i + per], at_s=i / 100))
        blocks.append(block("bed.load", np.full(per // 10, 45.0), at_s=i / 100, rate_hz=10.0))
    return blocks


def answered(link: WorkerLink) -> Callable[[], bool]:
    return lambda: link.state.queued_blocks == 0


async def kill(link: WorkerLink) -> None:
    """kill -9, and wait until the link has seen it."""
    pid, restarts = link.state.pid, link.state.restarts
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await until(link, lambda: link.state.restarts > restarts)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A warm cache of this test's own, to be damaged or deleted."""
    return shutil.copytree(KERNELS, tmp_path / "cache")


async def undisturbed(blocks: list[SampleBlock]) -> Heard:
    heard = Heard()
    link = make(heard, KERNELS, patience=Patience(buffer_s=1000.0))
    async with running(link):
        for each in blocks:
            link.feed(each)
        await until(link, answered(link))
    return heard


async def test_blocks_fed_before_the_worker_is_ready_are_all_answered() -> None:
    heard = await undisturbed(night(20))
    assert [r.value for r in heard.results if isinstance(r, Measurement) and r.quantity == "bed_occupied"] == [1.0] * 20
    assert [state.name for state in heard.states] == [WorkerName.STARTING, WorkerName.READY]
    assert heard.gaps == []


async def test_a_worker_killed_three_times_loses_no_second_and_repeats_none() -> None:
    blocks = night(150)
    reference = await undisturbed(blocks)
    heard = Heard()
    link = make(heard, KERNELS, patience=Patience(early_s=0.0))
    async with running(link):
        for start in range(0, len(blocks), 100):
            for each in blocks[start : start + 100]:
                link.feed(each)
            await until(link, lambda: link.state.name is WorkerName.READY and link.state.queued_blocks < 90)
            if start < 300:
                await kill(link)
        await until(link, answered(link))
    assert heard.seconds == reference.seconds
    assert heard.gaps == []
    assert link.state.restarts == 3
    for quantity, tolerance in (("heart_rate", 0.2), ("respiration_rate", 0.2), ("vital_sign", 0.0)):
        assert _values(heard, quantity) == pytest.approx(_values(reference, quantity), abs=tolerance)


def _values(heard: Heard, quantity: str) -> list[float]:
    return [r.value for r in heard.results if isinstance(r, Measurement) and r.quantity == quantity]


async def test_a_worker_that_hangs_is_replaced_and_its_blocks_are_answered(cache: Path) -> None:
    heard = Heard()
    link = make(heard, cache, patience=Patience(hang_s=1.0, check_s=0.1), code=PLAIN + RUN)
    blocks = night(20)
    async with running(link):
        await until(link, lambda: link.state.name is WorkerName.READY)
        assert link.state.pid is not None
        os.kill(link.state.pid, signal.SIGSTOP)
        for each in blocks:
            link.feed(each)
        await until(link, lambda: link.state.restarts == 1)
        await until(link, answered(link))
    assert "no answer for" in heard.states[2].reason
    assert len(_values(heard, "bed_occupied")) == 20


async def test_a_device_described_before_its_first_block_keeps_its_settings_after_a_restart() -> None:
    heard = Heard()
    link = make(heard, KERNELS, patience=Patience(early_s=0.0), code=PLAIN + RUN)
    link.describe("belt-1", "bed.load", {"load_on_kg": 90.0, "load_off_kg": 60.0})
    blocks = night(24)
    async with running(link):
        for half in (blocks[:48], blocks[48:]):
            for each in half:
                link.feed(each)
            await until(link, lambda: link.state.name is WorkerName.READY and link.state.queued_blocks == 0)
            await kill(link)
    assert _values(heard, "bed_occupied")
    assert set(_values(heard, "bed_occupied")) == {0.0}


async def test_a_full_buffer_drops_the_oldest_block_and_says_so() -> None:
    heard = Heard()
    link = make(heard, KERNELS, patience=Patience(buffer_s=10.0))
    blocks = [each for each in night(16) if each.channel == "bed.wave"]
    for each in blocks:
        link.feed(each)
    assert [gap.at for gap in heard.gaps] == [each.start for each in blocks[: len(heard.gaps)]]
    assert sum(gap.lost for gap in heard.gaps) == 50 * len(heard.gaps)
    assert heard.gaps[0].reason == "worker buffer full"
    assert link.state.queued_blocks == len(blocks) - len(heard.gaps) == 21


async def test_a_block_that_cannot_be_what_its_channel_says_becomes_a_gap_and_kills_nobody() -> None:
    heard = Heard()
    link = make(heard, KERNELS, code=PLAIN + RUN)
    async with running(link):
        link.feed(block("acc", np.zeros(10), rate_hz=52.0))
        for each in night(4):
            link.feed(each)
        await until(link, answered(link))
    assert link.state.restarts == 0
    assert [(gap.what, gap.lost) for gap in heard.gaps] == [("acc", 10)]
    assert "expected (10, 3)" in heard.gaps[0].reason
    assert _values(heard, "bed_occupied")


async def test_a_worker_that_always_dies_early_gets_a_fresh_cache_once_and_is_then_degraded(tmp_path: Path) -> None:
    damaged = tmp_path / f"{warm.PREFIX}damaged"
    damaged.mkdir()
    heard = Heard()
    code = (
        "import os, sys\n"
        "if os.environ.get('NUMBA_DISABLE_JIT') != '1': sys.exit('LLVM ERROR: bad machine code')\n"
        "from gateway import worker\n"
        "sys.exit(worker.main())\n"
    )
    link = make(heard, tmp_path, patience=Patience(backoff_s=(0.0,)), code=code)
    blocks = night(60)
    async with running(link):
        for each in blocks:
            link.feed(each)
        await until(link, lambda: link.state.name is WorkerName.DEGRADED)
        await until(link, answered(link))
    assert not damaged.exists()
    assert "LLVM ERROR: bad machine code" in link.state.reason
    assert [state.name for state in heard.states] == [
        WorkerName.STARTING, WorkerName.DEAD, WorkerName.STARTING, WorkerName.DEAD,
        WorkerName.STARTING, WorkerName.DEGRADED,
    ]  # fmt: skip
    assert len(_values(heard, "bed_occupied")) == 60
    assert _values(heard, "respiration_rate") == pytest.approx([15.0] * 5, abs=0.3)
    assert _values(heard, "heart_rate") == []


async def test_a_degraded_worker_still_tells_exits_falls_and_slow_breath_and_why_there_is_no_pulse(
    tmp_path: Path,
) -> None:
    heard = Heard()
    code = "import os, sys\nif os.environ.get('NUMBA_DISABLE_JIT') != '1': os.abort()\nfrom gateway import worker\n"
    link = make(heard, tmp_path, patience=Patience(backoff_s=(0.0,)), code=code + RUN)
    load = np.concatenate([np.full(600, 45.0), np.full(100, 0.5)])
    wave = np.concatenate([sleeper(60.0), empty_bed(10.0)])
    blocks = [block("bed.wave", wave[i : i + 100], at_s=i / 100) for i in range(0, len(wave), 100)]
    blocks += [block("bed.load", load[i : i + 10], at_s=i / 10, rate_hz=10.0) for i in range(0, len(load), 10)]
    acc = falling_wrist(5.0, 30.0)
    fall = [
        block("acc", acc[i : i + 52], at_s=i / 52, rate_hz=52.0, device="band-1") for i in range(0, len(acc), 52)
    ]
    async with running(link):
        for each in sorted([*blocks, *fall], key=lambda each: each.start):
            link.feed(each)
        await until(link, lambda: link.state.name is WorkerName.DEGRADED)
        await until(link, answered(link))
    assert heard.gaps == []
    kinds = [(r.kind, round(r.at.since_s(START))) for r in heard.results if isinstance(r, Event)]
    assert [at_s for kind, at_s in kinds if kind == "fall_suspected"] == [pytest.approx(5 + CONFIRMATION_S, abs=1)]
    assert [at_s for kind, at_s in kinds if kind == "bed_exited"] == pytest.approx([63], abs=2)
    assert _values(heard, "respiration_rate") == pytest.approx([15.0] * 5, abs=0.3)
    assert ("belt-1", "degraded") in [(device, reasons.get("heart_rate")) for device, reasons in heard.withheld]


async def test_kernels_with_wrong_numbers_end_in_plain_python_after_one_fresh_cache(tmp_path: Path) -> None:
    heard = Heard()
    code = (
        "import os, sys\n"
        "from gateway.dsp import selftest\n"
        "right = selftest.golden()\n"
        "if os.environ.get('NUMBA_DISABLE_JIT') != '1': selftest.golden = lambda: right | {'fall': [0.5]}\n"
        "from gateway import worker\n"
    )
    link = make(heard, tmp_path, patience=Patience(backoff_s=(0.0,)), code=code + RUN)
    async with running(link):
        for each in night(15):
            link.feed(each)
        await until(link, lambda: link.state.name is WorkerName.DEGRADED)
        await until(link, answered(link))
    assert link.state.restarts == 2
    assert "exit code 70" in link.state.reason
    assert "kernel fall answers" in link.state.reason
    assert len(_values(heard, "bed_occupied")) == 15


async def test_a_foreign_cpu_name_does_not_cost_a_restart(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CPU_NAME", "i486")  # 32 bits: LLVM aborts the process when it meets it
    heard = Heard()
    link = make(heard, cache)
    async with running(link):
        for each in night(5):
            link.feed(each)
        await until(link, lambda: link.state.name is WorkerName.READY)
        await until(link, answered(link))
    assert link.state.restarts == 0
    assert "kernel cache warm" in link.state.reason
    assert len(_values(heard, "bed_occupied")) == 5


async def test_a_warm_worker_is_ready_within_three_seconds(cache: Path) -> None:
    """CPU time of the process: on a machine that does something else, too, its wall time says little."""
    link = make(Heard(), cache)
    async with running(link):
        await until(link, lambda: link.state.name is WorkerName.READY)
        assert link.state.pid is not None
        spent = psutil.Process(link.state.pid).cpu_times()
    assert "kernel cache warm" in link.state.reason
    assert spent.user + spent.system < 3.0
    assert 0 < link.state.rss_bytes < 170e6


async def test_why_a_quantity_has_no_value_reaches_the_link_and_survives_a_restart(cache: Path) -> None:
    heard = Heard()
    link = make(heard, cache, patience=Patience(backoff_s=(0.0,)))
    dead = [block("bed.wave", np.full(50, 0.25), at_s=i / 2) for i in range(60)]
    async with running(link):
        for each in dead:
            link.feed(each)
        await until(link, answered(link))
        await kill(link)
        link.feed(block("bed.wave", np.full(100, 0.25), at_s=30.0))
        await until(link, answered(link))
    assert heard.withheld[0][0] == "belt-1"
    assert heard.withheld[-1][1]["heart_rate"] == "constant"


async def test_a_degraded_worker_makes_way_for_a_compiled_one_after_a_while(cache: Path) -> None:
    heard = Heard()
    code = (
        "import os, sys, pathlib\n"
        "mark = pathlib.Path(sys.argv[2]) / 'was_degraded'\n"
        "if os.environ.get('NUMBA_DISABLE_JIT') == '1': mark.touch()\n"
        "elif not mark.exists(): sys.exit(1)\n"
        "from gateway import worker\n"
        "sys.exit(worker.main())\n"
    )
    link = make(heard, cache, patience=Patience(backoff_s=(0.0,), retry_compiled_s=1.0, check_s=0.1), code=code)
    async with running(link):
        await until(link, lambda: link.state.name is WorkerName.READY)
    names = [state.name for state in heard.states]
    assert names[-4:] == [WorkerName.DEGRADED, WorkerName.DEAD, WorkerName.STARTING, WorkerName.READY]


async def test_a_block_that_kills_every_worker_is_dropped_with_a_gap(cache: Path) -> None:
    heard = Heard()
    code = PLAIN + (
        "process = worker.Loop._process\n"
        "def deadly(self, feed):\n"
        "    if feed.lost_before == 7: sys.exit('cannot bear it')\n"
        "    return process(self, feed)\n"
        "worker.Loop._process = deadly\n"
    )
    link = make(heard, cache, patience=Patience(backoff_s=(0.0,)), code=code + RUN)
    blocks = [each for each in night(10) if each.channel == "bed.load"]
    deadly = block("bed.load", np.full(5, 45.0), at_s=10.7, rate_hz=10.0, lost_before=7)
    async with running(link):
        for each in [*blocks, deadly, block("bed.load", np.full(20, 45.0), at_s=11.2, rate_hz=10.0)]:
            link.feed(each)
        await until(link, answered(link))
    assert [(gap.reason, gap.lost) for gap in heard.gaps] == [("the worker died of it twice", 5)]
    assert link.state.name is WorkerName.READY
    assert link.state.restarts == 2


async def test_a_worker_that_speaks_nonsense_is_replaced(cache: Path) -> None:
    heard = Heard()
    link = make(heard, cache, patience=Patience(backoff_s=(0.0,)), code="print('hello, this is not a frame')")
    async with running(link):
        await until(link, lambda: link.state.restarts >= 2)
    assert "frame says" in heard.states[1].reason


async def test_a_worker_that_cannot_be_started_is_reported_and_tried_again() -> None:
    heard = Heard()
    link = WorkerLink(
        SystemClock(), cache_dir=KERNELS, on_result=heard.results.append, on_gap=heard.gaps.append,
        on_state=heard.states.append, patience=Patience(backoff_s=(0.01,)), command=("no-such-program",),
    )  # fmt: skip
    async with running(link):
        await until(link, lambda: len(heard.states) >= 2)
    assert heard.states[0].name is WorkerName.DEAD
    assert "no-such-program" in heard.states[0].reason


async def test_a_damaged_cache_that_its_own_manifest_vouches_for_costs_one_worker_and_is_rebuilt(cache: Path) -> None:
    (kernels,) = cache.glob(f"{warm.PREFIX}*")
    for machine_code in kernels.rglob("*.nbc"):
        machine_code.write_bytes(b"")
    warm.seal(kernels)
    heard = Heard()
    link = make(heard, cache, patience=Patience(backoff_s=(0.0,)))
    async with running(link):
        for each in night(15):
            link.feed(each)
        await until(link, answered(link))
    assert [state.name for state in heard.states] == [
        WorkerName.STARTING, WorkerName.DEAD, WorkerName.STARTING, WorkerName.READY,
    ]  # fmt: skip
    assert "kernel cache cold" in link.state.reason
    assert len(_values(heard, "bed_occupied")) == 15


@pytest.mark.parametrize("turns", range(12))
async def test_a_link_can_be_stopped_at_any_moment_of_a_restart(cache: Path, turns: int) -> None:
    link = make(Heard(), cache, patience=Patience(backoff_s=(0.0,)), code="raise SystemExit(1)")
    async with asyncio.timeout(WAIT_S), running(link):
        await until(link, lambda: link.state.restarts >= 2)
        for _ in range(turns):
            await asyncio.sleep(0)


async def test_a_worker_that_closes_its_output_and_lives_on_is_replaced(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_link, "END_S", 0.2)
    heard = Heard()
    code = "import os, time\nos.close(1)\ntime.sleep(60)"
    link = make(heard, cache, patience=Patience(backoff_s=(0.0,)), code=code)
    async with running(link):
        await until(link, lambda: link.state.restarts >= 1)
    assert heard.states[1].reason == "it closed its output but did not end"
