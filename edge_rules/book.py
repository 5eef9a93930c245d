"""The open alarms, their ages, pauses and explanations. What ended lately is kept for late answers.

Methods return the alarms that changed, newest state, in the order in which they changed.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from edge_rules import alarm as life
from edge_rules.escalation import Ages, climbed, ladder_of, unwatched
from edge_rules.moment import Now
from edge_rules.rule import AT_BED, FLOOR, NEVER_PAUSED, Ladder, Per, Rule
from gateway.core.errors import CarebedError
from gateway.core.model import Acknowledgement, Alarm, Condition, Delivery, Stamp

MAX_PAUSE_S = 1800.0
MAX_DONE = 64  # ended alarms that may still get a PUBACK or an outcome; older ones are the store's
MAX_RECENT = 512  # ids that must not be raised a second time: a worker may replay two minutes of events


class PauseRefusedError(CarebedError):
    """A pause that may not be: say so to whoever asked."""


@dataclass(slots=True)
class Clockwork:
    """When an alarm was raised and answered, in ns of the present boot."""

    raised_ns: int
    answered_ns: int | None = None


def key_of(rule: Rule, bed: str | None, device: str | None, detail: Mapping[str, object]) -> str:
    """The scope within a rule to which an event or an alarm belongs.

    A contact module serves several beds: an event of the same device at another bed is another scope, or the second of
    two people who pull their cords at the same moment would be taken for a bounce of the first.
    """
    match rule.scope.per:
        case Per.BED:
            return bed or f"device:{device or 'unknown'}"
        case Per.DEVICE if rule.event is not None and device and bed:
            return f"{device}{AT_BED}{bed}"
        case Per.DEVICE:
            return device or f"bed:{bed or 'unknown'}"
        case Per.SITE:
            return ""
    return str(detail.get(rule.scope.per.value, ""))


class RuleBook:
    """The rule behind an alarm: of the same bundle where it is still in force, otherwise any of the same name."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._exact = {(rule.id, rule.bundle): rule for rule in rules}
        self._any = {rule_id: rule for (rule_id, _), rule in self._exact.items()}

    def of(self, alarm: Alarm) -> Rule | None:
        """None where no such rule is in force any more."""
        return self._exact.get((alarm.rule, alarm.bundle)) or self._any.get(alarm.rule)


