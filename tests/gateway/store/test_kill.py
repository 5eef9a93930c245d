"""kill -9 in the middle of writing: what was accepted is there, whole, and its numbers never come again."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.core.clock import ManualClock
from gateway.store.database import Store
from gateway.store.rows import STREAMS

LINES = (60, 400, 1500, 2500)  # the kill comes after so many acceptances: within a group, between groups, anywhere


def write_and_kill(directory: Path, lines: int) -> dict[str, set[int]]:
    """What the writer said was accepted before it was killed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.gateway.store.writes_until_killed", str(directory)],
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert process.stdout
    told = {stream: set[int]() for stream in STREAMS}
    for number, line in enumerate(_whole_lines(process.stdout), start=1):
        stream, seq = line.split()
        told[stream].add(int(seq))
        if number == lines:
            process.kill()
    process.wait()
    process.stdout.close()
    return told


def _whole_lines(output: Iterator[str]) -> Iterator[str]:
    return (line for line in output if line.endswith("\n"))


async def stored(store: Store, stream: str) -> set[int]:
    return {row.seq for row in await store.outbox.range(stream, 0, 10**6)}


@pytest.mark.parametrize("lines", LINES)
async def test_nothing_accepted_is_lost_by_kill_9(tmp_path: Path, lines: int) -> None:
    told = write_and_kill(tmp_path, lines)
    assert sum(map(len, told.values())) >= lines
    store = await Store.open(tmp_path, ManualClock())
    assert store.findings == ()
    for stream in STREAMS:
        assert await stored(store, stream) >= told[stream], stream
    for row in await store.outbox.range("summary", 0, 10**6):
        assert isinstance(row.body, tuple)
        assert len(row.body) == 1, "a minute without its quantities"
    await store.outbox.link_up("district")
    assert store.outbox.waiting("district")["obs"] == len(await stored(store, "obs"))
    await store.close()


async def test_numbers_stay_unique_through_a_row_of_kills(tmp_path: Path) -> None:
    seen: dict[str, set[int]] = {stream: set() for stream in STREAMS}
    for _ in range(3):
        told = write_and_kill(tmp_path, 300)
        for stream in STREAMS:
            assert not told[stream] & seen[stream], f"a number of {stream} came twice"
            seen[stream] |= told[stream]
    store = await Store.open(tmp_path, ManualClock())
    for stream in STREAMS:
        assert await stored(store, stream) >= seen[stream]
    await store.close()
