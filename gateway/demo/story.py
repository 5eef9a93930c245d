"""The stories: what happens in the ward at which second of scaled time, and what must come of it.

One night for two beds: asleep, restless, out of bed and back late, a fall, an SOS press, an uplink that is cut and
comes back, a blood pressure at the kiosk. Each expectation names the rule and bed of the alarm that must be raised.
"""

from dataclasses import dataclass, field
from typing import Literal

BEDS = ("b-1A2B3C4D", "b-5E6F7G8H")
BOX = None  # an alarm of the box itself belongs to no bed
KIOSK = {"systolic": 148.0, "diastolic": 86.0, "pulse_rate": 71.0}


@dataclass(frozen=True, slots=True)
class Step:
    """Something the ward, or the router, does. at_s: scaled seconds since the story began; args by `do`."""

    at_s: float
    do: str
    bed: str | None = None
    args: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Expectation:
    """An alarm that must be raised because of the step `after` (its `do` and bed), within `within_s` scaled seconds.

    until: "closed" when the platform's carer must have closed it with an outcome, "received" when it is enough that the
    platform has it.
    """

    rule: str
    bed: str | None
    after: str
    within_s: float
    until: Literal["closed", "received"] = "closed"


@dataclass(frozen=True, slots=True)
class Story:
    """steps in order; ends at `end_s`. clock: local time of the site when it begins, "HH:MM"."""

    name: str
    speed: float
    local_start: str
    steps: tuple[Step, ...]
    expectations: tuple[Expectation, ...]
    end_s: float


_ONE, _TWO = BEDS
_NIGHT_STEPS = (
    Step(30, "restless", _TWO),
    Step(55, "calm", _TWO),
    Step(60, "leave_bed", _ONE),  # comes back late: more than the 15 min that the night exit rule allows
    Step(90, "leave_bed", _TWO),
    Step(100, "fall", _TWO),
    Step(190, "return_to_bed", _TWO),
    Step(210, "press_button", _ONE),
    Step(270, "cut_uplink"),
    Step(300, "pull_cord", _TWO),
    Step(360, "release_cord", _TWO),
    Step(370, "kiosk_reading", None, KIOSK),
    Step(560, "restore_uplink"),
    Step(1010, "return_to_bed", _ONE),
)
_NIGHT_EXPECTATIONS = (
    Expectation("fall", _TWO, "fall", 45),
    Expectation("sos", _ONE, "press_button", 10),
    Expectation("sos", _TWO, "pull_cord", 20),  # two equal reads of a bus that no scaled clock makes faster
    Expectation("uplink_lost", BOX, "cut_uplink", 130, "received"),
    Expectation("night_exit", _ONE, "leave_bed", 930),
)

STORIES = {
    "short": Story("short", 40.0, "23:30", _NIGHT_STEPS, _NIGHT_EXPECTATIONS, 1090),
    "full": Story("full", 12.0, "23:30", _NIGHT_STEPS, _NIGHT_EXPECTATIONS, 1200),
}
