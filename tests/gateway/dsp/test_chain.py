"""Chains: a bed's seconds from two channels, in any chunks, through gaps and nonsense."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gateway.core.errors import WorkerError
from gateway.core.model import Event, Measurement, SampleBlock
from gateway.core.quantities import quantity
from gateway.dsp.chain import Chains, Result
from gateway.dsp.kernels.compiler import Floats
from tests.gateway.dsp.synthetic import START, block, empty_bed, sleeper, tossing


def blocks(wave: Floats | None, load: Floats | None, *, length: int = 50) -> list[SampleBlock]:
    """Wave at 100 Hz and load at 10 Hz in turn; length: samples of wave in a block, a multiple of ten."""
    given = []
    for i in range(0, 10 * len(load) if load is not None else len(wave) if wave is not None else 0, length):
        if wave is not None:
            given.append(block("bed.wave", wave[i : i + length], at_s=i / 100))
        if load is not None:
            given.append(block("bed.load", load[i // 10 : (i + length) // 10], at_s=i / 100, rate_hz=10.0))
    return given


def heard(given: list[SampleBlock], *, degraded: bool = False) -> list[Result]:
    chains = Chains(degraded=degraded)
    return [result for each in given for result in chains.feed(each)]


def values(results: list[Result], name: str) -> dict[int, float]:
    """Value by second since START."""
    found = [r for r in results if isinstance(r, Measurement) and r.quantity == name]
    return {round(r.at.since_s(START)): r.value for r in found}


def events(results: list[Result]) -> list[tuple[str, float]]:
    return [(r.kind, r.at.since_s(START)) for r in results if isinstance(r, Event)]


def load(*parts: tuple[int, float]) -> Floats:
    """(seconds, kg) one after another, at 10 Hz."""
    return np.concatenate([np.full(10 * seconds, kg) for seconds, kg in parts])


def test_every_second_in_bed_has_its_measurements_with_their_origin_and_unit() -> None:
    results = heard(blocks(sleeper(100.0), load((100, 45.0))))
    count = Counter(r.quantity for r in results if isinstance(r, Measurement))
    assert count["bed_occupied"] == 100
    assert count["movement"] == 91
    assert count["heart_rate"] >= 50
    assert count["respiration_rate"] == 61
    for r in results:
        assert isinstance(r, Measurement)
        assert r.origin in {"occupancy/2", "movement/1", "heart/2", "respiration/2", "pauses/1", "vital/1"}
        assert r.unit == quantity(r.quantity).unit
        assert quantity(r.quantity).plausible(r.value)
        assert 0.0 < r.quality <= 1.0
        assert r.window_s > 0.0
        assert (r.bed, r.device) == ("b-1", "belt-1")


@pytest.mark.parametrize("length", [10, 20, 100, 150])
def test_any_chunking_gives_the_same_seconds(length: int) -> None:
    wave = np.concatenate([sleeper(45.0), tossing(5.0), empty_bed(10.0)])
    wave[3000:3050] = np.nan
    weight = load((48, 45.0), (12, 1.0))
    assert heard(blocks(wave, weight, length=length)) == heard(blocks(wave, weight))


def test_one_sample_at_a_time_gives_the_same_seconds() -> None:
    wave = sleeper(15.0)
    given = [block("bed.wave", wave[i : i + 1], at_s=i / 100) for i in range(len(wave))]
    assert heard(given) == heard(blocks(wave, None, length=1500))


def test_a_stamp_is_that_of_the_last_sample_used() -> None:
    results = heard(blocks(sleeper(12.0), load((12, 45.0))))
    assert {round(r.at.since_s(START) % 1.0, 6) for r in results} == {0.99}


@pytest.mark.parametrize("wave", [empty_bed(5.0), tossing(5.0)])
def test_an_exit_is_told_within_five_seconds_and_an_entry_too(wave: Floats) -> None:
    signal = np.concatenate([sleeper(60.0), wave, empty_bed(15.0), tossing(2.0), sleeper(38.0, seed=9)])
    seen = events(heard(blocks(signal, load((60, 45.0), (20, 1.0), (40, 50.0)))))
    assert [kind for kind, _ in seen] == ["bed_exited", "bed_entered"]
    assert 60.0 < seen[0][1] <= 65.0
    assert 80.0 < seen[1][1] <= 85.0


def test_nothing_but_emptiness_is_measured_in_an_empty_bed() -> None:
    results = heard(blocks(empty_bed(120.0), load((120, 0.5))))
    assert {(r.quantity, r.value) for r in results if isinstance(r, Measurement)} == {("bed_occupied", 0.0)}
    assert events(results) == []


def test_a_loaded_bed_whose_heart_and_breath_stop_shows_no_sign_of_life_within_30_s() -> None:
    results = heard(blocks(np.concatenate([sleeper(120.0), empty_bed(60.0)]), load((180, 45.0))))
    life = values(results, "vital_sign")
    assert all(life[second] == 1.0 for second in range(20, 121))
    assert all(life[second] == 0.0 for second in range(150, 180))
    assert values(results, "bed_occupied")[179] == 1.0
    assert not [second for second in values(results, "heart_rate") if second > 135]


def test_a_waveform_that_fails_is_not_a_sleeper_who_does() -> None:
    wave = np.concatenate([sleeper(120.0), np.full(6000, np.nan)])
    life = values(heard(blocks(wave, load((180, 45.0)))), "vital_sign")
    assert 0.0 not in life.values()
    assert max(life) == 120


def test_a_short_gap_lowers_quality_and_a_long_one_starts_the_windows_afresh() -> None:
    wave, weight = sleeper(120.0), load((120, 45.0))

    def after(lost_s: float) -> list[Result]:
        first = blocks(wave[:6000], weight[:600])
        n = round(60 + lost_s)
        rest = blocks(wave[100 * n :], weight[10 * n :])
        moved = [replace(each, start=each.start.plus_s(n)) for each in rest]
        moved[0] = replace(moved[0], lost_before=round(100 * lost_s))
        moved[1] = replace(moved[1], lost_before=round(10 * lost_s))
        return heard(first + moved)

    short, long = after(1.0), after(20.0)
    quality = {round(r.at.since_s(START)): r.quality for r in short if isinstance(r, Measurement)
               and r.quantity == "respiration_rate"}  # fmt: skip
    assert quality[60] > quality[65] > 0.95
    assert set(range(50, 120)) <= quality.keys()
    assert not set(range(81, 115)) & values(long, "respiration_rate").keys()
    assert set(range(50, 60)) <= values(long, "heart_rate").keys()
    assert max(values(long, "heart_rate")) <= 61, "the rhythm must be proven afresh, which takes 40 s"


@pytest.mark.parametrize("value", [np.nan, np.inf, 1.0, -1.0])
def test_a_waveform_of_nonsense_yields_no_number(value: float) -> None:
    results = heard(blocks(np.full(6000, value), load((60, 45.0))))
    assert {r.quantity for r in results if isinstance(r, Measurement)} == {"bed_occupied"}


def test_a_belt_without_load_still_finds_its_sleeper() -> None:
    results = heard(blocks(sleeper(60.0), None))
    assert set(values(results, "bed_occupied").values()) == {1.0}
    assert min(values(results, "bed_occupied")) <= 13
    assert values(results, "heart_rate")
    assert not values(results, "vital_sign")


def test_a_degraded_chain_keeps_occupancy_movement_slow_breath_and_sign_of_life() -> None:
    results = heard(blocks(sleeper(100.0), load((100, 45.0))), degraded=True)
    count = Counter(r.quantity for r in results if isinstance(r, Measurement))
    assert count["respiration_rate"] == 13
    assert count["heart_rate"] == 0
    assert count["bed_occupied"] == 100
    assert set(values(results, "vital_sign").values()) == {1.0}
    assert set(range(45, 100)) <= values(results, "vital_sign").keys()


def test_a_new_chain_with_the_phase_and_memory_of_another_goes_on_in_its_seconds() -> None:
    given = blocks(sleeper(200.0), load((200, 45.0)), length=70)
    old, new = Chains(), Chains()
    phases, expected = [], []
    for each in given:
        expected.append(old.feed(each))
        phases.append(old.phase(each))
    at = len(given) // 2
    new.describe("belt-1", {}, old.memory("belt-1"))
    seen = []
    for i in range(at - 260, len(given)):
        before = new.feed(given[i], phase=phases[i - 2])
        seen += before if i >= at else []
    later = [result for results in expected[at:] for result in results]
    assert [(r.quantity, r.at) for r in seen if isinstance(r, Measurement)] == [
        (r.quantity, r.at) for r in later if isinstance(r, Measurement)
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"channel": "ppg.red"}, "known are acc, bed.wave, bed.load"),
        ({"rate_hz": 0.0}, "rate 0.0 Hz"),
        ({"rate_hz": float("nan")}, "rate nan Hz"),
        ({"rate_hz": 1e9}, "rate 1000000000.0 Hz"),
        ({"data": np.zeros((4, 3), dtype=np.float32)}, "expected"),
        ({"channel": "acc"}, "expected"),
        ({"lost_before": -1}, "-1 samples lost"),
    ],
)
def test_a_block_that_cannot_be_is_refused_and_changes_nothing(change: dict[str, Any], reason: str) -> None:
    chains = Chains()
    given = blocks(sleeper(15.0), load((15, 45.0)))
    results: list[Result] = []
    for each in given:
        with pytest.raises(WorkerError, match=reason):
            chains.feed(replace(each, **change) if each.channel == "bed.wave" else replace(given[0], **change))
        results += chains.feed(each)
    assert results == heard(given)


def test_a_device_that_moves_to_another_bed_starts_anew() -> None:
    chains = Chains()
    for each in blocks(sleeper(30.0), load((30, 45.0))):
        chains.feed(each)
    moved = [replace(each, bed="b-2", start=each.start.plus_s(30.0))
             for each in blocks(sleeper(8.0), load((8, 45.0)))]  # fmt: skip
    results = [result for each in moved for result in chains.feed(each)]
    assert {r.bed for r in results} == {"b-2"}
    assert not values(results, "heart_rate")


def test_an_empty_block_is_harmless() -> None:
    given = blocks(sleeper(15.0), load((15, 45.0)))
    nothing = replace(given[0], data=np.zeros(0, dtype=np.float32))
    assert heard([nothing, *given]) == heard(given)
