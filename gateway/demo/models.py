"""Signal models of a sleeper and of a wrist, written for the demonstration: no recording of a person is in them.

They are honest toys: a damped oscillation per heartbeat, breath as a slow sine with variation, drift, noise and
movement bursts. They show that the chain works; they say nothing about accuracy (`python -m tests.evaluation` does).
"""

from collections.abc import Iterator
from itertools import count as count_up
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WAVE_RATE_HZ = 100.0
BEAT_COUNTS = 220.0  # J-peak amplitude in counts of the belt's 16-bit sample
BREATH_COUNTS = 900.0
NOISE_COUNTS = 18.0
BODY_KG = 61.0
KERNEL_S = 0.6
TURN_EVERY_S = 240.0  # a sleeper turns over about every four minutes in this short story
GRAVITY = np.array([0.1, -0.35, 0.93])


class BedSource(Protocol):
    """What a virtual belt lies under."""

    def take(self, count: int) -> tuple[Floats, float]:
        """The next `count` waveform samples in counts and the static load in kg."""


class WristSource(Protocol):
    """What a virtual band is worn on."""

    def take(self, count: int) -> Floats:
        """The next `count` samples in g, shape (count, 3)."""

    def heart_rate_per_min(self) -> float:
        """What the band's own optics would say."""


def beat_kernel(rate_hz: float) -> Floats:
    """One ballistic H-I-J-K-L complex of unit J-peak, about 0.6 s long."""
    t = np.arange(0, KERNEL_S, 1 / rate_hz)
    main = np.exp(-(((t - 0.22) / 0.10) ** 2)) * np.cos(2 * np.pi * 5.2 * (t - 0.21))
    tail = 0.3 * np.exp(-(((t - 0.42) / 0.08) ** 2)) * np.cos(2 * np.pi * 6.3 * (t - 0.42))
    kernel: Floats = (main + tail) / np.abs(main + tail).max()
    return kernel


class Breath(Protocol):
    """A breathing movement: about -1 to 1, at 100 Hz."""

    def take(self, count: int) -> Floats:
        """The next `count` samples."""


class SineBreath:
    """A slow sine whose rate wanders by a few percent."""

    def __init__(self, rate_per_min: float = 14.0) -> None:
        self._rate_per_min = rate_per_min
        self._phase = 0.0
        self._t_s = 0.0

    def take(self, count: int) -> Floats:
        rate_hz = self._rate_per_min / 60 * (1 + 0.04 * np.sin(self._t_s / 17))
        phase = self._phase + 2 * np.pi * rate_hz / WAVE_RATE_HZ * np.arange(1, count + 1)
        self._phase = float(phase[-1] % (2 * np.pi))
        self._t_s += count / WAVE_RATE_HZ
        breath: Floats = np.sin(phase)
        return breath


def sinus_intervals(rng: np.random.Generator, rate_per_min: float = 64.0) -> Iterator[float]:
    """Beat intervals in s of a calm heart: respiratory swing, slow drift and a little noise."""
    for beat in count_up():
        swing = 0.03 * np.sin(beat / 2.3) + 0.02 * np.sin(beat / 61)
        yield 60 / rate_per_min * (1 + swing) + float(rng.normal(0, 0.008))


