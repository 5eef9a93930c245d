"""The router between the virtual house and its broker: what it cuts is cut."""

import asyncio
import contextlib

import pytest

from gateway.demo.broker import Proxy, free_port


async def read_to_the_end(port: int) -> bytes:
    """What a client is told before its connection ends; nothing for one that is reset."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    told = b""
    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionResetError):
            told = await reader.read()
    writer.close()
    return told


async def test_a_cut_reaches_a_connection_whose_other_half_is_just_being_made(monkeypatch: pytest.MonkeyPatch) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    broker_port = server.sockets[0].getsockname()[1]
    connect = asyncio.open_connection
    async with server, Proxy(broker_port) as proxy:

        async def cut_on_the_way(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            halves = await connect(host, port)
            if port == broker_port:
                proxy.cut()
            return halves

        monkeypatch.setattr(asyncio, "open_connection", cut_on_the_way)
        assert await read_to_the_end(proxy.port) == b""


async def test_a_broker_that_is_away_is_a_closed_connection_and_no_fault_of_the_router() -> None:
    troubles: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: troubles.append(context))
    async with Proxy(free_port()) as proxy:
        assert await read_to_the_end(proxy.port) == b""
    assert troubles == []


def test_two_ports_that_are_asked_for_before_either_is_used_are_never_the_same() -> None:
    ports = [free_port() for _ in range(500)]
    assert len(set(ports)) == len(ports)
