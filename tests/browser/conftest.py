"""A house whose page is served on loopback, and a real Chromium in front of it.

The browser is Debian's; where it is missing these tests are skipped and say so. Screenshots go to the directory named
by CAREBED_SCREENSHOTS, otherwise to pytest's own temporary directory.
"""

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from fastapi import FastAPI
from playwright.async_api import Browser, Page, async_playwright

from gateway.web.serve import serve
from tests.gateway.house import House
from tests.gateway.web.conftest import page_of

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 800}


class Site:
    """The served page; `stop` and `start` play a daemon that restarts."""

    def __init__(self, app: Callable[[], FastAPI]) -> None:
        self._app = app
        self._port = 0
        self._task: asyncio.Task[None] | None = None
        self.url = ""

    async def start(self) -> None:
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        serving = serve(self._app(), host="127.0.0.1", port=self._port, on_ready=ready.set_result)
        self._task = asyncio.create_task(serving)
        self.url = await asyncio.wait_for(ready, 10)
        self._port = int(self.url.rsplit(":", 1)[1].strip("/"))

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


@pytest.fixture
def house() -> House:
    return House()


@pytest_asyncio.fixture(loop_scope="session")
async def ticking(house: House) -> AsyncIterator[None]:
    """The house's clock follows real time while a browser looks on."""

    async def tick() -> None:
        while True:
            await asyncio.sleep(0.05)
            await house.clock.advance(0.05)

    task = asyncio.create_task(tick())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest_asyncio.fixture(loop_scope="session")
async def site(house: House, ticking: None) -> AsyncIterator[Site]:
    site = Site(lambda: page_of(house))
    await site.start()
    yield site
    await site.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium in PATH: apt-get install chromium fonts-wqy-microhei")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """Where screenshots are left to be looked at."""
    directory = Path(os.environ.get("CAREBED_SCREENSHOTS", tmp_path))
    directory.mkdir(parents=True, exist_ok=True)
    return directory


class Witness:
    """Keeps every request and every complaint of a page."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []

    def watch(self, page: Page) -> None:
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))


@contextlib.asynccontextmanager
async def tab(
    browser: Browser, size: dict[str, int], *, dark: bool = False, scripts: bool = True, phone: bool = False
) -> AsyncIterator[tuple[Page, Witness]]:
    """One tab in a context of its own, with its witness."""
    context = await browser.new_context(
        viewport={"width": size["width"], "height": size["height"]},
        color_scheme="dark" if dark else "light",
        java_script_enabled=scripts,
        has_touch=phone,
        is_mobile=phone,
        device_scale_factor=2 if phone else 1,
    )
    page = await context.new_page()
    page.set_default_timeout(10_000)
    witness = Witness()
    witness.watch(page)
    try:
        yield page, witness
    finally:
        await context.close()
