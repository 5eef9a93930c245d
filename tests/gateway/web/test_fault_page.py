"""A broken configuration is a page: every fault with line and hint, in the reader's language, and never a 200."""

import httpx
import pytest

from gateway.config import parse
from gateway.core.errors import ConfigError, Fault
from gateway.web.app import fault_app
from tests.gateway.test_config import TWELVE
from tests.gateway.web.conftest import BASE


def broken() -> ConfigError:
    try:
        parse(TWELVE, "/etc/carebed/carebed.toml")
    except ConfigError as error:
        return error
    raise AssertionError("twelve mistakes were accepted")


def client_of(error: ConfigError) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=fault_app(error)), base_url=BASE)


@pytest.mark.parametrize("path", ["/", "/alarms", "/anything/at/all"])
async def test_every_address_explains_every_fault(path: str) -> None:
    async with client_of(broken()) as client:
        answer = await client.get(path)
    assert answer.status_code == 503
    for fault in broken().faults:
        assert f"Line {fault.line} · <code>{fault.key}</code>" in answer.text
    assert "did you mean" in answer.text
    assert "carebed check-config /etc/carebed/carebed.toml" in answer.text
    assert "watches no bed" in answer.text


@pytest.mark.parametrize(
    ("header", "word"), [("zh-CN,zh", "配置文件有误"), ("fr", "défaut"), ("de", "configuration file is broken")]
)
async def test_the_fault_page_follows_the_browsers_language(header: str, word: str) -> None:
    async with client_of(broken()) as client:
        assert word in (await client.get("/", headers={"accept-language": header})).text


async def test_the_faults_are_json_for_the_command_line_too() -> None:
    async with client_of(broken()) as client:
        answer = await client.get("/api/v1/health")
    assert answer.status_code == 503
    assert [fault["line"] for fault in answer.json()["faults"]] == [fault.line for fault in broken().faults]


async def test_markup_in_the_broken_file_stays_text() -> None:
    error = ConfigError("<b>.toml", (Fault(1, "<i>", "<script>alert(1)</script>", "<img src=x>"),))
    async with client_of(error) as client:
        text = (await client.get("/")).text
    assert "<script>alert" not in text
    assert "<img" not in text


async def test_static_files_are_served_so_that_the_page_is_readable() -> None:
    async with client_of(broken()) as client:
        assert (await client.get("/static/carebed.css")).status_code == 200


async def test_a_foreign_host_name_is_refused_here_too() -> None:
    async with client_of(broken()) as client:
        assert (await client.get("/", headers={"host": "evil.example"})).status_code == 421
