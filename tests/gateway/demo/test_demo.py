"""The demonstration as a new user starts it: one command, one document, and an exit code that means it."""

import asyncio
import json
import sys
from pathlib import Path

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
