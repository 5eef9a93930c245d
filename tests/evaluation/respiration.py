"""Respiration from the bed waveform: rates against two annotators (BIDMC), real nights, and pauses put into them.

Rates: the impedance respiration of intensive care goes through the bed chain as `bed.wave` at its own 125 Hz beside a
load of 45 kg; nothing of it counts as clipped, since nobody knows the amplifier's range. Each second of which both
annotators' rates of the 40 s before agree within 2 /min is a window; it is covered when the chain tells a rate of
quality 0.5 or better in that second. Nights: respiration effort at 20 Hz, without annotators, so only consistency can
be told: rates of neighbouring windows that share no sample, which differ by what breath really did, too. Pauses: breath
around its slow baseline shrunk to 5 to 25 % for 10 to 40 s, where the night is quiet, every three to seven minutes;
found when one is told that ended within 6 s. What is told of the untouched nights is an upper bound of the false ones:
sleepers do pause. Every pause is false in made beds (`bed_synth`) whose breath goes on. In BIDMC a pause is false when
both annotators marked a breath well inside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure as Drawing
from scipy.signal import butter, sosfiltfilt

from gateway.core.model import Event, Measurement
from gateway.dsp.respiration import WINDOW_S
from tests.benchmarks.figures import Figure
from tests.evaluation import bed_synth, feeding, recordings, scoring
from tests.evaluation.recordings import Breath, Floats, Icu
from tests.evaluation.report import Report, calibration

TRUSTED, CLEAR = 0.5, 0.8
ANNOTATORS_AGREE = 2.0
LOAD_KG, LOAD_RATE_HZ = 45.0, 10.0
NO_CLIPPING = {"wave_full_scale": 1e6}
DEPTH, LENGTH_S, BETWEEN_S = (0.05, 0.25), (10.0, 40.0), (180.0, 420.0)
RAMP_S = 0.5
QUIET = (0.4, 2.5)  # of the night's median swing in 5 s: where a pause may be put in
FOUND_S = 6.0


def _heard(wave: Floats, rate_hz: float) -> list[Measurement | Event]:
    load = np.full(int(len(wave) / rate_hz * LOAD_RATE_HZ), LOAD_KG)
    return feeding.results({"bed.wave": (rate_hz, wave), "bed.load": (LOAD_RATE_HZ, load)}, NO_CLIPPING)


def _told(results: Sequence[Measurement | Event], name: str) -> dict[int, Measurement]:
    """By the second at whose end they were told."""
    found = [r for r in results if isinstance(r, Measurement) and r.quantity == name]
    return {round(feeding.second(r)): r for r in found}


# -- rates against annotators -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Windows:
    """One BIDMC record. qualities and errors (1/min): of the windows with a rate. false_pauses, judged_s: see above."""

    subject: str
    windows: int
    qualities: Floats
    errors: Floats
    false_pauses: int
    judged_s: int

    @property
    def trusted(self) -> Floats:
        """Errors at quality 0.5 and better."""
        return self.errors[self.qualities >= TRUSTED]

    @property
    def coverage(self) -> float:
        return len(self.trusted) / self.windows if self.windows else float("nan")


def against_annotators(record: Icu) -> Windows:
    results = _heard(record.resp, record.rate_hz)
    told = _told(results, "respiration_rate")
    windows, qualities, errors = 0, [], []
    for second in range(round(WINDOW_S), int(len(record.resp) / record.rate_hz) + 1):
        one, two = (scoring.rate_between(breaths, second - WINDOW_S, second) for breaths in record.breaths)
        if not abs(one - two) < ANNOTATORS_AGREE:
            continue
        windows += 1
        if second in told:
            qualities.append(told[second].quality)
            errors.append(abs(told[second].value - (one + two) / 2))
    judged = _told(results, "breathing_pause")
    false = [second for second, pause in judged.items() if pause.value and _breathed(record, second, pause.value)]
    return Windows(record.subject, windows, np.array(qualities), np.array(errors), len(false), len(judged))


def _percentile(values: Floats, percent: float) -> float:
    return float(np.percentile(values, percent)) if len(values) else float("nan")


def _breathed(record: Icu, second: int, length_s: float) -> bool:
    """Both annotators saw a breath well inside the pause that ended about one second ago."""
    return all(((b > second + 1 - length_s) & (b < second - 3)).any() for b in record.breaths)


def _rate_figures(records: Sequence[Windows], who: str, *, bars: bool) -> list[Figure]:
    errors = np.concatenate([record.trusted for record in records])
    count = sum(record.windows for record in records)
    return [
        Figure(f"BIDMC {who}: quality 0.5 and better, mean error", scoring.mean(errors), "/min",
               0.5 if bars else None, "lower"),
        Figure(f"BIDMC {who}: quality 0.5 and better, 95th percentile of the error", _percentile(errors, 95), "/min",
               1.5 if bars else None, "lower"),
        Figure(f"BIDMC {who}: quality 0.5 and better, coverage", len(errors) / max(1, count), "",
               0.88 if bars else None, "higher"),
        Figure(f"BIDMC {who}: quality 0.8 and better, mean error",
               scoring.mean(np.concatenate([r.errors[r.qualities >= CLEAR] for r in records])), "/min", None, "lower"),
        Figure(f"BIDMC {who}: windows", float(count), "", None, "higher"),
        Figure(f"BIDMC {who}: pauses told though both annotators saw breaths",
               3600.0 * sum(r.false_pauses for r in records) / max(1, sum(r.judged_s for r in records)), "/h", None,
               "lower"),
    ]  # fmt: skip


# -- real nights, and pauses put into them ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Night:
    """rates: (second, 1/min). apart: differences of rates 40 s apart. untouched: pauses told of the night as it is.
    put_in: (length in s, depth, whether found, length told). extra: told pauses of the changed night that are none of
    these, less those of the untouched one."""

    subject: str
    hours: float
    coverage: float
    rates: Floats
    apart: Floats
    untouched: int
    judged_s: int
    put_in: Floats


def real_night(night: Breath) -> Night:
    results = _heard(night.resp, night.rate_hz)
    rates = _told(results, "respiration_rate")
    lying = len(night.resp) / night.rate_hz
    step = round(WINDOW_S)
    apart = [abs(rates[s + step].value - rate.value) for s, rate in rates.items() if s + step in rates]
    pauses = _told(results, "breathing_pause")
    changed, true = with_pauses(night, int.from_bytes(night.subject.encode()[-3:]))
    seen = [(s, r.value) for s, r in _told(_heard(changed, night.rate_hz), "breathing_pause").items() if r.value]
    rows = []
    for start_s, length_s, depth in true:
        near = [length for second, length in seen if abs(second - start_s - length_s) < FOUND_S]
        rows.append((length_s, depth, float(bool(near)), near[0] if near else np.nan))
    return Night(
        night.subject, lying / 3600.0, len(rates) / lying,
        np.array([(second, rate.value) for second, rate in rates.items()]).reshape(-1, 2), np.array(apart),
        sum(r.value > 0 for r in pauses.values()), len(pauses), np.array(rows).reshape(-1, 4),
    )  # fmt: skip


def with_pauses(night: Breath, seed: int) -> tuple[Floats, list[tuple[float, float, float]]]:
    """The night with pauses in it, and (start in s, length in s, depth) of each."""
    rng, rate_hz = np.random.default_rng(seed), night.rate_hz
    resp = night.resp.copy()
    flat = np.nan_to_num(resp - np.nanmedian(resp))
    effort = sosfiltfilt(butter(2, 0.05, "highpass", fs=rate_hz, output="sos"), flat)
    whole = len(resp) // int(rate_hz)
    per_second = effort[: whole * int(rate_hz)].reshape(whole, -1)
    high, low = per_second.max(axis=1), per_second.min(axis=1)
    swing = np.array([high[i : i + 5].max() - low[i : i + 5].min() for i in range(whole)])
    usual, true, at = float(np.median(swing)), [], 120.0
    while at < whole - 120:
        length_s, depth = rng.uniform(*LENGTH_S), rng.uniform(*DEPTH)
        around = swing[int(at - 30) : int(at + length_s + 20)]
        first, end = int(at * rate_hz), int((at + length_s) * rate_hz)
        whole_there = np.isfinite(resp[first - int(30 * rate_hz) : end + int(20 * rate_hz)]).all()
        if not (whole_there and around.min() > QUIET[0] * usual and around.max() < QUIET[1] * usual):
            at += 20.0
            continue
        edge = np.sin(np.linspace(0, np.pi / 2, int(RAMP_S * rate_hz))) ** 2
        shape = np.concatenate([edge, np.ones(end - first - 2 * len(edge)), edge[::-1]])
        resp[first:end] -= (1.0 - depth) * shape * effort[first:end]
        true.append((at, length_s, depth))
        at += length_s + rng.uniform(*BETWEEN_S)
    return resp, true


def _night_figures(nights: Sequence[Night], who: str) -> list[Figure]:
    apart = np.concatenate([night.apart for night in nights])
    put_in = np.concatenate([night.put_in for night in nights])
    judged_h = sum(night.judged_s for night in nights) / 3600.0
    told = put_in[put_in[:, 2] > 0]
    return [
        Figure(f"nights {who}: seconds with a rate (no annotators)", scoring.mean([n.coverage for n in nights]), "",
               None, "higher"),
        Figure(f"nights {who}: rates 40 s apart, median difference (no annotators)", _percentile(apart, 50), "/min",
               None, "lower"),
        Figure(f"nights {who}: rates 40 s apart, 95th percentile (no annotators)", _percentile(apart, 95), "/min",
               None, "lower"),
        Figure(f"nights {who}: pauses put in", float(len(put_in)), "", None, "higher"),
        Figure(f"nights {who}: pauses put in, found", scoring.mean(put_in[:, 2]), "", None, "higher"),
        Figure(f"nights {who}: length told less length put in, median", _percentile(told[:, 3] - told[:, 0], 50), "s",
               None, "lower"),
        Figure(f"nights {who}: pauses told of the untouched nights (real ones included)",
               sum(n.untouched for n in nights) / max(judged_h, 1e-9), "/h", None, "lower"),
        Figure(f"nights {who}: share of the time in which pauses are judged",
               judged_h / sum(n.hours for n in nights), "", None, "higher"),
    ]  # fmt: skip


# -- steady breath in made beds: every pause is false -----------------------------------------------------------------

MADE_S = 1800
DISTURBED = {
    "turns and an outing": bed_synth.Plan(MADE_S, turns_per_hour=12.0, outings=((900.0, 1000.0),)),
    "a sensor that slips out": bed_synth.Plan(MADE_S, slipped_s=900.0),
}
STEADY_PER_MIN = 14.4


@dataclass(frozen=True, slots=True)
class Steady:
    """Half an hour of one sleeper's beats and a breath that never pauses. errors: of its rates, 1/min."""

    subject: str
    what: str
    pauses: int
    judged_s: int
    errors: Floats


