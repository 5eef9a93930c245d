"""The last night of a bed over the API: its numbers, and in words what has to be said beside them."""

import httpx
import pytest

from gateway.core.night import Exit, Night, Pausing, Spread
from gateway.texts import LANGUAGES
from tests.gateway.house import House

NIGHT = Night(
    bed="b-00000001", resident="r-1", date="2026-03-02", from_utc_s=1_772_362_800, to_utc_s=1_772_413_200,
    known_min=840.0, in_bed_min=480.0, restless_min=31, turned=6, down_utc_s=1_772_370_000, up_utc_s=None,
    exits=(Exit(1_772_380_000, 300),), heart=Spread(61.0, 54.0, 72.0, 0.7), respiration=None,
    pauses=Pausing(3, 22.0, 6.5, 0.46), sleep=None, caveats=("synthetic", "sleep", "pauses"),
)  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_night_comes_with_its_caveats_in_words(house: House, client: httpx.AsyncClient, language: str) -> None:
    house.model.saw_night(NIGHT)
    answer = await client.get(f"/api/v1/beds/b-00000001/night?language={language}")
    told = answer.json()
    assert answer.status_code == 200
    assert told["night"]["exits"] == [{"at_utc_s": 1_772_380_000, "away_s": 300}]
    assert told["night"]["heart"]["coverage"] == 0.7
    assert told["night"]["respiration"] is None
    assert any("37" in note and "40" in note for note in told["notes"]), "the known weakness of sleep from movement"
    assert len(told["notes"]) == 3


async def test_a_bed_without_a_night_and_a_stranger_are_a_404_with_a_hint(client: httpx.AsyncClient) -> None:
    for bed in ("b-00000002", "none"):
        answer = await client.get(f"/api/v1/beds/{bed}/night")
        assert answer.status_code == 404
        assert answer.json()["hint"]


async def test_the_night_is_in_the_openapi(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/api/v1/openapi.json")).json()["paths"]
    assert "200" in paths["/api/v1/beds/{bed}/night"]["get"]["responses"]
