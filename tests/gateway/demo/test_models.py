"""Promises of the signal models: what they claim to contain can be found in them by an independent method."""

import numpy as np
import pytest
from scipy import signal

from gateway.demo.models import BODY_KG, WAVE_RATE_HZ, SineBreath, Sleeper, Wrist, sinus_intervals


def spectrum_peak_hz(wave: np.ndarray, low_hz: float, high_hz: float) -> float:
    frequencies, power = signal.periodogram(wave, WAVE_RATE_HZ)
    band = (frequencies >= low_hz) & (frequencies <= high_hz)
    return float(frequencies[band][np.argmax(power[band])])


def test_the_breath_of_a_sleeper_is_in_the_waveform() -> None:
    sleeper = Sleeper(3, breath=SineBreath(15.0))
    wave = np.concatenate([sleeper.take(10)[0] for _ in range(1200)])
    assert spectrum_peak_hz(wave, 0.1, 0.5) * 60 == pytest.approx(15.0, abs=1.0)


def test_the_beats_of_a_sleeper_are_in_the_waveform() -> None:
    rng = np.random.default_rng(5)
    sleeper = Sleeper(3, intervals=sinus_intervals(rng, 66.0))
    wave = np.concatenate([sleeper.take(10)[0] for _ in range(1200)])
    high = signal.sosfiltfilt(signal.butter(4, [3, 10], "band", fs=WAVE_RATE_HZ, output="sos"), wave)
    envelope = signal.sosfiltfilt(signal.butter(2, 3, "low", fs=WAVE_RATE_HZ, output="sos"), high**2)
    assert spectrum_peak_hz(envelope, 0.7, 1.9) * 60 == pytest.approx(66.0, abs=3.0)


def test_any_chunking_gives_a_sleeper_the_same_number_of_beats() -> None:
    intervals = [1.0] * 500
    for size in (1, 7, 100):
        taken = iter(intervals)
        sleeper = Sleeper(3, intervals=taken)
        for _ in range(3000 // size):
            sleeper.take(size)
        left = len(list(taken))
        assert 500 - left == pytest.approx(30, abs=1)


def test_an_empty_bed_weighs_next_to_nothing_and_has_no_beat() -> None:
    sleeper = Sleeper(3)
    _, loaded_kg = sleeper.take(100)
    sleeper.in_bed = False
    wave, empty_kg = sleeper.take(1000)
    assert loaded_kg == pytest.approx(BODY_KG, abs=3)
    assert empty_kg < 2
    assert wave.std() < 10


def test_a_fall_is_weightless_then_hard_then_lies_otherwise() -> None:
    wrist = Wrist(4)
    before = wrist.take(52).mean(axis=0)
    wrist.fall()
    acc = wrist.take(52 * 4)
    size = np.linalg.norm(acc, axis=1)
    assert size[:20].min() < 0.4
    assert size.max() > 3
    assert size.argmin() < size.argmax()
    after = acc[-52:].mean(axis=0)
    angle_deg = np.degrees(np.arccos(np.dot(before, after) / np.linalg.norm(before) / np.linalg.norm(after)))
    assert angle_deg > 45


def test_a_recorded_fall_is_played_as_it_was_recorded() -> None:
    wrist = Wrist(4)
    recorded = np.random.default_rng(1).normal(0, 1, (60, 3))
    wrist.fall(recorded)
    assert np.array_equal(np.concatenate([wrist.take(25), wrist.take(35)]), recorded)