def steady_half_hour(subject: str, intervals_s: Floats, what: str, seed: int) -> Steady:
    t = np.arange(round(MADE_S * bed_synth.BREATH_RATE_HZ)) / bed_synth.BREATH_RATE_HZ
    phase = 2 * np.pi * STEADY_PER_MIN / 60.0 * t + 0.8 * np.sin(2 * np.pi * t / 97.0)
    breath = np.sin(phase) * (1.0 + 0.2 * np.sin(2 * np.pi * t / 61.0))
    sleeper = bed_synth.Sleeper(bed_synth.beats_from(intervals_s, MADE_S, 500), breath)
    scene = bed_synth.scene(sleeper, DISTURBED[what], seed)
    results = feeding.results(
        {"bed.wave": (bed_synth.RATE_HZ, scene.wave), "bed.load": (bed_synth.LOAD_RATE_HZ, scene.load)}
    )
    pauses = _told(results, "breathing_pause")
    rates = [r.value for r in _told(results, "respiration_rate").values()]
    return Steady(
        subject, what, sum(r.value > 0 for r in pauses.values()), len(pauses), np.abs(np.array(rates) - STEADY_PER_MIN)
    )


def _steady_figures(hours: Sequence[Steady], who: str) -> list[Figure]:
    found = []
    for what in DISTURBED:
        some = [hour for hour in hours if hour.what == what]
        judged_h = sum(hour.judged_s for hour in some) / 3600.0
        found += [
            Figure(f"synthetic {who}, {what}: pauses told of breath that never pauses",
                   sum(hour.pauses for hour in some) / max(judged_h, 1e-9), "/h", None, "lower"),
            Figure(f"synthetic {who}, {what}: breath rate, mean error (it varies by 0.5 /min)",
                   scoring.mean(np.concatenate([hour.errors for hour in some])), "/min", None, "lower"),
        ]  # fmt: skip
    return found


