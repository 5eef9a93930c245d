"""A night's summary: what the minutes say and no more."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core import night as nights
from gateway.core.night import Exit, Night, NightTask, Spread
from gateway.dsp import night
from gateway.dsp.night import Floats, summarise

START_S = 1_700_000_000
MINUTES = 240


def task(columns: Mapping[str, Floats], *, minutes: int = MINUTES, earlier: list[Night] | None = None) -> NightTask:
    packed = {name: values.astype("<f4").tobytes() for name, values in columns.items()}
    return NightTask("b-1", "r-1", "2026-03-02", START_S, minutes, packed, earlier or [])


def seconds(*parts: tuple[float, float], minutes: int = MINUTES) -> Floats:
    """(minutes, value) one after another; what is left is NaN."""
    found = np.full(60 * minutes, np.nan)
    at = 0
    for length_min, value in parts:
        found[at : at + round(60 * length_min)] = value
        at += round(60 * length_min)
    return found


def test_time_in_bed_and_exits_with_how_long_they_lasted() -> None:
    occupied = seconds((30, 0.0), (60, 1.0), (5, 0.0), (100, 1.0), (45, 0.0))
    told = summarise(task({"bed_occupied": occupied}))
    assert (told.in_bed_min, told.known_min) == (160.0, 240.0)
    assert told.exits == (Exit(START_S + 60 * 90, 300),)
    assert (told.down_utc_s, told.up_utc_s) == (START_S + 60 * 30, START_S + 60 * 195)


def test_who_is_away_when_the_night_ends_unseen_has_no_length() -> None:
    told = summarise(task({"bed_occupied": seconds((60, 1.0), (10, 0.0))}))
    assert told.exits == (Exit(START_S + 3600, None),)
    assert told.up_utc_s is None


def test_a_short_gap_is_held_and_a_long_one_is_neither_bed_nor_exit() -> None:
    short = seconds((60, 1.0), (1.5, np.nan), (60, 1.0))
    long = seconds((60, 1.0), (30, np.nan), (60, 1.0))
    assert summarise(task({"bed_occupied": short})).in_bed_min == pytest.approx(121.5 + 2.0)
    told = summarise(task({"bed_occupied": long}))
    assert told.in_bed_min == pytest.approx(120.0 + 2 * 2.0)
    assert told.exits == ()


def test_sitting_up_for_five_seconds_is_no_exit() -> None:
    occupied = seconds((240, 1.0))
    occupied[6000:6005] = 0.0
    assert summarise(task({"bed_occupied": occupied})).exits == ()


def test_rates_come_with_their_coverage_and_only_from_the_time_in_bed() -> None:
    occupied = seconds((120, 1.0), (120, 0.0))
    rate = seconds((60, 15.0), (60, np.nan), (120, 40.0))
    told = summarise(task({"bed_occupied": occupied, "respiration_rate": rate}))
    assert told.respiration == Spread(15.0, 15.0, 15.0, 0.5)
    assert told.heart is None


def test_a_median_of_a_few_minutes_is_not_told() -> None:
    told = summarise(task({"bed_occupied": seconds((240, 1.0)), "heart_rate": seconds((9, 60.0))}))
    assert told.heart is None


def test_pauses_are_counted_with_the_time_in_which_they_could_be_seen() -> None:
    pauses = seconds((180, 0.0))
    pauses[[1000, 3000, 9000]] = (12.0, 30.0, 18.0)
    told = summarise(task({"bed_occupied": seconds((240, 1.0)), "breathing_pause": pauses}))
    assert told.pauses is not None
    assert (told.pauses.count, told.pauses.longest_s) == (3, 30.0)
    assert told.pauses.per_hour == pytest.approx(1.0, rel=0.01)
    short = summarise(task({"bed_occupied": seconds((240, 1.0)), "breathing_pause": seconds((90, 0.0))}))
    assert short.pauses is not None
    assert short.pauses.per_hour is None


def test_restless_minutes_and_sleep_follow_movement() -> None:
    moving = seconds((240, 0.0))
    moving[60 * 100 : 60 * 120] = 0.6
    told = summarise(task({"bed_occupied": seconds((240, 1.0)), "movement": moving}))
    assert told.restless_min == 20
    assert told.sleep is not None
    assert 20 <= told.sleep.awake_min <= 26
    assert told.sleep.asleep_min + told.sleep.awake_min == 240
    assert "sleep" in told.caveats


def test_a_night_without_anything_says_nothing() -> None:
    told = summarise(task({}))
    assert (told.in_bed_min, told.known_min, told.exits) == (0.0, 0.0, ())
    assert (told.heart, told.respiration, told.pauses, told.sleep, told.down_utc_s) == (None,) * 5


def test_a_column_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="bed_occupied has 60 values, expected 14400"):
        summarise(task({"bed_occupied": np.ones(60)}))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 600), st.sampled_from([0.0, 1.0, float("nan")])), max_size=40))
def test_any_night_adds_up(parts: list[tuple[int, float]]) -> None:
    occupied = seconds(*[(length / 60.0, value) for length, value in parts])
    told = summarise(task({"bed_occupied": occupied, "movement": np.where(occupied == 1.0, 0.5, np.nan)}))
    assert 0.0 <= told.in_bed_min <= told.known_min <= MINUTES
    assert told.restless_min <= told.in_bed_min + MINUTES / 60 + 1
    away_min = sum(each.away_s or 0 for each in told.exits) / 60.0
    assert away_min <= told.known_min - told.in_bed_min + 1e-9 + 10 * len(parts) / 60.0
    assert list(told.exits) == sorted(told.exits, key=lambda each: each.at_utc_s)
    assert nights.decode_nights(nights.encode_nights([told])) == [told]


# -- against the own baseline -----------------------------------------------------------------------------------------


def earlier(count: int, heart_rate: float, *, until_days_ago: int = 7, resident: str | None = "r-1") -> list[Night]:
    """`count` nights, the last one `until_days_ago` before the task's."""
    made = summarise(task({"bed_occupied": seconds((200, 1.0)), "heart_rate": seconds((200, heart_rate))}))
    last = date(2026, 3, 2) - timedelta(until_days_ago)
    days = [(last - timedelta(back)).isoformat() for back in reversed(range(count))]
    return [replace(made, resident=resident, date=day) for day in days]


