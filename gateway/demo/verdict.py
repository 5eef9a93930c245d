"""What was expected, what happened, and whether all of it came true: the one JSON document of a story."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from gateway.demo.story import Expectation, Story
from gateway.upstream.envelope import AlarmState, Event, GapNote, Observation, encode
from gateway.upstream.platform import Platform
from gateway.upstream.seen import Record

STREAMS = ("alarm", "obs", "summary", "tech")
MS = 1e6
IN_FLIGHT = 20  # what is on its way when a link breaks may come again under its own number; more is a fault


@dataclass(slots=True)
class Witness:
    """What the orchestrator has seen. done: (what, bed) to the real ns at which the device's last byte left.

    duplicates: numbers that came more than once, by stream.
    cut_real_ns, restored_real_ns: the uplink's outage. heads: highest number of each stream as the gateway says.
    during_cut: ids of the alarms that the gateway's own page showed before the uplink came back.
    """

    done: dict[tuple[str, str | None], int] = field(default_factory=dict)
    recordings: list[str] = field(default_factory=list)
    cut_real_ns: int = 0
    restored_real_ns: int = 0
    during_cut: tuple[str, ...] = ()
    heads: Mapping[str, int] = field(default_factory=dict)
    unacknowledged: Mapping[str, int] = field(default_factory=dict)
    duplicates: Mapping[str, int] = field(default_factory=dict)
    pulled_verified: bool = False
    pulled_rows: int = 0
    devices: Sequence[Mapping[str, Any]] = ()


def judge(story: Story, platform: Platform, gw: str, witness: Witness) -> dict[str, Any]:
    """The document; "ok" is true only when every part of it is."""
    records = [record for record in platform.seen.records if record.gw == gw]
    alarms = _histories(records)
    judged = [_alarm(expected, alarms, witness, story.speed) for expected in story.expectations]
    matched = {entry["id"] for entry in judged if entry["id"]}
    others = [_short(states[0].message) for key, states in alarms.items() if key not in matched]
    # People in recordings have rates of their own: an alarm about them is told, but is no fault of the walk.
    theirs = [alarm for alarm in others if witness.recordings and alarm["kind"] == "physiological"]
    unexpected = [alarm for alarm in others if alarm not in theirs]
    readings = _readings(story, records)
    streams = {stream: _stream(platform, gw, stream, records, witness) for stream in STREAMS}
    pulled = {"verified": witness.pulled_verified, "rows": witness.pulled_rows}
    ok = (
        all(entry["ok"] for entry in judged)
        and not unexpected
        and all(entry["ok"] for entry in readings)
        and all(entry["lost"] == 0 and entry["duplicated"] == 0 for entry in streams.values())
        and sum(entry["sent_again"] for entry in streams.values()) <= IN_FLIGHT
        and witness.pulled_verified
    )
    return {
        "story": story.name, "speed": story.speed, "ok": ok, "alarms": judged, "unexpected_alarms": unexpected,
        "alarms_from_recordings": theirs,
        "readings": readings, "streams": streams, "pulled_summaries": pulled,
        "uplink_cut_s": round((witness.restored_real_ns - witness.cut_real_ns) / 1e9, 3),
        "shown_locally_during_cut": list(witness.during_cut), "recordings": witness.recordings,
        "devices": [dict(device) for device in witness.devices],
    }  # fmt: skip


def _histories(records: Iterable[Record]) -> dict[str, list[Record]]:
    """All states of each alarm in the order of their revisions, by alarm id."""
    found: dict[str, list[Record]] = {}
    for record in records:
        if isinstance(record.message, AlarmState) and not record.duplicate:
            found.setdefault(record.message.id, []).append(record)
    for states in found.values():
        states.sort(key=lambda record: record.message.rev if isinstance(record.message, AlarmState) else 0)
    return found


def _alarm(
    expected: Expectation, alarms: Mapping[str, list[Record]], witness: Witness, speed: float
) -> dict[str, Any]:
    cause = expected.bed if expected.after != "cut_uplink" else None
    trigger_ns = witness.done.get((expected.after, cause))
    entry: dict[str, Any] = {
        "rule": expected.rule, "bed": expected.bed, "after": expected.after, "within_s": expected.within_s,
        "id": None, "raised_after_s": None, "byte_to_local_ms": None, "byte_to_platform_ms": None,
        "while_uplink_cut": False, "acknowledged_by": None, "outcome": "", "ok": False,
    }  # fmt: skip
    if trigger_ns is None:
        return entry
    for key, states in alarms.items():
        first, last = states[0], states[-1]
        alarm, end = first.message, last.message
        assert isinstance(alarm, AlarmState)
        assert isinstance(end, AlarmState)
        raised_ns = alarm.trace.get("raised", 0)
        if alarm.rule.partition("@")[0] != expected.rule or alarm.bed != expected.bed or raised_ns < trigger_ns:
            continue
        receipt_ns = alarm.trace.get("receipt", raised_ns)
        after_s = (raised_ns - trigger_ns) / 1e9 * speed
        cut = witness.cut_real_ns <= raised_ns < witness.restored_real_ns
        entry |= {
            "id": key, "raised_after_s": round(after_s, 2), "byte_to_local_ms": round((raised_ns - receipt_ns) / MS, 3),
            "byte_to_platform_ms": round((first.real_ns - receipt_ns) / MS, 3), "while_uplink_cut": cut,
            "acknowledged_by": end.ack.by if end.ack else None, "outcome": end.outcome,
        }  # fmt: skip
        answered = expected.until == "received" or (end.ack is not None and bool(end.outcome))
        seen_locally = not cut or key in witness.during_cut
        entry["ok"] = after_s <= expected.within_s and answered and seen_locally
        break
    return entry


def doubled(records: Iterable[Record]) -> int:
    """Rows of one stream that say under two numbers what happened once; a repeat under its own number is none."""
    numbers: dict[object, set[int]] = {}
    for record in records:
        numbers.setdefault(_identity(record.message), set()).add(record.message.seq)
    return sum(len(seqs) - 1 for seqs in numbers.values())


def _identity(message: Event) -> object:
    if isinstance(message, AlarmState):
        return message.id, message.rev
    return encode(replace(message, seq=0, hist=False))


def _short(alarm: object) -> dict[str, Any]:
    assert isinstance(alarm, AlarmState)
    return {
        "rule": alarm.rule, "kind": alarm.kind, "bed": alarm.bed, "id": alarm.id, "values": alarm.val,
        "evidence": alarm.evidence,
    }  # fmt: skip


def _readings(story: Story, records: Iterable[Record]) -> list[dict[str, Any]]:
    """Every value that a kiosk step wrote, as it arrived at the platform."""
    came = {record.message.what: record.message for record in records if isinstance(record.message, Observation)}
    return [
        {
            "quantity": name, "expected": value, "arrived": came[name].val if name in came else None,
            "unit": came[name].unit if name in came else None, "ok": name in came and came[name].val == value,
        }
        for step in story.steps if step.do == "kiosk_reading" for name, value in step.args.items()
    ]  # fmt: skip


def _stream(
    platform: Platform, gw: str, stream: str, records: Iterable[Record], witness: Witness
) -> dict[str, Any]:
    """lost: numbers up to the gateway's head that never came and that no gap note explains."""
    head = witness.heads.get(stream, 0)
    missing = platform.seen.of(gw, stream).missing(1, head) if head else []
    explained = sum(
        record.message.lost
        for record in records
        if isinstance(record.message, GapNote) and record.message.what == stream and not record.duplicate
    )
    holes = sum(hi - lo + 1 for lo, hi in missing)
    own = [record for record in records if record.stream == stream]
    return {
        "stored": head, "received": head - holes, "lost": max(0, holes - explained),
        "explained_gaps": min(explained, holes), "duplicated": doubled(own),
        "sent_again": witness.duplicates.get(stream, 0),
        "unacknowledged": witness.unacknowledged.get(stream, 0),
    }  # fmt: skip
