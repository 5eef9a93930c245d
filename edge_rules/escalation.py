"""The ladder: what happens while nobody answers. Pure: an alarm, its ages and its ladder in, the next alarm out."""

from dataclasses import dataclass
from typing import Any

from edge_rules.alarm import changed
from edge_rules.rule import LADDERS, Ladder
from gateway.core.model import Alarm, Delivery, Priority


@dataclass(frozen=True, slots=True)
class Ages:
    """Seconds since the alarm was raised, and since it was acknowledged (0 before)."""

    raised_s: float
    acknowledged_s: float = 0.0


def climbed(alarm: Alarm, ages: Ages, ladder: Ladder, *, island: bool) -> Alarm:
    """The alarm after every step that is due by now; the same object when none is.

    island: no uplink has been there for 90 s. What hides, is paused or is not open does not climb.
    """
    if not alarm.open or alarm.hidden_by:
        return alarm
    if alarm.acknowledgement is not None:
        return _after_answer(alarm, ages, ladder)
    changes: dict[str, Any] = {}
    local = _local(alarm, ages, ladder, island=island)
    if local != alarm.local:
        changes["local"] = local
    level = (_due(ages.raised_s, ladder.second_s) and 1) + (_due(ages.raised_s, ladder.third_s) and 1)
    if level > alarm.escalation:
        changes["escalation"] = level
        if level == 2 and ladder.raise_priority:
            changes["priority"] = Priority.HIGH
    return changed(alarm, **changes) if changes else alarm


def _due(age_s: float, limit_s: float) -> bool:
    return limit_s > 0.0 and age_s >= limit_s


def _local(alarm: Alarm, ages: Ages, ladder: Ladder, *, island: bool) -> str:
    """Why it sounds on the spot; once it does, only a responder's `received` or a person's answer ends it."""
    if alarm.delivery is Delivery.RECEIVED or ladder.local_s == 0.0:
        return ""
    if island:
        return "island"
    if alarm.delivery is not Delivery.PUBLISHED and _due(ages.raised_s, ladder.local_s):
        return alarm.local or "no_puback"
    if _due(ages.raised_s, ladder.received_s):
        return "no_received"
    return alarm.local


def _after_answer(alarm: Alarm, ages: Ages, ladder: Ladder) -> Alarm:
    overdue = alarm.overdue
    if alarm.attended is None and not overdue and _due(ages.acknowledged_s, ladder.attended_s):
        overdue = "attended"
    if overdue != "closed" and _due(ages.acknowledged_s, ladder.closed_s):
        overdue = "closed"
    if overdue == alarm.overdue:
        return alarm
    return changed(alarm, overdue=overdue, escalation=alarm.escalation + 1)


def unwatched(alarm: Alarm, ladder: Ladder) -> Alarm:
    """The broker took it, but nobody is subscribed (PUBACK reason 0x10): nobody has it, so it sounds here at once."""
    waiting = alarm.delivery in (Delivery.RAISED, Delivery.STORED) and alarm.acknowledgement is None
    if not waiting or not alarm.open or alarm.local or ladder.local_s == 0.0:
        return alarm
    return changed(alarm, local="no_subscriber")


def ladder_of(alarm: Alarm, known: Ladder | None) -> Ladder:
    """The rule's ladder, or its priority's where the rule is no longer in force."""
    return known if known is not None else LADDERS[alarm.priority]
