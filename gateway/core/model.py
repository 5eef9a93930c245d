"""What flows through the house: stamps, blocks of samples, measurements, minutes, events and alarms.

All frozen: a fact, once received, does not change; what is learned later is a new fact.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, order=True)
class Stamp:
    """A moment that no clock step can move.

    boot_id: 8 hex characters, one for each boot of the box.
    mono_ns: CLOCK_BOOTTIME in nanoseconds (goes on through suspend, never back).
    UTC is derived through the boot's anchors (`gateway.core.clock.Anchor`), later if need be.
    """

    boot_id: str
    mono_ns: int

    def plus_s(self, seconds: float) -> "Stamp":
        """The moment `seconds` later (earlier when negative), same boot."""
        return Stamp(self.boot_id, self.mono_ns + round(seconds * 1e9))

    def since_s(self, earlier: "Stamp") -> float:
        """Seconds from `earlier` to here. ValueError when the two belong to different boots: use UTC for that."""
        if earlier.boot_id != self.boot_id:
            raise ValueError(f"stamps of boots {earlier.boot_id} and {self.boot_id} have no common monotonic clock")
        return (self.mono_ns - earlier.mono_ns) / 1e9


class Mode(StrEnum):
    """Who may be called because of this fact: only `real` ones summon people."""

    REAL = "real"
    TEST = "test"
    DEMO = "demo"


class Status(StrEnum):
    """What a value is worth (after BICEPS MeasurementValidity, IEEE 11073-10207)."""

    VALID = "valid"
    QUESTIONABLE = "questionable"
    INVALID = "invalid"
    OVER = "over"  # above the device's range: a clinical event, not a failed reading
    UNDER = "under"
    ONGOING = "ongoing"
    NOT_AVAILABLE = "n-a"


class Priority(StrEnum):
    HIGH = "high"  # immediate
    MEDIUM = "medium"  # prompt
    LOW = "low"  # be aware


class Kind(StrEnum):
    PHYSIOLOGICAL = "physiological"
    TECHNICAL = "technical"
    OTHER = "other"


class Condition(StrEnum):
    """Whether what the rule describes is true now (IEC 60601-1-8, alarm condition)."""

    PENDING = "pending"  # true, but not yet for long enough
    ACTIVE = "active"
    INACTIVE = "inactive"


class SignalState(StrEnum):
    """What one channel (buzzer, lamp, page, platform) does about an alarm (IEC 60601-1-8, alarm signal)."""

    ON = "on"
    LATCHED = "latched"  # the condition has gone, the signal stays until a person acts
    ACKNOWLEDGED = "ack"
    PAUSED = "paused"
    OFF = "off"


class Delivery(StrEnum):
    """How far an alarm has got towards a person; each step is proved by somebody else's answer."""

    RAISED = "raised"  # in memory and sounding
    STORED = "stored"  # committed with synchronous=FULL
    PUBLISHED = "published"  # PUBACK with a subscriber behind it
    RECEIVED = "received"  # a responder's platform says so


@dataclass(frozen=True, slots=True)
class SampleBlock:
    """Consecutive samples of one channel.

    device: id in the registry; channel: "bed.wave", "bed.load", "acc", ...
    start: when the first sample was taken, counted back from the receipt of the block's last byte.
    rate_hz: samples a second as the profile declares; unit: UCUM.
    data: float32, shape (n,) or (n, 3); NaN marks a sample that the device itself flags as bad.
    lost_before: samples known to be missing directly before the first one.
    """

    device: str
    channel: str
    start: Stamp
    rate_hz: float
    unit: str
    data: NDArray[np.float32]
    lost_before: int = 0
    bed: str | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """One value of one quantity.

    bed is None for what belongs to the site (a visitor's temperature). window_s: span of signal behind the value, 0 for
    a spot reading. quality: 0 to 1. origin: "device", or algorithm and version as "heart/1". An `over` or `under`
    status keeps the limit in `value`. value is never NaN: what is unknown is not measured.
    record: which stored record of the device's memory it comes from (its time by the device's own clock and its
    values, in one text), "" for a value told once only. assigned: of a shared device, "unassigned" or by what the
    person was known ("card", "qr", "badge" ...); "" for a device of one bed or of the site.
    """

    bed: str | None
    device: str
    quantity: str
    value: float
    unit: str
    at: Stamp
    window_s: float = 0.0
    quality: float = 1.0
    origin: str = "device"
    status: Status = Status.VALID
    mode: Mode = Mode.REAL
    record: str = ""
    assigned: str = ""


