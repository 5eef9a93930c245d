"""Promises of the command: it runs on any directory that holds some of the folders, and says what it did not find."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.evaluation import __main__ as command
from tests.gateway.dsp.synthetic import beat_times, finger

SECONDS, RATE_HZ = 120, 125


def bidmc_record(path: Path, heart_rate: float) -> None:
    """A record as DATASETS.md describes it, of nobody: made."""
    t = np.arange(SECONDS * RATE_HZ) / RATE_HZ
    beats = beat_times(SECONDS, heart_rate)
    ecg = sum(np.exp(-(((t - beat) / 0.012) ** 2)) for beat in beats)
    breaths = np.arange(2.0, SECONDS - 2.0, 4.0)
    np.savez(
        path,
        pleth=(3000 * finger(SECONDS, RATE_HZ, beats=beats) + 5000).astype(np.int16),
        resp=(2000 * np.cos(2 * np.pi * (t - 2.0) / 4.0) + 4000).astype(np.int16),
        ecg=(8000 * np.asarray(ecg)).astype(np.int16),
        num_1hz=np.full((SECONDS, 4), -1, dtype=np.int16),
        breaths1=(breaths * RATE_HZ).astype(np.int32),
        breaths2=(breaths * RATE_HZ + 3).astype(np.int32),
    )


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Two records in one folder, and no other folder."""
    directory = tmp_path / "recordings"
    (directory / "bidmc").mkdir(parents=True)
    bidmc_record(directory / "bidmc" / "P01.npz", 66.0)
    bidmc_record(directory / "bidmc" / "P02.npz", 84.0)
    return directory


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["evaluation", *words])
    return command.main()


@pytest.mark.parametrize("question", ["pulse", "respiration"])
def test_a_directory_with_one_folder_is_answered_and_the_rest_is_said_not_to_be_asked(
    question: str, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    figures, page = tmp_path / "figures.json", tmp_path / "report.html"
    assert run(monkeypatch, question, str(recordings), "--json", str(figures), "--report", str(page)) == 0
    document = json.loads(figures.read_text(encoding="utf-8"))
    assert document["name"] == question
    assert all(figure["met"] for figure in document["figures"] if figure["bar"] is not None), document["figures"]
    assert "not asked: " in capsys.readouterr().out
    assert "<svg" in page.read_text(encoding="utf-8")


def test_a_directory_without_any_recording_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        run(monkeypatch, "pulse", str(tmp_path))
    assert refused.value.code == 2
    assert "none of the recordings" in capsys.readouterr().err


def test_a_mistyped_directory_is_refused_with_an_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(monkeypatch, "pulse", str(tmp_path / "nowhere"))
    assert "expected one with folders such as bidmc" in capsys.readouterr().err
