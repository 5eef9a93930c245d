"""Quality as a gate against quality as an `and`: the experiment of the reference's table 3.3 on synthetic days.

One bed, heart rate at 1 Hz, dropouts that read as wild values of low quality, injected episodes of 20 to 400 s above
120 /min. Every policy sees the same seconds.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_rules.engine import BedScope
from gateway.core.model import Condition
from tests.edge_rules.night import Night, rule_text, rules_of

DAY_S = 86_400
SEEDS = (1, 2, 3)
QUIET = {"latch": "false", "escalate": '{ local = "off", received = "off", second = "off", third = "off" }'}
GATED_RULE = rule_text(
    "gated", input='{ hr = "heart_rate|median 9s" }', when='"hr > 120"', for_='"60s"', clear='"hr < 115"',
    clear_for='"30s"', quality='{ hr = 0.7, fresh = "2s", max_gap = "20s" }', **QUIET,
)  # fmt: skip
# The same condition and delay with the quality as a condition among others: a bad second is a false second.
AND_RULE = rule_text(
    "anded", input='{ hr = "heart_rate", q = "movement" }', when='"hr > 120 && q > 0.7"', for_='"60s"',
    quality='{ fresh = "2s", max_gap = "20s" }', **QUIET,
)  # fmt: skip


@dataclass(frozen=True)
class Days:
    """rate and quality: float64, shape (n,), 1 Hz. episodes: (first second, length)."""

    rate: NDArray[np.float64]
    quality: NDArray[np.float64]
    episodes: list[tuple[int, int]]


def days_of(seed: int, *, days: float, dropout: float, dropout_s: int, sd: float) -> Days:
    """A resting rate that drifts, with an episode every half hour, noise, and dropouts of a stated share and length."""
    rng = np.random.default_rng(seed)
    n = int(days * DAY_S)
    rate = 70 + 8 * np.sin(2 * np.pi * np.arange(n) / DAY_S) + rng.normal(0, sd, n)
    episodes = []
    for begin in range(900, n - 900, 1800):
        length = int(rng.integers(20, 400))
        rate[begin : begin + length] = 131 + rng.normal(0, sd, length)
        episodes.append((begin, length))
    quality = np.clip(rng.normal(0.9, 0.03, n), 0, 1)
    for begin in map(int, np.flatnonzero(rng.random(n) < dropout / dropout_s)):
        rate[begin : begin + dropout_s] = rng.uniform(25, 240)
        quality[begin : begin + dropout_s] = rng.uniform(0.0, 0.6)
    return Days(np.clip(rate, 20, 250), quality, episodes)


def raises(rule: str, data: Days) -> list[int]:
    """The seconds at which one rule raises over the days."""
    ward = Night(rules_of(rule), beds=(BedScope("b-1"),), devices=())
    anded = "anded" in rule
    seconds = []
    for second, (rate, quality) in enumerate(zip(data.rate, data.quality, strict=True)):
        ward.seconds = float(second)
        changed = []
        if anded:
            changed += ward.measure("movement", float(quality), quality=1.0)
        changed += ward.measure("heart_rate", float(rate), quality=1.0 if anded else float(quality))
        seconds += [second for alarm in changed if alarm.rev == 1 and alarm.condition is Condition.ACTIVE]
        ward.log.clear()
    return seconds


def score(seconds: list[int], data: Days) -> tuple[int, int, int]:
    """(episodes of 90 s or more that were caught, how many there are, raises outside any episode)."""
    long = [(begin, length) for begin, length in data.episodes if length >= 90]
    caught = sum(any(begin <= second <= begin + length + 30 for second in seconds) for begin, length in long)
    inside = sum(any(begin <= second <= begin + length + 60 for begin, length in data.episodes) for second in seconds)
    return caught, len(long), len(seconds) - inside


@pytest.mark.parametrize(
    ("dropout", "dropout_s", "sd", "at_least"), [(0.02, 1, 3.0, 1.0), (0.10, 5, 5.0, 0.85)], ids=["easy", "hard"]
)
def test_a_quality_gate_finds_the_episodes_that_an_and_misses(
    dropout: float, dropout_s: int, sd: float, at_least: float
) -> None:
    gated = anded = episodes = gated_false = 0
    for seed in SEEDS:
        data = days_of(seed, days=0.5, dropout=dropout, dropout_s=dropout_s, sd=sd)
        caught, count, wrong = score(raises(GATED_RULE, data), data)
        gated, episodes, gated_false = gated + caught, episodes + count, gated_false + wrong
        anded += score(raises(AND_RULE, data), data)[0]
    print(f"episodes of 90 s or more: {episodes}; gate {gated}, and {anded}; false raises of the gate {gated_false}")
    assert episodes >= 50
    assert gated >= at_least * episodes
    assert gated_false == 0
    assert anded < 0.9 * gated


def test_no_episode_shorter_than_the_delay_raises() -> None:
    data = days_of(7, days=0.4, dropout=0.02, dropout_s=1, sd=3.0)
    short = [(begin, length) for begin, length in data.episodes if length < 50]
    seconds = raises(GATED_RULE, data)
    assert short
    assert not [second for second in seconds for begin, length in short if begin <= second <= begin + length + 60]
