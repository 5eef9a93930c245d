"""Order, windows, marks and pace, with a clock that moves only when the test says so."""

import asyncio
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.clock import ManualClock
from gateway.core.model import Priority
from gateway.upstream.endpoint import LOST, QUOTA_EXCEEDED, TAKEN_OVER, Endpoint
from gateway.upstream.lanes import TICK_S, Bucket, Lane, Marks, Pace, Window
from gateway.upstream.link import Link
from gateway.upstream.seen import Numbers
from gateway.upstream.topics import Topics
from tests.gateway.upstream.house import MemoryHouse, alarm


def test_a_free_slot_goes_to_alarms_then_replies_then_live_then_pages() -> None:
    window, order = Window(5), []
    for _ in range(5):
        window.submit(Lane.ALARM, lambda: None)
    for lane in (Lane.BACKLOG, Lane.PULL, Lane.LIVE, Lane.REPLY, Lane.ALARM):
        window.submit(lane, lambda lane=lane: order.append(lane))  # type: ignore[misc]
    for _ in range(10):
        window.release()
    assert order == [Lane.ALARM, Lane.REPLY, Lane.LIVE, Lane.PULL, Lane.BACKLOG]


def test_rows_leave_two_slots_that_only_alarms_and_replies_may_take() -> None:
    window, sent = Window(5), []
    for number in range(5):
        window.submit(Lane.LIVE, lambda number=number: sent.append(number))  # type: ignore[misc]
    assert sent == [0, 1, 2]
    window.submit(Lane.ALARM, lambda: sent.append("alarm"))
    assert sent[-1] == "alarm"


@given(st.integers(1, 20), st.lists(st.sampled_from(list(Lane)), max_size=60))
def test_the_window_never_holds_more_than_the_broker_allows_and_serves_every_lane(size: int, lanes: list[Lane]) -> None:
    window, served = Window(size), []
    for lane in lanes:
        window.submit(lane, lambda: served.append(window.in_flight))
    while window.in_flight:
        window.release()
    assert len(served) == len(lanes)
    assert all(in_flight <= size for in_flight in served)


async def test_a_waiter_that_is_cancelled_gives_its_slot_back() -> None:
    window = Window(1)
    await window.slot(Lane.ALARM)
    waiting = asyncio.ensure_future(window.slot(Lane.ALARM))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    window.release()
    assert window.in_flight == 0


def test_the_mark_stays_below_a_hole_and_moves_over_it_when_it_is_filled() -> None:
    marks = Marks()
    for seq in (5, 6, 9):
        marks.sent(seq)
    assert marks.acked(6) is None
    assert marks.acked(5) == 6
    marks.failed(9)
    assert not marks.knows(9)
    marks.sent(10)
    assert marks.acked(10) is None, "10 is there, 9 is not"
    marks.sent(9)
    assert marks.acked(9) == 10


async def test_pages_start_after_up_to_30_minutes_and_come_one_in_10_seconds() -> None:
    clock, pace = ManualClock(), Pace()
    bucket = Bucket(clock, pace, lambda: 0, Random(7))
    taken: list[float] = []
    began = clock.now()

    async def take() -> None:
        while True:
            await bucket.take()
            taken.append(clock.now().since_s(began))

    task = asyncio.ensure_future(take())
    await clock.advance(1900)
    task.cancel()
    assert taken[0] == pytest.approx(Random(7).uniform(0, 1800))
    gaps = {round(later - earlier, 6) for earlier, later in pairwise(taken)}
    assert gaps == {10.0}


async def test_a_platform_may_hurry_hold_and_pause_the_pages() -> None:
    clock = ManualClock()

    def now_ms() -> int:
        return clock.anchor().utc_ns // 1_000_000

    bucket = Bucket(clock, Pace(), now_ms, Random(7))
    taken: list[int] = []

    async def take() -> None:
        while True:
            await bucket.take()
            taken.append(now_ms())

    task = asyncio.ensure_future(take())
    await clock.advance(1)
    began = now_ms()
    bucket.steer(2.0, None)
    await clock.advance(2.1)
    assert len(taken) == 5, "at once, then two a second"
    bucket.steer(None, began + 60_000)
    await clock.advance(50)
    assert len(taken) == 5
    await clock.advance(9)
    assert taken[5] >= began + 60_000
    bucket.steer(0.0, None)
    paused = len(taken)
    await clock.advance(3000)
    task.cancel()
    assert len(taken) == paused


def _link(house: MemoryHouse, rng: Random) -> Link:
    return Link("d", Endpoint("127.0.0.1", 1), Topics("t1", "gw"), house.port, rng=rng)


def _delays(link: Link, failures: int, code: int = LOST) -> list[float]:
    link._failures = failures
    return [link._delay_s(code) for _ in range(4000)]


def test_every_retry_is_drawn_from_zero_up_the_first_within_30_s_later_ones_within_120_s() -> None:
    link = _link(MemoryHouse(ManualClock()), Random(1))
    for failures, limit in ((1, 30.0), (2, 60.0), (3, 120.0), (40, 120.0)):
        delays = _delays(link, failures)
        assert min(delays) < limit * 0.01
        assert limit * 0.99 < max(delays) <= limit
        assert abs(sum(delays) / len(delays) - limit / 2) < limit * 0.03


def test_an_unacknowledged_high_alarm_hurries_the_first_retry_and_no_other_alarm_does() -> None:
    house = MemoryHouse(ManualClock())
    link = _link(house, Random(1))
    link.alarm(alarm(house.clock, priority=Priority.MEDIUM), 1)
    assert max(_delays(link, 1)) > 1.0
    link.alarm(alarm(house.clock), 2)
    assert set(_delays(link, 1)) == {0.0}
    assert max(_delays(link, 2)) <= 2.0
    assert max(_delays(link, 30)) <= 10.0


def test_a_broker_that_refuses_or_is_full_is_left_alone_for_a_minute_or_two() -> None:
    link = _link(MemoryHouse(ManualClock()), Random(1))
    for code in (0x86, 0x87, QUOTA_EXCEEDED):
        delays = _delays(link, 1, code)
        assert min(delays) >= 60.0
        assert max(delays) <= 120.0
    assert min(_delays(link, 1, TAKEN_OVER)) >= 60.0


def test_a_black_hole_is_found_within_30_s_by_the_default_keep_alive() -> None:
    pace = Pace()
    assert pace.black_hole_s == 2 * pace.keepalive_s + 2 * TICK_S
    assert pace.black_hole_s <= 30.0
    assert pace.puback_s + TICK_S <= 30.0


@given(st.lists(st.integers(1, 60), max_size=80))
def test_numbers_know_what_came_twice_and_what_is_missing(seqs: list[int]) -> None:
    numbers, known = Numbers(), set()
    for seq in seqs:
        assert numbers.add(seq) == (seq not in known)
        known.add(seq)
    missing = {seq for lo, hi in numbers.missing(1, 60) for seq in range(lo, hi + 1)}
    assert missing == set(range(1, 61)) - known
    assert len(numbers) == len(known)
