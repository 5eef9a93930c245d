"""The page over real sockets: TCP on loopback, the Unix socket, a taken port, a stopped server, a stalled viewer."""

import asyncio
import contextlib
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gateway.core.errors import LinkError
from gateway.web.serve import serve
from tests.gateway.house import House
from tests.gateway.web.conftest import page_of


@contextlib.asynccontextmanager
async def served(
    house: House, *, port: int = 0, uds: Path | None = None, fallback: bool = False
) -> AsyncIterator[tuple[str, "asyncio.Task[None]"]]:
    """Address and task of a running server; the port is any free one unless told."""
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(
        serve(page_of(house), host="127.0.0.1", port=port, uds=uds, fallback=fallback, on_ready=ready.set_result)
    )
    try:
        yield await asyncio.wait_for(ready, 10), task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_the_page_is_reachable_once_ready_is_called(house: House) -> None:
    async with served(house) as (url, _), httpx.AsyncClient() as client:
        assert (await client.get(url)).status_code == 200


async def test_the_command_lines_socket_serves_the_same_api(house: House, tmp_path: Path) -> None:
    uds = tmp_path / "run" / "page.sock"
    async with served(house, uds=uds):
        transport = httpx.AsyncHTTPTransport(uds=str(uds))
        async with httpx.AsyncClient(transport=transport, base_url="http://carebed") as client:
            assert (await client.get("/api/v1/health")).json()["gateway"] == "gw-3F2A9C"
            house.alarm()
            answer = await client.post("/api/v1/alarms/a-1/acknowledge", json={"by": "N-12"})
            assert answer.json()["acknowledged_by"] == "N-12"


async def test_the_socket_is_closed_to_other_users_and_gone_after_the_stop(house: House, tmp_path: Path) -> None:
    uds = tmp_path / "page.sock"
    async with served(house, uds=uds):
        assert stat.S_IMODE(uds.stat().st_mode) == 0o660
    assert not uds.exists()


async def test_a_socket_left_by_a_killed_daemon_is_replaced(house: House, tmp_path: Path) -> None:
    uds = tmp_path / "page.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(uds))
    async with served(house, uds=uds):
        transport = httpx.AsyncHTTPTransport(uds=str(uds))
        async with httpx.AsyncClient(transport=transport, base_url="http://carebed") as client:
            assert (await client.get("/api/v1/health")).status_code == 200


async def test_a_second_daemon_does_not_steal_the_first_ones_socket(house: House, tmp_path: Path) -> None:
    uds = tmp_path / "page.sock"
    async with served(house, uds=uds):
        with pytest.raises(LinkError, match="another gateway is running"):
            await asyncio.wait_for(serve(page_of(house), host="127.0.0.1", port=0, uds=uds), 5)
        assert uds.exists()


async def test_a_runtime_directory_that_cannot_be_written_is_a_clear_error(house: House) -> None:
    with pytest.raises(LinkError, match="cannot be opened"):
        await serve(page_of(house), host="127.0.0.1", port=0, uds=Path("/proc/nothing/page.sock"))


async def test_a_taken_port_is_an_error_that_names_the_command_to_find_who(house: House) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(LinkError, match=f"port {port}") as caught:
            await serve(page_of(house), host="127.0.0.1", port=port)
    assert "ss -ltnp" in caught.value.hint


async def test_a_demonstration_takes_another_port_when_its_own_is_taken(house: House) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        async with served(house, port=port, fallback=True) as (url, _), httpx.AsyncClient() as client:
            assert f":{port}/" not in url
            assert (await client.get(url)).status_code == 200


async def test_the_server_stops_at_once_although_a_viewer_holds_a_stream(house: House) -> None:
    async with served(house) as (url, task), httpx.AsyncClient() as client:
        async with client.stream("GET", f"{url}api/v1/stream") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            async for line in answer.aiter_lines():
                if line.startswith("event: changed"):
                    break
            task.cancel()
            async with asyncio.timeout(1.5):
                await asyncio.gather(task, return_exceptions=True)
        with pytest.raises(httpx.ConnectError):
            await client.get(url)


async def test_a_viewer_that_never_reads_slows_nobody_down(house: House) -> None:
    async with served(house) as (url, _):
        port = int(url.rsplit(":", 1)[1].strip("/"))
        stalled = []
        for _ in range(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            await writer.drain()
            stalled.append((reader, writer))
        async with httpx.AsyncClient() as client, asyncio.timeout(3):
            for _ in range(20):
                assert (await client.get(f"{url}api/v1/ward")).status_code == 200
        for _, writer in stalled:
            writer.close()


@pytest.mark.parametrize(
    "raw",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"],
)
async def test_garbage_on_the_port_leaves_the_page_alive(house: House, raw: bytes) -> None:
    async with served(house) as (url, _):
        port = int(url.rsplit(":", 1)[1].strip("/"))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(raw)
        await writer.drain()
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 5)
        assert b" 200 " not in answer
        writer.close()
        async with httpx.AsyncClient() as client:
            assert (await client.get(url)).status_code == 200
