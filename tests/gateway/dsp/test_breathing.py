"""Breath: a rate that two ways of looking agree on, pauses that end, and silence where nobody can know."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.model import Event, Measurement, SampleBlock
from gateway.dsp.chain import Chains
from gateway.dsp.estimate import Estimate
from gateway.dsp.kernels import breathing
from gateway.dsp.kernels.compiler import Floats
from gateway.dsp.pauses import Pauses
from gateway.dsp.reasons import Withheld
from gateway.dsp.respiration import LEAST_QUALITY, Respiration
from tests.gateway.dsp.synthetic import block, sleeper, tossing


def hops(wave: Floats, rate_hz: float = 100.0) -> list[Floats]:
    n = round(rate_hz)
    return [wave[i : i + n] for i in range(0, len(wave) - n + 1, n)]


def rates(wave: Floats, rate_hz: float = 100.0, *, movement: float = 0.0) -> list[Estimate | None]:
    respiration = Respiration(rate_hz)
    return [respiration.step(hop, float(np.isfinite(hop).mean()), movement) for hop in hops(wave, rate_hz)]


def told(estimates: Sequence[Estimate | None]) -> list[float]:
    return [estimate.value for estimate in estimates if estimate is not None]


def breath(seconds: float, rate_per_min: float, rate_hz: float = 100.0) -> Floats:
    """With inspiration quicker than expiration, and a heart beat."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    phase = 2 * np.pi * rate_per_min / 60.0 * t
    wave: Floats = 0.05 * np.sin(phase + 0.4 * np.sin(phase)) + 0.004 * np.sin(2 * np.pi * 1.1 * t)
    return wave


# -- rate -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate_hz", [5.0, 10.0, 20.0, 50.0, 64.0, 100.0, 125.0, 250.0])
@pytest.mark.parametrize("rate", [6, 9, 14, 20, 28, 35])
def test_a_steady_breath_is_measured_at_any_sampling_rate(rate_hz: float, rate: int) -> None:
    found = told(rates(breath(90.0, rate, rate_hz), rate_hz))
    assert len(found) >= 45
    assert found == pytest.approx([rate] * len(found), abs=0.6)


def test_what_both_agree_on_has_a_quality_of_at_least_a_half_and_noise_lowers_it() -> None:
    rng = np.random.default_rng(5)
    clean = breath(600.0, 15)
    medians = []
    for noise in (0.0, 0.5, 1.0):
        found = rates(clean + noise * np.cumsum(rng.standard_normal(len(clean))) * 0.002)
        qualities = [estimate.quality for estimate in found if estimate is not None]
        assert min(qualities) >= LEAST_QUALITY
        medians.append(float(np.median(qualities)))
    assert medians[0] > medians[1] > medians[2]


@pytest.mark.parametrize("value", [0.0, 7.5, -1.0, np.nan, np.inf])
def test_a_constant_a_gap_and_infinities_give_no_rate(value: float) -> None:
    assert told(rates(np.full(12_000, value))) == []


def test_every_reason_is_named() -> None:
    respiration = Respiration(100.0)
    seen = []
    for part, real, movement in (
        (breath(20.0, 15), 1.0, 0.0), (breath(60.0, 15), 1.0, 1.0), (breath(60.0, 15), 0.5, 0.0),
    ):  # fmt: skip
        for hop in hops(part):
            respiration.step(hop, real, movement)
            seen.append(respiration.withheld)
    assert (seen[10], seen[55], seen[-1]) == (Withheld.FILLING, Withheld.MOVING, Withheld.GAP)
    respiration.reset()
    for hop in hops(np.zeros(6000)):
        respiration.step(hop, 1.0, 0.0)
    assert respiration.withheld == Withheld.NO_RHYTHM
    assert told([Respiration(2.0).step(np.zeros(2), 1.0, 0.0) for _ in range(60)]) == []


def test_two_ways_of_looking_that_differ_give_no_rate() -> None:
    t = np.arange(12_000) / 100.0
    sighing = 0.05 * np.sin(2 * np.pi * 0.3 * t) * (1.0 + 6.0 * (np.sin(2 * np.pi * t / 31.0) > 0.9))
    respiration = Respiration(100.0)
    why = [(respiration.step(hop, 1.0, 0.0), respiration.withheld)[1] for hop in hops(sighing)]
    assert Withheld.NO_AGREEMENT in why


def test_noise_gives_hardly_a_rate() -> None:
    wave = np.random.default_rng(3).standard_normal(120_000)
    assert len(told(rates(wave))) <= 120, "more than a tenth of 1200 s"


