"""Bed waveforms and loads with a known truth, made from real beat intervals and real respiration.

What is real: when the heart beats (a night's RR intervals) and how the chest moves (a night's respiration effort). What
is made: the shape of each heart beat on the belt, the mattress, noise, movement, load. No recording of a bed
ballistocardiogram was at hand, so figures from here show that an estimator survives these disturbances; they do not
show how it does in a bed.

The waveform is in parts of the belt's full scale, 100 Hz, clipped at 1; the load is kg above the empty bed, 10 Hz.
- Beat: two damped waves (3.5-6.5 and 4-7 Hz) of random sign, phase and size, another pair for each posture; in every
  fifth posture the main wave (the J-peak) is all but absent. Size follows the interval before (filling) and the breath.
- Mattress: a resonance at 4-9 Hz, damping 0.3-0.8. Thick foam: damping 0.8 at 3.5 Hz, and the beats 10 dB smaller.
- Noise: pink (power 1/f from 0.3 Hz), band 0.7-10 Hz. SNR means rms of the beats over rms of the noise, both within
  0.7-10 Hz, in every posture: a beat has the same energy in each, and another shape. With `uneven` it is that of the
  whole recording, and postures differ by 0.7 to 1.3, those without a J-peak by a quarter of that: -12 to 3 dB. White
  sensor noise comes on top; a third of the pink noise stays in the empty bed (house, street).
- Turning over: 2-7 s of large waves, clipped now and then; in half of the turns the sleeper lifts off the belt
  for 0.4-2.2 s (load near zero); afterwards posture and share of the load are others. Twitches: a second, smaller.
- Leaving: movement, 2-6 s on the edge with 40-70 % of the load, gone; coming back the same the other way, with an
  overshoot of the load.
Limits: one belt, one place, linear superposition; the beat's shape does not change with the breath; no cough, snoring
or speech, no carer at work; the other sleeper never moves; atrial fibrillation is independent log-normal intervals.
Everything is decided by the seed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import bilinear, butter, lfilter, sosfiltfilt

from tests.evaluation.recordings import Floats

RATE_HZ, LOAD_RATE_HZ, BREATH_RATE_HZ = 100.0, 10.0, 20.0
BREATH_SIZE, BEAT_SIZE, SENSOR_NOISE = 0.05, 0.004, 0.0002  # standard deviation or rms, of full scale
SNR_BAND_HZ = (0.7, 10.0)
EMPTY_NOISE = 1.0 / 3.0
FOAM_DB = 10.0
NO_J_PEAK = 0.2  # share of postures
KERNEL_S = 0.8
Rng = np.random.Generator


@dataclass(frozen=True, slots=True)
class Sleeper:
    """beats_s: moments of the beats, from 0. breath: effort at 20 Hz, any unit, NaN where missing."""

    beats_s: Floats
    breath: Floats


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens in the bed. outings: (leaves, is back) in s. pump_hz, tremor_hz: 0 is none. slipped_s: when the belt
    slides out (waveform to a tenth, load to a seventh). other: shares the bed between other_s."""

    seconds: int
    snr_db: float = 0.0
    foam: bool = False
    uneven: bool = False
    turns_per_hour: float = 4.0
    outings: tuple[tuple[float, float], ...] = ()
    pump_hz: float = 0.0
    mains: bool = False
    tremor_hz: float = 0.0
    slipped_s: float = np.inf
    other: Sleeper | None = None
    other_s: tuple[float, float] = (0.0, np.inf)
    weight_kg: float = 45.0  # of it what the belt carries


@dataclass(frozen=True, slots=True)
class Scene:
    """wave: shape (n,). load: shape (n / 10,). in_bed, moving: shape (seconds,), in bed for more than half of the
    second, moving in any part of it. turns_s: middle of each turning over. beats_s: of the sleeper, in bed or not."""

    wave: Floats
    load: Floats
    beats_s: Floats
    in_bed: NDArray[np.bool_]
    exits_s: tuple[float, ...]
    turns_s: tuple[float, ...]
    moving: NDArray[np.bool_]

    def rate(self, end_s: float, span_s: float) -> float:
        """Beats a minute over the span that ends there, from its intervals; NaN for fewer than three."""
        inside = self.beats_s[(self.beats_s > end_s - span_s) & (self.beats_s <= end_s)]
        return 60.0 * (len(inside) - 1) / float(inside[-1] - inside[0]) if len(inside) > 2 else float("nan")


