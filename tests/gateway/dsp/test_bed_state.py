"""Occupancy from load and energy, turning over, restlessness: each by itself, second by second."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from gateway.core.model import Event, Measurement, SampleBlock
from gateway.dsp.bed_energy import Level
from gateway.dsp.chain import Chains, Result
from gateway.dsp.occupancy import Occupancy, Occupied
from gateway.dsp.restlessness import Restlessness
from gateway.dsp.turning import AFTER_S, Turning
from tests.gateway.dsp.synthetic import START, Floats, block, empty_bed, sleeper, tossing

SLEEPER, EMPTY = 0.003, 0.0004  # rms of the pulse band


def steps(
    occupancy: Occupancy,
    seconds: int,
    kg: float | None,
    *,
    moving: bool = False,
    alive: bool = False,
    now: float = math.nan,
    empty: float | None = None,
) -> list[Occupied]:
    """The same second again and again."""
    load = None if kg is None else np.full(10, kg)
    return [occupancy.step(load, 10.0, moving, alive, Level(now, empty)) for _ in range(seconds)]


# -- the zero ---------------------------------------------------------------------------------------------------------


def test_the_zero_of_an_empty_bed_is_followed_so_that_a_creep_of_hours_changes_nothing() -> None:
    occupancy = Occupancy()
    for minute in range(240):  # 9 kg in four hours, above the threshold of an exit
        seen = steps(occupancy, 60, minute * 9.0 / 240, now=EMPTY, empty=EMPTY)
        assert {each.loaded for each in seen} <= {None, False}
    assert seen[-1].load_kg == pytest.approx(0.0, abs=0.5)
    assert steps(occupancy, 2, 9.0 + 30.0)[-1].loaded is True
    assert steps(occupancy, 3, 9.0)[-1].loaded is False


def test_the_zero_is_never_followed_while_somebody_may_be_there() -> None:
    for kg, alive, now in ((40.0, True, SLEEPER), (9.0, False, SLEEPER), (4.0, True, SLEEPER), (4.0, False, SLEEPER)):
        occupancy = Occupancy(memory={"living": SLEEPER, "silence": EMPTY})
        steps(occupancy, 600, kg, alive=alive, now=now, empty=EMPTY)
        assert occupancy.memory()["zero_kg"] == 0.0, (kg, alive)


def test_without_a_waveform_only_a_small_creep_is_followed() -> None:
    occupancy = Occupancy()
    steps(occupancy, 1200, 2.0)
    assert occupancy.memory()["zero_kg"] == pytest.approx(2.0, abs=0.1)
    occupancy = Occupancy()
    steps(occupancy, 1200, 5.0)  # a leg, perhaps
    assert occupancy.memory()["zero_kg"] == 0.0


def test_a_zero_that_fell_comes_back_within_minutes_and_is_bounded() -> None:
    occupancy = Occupancy(memory={"zero_kg": 6.0})
    steps(occupancy, 360, 0.0)
    assert occupancy.memory()["zero_kg"] == pytest.approx(0.0, abs=0.1)
    steps(occupancy, 3600, -60.0)
    assert occupancy.memory()["zero_kg"] == -10.0


def test_a_new_chain_is_given_the_zero_of_the_old_one() -> None:
    occupancy = Occupancy()
    steps(occupancy, 1800, 2.5)
    again = Occupancy(memory=occupancy.memory())
    assert steps(again, 3, 2.5)[-1].load_kg == pytest.approx(0.0, abs=0.1)


def test_a_mattress_that_crept_by_more_than_the_threshold_still_tells_an_exit() -> None:
    occupancy = Occupancy(memory={"living": SLEEPER, "silence": EMPTY})
    steps(occupancy, 600, 45.0, alive=True, now=SLEEPER, empty=EMPTY)
    steps(occupancy, 3, 45.0, moving=True, now=0.1, empty=EMPTY)
    gone = steps(occupancy, 5, 9.0, now=EMPTY, empty=EMPTY)
    assert gone[-1].loaded is False
    assert any(each.changed for each in gone)


def test_a_sleeper_who_hangs_over_the_edge_has_not_left() -> None:
    occupancy = Occupancy(memory={"living": SLEEPER, "silence": EMPTY})
    steps(occupancy, 600, 45.0, alive=True, now=SLEEPER, empty=EMPTY)
    seen = steps(occupancy, 60, 9.0, alive=True, now=SLEEPER, empty=EMPTY)
    assert {each.loaded for each in seen} == {True}


# -- without load -----------------------------------------------------------------------------------------------------


def learnt() -> Occupancy:
    """Of a belt without load that has seen its sleeper and its empty bed."""
    occupancy = Occupancy(memory={"living": SLEEPER, "silence": EMPTY})
    assert steps(occupancy, 60, None, alive=True, now=SLEEPER)[-1].loaded is True
    return occupancy


def test_a_belt_without_load_tells_an_exit_within_three_seconds_of_silence_with_a_lower_quality() -> None:
    occupancy = learnt()
    steps(occupancy, 4, None, moving=True, alive=True, now=0.05)
    seen = steps(occupancy, 3, None, alive=True, now=EMPTY)  # the pulse's window still shows the sleeper
    assert [each.loaded for each in seen] == [True, False, False]
    assert seen[1].changed
    assert 0.0 < seen[1].quality <= 0.5
    assert seen[1].by == "wave"


def test_a_belt_without_load_tells_an_entry_of_somebody_who_lies_down() -> None:
    occupancy = learnt()
    steps(occupancy, 4, None, moving=True, now=0.05)
    steps(occupancy, 300, None, now=EMPTY)
    seen = [*steps(occupancy, 2, None, now=0.05), *steps(occupancy, 2, None, now=SLEEPER)]
    assert [each.loaded for each in seen] == [False, False, True, True]


def test_without_load_a_sleeper_who_falls_silent_without_moving_has_not_left() -> None:
    seen = steps(learnt(), 120, None, now=EMPTY)
    assert not any(each.loaded is False for each in seen)
    assert seen[-1].loaded is None, "neither gone nor there: nobody can say"


def test_without_load_the_pauses_of_a_slow_heart_after_movement_are_no_exit() -> None:
    occupancy = learnt()
    steps(occupancy, 4, None, moving=True, alive=True, now=0.05)
    for _ in range(30):
        assert steps(occupancy, 1, None, now=EMPTY)[0].loaded is True
        assert steps(occupancy, 1, None, now=2 * SLEEPER)[0].loaded is True


def test_the_empty_bed_of_a_belt_without_load_is_learnt_from_a_lifeless_minute() -> None:
    occupancy = Occupancy()
    steps(occupancy, 120, None, alive=True, now=SLEEPER)
    assert "silence" not in occupancy.memory()
    steps(occupancy, 59, None, now=EMPTY)
    assert "silence" not in occupancy.memory()
    steps(occupancy, 1, None, now=EMPTY)
    assert occupancy.memory()["silence"] == pytest.approx(EMPTY)


def test_a_minute_that_is_not_far_below_the_sleepers_teaches_nothing() -> None:
    occupancy = Occupancy()
    steps(occupancy, 120, None, alive=True, now=SLEEPER)
    steps(occupancy, 120, None, now=SLEEPER / 2.0)
    assert "silence" not in occupancy.memory()


# -- the whole chain --------------------------------------------------------------------------------------------------


def fed(wave: Floats, load: Floats | None = None, **memory: float) -> list[Result]:
    chains = Chains()
    chains.describe("belt-1", {}, memory)
    results: list[Result] = []
    for second in range(len(wave) // 100):
        given: list[SampleBlock] = [block("bed.wave", wave[100 * second : 100 * second + 100], at_s=float(second))]
        if load is not None:
            given.append(block("bed.load", load[10 * second : 10 * second + 10], at_s=float(second), rate_hz=10.0))
        results += [result for each in given for result in chains.feed(each)]
    return results


def kinds(results: list[Result]) -> list[tuple[str, float]]:
    return [(r.kind, r.at.since_s(START)) for r in results if isinstance(r, Event)]


def told(results: list[Result], quantity: str) -> list[Measurement]:
    return [r for r in results if isinstance(r, Measurement) and r.quantity == quantity]


def test_a_belt_without_load_tells_the_second_outing_of_a_night_within_five_seconds() -> None:
    outing = [tossing(3.0), empty_bed(90.0), tossing(3.0)]
    wave = np.concatenate([sleeper(120.0), *outing, sleeper(117.0, seed=5), *outing, sleeper(60.0, seed=6)])
    (left, left_s), (back, back_s) = kinds(fed(wave))
    assert (left, back) == ("bed_exited", "bed_entered")
    assert 0.0 < left_s - (120 + 96 + 117 + 3) <= 5.0
    assert 0.0 < back_s - (120 + 96 + 117 + 93) <= 5.0


@pytest.mark.parametrize("lift_s", [0.5, 1.0, 2.0, 2.5])
@pytest.mark.parametrize("offset", range(0, 10, 3))
def test_a_sleeper_who_turns_over_and_lifts_off_the_belt_has_not_left(lift_s: float, offset: int) -> None:
    load = 45.0 + 0.2 * np.sin(np.arange(1800))
    first = 900 + offset
    load[first : first + round(10 * lift_s)] = 0.3
    wave = np.concatenate([sleeper(88.0), tossing(6.0), sleeper(86.0, seed=4)])
    results = fed(wave, load)
    assert kinds(results) == []
    assert {each.value for each in told(results, "bed_occupied")} == {1.0}


def test_turning_over_is_told_once_when_the_load_lies_otherwise_afterwards() -> None:
    wave = np.concatenate([sleeper(88.0), tossing(5.0), sleeper(87.0, seed=4)])
    load = np.concatenate([np.full(900, 45.0), np.full(900, 39.0)]) + 0.2 * np.sin(np.arange(1800))
    (turned,) = told(fed(wave, load), "turned")
    assert 93.0 + AFTER_S <= turned.at.since_s(START) <= 93.0 + AFTER_S + 6.0
    assert turned.value == 1.0
    assert turned.quality == 1.0


def test_a_restless_moment_after_which_all_is_as_before_is_no_turning_over() -> None:
    wave = sleeper(180.0)
    wave[8800:9300] += tossing(5.0)
    assert told(fed(wave, np.full(1800, 45.0)), "turned") == []


def test_a_twitch_is_no_turning_over_though_the_load_shifts() -> None:
    wave = sleeper(180.0)
    wave[9000:9080] += tossing(0.8)
    load = np.concatenate([np.full(900, 45.0), np.full(900, 43.0)])
    assert told(fed(wave, load), "turned") == []


# -- turning over, by itself ------------------------------------------------------------------------------------------


def turns(*parts: tuple[int, float | None, float, float, float]) -> list[int]:
    """Seconds at which a turn was told; parts: (seconds, movement, kg, rms, slope)."""
    turning, found, second = Turning(), [], 0
    for seconds, amount, kg, rms, slope in parts:
        for _ in range(seconds):
            if turning.step(amount, kg, rms, slope) is not None:
                found.append(second)
            second += 1
    return found


BEFORE = (30, 0.0, 45.0, 0.003, 0.0006)


@pytest.mark.parametrize(
    "after", [(45.0 * 0.9, 0.003, 0.0006), (math.nan, 0.0045, 0.0009), (math.nan, 0.003, 0.00075)]
)
def test_a_change_of_load_energy_or_pitch_is_enough(after: tuple[float, float, float]) -> None:
    assert len(turns(BEFORE, (4, 0.9, 30.0, 0.1, 0.02), (30, 0.0, *after))) == 1


@pytest.mark.parametrize("seconds", [1, 2, 18, 40])
def test_a_movement_too_short_or_too_long_is_none(seconds: int) -> None:
    assert turns(BEFORE, (seconds, 0.9, 30.0, 0.1, 0.02), (30, 0.0, 39.0, 0.003, 0.0006)) == []


def test_a_turn_in_two_moves_is_told_once() -> None:
    moves = ((2, 0.9, 30.0, 0.1, 0.02), (5, 0.0, 41.0, 0.003, 0.0006), (3, 0.7, 30.0, 0.1, 0.02))
    assert len(turns(BEFORE, *moves, (60, 0.0, 39.0, 0.003, 0.0006))) == 1


def test_a_minute_without_knowledge_after_a_movement_forgets_it() -> None:
    unknown = (61, None, math.nan, math.nan, math.nan)
    assert turns(BEFORE, (4, 0.9, 30.0, 0.1, 0.02), unknown, (60, 0.0, 39.0, 0.003, 0.0006)) == []


# -- restlessness -----------------------------------------------------------------------------------------------------


def restless(minutes: Sequence[Sequence[float | None]]) -> list[tuple[float, float]]:
    restlessness = Restlessness()
    found = [restlessness.step(amount) for minute in minutes for amount in minute]
    return [(each.value, round(each.quality, 3)) for each in found if each is not None]


CALM = [0.0] * 60
MOVED = [0.0] * 50 + [0.5] * 2 + [0.0] * 8


def test_the_index_is_the_share_of_restless_minutes_in_the_last_hour_told_once_a_minute() -> None:
    found = restless([CALM, MOVED] * 40)
    assert len(found) == 71
    assert found[0] == (30.0, 0.333)
    assert found[-1] == (30.0, 1.0)
    assert restless([CALM] * 60 + [MOVED] * 60)[-1] == (60.0, 1.0)


def test_one_second_of_movement_makes_no_minute_restless() -> None:
    twitch = [0.9] + [0.0] * 59
    assert restless([twitch] * 20)[-1][0] == 0.0


def test_a_minute_that_was_hardly_seen_does_not_count() -> None:
    hidden = [0.9] * 44 + [None] * 16
    assert restless([CALM] * 9 + [hidden] * 5) == []
    assert restless([CALM] * 10 + [hidden] * 5) == [(0.0, 0.333)]