def test_bursts_of_loss_give_no_wrong_rate() -> None:
    rng = np.random.default_rng(7)
    wave = breath(600.0, 14)
    for at in rng.integers(0, len(wave) - 200, 300):
        wave[at : at + rng.integers(10, 150)] = np.nan
    found = told(rates(wave))
    assert found == pytest.approx([14.0] * len(found), abs=2.0)


def test_a_clock_200_ppm_off_changes_nothing_that_matters() -> None:
    wave = breath(102.0, 14)
    drifted = np.interp(np.arange(10_000) * (1 + 200e-6), np.arange(10_200), wave)
    assert told(rates(drifted)) == pytest.approx(told(rates(wave[:10_000])), abs=0.1)


# -- pauses -----------------------------------------------------------------------------------------------------------


def paused(length_s: float, *, before_s: float = 120.0, after_s: float = 60.0, share: float = 0.05) -> Floats:
    wave = breath(before_s + length_s + after_s, 15)
    first, end = round(100 * before_s), round(100 * (before_s + length_s))
    wave[first:end] *= share
    rng = np.random.default_rng(2)
    return wave + 0.0003 * rng.standard_normal(len(wave))


def pauses(wave: Floats, movement: Floats | None = None, *, loaded: bool = True) -> list[tuple[int, float]]:
    """(second in which it was told, length) of each."""
    estimator = Pauses(100.0)
    found = []
    for second, hop in enumerate(hops(wave)):
        moved = float(movement[second]) if movement is not None else 0.0
        estimate = estimator.step(hop, float(np.isfinite(hop).mean()), moved, loaded=loaded)
        if estimate is not None and estimate.value:
            assert 0.0 < estimate.quality <= 1.0
            found.append((second, estimate.value))
    return found


@pytest.mark.parametrize("length_s", [14, 20, 30, 45, 80])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.2])
def test_a_pause_is_told_once_with_its_length_when_breath_is_back(length_s: int, share: float) -> None:
    [(second, told_s)] = pauses(paused(length_s, share=share))
    assert told_s == pytest.approx(length_s, abs=2.5)
    assert 120 + length_s <= second + 1 <= 120 + length_s + 4


@pytest.mark.parametrize("length_s", [3, 5, 7])
def test_a_short_rest_between_breaths_is_no_pause(length_s: int) -> None:
    assert pauses(paused(length_s)) == []


@pytest.mark.parametrize("rate", [6, 8, 12, 20])
def test_slow_breath_is_no_pause(rate: int) -> None:
    assert pauses(breath(600.0, rate)) == []


def test_breath_that_does_not_come_back_is_not_told_here() -> None:
    wave = paused(600.0, share=0.1)
    assert pauses(wave[:-6000]) == []
    slipped = breath(900.0, 15)
    slipped[30_000:] *= 0.1
    assert pauses(slipped) == []


def test_movement_a_gap_and_an_empty_bed_hide_pauses() -> None:
    wave = paused(20.0)
    still = np.zeros(200)
    for second in (125, 139, 141):
        moving = still.copy()
        moving[second] = 1.0
        assert pauses(wave, moving) == []
    broken = wave.copy()
    broken[13_000:13_020] = np.nan
    assert pauses(broken) == []
    assert pauses(wave, loaded=False) == []
    assert len(pauses(wave, still)) == 1


@pytest.mark.parametrize("value", [0.0, 3.0, np.nan, np.inf])
def test_a_constant_a_gap_and_infinities_are_no_pause(value: float) -> None:
    assert pauses(np.full(60_000, value)) == []


# -- through the chain ------------------------------------------------------------------------------------------------


