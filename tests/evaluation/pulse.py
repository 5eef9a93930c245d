"""Pulse from PPG: beats and rate of patients at rest (BIDMC), and what is withheld in exercise (IEEE SPC).

Beats: all that the chain tells, against R peaks of the ECG, 150 ms, one fixed delay per record, from second 12 to 8 s
before the end; what is not told counts as missed. Rate: each published second against the ECG's own intervals in the
same eight seconds (the window ends LATENCY_S before the second), the record's delay taken off. Exercise: each window of
8 s of the recording's own reference against the second that rests on the same window; a second without a rate is
withheld; "would have been wrong" is judged on the rate of the same chain fed with a motionless accelerometer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure as Drawing

from gateway.core.model import Measurement
from gateway.dsp.pulse import LATENCY_S, RATE_WINDOW_S
from tests.benchmarks.figures import Figure
from tests.evaluation import feeding, recordings, scoring
from tests.evaluation.ecg import r_peaks
from tests.evaluation.recordings import Exercise, Floats, Icu
from tests.evaluation.report import Report, calibration

EDGE_S = (12.0, 8.0)
WRONG_PER_MIN = 10.0


@dataclass(frozen=True, slots=True)
class Record:
    """One BIDMC record: its beats' score, and for each published second quality and error (1/min)."""

    subject: str
    beats: scoring.BeatScore
    qualities: Floats
    errors: Floats
    coverage: float


def _rates(results: Sequence[object]) -> dict[int, Measurement]:
    """By the second at whose end they were told."""
    found = [r for r in results if isinstance(r, Measurement) and r.quantity == "pulse_rate"]
    return {round(feeding.second(r)): r for r in found}


def _beats(results: Sequence[object]) -> Floats:
    """Both ends of every interval: agreed beats that have a neighbour."""
    found = [r for r in results if isinstance(r, Measurement) and r.quantity == "ibi"]
    ends = np.array([feeding.second(r) for r in found])
    lengths = np.array([r.value / 1e3 for r in found])
    both = np.sort(np.concatenate([ends, ends - lengths]))
    return both[np.insert(np.diff(both) > 0.05, 0, True)] if len(both) else both


def at_rest(record: Icu) -> Record:
    results = feeding.results({"ppg": (record.rate_hz, record.ppg)}, {"position": "finger"})
    reference, seen = r_peaks(record.ecg, record.rate_hz), _beats(results)
    end_s = len(record.ppg) / record.rate_hz
    lag_s = scoring.lag_s(reference, seen)
    told = _rates(results)
    qualities, errors = [], []
    for second, rate in told.items():
        until = second - LATENCY_S - lag_s
        truth = scoring.rate_between(reference, until - RATE_WINDOW_S, until)
        qualities.append(rate.quality)
        errors.append(abs(rate.value - truth))
    return Record(
        record.subject,
        scoring.beats(reference, seen, EDGE_S[0], end_s - EDGE_S[1]),
        np.array(qualities),
        np.array(errors),
        len(told) / (end_s - EDGE_S[0]),
    )


@dataclass(frozen=True, slots=True)
class Windows:
    """One exercise record's windows: error had nothing been withheld (NaN: no rate at all), error of what was told."""

    subject: str
    ungated: Floats
    told: Floats


def in_exercise(record: Exercise) -> Windows:
    """The first of the two PPG channels, with the wrist's acceleration and without."""
    wave = record.ppg[:, 0] / 1e3
    motionless = np.tile([0.0, 0.0, 1.0], (len(record.acc), 1))
    gated, free = (
        _rates(feeding.results({"acc": (record.rate_hz, acc), "ppg": (record.rate_hz, wave)}, {"position": "wrist"}))
        for acc in (record.acc, motionless)
    )
    seconds = [round(2 * i + 8 + LATENCY_S) for i in range(len(record.heart_rate))]

    def errors(told: dict[int, Measurement]) -> Floats:
        values = [told[second].value if second in told else np.nan for second in seconds]
        return np.abs(np.array(values) - record.heart_rate)

    return Windows(record.subject, errors(free), errors(gated))


