"""The two lights of an oximeter may raise doubt about its value, and never make one."""

import numpy as np
import pytest

from gateway.dsp.kernels.compiler import Floats
from gateway.dsp.oxygen import Lights, Oxygen, trust
from tests.gateway.dsp.synthetic import finger


def lights(ratio: float, *, seconds: float = 20.0, pulse: float = 0.01, noise: float = 0.0) -> tuple[Floats, Floats]:
    """Red and infrared light at 100 Hz whose ratio of ratios is this; pulse: AC of infrared over its DC."""
    wave = finger(seconds, noise=0.0)
    rng = np.random.default_rng(5)
    infrared: Floats = 50_000.0 * (1.0 + pulse * wave + noise * rng.standard_normal(len(wave)))
    red: Floats = 30_000.0 * (1.0 + pulse * ratio * wave + noise * rng.standard_normal(len(wave)))
    return red, infrared


def last(red: Floats, infrared: Floats) -> Lights | None:
    oxygen, seen = Oxygen(100.0), None
    for i in range(0, len(red), 100):
        seen = oxygen.step(red[i : i + 100], infrared[i : i + 100])
    return seen


@pytest.mark.parametrize("ratio", [0.4, 0.6, 1.0, 1.6])
def test_the_ratio_of_ratios_is_that_of_the_light_whatever_the_gains(ratio: float) -> None:
    seen = last(*lights(ratio))
    assert seen is not None
    assert seen.ratio == pytest.approx(ratio, rel=0.01)
    assert seen.together > 0.99
    assert 0.5 < seen.perfusion_percent < 3.0


@pytest.mark.parametrize(("ratio", "told", "least", "most"), [
    (0.5, 97.0, 1.0, 1.0), (0.5, 88.0, 0.1, 0.5), (1.0, 97.0, 0.0, 0.01), (1.0, 86.0, 1.0, 1.0), (0.4, 100.0, 1.0, 1.0),
])  # fmt: skip
def test_a_value_that_the_light_contradicts_is_doubted(ratio: float, told: float, least: float, most: float) -> None:
    seen = last(*lights(ratio))
    assert seen is not None
    assert least <= trust(seen, told) <= most


def test_lights_that_do_not_pulse_together_and_a_weak_pulse_are_not_trusted() -> None:
    apart, weak = last(*lights(0.6, noise=0.02)), last(*lights(0.6, pulse=0.0005))
    assert apart is not None
    assert weak is not None
    assert trust(apart, 95.0) == 0.0
    assert trust(weak, 95.0) == 0.0
    assert trust(Lights(0.6, 2.0, 1.0), float("nan")) == 0.0


@pytest.mark.parametrize("broken", [0.0, np.nan, np.inf, -5.0])
def test_a_constant_light_a_gap_and_infinities_say_nothing(broken: float) -> None:
    assert last(np.full(2000, broken), np.full(2000, broken)) is None


def test_a_few_missing_samples_change_little_and_many_silence_it() -> None:
    red, infrared = lights(0.6)
    red[1500:1530] = np.nan
    seen = last(red, infrared)
    assert seen is not None
    assert seen.ratio == pytest.approx(0.6, rel=0.1)
    red[1650:1950] = np.nan
    assert last(red, infrared) is None


def test_nothing_is_said_before_the_filter_has_settled_or_after_a_reset() -> None:
    red, infrared = lights(0.6)
    oxygen = Oxygen(100.0)
    seen = [oxygen.step(red[i : i + 100], infrared[i : i + 100]) is not None for i in range(0, 1200, 100)]
    assert seen == [False] * 7 + [True] * 5
    oxygen.reset()
    assert oxygen.step(red[:100], infrared[:100]) is None
