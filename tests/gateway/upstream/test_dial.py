"""Connecting on a thread: whoever leaves early leaves no socket behind."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.upstream.dial import dial
from gateway.upstream.endpoint import Endpoint


class Listener:
    """Accepts, and tells when the other end has closed. Every accepted end is closed before the loop is."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self._handlers: set[asyncio.Task[None]] = set()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):  # a reset closes as well
            assert await reader.read() == b""
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        self.closed.set()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._handlers.add(asyncio.get_running_loop().create_task(self._accepted(reader, writer)))

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Endpoint]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        try:
            yield Endpoint("127.0.0.1", server.sockets[0].getsockname()[1])
        finally:
            for thread in [one for one in threading.enumerate() if one.name == "mqtt-connect"]:
                await asyncio.to_thread(thread.join)  # one that still connects would be accepted after the end
            for _ in range(20):  # rounds of the loop in which what has connected is accepted and gets its handler
                await asyncio.sleep(0)
            server.close()
            async with asyncio.timeout(5):
                await asyncio.gather(*self._handlers)


async def test_a_connected_socket_sends_at_once() -> None:
    async with Listener().listening() as endpoint:
        sock = await dial(endpoint, 1.0)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        sock.close()


async def test_the_loop_goes_on_while_nobody_answers_and_a_cancel_closes_the_socket() -> None:
    listener = Listener()
    async with listener.listening() as endpoint:
        for rounds in range(3):  # cancelled before, while and after the thread connects
            dialing = asyncio.ensure_future(dial(endpoint, 1.0))
            for _ in range(rounds):
                await asyncio.sleep(0)
            dialing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await dialing
        dialing = asyncio.ensure_future(dial(endpoint, 1.0))
        await asyncio.sleep(0)
        dialing.cancel()
        async with asyncio.timeout(5):
            await listener.closed.wait()


async def test_nobody_there_is_an_os_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match="refused"):
            await dial(Endpoint("127.0.0.1", taken.getsockname()[1]), 1.0)
