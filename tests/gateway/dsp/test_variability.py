"""Variability: right on intervals whose numbers are known, silent when there is too little, blind to gaps."""

import math

import numpy as np
import pytest

from gateway.dsp.variability import Intervals, Variability


def fed(lengths: list[float], *, gap_after: int | None = None) -> Intervals:
    intervals, at_s = Intervals(), 0.0
    for i, length in enumerate(lengths):
        at_s += length
        intervals.add(at_s, length)
        if i == gap_after:
            at_s += 10.0
    return intervals


def measured(lengths: list[float]) -> Variability:
    found = fed(lengths).measure()
    assert found is not None
    return found


def test_intervals_that_alternate_have_the_rmssd_and_sdnn_of_the_definition() -> None:
    lengths = [0.8, 0.84] * 100
    seen = measured(lengths)
    assert seen.rmssd_ms == pytest.approx(40.0)
    assert seen.sdnn_ms == pytest.approx(1000 * np.std(lengths, ddof=1))
    assert seen.irregularity == pytest.approx(0.04 / 0.84)
    assert (seen.intervals, seen.pairs) == (200, 199)
    assert seen.quality == pytest.approx(200 / 240)


def test_a_clock_has_none() -> None:
    seen = measured([0.8] * 300)
    assert seen.rmssd_ms == pytest.approx(0.0, abs=1e-9)
    assert seen.sdnn_ms == pytest.approx(0.0, abs=1e-9)
    assert seen.irregularity == pytest.approx(0.0, abs=1e-9)
    assert seen.quality == 1.0


def test_fibrillation_is_irregular_and_a_sleeper_in_rhythm_is_not() -> None:
    rng = np.random.default_rng(3)
    steady = 0.9 + 0.05 * np.sin(np.arange(300) * 0.25 * 0.9 * 2 * np.pi) + 0.01 * rng.standard_normal(300)
    fibrillating = 0.75 * np.exp(rng.normal(0, 0.2, 300))
    assert measured(steady.tolist()).irregularity < 0.08
    assert measured(fibrillating.tolist()).irregularity > 0.12


def test_a_missed_beat_is_left_out_of_rmssd_and_sdnn() -> None:
    lengths = [0.8, 0.82] * 80
    lengths[50] = 1.6
    seen, clean = measured(lengths), measured([0.8, 0.82] * 80)
    assert seen.rmssd_ms == pytest.approx(clean.rmssd_ms, rel=0.01)
    assert seen.sdnn_ms == pytest.approx(clean.sdnn_ms, rel=0.01)
    assert seen.quality < clean.quality


def test_a_gap_makes_no_difference_between_intervals_that_do_not_touch() -> None:
    seen = fed([0.8] * 80 + [1.0] * 80, gap_after=79).measure()
    assert seen is not None
    assert seen.rmssd_ms == pytest.approx(0.0, abs=1e-6)
    assert seen.pairs == 158


@pytest.mark.parametrize("lengths", [[], [0.8] * 59, [math.nan] * 100, [5.0] * 100, [math.inf] * 100])
def test_too_little_gives_no_number(lengths: list[float]) -> None:
    assert fed(lengths).measure() is None


def test_only_the_last_five_minutes_count_and_a_reset_forgets_them() -> None:
    intervals = fed([0.6, 0.9] * 400 + [0.8] * 380)
    seen = intervals.measure()
    assert seen is not None
    assert seen.rmssd_ms == pytest.approx(0.0, abs=1e-6)
    intervals.reset()
    assert intervals.measure() is None


def test_an_interval_out_of_order_is_left_out() -> None:
    intervals = fed([0.8] * 100)
    before = intervals.measure()
    intervals.add(3.0, 0.8)
    intervals.add(math.nan, 0.8)
    assert intervals.measure() == before
