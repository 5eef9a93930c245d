"""Drives the virtual devices from recordings of real people: beat intervals and breath of nights, wrists that fell.

Formats: `bed_nights/*_rr.npz` (rr_ms, int16), `bed_nights/*_resp.npz` (resp, int16 at 20 Hz, -32768 missing) and
`weda/*.npz` (acc int16 in mg, acc_off offsets, meta JSON). A bed's waveform is synthesised from the recorded intervals
and breath, which come from different people where no night has both: it is a realistic load, not a ballistocardiogram.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np

from gateway.core.errors import ConfigError, Fault
from gateway.demo.models import WAVE_RATE_HZ, Floats

MISSING = -32768
CALM_S = 1200  # use a stretch this long from the middle of a night, where people are asleep
PLAUSIBLE_RR_MS = (300, 2000)


@dataclass(frozen=True, slots=True)
class RecordedFall:
    """acc: g, shape (n, 3), at `rate_hz`."""

    name: str
    rate_hz: float
    acc: Floats

    def at_rate(self, rate_hz: float) -> Floats:
        """Linearly resampled to a band's own rate."""
        seconds = (len(self.acc) - 1) / self.rate_hz
        wanted_s = np.arange(0, seconds, 1 / rate_hz)
        have_s = np.arange(len(self.acc)) / self.rate_hz
        return np.stack([np.interp(wanted_s, have_s, axis) for axis in self.acc.T], axis=1)


class RecordedBreath:
    """A night's respiration band, resampled to 100 Hz, scaled to about -1 to 1, repeated without end."""

    def __init__(self, raw: Floats, rate_hz: float) -> None:
        centred = raw - np.median(raw)
        scaled = np.clip(centred / (2 * np.std(centred)), -3, 3)
        step = rate_hz / WAVE_RATE_HZ
        self._wave: Floats = np.interp(np.arange(0, len(scaled) - 1, step), np.arange(len(scaled)), scaled)
        self._at = 0

    def take(self, count: int) -> Floats:
        picked = np.take(self._wave, np.arange(self._at, self._at + count), mode="wrap")
        self._at = (self._at + count) % len(self._wave)
        return picked


class Recordings:
    """What a directory laid out as the data sets' documentation says offers to the ward."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._intervals = sorted(directory.glob("bed_nights/*_rr.npz"))
        self._breaths = sorted(directory.glob("bed_nights/*_resp.npz"))
        self._wrists = sorted(directory.glob("weda/*.npz"))
        missing = [
            Fault(0, name, "no such file in the directory", "give a directory laid out as the data sets' notes say")
            for name, found in (
                ("bed_nights/*_rr.npz", self._intervals),
                ("bed_nights/*_resp.npz", self._breaths),
                ("weda/*.npz", self._wrists),
            )
            if not found
        ]
        if missing:
            raise ConfigError(str(directory), tuple(missing))

    def intervals(self, number: int) -> Iterator[float]:
        """Beat intervals in s from the middle of night `number` (modulo the nights there are), repeated without end."""
        rr_ms = np.load(self._intervals[number % len(self._intervals)])["rr_ms"].astype(float)
        good = rr_ms[(rr_ms >= PLAUSIBLE_RR_MS[0]) & (rr_ms <= PLAUSIBLE_RR_MS[1])]
        middle = good[len(good) // 2 :][: CALM_S * 2]
        return cycle((middle / 1000).tolist())

    def breath(self, number: int) -> RecordedBreath:
        """A stretch of night `number` without a missing sample, of middling restlessness."""
        data = np.load(self._breaths[number % len(self._breaths)])
        rate_hz = float(json.loads(data["meta"].tobytes())[0]["fs"])
        length = round(CALM_S * rate_hz)
        raw = data["resp"]
        starts = range(len(raw) // 4, max(len(raw) // 4 + 1, len(raw) - length), length // 2)
        whole = [raw[start : start + length] for start in starts if not (raw[start : start + length] == MISSING).any()]
        by_restlessness = sorted(whole, key=lambda part: float(np.std(part)))
        stretch = by_restlessness[len(by_restlessness) // 2] if whole else raw[raw != MISSING]
        return RecordedBreath(stretch.astype(float), rate_hz)

    def falls(self) -> Iterator[RecordedFall]:
        """Every recorded fall, person by person."""
        for path in self._wrists:
            data = np.load(path)
            acc, offsets = data["acc"], data["acc_off"]
            for index, meta in enumerate(json.loads(data["meta"].tobytes())):
                if meta["fall"]:
                    part = acc[offsets[index] : offsets[index + 1]].astype(float) / 1000
                    yield RecordedFall(str(meta["id"]), float(meta["fs"]), part)
