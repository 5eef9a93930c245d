"""Hosts, sizes and headers: what is refused before anything is looked at."""

from collections.abc import AsyncIterator
from zoneinfo import ZoneInfo

import httpx
import pytest

from gateway.web.access import MAX_BODY_BYTES
from gateway.web.app import create_app
from gateway.web.render import Surroundings
from tests.gateway.house import House
from tests.gateway.web.conftest import BASE, page_of


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "localhost@evil.example", "[::2]", "[::1", "x\x7fy"]
)
@pytest.mark.parametrize("path", ["/", "/api/v1/ward", "/static/live.js"])
async def test_a_foreign_host_name_is_refused_everywhere(client: httpx.AsyncClient, host: str, path: str) -> None:
    assert (await client.get(path, headers={"host": host})).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:8080", "[::1]:8080"])
async def test_the_boxs_own_names_are_accepted(client: httpx.AsyncClient, host: str) -> None:
    assert (await client.get("/", headers={"host": host})).status_code == 200


async def test_a_page_on_all_addresses_accepts_addresses_and_still_no_names(house: House) -> None:
    app = create_app(
        house.model, house.commands, Surroundings(house.mode, ZoneInfo("UTC"), "en"), house.clock, host="0.0.0.0",
        hosts=["carebed.local"],
    )  # fmt: skip
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=BASE) as client:
        statuses = [
            (await client.get("/", headers={"host": host})).status_code
            for host in ("192.168.1.20:8080", "carebed.local", "evil.example")
        ]
    assert statuses == [200, 200, 421]


@pytest.mark.parametrize("path", ["/", "/nothing", "/api/v1/ward", "/static/live.js", "/live/ward"])
async def test_every_answer_forbids_foreign_code_and_framing(client: httpx.AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    assert headers["content-security-policy"].startswith("default-src 'self'")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


async def test_pages_with_values_are_never_kept_by_the_browser(client: httpx.AsyncClient) -> None:
    assert (await client.get("/")).headers["cache-control"] == "no-store"
    assert (await client.get("/api/v1/ward")).headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/alarms/a-1/acknowledge", "/api/v1/alarms/a-1/acknowledge"])
async def test_an_oversized_body_is_refused(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(path, content=b"x" * (MAX_BODY_BYTES + 1))
    assert answer.status_code == 413


async def test_an_oversized_body_without_a_length_is_refused_too(client: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 1000

    assert (await client.post("/alarms/a-1/close", content=endless())).status_code == 413


async def test_a_lying_content_length_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/alarms/a-1/close", content=b"x", headers={"content-length": "-5"})
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static//etc/passwd", "/docs", "/redoc"]
)
async def test_nothing_but_the_static_files_is_served(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404


async def test_the_command_lines_socket_needs_no_host_name(house: House) -> None:
    transport = httpx.ASGITransport(app=page_of(house), client=None)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://carebed") as client:
        assert (await client.get("/api/v1/health")).status_code == 200