# -- the question -----------------------------------------------------------------------------------------------------


def evaluate(directory: Path, report: Report) -> list[Figure]:
    """The figures of what the directory holds."""
    figures: list[Figure] = []
    if records := [against_annotators(record) for record in recordings.bidmc(directory)]:
        reported = [r for r in records if not recordings.is_for_tuning("bidmc", r.subject)]
        figures += _rate_figures(reported or records, "reported half", bars=True)
        figures += _rate_figures(records, "everybody", bars=False)
        _show_rates(records, report)
    else:
        report.not_asked.append("rate against annotators: no recordings in bidmc")
    if nights := [real_night(night) for night in recordings.nights_of_breath(directory)]:
        half = [n for n in nights if not recordings.is_for_tuning("bed_nights", n.subject)]
        figures += _night_figures(half or nights, "reported half")
        figures += _night_figures(nights, "everybody")
        _show_nights(nights, report)
    else:
        report.not_asked.append("real nights and pauses: no respiration in bed_nights")
    beats = list(enumerate(recordings.nights_of_beats(directory)))
    if hours := [steady_half_hour(b.subject, b.intervals_s, what, seed) for seed, b in beats for what in DISTURBED]:
        part = [h for h in hours if not recordings.is_for_tuning("bed_nights", h.subject)]
        figures += _steady_figures(part or hours, "reported half") + _steady_figures(hours, "everybody")
    else:
        report.not_asked.append("pauses that are none: no beats in bed_nights")
    return figures


