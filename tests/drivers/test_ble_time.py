"""Current Time in bytes: the layout of the GATT Specification Supplement, at the edges of the calendar."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.ble_time import Reason, current_time, local_time_information


def test_current_time_is_year_to_second_weekday_fraction_and_reason() -> None:
    local = datetime(2026, 11, 24, 23, 59, 58, 500_000, tzinfo=UTC)  # a Tuesday
    assert current_time(local, Reason.MANUAL | Reason.DST).hex() == "ea070b18173b3a028009"


def test_sunday_is_day_seven_and_a_fraction_never_overflows() -> None:
    encoded = current_time(datetime(2026, 11, 29, 0, 0, 0, 999_999, tzinfo=UTC))
    assert (encoded[7], encoded[8], encoded[9]) == (7, 255, 0)


@pytest.mark.parametrize(
    ("zone", "month", "expected"),
    [
        ("Asia/Shanghai", 7, (32, 0)),
        ("Europe/Paris", 1, (4, 0)),
        ("Europe/Paris", 7, (4, 4)),
        ("America/St_Johns", 1, (-14, 0)),
        ("Asia/Kathmandu", 1, (23, 0)),
        ("Australia/Lord_Howe", 1, (42, 2)),
    ],
)
def test_the_zone_is_told_without_summer_time_which_is_told_beside_it(
    zone: str, month: int, expected: tuple[int, int]
) -> None:
    encoded = local_time_information(datetime(2026, month, 15, 12, tzinfo=ZoneInfo(zone)))
    assert (int.from_bytes(encoded[:1], "little", signed=True), encoded[1]) == expected


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without its zone"):
        local_time_information(datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point


@given(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1)))  # noqa: DTZ001 - made local below
def test_every_time_is_read_back_as_it_was(naive: datetime) -> None:
    encoded = current_time(naive.replace(tzinfo=timezone(timedelta(hours=8))))
    assert len(encoded) == 10
    month, day, hour, minute, second = encoded[2:7]
    year, microsecond = int.from_bytes(encoded[:2], "little"), encoded[8] * 1_000_000 // 256
    read = datetime(year, month, day, hour, minute, second, microsecond)  # noqa: DTZ001 - compared with a naive one
    assert timedelta(0) <= naive - read < timedelta(microseconds=3907)
    assert encoded[7] == naive.isoweekday()
