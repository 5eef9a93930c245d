"""The night's summary: sleep and wake against polysomnography, time in bed and exits of synthetic nights.

Sleep and wake: activity counts of a wrist in the laboratory stand in for movement in bed, SECONDS_PER_COUNT chosen on
the tuning half so that sleep is found as often as the literature does; so the weighting over minutes is judged, the
scale is not. Each epoch of 30 s has the answer of its minute. Specificity is the share of wake epochs seen as wake; the
literature gives 37 to 40 % for older adults, and this is no better. Nights: synthetic beds (`bed_synth`) with beats and
breath of one real sleeper, a night of HOURS with turns and outings, through the bed chain into columns of seconds, as
the store would have them, and through the summary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gateway.core.model import Measurement
from gateway.core.night import SECONDS, Night, NightTask
from gateway.dsp import night
from tests.benchmarks.figures import Figure
from tests.evaluation import bed_synth, feeding, recordings, scoring
from tests.evaluation.recordings import Epochs, Floats
from tests.evaluation.report import Report

SECONDS_PER_COUNT = 0.25
HOURS = 3
NEAR_S = 15.0


@dataclass(frozen=True, slots=True)
class Staged:
    """Epochs by what they were and what was said: seen of those there are."""

    subject: str
    asleep_seen: int
    asleep: int
    awake_seen: int
    awake: int


def staged(epochs: Epochs) -> Staged:
    whole = len(epochs.stage) // 2 * 2
    counts, stage = epochs.counts[:whole], epochs.stage[:whole]
    moved_s = np.minimum(SECONDS, SECONDS_PER_COUNT * counts.reshape(-1, 2).sum(axis=1))
    awake = np.repeat(night.awake(moved_s), 2)
    slept, woke = stage > 0, stage == 0
    return Staged(epochs.subject, int((slept & ~awake).sum()), int(slept.sum()), int((woke & awake).sum()),
                  int(woke.sum()))  # fmt: skip


def _sleep_figures(nights: Sequence[Staged], who: str) -> list[Figure]:
    def share(seen: str, there: str) -> float:
        return float(sum(getattr(n, seen) for n in nights) / max(1, sum(getattr(n, there) for n in nights)))

    return [
        Figure(f"sleep from movement {who}: sensitivity (sleep seen as sleep)", share("asleep_seen", "asleep"), "",
               None, "higher"),
        Figure(f"sleep from movement {who}: specificity (wake seen as wake)", share("awake_seen", "awake"), "",
               None, "higher"),
        Figure(f"sleep from movement {who}: subjects", float(len(nights)), "", None, "higher"),
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Made:
    """A synthetic night with its summary. in_bed_min, outings: the truth."""

    subject: str
    told: Night
    in_bed_min: float
    outings: tuple[tuple[float, float], ...]

    @property
    def found(self) -> int:
        told = [exit_.at_utc_s for exit_ in self.told.exits]
        return sum(any(abs(at - leaves) < NEAR_S for at in told) for leaves, _ in self.outings)

    @property
    def away_errors_s(self) -> list[float]:
        """Of the exits found and told with a length."""
        return [abs(exit_.away_s - (back - leaves)) for leaves, back in self.outings for exit_ in self.told.exits
                if abs(exit_.at_utc_s - leaves) < NEAR_S and exit_.away_s is not None]  # fmt: skip


def made(subject: str, intervals_s: Floats, breath: Floats, seed: int) -> Made:
    """One night of HOURS: two to four outings of one to twelve minutes, turns and twitches."""
    rng, seconds = np.random.default_rng(seed), 3600 * HOURS
    outings, at = [], rng.uniform(1200, 2400)
    while at < seconds - 1500:
        away_s = rng.uniform(60, 720)
        outings.append((float(round(at)), float(round(at + away_s))))
        at += away_s + rng.uniform(1800, 4200)
    sleeper = bed_synth.Sleeper(bed_synth.beats_from(intervals_s, seconds, 500), breath)
    plan = bed_synth.Plan(seconds, snr_db=3.0, turns_per_hour=5.0, outings=tuple(outings))
    scene = bed_synth.scene(sleeper, plan, seed)
    results = feeding.results(
        {"bed.wave": (bed_synth.RATE_HZ, scene.wave), "bed.load": (bed_synth.LOAD_RATE_HZ, scene.load)}
    )
    return Made(subject, night.summarise(task_of(subject, results, seconds)), float(scene.in_bed.sum()) / 60.0,
                tuple(outings))  # fmt: skip


def task_of(bed: str, results: Sequence[object], seconds: int) -> NightTask:
    """What the store would hand to the summary."""
    columns: dict[str, Floats] = {}
    for result in results:
        if isinstance(result, Measurement):
            column = columns.setdefault(result.quantity, np.full(seconds, np.nan, np.dtype("<f4")))
            at = round(feeding.second(result)) - 1
            if 0 <= at < seconds:
                column[at] = result.value
    packed = {name: column.astype("<f4").tobytes() for name, column in columns.items()}
    return NightTask(bed, None, "2026-01-01", 0, seconds // SECONDS, packed, [])


def _made_figures(nights: Sequence[Made], who: str) -> list[Figure]:
    outings = sum(len(n.outings) for n in nights)
    told = sum(len(n.told.exits) + (n.told.up_utc_s is not None) for n in nights)
    found = sum(n.found for n in nights)
    hours = sum(n.told.known_min for n in nights) / 60.0
    return [
        Figure(f"synthetic nights {who}: time in bed, mean error",
               scoring.mean([abs(n.told.in_bed_min - n.in_bed_min) for n in nights]), "min", None, "lower"),
        Figure(f"synthetic nights {who}: exits found", found / max(1, outings), "", None, "higher"),
        Figure(f"synthetic nights {who}: exits", float(outings), "", None, "higher"),
        Figure(f"synthetic nights {who}: exits that were none", (told - found) / hours, "/h", None, "lower"),
        Figure(f"synthetic nights {who}: time out of bed, mean error of an exit",
               scoring.mean([error for n in nights for error in n.away_errors_s]), "s", None, "lower"),
    ]  # fmt: skip


def evaluate(directory: Path, report: Report) -> list[Figure]:
    """The figures of what the directory holds."""
    figures: list[Figure] = []
    if nights := [staged(epochs) for epochs in recordings.sleep_epochs(directory)]:
        half = [n for n in nights if not recordings.is_for_tuning("sleep_walch_features", n.subject)]
        figures += _sleep_figures(half or nights, "reported half") + _sleep_figures(nights, "everybody")
        report.section("Sleep and wake from movement", "Epochs of 30 s against polysomnography.")
        rows = [(n.subject, n.asleep_seen / max(1, n.asleep), n.awake_seen / max(1, n.awake), n.asleep, n.awake)
                for n in nights]  # fmt: skip
        report.table(("subject", "sensitivity", "specificity", "asleep", "awake"), rows)
    else:
        report.not_asked.append("sleep and wake: no epochs in sleep_walch_features")
    breaths = {night.subject: night.resp for night in recordings.nights_of_breath(directory)}
    beats = {night.subject: night.intervals_s for night in recordings.nights_of_beats(directory)}
    both = sorted(breaths.keys() & beats.keys())
    if synthetic := [made(who, beats[who], breaths[who], seed) for seed, who in enumerate(both)]:
        part = [n for n in synthetic if not recordings.is_for_tuning("bed_nights", n.subject)]
        figures += _made_figures(part or synthetic, "reported half") + _made_figures(synthetic, "everybody")
        report.section("Synthetic nights", f"{HOURS} h each, beats and breath of one real sleeper, all else made.")
        head = ("sleeper", "in bed, min", "told, min", "exits", "found", "told", "heart coverage", "breath coverage")
        report.table(head, [
            (n.subject, n.in_bed_min, n.told.in_bed_min, len(n.outings), n.found, len(n.told.exits),
             n.told.heart.coverage if n.told.heart else 0.0, n.told.respiration.coverage if n.told.respiration else 0.0)
            for n in synthetic
        ])  # fmt: skip
    else:
        report.not_asked.append("time in bed and exits: bed_nights holds no sleeper with both beats and breath")
    return figures
