"""Unclaimed readings on the page and in /api/v1: looked at, checked, given away by a named person only."""

import re

import httpx
import pytest

from tests.gateway.house import House
from tests.gateway.web.unclaimed import ANNE, Books, measured_at_the_kiosk


@pytest.fixture(autouse=True)  # before the client, whose page takes the house's commands as they are then
def books(house: House) -> Books:
    return Books(house)


async def token(client: httpx.AsyncClient, path: str) -> str:
    found = re.search(r'name="token" value="(\w+)"', (await client.get(path)).text)
    assert found is not None
    return found.group(1)


async def test_an_unclaimed_reading_is_listed_with_kiosk_values_and_limit(
    client: httpx.AsyncClient, books: Books
) -> None:
    measured_at_the_kiosk(books)
    page = (await client.get("/readings")).text
    for shown in ("kiosk", "128", "&gt;33.3", "/readings/kiosk."):
        assert shown in page
    (listed,) = (await client.get("/api/v1/readings/unassigned")).json()
    assert [(one["quantity"], one["value"], one["status"]) for one in listed["values"]] == [
        ("systolic", 128.0, "valid"), ("glucose", 33.3, "over"),
    ]  # fmt: skip


async def test_the_page_asks_twice_and_only_then_is_it_somebodys(client: httpx.AsyncClient, books: Books) -> None:
    reading = measured_at_the_kiosk(books)
    path = f"/readings/{reading}"
    form = {"bed": ANNE, "by": "N-12", "token": await token(client, path)}
    asked = await client.post(path, data=form)
    assert asked.status_code == 200
    assert 'name="sure" value="yes"' in asked.text
    assert books.given == []
    done = await client.post(path, data=form | {"sure": "yes"})
    assert (done.status_code, done.headers["location"]) == (303, "/readings?done=assign")
    assert books.given == [(reading, ANNE, "", "N-12", "page")]
    assert "Assigned and stored." in (await client.get("/readings?done=assign")).text


@pytest.mark.parametrize("missing", ["bed", "by"])
async def test_without_a_bed_or_a_name_the_page_does_not_come_to_the_question(
    client: httpx.AsyncClient, books: Books, missing: str
) -> None:
    path = f"/readings/{measured_at_the_kiosk(books)}"
    form = {"bed": ANNE, "by": "N-12", "token": await token(client, path)} | {missing: " "}
    assert 'name="sure"' not in (await client.post(path, data=form)).text
    refused = await client.post(path, data=form | {"sure": "yes"})
    assert refused.status_code == 422
    assert books.given == []


async def test_another_sites_form_and_another_sites_script_give_nothing_away(
    client: httpx.AsyncClient, books: Books
) -> None:
    reading = measured_at_the_kiosk(books)
    form = {"bed": ANNE, "by": "N-12", "sure": "yes", "token": "0" * 32}
    assert (await client.post(f"/readings/{reading}", data=form)).status_code == 403
    order, asked = f"/api/v1/readings/{reading}/assign", {"bed": ANNE, "by": "N-12"}
    assert (await client.post(order, json=asked, headers={"sec-fetch-site": "cross-site"})).status_code == 403
    assert books.given == []


async def test_the_api_assigns_once_and_says_why_not_the_second_time(client: httpx.AsyncClient, books: Books) -> None:
    order = f"/api/v1/readings/{measured_at_the_kiosk(books)}/assign"
    assert (await client.post(order, json={"bed": "b-99999999", "by": "N-12"})).json()["error"] == "bed_unknown"
    assert (await client.post(order, json={"bed": ANNE, "by": ""})).json()["error"] == "name_missing"
    assert (await client.post(order, json={"bed": ANNE, "by": "N-12"})).status_code == 200
    again = await client.post(order, json={"bed": ANNE, "by": "N-12"})
    assert (again.status_code, again.json()["error"]) == (404, "reading_unknown")
    assert len(books.given) == 1


async def test_an_unknown_reading_is_a_page_that_says_so(client: httpx.AsyncClient, books: Books) -> None:
    answer = await client.get("/readings/kiosk.00000000.1")
    assert answer.status_code == 404
    assert "has been assigned" in answer.text
