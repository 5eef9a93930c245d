"""A broker, a proxy before it, a house, links and platforms that end with the test."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from gateway.core.clock import SystemClock, within
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.lanes import Pace
from gateway.upstream.link import Link
from gateway.upstream.platform import Platform
from gateway.upstream.topics import Topics
from tests.broker import Broker, mosquitto_path
from tests.gateway.upstream.fake_broker import FakeBroker
from tests.gateway.upstream.house import MemoryHouse
from tests.proxy import Proxy

TENANT, GW = "t1", "gw-3F2A9C"
QUICK = Pace(
    start_spread_s=0.0,
    first_retry_s=0.1,
    max_retry_s=0.3,
    urgent_retry_s=0.2,
    backlog_start_s=0.0,
    backlog_rate=200.0,
    poll_s=0.05,
    unwatched_retry_s=0.3,
)


MakeBroker = Callable[..., Broker]


@pytest.fixture
async def make_broker() -> AsyncIterator[MakeBroker]:
    """Brokers, not yet started, that are gone after the test."""
    if mosquitto_path() is None:
        pytest.skip("mosquitto is not installed: apt install mosquitto")
    made: list[Broker] = []

    def make(**arguments: Any) -> Broker:
        made.append(Broker(**arguments))
        return made[-1]

    yield make
    for one in made:
        await one.stop()


@pytest.fixture
async def broker(make_broker: MakeBroker) -> Broker:
    return await make_broker().start()


@pytest.fixture
async def fake() -> AsyncIterator[FakeBroker]:
    started = await FakeBroker().start()
    yield started
    await started.stop()


@pytest.fixture
async def proxy(broker: Broker) -> AsyncIterator[Proxy]:
    started = await Proxy(broker.port).start()
    yield started
    await started.stop()


@pytest.fixture
def house() -> MemoryHouse:
    return MemoryHouse(SystemClock())


Start = Callable[[Any], Awaitable[Any]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Run a link or a platform until the test ends."""
    tasks: list[asyncio.Task[None]] = []

    async def run(runner: Any) -> Any:
        tasks.append(asyncio.get_running_loop().create_task(runner.run()))
        if isinstance(runner, Platform):
            async with asyncio.timeout(10):
                await runner.connected.wait()
        return runner

    yield run
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task


def make_link(house: MemoryHouse, port: int, *, pace: Pace = QUICK, responder: bool = True, **endpoint: Any) -> Link:
    topics = Topics(TENANT, GW)
    return Link("district", Endpoint("127.0.0.1", port, **endpoint), topics, house.port, responder=responder, pace=pace)


def make_platform(port: int, **arguments: Any) -> Platform:
    return Platform(SystemClock(), Endpoint("127.0.0.1", port), TENANT, reply_s=2.0, **arguments)


async def until(ready: Callable[[], bool], seconds: float = 10.0) -> None:
    """Fail when `ready()` does not become true in time."""
    assert await within(SystemClock(), seconds, ready), "it did not happen in time"
