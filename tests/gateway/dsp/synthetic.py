"""Signals with a known truth: a sleeper's waveform, a wrist. Units as the drivers deliver them."""

import numpy as np
from numpy.typing import NDArray

from gateway.core.model import SampleBlock, Stamp

Floats = NDArray[np.float64]
BOOT = "00000001"
START = Stamp(BOOT, 10**12)
RATE_HZ = 100.0


def beat_times(seconds: float, heart_rate: float, *, seed: int = 1, jitter: float = 0.02) -> Floats:
    """Moments of the beats in s; jitter is the spread of the inter-beat intervals, as a fraction."""
    rng = np.random.default_rng(seed)
    count = int(seconds * heart_rate / 60.0 * 2) + 10
    intervals = 60.0 / heart_rate * (1.0 + jitter * rng.standard_normal(count)).clip(0.5, 1.5)
    times: Floats = np.cumsum(intervals)
    return times[times < seconds]


def sleeper(
    seconds: float,
    *,
    heart_rate: float = 64.0,
    breath_rate: float = 15.0,
    beats: Floats | None = None,
    noise: float = 0.0008,
    seed: int = 1,
) -> Floats:
    """A belt's waveform, -1 to 1 at 100 Hz: breath 0.05, damped 5 Hz complexes of 0.012 at each beat, white noise."""
    rng = np.random.default_rng(seed)
    n = round(seconds * RATE_HZ)
    t = np.arange(n) / RATE_HZ
    wave: Floats = 0.05 * np.sin(2 * np.pi * breath_rate / 60.0 * t) + noise * rng.standard_normal(n)
    tail = np.arange(60) / RATE_HZ
    shape = np.exp(-(((tail - 0.2) / 0.1) ** 2)) * np.cos(2 * np.pi * 5.0 * (tail - 0.2))
    for beat in beat_times(seconds, heart_rate, seed=seed) if beats is None else beats:
        at = round(beat * RATE_HZ)
        length = min(len(tail), n - at)
        wave[at : at + length] += 0.012 * shape[:length]
    return wave


def empty_bed(seconds: float, *, noise: float = 0.0008, seed: int = 2) -> Floats:
    """What the belt hears when nobody lies on it, and of somebody whose heart and breath have stopped."""
    return noise * np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ))


def tossing(seconds: float, *, seed: int = 3) -> Floats:
    """A restless sleeper: bursts far above breath and beat."""
    rng = np.random.default_rng(seed)
    wave: Floats = 0.15 * rng.standard_normal(round(seconds * RATE_HZ))
    return np.clip(np.convolve(wave, np.ones(5) / 2.0, mode="same"), -0.9, 0.9)


def block(
    channel: str,
    data: Floats,
    *,
    at_s: float = 0.0,
    rate_hz: float = RATE_HZ,
    lost_before: int = 0,
    device: str = "belt-1",
    bed: str | None = "b-1",
) -> SampleBlock:
    """A block whose first sample was taken `at_s` after START."""
    unit = {"bed.load": "kg", "acc": "[g]"}.get(channel, "1")
    samples = np.asarray(data, dtype=np.float32)
    return SampleBlock(device, channel, START.plus_s(at_s), rate_hz, unit, samples, lost_before, bed)


def wrist(seconds: float, rate_hz: float = 52.0, *, seed: int = 4) -> Floats:
    """A wrist at rest on its back: g, shape (n, 3)."""
    acc: Floats = 0.01 * np.random.default_rng(seed).standard_normal((round(seconds * rate_hz), 3))
    acc[:, 2] += 1.0
    return acc


def falling_wrist(fall_s: float, seconds: float, rate_hz: float = 52.0, *, peak_g: float = 5.0) -> Floats:
    """Walks, falls at `fall_s` (free fall 0.4 s, impact of `peak_g`), then lies still with the arm turned by 90 deg."""
    acc = wrist(seconds, rate_hz)
    t = np.arange(len(acc)) / rate_hz
    walking = t < fall_s - 0.4
    acc[walking, 0] += 0.25 * np.sin(2 * np.pi * 1.8 * t[walking])
    acc[(t >= fall_s - 0.4) & (t < fall_s)] *= 0.2
    acc[(t >= fall_s) & (t < fall_s + 0.08), 2] = peak_g
    lying = t >= fall_s + 0.08
    acc[lying, 0], acc[lying, 2] = acc[lying, 2], acc[lying, 0]
    return acc


def finger(
    seconds: float,
    rate_hz: float = 100.0,
    *,
    beats: Floats | None = None,
    heart_rate: float = 66.0,
    noise: float = 0.01,
) -> Floats:
    """A finger clip's PPG, about -1 to 1: a systolic wave and a dicrotic one at each beat, breath, drift, noise."""
    rng = np.random.default_rng(11)
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    wave: Floats = 0.15 * np.sin(2 * np.pi * 0.25 * t) + 0.2 * np.sin(2 * np.pi * 0.03 * t)
    for beat in beat_times(seconds, heart_rate) if beats is None else beats:
        first, end = round((beat - 0.1) * rate_hz), round((beat + 0.9) * rate_hz)
        near = t[max(0, first) : end] - beat
        wave[max(0, first) : end] += np.exp(-(((near - 0.2) / 0.085) ** 2))
        wave[max(0, first) : end] += 0.38 * np.exp(-(((near - 0.45) / 0.12) ** 2))
    return wave + noise * rng.standard_normal(len(t))
