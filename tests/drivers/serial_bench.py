"""What the tests of the serial families share: vectors as cases, cut streams, a wire that ends with its test."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from drivers.base import Driver
from drivers.byte_stream import ByteStream
from drivers.faulty_line import VirtualPort
from gateway.core.clock import ManualClock
from gateway.core.errors import CarebedError, ProtocolError
from tests.drivers.recording_sink import RecordingSink

VECTORS = Path(__file__).parents[1] / "vectors"
Decoders = Mapping[str, Callable[[bytes, Mapping[str, Any]], dict[str, Any]]]


def cases(name: str) -> list[dict[str, Any]]:
    """The cases of one vector file."""
    found: list[dict[str, Any]] = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))["cases"]
    return found


def check(decoders: Decoders, case: Mapping[str, Any]) -> None:
    """AssertionError unless the case's bytes decode to what it promises, or are refused where it promises that."""
    expect = case["expect"]
    decode, data, context = decoders[case["kind"]], bytes.fromhex(case["hex"]), case.get("context", {})
    if expect.get("reject"):
        with pytest.raises(ProtocolError):
            decode(data, context)
    else:
        decoded = decode(data, context)
        assert {name: decoded[name] for name in expect} == expect


def cut_up(stream: bytes, cuts: Sequence[int]) -> list[bytes]:
    """The stream in pieces, at places drawn from anywhere."""
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[a:b] for a, b in itertools.pairwise(edges)]


def same_in_any_pieces(make: Callable[[], ByteStream[Any]], stream: bytes, cuts: Sequence[int], longest: int) -> None:
    """One decoder fed whole and one fed in pieces agree; counters add up; what waits stays below `longest`."""
    whole, pieces = make(), make()
    expected, rejects = whole.feed(stream)
    got: list[Any] = []
    for chunk in cut_up(stream, cuts):
        frames, _ = pieces.feed(chunk)
        got += frames
        assert pieces.pending_bytes < longest
        assert pieces.received_bytes == pieces.accepted_bytes + pieces.skipped_bytes + pieces.pending_bytes
    assert got == expected
    assert pieces.rejected == whole.rejected == rejects.counts
    assert pieces.pending == whole.pending
    assert whole.rejected.get("noise", 0) == whole.skipped_bytes


@asynccontextmanager
async def wire() -> AsyncIterator[VirtualPort]:
    """A pseudo-terminal that is unplugged afterwards."""
    port = VirtualPort()
    try:
        yield port
    finally:
        port.unplug()


@asynccontextmanager
async def beside(*jobs: Coroutine[Any, Any, None]) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Run these beside the block, then cancel them; what a job raised by itself is raised here."""
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, CarebedError):
                raise result


async def ended(driver: Driver, sink: RecordingSink) -> BaseException | None:
    """What a driver's run raised by itself."""
    async with asyncio.timeout(15):
        (result,) = await asyncio.gather(driver.run(sink), return_exceptions=True)
    return result


async def flowing(clock: ManualClock, *, step_s: float = 0.02) -> None:
    """Let a manual clock run, at most ten times (50 with steps of 0.1 s) as fast as real time, until cancelled."""
    while True:
        await clock.advance(step_s)
        await asyncio.sleep(0.002)