def _show_rates(records: Sequence[Windows], report: Report) -> None:
    report.section("Rate against two annotators (BIDMC)", "Each second's 40 s window; trusted: quality 0.5 and better.")
    rows = [(r.subject, r.windows, r.coverage, scoring.mean(r.trusted), r.false_pauses, r.judged_s) for r in records]
    report.table(("record", "windows", "trusted", "error, /min", "false pauses", "seconds judged for pauses"), rows)
    qualities, errors = (np.concatenate([getattr(r, name) for r in records]) for name in ("qualities", "errors"))
    report.drawing(calibration(qualities.tolist(), errors.tolist(), "Respiration rate (BIDMC)", "/min"))


def _show_nights(nights: Sequence[Night], report: Report) -> None:
    text = "No annotators: consistency only. Pauses were put in; those of the untouched night may be real."
    report.section("Real nights (bed_nights)", text)
    rows = [(n.subject, n.hours, n.coverage, _percentile(n.apart, 50), len(n.put_in), float(n.put_in[:, 2].mean()),
             n.untouched, n.judged_s / 3600.0) for n in nights if len(n.put_in)]  # fmt: skip
    head = ("night", "hours", "coverage", "40 s apart, /min", "put in", "found", "told untouched", "hours judged")
    report.table(head, rows)
    put_in = np.concatenate([n.put_in for n in nights])
    drawing = Drawing(figsize=(7, 3.5))
    left, right = drawing.subplots(1, 2, sharey=True)
    lengths, depths = np.array([10.0, 13.0, 17.0, 25.0, 40.0]), np.linspace(*DEPTH, 5)
    for axes, column, edges, label in ((left, 0, lengths, "length, s"), (right, 1, depths, "depth")):
        within = [(put_in[:, column] >= a) & (put_in[:, column] < b) for a, b in pairwise(edges)]
        share = [float(put_in[w, 2].mean()) if w.any() else float("nan") for w in within]
        axes.bar(edges[:-1], share, np.diff(edges), align="edge", edgecolor="white")
        axes.set(xlabel=label, ylim=(0, 1))
    left.set_ylabel("share found")
    report.drawing(drawing)
    longest = max(nights, key=lambda night: night.coverage)
    drawing = Drawing(figsize=(9, 3))
    axes = drawing.subplots()
    axes.plot(longest.rates[:, 0] / 3600.0, longest.rates[:, 1], ".", markersize=1)
    axes.set(xlabel="h", ylabel="breaths, /min", title=f"A real night ({longest.subject})")
    report.drawing(drawing)
