"""The heart in the bed's waveform: any rate of sampling, any disturbance, and never a number that is not one."""

from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.dsp.bed_chain import PULSE_BAND_HZ
from gateway.dsp.filters import Filter, band
from gateway.dsp.heart import Heart
from gateway.dsp.kernels import intervals, periodicity
from gateway.dsp.kernels.compiler import Floats
from gateway.dsp.lines import Pump, Tremor
from gateway.dsp.reasons import Withheld
from gateway.dsp.rhythm import Look, Rhythm
from gateway.dsp.second_source import SecondSource
from tests.evaluation import bed_synth
from tests.evaluation.bed_synth import Plan, Scene, Sleeper
from tests.gateway.dsp.synthetic import beat_times, empty_bed, sleeper

LAGS = np.array([16, 85])


def person(seconds: int, heart_rate: float, seed: int, jitter: float = 0.03) -> Sleeper:
    """Intervals that wander, breath that wanders: a made-up night in the form of a real one."""
    rng = np.random.default_rng(seed)
    beats = beat_times(float(seconds), heart_rate, seed=seed, jitter=jitter)
    phase = np.cumsum(0.24 * (1.0 + 0.2 * rng.standard_normal(seconds * 20).cumsum() / np.sqrt(seconds * 20)) / 20.0)
    return Sleeper(beats, np.sin(2 * np.pi * phase))


