"""The bed: heart rate, occupancy and exits on waveforms synthesised from the real nights of `bed_nights`.

Each subject's beat intervals (an hour or half an hour of the night, chosen by the seed) and some subject's respiration
become a bed as `bed_synth` describes it, and go through the worker's own chains, second by second, with nothing but the
device's two channels. Scored:
- Heart rate: an hour of each; each published second against the mean of the true beats of the same 10 s. Coverage:
  published seconds of all seconds in bed, those that move and the first minute included.
- Atrial fibrillation: the same with intervals that are log-normal and independent, whatever the subject; at 0, 6 and
  20 dB together. When nothing is published nothing is wrong: the share of published seconds stands beside it.
- Occupancy: two hours with three outings and eight turns an hour; each second's published state against the truth, a
  second without a state is wrong. An exit's delay counts from the moment in which no load is left; exits that no one
  made, in these beds and in two hours of a sleeper who turns over twelve times an hour and stays, are false.
- Disturbed beds: what is published, and how wrong. Where two sleep, rates should be withheld from the moment the second
  arrives; of a slipped belt nothing should be published unless it is right.
Settings were chosen on the subjects of one half (`is_for_tuning`); bars stand at the figures of the other.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gateway.core.model import Event
from tests.benchmarks.figures import Figure
from tests.evaluation import bed_synth, feeding
from tests.evaluation.bed_synth import Plan, Scene, Sleeper
from tests.evaluation.recordings import Beats, Breath, is_for_tuning, nights_of_beats, nights_of_breath
from tests.evaluation.report import Report, calibration
from tests.evaluation.scoring import mean

FOLDER = "bed_nights"
HALF_HOUR_S, HOUR_S, TWO_HOURS_S = 1800, 3600, 7200
SETTLED_S = 120  # of a disturbance, before what is published under it is judged
WRONG_PER_MIN = 10.0
MATCH_S = 60.0  # an exit told later than this is not that exit
MAIN = Plan(HOUR_S, snr_db=0.0)
OUTINGS = ((1500.0, 1800.0), (3600.0, 3660.0), (6000.0, 6500.0))


@dataclass(frozen=True, slots=True)
class Heard:
    """One scene through the chains: by second (its end, from the start), what was published."""

    scene: Scene
    for_tuning: bool
    hearts: Mapping[int, tuple[float, float]]  # value, quality
    breaths: Mapping[int, float]
    states: Mapping[int, bool]
    exits_s: tuple[float, ...]

    def errors(self, first_s: int = 0, end_s: int = 1 << 30) -> list[tuple[float, float]]:
        """(quality, error in /min) of each published heart rate whose truth is known."""
        scored = []
        for second, (value, quality) in self.hearts.items():
            truth = self.scene.rate(float(second), 10.0)
            if first_s <= second < end_s and np.isfinite(truth):
                scored.append((quality, abs(value - truth)))
        return scored


def hear(scene: Scene, for_tuning: bool) -> Heard:
    channels = {"bed.wave": (bed_synth.RATE_HZ, scene.wave), "bed.load": (bed_synth.LOAD_RATE_HZ, scene.load)}
    hearts: dict[int, tuple[float, float]] = {}
    breaths: dict[int, float] = {}
    states: dict[int, bool] = {}
    exits: list[float] = []
    for result in feeding.results(channels):
        second = round(feeding.second(result) + 0.01)
        if isinstance(result, Event):
            if result.kind == "bed_exited":
                exits.append(feeding.second(result))
        elif result.quantity == "heart_rate":
            hearts[second] = (result.value, result.quality)
        elif result.quantity == "respiration_rate":
            breaths[second] = result.value
        elif result.quantity == "bed_occupied":
            states[second] = result.value >= 0.5
    return Heard(scene, for_tuning, hearts, breaths, states, tuple(exits))


@dataclass(frozen=True, slots=True)
class Nights:
    """What the directory holds."""

    beats: tuple[Beats, ...]
    breath: tuple[Breath, ...]

    def sleeper(self, index: int, seconds: float) -> Sleeper:
        """A stretch of a night, not its beginning; whose breath goes with it does not matter, both are real."""
        rng = np.random.default_rng(1000 * index)
        night, breath = self.beats[index], self.breath[index % len(self.breath)]
        needed = round(2.5 * seconds)
        start = int(rng.integers(0, max(1, len(night.intervals_s) - needed)))
        first = int(rng.integers(0, max(1, len(breath.resp) - round(seconds * breath.rate_hz))))
        return Sleeper(bed_synth.beats_from(night.intervals_s, seconds, start), breath.resp[first:])

    def fibrillating(self, index: int, seconds: float) -> Sleeper:
        rng = np.random.default_rng(77_000 + 1000 * index)
        return Sleeper(bed_synth.fibrillating(seconds, rng), self.sleeper(index, seconds).breath)

    def onset(self, index: int, seconds: float) -> Sleeper:
        """Sinus rhythm that turns into fibrillation in the middle."""
        before = self.sleeper(index, seconds)
        rng = np.random.default_rng(88_000 + 1000 * index)
        sinus = before.beats_s[before.beats_s < seconds / 2]
        return Sleeper(np.concatenate([sinus, seconds / 2 + bed_synth.fibrillating(seconds / 2, rng)]), before.breath)

    def heard(self, plan: Callable[[int], Plan], who: Callable[[int, float], Sleeper]) -> list[Heard]:
        scenes = (bed_synth.scene(who(i, float(plan(i).seconds)), plan(i), 10 * i) for i in range(len(self.beats)))
        tuning = (is_for_tuning(FOLDER, night.subject) for night in self.beats)
        return [hear(scene, for_tuning) for scene, for_tuning in zip(scenes, tuning, strict=True)]


@dataclass(frozen=True, slots=True)
class Tally:
    """Published heart rates of several scenes. share: of the seconds in bed."""

    share: float
    error: float
    wrong: float
    pairs: tuple[tuple[float, float], ...]

    @property
    def row(self) -> tuple[float, float, float]:
        return self.share, self.error, self.wrong


def tally(heard: list[Heard], first_s: int = 0) -> Tally:
    """From this second of each scene on."""
    pairs = [pair for each in heard for pair in each.errors(first_s)]
    seconds = sum(int(each.scene.in_bed[first_s:].sum()) for each in heard)
    errors = [error for _, error in pairs]
    wrong = mean([float(error > WRONG_PER_MIN) for error in errors]) if errors else 0.0
    return Tally(len(pairs) / max(1, seconds), mean(errors), wrong, tuple(pairs))


def _always(plan: Plan) -> Callable[[int], Plan]:
    return lambda _: plan


def _halves(heard: list[Heard]) -> tuple[list[Heard], list[Heard]]:
    """Those that nothing was tuned on (all, when there are none), and all."""
    kept = [each for each in heard if not each.for_tuning]
    return kept or heard, heard


def _hearts(nights: Nights, report: Report) -> list[Figure]:
    figures, rows = [], []
    for name, plan in (
        ("0 dB", MAIN),
        ("6 dB", Plan(HALF_HOUR_S, snr_db=6.0)),
        ("20 dB", Plan(HALF_HOUR_S, snr_db=20.0)),
        ("-6 dB", Plan(HALF_HOUR_S, snr_db=-6.0)),
        ("0 dB over the whole, postures uneven (-12 to 3 dB)", Plan(HOUR_S, snr_db=0.0, uneven=True)),
        ("0 dB, thick foam (beats 10 dB smaller)", Plan(HALF_HOUR_S, snr_db=0.0, foam=True)),
        ("10 dB, thick foam", Plan(HALF_HOUR_S, snr_db=10.0, foam=True)),
    ):
        kept, everybody = _halves(nights.heard(_always(plan), nights.sleeper))
        rows.append((name, *tally(kept).row, *tally(everybody).row))
        if plan == MAIN:
            some, every = tally(kept), tally(everybody)
            figures += [
                Figure("heart rate at 0 dB, mean error", some.error, "/min", 2.0, "lower"),
                Figure("heart rate at 0 dB, coverage", some.share, "of s", 0.70, "higher"),
                Figure("the same, all subjects, mean error", every.error, "/min", None, "lower"),
                Figure("the same, all subjects, coverage", every.share, "of s", None, "higher"),
            ]
            report.section("Heart rate", "Sinus rhythm of real nights in pink noise within the band of the beats.")
            if some.pairs:
                qualities, errors = zip(*some.pairs, strict=True)
                report.drawing(calibration(qualities, errors, "Heart rate at 0 dB", "/min"))
    head = ("scene", "published", "mean error", "over 10 /min", "all: published", "mean error", "over 10 /min")
    report.table(head, rows)
    return figures


def _fibrillation(nights: Nights, report: Report) -> list[Figure]:
    rows, together = [], []
    for snr_db in (0.0, 6.0, 20.0):
        heard = nights.heard(_always(Plan(HALF_HOUR_S, snr_db=snr_db)), nights.fibrillating)
        together += heard
        rows.append((f"{snr_db:g} dB, all the time", *tally(_halves(heard)[0]).row))
    kept, everybody = _halves(together)
    figures = [
        Figure("atrial fibrillation, published seconds over 10 /min", tally(kept).wrong, "of them", 0.01, "lower"),
        Figure("atrial fibrillation, seconds published", tally(kept).share, "of s", None, "higher"),
        Figure("the same, all subjects, over 10 /min", tally(everybody).wrong, "of them", None, "lower"),
    ]
    onset = _halves(nights.heard(_always(Plan(HALF_HOUR_S, snr_db=6.0)), nights.onset))[0]
    half = HALF_HOUR_S // 2
    rows.append(("6 dB, after an onset at half time", *tally(onset, half).row))
    wrong_s = mean([float(sum(error > WRONG_PER_MIN for _, error in each.errors(half))) for each in onset])
    figures.append(Figure("onset of atrial fibrillation, wrong seconds published", wrong_s, "s each", None, "lower"))
    report.section("Atrial fibrillation", "Independent log-normal intervals, 60 to 120 /min, spread 0.17 to 0.25.")
    report.table(("scene", "published", "mean error", "over 10 /min"), rows)
    return figures


def _occupancy(nights: Nights, report: Report) -> list[Figure]:
    outings = Plan(TWO_HOURS_S, snr_db=6.0, turns_per_hour=8.0, outings=OUTINGS)
    heard = nights.heard(_always(outings), nights.sleeper)
    turning = Plan(TWO_HOURS_S, snr_db=6.0, turns_per_hour=12.0)
    staying = nights.heard(_always(turning), nights.sleeper)
    figures: list[Figure] = []
    for name, bars, (some, stay) in (
        ("", True, (_halves(heard)[0], _halves(staying)[0])),
        (", all subjects", False, (heard, staying)),
    ):
        right = mean([_right(each) for each in [*some, *stay]])
        delays, false = zip(*[_exits(each) for each in some], strict=True)
        late = [delay for each in delays for delay in each]
        still = sum(_exits(each)[1] for each in stay)
        turns = sum(len(each.scene.turns_s) for each in stay)
        figures += [
            Figure(f"occupancy right{name}", right, "of s", 0.99 if bars else None, "higher"),
            Figure(f"bed exit, longest delay{name}", max(late), "s", 5.0 if bars else None, "lower"),
            Figure(f"false exits in {turns} turns{name}", float(still), "exits", 0.0 if bars else None, "lower"),
            Figure(f"false exits in beds with outings{name}", float(sum(false)), "exits", None, "lower"),
        ]
    report.section("Occupancy", "Two hours with outings of 1 to 8 minutes, and two hours of turning over.")
    rows = [(f.name, f.value, f.unit) for f in figures]
    report.table(("figure", "value", "unit"), rows)
    return figures


def _right(each: Heard) -> float:
    """Share of the seconds whose published state is the true one."""
    truth = each.scene.in_bed
    return float(np.mean([each.states.get(second + 1) == bool(there) for second, there in enumerate(truth)]))


def _exits(each: Heard) -> tuple[list[float], int]:
    """Delay of each true exit (infinite when it was not told), and how many were told that no one made."""
    told = list(each.exits_s)
    delays = []
    for true_s in each.scene.exits_s:
        near = [at for at in told if 0.0 <= at - true_s < MATCH_S]
        delays.append(near[0] - true_s if near else float("inf"))
        if near:
            told.remove(near[0])
    return delays, len(told)


def _disturbed(nights: Nights, report: Report) -> list[Figure]:
    half = HALF_HOUR_S // 2
    rng = np.random.default_rng(5)
    pump: list[float] = rng.uniform(0.1, 1.0, len(nights.beats)).tolist()
    tremor: list[float] = rng.uniform(4.0, 6.0, len(nights.beats)).tolist()

    def shared(index: int) -> Plan:
        other = nights.sleeper((index + 1) % len(nights.beats), HALF_HOUR_S)
        return Plan(HALF_HOUR_S, snr_db=10.0, other=other, other_s=(float(half), np.inf))

    def pumped(index: int) -> Plan:
        return Plan(HALF_HOUR_S, snr_db=10.0, pump_hz=pump[index], mains=True, outings=((0.0, 600.0),))

    slipped = Plan(HALF_HOUR_S, snr_db=10.0, slipped_s=float(half))
    rows, figures = [], []
    for name, plan, first_s in (
        ("two in the bed from half time on", shared, half + SETTLED_S),
        ("pump, 0.1 to 1 Hz, and mains, after 10 min empty", pumped, 600),
        ("tremor, 4 to 6 Hz", lambda i: Plan(HALF_HOUR_S, snr_db=10.0, tremor_hz=tremor[i]), 0),
        ("belt slipped at half time", _always(slipped), half + SETTLED_S),
    ):
        heard = _halves(nights.heard(plan, nights.sleeper))[0]
        found = tally(heard, first_s)
        breaths = sum(sum(second >= first_s for second in each.breaths) for each in heard)
        share = breaths / max(1, sum(int(each.scene.in_bed[first_s:].sum()) for each in heard))
        states = [each.states.get(second, False) for each in heard for second in range(first_s + 1, HALF_HOUR_S)]
        there = mean([float(state) for state in states])
        rows.append((name, *found.row, share, there))
        figures.append(Figure(f"{name}: heart rate withheld", 1.0 - found.share, "of s", None, "higher"))
        figures.append(Figure(f"{name}: over 10 /min", found.wrong * found.share, "of s", None, "lower"))
    report.section("Disturbed beds", "At 10 dB, where an undisturbed sleeper has a rate in nine of ten seconds.")
    head = ("scene", "heart published", "mean error", "over 10 /min", "breath published", "said to be occupied")
    report.table(head, rows)
    return figures


def evaluate(directory: Path, report: Report) -> list[Figure]:
    """The figures; empty when the directory holds no beats or no breath."""
    nights = Nights(tuple(nights_of_beats(directory)), tuple(nights_of_breath(directory)))
    if not nights.beats or not nights.breath:
        report.not_asked.append(f"the bed: no nights with beats and breath in {FOLDER}")
        return []
    report.section("What this is", (bed_synth.__doc__ or "").strip())
    figures = _hearts(nights, report)
    figures += _fibrillation(nights, report)
    figures += _occupancy(nights, report)
    return figures + _disturbed(nights, report)