@dataclass(frozen=True, slots=True)
class Minute:
    """One closed minute of one quantity in one bed.

    start: its first moment, a whole minute of CLOCK_BOOTTIME, so that no clock step stretches, folds or repeats one.
    n: seconds measured (1 to 60). column: float32, shape (60,), NaN where nothing was measured.
    min, mean, max and quality are over the measured seconds.
    """

    bed: str
    quantity: str
    start: Stamp
    n: int
    min: float
    mean: float
    max: float
    quality: float
    column: NDArray[np.float32]
    mode: Mode = Mode.REAL


Detail = Mapping[str, str | int | float | bool]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: sos_pressed, bed_exited, fall_suspected, link_lost, frames_rejected ...

    An event asks nobody to act; a rule may make an alarm of it.
    """

    kind: str
    at: Stamp
    bed: str | None = None
    device: str | None = None
    detail: Detail = field(default_factory=dict)
    mode: Mode = Mode.REAL


@dataclass(frozen=True, slots=True)
class Gap:
    """Data that will never come, with the reason: the opposite of a silent loss.

    what: "bed.wave", a stream name such as "summary", or a quantity. lost: samples, rows or frames, by `what`.
    """

    what: str
    reason: str
    at: Stamp
    lost: int
    bed: str | None = None
    device: str | None = None


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """A named person (a pseudonym from the duty roster, or a platform's user) has seen the alarm."""

    by: str
    at: Stamp
    note: str = ""
    via: str = "page"  # "page", "cli" or the upstream's name


@dataclass(frozen=True, slots=True)
class Alarm:
    """What asks a person to act, as it stands after transition number `rev`.

    id: from rule, bed and onset, so that a repeat is the same alarm; rev rises by one with each transition.
    bed: None for the box itself. onset: when the condition became true; raised: when it was declared (after the rule's
    `for`). values: the inputs at that moment, by quantity name. quality: the lowest among them.
    trace: real CLOCK_BOOTTIME in ns by step ("receipt", "raised", "stored", "published", "received"): latencies are
    always real time, even when a demonstration's clock is scaled.
    attended: who went there. local: why the ways on the spot sound too ("no_puback", "no_subscriber", "no_received",
    "island"), "" while the platform has it. overdue: acknowledged, but since then not "attended" or not "closed" in
    time. hidden_by: the alarm whose cause explains this one; it makes no signal meanwhile.
    """

    id: str
    rev: int
    rule: str
    rule_rev: int
    kind: Kind
    priority: Priority
    condition: Condition
    onset: Stamp
    raised: Stamp
    bed: str | None = None
    device: str | None = None
    latch: bool = False
    cleared: Stamp | None = None
    signal: Mapping[str, SignalState] = field(default_factory=dict)
    delivery: Delivery = Delivery.RAISED
    received_by: tuple[str, ...] = ()
    acknowledgement: Acknowledgement | None = None
    escalation: int = 0
    outcome: str = ""
    closed: Stamp | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    quality: float = 1.0
    evidence: Detail = field(default_factory=dict)
    bundle: str = "built-in"
    mode: Mode = Mode.REAL
    trace: Mapping[str, int] = field(default_factory=dict)
    attended: Acknowledgement | None = None
    local: str = ""
    overdue: str = ""
    hidden_by: str = ""
    paused_until: Stamp | None = None

    @property
    def open(self) -> bool:
        """True until a person closed it, or until a non-latching condition went away by itself."""
        if self.closed is not None:
            return False
        return self.condition is Condition.ACTIVE or self.latch