def week(heart_rate: float) -> list[Night]:
    return earlier(6, heart_rate, until_days_ago=1)


def tonight(heart_rate: float, before: list[Night]) -> dict[str, nights.Indicator]:
    columns = {"bed_occupied": seconds((200, 1.0)), "heart_rate": seconds((200, heart_rate))}
    return {each.name: each for each in summarise(task(columns, earlier=before)).indicators}


def test_a_week_is_compared_with_the_28_days_before_it() -> None:
    heart = tonight(72.0, earlier(28, 60.0) + week(72.0))["heart_rate"]
    assert (heart.week, heart.usual, heart.nights, heart.unusual) == (72.0, 60.0, 28, True)
    assert heart.deviation == pytest.approx(12.0)
    assert not tonight(61.0, earlier(28, 60.0) + week(61.0))["heart_rate"].unusual


def test_fewer_than_seven_earlier_nights_are_no_baseline() -> None:
    heart = tonight(72.0, earlier(6, 60.0) + week(72.0))["heart_rate"]
    assert (heart.usual, heart.deviation, heart.nights, heart.unusual) == (None, None, 6, False)
    assert tonight(72.0, earlier(7, 60.0) + week(72.0))["heart_rate"].usual == 60.0


def test_two_nights_are_no_week() -> None:
    assert tonight(72.0, earlier(20, 60.0) + earlier(1, 60.0, until_days_ago=1)) == {}


def test_somebody_elses_nights_and_those_long_ago_do_not_count() -> None:
    others = earlier(28, 60.0, resident="r-2")
    long_ago = earlier(10, 60.0, until_days_ago=40)
    assert tonight(72.0, others + week(72.0))["heart_rate"].nights == 0
    assert tonight(72.0, long_ago + week(72.0))["heart_rate"].nights == 0


@given(st.lists(st.floats(0, 60), max_size=200))
def test_more_movement_never_makes_more_sleep(moved_s: list[float]) -> None:
    less = night.awake(np.array(moved_s))
    more = night.awake(np.minimum(60.0, np.array(moved_s) + 5.0))
    assert len(less) == len(moved_s)
    assert not (less & ~more).any()
