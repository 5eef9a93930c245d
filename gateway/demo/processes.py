"""The processes of the demonstration as the orchestrator holds them: the ward's devices, and the real daemon.

Each has a session of its own: a Ctrl-C is the orchestrator's alone, which then ends them in order.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import httpx

from gateway.core.clock import SystemClock
from gateway.core.errors import CarebedError, LinkError
from gateway.demo.site import Ends, Origin

START_S = 30.0
STOP_S = 15.0
ENDED = {"ended": True}


class WardProcess:
    """The virtual devices in a process of their own; answers come back in order of completion."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue(1000)  # full: the ward waits, nothing is lost
        self._reading = asyncio.create_task(self._read())
        self.ends = Ends((), "", 0)
        self.sums: dict[str, Any] = {}

    @classmethod
    async def start(
        cls, when: Origin, *, beds: int, bands: int, lossy: float | None = None, recordings: Path | None = None
    ) -> "WardProcess":
        """LinkError when the ward does not say that it is ready."""
        arguments = ["--beds", str(beds), "--bands", str(bands), "--speed", str(when.speed)]
        arguments += ["--origin-real-ns", str(when.real_ns), "--origin-utc-ns", str(when.utc_ns)]
        arguments += ["--lossy", str(lossy)] if lossy is not None else []
        arguments += ["--recordings", str(recordings)] if recordings else []
        ward = cls(
            await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gateway.demo.ward", *arguments,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True,
            )
        )  # fmt: skip
        try:
            ready = (await ward.answer(START_S))["ready"]
        except BaseException:  # cancelled while it starts: nobody else knows of it yet
            await ward.stop()
            raise
        ward.ends = Ends(tuple(ready["belts"]), ready["bus"], ready["hci_port"])
        return ward

    async def answer(self, timeout_s: float) -> dict[str, Any]:
        """The next line of the ward. LinkError when none comes."""
        try:
            async with asyncio.timeout(timeout_s):
                answer = await self._answers.get()
        except TimeoutError:
            raise LinkError(f"the virtual ward said nothing for {timeout_s:.0f} s",
                            hint="look at what it printed above") from None  # fmt: skip
        if answer == ENDED:
            raise LinkError(f"the virtual ward ended with code {await self._process.wait()}",
                            hint="look at what it printed above")  # fmt: skip
        return answer

    async def do(self, **command: Any) -> None:
        """Send a command; its answer comes through `answer`."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        await self._process.stdin.drain()

    async def stop(self) -> None:
        """Let the ward finish; `sums` then says what it had sent."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await _end(self._process)
        await self._reading
        while not self._answers.empty():
            self.sums |= self._answers.get_nowait().get("sums", {})

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            await self._answers.put(json.loads(line))
        await self._answers.put(ENDED)


class DaemonProcess:
    """`carebed run` on the virtual site, asked through its own API."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self._process = process
        self.url = url
        self._client = httpx.AsyncClient(base_url=url, timeout=5.0)

    @classmethod
    async def start(cls, config: Path, page_port: int, log: Path) -> "DaemonProcess":
        """Start it and wait until its page answers."""
        with log.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gateway", "run", "--config", str(config), stderr=file, stdout=file,
                start_new_session=True,
            )  # fmt: skip
        daemon = cls(process, f"http://127.0.0.1:{page_port}")
        try:
            async with asyncio.timeout(START_S):
                while await daemon.ask("health") is None:
                    await SystemClock().sleep(0.05)
        except BaseException as error:
            await daemon.stop()
            if isinstance(error, asyncio.CancelledError):
                raise
            show(log)
            if not isinstance(error, TimeoutError):
                raise
            raise LinkError(f"the daemon did not answer within {START_S:.0f} s", hint="see its log above") from None
        return daemon

    async def told(self, what: str) -> Any:
        """As `ask`, of a daemon that has answered before. LinkError when it does so no longer."""
        answer = await self.ask(what)
        if answer is None:
            raise LinkError(f"the daemon no longer answers at {self.url}", hint="see its log above")
        return answer

    async def ask(self, what: str) -> Any:
        """`/api/v1/what` as data; None while nothing listens. CarebedError when the daemon has ended."""
        if self._process.returncode is not None:
            raise CarebedError(f"the daemon ended with code {self._process.returncode}", hint="see its log above")
        try:
            response = await self._client.get(f"/api/v1/{what}")
        except httpx.TransportError:
            return None
        return response.raise_for_status().json()

    @property
    def pid(self) -> int:
        """Of the daemon itself."""
        return self._process.pid

    async def kill(self) -> None:
        """What a power cut is to a process: SIGKILL, no goodbye."""
        await self._client.aclose()
        self._process.kill()
        await self._process.wait()

    async def stop(self) -> int:
        """SIGTERM, and its exit code."""
        await self._client.aclose()
        if self._process.returncode is None:
            self._process.terminate()
        return await _end(self._process)


def show(log: Path) -> None:
    """Print a daemon's log: its directory goes with the demonstration."""
    sys.stderr.write(log.read_text(encoding="utf-8", errors="replace"))


async def _end(process: asyncio.subprocess.Process) -> int:
    try:
        async with asyncio.timeout(STOP_S):
            return await process.wait()
    except TimeoutError:
        process.kill()
        return await process.wait()