def fed(wave: Floats, kg: Floats | None, *, length: int = 100, lose: Sequence[int] = ()) -> list[Measurement | Event]:
    """wave at 100 Hz, load at 10 Hz, in blocks of `length` samples of wave; lose: which blocks never come."""
    chains = Chains()
    results: list[Measurement | Event] = []
    lost = 0
    for number, i in enumerate(range(0, len(wave), length)):
        if number in lose:
            lost += length
            continue
        given: list[SampleBlock] = [block("bed.wave", wave[i : i + length], at_s=i / 100)]
        if kg is not None:
            given.append(block("bed.load", kg[i // 10 : (i + length) // 10], at_s=i / 100, rate_hz=10.0))
        for each in given:
            share = 1 if each.channel == "bed.wave" else 10
            results += chains.feed(replace(each, lost_before=lost // share))
        lost = 0
    return results


def named(results: Sequence[Measurement | Event], name: str) -> list[Measurement]:
    return [r for r in results if isinstance(r, Measurement) and r.quantity == name]


PAUSE = 0.05 * sleeper(20.0, seed=4)
NIGHT = np.concatenate([sleeper(150.0), PAUSE, sleeper(40.0, seed=5), tossing(5.0), sleeper(60.0)])


def test_a_sleeper_with_a_pause_has_one_pause_and_it_lasts_twenty_seconds() -> None:
    load = np.full(len(NIGHT) // 10, 45.0)
    [pause] = [m for m in named(fed(NIGHT, load), "breathing_pause") if m.value]
    assert pause.value == pytest.approx(20.0, abs=3.0)
    assert (pause.unit, pause.window_s) == ("s", pause.value)


@pytest.mark.parametrize("load_tells", [True, False])
def test_a_sensor_that_slips_out_of_place_makes_no_pause(load_tells: bool) -> None:
    wave, load = sleeper(400.0), np.full(4000, 45.0)
    wave[20_000:] *= 0.1
    if load_tells:
        load[2000:] /= 7.0
    assert [m for m in named(fed(wave, load), "breathing_pause") if m.value] == []


def test_a_bed_that_nobody_loads_has_no_breath_and_no_pause() -> None:
    results = fed(NIGHT, np.full(len(NIGHT) // 10, 0.5))
    told_of = [m for name in ("breathing_pause", "respiration_rate") for m in named(results, name)]
    assert [m for m in named(results, "breathing_pause") if m.value] == []
    assert told_of == [] or {m.value for m in named(results, "bed_occupied")} != {0.0}


@pytest.mark.parametrize("length", [10, 50, 150, 200])
def test_any_chunking_gives_the_same_breath(length: int) -> None:
    wave = NIGHT.copy()
    wave[9000:9030] = np.nan
    load = np.full(len(wave) // 10, 45.0)
    for name in ("respiration_rate", "breathing_pause"):
        assert named(fed(wave, load, length=length), name) == named(fed(wave, load), name)


@pytest.mark.parametrize("length", [1, 730, 3000, len(NIGHT)])
def test_one_sample_or_the_whole_night_at_once_gives_the_same_breath(length: int) -> None:
    wave = NIGHT[: 9000 if length == 1 else None]
    for name in ("respiration_rate", "breathing_pause"):
        assert named(fed(wave, None, length=length), name) == named(fed(wave, None), name)


@settings(max_examples=10, deadline=None)
@given(lose=st.sets(st.integers(0, 274), max_size=60))
def test_lost_seconds_never_make_a_pause_and_never_a_wrong_rate(lose: set[int]) -> None:
    wave = sleeper(275.0, breath_rate=15.0)
    results = fed(wave, np.full(len(wave) // 10, 45.0), lose=sorted(lose))
    assert [m for m in named(results, "breathing_pause") if m.value] == []
    found = [m.value for m in named(results, "respiration_rate")]
    assert found == pytest.approx([15.0] * len(found), abs=2.0)


@pytest.mark.parametrize("wave", [np.full(20_000, 1.0), np.full(20_000, np.nan), np.clip(50 * sleeper(200.0), -1, 1)])
def test_a_saturated_or_silent_waveform_gives_neither_breath_nor_pause(wave: Floats) -> None:
    results = fed(wave, np.full(len(wave) // 10, 45.0))
    assert named(results, "respiration_rate") == []
    assert [m for m in named(results, "breathing_pause") if m.value] == []


# -- kernels ----------------------------------------------------------------------------------------------------------


def test_rises_are_counted_once_and_where_they_cross() -> None:
    out = np.zeros(50)
    t = np.arange(400) / 5.0
    count = breathing.rises(np.sin(2 * np.pi * 0.25 * (t - 1.0)), 0.0, 0.25, out)
    assert out[:count] / 5.0 == pytest.approx(np.arange(1.0, 80.0, 4.0)[-count:], abs=0.01)
    assert count == 20


def test_a_ripple_below_the_swing_counts_nothing_and_a_nan_neither() -> None:
    out = np.zeros(50)
    assert breathing.rises(0.1 * np.sin(np.arange(200.0)), 0.0, 0.2, out) == 0
    assert breathing.rises(np.full(50, np.nan), 0.0, 0.2, out) == 0


@given(st.lists(st.floats(-1e6, 1e6), max_size=50))
def test_the_largest_swing_is_that_of_the_finite_samples(values: list[float]) -> None:
    with_gaps = np.array([*values, np.nan, np.inf])
    expected = max(values) - min(values) if values else 0.0
    assert breathing.largest_swing(with_gaps) == expected
