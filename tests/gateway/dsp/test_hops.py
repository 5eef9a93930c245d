"""Blocks of any length become hops of equal length; gaps become NaN or a fresh start."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.model import SampleBlock
from gateway.dsp.hops import Hop, Hopper
from gateway.dsp.join import LAG_S, Join
from tests.gateway.dsp.synthetic import START, block

DATA = np.linspace(-0.5, 0.5, 1000)


def hops(*blocks: SampleBlock, phase: int = 0) -> list[Hop]:
    hopper = Hopper(100.0, 1.0, max_fill_s=2.0, full_scale=1.0, phase=phase)
    return [hop for each in blocks for hop in hopper.push(each)]


@settings(deadline=None)
@given(st.lists(st.integers(0, 300), max_size=40))
def test_any_chunking_gives_the_same_hops(cuts: list[int]) -> None:
    edges = [0, *np.clip(np.cumsum([0, *cuts]), 0, 1000).astype(int).tolist(), 1000]
    pieces = [block("bed.wave", DATA[a:b], at_s=a / 100) for a, b in pairwise(edges)]
    for seen, expected in zip(hops(*pieces), hops(block("bed.wave", DATA)), strict=True):
        assert seen.at == expected.at
        assert np.array_equal(seen.data, expected.data)


def test_a_hop_is_stamped_with_its_last_sample() -> None:
    assert [hop.at for hop in hops(block("bed.wave", DATA[:250]))] == [START.plus_s(0.99), START.plus_s(1.99)]


def test_a_short_gap_becomes_missing_samples_and_time_goes_on() -> None:
    seen = hops(block("bed.wave", DATA[:250]), block("bed.wave", DATA[400:], at_s=4.0, lost_before=150))
    assert [hop.at for hop in seen] == [START.plus_s(s + 0.99) for s in range(10)]
    assert [hop.real for hop in seen] == [1.0, 1.0, 0.5, 0.0, *[1.0] * 6]
    assert not any(hop.fresh for hop in seen[1:])


def test_a_long_gap_starts_afresh() -> None:
    seen = hops(block("bed.wave", DATA[:250]), block("bed.wave", DATA[550:], at_s=5.5, lost_before=300))
    assert [hop.fresh for hop in seen] == [True, False, True, False, False, False]
    assert seen[2].at == START.plus_s(6.49)


def test_a_gap_that_nobody_declared_is_seen_in_the_stamps() -> None:
    seen = hops(block("bed.wave", DATA[:200]), block("bed.wave", DATA[:200], at_s=60.0))
    assert [hop.fresh for hop in seen] == [True, False, True, False]


def test_stamps_that_jitter_as_radio_bursts_do_are_not_a_gap() -> None:
    seen = hops(block("bed.wave", DATA[:200]), block("bed.wave", DATA[:200], at_s=3.5))
    assert [hop.real for hop in seen] == [1.0] * 4


def test_a_claim_of_a_billion_lost_samples_allocates_nothing() -> None:
    assert len(hops(block("bed.wave", DATA[:100]), block("bed.wave", DATA[:100], at_s=1.0, lost_before=10**9))) == 2


def test_samples_at_the_stop_and_infinities_are_missing() -> None:
    data = DATA[:100].copy()
    data[:4] = (np.inf, -np.inf, 1.0, -1.0)
    (hop,) = hops(block("bed.wave", data))
    assert np.isnan(hop.data[:4]).all()
    assert hop.real == 0.96


def test_a_new_hopper_with_the_phase_of_another_cuts_where_it_cut() -> None:
    first = Hopper(100.0, 1.0, max_fill_s=2.0)
    first.push(block("bed.wave", DATA[:130]))
    assert first.phase == 30
    seen = hops(block("bed.wave", DATA[130:], at_s=1.3), phase=first.phase)
    assert [hop.at for hop in seen] == [hop.at for hop in first.push(block("bed.wave", DATA[130:], at_s=1.3))][1:]


def hop_at(seconds: float) -> Hop:
    return Hop(START.plus_s(seconds), np.zeros(1), 1.0)


def times(ticks: list[tuple[Hop | None, Hop | None]]) -> list[tuple[float | None, float | None]]:
    def at(hop: Hop | None) -> float | None:
        return None if hop is None else round(hop.at.since_s(START), 3)

    return [(at(wave), at(load)) for wave, load in ticks]


def test_hops_that_end_within_half_a_second_are_one_tick_whichever_comes_first() -> None:
    for order in ((0, 1), (1, 0)):
        join, ticks = Join(), []
        for second in range(1, 4):
            for channel in order:
                join.push(channel, hop_at(second + 0.4 * channel))
                ticks += join.ready()
        assert times(ticks) == [(1.0, 1.4), (2.0, 2.4), (3.0, 3.4)]


def test_a_channel_that_falls_silent_is_waited_for_once_and_then_no_more() -> None:
    join = Join()
    delays = []
    join.push(1, hop_at(0.0))
    for second in range(8):
        join.push(0, hop_at(float(second)))
        delays.append(len(join.ready()))
    assert delays == [1, 0, 0, 3, 1, 1, 1, 1]
    assert LAG_S < 3.0


def test_a_channel_that_comes_late_for_what_the_other_has_passed_is_not_waited_for() -> None:
    join, ticks = Join(), []
    for second in range(1, 61):
        join.push(1, hop_at(float(second)))
        ticks += join.ready()
    for second in range(1, 61):
        join.push(0, hop_at(float(second)))
        ticks += join.ready()
    waves = [wave.at.since_s(START) for wave, _ in ticks if wave is not None]
    assert waves == [float(second) for second in range(1, 60)]
