"""Promises of the loss book, and of the book of what the worker owes."""

import numpy as np

from gateway.blocks import PERIOD_S, LossBook, Owed
from gateway.core.model import Gap, SampleBlock, Stamp


def block(second: float, lost: int, channel: str = "bed.wave") -> SampleBlock:
    at = Stamp("00000001", round(second * 1e9))
    return SampleBlock("belt", channel, at, 100.0, "1", np.zeros(10, np.float32), lost, "b-1")


def test_losses_of_one_period_become_one_gap_with_their_sum() -> None:
    gaps: list[Gap] = []
    book = LossBook(gaps.append)
    for second, lost in ((1, 0), (2, 10), (3, 20)):
        book.block(block(second, lost))
    book.close_due(Stamp("00000001", round((2 + PERIOD_S) * 1e9)))
    assert [(gap.what, gap.lost, gap.at.mono_ns, gap.bed, gap.device) for gap in gaps] == [
        ("bed.wave", 30, 2 * 10**9, "b-1", "belt")
    ]


def test_a_loss_younger_than_the_period_waits_unless_the_box_stops() -> None:
    gaps: list[Gap] = []
    book = LossBook(gaps.append)
    book.block(block(2, 10))
    book.close_due(Stamp("00000001", 3 * 10**9))
    assert gaps == []
    book.close_due(Stamp("00000001", 3 * 10**9), everything=True)
    assert [gap.lost for gap in gaps] == [10]


def test_channels_are_booked_apart() -> None:
    gaps: list[Gap] = []
    book = LossBook(gaps.append)
    book.block(block(1, 5))
    book.block(block(1, 7, "bed.load"))
    book.close_due(Stamp("00000001", 0), everything=True)
    assert sorted((gap.what, gap.lost) for gap in gaps) == [("bed.load", 7), ("bed.wave", 5)]


def test_values_that_came_too_late_are_one_gap_a_period_and_not_one_each() -> None:
    gaps: list[Gap] = []
    book = LossBook(gaps.append)
    for second in range(8):
        at = Stamp("00000001", second * 10**9)
        book.add(Gap("heart_rate", "came after its minute was closed", at, 1, "b-1", "belt"))
    book.add(Gap("heart_rate", "another reason", Stamp("00000001", 0), 1, "b-1", "belt"))
    book.close_due(Stamp("00000001", round(PERIOD_S * 1e9)))
    assert sorted((gap.reason, gap.lost) for gap in gaps) == [
        ("another reason", 1),
        ("came after its minute was closed", 8),
    ]


def test_the_worker_is_as_far_behind_as_its_oldest_unanswered_block_is_old() -> None:
    owed = Owed()
    now = Stamp("00000001", 20 * 10**9)
    for second in range(10):
        owed.fed(block(second, 0))
    assert owed.behind_s(10, now) == 20.0
    assert owed.behind_s(4, now) == 14.0, "six were answered, or dropped as the oldest"
    assert owed.behind_s(0, now) == 0.0
    owed.fed(block(19, 0))
    assert owed.behind_s(1, now) == 1.0
