"""Promises of the daemon's life: ready in order, never a dead port, out with what it has, and on through bad days."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.core.clock import SystemClock
from gateway.demo.broker import free_port

PATIENCE_S = 30.0

GOOD = """
[site]
gateway = "gw-test"
site = "s-TEST"
time_zone = "Europe/Paris"
language = "fr"
mode = "test"
[paths]
state_dir = "{directory}/state"
cache_dir = "{directory}/cache"
runtime_dir = "{directory}/run"
[page]
port = {port}
"""


class Box:
    """`python -m gateway run` with a notify socket of ours."""

    def __init__(self, directory: Path, text: str, port: int) -> None:
        self.config = directory / "carebed.toml"
        self.config.write_text(text.format(directory=directory, port=port))
        self.url = f"http://127.0.0.1:{port}"
        self.log = directory / "log"
        self.notices: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(directory / "notify"))
        self._address = str(directory / "notify")
        self.process: asyncio.subprocess.Process | None = None

    async def start(self, **environment: str) -> None:
        env = os.environ | {"NOTIFY_SOCKET": self._address} | environment
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gateway", "run", "--config", str(self.config), stderr=log, stdout=log, env=env
            )

    async def notice(self, beginning: str) -> str:
        """The next notification that begins so."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PATIENCE_S):
            while True:
                text = (await loop.sock_recv(self._socket, 4096)).decode()
                self.notices.append(text)
                if text.startswith(beginning):
                    return text

    async def ask(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.url, timeout=5) as client:
            return await client.get(path)

    async def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(PATIENCE_S):
            return await self.process.wait()


@asynccontextmanager
async def box(directory: Path, text: str = GOOD, **environment: str) -> AsyncIterator[Box]:
    made = Box(directory, text, free_port())
    await made.start(**environment)
    try:
        yield made
    finally:
        await made.stop(signal.SIGKILL)
        made._socket.close()


async def state_of(made: Box, part: str) -> dict[str, Any]:
    parts: list[dict[str, Any]] = (await made.ask("/api/v1/health")).json()["parts"]
    return next((entry for entry in parts if entry["name"] == part), {"state": "unknown"})


async def until_state(made: Box, part: str, *states: str) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE_S * 2):
        while True:
            entry = await state_of(made, part)
            if entry["state"] in states:
                return entry
            await SystemClock().sleep(0.1)


async def test_ready_is_said_once_the_page_answers_and_a_term_ends_with_zero(tmp_path: Path) -> None:
    async with box(tmp_path) as made:
        await made.notice("READY=1")
        assert (await made.ask("/api/v1/health")).status_code == 200
        assert await made.stop() == 0
        await made.notice("STOPPING=1")


async def test_the_watchdog_is_fed_while_the_rules_tick(tmp_path: Path) -> None:
    async with box(tmp_path, WATCHDOG_USEC="1500000") as made:
        await made.notice("READY=1")
        await made.notice("WATCHDOG=1")
        await made.notice("WATCHDOG=1")


async def test_a_hangup_is_answered_as_a_reload_and_does_not_end_the_box(tmp_path: Path) -> None:
    async with box(tmp_path) as made:
        await made.notice("READY=1")
        assert made.process is not None
        made.process.send_signal(signal.SIGHUP)
        await made.notice("RELOADING=1")
        await made.notice("READY=1")
        assert (await made.ask("/api/v1/health")).status_code == 200


async def test_the_watchdog_is_fed_while_a_broken_file_is_explained(tmp_path: Path) -> None:
    async with box(tmp_path, GOOD.replace("Europe/Paris", "Europe/Pari"), WATCHDOG_USEC="1500000") as made:
        await made.notice("READY=1")
        await made.notice("WATCHDOG=1")
        await made.notice("WATCHDOG=1")


async def test_a_box_whose_databases_cannot_be_opened_goes_to_work_once_they_can(tmp_path: Path) -> None:
    """As on a disk that was full at the start: nobody has to restart the box when there is room."""
    in_the_way = tmp_path / "state"
    in_the_way.write_text("no directory")
    async with box(tmp_path) as made:
        assert "1 fault" in await made.notice("READY=1")
        in_the_way.unlink()
        assert "0 beds" in await made.notice("READY=1")
        assert (await made.ask("/api/v1/health")).status_code == 200
        assert await made.stop() == 0
    assert made.log.read_text().count("cannot be used as the state directory") == 1


