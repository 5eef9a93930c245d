"""Kernels: the same for any chunking, the same as plain Python, and no number out of what is no number."""

import json
import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.dsp import selftest
from gateway.dsp.filters import band
from gateway.dsp.kernels import falling, filtering, loading, periodicity
from gateway.dsp.kernels.compiler import Floats
from tests.gateway.dsp.synthetic import falling_wrist, sleeper

FALL_PARAMS = np.array([3.0, 1.5, 8.0, 0.12, 4.0])
OCCUPANCY_PARAMS = np.array([12.0, 6.0, 1.0, 2.0, 3.0, 10.0])


def filtered(cuts: list[int]) -> Floats:
    wave = sleeper(8.0)
    wave[200:205] = np.nan
    sos = band(0.7, 10.0, 100.0)
    state, hold = np.zeros((sos.shape[0], 2)), np.zeros(3)
    parts = []
    for part in _cut(wave, cuts):
        y = np.empty(len(part))
        filtering.sos_filter(part, sos, state, hold, y)
        parts.append(y)
    return np.concatenate(parts)


def decimated(cuts: list[int]) -> Floats:
    window, phase, kept = np.zeros(37), np.zeros(1, dtype=np.int64), 0
    for part in _cut(np.arange(1.0, 801.0), cuts):
        kept += filtering.decimate(part, 7, phase, window)
    return np.array([*window, phase[0], kept])


def occupied(cuts: list[int]) -> Floats:
    load = np.concatenate([np.zeros(200), np.full(300, 40.0), np.full(20, np.nan), np.full(280, 1.0)])
    state = np.array([-1.0, 0.0, 0.0, 0.0])
    for part in _cut(load, cuts):
        loading.occupancy(part, 100.0, 0.0, OCCUPANCY_PARAMS, state)
    return state


def fallen(cuts: list[int]) -> Floats:
    acc = falling_wrist(3.0, 15.4)[:800]
    acc[200:230, 1] = np.nan
    state, found = np.zeros(falling.FALL_STATE), []
    at = 0
    for part in _cut(acc, cuts):
        out = np.zeros((4, falling.FALL_ROW))
        for row in out[: falling.fall(part, 52.0, FALL_PARAMS, state, out)]:
            row[0] += at
            found.append(row)
        at += len(part)
    return np.array([*np.ravel(found), *state])


def _cut(data: Floats, cuts: list[int]) -> list[Floats]:
    """Consecutive parts of these lengths, and what is left."""
    edges = np.clip(np.cumsum(cuts), 0, len(data)).astype(int)
    return [np.ascontiguousarray(part) for part in np.split(data, edges)]


STREAMS = [filtered, decimated, occupied, fallen]


@pytest.mark.parametrize("stream", STREAMS)
def test_one_sample_one_second_and_the_whole_give_the_same_bits(stream: Callable[[list[int]], Floats]) -> None:
    whole = stream([])
    assert whole.size
    assert np.array_equal(stream([1] * 800), whole)
    assert np.array_equal(stream([100] * 8), whole)


@pytest.mark.parametrize("stream", STREAMS)
@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(0, 150), max_size=30))
def test_any_chunking_gives_the_same_bits(stream: Callable[[list[int]], Floats], cuts: list[int]) -> None:
    assert np.array_equal(stream(cuts), stream([]))


def test_every_kernel_gives_the_stored_numbers() -> None:
    assert selftest.golden().keys() == selftest.CHECKS.keys()
    for name, expected in selftest.golden().items():
        selftest.check(name, expected)


def test_plain_python_gives_the_same_seconds_as_compiled_kernels() -> None:
    code = (
        "import json\n"
        "from tests.gateway.dsp.test_kernels import seconds_of_a_night\n"
        "print(json.dumps(seconds_of_a_night()))\n"
    )
    plain = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60,
                           env=dict(os.environ) | {"NUMBA_DISABLE_JIT": "1"})  # fmt: skip
    seen, expected = seconds_of_a_night(), [tuple(each) for each in json.loads(plain.stdout)]
    assert [each[:2] for each in seen] == [each[:2] for each in expected]
    assert {each[0] for each in seen} >= {"heart_rate", "respiration_rate", "movement", "bed_occupied", "vital_sign"}
    assert np.allclose([each[2:] for each in seen], [each[2:] for each in expected], rtol=1e-9, atol=1e-12)


def seconds_of_a_night() -> list[tuple[str, int, float, float]]:
    """(quantity, moment, value, quality) of 55 s in bed with a gap; run compiled and as plain Python."""
    from gateway.core.model import Measurement
    from gateway.dsp.chain import Chains
    from tests.gateway.dsp.synthetic import block

    wave = sleeper(55.0)
    wave[4700:4730] = np.nan
    chains, results = Chains(), []
    for second in range(55):
        part = wave[100 * second : 100 * second + 100]
        results += chains.feed(block("bed.wave", part, at_s=second))
        results += chains.feed(block("bed.load", np.full(10, 45.0), at_s=second, rate_hz=10.0))
    return [(r.quantity, r.at.mono_ns, r.value, r.quality) for r in results if isinstance(r, Measurement)]


def _peak(x: Floats, shortest: int, longest: int) -> tuple[float, float]:
    height = np.zeros(1)
    lag = periodicity.autocorrelation_peak(x, shortest, longest, 0.85, np.zeros(len(x)), np.zeros(longest + 2), height)
    return float(lag), float(height[0])


@pytest.mark.parametrize("period", [20.0, 33.3, 47.5, 80.0])
def test_the_lag_of_a_periodic_signal_is_its_period(period: float) -> None:
    lag, height = _peak(np.sin(2 * np.pi * np.arange(600) / period), 16, 85)
    assert lag == pytest.approx(period, rel=0.01)
    assert 0.9 < height < 1.1


def test_the_autocorrelation_equals_numpys() -> None:
    x = np.random.default_rng(5).standard_normal(500)
    acf = np.zeros(87)
    periodicity.autocorrelation_peak(x, 16, 85, 0.85, np.zeros(500), acf, np.zeros(1))
    centred = x - x.mean()
    expected = [centred[: 500 - k] @ centred[k:] / (centred @ centred) * 500 / (500 - k) for k in range(15, 87)]
    assert np.allclose(acf[15:], expected, rtol=0, atol=1e-12)


def test_of_two_peaks_nearly_as_high_the_shorter_lag_wins() -> None:
    pulses = np.zeros(600)
    pulses[::30] = 1.0
    pulses[::60] = 1.2  # every other beat is stronger: the double interval fits best
    lag, _ = _peak(np.convolve(pulses, np.hanning(9), mode="same"), 16, 85)
    assert lag == pytest.approx(30.0, abs=0.5)


@pytest.mark.parametrize("x", [np.zeros(300), np.full(300, 7.5), np.full(300, np.nan), np.r_[np.ones(299), np.inf]])
def test_no_period_comes_out_of_what_has_none(x: Floats) -> None:
    assert _peak(x, 16, 85) == (0.0, 0.0)


def test_energy_leaves_out_what_is_not_finite() -> None:
    assert filtering.energy(np.array([3.0, np.nan, -3.0, np.inf])) == 3.0
    assert np.isnan(filtering.energy(np.array([np.nan, np.nan])))
    assert np.isnan(filtering.energy(np.empty(0)))
