"""Every kernel once, in the order in which the ward needs them, on signals of known form, against stored numbers.

The same calls pin the argument types, so that after them nothing is left to compile. `python -m gateway.dsp.selftest`
prints the numbers that belong into golden.json; they are made with the JIT off (NUMBA_DISABLE_JIT=1).
"""

import json
import math
from collections.abc import Callable, Mapping
from importlib.resources import files

import numpy as np

from gateway.core.errors import WorkerError
from gateway.dsp.fall import Fall
from gateway.dsp.filters import band
from gateway.dsp.kernels import beats, breathing, filtering, intake, intervals, loading, peaks, periodicity
from gateway.dsp.kernels.compiler import Floats
from gateway.dsp.pulse import Pulse

RELATIVE = 1e-9  # reassociated sums and fused multiply-add differ from plain Python in the last digits
ABSOLUTE = 1e-12


def _signal(n: int, rate_hz: float) -> Floats:
    """Two tones, a drift and a NaN: float64, shape (n,), no random numbers."""
    t = np.arange(n) / rate_hz
    x: Floats = np.sin(2 * np.pi * 1.1 * t) + 0.3 * np.sin(2 * np.pi * 5.3 * t + 0.5) + 0.1 * t
    x[n // 3] = np.nan
    return x


def _fall() -> list[float]:
    acc = np.zeros((800, 3))
    acc[:, 2] = 1.0
    acc[200:206, 2] = 4.5
    acc[206:, 2] = 0.05
    acc[206:, 0] = 1.0
    acc[300:310, 1] = np.nan
    found = Fall(52.0).step(acc)
    return [value for f in found for value in (float(f.index), f.peak_g, f.still, f.posture_deg, f.real, f.confidence)]


def _occupancy() -> list[float]:
    load = np.concatenate([np.full(50, 1.0), np.full(60, 55.0), np.full(5, math.nan), np.full(45, 2.0)])
    params = np.array([12.0, 6.0, 1.0, 2.0, 3.0, 10.0])
    state = np.array([-1.0, 0.0, 0.0, 0.0])
    return [float(loading.occupancy(load[i : i + 20], 10.0, 0.0, params, state)) for i in range(0, 160, 20)]


def _examine() -> list[float]:
    data, out = _signal(90, 25.0), np.zeros(3)
    data[80] = math.inf
    real = intake.examine(data, 3, 1.5, out)
    return [float(real), *map(float, out), float(np.nansum(data))]


def _spread_g() -> list[float]:
    return [float(intake.spread(_signal(90, 25.0).reshape(-1, 3)))]


def _sos_filter() -> list[float]:
    x = _signal(300, 100.0)
    sos = band(0.7, 10.0, 100.0)
    y = np.empty(300)
    filtering.sos_filter(x, sos, np.zeros((sos.shape[0], 2)), np.zeros(3), y)
    return [float(y[i]) for i in (0, 50, 100, 150, 299)]


def _decimate() -> list[float]:
    window = np.zeros(16)
    phase = np.zeros(1, dtype=np.int64)
    kept = filtering.decimate(np.arange(1.0, 60.0), 4, phase, window)
    return [float(kept), float(phase[0]), float(window[0]), float(window[-1])]


def _energy() -> list[float]:
    return [float(filtering.energy(_signal(200, 100.0)))]


def _autocorrelation_peak() -> list[float]:
    x = np.nan_to_num(_signal(500, 50.0)) - 0.1 * np.arange(500) / 50.0
    height = np.zeros(1)
    lag = periodicity.autocorrelation_peak(x, 16, 85, 0.85, np.zeros(500), np.zeros(87), height)
    return [float(lag), float(height[0])]


def _beating() -> Floats:
    """Ten seconds of an envelope that beats at 1.25 Hz, at 50 Hz: float64, shape (500,), zero mean."""
    t = np.arange(500) / 50.0
    x: Floats = np.exp(6.0 * (np.cos(2 * np.pi * 1.25 * t + 0.4 * np.sin(1.1 * t)) - 1.0))
    x += 0.2 * np.sin(2 * np.pi * 0.7 * t)
    return np.asarray(x - x.mean())


def _expected_peak() -> list[float]:
    acf = np.zeros(87)
    periodicity.autocorrelation_peak(_beating(), 16, 85, 0.85, np.zeros(500), acf, np.zeros(1))
    return [float(periodicity.expected_peak(acf, 16, 85, expected, 0.15)) for expected in (39.0, 78.0)]


def _echoes() -> list[float]:
    out = np.zeros(5)
    periodicity.echoes(_beating(), 40.0, 0.07, out)
    return [float(value) for value in out]


def _local_intervals() -> list[float]:
    out = np.zeros((4, 2))
    intervals.local_intervals(_beating(), 12.5, np.array([16, 85]), 0.85, 42.0, 0.3, np.zeros((6, 86)), out)
    return [float(value) for value in out.ravel()]


def _breath() -> Floats:
    """Forty seconds of breath at 5 Hz that deepens, and stops for six seconds: float64, shape (200,), no NaN."""
    t = np.arange(200) / 5.0
    x: Floats = (0.4 + 0.02 * t) * np.sin(2 * np.pi * 0.22 * t + 0.3 * np.sin(0.4 * t))
    x += 0.1 * np.sin(2 * np.pi * 0.5 * t)
    x[110:140] *= 0.1
    return x


def _rises() -> list[float]:
    found = np.zeros(200)
    count = breathing.rises(_breath(), 0.02, 0.15, found)
    return [float(count), *map(float, found[:count])]


def _largest_swing() -> list[float]:
    x = _breath()
    x[7] = math.nan
    return [float(breathing.largest_swing(x)), float(breathing.largest_swing(x[112:132]))]


def _share_near() -> list[float]:
    return [float(intervals.share_near(np.array([40.0, 44.0, math.nan, 36.5, 80.0]), 40.0, 0.1))]


def _ppg() -> Floats:
    """Eight seconds of a pulse wave at 25 Hz with a dicrotic notch: float64, shape (200,)."""
    t = np.arange(200) / 25.0
    x: Floats = np.sin(2 * np.pi * 1.2 * t) + 0.4 * np.sin(2 * np.pi * 2.4 * t + 0.8)
    return x + 0.05 * np.sin(2 * np.pi * 0.3 * t)


def _elgendi_peaks() -> list[float]:
    x, found = _ppg(), np.zeros(200, dtype=np.int64)
    count = peaks.elgendi_peaks(x, 25.0, np.array([0.111, 0.667, 0.07, 0.27]), np.zeros(201), found)
    return [float(count), *map(float, found[:count]), float(peaks.vertex(x, int(found[1])))]


def _msptd_peaks() -> list[float]:
    found = np.zeros(200, dtype=np.int64)
    count = peaks.msptd_peaks(_ppg(), 25, found)
    return [float(count), *map(float, found[:count]), float(peaks.likeness(_ppg(), found[:count], 7, np.zeros(15)))]


def _second() -> list[float]:
    """Twelve seconds at 50 Hz, so that the window fills and intervals end."""
    pulse = Pulse(50.0)
    t = np.arange(600) / 50.0
    wave = np.sin(2 * np.pi * 1.2 * t) + 0.4 * np.sin(2 * np.pi * 2.4 * t + 0.8) + 0.05 * np.sin(2 * np.pi * 0.3 * t)
    told = [pulse.step(wave[50 * k : 50 * k + 50], 1.0, 0.01) for k in range(12)]
    rate = told[-1].rate
    lengths = [each.length_s for second in told for each in second.intervals]
    return [rate.value if rate else 0.0, rate.quality if rate else 0.0, *lengths]


def _spread() -> list[float]:
    return [float(beats.spread(np.array([0.8, 1.1, 0.9, 1.0, 0.7, 0.85])))]


def _breaths() -> list[float]:
    out = np.zeros(2)
    count = breathing.breaths(np.nan_to_num(_signal(400, 5.0)), 0.35, np.zeros(400), out)
    return [float(count), *map(float, out)]


def _line_share() -> list[float]:
    spectrum = np.sin(np.arange(200) ** 1.5)
    return [float(periodicity.line_share(spectrum, np.array([16, 81]), np.array([28, 57]), 2.8))]


CHECKS: Mapping[str, Callable[[], list[float]]] = {
    "fall": _fall,
    "occupancy": _occupancy,
    "examine": _examine,
    "spread_g": _spread_g,
    "sos_filter": _sos_filter,
    "energy": _energy,
    "decimate": _decimate,
    "autocorrelation_peak": _autocorrelation_peak,
    "expected_peak": _expected_peak,
    "echoes": _echoes,
    "local_intervals": _local_intervals,
    "share_near": _share_near,
    "rises": _rises,
    "largest_swing": _largest_swing,
    "elgendi_peaks": _elgendi_peaks,
    "msptd_peaks": _msptd_peaks,
    "breaths": _breaths,
    "line_share": _line_share,
    "second": _second,
    "spread": _spread,
}


def golden() -> dict[str, list[float]]:
    """The stored numbers by kernel."""
    stored: dict[str, list[float]] = json.loads((files("gateway.dsp") / "golden.json").read_text(encoding="utf-8"))
    return stored


def check(name: str, expected: list[float]) -> None:
    """WorkerError when the kernel's numbers are not the stored ones: its machine code is damaged or wrong."""
    seen = CHECKS[name]()
    if len(seen) != len(expected) or not np.allclose(seen, expected, rtol=RELATIVE, atol=ABSOLUTE):
        raise WorkerError(
            f"kernel {name} answers {seen}, expected {expected}",
            hint="delete the kernel cache (carebed warm does); if it happens again, the CPU or numba is at fault",
        )


if __name__ == "__main__":
    print(json.dumps({name: run() for name, run in CHECKS.items()}, indent=1))