def beats_from(intervals_s: Floats, seconds: float, start: int = 0) -> Floats:
    """Moments from intervals, those outside 0.3 to 2.2 s (a lost electrode) left out."""
    usable = intervals_s[(intervals_s > 0.3) & (intervals_s < 2.2)][start:]
    times: Floats = np.cumsum(usable)
    return times[times < seconds]


def fibrillating(seconds: float, rng: Rng) -> Floats:
    """Beats of atrial fibrillation: independent log-normal intervals, 60 to 120 a minute, spread 0.17 to 0.25."""
    mean_s, spread = 60.0 / rng.uniform(60, 120), rng.uniform(0.17, 0.25)
    count = round(3 * seconds / mean_s) + 10
    times: Floats = np.cumsum(np.maximum(0.33, mean_s * np.exp(rng.normal(0, spread, count))))
    return times[times < seconds]


def scene(sleeper: Sleeper, plan: Plan, seed: int) -> Scene:
    """The bed as planned."""
    rng = np.random.default_rng(seed)
    n = round(plan.seconds * RATE_HZ)
    t = np.arange(n) / RATE_HZ
    turns, twitches = _turns(plan, rng)
    mattress = _mattress(plan.foam, rng)
    heart, breath = _body(sleeper, turns, mattress, n, rng, even=not plan.uneven)
    noise = _pink(n, rng)
    size = BEAT_SIZE * (10 ** (-FOAM_DB / 20.0) if plan.foam else 1.0)
    noise *= BEAT_SIZE / _rms(noise) * 10 ** (-plan.snr_db / 20.0)
    here = np.ones(n)
    for leaves, back in plan.outings:
        here[(t >= leaves) & (t < back)] = 0.0
    held = np.where(t >= plan.slipped_s, 0.1, 1.0)
    wave = here * held * (size * heart + BREATH_SIZE * breath)
    wave += noise * np.maximum(here, EMPTY_NOISE) + SENSOR_NOISE * rng.standard_normal(n)
    if plan.other is not None:
        wave += _second(plan, mattress, n, rng) * ((t >= plan.other_s[0]) & (t < plan.other_s[1]))
    wave += _machines(plan, t, here, rng)
    moving = _movement(plan, turns, twitches, t, rng, wave)
    load = _load(plan, turns, breath, rng)
    seconds = here.reshape(plan.seconds, -1).mean(axis=1) > 0.5
    return Scene(
        wave=np.clip(wave, -1.0, 1.0),
        load=load,
        beats_s=sleeper.beats_s,
        in_bed=np.asarray(seconds),
        exits_s=tuple(leaves for leaves, _ in plan.outings),
        turns_s=tuple(turns),
        moving=np.asarray(moving.reshape(plan.seconds, -1).any(axis=1)),
    )


def _turns(plan: Plan, rng: Rng) -> tuple[list[float], list[float]]:
    """Moments of turning over and of twitches, none within 20 s of an outing or the start."""
    count = rng.poisson(plan.turns_per_hour * plan.seconds / 3600.0)
    times = np.sort(rng.uniform(20, plan.seconds - 20, count + 2 * count))
    clear = [
        float(at) for at in times if not any(leaves - 20 < at < back + 20 for leaves, back in plan.outings)
    ]
    turns = clear[::3]
    return turns, [at for at in clear if at not in turns]


def _kernel(rng: Rng) -> Floats:
    """One beat on the belt in one posture: shape (80,), about 1 high."""
    t = np.arange(round(KERNEL_S * RATE_HZ)) / RATE_HZ
    main = 0.25 if rng.random() < NO_J_PEAK else 1.0
    hertz, width = rng.uniform(3.5, 6.5), rng.uniform(0.08, 0.14)
    shape = main * np.exp(-(((t - 0.22) / width) ** 2)) * np.cos(2 * np.pi * hertz * (t - 0.2) + rng.uniform(-1, 1))
    late = np.exp(-(((t - 0.45) / 0.09) ** 2)) * np.cos(2 * np.pi * rng.uniform(4, 7) * (t - 0.42) + rng.uniform(-1, 1))
    shape += rng.uniform(0.2, 0.6) * late
    return np.asarray(shape * rng.choice([-1.0, 1.0]) * rng.uniform(0.7, 1.3))


