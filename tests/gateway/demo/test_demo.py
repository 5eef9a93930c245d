"""The demonstration as a new user starts it: one command, one document, and an exit code that means it."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path

import pytest

LIMIT_S = 150.0  # a machine that is busy with other tests; the story itself is promised in under 50 s when warm


async def test_the_short_story_comes_true(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "demo", "--story", "short", "--json", "--no-browser", "--lang", "en",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(LIMIT_S):
        out, err = await process.communicate()
    verdict = json.loads(out)
    assert process.returncode == 0, json.dumps(verdict, indent=1) + err.decode()
    assert verdict["ok"] is True
    assert {alarm["rule"] for alarm in verdict["alarms"]} == {"fall", "sos", "uplink_lost", "night_exit"}
    during = [alarm for alarm in verdict["alarms"] if alarm["rule"] == "sos" and alarm["while_uplink_cut"]]
    assert [alarm["id"] for alarm in during] == [alarm["id"] for alarm in during if alarm["id"] in
                                                verdict["shown_locally_during_cut"]]  # fmt: skip
    assert during
    assert all(stream["lost"] == 0 and stream["duplicated"] == 0 for stream in verdict["streams"].values())


async def started(directory: Path, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "demo", "--story", "short", "--no-browser", "--lang", "en", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=os.environ | {"TMPDIR": str(directory)},
    )  # fmt: skip


def born_in(directory: Path) -> list[str]:
    """Command lines of the processes that were started on behalf of a demonstration in `directory`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has gone
            if f"TMPDIR={directory}\0".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
async def test_a_demonstration_that_is_ended_early_leaves_no_process_and_no_directory(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = await started(tmp_path)
    assert process.stdout is not None
    async with asyncio.timeout(LIMIT_S):
        while b"http://" not in await process.stdout.readline():
            pass
        assert len(born_in(tmp_path)) >= 4, "orchestrator, broker, ward and daemon"
        process.send_signal(number)
        assert await process.wait() == 130
        assert born_in(tmp_path) == []
        assert list(tmp_path.iterdir()) == []


async def test_a_directory_without_recordings_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    process = await started(tmp_path, "--recordings", str(tmp_path / "nowhere"))
    async with asyncio.timeout(LIMIT_S):
        _, err = await process.communicate()
    assert process.returncode == 78
    assert "weda/*.npz" in err.decode()
    assert "Traceback" not in err.decode()
