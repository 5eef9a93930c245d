"""What the process says of its own cost, against what the kernel's other interface says."""

import os
import resource

from gateway.core.clock import ManualClock
from gateway.process import Usage


def test_resident_memory_agrees_with_the_kernels_own_peak() -> None:
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert 0.2 * peak_bytes < Usage(ManualClock()).rss_bytes() <= 1.2 * peak_bytes


def test_processor_time_is_a_share_of_real_time() -> None:
    clock = ManualClock()
    usage = Usage(clock)
    before_s = sum(os.times()[:2])
    while sum(os.times()[:2]) - before_s < 0.1:
        sum(range(10_000))
    clock.shift(10)
    assert 0.9 <= usage.cpu_percent() <= 5.0


def test_questions_within_one_second_get_the_same_answer() -> None:
    clock = ManualClock()
    usage = Usage(clock)
    clock.shift(10)
    first = usage.cpu_percent()
    clock.shift(0.5)
    assert usage.cpu_percent() == first
