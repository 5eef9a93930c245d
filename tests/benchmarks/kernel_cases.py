"""Every kernel with arguments of a given size, for its comparison with its twin in C."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import gateway.dsp.kernels
from gateway.dsp.filters import band
from gateway.dsp.kernels import beats, breathing, falling, filtering, intake, intervals, loading, peaks, periodicity
from gateway.dsp.kernels.compiler import Floats, Ints, kernel
from tests.benchmarks.c_twins import Argument


@dataclass(frozen=True, slots=True)
class Case:
    """kernel: "module.name". run: what is timed on our side, the kernel itself unless a single call is over in
    nanoseconds. arguments: as the kernel takes them, made anew at each call, because kernels write into them."""

    kernel: str
    run: Callable[..., object]
    arguments: Callable[[], list[Argument]]


def kernels() -> list[str]:
    """Every public kernel of the house, as "module.name"."""
    found = []
    for module in pkgutil.iter_modules(gateway.dsp.kernels.__path__):
        if module.name == "compiler":
            continue
        loaded = importlib.import_module(f"{gateway.dsp.kernels.__name__}.{module.name}")
        for name, each in vars(loaded).items():
            function = getattr(each, "py_func", each)  # the loop behind the compiled kernel
            if inspect.isfunction(function) and function.__module__ == loaded.__name__ and not name.startswith("_"):
                found.append(f"{module.name}.{name}")
    return sorted(found)


@kernel
def _vertices(x: Floats, out: Floats) -> None:
    for i in range(x.shape[0]):
        out[i] = peaks.vertex(x, i)


@kernel
def _spreads(x: Floats) -> float:
    total = 0.0
    for i in range(0, x.shape[0] - 11, 12):
        total += beats.spread(x[i : i + 12])
    return total


@kernel
def _likenesses(x: Floats, shortest: int, longest: int, scores: Floats, out: Floats) -> None:
    for k in range(1, out.shape[0] - 1):
        intervals.likeness(x, 100 * k, shortest, longest, scores)
        out[k] = scores[0, longest] + scores[1, longest] + scores[2, longest]


@kernel
def _seconds(
    wave: Floats, real: float, motion_g: float, sos: Floats, carried: Floats, hold: Floats, filtered: Floats,
    factor: int, phase: Ints, x: Floats, rate_hz: float, state: Floats, recent: Floats, elgendi: Floats, work: Floats,
    found: Ints, seen: Floats, out: Floats,
) -> None:  # fmt: skip
    m = filtered.shape[0]
    for k in range(out.shape[0]):
        out[k, 2] = beats.second(
            wave[k * m : k * m + m], real, motion_g, sos, carried, hold, filtered, factor, phase, x, rate_hz, state,
            recent, elgendi, work, found, seen, out[k],
        )  # fmt: skip


def cases(n: int) -> list[Case]:
    """All kernels on n samples (or lags, or pairs), n at least 2000."""
    return [*_of_filters(n), *_of_windows(n), *_of_peaks(n), *_of_states(n)]


def wave(n: int, rate_hz: float = 50.0) -> Floats:
    """A beat of 1.2 Hz with harmonics, a breath and noise: zero mean, no NaN."""
    t = np.arange(n) / rate_hz
    x: Floats = np.sin(2 * np.pi * 1.2 * t) + 0.4 * np.sin(2 * np.pi * 2.4 * t + 0.8)
    x += 0.3 * np.sin(2 * np.pi * 0.25 * t) + 0.05 * np.random.default_rng(1).standard_normal(n)
    x -= x.mean()
    return x


def _of_filters(n: int) -> list[Case]:
    x, sos = wave(n), band(0.7, 10.0, 100.0)
    return [
        Case(
            "filtering.sos_filter",
            filtering.sos_filter,
            lambda: [x, sos, np.zeros((4, 2)), np.zeros(3), np.zeros(n)],
        ),
        Case("filtering.decimate", filtering.decimate, lambda: [x, 4, np.zeros(1, dtype=np.int64), np.zeros(n // 8)]),
        Case("filtering.energy", filtering.energy, lambda: [x]),
    ]


def _of_windows(n: int) -> list[Case]:
    x, one, two, last = wave(n), wave(n + 7)[:n].copy(), wave(n + 7)[7:].copy(), n // 2
    repeated = np.cos(2 * np.pi * np.arange(n + 2) / 43.0) * np.exp(-np.arange(n + 2) / n)
    moments = (n - 2 * 85 - 10) * 2 // 25  # every 12.5 samples
    return [
        Case("periodicity.dot", periodicity.dot, lambda: [one, two]),
        Case(
            "periodicity.autocorrelation_peak",
            periodicity.autocorrelation_peak,
            lambda: [x, 16, 85, 0.85, np.zeros(n), np.zeros(87), np.zeros(1)],
        ),
        Case("periodicity.expected_peak", periodicity.expected_peak, lambda: [repeated, 16, n, 0.1 * last, 0.3]),
        Case(
            "periodicity.line_share",
            periodicity.line_share,
            lambda: [x, np.array([100, n // 2 - 100]), np.array([200, n // 2 - 200]), 2.8],
        ),
        Case("periodicity.echoes", periodicity.echoes, lambda: [x, 41.7, 0.07, np.zeros(5)]),
        Case(
            "intervals.likeness", _likenesses, lambda: [x, 16, 85, np.zeros((6, 86)), np.zeros(n // 100)]
        ),
        Case(
            "intervals.local_intervals",
            intervals.local_intervals,
            lambda: [x, 12.5, np.array([16, 85]), 0.85, 42.0, 0.3, np.zeros((6, 86)), np.zeros((moments, 2))],
        ),
        Case("intervals.share_near", intervals.share_near, lambda: [50.0 + x, 50.0, 0.01]),
        Case("breathing.rises", breathing.rises, lambda: [x, 0.01, 0.25, np.zeros(n // 8)]),
        Case("breathing.breaths", breathing.breaths, lambda: [x, 0.35, np.zeros(n), np.zeros(2)]),
        Case("breathing.largest_swing", breathing.largest_swing, lambda: [x]),
    ]


def _of_peaks(n: int) -> list[Case]:
    x, rate_hz = wave(n, 25.0), 25.0
    elgendi = np.array([0.111, 0.667, 0.07, 0.27])
    crests: Ints = np.arange(20, n - 20, 21)
    before, middle, after = x[: n - 2].copy(), x[1 : n - 1].copy(), x[2:].copy()
    return [
        Case(
            "peaks.elgendi_peaks",
            peaks.elgendi_peaks,
            lambda: [x, rate_hz, elgendi, np.zeros(n + 1), np.zeros(n // 4, dtype=np.int64)],
        ),
        Case("peaks.higher_than_both", peaks.higher_than_both, lambda: [middle, before, after]),
        Case("peaks.msptd_peaks", peaks.msptd_peaks, lambda: [x, 25, np.zeros(n // 4, dtype=np.int64)]),
        Case("peaks.vertex", _vertices, lambda: [x, np.zeros(n)]),
        Case("peaks.likeness", peaks.likeness, lambda: [x, crests, 8, np.zeros(17)]),
        Case("beats.spread", _spreads, lambda: [2.0 + x]),
        Case(
            "beats.second",
            _seconds,
            lambda: [
                x, 1.0, 0.01, band(0.7, 8.0, rate_hz, order=2), np.zeros((2, 2)), np.zeros(3), np.zeros(25), 1,
                np.zeros(1, dtype=np.int64), np.zeros(200), rate_hz, np.zeros(8), np.zeros((8, 2)), elgendi.copy(),
                np.zeros(201), np.zeros((2, 200), dtype=np.int64), np.zeros((200, 3)), np.zeros((n // 25, 3)),
            ],
        ),
    ]  # fmt: skip


def _of_states(n: int) -> list[Case]:
    load = np.where(np.arange(n) // 700 % 2, 55.0, 1.0) + 0.1 * wave(n)
    load[n // 3 : n // 3 + 30] = np.nan
    acc = np.zeros((n, 3))
    acc[:, 2] = 1.0 + 0.01 * wave(n)
    acc[200::700, 0] = 4.5
    acc[n // 2 :, 1] = 1.0
    acc[n // 3 : n // 3 + 30] = np.nan
    belt = np.array([12.0, 6.0, 1.0, 2.0, 3.0, 10.0])
    wrist = np.array([3.0, 1.5, 8.0, 0.12, 4.0])
    spoilt = wave(3 * (n // 3))
    spoilt[:: n // 7] = np.inf
    return [
        Case("intake.examine", intake.examine, lambda: [spoilt.copy(), 3, 1.2, np.zeros(3)]),
        Case("intake.spread", intake.spread, lambda: [acc.copy()]),
        Case(
            "loading.occupancy", loading.occupancy, lambda: [load, 10.0, 0.0, belt, np.array([-1.0, 0.0, 0.0, 0.0])]
        ),
        Case(
            "falling.fall",
            falling.fall,
            lambda: [acc, 50.0, wrist, np.zeros(falling.FALL_STATE), np.zeros((n // 400, falling.FALL_ROW))],
        ),
    ]
