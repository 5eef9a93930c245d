"""Filters against scipy, which is not there at run time."""

import numpy as np
import pytest
from scipy import signal

from gateway.dsp.filters import Filter, Window, band, highpass, lowpass
from tests.gateway.dsp.synthetic import sleeper


@pytest.mark.parametrize("order", [2, 4, 6, 8])
@pytest.mark.parametrize(("corner_hz", "rate_hz"), [(0.05, 100.0), (0.7, 100.0), (10.0, 100.0), (8.0, 52.0)])
def test_designs_equal_scipys_butterworth(order: int, corner_hz: float, rate_hz: float) -> None:
    frequencies = np.linspace(0.01, 0.49 * rate_hz, 400)
    for ours, kind in ((lowpass(order, corner_hz, rate_hz), "low"), (highpass(order, corner_hz, rate_hz), "high")):
        theirs = signal.butter(order, corner_hz, kind, fs=rate_hz, output="sos")
        _, seen = signal.freqz_sos(ours, frequencies, fs=rate_hz)
        _, expected = signal.freqz_sos(theirs, frequencies, fs=rate_hz)
        assert np.max(np.abs(seen - expected)) < 1e-9


@pytest.mark.parametrize("order", [0, 1, 3, -2])
def test_an_order_that_is_not_made_of_pairs_is_refused(order: int) -> None:
    with pytest.raises(ValueError, match="even number"):
        lowpass(order, 1.0, 10.0)


def test_a_corner_above_the_nyquist_rate_is_moved_down() -> None:
    assert np.isfinite(band(0.7, 10.0, 12.0)).all()


def test_the_cascade_equals_scipys_sosfilt_of_the_signal_without_its_first_value() -> None:
    wave = sleeper(20.0) + 0.3
    sos = band(0.7, 10.0, 100.0)
    expected = signal.sosfilt(sos, wave - wave[0])
    assert np.allclose(Filter(sos).step(wave), expected, rtol=0, atol=1e-12)


def test_a_missing_sample_is_the_last_one_again_and_never_nan() -> None:
    wave = sleeper(10.0)
    held = wave.copy()
    held[300:350] = held[299]
    wave[300:350] = (np.nan, np.inf) * 25
    seen = Filter(band(0.7, 10.0, 100.0)).step(wave)
    assert np.array_equal(seen, Filter(band(0.7, 10.0, 100.0)).step(held))


def test_a_filter_that_was_reset_is_as_new() -> None:
    wave = sleeper(10.0)
    used = Filter(band(0.7, 10.0, 100.0))
    used.step(wave + 5.0)
    used.reset()
    assert np.array_equal(used.step(wave), Filter(band(0.7, 10.0, 100.0)).step(wave))


def test_a_window_is_full_when_every_sample_of_it_came_from_the_signal() -> None:
    window = Window(100.0, 50.0, 10.0)
    full = []
    for count in (998, 1, 1):
        window.push(np.arange(float(count)))
        full.append(window.full)
    window.reset()
    assert [*full, window.full] == [False, False, True, False]
    assert window.rate_hz == 50.0
