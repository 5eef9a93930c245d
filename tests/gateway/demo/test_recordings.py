"""Promises of the recordings reader, on small files in the documented formats made here."""

import json
from pathlib import Path

import numpy as np
import pytest

from gateway.core.errors import ConfigError
from gateway.demo.recordings import MISSING, Recordings


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    def meta(*rows: dict[str, object]) -> np.ndarray:
        return np.frombuffer(json.dumps(rows).encode(), np.uint8)

    (tmp_path / "bed_nights").mkdir()
    (tmp_path / "weda").mkdir()
    rr_ms = np.tile(np.array([900, 950, 50, 1000], np.int16), 2000)  # 50 ms is an artefact, not a beat
    np.savez(tmp_path / "bed_nights" / "s01_1_rr.npz", rr_ms=rr_ms, t_s=np.zeros(8000, np.int32), meta=meta({}))
    breath = (1000 * np.sin(2 * np.pi * 0.25 * np.arange(60_000) / 20)).astype(np.int16)
    breath[:20_000] = MISSING
    np.savez(tmp_path / "bed_nights" / "s02_1_resp.npz", resp=breath, meta=meta({"fs": 20.0}))
    acc = np.zeros((300, 3), np.int16)
    acc[150:, 2] = 1000
    rows = meta({"id": "D01", "fall": False, "fs": 50.0}, {"id": "F01", "fall": True, "fs": 40.0})
    np.savez(tmp_path / "weda" / "U01.npz", acc=acc, acc_off=np.array([0, 150, 300]), meta=rows)
    return tmp_path


def test_intervals_without_artefacts_go_on_for_ever(directory: Path) -> None:
    intervals = Recordings(directory).intervals(0)
    taken = [next(intervals) for _ in range(10_000)]
    assert set(taken) == {0.9, 0.95, 1.0}


def test_breath_keeps_its_rate_at_the_belts_sampling_rate(directory: Path) -> None:
    wave = Recordings(directory).breath(0).take(100 * 60)
    crossings = np.sum((wave[:-1] < 0) & (wave[1:] >= 0))
    assert crossings == pytest.approx(15, abs=1)


def test_only_falls_are_played_and_resampled_to_the_band(directory: Path) -> None:
    (fall,) = Recordings(directory).falls()
    assert fall.name == "F01"
    at_52 = fall.at_rate(52.0)
    assert len(at_52) == pytest.approx(149 / 40 * 52, abs=1)
    assert np.allclose(at_52[:, 2], 1.0)


def test_a_directory_that_holds_no_recordings_is_refused_with_all_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        Recordings(tmp_path)
    missing = [fault.key for fault in caught.value.faults]
    assert missing == ["bed_nights/*_rr.npz", "bed_nights/*_resp.npz", "weda/*.npz"]