class Sleeper:
    """A person in a bed with a belt under the mattress.

    intervals: beat intervals in s, without end. breath: the movement of the chest.
    """

    def __init__(self, seed: int, *, intervals: Iterator[float] | None = None, breath: Breath | None = None) -> None:
        self._rng = np.random.default_rng(seed)
        self._intervals = intervals or sinus_intervals(np.random.default_rng(seed + 1))
        self._breath = breath or SineBreath()
        self.in_bed = True
        self.restless = False
        self._t_s = 0.0
        self._next_beat_s = 0.3
        self._next_turn_s = float(self._rng.uniform(0.5, 1.5)) * TURN_EVERY_S
        self._drift = 0.0
        self._kernel = beat_kernel(WAVE_RATE_HZ)
        self._overlap = np.zeros(0)

    def take(self, count: int) -> tuple[Floats, float]:
        noise = self._rng.normal(0, NOISE_COUNTS, count)
        if not self.in_bed:
            self._t_s += count / WAVE_RATE_HZ
            self._next_beat_s = self._t_s + 0.5
            self._overlap = np.zeros(0)
            return noise * 0.3, max(0.0, 0.4 + float(self._rng.normal(0, 0.05)))
        breath = self._breath.take(count)
        self._drift = 0.999 * self._drift + float(self._rng.normal(0, 4))
        swing = 1 + 0.2 * float(breath[-1])
        wave = BREATH_COUNTS * breath + self._drift + noise + self._beats(count, swing) + self._movement(count)
        self._t_s += count / WAVE_RATE_HZ
        return wave, BODY_KG + float(self._rng.normal(0, 0.3))

    def _beats(self, count: int, swing: float) -> Floats:
        out = np.zeros(count + len(self._kernel))
        out[: len(self._overlap)] += self._overlap
        while self._next_beat_s < self._t_s + count / WAVE_RATE_HZ:
            at = max(0, round((self._next_beat_s - self._t_s) * WAVE_RATE_HZ))
            height = BEAT_COUNTS * (swing + float(self._rng.normal(0, 0.08)))
            out[at : at + len(self._kernel)] += height * self._kernel[: len(out) - at]
            self._next_beat_s += next(self._intervals)
        self._overlap = out[count:]
        return out[:count]

    def _movement(self, count: int) -> Floats:
        turning = self._t_s <= self._next_turn_s < self._t_s + count / WAVE_RATE_HZ
        if turning:
            self._next_turn_s += float(self._rng.uniform(0.5, 1.5)) * TURN_EVERY_S
        if not turning and not (self.restless and self._rng.random() < 0.5):
            return np.zeros(count)
        burst: Floats = np.cumsum(self._rng.normal(0, 120, count)) * np.hanning(count)
        return burst


class Wrist:
    """An arm with a band: asleep, walking, or falling once."""

    def __init__(self, seed: int, *, rate_hz: float = 52.0, heart_per_min: float = 66.0) -> None:
        self._rng = np.random.default_rng(seed)
        self._rate_hz = rate_hz
        self.heart_per_min = heart_per_min
        self.walking = False
        self._gravity = GRAVITY / np.linalg.norm(GRAVITY)
        self._t_s = 0.0
        self._queued = np.zeros((0, 3))

    def heart_rate_per_min(self) -> float:
        return self.heart_per_min + float(self._rng.normal(0, 0.7))

    @property
    def falling(self) -> int:
        """Samples of a fall that have not been taken yet."""
        return len(self._queued)

    def stand_up(self) -> None:
        """Hold the arm as before any fall."""
        self._gravity = GRAVITY / np.linalg.norm(GRAVITY)

    def take(self, count: int) -> Floats:
        queued, self._queued = self._queued[:count], self._queued[count:]
        rest = count - len(queued)
        t = self._t_s + np.arange(rest) / self._rate_hz
        self._t_s += count / self._rate_hz
        idle = self._gravity + self._rng.normal(0, 0.012, (rest, 3))
        if self.walking:
            idle += 0.25 * np.sin(2 * np.pi * 1.8 * t)[:, None] * np.array([0.6, 1.0, 0.4])
        return np.concatenate([queued, idle])

    def fall(self, recorded: Floats | None = None) -> int:
        """Fall now: as recorded (g, shape (n, 3), at this band's rate), or as the model has it; returns how many
        samples the fall lasts."""
        if recorded is None:
            self._fall_as_modelled()
        else:
            self._queued = recorded
            resting = recorded[-round(self._rate_hz / 2) :].mean(axis=0)
            self._gravity = resting / np.linalg.norm(resting)
        self.walking = False
        return len(self._queued)

    def _fall_as_modelled(self) -> None:
        """Stumble, a third of a second almost weightless, the impact with its ringing, then lying on the side."""
        steps = round(0.35 * self._rate_hz)
        weightless = self._gravity * np.linspace(1, 0.15, steps)[:, None]
        ringing_s = np.arange(round(0.5 * self._rate_hz)) / self._rate_hz
        ringing = np.exp(-ringing_s / 0.08) * np.cos(2 * np.pi * 9 * ringing_s)
        lying = np.array([0.93, 0.30, 0.15])
        lying /= np.linalg.norm(lying)
        impact = lying + 5.5 * ringing[:, None] * np.array([0.5, 0.6, 0.62])
        self._queued = np.concatenate([weightless, impact]) + self._rng.normal(0, 0.05, (steps + len(ringing_s), 3))
        self._gravity = lying
