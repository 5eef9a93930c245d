"""What the read model answers: frozen dataclasses that msgspec turns into JSON, and how facts become them.

Ages are seconds of the house's clock at the moment of asking; utc_ms is None for a moment that no anchor times yet.
Nothing in here names a person: beds and residents are ids.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from drivers.capability import Sight
from gateway.core.model import Alarm, Event, Measurement, Stamp, Status

STALE_AFTER_S = {"heart_rate": 20.0, "respiration_rate": 40.0, "bed_occupied": 30.0, "ibi": 20.0}
STALE_ELSE_S = 120.0

UtcMs = Callable[[Stamp], int | None]


@dataclass(frozen=True, slots=True)
class Value:
    """The newest value of one quantity. stale: older than its quantity allows, to be shown as such."""

    quantity: str
    value: float
    unit: str
    quality: float
    status: str
    origin: str
    device: str
    age_s: float
    stale: bool


@dataclass(frozen=True, slots=True)
class Happening:
    """The newest event of a bed or device."""

    kind: str
    device: str | None
    age_s: float
    utc_ms: int | None
    detail: Mapping[str, str | int | float | bool]


@dataclass(frozen=True, slots=True)
class AlarmState:
    """An alarm as people need it.

    values and quality: what it was raised on. via: where it was acknowledged. local, overdue, hidden_by: as in `Alarm`.
    """

    id: str
    rev: int
    rule: str
    rule_rev: int
    kind: str
    priority: str
    condition: str
    open: bool
    bed: str | None
    room: str | None
    device: str | None
    onset_utc_ms: int | None
    raised_utc_ms: int | None
    age_s: float | None
    delivery: str
    received_by: tuple[str, ...]
    acknowledged_by: str | None
    note: str
    via: str | None
    attended_by: str | None
    escalation: int
    local: str
    overdue: str
    hidden_by: str
    outcome: str
    values: Mapping[str, float]
    quality: float
    evidence: Mapping[str, str | int | float | bool]
    bundle: str
    mode: str


@dataclass(frozen=True, slots=True)
class SosState:
    """One way to call for help. input: of a contact module, else "".

    way: how it is supervised, "beacon", "loop", "link" or "none". proof: "supervised", "silent" (it should have proved
    itself and has not) or "unsupervised": then a test press falls due by test_by_utc_ms.
    """

    input: str
    bed: str | None
    way: str
    proof: str
    test_due: bool
    test_by_utc_ms: int | None


@dataclass(frozen=True, slots=True)
class BlindRule:
    """A rule that sees nothing in a bed: nobody there delivers the quantity, or not where the rule's limit lies."""

    rule: str
    bed: str
    quantity: str


@dataclass(frozen=True, slots=True)
class DeviceState:
    """state: "never" (not heard since start), "up", "lost" or "fault"; reason says why, in a technician's words.

    rejected: frames not understood, by reason, since start; last_rejected: hex of the newest. lost_samples since start.
    withheld: by quantity, why the worker has no value of it now (`gateway.dsp.reasons`).
    worn, charging: None where the device cannot tell or has not. sees: what it measures, and what of it is hidden from
    it. sos: its ways to call for help.
    """

    id: str
    family: str
    model: str
    link: str
    bed: str | None
    state: str
    reason: str
    last_seen_s: float | None
    rssi_dbm: int | None
    battery_percent: float | None
    rejected: Mapping[str, int]
    last_rejected: str
    lost_samples: Mapping[str, int]
    withheld: Mapping[str, str]
    worn: bool | None = None
    charging: bool | None = None
    sees: tuple[Sight, ...] = ()
    sos: tuple[SosState, ...] = ()


@dataclass(frozen=True, slots=True)
class BedState:
    """occupied is None when nothing fresh says so. values: newest of each quantity, heart and respiration included.

    last_event: the newest one about the person; what its devices do stands with them.
    """

    id: str
    room: str
    profile: str
    occupied: bool | None
    heart: Value | None
    respiration: Value | None
    values: tuple[Value, ...]
    last_event: Happening | None
    alarms: tuple[AlarmState, ...]
    devices: tuple[DeviceState, ...]


@dataclass(frozen=True, slots=True)
class Ward:
    """All beds, and the open alarms that belong to none of them."""

    site: str
    gateway: str
    mode: str
    utc_ms: int | None
    revision: int
    beds: tuple[BedState, ...]
    box_alarms: tuple[AlarmState, ...]
    open_alarms: int


@dataclass(frozen=True, slots=True)
class Part:
    """State of one part of the box: worker, store, rules, ..."""

    name: str
    state: str
    reason: str
    since_s: float