def heard(
    wave: Floats, rate_hz: float = 100.0, moving: NDArray[np.bool_] | None = None
) -> tuple[dict[int, float], Counter[str]]:
    heart, bandpass, why = Heart(rate_hz), Filter(band(*PULSE_BAND_HZ, rate_hz)), Counter[str]()
    found, n = {}, round(rate_hz)
    for second in range(len(wave) // n):
        moved = float(moving[second]) if moving is not None else 0.0
        estimate = heart.step(bandpass.step(wave[second * n : (second + 1) * n]), 1.0, moved)
        why[heart.withheld] += 1
        assert (estimate is None) == (heart.withheld != Withheld.NOTHING)
        if estimate is not None:
            found[second] = estimate.value
    return found, why


def bed(plan: Plan, heart_rate: float = 64.0, seed: int = 1) -> Scene:
    return bed_synth.scene(person(plan.seconds, heart_rate, seed), plan, seed)


@pytest.mark.parametrize("rate_hz", [25.0, 32.0, 50.0, 64.0, 125.0, 250.0])
def test_the_heart_is_found_at_any_rate_of_sampling_from_25_hz_on(rate_hz: float) -> None:
    wave = bed(Plan(180, snr_db=15.0, turns_per_hour=0.0)).wave
    t = np.arange(0.0, len(wave) / 100.0 - 0.01, 1.0 / rate_hz)
    found, _ = heard(np.interp(t, np.arange(len(wave)) / 100.0, wave), rate_hz)
    assert len(found) >= 90
    assert np.median(list(found.values())) == pytest.approx(64.0, abs=1.5)


def test_a_clock_that_drifts_200_ppm_changes_the_rate_by_no_more() -> None:
    wave = bed(Plan(180, snr_db=15.0, turns_per_hour=0.0)).wave
    t = np.arange(0.0, len(wave) / 100.0 - 1.0, 0.01 * (1.0 + 200e-6))
    plain, _ = heard(wave)
    drifted, _ = heard(np.interp(t, np.arange(len(wave)) / 100.0, wave))
    both = plain.keys() & drifted.keys()
    assert len(both) > 90
    assert max(abs(plain[second] - drifted[second]) for second in both) < 1.0


def test_in_noise_as_strong_as_the_beats_what_is_told_is_right() -> None:
    scene = bed(Plan(900, snr_db=0.0), seed=4)
    found, _ = heard(scene.wave, moving=scene.moving)
    errors = [abs(value - scene.rate(second + 1.0, 10.0)) for second, value in found.items()]
    assert len(errors) > 450
    assert np.mean(errors) < 2.0


def test_fibrillation_gets_no_number_at_any_noise() -> None:
    for seed, snr_db in enumerate((0.0, 6.0, 20.0)):
        rng = np.random.default_rng(seed)
        someone = Sleeper(bed_synth.fibrillating(900.0, rng), person(900, 60.0, seed).breath)
        scene = bed_synth.scene(someone, Plan(900, snr_db=snr_db), seed)
        found, why = heard(scene.wave, moving=scene.moving)
        assert len(found) <= 9
        assert why[Withheld.IRREGULAR] + why[Withheld.NO_RHYTHM] > 800


def test_a_heart_that_stops_is_not_heard_for_longer_than_its_window() -> None:
    found, _ = heard(np.concatenate([sleeper(120.0), empty_bed(120.0)]))
    assert max(found) <= 120 + 15


@pytest.mark.parametrize("wave", [np.zeros(12_000), np.full(12_000, 0.7), np.full(12_000, np.nan), empty_bed(120.0)])
def test_no_heart_comes_out_of_a_wave_that_has_none(wave: Floats) -> None:
    assert heard(wave)[0] == {}


def test_a_rhythm_must_be_proven_and_is_lost_within_half_a_minute() -> None:
    rhythm = Rhythm()
    steady, chance = Look(0.8, 0.78, 0.75, -0.6, 0.95), Look(0.4, 0.2, 0.2, 0.0, 0.3)
    states = []
    for look in (chance, steady, chance):
        for _ in range(150):
            rhythm.step(look)
            states.append(rhythm.regular)
    assert not any(states[:170])
    assert all(states[250:300])
    assert not any(states[330:])


def _local(x: Floats, prior: float = 0.0) -> Floats:
    out = np.zeros((4, 2))
    intervals.local_intervals(x, 12.5, LAGS, 0.7, prior, 0.3, np.zeros((6, 86)), out)
    return out


@pytest.mark.parametrize("period", [20.0, 35.0, 50.0, 80.0])
def test_a_local_interval_is_the_period_and_not_its_double(period: float) -> None:
    x = np.exp(4.0 * (np.cos(2 * np.pi * np.arange(500) / period) - 1.0))
    assert _local(x - x.mean())[:, 0] == pytest.approx(period, abs=1.5)


@pytest.mark.parametrize("x", [np.zeros(500), np.full(500, 3.0), np.full(500, np.nan)])
def test_nothing_has_no_local_interval(x: Floats) -> None:
    assert np.array_equal(_local(x, 40.0), np.zeros((4, 2)))


def test_a_nan_at_a_moment_leaves_it_without_an_interval() -> None:
    x = np.sin(2 * np.pi * np.arange(500) / 40.0)
    x[-85] = np.nan
    assert _local(x)[-1].tolist() == [0.0, 0.0]


def test_echoes_of_nothing_are_nothing() -> None:
    out = np.ones(5)
    periodicity.echoes(np.zeros(500), 50.0, 0.07, out)
    assert out.tolist() == [0.0] * 5


def shaken(scene: Scene) -> float:
    tremor, bandpass = Tremor(100.0), Filter(band(*PULSE_BAND_HZ, 100.0))
    return float(np.mean([tremor.step(bandpass.step(second)) for second in scene.wave.reshape(-1, 100)]))


def test_tremor_is_recognised_and_a_heart_is_not_taken_for_it() -> None:
    assert shaken(bed(Plan(200, snr_db=10.0, tremor_hz=4.8))) > 0.9
    for rate in (48, 66, 90):
        assert shaken(bed(Plan(200, snr_db=20.0), heart_rate=float(rate), seed=rate)) < 0.03


def pumped(scene: Scene, learnt_hz: float | None = None) -> tuple[list[bool], Pump]:
    pump = Pump(100.0, learnt_hz=learnt_hz)
    seconds = scene.wave.reshape(-1, 100)
    return [pump.step(x, empty=not here) for x, here in zip(seconds, scene.in_bed, strict=True)], pump


@pytest.mark.parametrize("hertz", [0.13, 0.42, 0.97])
def test_a_pump_is_learnt_in_the_empty_bed_and_known_over_the_sleeper(hertz: float) -> None:
    flags, pump = pumped(bed(Plan(900, snr_db=10.0, pump_hz=hertz, outings=((0.0, 400.0),))))
    assert pump.learnt_hz == pytest.approx(hertz, rel=0.003)
    assert np.mean(flags[420:]) > 0.9
    flags, _ = pumped(bed(Plan(600, snr_db=10.0, pump_hz=hertz), seed=3), learnt_hz=pump.learnt_hz)
    assert np.mean(flags[240:]) > 0.9


def test_a_breath_as_even_as_a_ventilators_is_no_pump() -> None:
    pump = Pump(100.0)
    assert not any(pump.step(second, empty=False) for second in sleeper(600.0).reshape(-1, 100))


def test_a_pump_that_was_taken_away_is_forgotten() -> None:
    pump = Pump(100.0, learnt_hz=0.3)
    for second in empty_bed(500.0).reshape(-1, 100):
        pump.step(second, empty=True)
    assert pump.learnt_hz is None


def flagged(scene: Scene) -> list[bool]:
    heart, bandpass, second_source = Heart(100.0), Filter(band(*PULSE_BAND_HZ, 100.0)), SecondSource(100.0)
    flags = []
    for second, wave in enumerate(scene.wave.reshape(-1, 100)):
        filtered = bandpass.step(wave)
        heart.step(filtered, 1.0, 0.0)
        kg, rms = float(np.median(scene.load[10 * second : 10 * second + 10])), float(np.std(filtered))
        flags.append(second_source.step(heart.envelope, rms, kg, unfit=bool(scene.moving[second])))
    return flags


@pytest.mark.parametrize(("rate", "others", "seed"), [(57.0, 71.0, 2), (54.0, 66.0, 4)])
def test_a_second_sleeper_is_noticed_and_a_single_one_is_not_doubled(rate: float, others: float, seed: int) -> None:
    other = person(1500, others, seed + 10)
    both = flagged(bed(Plan(1500, snr_db=10.0, other=other, other_s=(300.0, 1500.0)), heart_rate=rate, seed=seed))
    assert not any(both[:300])
    assert np.mean(both[700:]) > 0.5
    assert not any(flagged(bed(Plan(1500, snr_db=10.0), heart_rate=rate, seed=seed)))


def test_a_second_source_is_never_seen_in_nothing() -> None:
    source = SecondSource(50.0)
    for wave in (np.zeros(50), np.full(50, 2.0)):
        assert not any(source.step(wave, float("nan"), float("nan"), unfit=False) for _ in range(300))