class AlarmBook:
    """Every open alarm by id."""

    def __init__(self, rules: RuleBook) -> None:
        self._rules = rules
        self.open: dict[str, Alarm] = {}
        self.done: OrderedDict[str, Alarm] = OrderedDict()
        self.recent: deque[str] = deque(maxlen=MAX_RECENT)  # the oldest goes first
        self.clocks: dict[str, Clockwork] = {}
        self.pauses: dict[tuple[str, str], int] = {}
        self.ended: list[str] = []  # ids that ended since the engine last looked: what they explained may be raised

    def get(self, alarm_id: str) -> Alarm | None:
        """An open or lately ended alarm."""
        return self.open.get(alarm_id) or self.done.get(alarm_id)

    def put(self, alarm: Alarm) -> Alarm:
        """Keep the newest state, among the open or the ended."""
        if alarm.open:
            self.open[alarm.id] = alarm
        else:
            if self.open.pop(alarm.id, None) is not None:
                self.ended.append(alarm.id)
                self.clocks.pop(alarm.id, None)
            self.done[alarm.id] = alarm
            while len(self.done) > MAX_DONE:
                self.done.popitem(last=False)
        return alarm

    def _move(self, before: Alarm, after: Alarm) -> list[Alarm]:
        return [] if after is before else [self.put(after)]

    def waiting(self, rule: Rule, key: str) -> Alarm | None:
        """The newest open alarm of this rule and scope."""
        for alarm in reversed(self.open.values()):
            if alarm.rule == rule.id and key_of(rule, alarm.bed, alarm.device, alarm.evidence) == key:
                return alarm
        return None

    # -- raised, cleared --------------------------------------------------------------------------------------------

    def raise_(self, alarm: Alarm, now: Now) -> list[Alarm]:
        """A new alarm, and what it explains hidden behind it."""
        until_ns = self.pauses.get((alarm.bed or "", alarm.rule))
        if until_ns is not None and until_ns > now.stamp.mono_ns:
            alarm = replace(alarm, paused_until=Stamp(now.stamp.boot_id, until_ns))
        self.recent.append(alarm.id)
        self.clocks[alarm.id] = Clockwork(now.stamp.mono_ns)
        alarm = self.put(life.sounding(alarm))
        changed = []
        for other in list(self.open.values()):
            if not other.hidden_by and self._explains(alarm, other.rule, other.bed):
                changed.append(self.put(life.hidden(other, alarm.id)))
                alarm = self.put(replace(life.explaining(alarm, other.rule), rev=alarm.rev))  # nobody saw it yet
        return [alarm, *changed]

    def explainer(self, rule: str, bed: str | None) -> Alarm | None:
        """An open alarm that explains one of `rule` in this bed."""
        for alarm in self.open.values():
            if self._explains(alarm, rule, bed):
                return alarm
        return None

    def _explains(self, alarm: Alarm, rule: str, bed: str | None) -> bool:
        known = self._rules.of(alarm)
        if known is None or rule not in known.explains or rule in FLOOR or alarm.hidden_by:
            return False
        return alarm.bed is None or alarm.bed == bed

    def clear(self, alarm_id: str | None, at: Stamp) -> list[Alarm]:
        """The condition has gone."""
        alarm = self.open.get(alarm_id or "")
        return self._move(alarm, life.cleared(alarm, at)) if alarm is not None else []

    def unhide(self, alarm_id: str, now: Now) -> list[Alarm]:
        """An explanation ended: what it hid and is still true asks again, what is no longer true is closed with it."""
        changed = []
        for alarm in list(self.open.values()):
            if alarm.hidden_by != alarm_id:
                continue
            if alarm.condition is Condition.ACTIVE:
                self.clocks[alarm.id] = Clockwork(now.stamp.mono_ns)
                changed.append(self.put(life.shown(alarm)))
            else:
                changed.append(self.put(life.closed(alarm, "explained", alarm_id, now.stamp)))
        return changed

    # -- delivery -----------------------------------------------------------------------------------------------------

    def stored(self, alarm_id: str, now: Now) -> list[Alarm]:
        """Committed with synchronous=FULL."""
        alarm = self.get(alarm_id)
        return [] if alarm is None else self._move(alarm, life.delivered(alarm, Delivery.STORED, now))

    def published(self, alarm_id: str, now: Now, *, watched: bool) -> list[Alarm]:
        """PUBACK; not watched: with reason "no matching subscribers"."""
        alarm = self.get(alarm_id)
        if alarm is None:
            return []
        if watched:
            return self._move(alarm, life.delivered(alarm, Delivery.PUBLISHED, now))
        return self._move(alarm, unwatched(alarm, ladder_of(alarm, self._ladder(alarm))))

    def received(self, alarm_id: str, upstream: str, now: Now, *, responder: bool) -> list[Alarm]:
        """A platform says that it has it."""
        alarm = self.get(alarm_id)
        return [] if alarm is None else self._move(alarm, life.received(alarm, upstream, now, responder=responder))

    # -- answers ------------------------------------------------------------------------------------------------------

    def acknowledge(self, alarm_id: str, answer: Acknowledgement) -> list[Alarm]:
        """A named person has seen it."""
        alarm = self.get(alarm_id)
        if alarm is None:
            return []
        after = life.acknowledged(alarm, answer)
        if after.acknowledgement is answer and alarm_id in self.clocks:
            self.clocks[alarm_id].answered_ns = answer.at.mono_ns
        return self._move(alarm, after)

    def attend(self, alarm_id: str, answer: Acknowledgement) -> list[Alarm]:
        """A named person is there."""
        alarm = self.get(alarm_id)
        if alarm is None:
            return []
        after = life.attended(alarm, answer)
        if after.acknowledgement is answer and alarm_id in self.clocks:
            self.clocks[alarm_id].answered_ns = answer.at.mono_ns
        return self._move(alarm, after)

    def close(self, alarm_id: str, outcome: str, by: str, now: Now) -> list[Alarm]:
        """A named person says what came of it."""
        alarm = self.get(alarm_id)
        return [] if alarm is None else self._move(alarm, life.closed(alarm, outcome, by, now.stamp))

    # -- pauses -------------------------------------------------------------------------------------------------------

    def pause(self, bed: str | None, rule: str, duration_s: float, now: Now) -> list[Alarm]:
        """Silence lamp, buzzer and relay for alarms of one rule in one bed. PauseRefusedError."""
        if rule in NEVER_PAUSED:
            raise PauseRefusedError(f"{rule} cannot be paused", hint="go to the person, then acknowledge and close it")
        if not 0.0 < duration_s <= MAX_PAUSE_S:
            raise PauseRefusedError(
                f"a pause of {duration_s:g} s was asked for, at most {MAX_PAUSE_S:g} s are allowed",
                hint="pause for up to 30 minutes and renew it if need be",
            )
        until = now.stamp.plus_s(duration_s)
        self.pauses[bed or "", rule] = until.mono_ns
        concerned = [alarm for alarm in self.open.values() if alarm.rule == rule and alarm.bed == bed]
        return [self.put(life.paused(alarm, until)) for alarm in concerned]

    def _end_pauses(self, now: Now) -> list[Alarm]:
        over = [key for key, until_ns in self.pauses.items() if until_ns <= now.stamp.mono_ns]
        for key in over:
            del self.pauses[key]
        waking = [
            alarm
            for alarm in self.open.values()
            if alarm.paused_until is not None and (alarm.bed or "", alarm.rule) not in self.pauses
        ]
        return [self.put(life.resumed(alarm)) for alarm in waking]

    # -- time ---------------------------------------------------------------------------------------------------------

    def tick(self, now: Now, *, island: bool) -> list[Alarm]:
        """Every ladder one look further."""
        changed = self._end_pauses(now)
        for alarm in list(self.open.values()):
            ages = self._ages(alarm, now.stamp.mono_ns)
            after = climbed(alarm, ages, ladder_of(alarm, self._ladder(alarm)), island=island)
            changed += self._move(alarm, after)
        return changed

    def _ages(self, alarm: Alarm, at_ns: int) -> Ages:
        clock = self.clocks.get(alarm.id)
        if clock is None:
            clock = self.clocks[alarm.id] = Clockwork(at_ns)
        if alarm.acknowledgement is None:
            return Ages((at_ns - clock.raised_ns) / 1e9)
        if clock.answered_ns is None:
            clock.answered_ns = at_ns
        return Ages((at_ns - clock.raised_ns) / 1e9, (at_ns - clock.answered_ns) / 1e9)

    def _ladder(self, alarm: Alarm) -> Ladder | None:
        rule = self._rules.of(alarm)
        return None if rule is None else rule.ladder

    def restore(self, alarms: Iterable[Alarm]) -> None:
        """Take over what the store holds open, after `load_snapshot`. Ages not in the snapshot begin now."""
        for alarm in alarms:
            if alarm.open:
                self.open[alarm.id] = alarm
            if alarm.id not in self.recent:
                self.recent.append(alarm.id)
