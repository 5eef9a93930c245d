"""A real mosquitto on a free loopback port, and a TCP proxy that stands for the home's router and can be cut."""

import asyncio
import contextlib
import shutil
import socket
from collections import deque
from pathlib import Path

from gateway.core.clock import SystemClock, within
from gateway.core.errors import LinkError

START_S = 10.0


_given: deque[int] = deque(maxlen=1000)  # ports handed out lately; the oldest may come again


def free_port() -> int:
    """A loopback port that was free a moment ago; never one that this process has just been given."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port not in _given:
            _given.append(port)
            return port


def find_mosquitto() -> str:
    """Path of the broker; LinkError with the command to type where there is none."""
    for candidate in (shutil.which("mosquitto"), "/usr/sbin/mosquitto"):
        if candidate and Path(candidate).exists():
            return candidate
    raise LinkError("mosquitto is not installed, and the demonstration shows nothing without a real broker",
                    hint="sudo apt-get install mosquitto")  # fmt: skip


class Broker:
    """mosquitto in the foreground, with its state in `directory`; stops with the context."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self._directory = directory
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> "Broker":
        config = self._directory / "mosquitto.conf"
        config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\npersistence false\n"
            "max_queued_messages 0\nlog_type error\nlog_dest stderr\n"
        )
        self._process = await asyncio.create_subprocess_exec(
            find_mosquitto(), "-c", str(config), start_new_session=True
        )
        try:
            listens = await within(SystemClock(), START_S, self._listens)
        except asyncio.CancelledError:
            await self.__aexit__()
            raise
        if not listens:
            await self.__aexit__()
            raise LinkError(f"mosquitto did not listen on 127.0.0.1:{self.port} within {START_S:.0f} s",
                            hint="look at what it printed above")  # fmt: skip
        return self

    def _listens(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(0.2)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    async def __aexit__(self, *_: object) -> None:
        if self._process and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()


class Proxy:
    """Forwards loopback connections to `target_port` until `cut()`, and again after `restore()`."""

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self._target_port = target_port
        self._cut = False
        self._cuts = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()
        if self._server:
            self._server.close()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    def cut(self) -> None:
        """Reset every connection and refuse new ones, as an unplugged router does to a box behind it."""
        self._cut = True
        self._cuts += 1
        for writer in self._writers:
            writer.transport.abort()

    def restore(self) -> None:
        """Let connections through again."""
        self._cut = False

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut:
            writer.transport.abort()
            return
        cuts = self._cuts
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:  # the broker is away: the client sees that as it would without a router
            writer.transport.abort()
            return
        if self._cuts != cuts:  # while the other half was being connected
            for half in (writer, there_writer):
                half.transport.abort()
            return
        self._writers |= {writer, there_writer}
        pumps = [
            asyncio.create_task(self._pump(reader, there_writer)),
            asyncio.create_task(self._pump(there_reader, writer)),
        ]
        self._pumps.update(pumps)
        await asyncio.gather(*pumps)
        self._pumps.difference_update(pumps)
        self._writers -= {writer, there_writer}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):  # a reset is what a cut looks like from here
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.transport.abort()
