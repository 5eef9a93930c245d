"""From the house's vocabulary to the wire's: a row becomes a message of `envelope`, with UTC attached here."""

from collections.abc import Callable, Sequence

from gateway.core.model import Acknowledgement, Alarm, Event, Gap, Measurement, Minute, Stamp
from gateway.core.quantities import QUANTITIES
from gateway.upstream import envelope
from gateway.upstream.ports import Row, Timing

When = Callable[[Stamp], Timing]
DECIMALS = 3  # of values on the wire below 10, one less from 10 on: finer than any device here; a page packs integers


def message_of(row: Row, when: When, *, hist: bool = False) -> envelope.Event:
    """The wire form of a row; TypeError when its body is none of the four kinds."""
    body = row.body
    match body:
        case Alarm():
            return alarm_state(body, row.seq, row.at, when, hist=hist)
        case Measurement():
            return _observation(body, row.seq, when, hist)
        case Event() | Gap():
            return _happening(body, row.seq, when, hist)
        case list() | tuple() if all(isinstance(part, Minute) for part in body):
            return _summary(body, row, when, hist)
        case _:
            raise TypeError(f"row {row.seq} of stream {row.stream} holds {type(body).__name__}, which has no wire form")


def alarm_state(alarm: Alarm, seq: int, at: Stamp, when: When, *, hist: bool = False) -> envelope.AlarmState:
    """The whole alarm as it stands; at: the moment of this transition."""
    timing = when(at)
    return envelope.AlarmState(
        seq=seq,
        hist=hist,
        boot=at.boot_id,
        m=at.mono_ns // 1_000_000,
        t=timing.utc_ms,
        tu=timing.uncertainty_ms,
        sync=timing.sync,
        id=alarm.id,
        rev=alarm.rev,
        bed=alarm.bed,
        dev=alarm.device,
        rule=f"{alarm.rule}@{alarm.rule_rev}",
        kind=alarm.kind.value,
        prio=alarm.priority.value,
        cond=alarm.condition.value,
        signal={channel: state.value for channel, state in alarm.signal.items()},
        onset=when(alarm.onset).utc_ms,
        raised=when(alarm.raised).utc_ms,
        delay_s=_delay_s(alarm),
        val={name: round(value, DECIMALS) for name, value in alarm.values.items()},
        q=round(alarm.quality, DECIMALS),
        esc=alarm.escalation,
        ack=_person(alarm.acknowledgement, when),
        mode=alarm.mode.value,
        latch=alarm.latch,
        delivery=alarm.delivery.value,
        cleared=when(alarm.cleared).utc_ms if alarm.cleared else None,
        closed=when(alarm.closed).utc_ms if alarm.closed else None,
        outcome=alarm.outcome,
        evidence=dict(alarm.evidence),
        bundle=alarm.bundle,
        attended=_person(alarm.attended, when),
        received_by=list(alarm.received_by),
        local=alarm.local,
        overdue=alarm.overdue,
        hidden_by=alarm.hidden_by,
        paused_until=when(alarm.paused_until).utc_ms if alarm.paused_until else None,
        trace=dict(alarm.trace),
    )


def _person(named: Acknowledgement | None, when: When) -> envelope.Ack | None:
    return envelope.Ack(named.by, when(named.at).utc_ms, named.note, named.via) if named else None


def _delay_s(alarm: Alarm) -> float:
    if alarm.raised.boot_id != alarm.onset.boot_id:
        return 0.0
    return round(alarm.raised.since_s(alarm.onset), DECIMALS)


def _observation(measured: Measurement, seq: int, when: When, hist: bool) -> envelope.Observation:
    timing = when(measured.at)
    known = QUANTITIES.get(measured.quantity)
    return envelope.Observation(
        seq=seq,
        hist=hist,
        boot=measured.at.boot_id,
        m=measured.at.mono_ns // 1_000_000,
        t=timing.utc_ms,
        tu=timing.uncertainty_ms,
        sync=timing.sync,
        bed=measured.bed,
        dev=measured.device,
        what=measured.quantity,
        val=round(measured.value, DECIMALS),
        unit=measured.unit,
        q=round(measured.quality, DECIMALS),
        alg=measured.origin,
        st=measured.status.value,
        mode=measured.mode.value,
        win_s=measured.window_s,
        loinc=known.loinc if known else None,
        mdc=known.mdc if known else None,
        asg=measured.assigned,
    )


def _summary(minutes: Sequence[Minute], row: Row, when: When, hist: bool) -> envelope.Summary:
    timing = when(row.at)
    return envelope.Summary(
        seq=row.seq,
        hist=hist,
        boot=row.at.boot_id,
        m=row.at.mono_ns // 1_000_000,
        t=timing.utc_ms,
        tu=timing.uncertainty_ms,
        sync=timing.sync,
        bed=row.bed,
        mode=minutes[0].mode.value if minutes else "real",
        stats={minute.quantity: _stat(minute) for minute in minutes},
    )


def _stat(minute: Minute) -> envelope.Stat:
    quality = round(float(minute.quality), 2)
    return envelope.Stat(minute.n, _rounded(minute.min), _rounded(minute.mean), _rounded(minute.max), quality)


def _rounded(value: float) -> float:
    return round(float(value), DECIMALS if abs(value) < 10.0 else DECIMALS - 1)


def _happening(fact: Event | Gap, seq: int, when: When, hist: bool) -> envelope.Happening | envelope.GapNote:
    timing = when(fact.at)
    boot, mono_ms = fact.at.boot_id, fact.at.mono_ns // 1_000_000
    if isinstance(fact, Gap):
        return envelope.GapNote(
            seq=seq,
            hist=hist,
            boot=boot,
            m=mono_ms,
            t=timing.utc_ms,
            tu=timing.uncertainty_ms,
            sync=timing.sync,
            what=fact.what,
            reason=fact.reason,
            lost=fact.lost,
            bed=fact.bed,
            dev=fact.device,
        )
    return envelope.Happening(
        seq=seq,
        hist=hist,
        boot=boot,
        m=mono_ms,
        t=timing.utc_ms,
        tu=timing.uncertainty_ms,
        sync=timing.sync,
        kind=fact.kind,
        mode=fact.mode.value,
        bed=fact.bed,
        dev=fact.device,
        detail=dict(fact.detail),
    )
