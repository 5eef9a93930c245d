"""Connecting on a thread: whoever leaves early leaves no socket behind."""

import asyncio
import socket

import pytest

from gateway.upstream.dial import dial
from gateway.upstream.endpoint import Endpoint


async def test_a_connected_socket_sends_at_once() -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    sock = await dial(Endpoint("127.0.0.1", server.sockets[0].getsockname()[1]), 1.0)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
    sock.close()
    server.close()


async def test_the_loop_goes_on_while_nobody_answers_and_a_cancel_closes_the_socket() -> None:
    closed = asyncio.Event()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.read() == b""
        writer.close()
        closed.set()

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    for rounds in range(3):  # cancelled before, while and after the thread connects
        dialing = asyncio.ensure_future(dial(Endpoint("127.0.0.1", server.sockets[0].getsockname()[1]), 1.0))
        for _ in range(rounds):
            await asyncio.sleep(0)
        dialing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialing
    dialing = asyncio.ensure_future(dial(Endpoint("127.0.0.1", server.sockets[0].getsockname()[1]), 1.0))
    await asyncio.sleep(0)
    dialing.cancel()
    async with asyncio.timeout(5):
        await closed.wait()
    server.close()


async def test_nobody_there_is_an_os_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match="refused"):
            await dial(Endpoint("127.0.0.1", taken.getsockname()[1]), 1.0)
