"""Readers of the recordings, as DATASETS.md describes them, and the one rule by which subjects are split."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def is_for_tuning(folder: str, subject: str) -> bool:
    """True for the half of the subjects that settings may be chosen on; decided by a hash, so nobody could choose."""
    return hashlib.sha256(f"{folder}/{subject}".encode()).digest()[0] % 2 == 0


def _files(directory: Path, folder: str, pattern: str = "*.npz") -> list[Path]:
    return sorted((directory / folder).glob(pattern))


@dataclass(frozen=True, slots=True)
class Icu:
    """BIDMC: 8 minutes of intensive care. ppg, resp, ecg at rate_hz; breaths of two annotators in s; monitor: 1 Hz
    heart rate, pulse, respiration, SpO2, NaN where the monitor had none."""

    subject: str
    rate_hz: float
    ppg: Floats
    resp: Floats
    ecg: Floats
    breaths: tuple[Floats, Floats]
    monitor: Floats


def bidmc(directory: Path) -> Iterator[Icu]:
    for path in _files(directory, "bidmc"):
        with np.load(path) as data:
            monitor = data["num_1hz"].astype(np.float64)
            monitor[monitor < 0] = np.nan
            yield Icu(
                subject=path.stem,
                rate_hz=125.0,
                ppg=data["pleth"] / 1e4,
                resp=data["resp"] / 1e4,
                ecg=data["ecg"] / 1e4,
                breaths=(data["breaths1"] / 125.0, data["breaths2"] / 125.0),
                monitor=monitor,
            )


@dataclass(frozen=True, slots=True)
class Exercise:
    """IEEE SP Cup 2015: wrist, treadmill and arms. ppg: shape (n, 2); acc: shape (n, 3), g; both at rate_hz.
    heart_rate: of each window of 8 s, one every 2 s, from the ECG."""

    subject: str
    rate_hz: float
    ppg: Floats
    acc: Floats
    heart_rate: Floats


def ieee_spc(directory: Path) -> Iterator[Exercise]:
    for path in _files(directory, "ieee_spc"):
        with np.load(path) as data:
            yield Exercise(
                subject=path.stem,
                rate_hz=125.0,
                ppg=data["ppg"] / 10.0,
                acc=data["acc"] / 1000.0,
                heart_rate=data["bpm"].astype(np.float64),
            )


@dataclass(frozen=True, slots=True)
class Beats:
    """One night's inter-beat intervals in s, as the band's ECG gave them."""

    subject: str
    intervals_s: Floats


def nights_of_beats(directory: Path) -> Iterator[Beats]:
    for path in _files(directory, "bed_nights", "*_rr.npz"):
        with np.load(path) as data:
            yield Beats(path.stem.split("_")[0], data["rr_ms"] / 1000.0)


@dataclass(frozen=True, slots=True)
class Breath:
    """One night's respiration effort, arbitrary unit, NaN where missing, at rate_hz."""

    subject: str
    rate_hz: float
    resp: Floats


def nights_of_breath(directory: Path) -> Iterator[Breath]:
    for path in _files(directory, "bed_nights", "*_resp.npz"):
        with np.load(path) as data:
            resp = data["resp"].astype(np.float64)
            resp[resp <= -32768] = np.nan
            yield Breath(path.stem.split("_")[0], 20.0, resp)


@dataclass(frozen=True, slots=True)
class Epochs:
    """A night in the laboratory in epochs of 30 s. stage: 0 wake, 1-3 NREM, 5 REM, -1 unscored. counts: activity."""

    subject: str
    stage: Ints
    counts: Floats


def sleep_epochs(directory: Path) -> Iterator[Epochs]:
    for path in _files(directory, "sleep_walch_features"):
        with np.load(path) as data:
            yield Epochs(path.stem, data["psg"].astype(np.int64), data["count_feature"].astype(np.float64))


@dataclass(frozen=True, slots=True)
class Fingertip:
    """Ten-second segments of one patient's fingertip PPG at rate_hz, shape (k, n), and each segment's rhythm:
    0 sinus, 1 PVC, 2 PAC, 3 VT, 4 SVT, 5 atrial fibrillation."""

    subject: str
    rate_hz: float
    ppg: Floats
    rhythm: Ints


def ppg_arrhythmia(directory: Path) -> Iterator[Fingertip]:
    for path in _files(directory, "ppg_arrhythmia"):
        with np.load(path) as data:
            yield Fingertip(path.stem, 100.0, data["ppg"].astype(np.float64), data["label"].astype(np.int64))


@dataclass(frozen=True, slots=True)
class Apnea:
    """A night's beats in s (from its ECG) and, for each minute, whether an expert saw apnea."""

    subject: str
    beats_s: Floats
    apnea: NDArray[np.bool_]


def apnea_ecg(directory: Path) -> Iterator[Apnea]:
    for path in _files(directory, "apnea_ecg_rr"):
        with np.load(path) as data:
            yield Apnea(path.stem, data["t_ms"] / 1000.0, data["apnea_min"].astype(bool))


@dataclass(frozen=True, slots=True)
class Postures:
    """A pressure mat, shape (n, 16, 8), one image a second, and the posture's number of each image."""

    subject: str
    pressure: Floats
    posture: Ints


def pressure_maps(directory: Path) -> Iterator[Postures]:
    for path in _files(directory, "pressuremap"):
        with np.load(path) as data:
            edges = data["off"].astype(np.int64)
            posture = np.zeros(len(data["p"]), dtype=np.int64)
            for number, (start, end) in enumerate(pairwise(edges), start=1):
                posture[start:end] = number
            yield Postures(path.stem, data["p"].astype(np.float64), posture)
