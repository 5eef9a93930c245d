"""Reasons of withheld values: one list, told when they change and not more often than once a minute."""

import json
from pathlib import Path

import pytest

import gateway
from gateway.dsp.reasons import QUIET_S, Withheld, Withholding
from tests.gateway.dsp.synthetic import START

LOCALES = Path(gateway.__file__).parent / "locales"


def test_a_change_is_told_at_once_and_the_next_one_a_minute_later() -> None:
    book = Withholding()
    book.note("heart_rate", Withheld.FILLING)
    assert book.news(START) == {"heart_rate": "filling"}
    book.note("heart_rate", Withheld.MOVING)
    assert book.news(START.plus_s(QUIET_S - 1)) == {}
    book.note("heart_rate", Withheld.NOTHING)
    book.note("respiration_rate", Withheld.GAP)
    assert book.news(START.plus_s(QUIET_S)) == {"heart_rate": "", "respiration_rate": "gap"}
    assert book.news(START.plus_s(10 * QUIET_S)) == {}


def test_what_came_and_went_within_the_minute_is_no_news() -> None:
    book = Withholding()
    book.note("heart_rate", Withheld.NOTHING)
    book.news(START)
    book.note("heart_rate", Withheld.MOVING)
    assert book.news(START.plus_s(30)) == {}
    book.note("heart_rate", Withheld.NOTHING)
    assert book.news(START.plus_s(90)) == {}


def test_a_window_that_fills_again_does_not_hide_why_it_was_emptied() -> None:
    book = Withholding()
    book.note("heart_rate", Withheld.GAP)
    book.note("heart_rate", Withheld.FILLING)
    assert book.now == {"heart_rate": "gap"}


def test_after_a_boot_of_the_box_what_is_new_is_told_at_once() -> None:
    book = Withholding()
    book.note("heart_rate", Withheld.GAP)
    book.news(START)
    book.note("heart_rate", Withheld.MOVING)
    assert book.news(type(START)("00000002", 5)) == {"heart_rate": "moving"}


@pytest.mark.parametrize("language", ["en", "zh", "fr"])
def test_every_reason_has_a_word_in_every_language(language: str) -> None:
    texts = json.loads((LOCALES / f"{language}.json").read_text(encoding="utf-8"))
    assert [why.value for why in Withheld if why and f"withheld.{why.value}" not in texts] == []
