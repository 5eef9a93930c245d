"""A house with a page in front of it, and a client that speaks to it as a browser on the same machine."""

from collections.abc import AsyncIterator
from zoneinfo import ZoneInfo

import httpx
import pytest
from fastapi import FastAPI

from gateway.web.app import create_app
from gateway.web.render import Surroundings
from tests.gateway.house import House

BASE = "http://127.0.0.1:8080"


def page_of(house: House, language: str = "en") -> FastAPI:
    surroundings = Surroundings(house.mode, ZoneInfo("Asia/Shanghai"), language)
    return create_app(house.model, house.commands, surroundings, house.clock)


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=page_of(house), client=("127.0.0.1", 40_000))
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
        yield client
