"""Facts in, alarms out: every rule stepped for every bed, device, uplink and part that it is about.

A fact steps at once the cells that name it; a tick once a second lets durations pass. Nothing here reads a clock:
the moment of every call is handed in. After a restart: `load_snapshot`, then `restore`, then facts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from edge_rules import alarm as life
from edge_rules.book import AlarmBook, RuleBook, key_of
from edge_rules.cell import Cell, Phase, Verdict
from edge_rules.fusion import Key, part_of, upstream_of
from edge_rules.moment import BedScope, DeviceScope, Now
from edge_rules.rule import Per, Rule
from edge_rules.signals import ISLAND_S, decide
from edge_rules.snapshot import dump, load
from edge_rules.ward import Ward
from gateway.core.model import Acknowledgement, Alarm, Condition, Detail, Event, Measurement, Mode, Stamp

__all__ = ["BedScope", "DeviceScope", "Engine", "Now"]


@dataclass(frozen=True, slots=True)
class Cause:
    """What an event adds to the alarm it raises; nothing for a condition that ripened."""

    mode: Mode
    detail: Detail = field(default_factory=dict)
    bed: str | None = None
    device: str | None = None


class Engine:
    """One site's rules at work. Every method that returns alarms returns those that changed, newest state."""

    def __init__(
        self,
        rules: Sequence[Rule],
        beds: Sequence[BedScope],
        devices: Sequence[DeviceScope],
        mode: Mode,
        *,
        upstreams: Sequence[str] = (),
    ) -> None:
        self._mode = mode
        self._rules = RuleBook(rules)
        self._ward = Ward(rules, beds, devices, upstreams)
        self._book = AlarmBook(self._rules)
        self._now: Now | None = None

    # -- facts --------------------------------------------------------------------------------------------------------

    def measurement(self, m: Measurement, now: Now) -> list[Alarm]:
        """A value came in. One of another mode than the site's neither raises nor clears anything."""
        self._now = now
        if m.mode is not self._mode:
            return []
        at_ns = self._moment(m.at, now)
        changed = self._turned(self._ward.facts.saw_measurement(m, at_ns), at_ns, now)
        for cell in self._ward.accept(m, at_ns):
            changed += self._look(cell, at_ns, now)
        return changed

    def event(self, e: Event, now: Now) -> list[Alarm]:
        """Something happened."""
        self._now = now
        at_ns = self._moment(e.at, now)
        changed = self._turned(self._ward.facts.saw_event(e, at_ns), at_ns, now)
        for rule in self._ward.triggered.get(e.kind, ()):
            changed += self._fire(rule, e, at_ns, now)
        for rule in self._ward.pulsed.get(e.kind, ()):
            cell = self._cell_of(rule, e)
            if cell is not None:
                with self._ward.pulse(cell, e.kind):
                    changed += self._look(cell, at_ns, now)
        return changed

    def tick(self, now: Now) -> list[Alarm]:
        """Once a second: durations, staleness, pauses and ladders."""
        self._now = now
        at_ns = now.stamp.mono_ns
        facts = self._ward.facts
        changed = self._turned(facts.refresh(at_ns), at_ns, now)
        for cell in self._ward.due(at_ns):
            changed += self._look(cell, at_ns, now)
        return changed + self._settle(self._book.tick(now, island=facts.silent_s(at_ns) > ISLAND_S), now)

    # -- delivery and answers -----------------------------------------------------------------------------------------

    def stored(self, alarm_id: str, now: Now) -> list[Alarm]:
        """It is committed. Like every proof of delivery this keeps the revision: save it, do not publish it again."""
        return self._book.stored(alarm_id, now)

    def published(self, alarm_id: str, now: Now, *, watched: bool = True) -> list[Alarm]:
        """PUBACK. watched False (reason 0x10, no matching subscribers) starts the local ladder at once."""
        return self._book.published(alarm_id, now, watched=watched)

    def received(self, alarm_id: str, upstream: str, now: Now, *, responder: bool = True) -> list[Alarm]:
        """A platform says it has it; only a responder's word counts for the ladder."""
        return self._book.received(alarm_id, upstream, now, responder=responder)

    def acknowledge(self, alarm_id: str, by: str, note: str, via: str, now: Now) -> list[Alarm]:
        """A named person has seen it; empty when it is unknown, over, or already answered by the same person."""
        return self._book.acknowledge(alarm_id, Acknowledgement(by, now.stamp, note, via))

    def attend(self, alarm_id: str, by: str, note: str, via: str, now: Now) -> list[Alarm]:
        """A named person is there."""
        return self._book.attend(alarm_id, Acknowledgement(by, now.stamp, note, via))

    def close(self, alarm_id: str, outcome: str, by: str, now: Now) -> list[Alarm]:
        """A named person says what came of it. What is still true raises again after the rule's rearm time."""
        self._now = now
        changed = self._book.close(alarm_id, outcome, by, now)
        if changed:
            self._release(changed[0], now)
        return self._settle(changed, now)

    def pause(self, bed: str | None, rule: str, duration_s: float, now: Now) -> list[Alarm]:
        """Silence lamp, buzzer and relay for at most 30 min. PauseRefusedError for longer, and for SOS and fall."""
        return self._book.pause(bed, rule, duration_s, now)

    # -- what is open -------------------------------------------------------------------------------------------------

    def open_alarms(self) -> list[Alarm]:
        """Oldest first."""
        return list(self._book.open.values())

    def alarm(self, alarm_id: str) -> Alarm | None:
        """One open or lately ended alarm."""
        return self._book.get(alarm_id)

    def signals(self, now: Now) -> dict[str, str]:
        """The pattern of every channel (`edge_rules.signals`)."""
        return decide(self._book.open.values(), self._ward.facts.silent_s(now.stamp.mono_ns))

    def blind(self) -> list[tuple[str, str, str]]:
        """(rule, scope, quantity) for each rule whose input no device is expected to deliver and none ever did, or with
        a limit outside of what the bed's devices declare that they can report."""
        return self._ward.blind()

    # -- restart ------------------------------------------------------------------------------------------------------

    def snapshot(self) -> str:
        """JSON of every running duration, window and fact; the alarms themselves are the store's."""
        return dump(self._ward, self._book, self._now)

    def load_snapshot(self, text: str, now: Now) -> None:
        """Go on from a snapshot, also one of an earlier boot. StoreError when it cannot be read."""
        self._now = now
        load(text, self._ward, self._book, now)

    def restore(self, alarms: Sequence[Alarm]) -> None:
        """Take over the store's open alarms; durations of rules whose alarm was closed meanwhile are dropped.

        Alarms that ended lately may be among them: then not even a snapshot older than their raise raises them again.
        """
        self._book.restore(alarms)
        for cell in self._ward.cells():
            if cell.hidden_by and cell.hidden_by not in self._book.open:
                cell.wait()
            elif cell.phase is Phase.ACTIVE and not cell.hidden_by and cell.alarm not in self._book.open:
                cell.over(cell.known_ns)
        told = {cell.id for cell in self._ward.cells() if cell.phase is Phase.ACTIVE}
        for alarm in alarms:
            self._resume(alarm, told)

    def _resume(self, alarm: Alarm, told: set[str]) -> None:
        """Give an active alarm its cell back, where the snapshot did not."""
        rule = self._rules.of(alarm)
        if rule is None or not alarm.open or alarm.condition is not Condition.ACTIVE:
            return
        key = key_of(rule, alarm.bed, alarm.device, alarm.evidence)
        cell = self._ward.cell(rule, key, alarm.bed, alarm.device)
        if cell is None or cell.id in told:
            return
        cell.phase, cell.alarm, cell.onset = Phase.ACTIVE, alarm.id, alarm.onset
        if rule.event is not None and self._same_boot(alarm):
            cell.event_ns = max(cell.event_ns, alarm.onset.mono_ns)

    def _same_boot(self, alarm: Alarm) -> bool:
        return self._now is not None and self._now.stamp.boot_id == alarm.onset.boot_id

    # -- within -------------------------------------------------------------------------------------------------------

    @staticmethod
    def _moment(at: Stamp, now: Now) -> int:
        """ns of this boot; a stamp of the future or of another boot counts as now."""
        return min(at.mono_ns, now.stamp.mono_ns) if at.boot_id == now.stamp.boot_id else now.stamp.mono_ns

    def _turned(self, keys: Iterable[Key], at_ns: int, now: Now) -> list[Alarm]:
        """Step every cell that names a fact which may have turned."""
        changed = []
        for key in keys:
            for cell in self._ward.naming(key):
                changed += self._look(cell, at_ns, now)
        return changed

    def _look(self, cell: Cell, at_ns: int, now: Now) -> list[Alarm]:
        verdict = cell.step(at_ns, now)
        changed: list[Alarm] = []
        if verdict is Verdict.RAISE and cell.onset is not None:
            changed = self._raise(cell, cell.onset, at_ns, now, Cause(self._mode))
        elif verdict is Verdict.CLEAR:
            alarm_id = cell.alarm
            cell.over(at_ns)
            changed = self._settle(self._book.clear(alarm_id, Stamp(now.stamp.boot_id, at_ns)), now)
        if cell.unknown_ns is not None or cell.reported:
            changed += self._turned(self._ward.report_unknown(cell, at_ns), at_ns, now)
        return changed

    def _cell_of(self, rule: Rule, e: Event) -> Cell | None:
        detail = {"upstream": upstream_of(e), "part": part_of(e)}
        return self._ward.cell(rule, key_of(rule, e.bed, e.device, detail), e.bed, e.device)

    def _fire(self, rule: Rule, e: Event, at_ns: int, now: Now) -> list[Alarm]:
        """An event that triggers; a replayed one (not newer than the last) and a bounce within `rearm` are the same."""
        cell = self._cell_of(rule, e)
        if cell is None or at_ns <= cell.event_ns or not cell.guard(at_ns) or not cell.scheduled(now):
            return []
        before = self._book.open.get(cell.alarm or "")
        unanswered = before is not None and before.acknowledgement is None
        if unanswered and at_ns - cell.event_ns < rule.rearm_s * 1e9:
            return []
        cell.event_ns = at_ns
        mode = self._mode if e.mode is Mode.REAL else e.mode
        return self._raise(cell, e.at, at_ns, now, Cause(mode, e.detail, e.bed, e.device)) if not cell.hidden_by else []

    def _raise(self, cell: Cell, onset: Stamp, at_ns: int, now: Now, cause: "Cause") -> list[Alarm]:
        rule = cell.rule
        cell.phase, cell.onset = Phase.ACTIVE, onset
        alarm_id = life.alarm_id(rule.id, cell.key, onset)
        if alarm_id in self._book.open:
            cell.alarm = alarm_id
            return []
        if alarm_id in self._book.recent:  # raised and ended before a restart: what is still true begins anew
            cell.over(at_ns)
            return []
        explainer = self._book.explainer(rule.id, cause.bed or cell.bed)
        if explainer is not None:
            cell.hidden_by, cell.alarm = explainer.id, None
            told = life.explaining(explainer, rule.id)
            return [self._book.put(told)] if told is not explainer else []
        before = None if rule.each else self._book.waiting(rule, cell.key)
        if before is not None and before.acknowledgement is None:
            cell.alarm = before.id
            return [self._book.put(life.repeated(before))]
        changed = [self._book.put(life.superseded(before, now.stamp, alarm_id))] if before is not None else []
        cell.alarm = alarm_id
        return changed + self._book.raise_(self._new(cell, alarm_id, onset, at_ns, now, cause), now)

    def _new(self, cell: Cell, alarm_id: str, onset: Stamp, at_ns: int, now: Now, cause: "Cause") -> Alarm:
        rule = cell.rule
        values, quality = cell.values(at_ns)
        evidence = dict(cause.detail)
        if rule.hold.need_s:
            evidence["hold_s"] = rule.hold.need_s
        if rule.scope.per in (Per.UPSTREAM, Per.PART, Per.INPUT):
            evidence[rule.scope.per.value] = cell.key
        return Alarm(
            alarm_id, 1, rule.id, rule.rev, rule.kind, rule.priority, Condition.ACTIVE, onset, now.stamp,
            bed=cause.bed or cell.bed, device=cause.device or cell.device, latch=rule.latch,
            values=values, quality=quality, evidence=evidence, bundle=rule.bundle, mode=cause.mode,
            trace={"receipt": now.receipt_real_ns or now.real_ns, "raised": now.real_ns},
        )  # fmt: skip

    def _release(self, alarm: Alarm, now: Now) -> None:
        """A closed alarm lets go of its cell."""
        for cell in self._ward.cells():
            if cell.alarm == alarm.id:
                cell.over(now.stamp.mono_ns)

    def _settle(self, changed: list[Alarm], now: Now) -> list[Alarm]:
        """Raise what an alarm that has ended was hiding, as far as it is still true."""
        while self._book.ended:
            ended = self._book.ended.pop()
            changed = changed + self._book.unhide(ended, now)
            for cell in [cell for cell in self._ward.cells() if cell.hidden_by == ended]:
                changed = changed + self._unhide(cell, now)
        return changed

    def _unhide(self, cell: Cell, now: Now) -> list[Alarm]:
        at_ns = now.stamp.mono_ns
        cell.hidden_by = ""
        match cell.gone(at_ns):
            case False if cell.onset is not None:
                return self._raise(cell, cell.onset, at_ns, now, Cause(self._mode))
            case None:
                cell.wait()
            case _:
                cell.over(at_ns)
        return []
