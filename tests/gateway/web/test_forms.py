"""Acknowledging and closing on the page: a name is required, other sites are refused, a reload repeats nothing."""

import re

import httpx
import pytest

from tests.gateway.house import House

ACKNOWLEDGE, CLOSE = "/alarms/a-1/acknowledge", "/alarms/a-1/close"


async def token_of(client: httpx.AsyncClient) -> str:
    found = re.search(r'name="token" value="(\w+)"', (await client.get("/alarms/a-1")).text)
    assert found
    return found.group(1)


def acknowledged_by(house: House) -> str | None:
    shown = house.model.alarm("a-1")
    assert shown is not None
    return shown.acknowledged_by


async def test_an_alarm_is_acknowledged_in_the_name_of_a_person(house: House, client: httpx.AsyncClient) -> None:
    house.alarm()
    form = {"by": "N-12", "note": "on my way", "token": await token_of(client)}
    answer = await client.post(ACKNOWLEDGE, data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/alarms/a-1?done=acknowledge")
    page = (await client.get(answer.headers["location"])).text
    assert "Acknowledged and stored." in page
    assert "Acknowledged by N-12" in page
    assert "on my way" in page
    assert f'action="{ACKNOWLEDGE}"' not in page


async def test_an_alarm_is_closed_with_an_outcome(house: House, client: httpx.AsyncClient) -> None:
    house.alarm()
    form = {"by": "N-12", "outcome": "helped", "token": await token_of(client)}
    answer = await client.post(CLOSE, data=form, follow_redirects=True)
    assert "Closed: Person was helped" in answer.text
    assert "<form" not in answer.text
    assert house.model.open_alarms() == ()


@pytest.mark.parametrize("by", ["", "  "])
async def test_without_a_name_nothing_happens_and_the_reason_is_shown(
    house: House, client: httpx.AsyncClient, by: str
) -> None:
    house.alarm()
    answer = await client.post(ACKNOWLEDGE, data={"by": by, "token": await token_of(client)})
    assert answer.status_code == 422
    assert "Give your name or staff number" in answer.text
    assert acknowledged_by(house) is None


async def test_without_an_outcome_the_alarm_stays_open_and_the_name_is_kept(
    house: House, client: httpx.AsyncClient
) -> None:
    house.alarm()
    answer = await client.post(CLOSE, data={"by": "N-12", "token": await token_of(client)})
    assert answer.status_code == 422
    assert "Choose one of the outcomes." in answer.text
    assert 'value="N-12"' in answer.text
    assert len(house.model.open_alarms()) == 1


async def test_the_second_of_two_people_is_told_who_was_first(house: House, client: httpx.AsyncClient) -> None:
    house.alarm()
    token = await token_of(client)
    await client.post(ACKNOWLEDGE, data={"by": "N-12", "token": token})
    answer = await client.post(ACKNOWLEDGE, data={"by": "N-13", "token": token})
    assert "N-12 has already acknowledged the alarm." in answer.text
    assert acknowledged_by(house) == "N-12"


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://127.0.0.1:9999"},
    ],
)
async def test_another_site_cannot_answer_an_alarm(
    house: House, client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    house.alarm()
    form = {"by": "N-12", "token": await token_of(client)}
    answer = await client.post(ACKNOWLEDGE, data=form, headers=headers)
    assert answer.status_code == 403
    assert acknowledged_by(house) is None


@pytest.mark.parametrize("token", ["", "0" * 32, "ü"])
async def test_a_form_without_the_browsers_own_token_is_refused(
    house: House, client: httpx.AsyncClient, token: str
) -> None:
    house.alarm()
    await token_of(client)
    assert (await client.post(ACKNOWLEDGE, data={"by": "N-12", "token": token})).status_code == 403
    assert acknowledged_by(house) is None


async def test_a_form_without_any_cookie_is_refused(house: House, client: httpx.AsyncClient) -> None:
    house.alarm()
    token = await token_of(client)
    client.cookies.clear()
    assert (await client.post(ACKNOWLEDGE, data={"by": "N-12", "token": token})).status_code == 403


async def test_a_browsers_own_form_is_accepted_with_the_headers_browsers_send(
    house: House, client: httpx.AsyncClient
) -> None:
    house.alarm()
    headers = {"origin": "http://127.0.0.1:8080", "sec-fetch-site": "same-origin"}
    form = {"by": "N-12", "token": await token_of(client)}
    assert (await client.post(ACKNOWLEDGE, data=form, headers=headers)).status_code == 303


async def test_cookies_are_kept_from_scripts_and_other_sites(client: httpx.AsyncClient) -> None:
    answer = await client.get("/?lang=fr")
    cookies = answer.headers.get_list("set-cookie")
    assert len(cookies) == 2
    assert all("HttpOnly" in cookie and "SameSite=" in cookie for cookie in cookies)
    assert any("carebed_form" in cookie and "SameSite=strict" in cookie for cookie in cookies)


async def test_an_unknown_alarm_is_answered_in_words(house: House, client: httpx.AsyncClient) -> None:
    house.alarm()
    form = {"by": "x", "outcome": "test", "token": await token_of(client)}
    answer = await client.post("/alarms/a-9/close", data=form)
    assert answer.status_code == 404
    assert "There is no alarm a-9." in answer.text


@pytest.mark.parametrize("field", ["by", "note"])
async def test_absurdly_long_answers_are_refused(house: House, client: httpx.AsyncClient, field: str) -> None:
    house.alarm()
    form = {"by": "N-12", "token": await token_of(client), field: "x" * 1000}
    assert (await client.post(ACKNOWLEDGE, data=form)).status_code == 422


async def test_a_note_full_of_markup_is_kept_as_text(house: House, client: httpx.AsyncClient) -> None:
    house.alarm()
    form = {"by": "<b>N</b>", "note": "<img src=x>", "token": await token_of(client)}
    page = (await client.post(ACKNOWLEDGE, data=form, follow_redirects=True)).text
    assert "&lt;img src=x&gt;" in page
    assert "&lt;b&gt;N&lt;/b&gt;" in page


@pytest.mark.parametrize("path", ["/", "/alarms", ACKNOWLEDGE.replace("acknowledge", ""), "/api/v1/ward"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_what_only_reads_cannot_be_written(client: httpx.AsyncClient, path: str, method: str) -> None:
    assert (await client.request(method, path)).status_code in (404, 405)


async def test_an_alarm_is_not_answered_by_following_a_link(house: House, client: httpx.AsyncClient) -> None:
    house.alarm()
    assert (await client.get(ACKNOWLEDGE)).status_code in (404, 405)
    assert acknowledged_by(house) is None
