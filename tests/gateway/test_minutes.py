"""Promises of the one-minute buckets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.model import Gap, Measurement, Minute, Stamp
from gateway.minutes import GRACE_S, MinuteBook

BOOT = "00000001"
MINUTE_NS = 60 * 10**9


class Books:
    def __init__(self) -> None:
        self.minutes: list[Minute] = []
        self.gaps: list[Gap] = []
        self.book = MinuteBook(lambda bed, start, minutes: self.minutes.extend(minutes), self.gaps.append)

    def add(self, second: float, value: float, *, quality: float = 0.9, device: str = "belt") -> None:
        at = Stamp(BOOT, round(second * 1e9))
        self.book.add(Measurement("b-1", device, "heart_rate", value, "/min", at, 10.0, quality, "heart/1"))


def test_a_full_minute_carries_sixty_values_and_their_statistics() -> None:
    books = Books()
    for second in range(60):
        books.add(120 + second + 0.5, 60 + second % 3)
    books.book.close_due(Stamp(BOOT, 180 * 10**9 + round(GRACE_S * 1e9)))
    (minute,) = books.minutes
    assert (minute.n, minute.min, minute.mean, minute.max) == (60, 60.0, 61.0, 62.0)
    assert minute.start == Stamp(BOOT, 120 * 10**9)
    assert minute.quality == pytest.approx(0.9)


def test_a_minute_is_not_closed_before_its_grace_is_over() -> None:
    books = Books()
    books.add(121, 60)
    books.book.close_due(Stamp(BOOT, 180 * 10**9 + round(GRACE_S * 1e9) - 1))
    assert books.minutes == []


def test_seconds_without_a_value_are_nan_and_not_counted() -> None:
    books = Books()
    books.add(120, 60)
    books.add(150, 80)
    books.book.close_all()
    (minute,) = books.minutes
    assert minute.n == 2
    assert np.isnan(minute.column).sum() == 58
    assert minute.mean == 70


def test_a_value_that_comes_too_late_leaves_a_gap_with_the_reason() -> None:
    books = Books()
    books.add(121, 60)
    books.book.close_due(Stamp(BOOT, 200 * 10**9))
    books.add(122, 61)
    assert [(gap.what, gap.lost) for gap in books.gaps] == [("heart_rate", 1)]
    assert "after its minute was closed" in books.gaps[0].reason
    books.book.close_all()
    assert len(books.minutes) == 1


def test_of_two_devices_each_second_keeps_the_better_quality() -> None:
    books = Books()
    books.add(121.2, 60, quality=0.3)
    books.add(121.4, 90, quality=0.95, device="band")
    books.add(122.2, 91, quality=0.95, device="band")
    books.add(122.4, 61, quality=0.3)
    books.book.close_all()
    (minute,) = books.minutes
    assert minute.column[1:3].tolist() == [90, 91]


@given(jitter=st.lists(st.floats(-0.45, 0.45), min_size=60, max_size=60))
def test_receipt_jitter_under_half_a_second_never_costs_more_than_the_edges(jitter: list[float]) -> None:
    books = Books()
    for second, offset in enumerate(jitter):
        books.add(120.5 + second + offset, 60.0)
    books.book.close_all()
    assert sum(minute.n for minute in books.minutes) >= 58
    assert books.gaps == []


@given(st.lists(st.tuples(st.floats(0, 600), st.floats(30, 200), st.floats(0, 1)), max_size=60))
def test_no_value_is_invented_whatever_the_order(values: list[tuple[float, float, float]]) -> None:
    books = Books()
    given_values = {np.float32(value) for _, value, _ in values}
    for second, value, quality in values:
        books.add(second, value, quality=quality)
    books.book.close_all()
    for minute in books.minutes:
        kept = minute.column[~np.isnan(minute.column)]
        assert minute.n == len(kept) > 0
        assert set(kept.tolist()) <= {float(value) for value in given_values}
        assert minute.start.mono_ns % MINUTE_NS == 0