async def test_a_broken_file_and_a_page_port_that_is_taken_is_busy_and_says_who_to_look_for(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        text = GOOD.replace('language = "fr"', 'language = "de"').replace("{port}", str(other.getsockname()[1]))
        async with box(tmp_path, text) as made:
            assert made.process is not None
            async with asyncio.timeout(PATIENCE_S):
                assert await made.process.wait() == 75
            assert "1 fault" in made.log.read_text()
            assert "ss -ltnp" in made.log.read_text()


async def test_an_uplink_without_its_authority_costs_the_uplink_and_not_the_box(tmp_path: Path) -> None:
    upstream = """
[[upstream]]
name = "district"
host = "mqtt.example.org"
tenant = "t1"
ca_file = "{directory}/away.pem"
"""
    async with box(tmp_path, GOOD + upstream) as made:
        await made.notice("READY=1")
        (uplink,) = (await made.ask("/api/v1/uplinks")).json()
        assert uplink["state"] == "lost"
        assert "away.pem" in uplink["reason"]
        assert await made.stop() == 0


async def test_a_broken_file_is_a_page_that_names_every_fault(tmp_path: Path) -> None:
    broken = GOOD.replace('language = "fr"', 'language = "de"').replace("Europe/Paris", "Europe/Pari")
    async with box(tmp_path, broken) as made:
        notice = await made.notice("READY=1")
        assert "2 faults" in notice
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    page = await made.ask("/")
                    break
                except httpx.ConnectError:
                    await SystemClock().sleep(0.05)
        assert page.status_code == 503
        assert "Europe/Paris" in page.text  # the nearest zone there is
        faults = (await made.ask("/api/v1/ward")).json()["faults"]
        assert sorted(fault["key"].rpartition(".")[2].split()[-1] for fault in faults) == ["language", "time_zone"]
        assert await made.stop() == 78


async def test_a_file_that_is_mended_is_taken_up_without_a_restart(tmp_path: Path) -> None:
    async with box(tmp_path, GOOD.replace("Europe/Paris", "Europe/Pari")) as made:
        assert "1 faults" in await made.notice("READY=1")
        made.config.write_text(made.config.read_text().replace("Europe/Pari", "Europe/Paris"))
        assert "0 beds" in await made.notice("READY=1")
        assert (await made.ask("/api/v1/health")).status_code == 200
        assert await made.stop() == 0


async def test_a_killed_worker_is_replaced_and_the_box_goes_on(tmp_path: Path) -> None:
    async with box(tmp_path) as made:
        await made.notice("READY=1")
        await until_state(made, "worker", "ready")
        health = (await made.ask("/api/v1/health")).json()
        pid = int(health["gauges"]["worker_pid"])
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(PATIENCE_S):
            while (await made.ask("/api/v1/health")).json()["gauges"]["worker_restarts"] < 1:
                await SystemClock().sleep(0.1)
        await until_state(made, "worker", "ready")
        again = (await made.ask("/api/v1/health")).json()
        assert int(again["gauges"]["worker_pid"]) != pid


async def test_two_daemons_on_one_state_directory_do_not_both_run(tmp_path: Path) -> None:
    async with box(tmp_path) as made:
        await made.notice("READY=1")
        second = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", "run", "--config", str(made.config), stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(PATIENCE_S):
            _, said = await second.communicate()
        assert second.returncode == 75, said.decode()
        assert b"in use by another process" in said
        assert (await made.ask("/api/v1/health")).status_code == 200


async def test_a_database_from_the_future_is_explained_on_the_page_and_left_alone(tmp_path: Path) -> None:
    import sqlite3

    (tmp_path / "state").mkdir()
    with sqlite3.connect(tmp_path / "state" / "journal.db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    before = (tmp_path / "state" / "journal.db").read_bytes()
    async with box(tmp_path) as made:
        await made.notice("READY=1")
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    page = await made.ask("/")
                    break
                except httpx.ConnectError:
                    await SystemClock().sleep(0.05)
        assert page.status_code == 503
        assert "99" in page.text
    assert (tmp_path / "state" / "journal.db").read_bytes() == before


@pytest.mark.parametrize("missing", ["port", "radio"])
async def test_what_is_not_plugged_in_costs_only_itself(tmp_path: Path, missing: str) -> None:
    sections = {
        "port": '[[serial]]\nname = "belt"\npath = "/dev/carebed-no-such-port"\n',
        "radio": '[[ble]]\nname = "radio"\nbackend = "virtual"\nhci = "tcp-client:127.0.0.1:9"\n',
    }
    now_ns = SystemClock().real_ns()
    clock = f"[clock]\nspeed = 10.0\norigin_real_ns = {now_ns}\norigin_utc_ns = 1795500000000000000\n"
    async with box(tmp_path, GOOD + clock + sections[missing]) as made:
        await made.notice("READY=1")
        if missing == "radio":
            async with asyncio.timeout(PATIENCE_S):
                while not [a for a in (await made.ask("/api/v1/alarms")).json() if a["rule"] == "box_in_trouble"]:
                    await SystemClock().sleep(0.1)
        assert (await made.ask("/api/v1/health")).status_code == 200
        assert await made.stop() == 0
