"""What the chain of a PPG tells beside rate and intervals: variability once a minute, and what an oximeter may not."""

import numpy as np
import pytest

from gateway.core.model import Event, Measurement
from gateway.dsp.chain import Chains
from gateway.dsp.kernels.compiler import Floats
from tests.gateway.dsp.synthetic import START, beat_times, block, finger, wrist

VARIABILITY = {"rmssd", "sdnn", "irregularity"}


def told(wave: Floats, acc: Floats | None = None, *, length: int = 100, **settings: object) -> list[Measurement]:
    """wave at 100 Hz, acc at 50 Hz, in turn, `length` samples of wave at a time (an even number)."""
    chains = Chains()
    chains.describe("band", settings, {})
    results: list[Measurement | Event] = []
    for i in range(0, len(wave), length):
        if acc is not None:
            part = acc[i // 2 : (i + length) // 2]
            results += chains.feed(block("acc", part, at_s=i / 100, rate_hz=50.0, device="band"))
        results += chains.feed(block("ppg", wave[i : i + length], at_s=i / 100, device="band"))
    return [result for result in results if isinstance(result, Measurement)]


def of(results: list[Measurement], name: str) -> list[Measurement]:
    return [result for result in results if result.quantity == name]


def test_variability_is_told_once_a_minute_and_is_that_of_the_beats() -> None:
    beats = beat_times(300.0, 66.0, jitter=0.05)
    lengths_ms = 1e3 * np.diff(beats)
    results = told(finger(300.0, beats=beats, noise=0.002))
    assert [one.at.since_s(START) for one in of(results, "rmssd")] == pytest.approx([120, 180, 240, 300], abs=0.1)
    assert of(results, "rmssd")[-1].value == pytest.approx(np.sqrt(np.mean(np.diff(lengths_ms) ** 2)), rel=0.2)
    assert of(results, "sdnn")[-1].value == pytest.approx(np.std(lengths_ms, ddof=1), rel=0.2)
    assert {(one.origin, one.window_s) for name in VARIABILITY for one in of(results, name)} == {("rhythm/1", 300.0)}


def test_irregularity_tells_fibrillation_from_sinus_rhythm() -> None:
    sinus = of(told(finger(240.0, beats=beat_times(240.0, 70.0))), "irregularity")
    fibrillation = of(told(finger(240.0, beats=beat_times(240.0, 80.0, jitter=0.25))), "irregularity")
    assert max(one.value for one in sinus) < 0.08
    assert min(one.value for one in fibrillation) > 0.12


def test_an_oximeter_that_tells_its_own_pulse_gets_its_variability_and_no_second_pulse() -> None:
    results = told(finger(180.0), own_pulse=True)
    assert {one.quantity for one in results} == VARIABILITY


def test_why_an_oximeters_wave_says_nothing_is_told_of_its_variability_and_not_of_its_pulse() -> None:
    chains = Chains()
    chains.describe("band", {"own_pulse": True}, {})
    for i in range(12):
        chains.feed(block("ppg", np.full(100, 7.0), at_s=float(i), device="band"))
    news = chains.withheld(block("ppg", np.full(100, 7.0), at_s=12.0, device="band"))
    assert set(news) == {"rmssd"}
    assert news["rmssd"]


def test_a_wrist_that_moves_gives_no_interval_of_those_seconds_and_no_variability_of_that_minute() -> None:
    acc = wrist(180.0, 50.0)
    moving = slice(50 * 60, 50 * 120)
    acc[moving, 0] += 0.6 * np.sin(2 * np.pi * 1.1 * np.arange(50 * 60) / 50.0)
    results = told(finger(180.0), acc, position="wrist")
    ends_s = np.array([one.at.since_s(START) for one in of(results, "ibi")])
    assert not ((ends_s > 60.9) & (ends_s < 120.0)).any()
    assert ((ends_s > 15) & (ends_s < 58)).sum() > 40
    minutes = [one.at.since_s(START) for one in of(results, "rmssd")]
    assert 120.0 not in [round(at_s) for at_s in minutes]
    assert 180.0 in [round(at_s) for at_s in minutes]


@pytest.mark.parametrize("length", [2, 38, 18_000])
def test_variability_is_the_same_for_any_chunking(length: int) -> None:
    whole = told(finger(180.0), own_pulse=True)
    assert told(finger(180.0), length=length, own_pulse=True) == whole