def _felt_alike(kernel: Floats, mattress: tuple[Floats, Floats], even: bool) -> Floats:
    """The beat scaled so that its energy on the belt, within the SNR band, is 1; as it is when not `even`."""
    if not even:
        return kernel
    felt = lfilter(*mattress, np.concatenate((np.zeros(200), kernel, np.zeros(200))))
    return np.asarray(kernel / (_rms(felt) * np.sqrt(len(felt))))


def _body(
    sleeper: Sleeper, turns: list[float], mattress: tuple[Floats, Floats], n: int, rng: Rng, *, even: bool = True
) -> tuple[Floats, Floats]:
    """Beats (rms 1 within the SNR band) and breath (standard deviation 1) as the belt feels them: shape (n,) each."""
    breath = _breath(sleeper.breath, n)
    changes = [*turns, np.inf]
    wave = np.zeros(n + 200)
    kernel, posture, last_s = _felt_alike(_kernel(rng), mattress, even), 0, 0.0
    for beat_s in sleeper.beats_s:
        if beat_s > changes[posture]:
            kernel, posture = _felt_alike(_kernel(rng), mattress, even), posture + 1
        at = int(beat_s * RATE_HZ)
        part = beat_s * RATE_HZ - at
        if at + len(kernel) + 1 >= n:
            break
        filling = 1.0 - np.exp(-(beat_s - last_s) / 0.4)
        size = (1.0 + rng.normal(0, 0.12)) * (1.0 + 0.25 * np.clip(breath[at], -2, 2)) * filling
        wave[at : at + len(kernel)] += size * (1.0 - part) * kernel
        wave[at + 1 : at + 1 + len(kernel)] += size * part * kernel
        last_s = beat_s
    felt: Floats = lfilter(*mattress, wave[:n])
    return felt / (_rms(felt) + 1e-12), breath


def _breath(effort: Floats, n: int) -> Floats:
    count = int(n / RATE_HZ * BREATH_RATE_HZ) + 1
    part = np.resize(np.where(np.isfinite(effort), effort, np.nanmedian(effort)), count)
    band: Floats = sosfiltfilt(butter(2, [0.05, 1.0], "bandpass", fs=BREATH_RATE_HZ, output="sos"), part)
    smooth = np.clip(band / (np.percentile(np.abs(band), 75) * 1.5 + 1e-9), -3, 3)
    return np.asarray(np.interp(np.arange(n) / RATE_HZ, np.arange(count) / BREATH_RATE_HZ, smooth))


def _mattress(foam: bool, rng: Rng) -> tuple[Floats, Floats]:
    hertz, damping = (3.5, 0.8) if foam else (rng.uniform(4, 9), rng.uniform(0.3, 0.8))
    w = 2 * np.pi * hertz
    numerator, denominator = bilinear([w * w], [1.0, 2 * damping * w, w * w], RATE_HZ)
    return np.asarray(numerator), np.asarray(denominator)


def _pink(n: int, rng: Rng) -> Floats:
    hertz = np.fft.rfftfreq(n, 1 / RATE_HZ)
    spectrum = (rng.normal(size=len(hertz)) + 1j * rng.normal(size=len(hertz))) / np.sqrt(np.maximum(hertz, 0.3))
    spectrum[(hertz < 0.3) | (hertz > SNR_BAND_HZ[1])] = 0.0
    return np.asarray(np.fft.irfft(spectrum, n))


def _rms(wave: Floats) -> float:
    """Within the SNR band."""
    band = sosfiltfilt(butter(4, SNR_BAND_HZ, "bandpass", fs=RATE_HZ, output="sos"), wave)
    return float(np.sqrt(np.mean(band**2)))


def _second(plan: Plan, mattress: tuple[Floats, Floats], n: int, rng: Rng) -> Floats:
    """The other sleeper, felt at 0.5 to 1 of the first."""
    assert plan.other is not None
    heart, breath = _body(plan.other, [], mattress, n, rng)
    return np.asarray(rng.uniform(0.5, 1.0) * (BEAT_SIZE * heart + BREATH_SIZE * breath))


