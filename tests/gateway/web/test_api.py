"""/api/v1: the read model as JSON, commands with a reason when refused, and the stream that keeps pages current."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

import httpx
import pytest

from gateway.core.clock import ManualClock
from gateway.web.live import MAX_VIEWERS, LiveStream
from tests.gateway.house import House
from tests.gateway.web.conftest import BASE, page_of

READS = (
    "ward", "beds/b-00000001", "alarms", "alarms/a-1", "devices", "health", "uplinks", "inventory", "blind", "ble/seen",
)  # fmt: skip


@pytest.mark.parametrize("path", READS)
async def test_every_reading_route_answers_json_and_is_in_the_openapi(
    house: House, client: httpx.AsyncClient, path: str
) -> None:
    house.alarm()
    house.measured("heart_rate", 62)
    answer = await client.get(f"/api/v1/{path}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    answer.json()
    paths = (await client.get("/api/v1/openapi.json")).json()["paths"]
    pattern = "/api/v1/" + path.replace("b-00000001", "{bed}").replace("a-1", "{alarm_id}")
    assert "200" in paths[pattern]["get"]["responses"]


async def test_the_ward_as_json_holds_what_the_page_shows(house: House, client: httpx.AsyncClient) -> None:
    house.measured("heart_rate", 62)
    house.alarm()
    ward = (await client.get("/api/v1/ward")).json()
    assert (ward["mode"], ward["open_alarms"], len(ward["beds"])) == ("demo", 1, 2)
    assert ward["beds"][0]["heart"]["value"] == 62
    assert ward["beds"][0]["alarms"][0]["rule"] == "sos"


@pytest.mark.parametrize("path", ["beds/none", "alarms/none", "nothing"])
async def test_what_is_not_there_is_a_404_with_a_hint(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(f"/api/v1/{path}")
    assert answer.status_code == 404
    assert answer.json()["hint"]


async def test_an_alarm_is_acknowledged_and_closed_by_json(house: House, client: httpx.AsyncClient) -> None:
    house.alarm()
    answer = await client.post("/api/v1/alarms/a-1/acknowledge", json={"by": "N-12", "rev": 1})
    assert answer.json() == {"id": "a-1", "rev": 2, "open": True, "acknowledged_by": "N-12", "outcome": ""}
    answer = await client.post("/api/v1/alarms/a-1/close", json={"by": "N-12", "outcome": "false_alarm"})
    assert answer.json()["open"] is False


async def test_a_stale_revision_is_a_conflict_with_the_present_one(house: House, client: httpx.AsyncClient) -> None:
    house.alarm()
    await client.post("/api/v1/alarms/a-1/acknowledge", json={"by": "N-12"})
    answer = await client.post("/api/v1/alarms/a-1/close", json={"by": "N", "outcome": "test", "rev": 1})
    assert answer.status_code == 409
    assert (answer.json()["error"], answer.json()["rev"]) == ("revision_stale", 2)


ASKED = {"station": "kiosk", "by": "card", "resident": "p-00000001"}


async def test_a_card_is_presented_by_json_and_a_station_that_is_none_is_refused(house: House) -> None:
    seen: list[tuple[str, dict[str, str]]] = []

    class Cards:
        def present(self, station: str, detail: Mapping[str, str]) -> str:
            seen.append((station, dict(detail)))
            return "" if station == "kiosk" else "station_unknown"

    house.commands = replace(house.commands, identities=Cards())
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=page_of(house), client=("127.0.0.1", 40_000)), base_url=BASE
    ) as asker:
        taken = await asker.post("/api/v1/identities", json=ASKED)
        refused = await asker.post("/api/v1/identities", json=ASKED | {"station": "x"})
        guessed = await asker.post("/api/v1/identities", json=ASKED | {"by": "face"})
    assert (taken.status_code, refused.status_code, guessed.status_code) == (200, 422, 422)
    assert refused.json()["error"] == "station_unknown"
    assert seen == [(station, {"resident": "p-00000001", "by": "card"}) for station in ("kiosk", "x")]


async def test_a_card_from_another_site_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/identities", json=ASKED, headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403


@pytest.mark.parametrize("body", [{}, {"by": 7}, {"by": "x", "what": 1}, [], "x"])
async def test_a_malformed_command_is_refused(house: House, client: httpx.AsyncClient, body: object) -> None:
    house.alarm()
    assert (await client.post("/api/v1/alarms/a-1/acknowledge", json=body)).status_code == 422


async def test_a_command_as_plain_text_is_refused_since_any_site_could_send_it(
    house: House, client: httpx.AsyncClient
) -> None:
    house.alarm()
    answer = await client.post(
        "/api/v1/alarms/a-1/acknowledge", content='{"by": "x"}', headers={"content-type": "text/plain"}
    )
    assert answer.status_code in (415, 422)
    assert house.model.open_alarms()[0].acknowledged_by is None


async def test_a_command_from_another_site_is_refused(house: House, client: httpx.AsyncClient) -> None:
    house.alarm()
    answer = await client.post(
        "/api/v1/alarms/a-1/acknowledge", json={"by": "x"}, headers={"origin": "http://evil.example"}
    )
    assert answer.status_code == 403


async def next_event(events: AsyncIterator[str]) -> dict[str, int]:
    """The data of the next `changed` event."""
    while True:
        text = await asyncio.wait_for(anext(events), 2)
        if text.startswith("event: changed"):
            data: dict[str, int] = json.loads(text.partition("data: ")[2])
            return data


async def test_the_stream_tells_of_a_change_within_a_second(house: House) -> None:
    events = LiveStream(house.model, house.clock).events()
    assert (await next_event(events))["open_alarms"] == 0
    waiting = asyncio.create_task(next_event(events))
    await house.clock.advance(0.2)
    house.alarm()
    await house.clock.advance(0.7)
    assert not waiting.done()
    await house.clock.advance(0.2)
    assert (await waiting)["open_alarms"] == 1


async def test_the_stream_speaks_at_least_every_five_seconds(house: House) -> None:
    events = LiveStream(house.model, house.clock).events()
    await next_event(events)
    waiting = asyncio.create_task(next_event(events))
    await house.clock.advance(4.9)
    assert not waiting.done()
    await house.clock.advance(0.2)
    await waiting


async def test_many_changes_within_a_second_are_one_event(house: House) -> None:
    events = LiveStream(house.model, house.clock).events()
    await next_event(events)
    waiting = asyncio.create_task(next_event(events))
    for _ in range(500):
        house.measured("heart_rate", 60)
    await house.clock.advance(1.0)
    assert (await waiting)["revision"] == house.model.revision
    again = asyncio.create_task(next_event(events))
    await house.clock.advance(1.5)
    assert not again.done()
    again.cancel()


async def test_streams_end_when_the_server_stops(house: House) -> None:
    stream = LiveStream(house.model, house.clock)
    events = stream.events()
    await next_event(events)
    waiting = asyncio.create_task(next_event(events))
    await house.clock.advance(0.1)
    stream.close()
    with pytest.raises(StopAsyncIteration):
        await waiting
    assert stream.viewers == 0


async def test_a_hundred_tabs_do_not_become_a_hundred_streams(house: House) -> None:
    stream = LiveStream(house.model, ManualClock())
    open_streams = [stream.events() for _ in range(MAX_VIEWERS)]
    for events in open_streams:
        await anext(events)
    assert stream.full
    for events in open_streams:
        await events.aclose()  # type: ignore[attr-defined]
    assert not stream.full
