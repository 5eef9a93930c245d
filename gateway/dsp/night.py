"""A night's minutes in, what is told of it out.

In: the 1 Hz columns of the night by quantity (`bed_occupied`, `movement`, `turned`, `heart_rate`, `respiration_rate`,
`breathing_pause`), NaN where nothing was measured, and the earlier nights of the same bed. Occupancy is held over a gap
of GAP_S; what is longer is unknown and neither time in bed nor an exit. Rates count while somebody is in bed, with the
share of that time that had one. Sleep and wake: seconds of movement in each minute, weighted over seven minutes (Cole
et al. 1992); movement sees who lies awake and still as asleep (specificity 37 to 40 % in older adults), so these
minutes are a trend of one person at best. Indicators compare the mean of the last seven nights with median and median
absolute deviation of the 28 before, of the same resident, when at least seven of them had a value.
Sources: Cole 1992, Sleep 15(5); signals reference, 4b and 4d; own definitions of restless minutes and exits.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from gateway.core.night import (
    SECONDS,
    Dozing,
    Exit,
    Indicator,
    Night,
    NightTask,
    Pausing,
    Spread,
)
from gateway.dsp.restlessness import MOVED, MOVED_S

Floats = NDArray[np.float64]  # not from the kernels: whoever sums up a night needs no numba
Bools = NDArray[np.bool_]

GAP_S = 120
EXIT_S = 10  # shorter absences are a sleeper who sits up and lies down again
MIN_RATE_S = 600  # seconds with a rate, below which a median of a night says nothing
MIN_JUDGED_H = 2.0
WEIGHTS = np.array([404.0, 598.0, 326.0, 441.0, 1408.0, 508.0, 350.0])  # of minutes -4 to +2 (Cole-Kripke)
BEFORE = 4
AWAKE_S = 3.0  # weighted seconds of movement a minute from which a sleeper is taken for awake
WEEK, BASELINE, MIN_NIGHTS, MIN_WEEK = 7, 28, 7, 3
UNUSUAL = 3.0
MAD_TO_SD = 1.4826
CAVEATS = ("synthetic", "sleep", "pauses")


def summarise(task: NightTask) -> Night:
    """The night of a task. ValueError when a column has not the length that the task says."""
    columns = {name: _column(task, name, data) for name, data in task.columns.items()}
    nothing = np.full(task.minutes * SECONDS, np.nan)

    def column(name: str) -> Floats:
        return columns.get(name, nothing)

    state = _held(column("bed_occupied"))
    lying = state == 1.0
    down, up, exits = _outings(state, task.from_utc_s)
    moved = np.where(lying, column("movement"), np.nan)
    night = Night(
        bed=task.bed,
        resident=task.resident,
        date=task.date,
        from_utc_s=task.from_utc_s,
        to_utc_s=task.from_utc_s + task.minutes * SECONDS,
        known_min=float(np.isfinite(state).sum()) / SECONDS,
        in_bed_min=float(lying.sum()) / SECONDS,
        restless_min=int(((_per_minute(moved) >= MOVED).sum(axis=1) >= MOVED_S).sum()),
        turned=int((np.where(lying, column("turned"), 0.0) > 0.0).sum()),
        down_utc_s=down,
        up_utc_s=up,
        exits=exits,
        heart=_spread(column("heart_rate"), lying),
        respiration=_spread(column("respiration_rate"), lying),
        pauses=_pausing(np.where(lying, column("breathing_pause"), np.nan)),
        sleep=_dozing(moved, lying),
        caveats=CAVEATS,
    )
    return _with_indicators(night, task.earlier)


def _column(task: NightTask, name: str, data: bytes) -> Floats:
    values = np.frombuffer(data, np.dtype("<f4")).astype(np.float64)
    if len(values) != task.minutes * SECONDS:
        raise ValueError(f"{name} has {len(values)} values, expected {task.minutes * SECONDS}")
    return values


def _per_minute(values: Floats) -> Floats:
    return values.reshape(-1, SECONDS)


def _held(occupied: Floats) -> Floats:
    """1 in bed, 0 empty, NaN unknown: a gap of up to GAP_S is what was before it."""
    known = np.isfinite(occupied)
    last = np.maximum.accumulate(np.where(known, np.arange(len(occupied)), -1))
    near = (last >= 0) & (np.arange(len(occupied)) - last <= GAP_S)
    return np.where(near, np.round(occupied[np.maximum(last, 0)]), np.nan)


def _outings(state: Floats, start_s: int) -> tuple[int | None, int | None, tuple[Exit, ...]]:
    """When the sleeper lay down first and got up for good, and the exits between, told with how long they lasted."""
    edges = np.flatnonzero(np.diff(state) != 0) + 1  # NaN differs from all
    runs = np.split(state, edges)
    starts = [0, *edges.tolist()]
    spans = [(at, at + len(run), float(run[0])) for at, run in zip(starts, runs, strict=True)]
    spans = _joined([span for span in spans if not (span[2] == 0.0 and span[1] - span[0] < EXIT_S)])
    down = next((at for at, _, is_in in spans if is_in == 1.0), None)
    exits = []
    for before, span, after in zip(spans, spans[1:], [*spans[2:], None], strict=False):
        if before[2] == 1.0 and span[2] == 0.0:
            away_s = span[1] - span[0] if after is not None and after[2] == 1.0 else None
            exits.append(Exit(start_s + span[0], away_s))
    up = None
    if exits and exits[-1].away_s is None and spans[-1][2] == 0.0 and start_s + spans[-1][0] == exits[-1].at_utc_s:
        up = exits.pop().at_utc_s
    return None if down is None else start_s + down, up, tuple(exits)


def _joined(spans: Sequence[tuple[int, int, float]]) -> list[tuple[int, int, float]]:
    """Neighbours of one state as one, unknown ones (NaN) each for themselves."""
    joined: list[tuple[int, int, float]] = []
    for span in spans:
        if joined and joined[-1][2] == span[2]:
            joined[-1] = (joined[-1][0], span[1], span[2])
        else:
            joined.append(span)
    return joined


def _spread(values: Floats, lying: Bools) -> Spread | None:
    known = values[lying & np.isfinite(values)]
    if len(known) < MIN_RATE_S:
        return None
    low, median, high = (float(value) for value in np.percentile(known, [5, 50, 95]))
    return Spread(median, low, high, len(known) / float(lying.sum()))


def _pausing(pauses: Floats) -> Pausing | None:
    """From lengths told once each, 0 in the other seconds that were judged."""
    judged = pauses[np.isfinite(pauses)]
    if not len(judged):
        return None
    told = judged[judged > 0.0]
    hours = (len(judged) + float(told.sum())) / 3600.0
    per_hour = len(told) / hours if hours >= MIN_JUDGED_H else None
    return Pausing(len(told), float(told.max()) if len(told) else 0.0, hours, per_hour)


def awake(moved_s: Floats) -> Bools:
    """Whether movement suggests wake in each minute. moved_s: seconds of movement in each, shape (n,), NaN as 0."""
    known = np.nan_to_num(moved_s)
    padded = np.concatenate([np.zeros(BEFORE), known, np.zeros(len(WEIGHTS) - 1 - BEFORE)])
    return np.convolve(padded, WEIGHTS[::-1] / WEIGHTS.sum(), mode="valid")[: len(known)] >= AWAKE_S


def _dozing(moved: Floats, lying: Bools) -> Dozing | None:
    """Minutes in bed for the most part and with movement known, told asleep or awake."""
    known = np.isfinite(_per_minute(moved)).sum(axis=1) >= SECONDS // 2
    judged = known & (lying.reshape(-1, SECONDS).sum(axis=1) >= SECONDS // 2)
    if not judged.any():
        return None
    awake_then = awake(np.nansum(_per_minute(moved), axis=1))
    return Dozing(int((judged & ~awake_then).sum()), int((judged & awake_then).sum()))


# -- against the person's own baseline --------------------------------------------------------------------------------

INDICATORS: Mapping[str, tuple[Callable[[Night], float | None], float]] = {
    "in_bed_min": (lambda n: n.in_bed_min if n.in_bed_min else None, 10.0),
    "exits": (lambda n: float(len(n.exits)) if n.in_bed_min else None, 0.5),
    "away_min": (lambda n: sum(e.away_s or 0 for e in n.exits) / 60.0 if n.in_bed_min else None, 2.0),
    "restless_share": (lambda n: n.restless_min / n.in_bed_min if n.in_bed_min else None, 0.02),
    "heart_rate": (lambda n: n.heart.median if n.heart else None, 1.0),
    "respiration_rate": (lambda n: n.respiration.median if n.respiration else None, 0.5),
    "pauses_per_hour": (lambda n: n.pauses.per_hour if n.pauses else None, 0.5),
}  # by name: how it is read, and the least spread that is believed


def _with_indicators(night: Night, earlier: Sequence[Night]) -> Night:
    today = date.fromisoformat(night.date)
    own = [n for n in earlier if n.resident == night.resident and date.fromisoformat(n.date) < today]
    week = [n for n in own if date.fromisoformat(n.date) > today - timedelta(WEEK)] + [night]
    first = today - timedelta(WEEK + BASELINE - 1)
    before = [n for n in own if first <= date.fromisoformat(n.date) <= today - timedelta(WEEK)]
    found = []
    for name, (read, least) in INDICATORS.items():
        now = [value for n in week if (value := read(n)) is not None]
        usual = [value for n in before if (value := read(n)) is not None]
        if len(now) >= MIN_WEEK:
            found.append(_indicator(name, now, usual, least))
    return replace(night, indicators=tuple(found))


def _indicator(name: str, now: Sequence[float], usual: Sequence[float], least: float) -> Indicator:
    week = sum(now) / len(now)
    if len(usual) < MIN_NIGHTS:
        return Indicator(name, week, None, None, len(usual), None, unusual=False)
    middle = float(np.median(usual))
    spread = max(least, MAD_TO_SD * float(np.median(np.abs(np.array(usual) - middle))))
    deviation = (week - middle) / spread
    return Indicator(name, week, middle, spread, len(usual), deviation, unusual=math.fabs(deviation) > UNUSUAL)