def _machines(plan: Plan, t: Floats, here: Floats, rng: Rng) -> Floats:
    """Pump strokes (with or without a sleeper), mains hum, tremor (with the sleeper)."""
    wave = np.zeros(len(t))
    if plan.pump_hz > 0.0:
        phase = (t * plan.pump_hz + rng.random()) % 1.0 / plan.pump_hz
        stroke = np.exp(-phase / 0.15) * np.sin(2 * np.pi * rng.uniform(4, 7) * phase)
        wave += 2.0 * BEAT_SIZE * stroke / (_rms(stroke) + 1e-12)
        wave += 0.4 * BREATH_SIZE * np.sin(2 * np.pi * plan.pump_hz * t)
    if plan.mains:
        wave += BEAT_SIZE * np.sin(2 * np.pi * 50.02 * t + 0.7)
    if plan.tremor_hz > 0.0:
        wander = np.cumsum(rng.normal(0, 0.02, len(t))) / np.sqrt(RATE_HZ)
        phase = 2 * np.pi * (plan.tremor_hz * t + 0.3 * wander)
        swell = 1.0 + 0.3 * np.sin(2 * np.pi * 0.07 * t + rng.uniform(0, 6))
        wave += here * 4.0 * BEAT_SIZE * swell * (np.sin(phase) + 0.3 * np.sin(2 * phase))
    return wave


def _burst(wave: Floats, at_s: float, span_s: float, size: float, rng: Rng) -> slice:
    """Add large slow waves; returns where."""
    first, end = max(0, round((at_s - span_s / 2) * RATE_HZ)), min(len(wave), round((at_s + span_s / 2) * RATE_HZ))
    if end <= first:  # before the recording
        return slice(0, 0)
    raw = rng.standard_normal(end - first + 200)
    shaped = sosfiltfilt(butter(2, [0.3, 8.0], "bandpass", fs=RATE_HZ, output="sos"), raw)[100:-100]
    wave[first:end] += size * shaped / np.std(shaped) * np.hanning(end - first) ** 0.25
    return slice(first, end)


def _movement(
    plan: Plan, turns: list[float], twitches: list[float], t: Floats, rng: Rng, wave: Floats
) -> NDArray[np.bool_]:
    """Adds movement to the wave; where it is."""
    moving = np.zeros(len(t), dtype=bool)
    for at in turns:
        moving[_burst(wave, at, rng.uniform(2, 7), rng.uniform(0.12, 0.35), rng)] = True
    for at in twitches:
        moving[_burst(wave, at, rng.uniform(0.5, 1.5), rng.uniform(0.02, 0.08), rng)] = True
    for leaves, back in plan.outings:
        moving[_burst(wave, leaves - 2.5, 5.0, 0.3, rng)] = True
        moving[_burst(wave, back + 2.5, 5.0, 0.3, rng)] = True
    return moving


def _load(plan: Plan, turns: list[float], breath: Floats, rng: Rng) -> Floats:
    """kg above the empty bed at 10 Hz."""
    n = round(plan.seconds * LOAD_RATE_HZ)
    t = np.arange(n) / LOAD_RATE_HZ
    share = np.ones(n)
    for at in turns:
        share[t >= at] = rng.uniform(0.8, 1.2)
    for at in turns:
        near = np.abs(t - at) < 2.0
        share[near] *= 1.0 + 0.25 * np.sin(2 * np.pi * 0.8 * (t[near] - at))
        if rng.random() < 0.5:
            span_s = rng.uniform(0.4, 2.2)
            share[np.abs(t - at) < span_s / 2] = rng.uniform(0.0, 0.05)
    for leaves, back in plan.outings:
        share[(t >= leaves - rng.uniform(2, 6)) & (t < leaves)] *= rng.uniform(0.4, 0.7)
        share[(t >= back) & (t < back + rng.uniform(1, 4))] *= rng.uniform(0.5, 1.4)
        share[(t >= leaves) & (t < back)] = 0.0
    share[t >= plan.slipped_s] /= 7.0
    kg = plan.weight_kg * share * (1.0 + 0.01 * breath[:: round(RATE_HZ / LOAD_RATE_HZ)][:n])
    if plan.other is not None:
        kg[(t >= plan.other_s[0]) & (t < plan.other_s[1])] += rng.uniform(0.1, 0.5) * plan.weight_kg
    return np.asarray(kg + 0.3 * rng.standard_normal(n))
