"""What may be asked, and that every refusal is an answer with a reason."""

from dataclasses import replace

import pytest

from gateway.commands import OUTCOMES, Done, Reason, Refused
from gateway.core.model import Delivery
from gateway.texts import LANGUAGES, load
from tests.gateway.house import House


@pytest.fixture
def house() -> House:
    return House()


async def test_an_acknowledgement_carries_the_person_the_note_and_the_way(house: House) -> None:
    house.alarm()
    answer = await house.commands.acknowledge("a-1", " N-12 ", " on my way ", "page")
    assert isinstance(answer, Done)
    given = answer.alarm.acknowledgement
    assert given is not None
    assert (given.by, given.note, given.via) == ("N-12", "on my way", "page")


@pytest.mark.parametrize("by", ["", "   ", "\t\n"])
async def test_an_acknowledgement_without_a_person_is_refused_and_changes_nothing(house: House, by: str) -> None:
    house.alarm()
    assert await house.commands.acknowledge("a-1", by, "", "page") == Refused(Reason.NAME_MISSING)
    assert house.model.open_alarms()[0].acknowledged_by is None


async def test_closing_without_a_person_is_refused(house: House) -> None:
    house.alarm()
    assert await house.commands.close("a-1", "helped", "", "page") == Refused(Reason.NAME_MISSING)


async def test_an_unknown_alarm_is_refused_with_its_id(house: House) -> None:
    answer = await house.commands.acknowledge("a-9", "N-12", "", "page")
    assert answer == Refused(Reason.ALARM_UNKNOWN, {"alarm": "a-9"})


async def test_an_answer_to_an_older_revision_is_refused_with_the_present_one(house: House) -> None:
    alarm = house.alarm()
    house.model.saw_alarm(replace(alarm, rev=4))
    answer = await house.commands.acknowledge("a-1", "N-12", "", "district", rev=1)
    assert isinstance(answer, Refused)
    assert (answer.reason, answer.values) == (Reason.REVISION_STALE, {"rev": 4})
    assert answer.alarm is not None


async def test_a_second_acknowledgement_says_who_was_first(house: House) -> None:
    house.alarm()
    await house.commands.acknowledge("a-1", "N-12", "", "page")
    answer = await house.commands.acknowledge("a-1", "N-13", "", "page")
    assert isinstance(answer, Refused)
    assert (answer.reason, answer.values) == (Reason.ALREADY_ACKNOWLEDGED, {"by": "N-12"})


@pytest.mark.parametrize("outcome", OUTCOMES)
async def test_an_alarm_is_closed_with_each_known_outcome(house: House, outcome: str) -> None:
    house.alarm()
    answer = await house.commands.close("a-1", outcome, "N-12", "page")
    assert isinstance(answer, Done)
    assert answer.alarm.outcome == outcome
    assert house.model.open_alarms() == ()


@pytest.mark.parametrize("outcome", ["", "done", "<b>"])
async def test_an_alarm_without_a_known_outcome_stays_open(house: House, outcome: str) -> None:
    house.alarm()
    answer = await house.commands.close("a-1", outcome, "N-12", "page")
    assert isinstance(answer, Refused)
    assert answer.reason is Reason.OUTCOME_UNKNOWN
    assert len(house.model.open_alarms()) == 1


async def test_a_closed_alarm_is_not_acknowledged_or_closed_again(house: House) -> None:
    house.alarm()
    await house.commands.close("a-1", "helped", "N-12", "page")
    for answer in (
        await house.commands.close("a-1", "helped", "N-12", "page"),
        await house.commands.acknowledge("a-1", "N-12", "", "page"),
    ):
        assert isinstance(answer, Refused)
        assert answer.reason is Reason.ALREADY_CLOSED


async def test_received_is_taken_for_an_older_revision_too(house: House) -> None:
    alarm = house.alarm()
    house.model.saw_alarm(replace(alarm, rev=3))
    answer = await house.commands.received("a-1", 1, "district")
    assert isinstance(answer, Done)
    assert answer.alarm.delivery is Delivery.RECEIVED


async def test_received_for_a_revision_that_never_was_is_refused(house: House) -> None:
    house.alarm()
    answer = await house.commands.received("a-1", 9, "district")
    assert isinstance(answer, Refused)
    assert answer.reason is Reason.ALARM_UNKNOWN


async def test_received_from_a_platform_that_is_not_configured_is_refused(house: House) -> None:
    house.alarm()
    assert await house.commands.received("a-1", 1, "other") == Refused(Reason.UPSTREAM_UNKNOWN, {"upstream": "other"})


async def test_names_and_notes_of_absurd_length_are_refused(house: House) -> None:
    house.alarm()
    long_name = await house.commands.acknowledge("a-1", "x" * 65, "", "page")
    long_note = await house.commands.acknowledge("a-1", "x", "y" * 501, "page")
    assert [answer.reason for answer in (long_name, long_note) if isinstance(answer, Refused)] == [
        Reason.NAME_LONG,
        Reason.NOTE_LONG,
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_refusal_and_outcome_has_words(language: str) -> None:
    texts = load(language)
    values = {"alarm": "a-1", "rev": 2, "by": "N-12", "limit": 3, "upstream": "district", "station": "kiosk"}
    values |= {"device": "cuff-1", "reading": "kiosk.00000001.1"}
    for reason in Reason:
        assert texts(f"refused.{reason.value}", **values)
    for outcome in OUTCOMES:
        assert texts(f"outcome.{outcome}")
