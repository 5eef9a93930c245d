"""The words in three languages: the same keys, the same placeholders, numbers and times as people write them."""

import json
import re
import string
import tomllib
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import pytest

from gateway.core import model
from gateway.core.quantities import QUANTITIES
from gateway.texts import LANGUAGES, load, preferred

DEFAULTS = tomllib.loads(resources.files("edge_rules").joinpath("defaults.toml").read_text(encoding="utf-8"))
RULES = tuple(DEFAULTS["rule"])
EVENTS = (
    "sos_pressed",
    "service_requested",
    "link_up",
    "link_lost",
    "device_fault",
    "sensor_off",
    "readings_rejected",
    "fall_suspected",
    "bed_entered",
    "bed_exited",
    "uplink_lost",
    "uplink_back",
    "box_trouble",
    "box_recovered",
    "kiosk_reading",
    "identity_presented",
    "reading_out_of_range",
    "charging_started",
    "charging_ended",
    "door_opened",
    "door_closed",
    "motion_started",
    "motion_ended",
    "presence_started",
    "presence_ended",
)


def catalogue(language: str) -> dict[str, str]:
    text = resources.files("gateway").joinpath(f"locales/{language}.json").read_text(encoding="utf-8")
    loaded: dict[str, str] = json.loads(text)
    return loaded


def placeholders(text: str) -> set[tuple[str, str]]:
    return {(name, spec or "") for _, name, spec, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("language", ["en", "fr"])
def test_all_languages_have_the_same_keys(language: str) -> None:
    assert catalogue(language).keys() == catalogue("zh").keys()


@pytest.mark.parametrize("language", ["en", "fr"])
def test_all_languages_have_the_same_placeholders(language: str) -> None:
    different = {
        key
        for key, text in catalogue(language).items()
        if {name for name, _ in placeholders(text)} != {name for name, _ in placeholders(catalogue("zh")[key])}
    }
    assert different - {"format.date"} == set()
    assert {name for name, _ in placeholders(catalogue(language)["format.date"])} == {"year", "month", "day"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_is_empty_but_the_unit_of_plain_numbers(language: str) -> None:
    assert [key for key, text in catalogue(language).items() if not text.strip()] == ["unit.1"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_catalogue_holds_markup(language: str) -> None:
    assert [text for text in catalogue(language).values() if "<" in text or "&" in text] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_everything_the_vocabulary_can_say_has_a_word(language: str) -> None:
    wanted = {f"rule.{name}" for name in RULES} | {f"advice.{name}" for name in RULES}
    wanted |= {f"event.{name}" for name in EVENTS}
    wanted |= {f"quantity.{name}" for name in QUANTITIES}
    wanted |= {f"unit.{quantity.unit}" for quantity in QUANTITIES.values()}
    for space, enum in {
        "priority": model.Priority,
        "kind": model.Kind,
        "condition": model.Condition,
        "delivery": model.Delivery,
        "status": model.Status,
        "mode": model.Mode,
    }.items():
        wanted |= {f"{space}.{member.value}" for member in enum}
    assert wanted - catalogue(language).keys() == set()


def test_numbers_are_written_as_in_the_language() -> None:
    assert load("fr").number(36.62, 1) == "36,6"
    assert load("en").number(36.62, 1) == "36.6"
    assert load("fr").quantity(36.62, "Cel") == "36,6 °C"
    assert load("zh").quantity(71.6, "/min") == "72 次/分"
    assert load("en").quantity(1.0, "1") == "1"


def test_times_and_dates_are_written_as_in_the_language() -> None:
    moment = datetime(2026, 11, 24, 3, 5, tzinfo=UTC)
    assert [load(language).time(moment) for language in LANGUAGES] == ["03:05", "03:05", "03 h 05"]
    assert [load(language).date(moment) for language in LANGUAGES] == ["2026年11月24日", "2026-11-24", "24/11/2026"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s ago"), (59.9, "59 s ago"), (60, "1 min ago"), (7200, "2 h ago"), (200_000, "2 days ago")],
)
def test_ages_use_the_largest_unit_that_fits(seconds: float, text: str) -> None:
    assert load("en").age(seconds) == text


def test_an_unknown_key_is_an_error_and_never_an_empty_place_on_the_page() -> None:
    with pytest.raises(KeyError):
        load("en")("page.no_such_text")
    with pytest.raises(KeyError):
        load("en")("page.alarms.open", count=1)


def test_a_rule_that_the_house_does_not_know_keeps_its_own_name() -> None:
    assert load("zh").named("rule", "tachy_in_bed") == "tachy_in_bed"


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("fr-CH, fr;q=0.9, en;q=0.8", "fr"),
        ("de, en;q=0.5, zh;q=0.9", "zh"),
        ("zh-Hans-CN", "zh"),
        ("de", "en"),
        ("", "en"),
        ("fr;q=garbage,zh;q=0.1", "zh"),
        (";;;,,q=", "en"),
    ],
)
def test_the_language_follows_the_browser_where_nobody_chose_one(header: str, language: str) -> None:
    assert preferred(header, "en") == language


def test_a_language_without_texts_is_refused() -> None:
    with pytest.raises(ValueError, match="zh, en, fr"):
        load("de")


USED = re.compile(r"""(?:\bt|\btexts|_texts|texts\(request\)|_say)\(\s*f?"([a-z_]+(?:\.[a-z_.]+)+)"(?!\s*~)""")


def test_every_text_that_code_or_page_names_is_there() -> None:
    root = Path(str(resources.files("gateway")))
    files = [*root.rglob("*.py"), *root.rglob("*.html")]
    used = {key for file in files for key in USED.findall(file.read_text(encoding="utf-8")) if not key.endswith(".")}
    assert len(used) > 90
    assert used - catalogue("zh").keys() == set()
