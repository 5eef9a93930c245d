"""What one bed costs: all its channels through the chains, as the worker feeds them, and how fast a day is replayed.

The bed: a belt's waveform at 100 Hz with its load at 10 Hz, a wrist band's PPG at 25 Hz and acceleration at 50 Hz, in
blocks of one second, with a pulse, a breath and a rhythm in them: chains that withhold everything would cost less.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gateway.core import messages
from gateway.core.errors import CarebedError
from gateway.core.model import Measurement, SampleBlock
from tests.benchmarks.figures import Figure
from tests.evaluation.feeding import DEVICE, blocks
from tests.gateway.dsp.synthetic import finger, sleeper, wrist

if TYPE_CHECKING:
    from gateway.dsp.chain import Chains

STRETCH_S = 600
RUNS = 15
DAY_S = 86_400
FULL_CHAIN_BAR_US, REPLAY_BAR = 100.0, 8000.0
SETTINGS: dict[str, messages.Setting] = {"position": "wrist"}
WANTED = ("heart_rate", "respiration_rate", "pulse_rate", "bed_occupied", "movement")
LEAST_SHARE = 0.8  # of the seconds must tell each of WANTED, or the figure is one of chains that do nothing

def bed(seconds: int) -> list[SampleBlock]:
    """Everything one bed sends, in the order of its arrival."""
    load = 55.0 + 0.1 * np.random.default_rng(3).standard_normal(10 * seconds)
    return list(
        blocks(
            {
                "bed.wave": (100.0, sleeper(seconds)),
                "bed.load": (10.0, load),
                "acc": (50.0, wrist(seconds, 50.0)),
                "ppg": (25.0, finger(seconds, 25.0)),
            }
        )
    )

def measure() -> list[Figure]:
    """CarebedError when the chains tell too little of the bed for their time to mean anything."""
    stretch = bed(STRETCH_S)
    told = _told(stretch)
    fastest_s = min(_run_s(stretch) for _ in range(RUNS))
    day_s, cpu_s, heard = _day_s(stretch)
    told_note = ", ".join(f"{name} in {100 * share:.0f} %" for name, share in told.items())
    return [
        Figure(
            "full chain, CPU per bed-second", 1e6 * fastest_s / STRETCH_S, "µs", FULL_CHAIN_BAR_US, "lower",
            f"fastest of {RUNS} stretches of {STRETCH_S} s; told: {told_note}",
        ),
        Figure(
            "replay of 24 h of one bed, times real time", DAY_S / day_s, "x", REPLAY_BAR, "higher",
            f"wall clock, one process's chains, blocks of 1 s, {heard} results; {DAY_S / cpu_s:.0f} by CPU time, "
            f"load average {os.getloadavg()[0]:.1f}",
        ),
        _through_the_pipe(stretch),
    ]  # fmt: skip

def _chains() -> "Chains":
    from gateway.dsp.chain import Chains  # numba reads where its cache lies once, when a kernel is first imported

    chains = Chains()
    chains.describe(DEVICE, SETTINGS, {})
    return chains

def _told(stretch: list[SampleBlock]) -> dict[str, float]:
    """Share of the seconds that tell each of WANTED. Also the run that is not timed."""
    chains, counts = _chains(), dict.fromkeys(WANTED, 0)
    for block in stretch:
        for result in chains.feed(block):
            if isinstance(result, Measurement) and result.quantity in counts:
                counts[result.quantity] += 1
    shares = {name: count / STRETCH_S for name, count in counts.items()}
    if missing := [name for name, share in shares.items() if share < LEAST_SHARE]:
        raise CarebedError(f"the chains told too little of {', '.join(missing)}: {shares}", hint="what was fed?")
    return shares

def _run_s(stretch: list[SampleBlock]) -> float:
    chains = _chains()
    start = time.process_time()
    for block in stretch:
        chains.feed(block)
    return time.process_time() - start

def _day(stretch: list[SampleBlock]) -> Iterator[list[SampleBlock]]:
    """The stretch again and again with stamps that go on: 24 h without 24 h of memory. Its ends do not meet; the chains
    hear one jerk every ten minutes."""
    for at_s in range(0, DAY_S, STRETCH_S):
        yield [replace(block, start=block.start.plus_s(at_s)) for block in stretch]

def _day_s(stretch: list[SampleBlock]) -> tuple[float, float, int]:
    """Wall and CPU seconds within the chains, and how many results came."""
    chains, spent_s, cpu_s, heard = _chains(), 0.0, 0.0, 0
    for part in _day(stretch):
        start, cpu_start = time.perf_counter(), time.process_time()
        for block in part:
            heard += len(chains.feed(block))
        spent_s, cpu_s = spent_s + time.perf_counter() - start, cpu_s + time.process_time() - cpu_start
    return spent_s, cpu_s, heard

def _through_the_pipe(stretch: list[SampleBlock]) -> Figure:
    """The same with the worker's messages: decode the block, feed it, encode the answer."""
    frames = [messages.encode(messages.feed_of(block, number)) for number, block in enumerate(stretch)]
    fastest = min(_worker_s(frames) for _ in range(5))
    return Figure("full chain with the worker's messages, CPU per bed-second", 1e6 * fastest / STRETCH_S, "µs", None,
                  "lower")  # fmt: skip

def _worker_s(frames: list[bytes]) -> float:
    from gateway.worker import Loop

    loop, splitter = Loop(degraded=False), messages.to_worker()
    loop.answer(messages.Describe(DEVICE, SETTINGS, {}))
    start = time.process_time()
    for frame in frames:
        for message in splitter.feed(frame):
            answer = loop.answer(message)
            assert answer is not None
            messages.encode(answer)
    return time.process_time() - start
