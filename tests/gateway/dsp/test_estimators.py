"""Estimators on signals whose truth is known: right when there is something to see, silent when there is not."""

from collections import Counter

import numpy as np
import pytest

from gateway.dsp.bed_chain import PULSE_BAND_HZ
from gateway.dsp.estimate import Estimate
from gateway.dsp.filters import Filter, band
from gateway.dsp.heart import Heart
from gateway.dsp.kernels.compiler import Floats
from gateway.dsp.movement import Movement
from gateway.dsp.occupancy import Occupancy
from gateway.dsp.respiration import Respiration
from gateway.dsp.vital import HOLD_S, SETTLE_S, Vital
from tests.gateway.dsp.synthetic import beat_times, empty_bed, sleeper, tossing


def seconds(wave: Floats) -> list[Floats]:
    return [wave[i : i + 100] for i in range(0, len(wave), 100)]


def hearts(wave: Floats, *, real: float = 1.0, movement: float = 0.0) -> list[Estimate]:
    heart, bandpass = Heart(100.0), Filter(band(*PULSE_BAND_HZ, 100.0))
    found = [heart.step(bandpass.step(second), real, movement) for second in seconds(wave)]
    return [estimate for estimate in found if estimate is not None]


def breaths(wave: Floats, *, real: float = 1.0, movement: float = 0.0) -> list[Estimate]:
    respiration = Respiration(100.0)
    found = [respiration.step(second, real, movement) for second in seconds(wave)]
    return [estimate for estimate in found if estimate is not None]


@pytest.mark.parametrize("rate", [42, 55, 64, 78, 96, 120])
def test_a_regular_heart_is_measured_within_two_beats_from_a_minute_on(rate: int) -> None:
    found = hearts(sleeper(120.0, heart_rate=rate, seed=rate))
    assert len(found) >= 60
    assert [estimate.value for estimate in found] == pytest.approx([rate] * len(found), abs=2.0)
    assert all(0.4 <= estimate.quality <= 1.0 and estimate.window_s == 10.0 for estimate in found)


@pytest.mark.parametrize("jitter", [0.2, 0.25])
def test_an_irregular_heart_gets_no_number_and_the_reason_is_said(jitter: float) -> None:
    for seed in range(4):
        heart, bandpass = Heart(100.0), Filter(band(*PULSE_BAND_HZ, 100.0))
        wave = sleeper(600.0, beats=beat_times(600.0, 80.0, jitter=jitter, seed=seed), seed=seed)
        why: Counter[str] = Counter()
        for second in seconds(wave):
            assert heart.step(bandpass.step(second), 1.0, 0.0) is None
            why[heart.withheld] += 1
        assert why["irregular"] + why["no_rhythm"] >= 585


@pytest.mark.parametrize("wave", [empty_bed(300.0), np.zeros(30_000), np.full(30_000, np.nan)])
def test_an_empty_bed_has_no_heart_and_no_breath(wave: Floats) -> None:
    assert hearts(wave) == []
    assert len(breaths(wave)) <= 13  # noise in so narrow a band looks periodic now and then: 5 % of the seconds


def test_movement_and_missing_samples_hide_the_heart() -> None:
    wave = sleeper(120.0)
    assert hearts(wave, movement=1.0) == []
    assert hearts(wave, real=0.7) == []
    assert {round(estimate.quality / best.quality, 6) for estimate, best in zip(hearts(wave, real=0.9), hearts(wave),
                                                                                strict=True)} == {0.9}  # fmt: skip


@pytest.mark.parametrize("rate", [7, 12, 15, 21, 30])
def test_a_steady_breath_is_measured_within_half_a_breath(rate: int) -> None:
    found = breaths(sleeper(120.0, breath_rate=rate, seed=rate))
    assert len(found) >= 75
    assert [estimate.value for estimate in found] == pytest.approx([rate] * len(found), abs=0.5)


def test_movement_and_missing_samples_hide_the_breath() -> None:
    assert breaths(sleeper(120.0), movement=1.0) == []
    assert breaths(sleeper(120.0), real=0.7) == []


def test_a_breath_that_stops_is_noticed_within_fifteen_seconds_though_the_window_still_shows_it() -> None:
    respiration = Respiration(100.0)
    for second in seconds(sleeper(100.0)):
        respiration.step(second, 1.0, 0.0)
    assert respiration.breath_now
    after = 0
    for second in seconds(empty_bed(30.0)):
        respiration.step(second, 1.0, 0.0)
        after += respiration.breath_now
    assert after <= 15


