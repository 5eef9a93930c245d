"""What a rule is, and the names it may use. The file format is read by `rulefile.py`.

A rule says: when this is true, for so long, at this time of day, a person must act. Everything that decides how many
alarms there will be (smoothing, quality gate, longest bridged gap, hysteresis, delays) is in the rule, in the open.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from edge_rules.expression import Expression, Type
from edge_rules.schedule import Hold, Schedule
from gateway.core.model import Kind, Priority
from gateway.core.quantities import QUANTITIES

AT_BED = "@"  # between device and bed in the key of a scope; no device id holds it


class Per(StrEnum):
    """What a rule has one state of."""

    BED = "bed"
    DEVICE = "device"
    SITE = "site"
    UPSTREAM = "upstream"
    PART = "part"  # of the box: disk, worker, clock ...
    INPUT = "input"  # one input of one bed


# The safety floor: no file, bundle, command or pause takes these away, hides them or makes them weaker.
FLOOR = frozenset({"sos", "fall", "no_vital_sign", "sensor_lost", "uplink_lost", "box_in_trouble"})
NEVER_PAUSED = frozenset({"sos", "fall"})

# Facts fused from several devices, and in which scopes a rule may name them.
FACTS: Mapping[str, frozenset[Per]] = {
    "in_bed": frozenset({Per.BED, Per.DEVICE}),
    "online": frozenset({Per.DEVICE}),
    "uplink": frozenset(Per),
    "box_ok": frozenset(Per),
    "input_missing": frozenset({Per.INPUT}),
}

AT_ONCE = Hold()

# Events: each is a name that is true at the moment it happens, and may trigger a rule.
EVENTS = frozenset((
    "sos_pressed", "service_requested", "fall_suspected", "bed_entered", "bed_exited", "sensor_off", "kiosk_reading",
    "reading_out_of_range", "door_opened", "door_closed", "motion_started", "motion_ended", "presence_started",
    "presence_ended",
    "link_up", "link_lost", "device_fault", "readings_rejected", "frames_rejected", "battery_low",
    "uplink_lost", "uplink_back", "uplink_taken_over", "box_trouble", "box_recovered", "box_started", "box_stopped",
    "worker_lost", "worker_ready", "clock_stepped", "clock_drift", "configuration_changed",
))  # fmt: skip

MEASURED = frozenset({Per.BED, Per.DEVICE, Per.SITE})  # scopes in which a quantity means something


def types_in(per: Per) -> dict[str, Type]:
    """Every name a rule of this scope may use directly, with its type."""
    types = {name: Type.TRUTH for name, scopes in FACTS.items() if per in scopes}
    types.update(dict.fromkeys(EVENTS, Type.TRUTH))
    if per in MEASURED:
        types.update(dict.fromkeys(QUANTITIES, Type.NUMBER))
    return types


@dataclass(frozen=True, slots=True)
class Input:
    """One quantity as a rule sees it. smoothing: "" or one of SMOOTHINGS over the last window_s of good readings."""

    quantity: str
    smoothing: str = ""
    window_s: float = 0.0
    quality: float = 0.0  # a reading of lower quality tells nothing: the value before it stands until it is stale
    fresh_s: float = 5.0  # a value older than this is unknown


@dataclass(frozen=True, slots=True)
class Quality:
    """The gate: what an absence of good values means. Never part of the condition itself.

    max_gap_s: an unknown no longer than this does not break a running duration.
    unknown_after_s: an unknown longer than this is a technical alarm; 0 for never.
    """

    max_gap_s: float = 20.0
    unknown_after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Scope:
    """For whom the rule holds; an empty set means everybody."""

    per: Per = Per.BED
    profiles: frozenset[str] = frozenset()
    beds: frozenset[str] = frozenset()
    families: frozenset[str] = frozenset()
    residents: frozenset[str] = frozenset()
    except_residents: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Ladder:
    """Seconds after the raise (after the acknowledgement for the last two) until the next step; 0 for never.

    local_s: no broker has taken it: sound here. received_s: no responder's platform has it: sound here.
    second_s, third_s: no person has answered: second contact, third contact. raise_priority: the third step makes it
    high. attended_s, closed_s: somebody answered, but nobody came, or nobody closed it: it escalates again.
    """

    local_s: float = 0.0
    received_s: float = 0.0
    second_s: float = 0.0
    third_s: float = 0.0
    raise_priority: bool = False
    attended_s: float = 0.0
    closed_s: float = 0.0


# Reference: escalation ladder 3.4; acknowledged but not attended or closed: 10 and 60 minutes.
LADDERS: Mapping[Priority, Ladder] = {
    Priority.HIGH: Ladder(10, 30, 120, 300, attended_s=600, closed_s=3600),
    Priority.MEDIUM: Ladder(10, 30, 600, 1800, raise_priority=True),
    Priority.LOW: Ladder(),
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule in force.

    event: kind of event that triggers it at once (then `when` is a guard, and only a definite false holds it back);
    each: every such event is an alarm of its own. names: what the predicates read, in slot order.
    explains: rules whose alarm in the same bed is not raised while this one's is open.
    """

    id: str
    rev: int
    kind: Kind
    priority: Priority
    latch: bool
    removable: bool
    reason: str
    source: str
    text: str
    scope: Scope
    names: tuple[str, ...]
    when: Expression | None = None
    event: str | None = None
    each: bool = False
    hold: Hold = AT_ONCE
    clear: Expression | None = None
    clear_for_s: float = 0.0
    rearm_s: float = 0.0
    unless: Expression | None = None
    every_s: float = 0.0
    schedule: Schedule | None = None
    inputs: Mapping[str, Input] = field(default_factory=dict)
    quality: Quality = Quality()
    ladder: Ladder = Ladder()
    explains: frozenset[str] = frozenset()
    bundle: str = "built-in"
