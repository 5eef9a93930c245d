"""The life of an alarm: condition, signal and delivery as three state machines over one frozen value.

Every function returns a new Alarm, or the same object where nothing changed. What changes the alarm for people raises
`rev`; proof of delivery (stored, published, received) does not, since an answer to revision 3 must not make a
revision 4 that asks to be delivered in its turn.
"""

import hashlib
from dataclasses import replace
from typing import Any

from edge_rules.moment import Now
from edge_rules.signals import channels
from gateway.core.model import Acknowledgement, Alarm, Condition, Delivery, Stamp

_STEPS = (Delivery.RAISED, Delivery.STORED, Delivery.PUBLISHED, Delivery.RECEIVED)
_ID_DIGITS = 16  # 64 bits of SHA-256: no two onsets of a city's beds meet


def alarm_id(rule: str, scope: str, onset: Stamp) -> str:
    """The same for the same rule, bed (device, part ...) and onset, also after a restart."""
    text = "\n".join((rule, scope, onset.boot_id, str(onset.mono_ns)))
    return f"a-{hashlib.sha256(text.encode()).hexdigest()[:_ID_DIGITS]}"


def sounding(alarm: Alarm) -> Alarm:
    """The same alarm with the signals that its state asks for."""
    return replace(alarm, signal=channels(alarm))


def changed(alarm: Alarm, **changes: Any) -> Alarm:
    """The next revision, with its signals."""
    return sounding(replace(alarm, rev=alarm.rev + 1, **changes))


# -- condition --------------------------------------------------------------------------------------------------------


def cleared(alarm: Alarm, at: Stamp) -> Alarm:
    """What the rule describes is no longer true. A latched alarm stays open and waits for a person."""
    if alarm.condition is Condition.INACTIVE:
        return alarm
    return changed(alarm, condition=Condition.INACTIVE, cleared=at)


def superseded(alarm: Alarm, at: Stamp, by: str) -> Alarm:
    """It happened again after a person had answered: the new alarm asks, this one still waits to be closed."""
    return changed(
        alarm, condition=Condition.INACTIVE, cleared=alarm.cleared or at, evidence={**alarm.evidence, "again": by}
    )


def repeated(alarm: Alarm) -> Alarm:
    """It happened again while nobody had answered yet: the same alarm, counted."""
    count = int(alarm.evidence.get("repeats", 0)) + 1
    evidence = {**alarm.evidence, "repeats": count}
    return changed(alarm, condition=Condition.ACTIVE, cleared=None, evidence=evidence)


def hidden(alarm: Alarm, by: str) -> Alarm:
    """Another alarm explains this one."""
    return changed(alarm, hidden_by=by)


def shown(alarm: Alarm) -> Alarm:
    """What explained it has gone, and it is still true."""
    return changed(alarm, hidden_by="")


def explaining(alarm: Alarm, rule: str) -> Alarm:
    """This alarm hides one of `rule`, and says so."""
    before = str(alarm.evidence.get("explains", "")).split()
    if rule in before:
        return alarm
    return changed(alarm, evidence={**alarm.evidence, "explains": " ".join((*before, rule))})


# -- delivery: each step is somebody else's answer, and never goes back -----------------------------------------------


def delivered(alarm: Alarm, step: Delivery, now: Now) -> Alarm:
    """Proof that it got as far as `step`; the same revision."""
    if _STEPS.index(step) <= _STEPS.index(alarm.delivery):
        return alarm
    trace = {**alarm.trace}
    trace.setdefault(step.value, now.real_ns)
    local = "" if step is Delivery.RECEIVED else alarm.local
    return sounding(replace(alarm, delivery=step, trace=trace, local=local))


def received(alarm: Alarm, upstream: str, now: Now, *, responder: bool) -> Alarm:
    """A platform has it. Only a responder's word moves the delivery and silences what sounds for lack of it."""
    if upstream not in alarm.received_by:
        alarm = replace(alarm, received_by=(*alarm.received_by, upstream))
    return delivered(alarm, Delivery.RECEIVED, now) if responder else alarm


# -- answers ----------------------------------------------------------------------------------------------------------


def acknowledged(alarm: Alarm, answer: Acknowledgement) -> Alarm:
    """A named person answers; the first one counts, a later one is kept as evidence."""
    if not alarm.open:
        return alarm
    if alarm.acknowledgement is None:
        return changed(alarm, acknowledgement=answer, local="")
    if alarm.overdue:
        evidence = {**alarm.evidence, "first_answer": alarm.acknowledgement.by}
        return changed(alarm, acknowledgement=answer, overdue="", evidence=evidence)
    others = str(alarm.evidence.get("also_answered", "")).split()
    if answer.by == alarm.acknowledgement.by or answer.by in others:
        return alarm
    return changed(alarm, evidence={**alarm.evidence, "also_answered": " ".join((*others, answer.by))})


def attended(alarm: Alarm, answer: Acknowledgement) -> Alarm:
    """Somebody is there; who attends has also answered."""
    if not alarm.open or alarm.attended is not None:
        return alarm
    return changed(
        alarm, attended=answer, acknowledgement=alarm.acknowledgement or answer, local="",
        overdue="" if alarm.overdue == "attended" else alarm.overdue,
    )  # fmt: skip


def closed(alarm: Alarm, outcome: str, by: str, at: Stamp) -> Alarm:
    """A person says what came of it; also an alarm that went away by itself may be given its outcome."""
    if alarm.closed is not None:
        return alarm
    evidence = {**alarm.evidence, "closed_by": by}
    return changed(
        alarm, condition=Condition.INACTIVE, cleared=alarm.cleared or at, closed=at, outcome=outcome, hidden_by="",
        overdue="", local="", paused_until=None, evidence=evidence,
    )  # fmt: skip


# -- local signals ----------------------------------------------------------------------------------------------------


def paused(alarm: Alarm, until: Stamp) -> Alarm:
    """Lamp, buzzer and relay are silent until then."""
    return changed(alarm, paused_until=until)


def resumed(alarm: Alarm) -> Alarm:
    """The pause is over."""
    return changed(alarm, paused_until=None)
