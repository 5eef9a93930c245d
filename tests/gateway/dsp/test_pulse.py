"""Pulse from PPG: every beat once, a rate that is right, and silence when the limb moves or nobody can tell."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.model import Event, Measurement
from gateway.dsp.chain import Chains
from gateway.dsp.kernels import peaks
from gateway.dsp.kernels.compiler import Floats
from gateway.dsp.pulse import LATENCY_S, Pulse, Second, spread
from tests.gateway.dsp.synthetic import START, beat_times, block, finger, wrist


def seconds(wave: Floats, rate_hz: float = 100.0, *, motion_g: float | None = None) -> list[Second]:
    pulse, n = Pulse(rate_hz), round(rate_hz)
    hops = [wave[i : i + n] for i in range(0, len(wave) - n + 1, n)]
    return [pulse.step(hop, float(np.isfinite(hop).mean()), motion_g) for hop in hops]


def beats(told: list[Second]) -> Floats:
    return np.array([beat for second in told for beat in second.beats_s])


def rates(told: list[Second]) -> list[float]:
    return [second.rate.value for second in told if second.rate is not None]


@pytest.mark.parametrize("rate_hz", [25.0, 52.0, 60.0, 75.0, 100.0, 125.0, 250.0])
@pytest.mark.parametrize("heart_rate", [45, 66, 100, 150])
def test_every_beat_is_told_once_and_the_rate_is_right(rate_hz: float, heart_rate: int) -> None:
    true = beat_times(60.0, heart_rate)
    told = seconds(finger(60.0, rate_hz, beats=true), rate_hz)
    seen = beats(told)
    wanted = true[(true > 8.0) & (true < 56.0)]
    nearest = np.abs(seen[None, :] - (wanted + np.median(seen - _nearest(true, seen)))[:, None]).min(axis=1)
    assert np.diff(seen).min() > 0.27
    assert (nearest < 0.06).mean() > 0.97
    assert rates(told) == pytest.approx([heart_rate] * len(rates(told)), abs=2.5)
    assert len(rates(told)) >= 45


def _nearest(true: Floats, seen: Floats) -> Floats:
    found: Floats = true[np.abs(true[None, :] - seen[:, None]).argmin(axis=1)]
    return found


def test_intervals_are_those_of_the_heart_to_a_hundredth_of_a_second() -> None:
    true = beat_times(120.0, 70.0, jitter=0.08)
    told = seconds(finger(120.0, beats=true, noise=0.002))
    lengths = [(i.end_s, i.length_s) for second in told for i in second.intervals]
    ends = true[1:] + 0.2
    wrong = [abs(length - np.diff(true)[np.abs(ends - end).argmin()]) for end, length in lengths]
    assert len(lengths) > 110
    assert np.median(wrong) < 0.01


@pytest.mark.parametrize("motion_g", [0.3, 1.0, np.inf])
def test_a_limb_that_moves_withholds_the_rate(motion_g: float) -> None:
    told = seconds(finger(30.0), motion_g=motion_g)
    assert rates(told) == []
    assert told[-1].withheld == "moving"


def test_a_rate_comes_back_eight_seconds_after_the_limb_is_still() -> None:
    wave, pulse = finger(40.0), Pulse(100.0)
    told = [pulse.step(wave[100 * i : 100 * i + 100], 1.0, 1.0 if i < 20 else 0.01) for i in range(40)]
    assert [i for i, second in enumerate(told) if second.rate is not None] == list(range(27, 40))


@pytest.mark.parametrize(
    "wave",
    [np.zeros(3000), np.full(3000, 7.5), np.full(3000, np.nan), np.full(3000, np.inf), np.sign(finger(30.0)) * 0.0],
)
def test_a_constant_a_gap_and_infinities_give_no_number(wave: Floats) -> None:
    told = seconds(wave)
    assert rates(told) == []
    assert len(beats(told)) == 0
    assert all(second.withheld for second in told)


def test_noise_gives_hardly_a_number() -> None:
    told = seconds(np.random.default_rng(3).standard_normal(60_000))
    assert len(rates(told)) <= 6, "more than 1 % of 600 s"


def test_a_second_with_a_missing_sample_gives_no_beat_and_no_interval_crosses_it() -> None:
    wave = finger(40.0)
    wave[2010] = np.nan
    told = seconds(wave)
    seen = beats(told)
    assert not ((seen > 20.05) & (seen < 20.95)).any()
    crossing = [i for second in told for i in second.intervals if i.end_s > 20.5 > i.end_s - i.length_s]
    assert crossing == []
    assert rates(told)[-1] == pytest.approx(66.0, abs=2.0)


def test_atrial_fibrillation_lowers_the_quality_below_every_sinus_rhythm() -> None:
    sinus = seconds(finger(120.0))
    irregular = seconds(finger(120.0, beats=beat_times(120.0, 80.0, jitter=0.25)))
    best = max(second.rate.quality for second in irregular if second.rate is not None)
    assert min(second.rate.quality for second in sinus if second.rate is not None) > np.median(
        [second.rate.quality for second in irregular if second.rate is not None]
    )
    assert best < 1.0


def test_a_signal_that_is_too_slow_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 20"):
        Pulse(10.0)


# -- through the chain ------------------------------------------------------------------------------------------------


def fed(wave: Floats, acc: Floats | None, *, position: str, length: int = 100) -> list[Measurement | Event]:
    """wave at 100 Hz; acc at 50 Hz; in turn, `length` samples of wave at a time (an even number)."""
    chains = Chains()
    chains.describe("band", {"position": position}, {})
    results: list[Measurement | Event] = []
    for i in range(0, len(wave), length):
        if acc is not None:
            part = acc[i // 2 : (i + length) // 2]
            results += chains.feed(block("acc", part, at_s=i / 100, rate_hz=50.0, device="band"))
        results += chains.feed(block("ppg", wave[i : i + length], at_s=i / 100, device="band"))
    return results


def quantities(results: list[Measurement | Event]) -> set[str]:
    return {r.quantity for r in results if isinstance(r, Measurement)}


def test_a_finger_clip_gives_a_rate_and_intervals_without_an_accelerometer_and_a_wrist_neither() -> None:
    assert quantities(fed(finger(30.0), None, position="finger")) == {"ibi", "pulse_rate"}
    assert quantities(fed(finger(30.0), None, position="wrist")) == set()


def test_a_still_wrist_gives_a_rate_and_a_swinging_one_does_not() -> None:
    still = wrist(30.0, 50.0)
    swinging = still.copy()
    swinging[:, 0] += 0.6 * np.sin(2 * np.pi * 1.1 * np.arange(len(still)) / 50.0)
    assert "pulse_rate" in quantities(fed(finger(30.0), still, position="wrist"))
    assert "pulse_rate" not in quantities(fed(finger(30.0), swinging, position="wrist"))


def test_an_interval_is_stamped_with_the_beat_that_ended_it() -> None:
    true = beat_times(30.0, 66.0)
    stamps = [r.at.since_s(START) for r in fed(finger(30.0, beats=true), None, position="finger")
              if isinstance(r, Measurement) and r.quantity == "ibi"]  # fmt: skip
    apart = [np.abs(true + 0.2 - stamp).min() for stamp in stamps]
    assert max(apart) < 0.08
    assert max(stamps) < 30.0 - LATENCY_S


@settings(max_examples=15, deadline=None)
@given(length=st.sampled_from([2, 10, 34, 150, 700, 3000]))
def test_any_chunking_gives_the_same_pulse(length: int) -> None:
    wave, acc = finger(30.0), wrist(30.0, 50.0)
    wave[1500:1530] = np.nan
    told = [r for r in fed(wave, acc, position="wrist", length=length) if isinstance(r, Measurement)]
    assert told == [r for r in fed(wave, acc, position="wrist") if isinstance(r, Measurement)]


def test_a_clock_200_ppm_off_changes_nothing_that_matters() -> None:
    t = np.arange(6000) * (1 + 200e-6)
    wave = np.interp(t, np.arange(6200), finger(62.0))
    assert rates(seconds(wave)) == pytest.approx(rates(seconds(finger(62.0)[:6000])), abs=0.5)


# -- kernels ----------------------------------------------------------------------------------------------------------


def test_the_vertex_of_a_parabola_is_found_between_samples() -> None:
    x: Floats = -((np.arange(9, dtype=np.float64) - 4.3) ** 2)
    assert peaks.vertex(x, 4) == pytest.approx(0.3)
    assert peaks.vertex(np.full(5, np.nan), 2) == 0.0
    assert peaks.vertex(x, 0) == 0.0


def test_msptd_finds_the_crests_of_a_sine_and_none_in_a_constant() -> None:
    found = np.zeros(200, dtype=np.int64)
    count = peaks.msptd_peaks(np.sin(2 * np.pi * np.arange(200) / 20.0), 25, found)
    assert found[:count].tolist() == [25, 45, 65, 85, 105, 125, 145, 165, 185]
    assert peaks.msptd_peaks(np.ones(200), 25, found) == 0


@given(st.lists(st.floats(0.3, 2.0), min_size=1, max_size=30))
def test_the_spread_of_intervals_is_nil_for_a_clock_and_never_negative(lengths: list[float]) -> None:
    assert spread(lengths) >= 0.0
    assert spread([lengths[0]] * 5) == 0.0
