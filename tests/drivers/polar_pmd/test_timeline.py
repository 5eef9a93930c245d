"""Where samples are placed in time, and how many are said to be missing."""

import itertools
import random

import pytest

from drivers.polar_pmd.timeline import Placed, Timeline
from gateway.core.model import Stamp

RATE_HZ, N = 52.0, 36
FRAME_NS = round(N / RATE_HZ * 1e9)
DEVICE_NS = 599_616_000 * 10**9


def receipt(mono_ns: float) -> Stamp:
    return Stamp("00000001", round(mono_ns))


def place(timeline: Timeline, frame: int, delay_ns: float = 0.0, *, rate: float = 1.0) -> Placed:
    """The frame of that number, received `delay_ns` after its last sample."""
    device_ns = DEVICE_NS + round(frame * FRAME_NS / rate)
    placed = timeline.place(device_ns, N, receipt(10**12 + frame * FRAME_NS / rate + delay_ns))
    assert placed is not None
    return placed


def test_blocks_follow_each_other_without_a_hole_though_receipts_jitter() -> None:
    timeline, jitter = Timeline(RATE_HZ), random.Random(7)
    starts = [place(timeline, frame, jitter.uniform(5e6, 80e6)).start.mono_ns for frame in range(200)]
    steps = [later - earlier for earlier, later in itertools.pairwise(starts[50:])]
    assert max(abs(step - FRAME_NS) for step in steps) < 0.5e9 / RATE_HZ  # half a sample; the jitter was four


def test_no_sample_is_placed_after_its_own_receipt() -> None:
    timeline, jitter = Timeline(RATE_HZ), random.Random(8)
    for frame in range(100):
        delay_ns = jitter.uniform(0, 50e6)
        placed = place(timeline, frame, delay_ns)
        last_ns = placed.start.mono_ns + (N - 1) * 1e9 / RATE_HZ
        assert last_ns <= 10**12 + frame * FRAME_NS + delay_ns + 1


@pytest.mark.parametrize("rate", [0.98, 1.0, 1.02])
def test_a_band_that_runs_fast_or_slow_loses_nothing(rate: float) -> None:
    timeline = Timeline(RATE_HZ)
    assert sum(place(timeline, frame, rate=rate).lost for frame in range(300)) == 0


@pytest.mark.parametrize("rate", [0.98, 1.0, 1.02])
def test_frames_lost_on_the_air_are_counted_to_the_sample(rate: float) -> None:
    timeline = Timeline(RATE_HZ)
    for frame in range(100):
        place(timeline, frame, rate=rate)
    assert place(timeline, 103, rate=rate).lost == 3 * N


def test_a_frame_that_is_not_newer_is_dropped() -> None:
    timeline = Timeline(RATE_HZ)
    place(timeline, 5)
    assert timeline.place(DEVICE_NS + 5 * FRAME_NS, N, receipt(2 * 10**12)) is None
    assert timeline.place(DEVICE_NS, N, receipt(2 * 10**12)) is None


def test_the_samples_missed_during_a_disconnection_are_counted() -> None:
    timeline = Timeline(RATE_HZ)
    place(timeline, 1)
    timeline.reconnected()
    assert place(timeline, 101).lost == 99 * N


def test_a_band_that_restarted_meanwhile_is_placed_by_receipt_and_not_called_faulty() -> None:
    timeline = Timeline(RATE_HZ)
    place(timeline, 50)
    timeline.reconnected()
    placed = timeline.place(1000, N, receipt(10**12 + 60 * FRAME_NS))
    assert placed is not None
    assert not placed.jumped
    assert placed.lost == 9 * N
    assert placed.start.mono_ns == pytest.approx(10**12 + 60 * FRAME_NS - (N - 1) / RATE_HZ * 1e9, abs=1e3)


def test_a_clock_set_in_mid_stream_is_told_and_costs_no_samples() -> None:
    timeline = Timeline(RATE_HZ)
    place(timeline, 1)
    placed = timeline.place(DEVICE_NS * 2, N, receipt(10**12 + 2 * FRAME_NS))
    assert placed is not None
    assert (placed.jumped, placed.lost) == (True, 0)