@dataclass(frozen=True, slots=True)
class Health:
    """The box itself. cpu_percent: of one core since the answer before; clock_uncertainty_s None: never synced."""

    gateway: str
    site: str
    version: str
    mode: str
    boot_id: str
    uptime_s: float
    utc_ms: int
    clock_source: str
    clock_uncertainty_s: float | None
    clock_speed: float
    rss_bytes: int
    cpu_percent: float
    parts: tuple[Part, ...]
    gauges: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class StreamState:
    """Numbers of one stream of one platform; waiting: rows not yet acknowledged."""

    lo: int
    hi: int
    acked_hi: int
    pruned_lo: int
    waiting: int


@dataclass(frozen=True, slots=True)
class UplinkState:
    """One platform. state: "connecting", "up" or "lost"."""

    name: str
    state: str
    reason: str
    since_s: float
    streams: Mapping[str, StreamState] = field(default_factory=dict)

    @property
    def waiting(self) -> int:
        """Rows of all streams that this platform has not acknowledged."""
        return sum(stream.waiting for stream in self.streams.values())


@dataclass(frozen=True, slots=True)
class Inventory:
    """Who belongs where; rev rises with each change of the registry."""

    rev: int
    site: str
    gateway: str
    beds: tuple[str, ...]
    devices: tuple[DeviceState, ...]


def value_of(measurement: Measurement, now: Stamp) -> Value:
    """Stale also when the device itself calls it invalid: such a value must not look current."""
    age_s = max(0.0, now.since_s(measurement.at))
    old = age_s > STALE_AFTER_S.get(measurement.quantity, STALE_ELSE_S)
    return Value(
        quantity=measurement.quantity,
        value=measurement.value,
        unit=measurement.unit,
        quality=measurement.quality,
        status=measurement.status.value,
        origin=measurement.origin,
        device=measurement.device,
        age_s=age_s,
        stale=old or measurement.status is Status.INVALID,
    )


def happening_of(event: Event, now: Stamp, utc_ms: UtcMs) -> Happening:
    return Happening(event.kind, event.device, max(0.0, now.since_s(event.at)), utc_ms(event.at), dict(event.detail))


def stream_state_of(marks: Mapping[str, int]) -> StreamState:
    """From the store's marks; waiting is counted by the store where it knows better than hi - acked_hi."""
    waiting = marks.get("waiting", max(0, marks["hi"] - marks["acked_hi"]))
    return StreamState(marks["lo"], marks["hi"], marks["acked_hi"], marks["pruned_lo"], waiting)


def alarm_state_of(alarm: Alarm, room: str | None, now: Stamp, utc_ms: UtcMs) -> AlarmState:
    acknowledgement = alarm.acknowledgement
    raised, present = utc_ms(alarm.raised), utc_ms(now)
    return AlarmState(
        id=alarm.id,
        rev=alarm.rev,
        rule=alarm.rule,
        rule_rev=alarm.rule_rev,
        kind=alarm.kind.value,
        priority=alarm.priority.value,
        condition=alarm.condition.value,
        open=alarm.open,
        bed=alarm.bed,
        room=room,
        device=alarm.device,
        onset_utc_ms=utc_ms(alarm.onset),
        raised_utc_ms=raised,
        age_s=None if raised is None or present is None else max(0.0, (present - raised) / 1000),
        delivery=alarm.delivery.value,
        received_by=alarm.received_by,
        acknowledged_by=acknowledgement.by if acknowledgement else None,
        note=acknowledgement.note if acknowledgement else "",
        via=acknowledgement.via if acknowledgement else None,
        attended_by=alarm.attended.by if alarm.attended else None,
        escalation=alarm.escalation,
        local=alarm.local,
        overdue=alarm.overdue,
        hidden_by=alarm.hidden_by,
        outcome=alarm.outcome,
        values=dict(alarm.values),
        quality=alarm.quality,
        evidence=dict(alarm.evidence),
        bundle=alarm.bundle,
        mode=alarm.mode.value,
    )


def alarm_summary(alarm: Alarm) -> dict[str, str | int | bool | None]:
    """What a command's answer says of the alarm it changed."""
    return {
        "id": alarm.id,
        "rev": alarm.rev,
        "open": alarm.open,
        "acknowledged_by": alarm.acknowledgement.by if alarm.acknowledgement else None,
        "outcome": alarm.outcome,
    }


def why(event: Event) -> str:
    """The reason of a loss or trouble with what to do about it, in a technician's words."""
    reason, hint = (str(event.detail.get(key, "")) for key in ("reason", "hint"))
    return f"{reason} ({hint})" if hint else reason


def uplink_told(event: Event) -> tuple[str, str, str] | None:
    """(name, state, reason) of the platform link that an event is about."""
    state = {"uplink_lost": "lost", "uplink_back": "up"}.get(event.kind)
    return (str(event.detail.get("upstream", "")), state, why(event)) if state else None


def part_told(event: Event) -> tuple[str, str, str] | None:
    """(name, state, reason) of the part of the box that an event is about; the worker tells its own, more finely."""
    state, part = {"box_trouble": "fault", "box_recovered": "ready"}.get(event.kind), str(event.detail.get("part", ""))
    return (part, state, why(event)) if state and part not in ("", "worker") else None
