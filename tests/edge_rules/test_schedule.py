"""Times of day are the wall clock's, durations are not."""

from datetime import UTC, datetime, timedelta

import pytest

from edge_rules.schedule import Hold, Schedule, duration_s
from tests.edge_rules.night import PARIS

NIGHT = Schedule.parse("22:00-06:00 local")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60s", 60), ("60 s", 60), ("15m", 900), ("15 min", 900), ("1.5h", 5400), ("7d", 604_800), ("250 ms", 0.25)],
)
def test_a_duration_is_read_as_written(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "60", "s", "-5s", "1e9s", "31d", "5 fortnights", "60s 5m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|30 days"):
        duration_s(text)


def test_a_share_of_seconds_is_read() -> None:
    assert Hold.parse("54 of 60 s") == Hold(54, 60)
    assert Hold.parse("54 of 60 s").share
    assert not Hold.parse("60s").share
    for text in ("61 of 60 s", "0 of 60 s", "5 of 601 s"):
        with pytest.raises(ValueError, match="of"):
            Hold.parse(text)


@pytest.mark.parametrize(
    ("hour", "minute", "inside"),
    [(21, 59, False), (22, 0, True), (23, 59, True), (0, 0, True), (5, 59, True), (6, 0, False), (12, 0, False)],
)
def test_a_schedule_crosses_midnight_with_its_begin_inside_and_its_end_outside(
    hour: int, minute: int, inside: bool
) -> None:
    assert NIGHT.contains(datetime(2026, 11, 24, hour, minute, tzinfo=PARIS)) is inside


def test_several_spans_are_one_schedule() -> None:
    meals = Schedule.parse("07:00-09:00, 11:30-13:00 local")
    assert [meals.contains(datetime(2026, 1, 1, hour, tzinfo=PARIS)) for hour in (6, 8, 10, 12, 13)] == [
        False, True, False, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("begin", "seconds_inside"),
    [
        (datetime(2026, 3, 28, 12, 0, tzinfo=UTC), 7 * 3600),  # 02:00 becomes 03:00: the night is an hour short
        (datetime(2026, 10, 24, 12, 0, tzinfo=UTC), 9 * 3600),  # 03:00 becomes 02:00: the night is an hour long
        (datetime(2026, 11, 24, 12, 0, tzinfo=UTC), 8 * 3600),
    ],
)
def test_a_night_of_clock_change_ends_at_six_by_the_wall_clock(begin: datetime, seconds_inside: int) -> None:
    minutes = [(begin + timedelta(minutes=minute)).astimezone(PARIS) for minute in range(24 * 60)]
    assert sum(NIGHT.contains(local) for local in minutes) * 60 == seconds_inside


@pytest.mark.parametrize("text", ["22:00", "22-06", "25:00-06:00", "22:60-06:00", "06:00-06:00", "22:00-06:00 UTC", ""])
def test_what_is_no_span_of_the_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"span|time of day|empty"):
        Schedule.parse(text)
