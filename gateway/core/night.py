"""What is told of a night in bed, and the two messages between the daemon and the process that sums it up.

Numbers only, no judgement: what is unusual is so against the same person's earlier nights. Times are UTC seconds since
1970. None stands for what could not be known. Each caveat is a key of the texts ("night.caveat.KEY") that a page has to
show beside the numbers.
"""

from dataclasses import dataclass

import msgspec

SECONDS = 60  # values of each minute


@dataclass(frozen=True, slots=True)
class Exit:
    """Somebody left the bed. away_s: None when they did not come back before the night was over or unknown."""

    at_utc_s: int
    away_s: int | None


@dataclass(frozen=True, slots=True)
class Spread:
    """A rate over the night, 1/min. low and high: 5th and 95th percentile. coverage: share of the time in bed that had
    a value at all, 0 to 1: a median without it means little."""

    median: float
    low: float
    high: float
    coverage: float


@dataclass(frozen=True, slots=True)
class Pausing:
    """Breathing pauses. per_hour: of the time in bed in which they could be seen (judged_h), None below two hours."""

    count: int
    longest_s: float
    judged_h: float
    per_hour: float | None


@dataclass(frozen=True, slots=True)
class Dozing:
    """Sleep and wake as movement suggests them, minutes in bed. Quiet wakefulness counts as sleep."""

    asleep_min: int
    awake_min: int


@dataclass(frozen=True, slots=True)
class Indicator:
    """One number of the last seven nights against the 28 before. week: mean; usual and spread: median and scaled median
    absolute deviation of `nights` earlier ones. deviation: (week - usual) / spread, None with fewer than seven.
    unusual: more than three spreads away."""

    name: str
    week: float
    usual: float | None
    spread: float | None
    nights: int
    deviation: float | None
    unusual: bool


@dataclass(frozen=True, slots=True)
class Night:
    """One night of one bed. date: of its morning, ISO 8601. known_min: minutes in which occupancy was known.

    restless_min: of in_bed_min. exits: without the last one of somebody who got up for the day (up_utc_s).
    """

    bed: str
    resident: str | None
    date: str
    from_utc_s: int
    to_utc_s: int
    known_min: float
    in_bed_min: float
    restless_min: int
    turned: int
    down_utc_s: int | None
    up_utc_s: int | None
    exits: tuple[Exit, ...]
    heart: Spread | None
    respiration: Spread | None
    pauses: Pausing | None
    sleep: Dozing | None
    indicators: tuple[Indicator, ...] = ()
    caveats: tuple[str, ...] = ()
    algorithm: str = "night/1"


class NightTask(msgspec.Struct):
    """columns: by quantity float32, little-endian, 60 * minutes values from from_utc_s on, NaN where nothing was
    measured. earlier: the bed's nights before, oldest first."""

    bed: str
    resident: str | None
    date: str
    from_utc_s: int
    minutes: int
    columns: dict[str, bytes]
    earlier: list[Night]


def encode_task(task: NightTask) -> bytes:
    return msgspec.msgpack.encode(task)


def decode_task(data: bytes) -> NightTask:
    """msgspec.MsgspecError for anything else."""
    return msgspec.msgpack.decode(data, type=NightTask)


def encode_nights(nights: list[Night]) -> bytes:
    return msgspec.json.encode(nights)


def decode_nights(data: bytes) -> list[Night]:
    """msgspec.MsgspecError for anything else; unknown fields are ignored, missing ones take their default."""
    return msgspec.json.decode(data, type=list[Night])
