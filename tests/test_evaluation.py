"""Promises of what every evaluation rests on: its scorers, its split, its reference beats, its page."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure as Drawing

from tests.benchmarks.figures import Figure
from tests.evaluation import scoring
from tests.evaluation.ecg import r_peaks
from tests.evaluation.recordings import Floats, is_for_tuning
from tests.evaluation.report import Report, calibration

BEATS = np.cumsum(0.8 + 0.05 * np.sin(np.arange(300)))


def test_every_beat_found_late_by_one_delay_is_a_perfect_score() -> None:
    score = scoring.beats(BEATS, BEATS + 0.37, 10.0, 200.0)
    assert score.f1 == 1.0
    assert score.found == score.reference == score.true == score.seen > 200


def test_a_tenth_missed_and_a_tenth_invented_cost_what_they_must() -> None:
    seen = np.delete(BEATS, np.arange(0, 300, 10))
    assert scoring.beats(BEATS, seen, 10.0, 200.0).f1 == pytest.approx(2 * 0.9 / 1.9, abs=0.01)
    invented = np.sort(np.concatenate([BEATS, BEATS[::10] + 0.4]))
    assert scoring.beats(BEATS, invented, 10.0, 200.0).f1 == pytest.approx(2 / 2.1, abs=0.01)


def test_a_partner_outside_the_tolerance_is_none() -> None:
    assert scoring.matches(np.array([1.0, 2.0]), np.array([1.149, 2.151])) == 1


@given(st.lists(st.floats(0, 60), max_size=30), st.lists(st.floats(0, 60), max_size=30))
def test_a_beat_pairs_at_most_once(reference: list[float], seen: list[float]) -> None:
    a: Floats = np.array(sorted(reference))
    b: Floats = np.array(sorted(seen))
    assert scoring.matches(a, b) <= min(len(a), len(b))
    assert scoring.matches(a, a) == len(a)


def test_nothing_seen_scores_nothing() -> None:
    assert scoring.beats(BEATS, np.array([]), 10.0, 200.0).f1 == 0.0


def test_the_worst_tenth_is_the_mean_of_the_worst_records_and_at_least_of_one() -> None:
    assert scoring.worst_tenth([float(i) for i in range(20)]) == 0.5
    assert scoring.worst_tenth([3.0, 1.0, 2.0]) == 1.0


def test_the_split_gives_both_halves_their_share_and_never_changes() -> None:
    tuning = [is_for_tuning("bidmc", f"P{i:02d}") for i in range(200)]
    assert 70 < sum(tuning) < 130
    assert [is_for_tuning("bidmc", "P01"), is_for_tuning("bidmc", "P02")] == tuning[1:3]


def test_r_peaks_are_found_between_t_waves_and_noise() -> None:
    t = np.arange(0, 60, 1 / 125)
    beats = np.arange(0.5, 59.5, 0.8)
    ecg = 0.02 * np.random.default_rng(1).standard_normal(len(t)) + 0.3 * np.sin(2 * np.pi * 0.2 * t)
    for beat in beats:
        ecg += np.exp(-(((t - beat) / 0.012) ** 2)) + 0.35 * np.exp(-(((t - beat - 0.28) / 0.05) ** 2))
    found = r_peaks(ecg, 125.0)
    assert len(found) == len(beats)
    assert np.abs(found - beats).max() < 0.02


def test_the_page_says_what_was_missed_and_what_was_not_asked() -> None:
    report = Report("pulse")
    report.not_asked.append("no folder <bidmc>")
    report.section("Beats", "text")
    report.table(["record", "F1"], [["P01", 0.98765]])
    report.drawing(calibration([0.5] * 30, [1.0] * 30, "error", "/min"))
    page = report.html([Figure("F1", 0.9, "", 0.98, "higher")], "a machine")
    for wanted in ("MISSED", "no folder &lt;bidmc&gt;", "0.9877", "<svg", "a machine"):
        assert wanted in page


def test_a_calibration_without_data_is_an_empty_plot() -> None:
    assert isinstance(calibration([], [], "nothing", "/min"), Drawing)