def movements(wave: Floats, *, loaded: bool | None = True, load_step_kg: float = 0.0) -> list[float]:
    movement, bandpass = Movement(), Filter(band(*PULSE_BAND_HZ, 100.0))
    found = []
    for second in seconds(wave):
        movement.hear(bandpass.step(second), 1.0)
        found.append(movement.step(1.0, loaded, load_step_kg))
    return [estimate.value for estimate in found if estimate is not None]


def test_a_sleeper_at_rest_does_not_move_and_one_who_tosses_does() -> None:
    seen = movements(np.concatenate([sleeper(60.0), tossing(10.0), sleeper(60.0, seed=8)]))
    assert max(seen[:45]) == 0.0
    assert min(seen[51:60]) > 0.5
    assert sum(seen[-55:]) == 0.0
    assert all(0.0 <= value <= 1.0 for value in seen)


def test_nobody_moves_in_an_empty_bed_and_its_noise_is_learnt() -> None:
    movement, bandpass = Movement(), Filter(band(*PULSE_BAND_HZ, 100.0))
    for second in seconds(empty_bed(60.0)):
        movement.hear(bandpass.step(second), 1.0)
        assert movement.step(1.0, False, 0.0) is None
    assert movement.empty == pytest.approx(0.0008 * np.sqrt(9.3 / 50.0), rel=0.2)
    assert movement.resting is None


def test_a_shifting_load_is_movement_even_when_the_waveform_is_quiet() -> None:
    assert min(movements(sleeper(30.0), load_step_kg=4.0)) == 0.5
    assert max(movements(sleeper(30.0), load_step_kg=0.5)) == 0.0


def occupied(kilograms: list[float | None], *, moving: bool = False, alive: bool = False) -> list[bool | None]:
    occupancy = Occupancy()
    return [
        occupancy.step(None if kg is None else np.full(10, kg), 10.0, moving, alive).loaded for kg in kilograms
    ]


def test_an_entry_is_told_after_one_second_and_an_exit_after_two() -> None:
    assert occupied([1.0, 1.0, 40.0, 40.0, 1.0, 1.0, 1.0]) == [None, False, True, True, True, False, False]


def test_a_load_between_the_thresholds_changes_nothing() -> None:
    assert occupied([9.0, 40.0, 9.0, 9.0, 9.0, 1.0, 1.0, 9.0]) == [None, *[True] * 5, False, False]


def test_a_sleeper_who_turns_over_lifts_off_for_two_seconds_without_leaving() -> None:
    assert occupied([40.0, 1.0, 1.0, 40.0], moving=True) == [True] * 4
    assert occupied([40.0, 1.0, 1.0, 1.0], moving=True) == [True, True, True, False]


def test_a_silent_load_is_remembered_for_ten_seconds_and_then_unknown() -> None:
    assert occupied([40.0, *[None] * 12]) == [*[True] * 11, None, None]
    assert occupied([40.0, *[float("nan")] * 12]) == [*[True] * 11, None, None]


def test_without_a_load_a_pulse_proves_a_sleeper_and_silence_proves_nothing() -> None:
    assert occupied([None] * 3, alive=True) == [True] * 3
    assert occupied([None] * 3) == [None] * 3


def test_an_exit_during_silence_is_told_when_the_load_is_back() -> None:
    occupancy = Occupancy()
    occupancy.step(np.full(10, 40.0), 10.0, False, False)
    for _ in range(12):
        occupancy.step(None, 1.0, False, False)
    seen = [occupancy.step(np.full(10, 1.0), 10.0, False, False) for _ in range(3)]
    assert [(each.loaded, each.changed, each.after_gap) for each in seen] == [
        (None, False, False), (False, True, True), (False, False, False),
    ]  # fmt: skip


def vitals(signs: list[bool], *, loaded: bool | None = True, real: float = 1.0) -> list[float | None]:
    vital = Vital()
    found = [vital.step(loaded=loaded, sign=sign, real=real) for sign in signs]
    return [None if estimate is None else estimate.value for estimate in found]


def test_the_sign_of_life_goes_ten_seconds_after_the_last_one() -> None:
    seen = vitals([True] * SETTLE_S + [False] * 20)
    assert seen == [1.0] * (SETTLE_S + HOLD_S - 1) + [0.0] * (20 - HOLD_S + 1)


def test_no_sign_of_life_is_never_said_before_the_breath_could_have_been_seen() -> None:
    assert vitals([False] * 45) == [None] * (SETTLE_S - 1) + [0.0] * 6


def test_no_sign_of_life_is_never_said_of_an_unloaded_bed_or_a_silent_sensor() -> None:
    for loaded in (False, None):
        assert vitals([False] * 60, loaded=loaded) == [None] * 60
    assert vitals([False] * 60, real=0.5) == [None] * 60
