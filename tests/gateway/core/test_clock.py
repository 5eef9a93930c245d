"""Promises of the clocks."""

import asyncio

import pytest

from gateway.core.clock import Anchor, ManualClock, ScaledClock, SystemClock, utc_text
from gateway.core.model import Stamp


async def test_sleepers_wake_in_the_order_they_are_due() -> None:
    clock = ManualClock()
    woken: list[tuple[str, int]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, clock.now().mono_ns))

    start = clock.now().mono_ns
    tasks = [asyncio.create_task(sleeper(name, s)) for name, s in (("late", 3.0), ("soon", 1.0))]
    await clock.advance(5)
    await asyncio.gather(*tasks)
    assert woken == [("soon", start + 10**9), ("late", start + 3 * 10**9)]


async def test_a_task_that_sleeps_again_and_again_is_woken_each_time_within_one_advance() -> None:
    clock = ManualClock()
    ticks = 0

    async def ticker() -> None:
        nonlocal ticks
        while True:
            await clock.sleep(1)
            ticks += 1

    task = asyncio.create_task(ticker())
    await clock.advance(10)
    task.cancel()
    assert ticks == 10


def test_a_step_of_wall_time_does_not_move_boot_time() -> None:
    clock = ManualClock()
    before, utc_before = clock.now(), clock.anchor().utc_ns
    clock.step_utc(86_400)
    assert clock.now() == before
    assert clock.anchor().utc_ns - utc_before == 86_400 * 10**9


def test_two_processes_with_one_origin_share_scaled_time() -> None:
    origin = SystemClock().now().mono_ns
    one, other = (ScaledClock(40, origin_real_ns=origin, origin_utc_ns=0, boot_id="0000d3e0") for _ in range(2))
    first, second = one.now(), other.now()
    assert 0 <= second.since_s(first) < 40
    assert abs(one.real_ns_of(first) - one.real_ns()) < 10**9


def test_a_stamp_of_another_boot_cannot_be_timed() -> None:
    anchor = Anchor("00000001", 0, 0, 0, "ntp")
    with pytest.raises(ValueError, match="boot"):
        anchor.utc_ns_of(Stamp("00000002", 5))
    with pytest.raises(ValueError, match="boot"):
        Stamp("00000001", 0).since_s(Stamp("00000002", 0))


def test_the_system_clock_reads_the_kernel() -> None:
    clock = SystemClock()
    first = clock.now()
    assert clock.now() >= first
    assert len(clock.boot_id) == 8
    assert clock.anchor().source in ("ntp", "none")
    assert utc_text(Anchor("00000001", 0, 0, 0, "ntp"), Stamp("00000001", 1_500_000_000)) == "1970-01-01T00:00:01.500Z"