def _rest_figures(records: Sequence[Record], who: str, *, bars: bool) -> list[Figure]:
    f1 = [record.beats.f1 for record in records]
    errors = np.concatenate([record.errors for record in records])
    return [
        Figure(f"BIDMC {who}: beats, pooled F1", scoring.f1([r.beats for r in records]), "",
               0.98 if bars else None, "higher"),
        Figure(f"BIDMC {who}: beats, F1 of the worst tenth (10th percentile)", float(np.percentile(f1, 10)), "",
               0.96 if bars else None, "higher"),
        Figure(f"BIDMC {who}: beats, F1 of the worst tenth (mean)", scoring.worst_tenth(f1), "", None, "higher"),
        Figure(f"BIDMC {who}: rate, mean error", scoring.mean(errors[np.isfinite(errors)]), "/min",
               1.4 if bars else None, "lower"),
        Figure(f"BIDMC {who}: rate, coverage", scoring.mean([r.coverage for r in records]), "", None, "higher"),
    ]  # fmt: skip


def _exercise_figures(windows: Sequence[Windows], who: str, *, bars: bool) -> list[Figure]:
    ungated, told = (np.concatenate([getattr(w, name) for w in windows]) for name in ("ungated", "told"))
    wrong = ungated > WRONG_PER_MIN
    given = np.isfinite(told)
    withheld = 1.0 - (given & (told > WRONG_PER_MIN)).sum() / max(1, wrong.sum())
    return [
        Figure(f"IEEE SPC {who}: of the windows in error by over 10 /min, withheld", float(withheld), "",
               0.95 if bars else None, "higher"),
        Figure(f"IEEE SPC {who}: mean error of what is told", scoring.mean(told[given]), "/min",
               3.0 if bars else None, "lower"),
        Figure(f"IEEE SPC {who}: coverage", float(given.mean()), "", None, "higher"),
        Figure(f"IEEE SPC {who}: windows in error by over 10 /min were nothing withheld", float(wrong.sum()), "", None,
               "lower"),
    ]  # fmt: skip


def evaluate(directory: Path, report: Report) -> list[Figure]:
    """The figures of what the directory holds."""
    figures: list[Figure] = []
    if records := [at_rest(record) for record in recordings.bidmc(directory)]:
        reported = [r for r in records if not recordings.is_for_tuning("bidmc", r.subject)]
        figures += _rest_figures(reported or records, "reported half", bars=True)
        figures += _rest_figures(records, "everybody", bars=False)
        report.section("At rest (BIDMC)", "Beats against the ECG's; rate of each published second.")
        rows = [(r.subject, r.beats.f1, r.beats.reference, r.beats.found, r.beats.seen, r.beats.true,
                 scoring.mean(r.errors[np.isfinite(r.errors)]), r.coverage) for r in records]  # fmt: skip
        report.table(("record", "F1", "beats", "found", "seen", "true", "error, /min", "coverage"), rows)
        errors, qualities = (np.concatenate([getattr(r, name) for r in records]) for name in ("errors", "qualities"))
        known = np.isfinite(errors)
        report.drawing(calibration(qualities[known].tolist(), errors[known].tolist(), "Pulse rate at rest", "/min"))
    else:
        report.not_asked.append("beats and rate at rest: no recordings in bidmc")
    if windows := [in_exercise(record) for record in recordings.ieee_spc(directory)]:
        half = [w for w in windows if not recordings.is_for_tuning("ieee_spc", w.subject)]
        figures += _exercise_figures(half or windows, "reported half", bars=True)
        figures += _exercise_figures(windows, "everybody", bars=False)
        report.section("In exercise (IEEE SPC)", "Told or withheld; error of the windows.")
        report.drawing(_exercise_drawing(windows))
    else:
        report.not_asked.append("what is withheld in exercise: no recordings in ieee_spc")
    return figures


def _exercise_drawing(windows: Sequence[Windows]) -> Drawing:
    drawing = Drawing(figsize=(7, 3.5))
    axes = drawing.subplots()
    ungated, told = (np.concatenate([getattr(w, name) for w in windows]) for name in ("ungated", "told"))
    edges = np.arange(0.0, 105.0, 5.0).tolist()
    axes.hist(np.clip(ungated[np.isfinite(ungated)], 0, 100), edges, label="had nothing been withheld", color="silver")
    axes.hist(np.clip(told[np.isfinite(told)], 0, 100), edges, label="told", color="tab:blue")
    axes.set(xlabel="error, /min", ylabel="windows", title="Errors in exercise")
    axes.legend()
    return drawing
