"""One rule for one bed (device, upstream ...): inactive, pending, active, and what unknown does to each.

Unknown holds: it neither raises nor clears. A pending or clearing duration runs on through an unknown of at most
`max_gap` and begins anew after a longer one; one longer than `unknown_after` is reported for an alarm of its own.
All times are nanoseconds of the present boot; only `onset` keeps the stamp with which the alarm's id is made.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from edge_rules.channel import Channel, Pulse
from edge_rules.kleene import Env, Value
from edge_rules.moment import Now
from edge_rules.rule import Rule
from gateway.core.model import Stamp

IDLE_STEP_NS = 5 * 10**9  # an idle cell is looked at this often, only to notice that an input has become unknown
SECOND_NS = 10**9


class Source(Protocol):
    """What a name in a predicate stands for."""

    def read(self, at_ns: int) -> Value:
        """The value at that moment, None for unknown."""


class Phase(StrEnum):
    INACTIVE = "inactive"
    PENDING = "pending"
    ACTIVE = "active"


class Verdict(StrEnum):
    """What a step asks the engine to do."""

    NONE = "none"
    RAISE = "raise"
    CLEAR = "clear"


class Cell:
    """State of one rule in one scope. `step` at every new value and once a second while `due_ns` has passed."""

    def __init__(self, rule: Rule, key: str, bed: str | None, device: str | None, sources: Sequence[Source]) -> None:
        self.rule = rule
        self.key = key
        self.bed = bed
        self.device = device
        self.sources = tuple(sources)
        self.id = f"{rule.id} {key}"
        self.phase = Phase.INACTIVE
        self.onset: Stamp | None = None
        self.since_ns = 0
        self.known_ns = 0
        self.clear_since_ns: int | None = None
        self.rearm_ns = 0
        self.unknown_ns: int | None = None
        self.seconds = 0  # bit n: the condition was true n seconds before `second`; only where seconds are counted
        self.second = 0
        self.event_ns = -1
        self.alarm: str | None = None
        self.hidden_by = ""
        self.reported: tuple[str, ...] = ()
        self.due_ns = 0
        self._hold_ns = round(rule.hold.need_s * 1e9)
        self._gap_ns = round(rule.quality.max_gap_s * 1e9)
        self._clear_for_ns = round(rule.clear_for_s * 1e9)
        self._rearm_for_ns = round(rule.rearm_s * 1e9)
        self._unknown_after_ns = round(rule.quality.unknown_after_s * 1e9)
        self._every_ns = round(rule.every_s * 1e9)
        self._aging = any(name.startswith("age(") for name in rule.names)

    @property
    def timed(self) -> bool:
        """Whether time alone can change anything here."""
        return self.rule.event is None or self.rule.clear is not None

    @property
    def lively(self) -> bool:
        """Whether there is any state worth keeping through a restart."""
        return (
            self.phase is not Phase.INACTIVE
            or self.unknown_ns is not None
            or self.seconds != 0
            or self.rearm_ns > 0
            or self.event_ns >= 0
            or bool(self.reported)
        )

    def env(self, at_ns: int) -> Env:
        """The values by slot."""
        return [source.read(at_ns) for source in self.sources]

    def step(self, at_ns: int, now: Now) -> Verdict:
        """Look at the inputs as they are at `at_ns` (of the fact that came in, or of the tick)."""
        if self._every_ns and at_ns < self.due_ns:
            return Verdict.NONE
        if self.phase is not Phase.INACTIVE:
            at_ns = max(at_ns, self.known_ns)  # a late value cannot undo what was already known
        env = self.env(at_ns)
        when, unless = self.rule.when, self.rule.unless
        truth = when.evaluate(env) if when is not None else None
        self._note_unknown(truth, at_ns)
        if self.phase is Phase.ACTIVE:
            verdict = self._step_active(env, truth, at_ns)
        else:
            if truth is not False and unless is not None and unless.evaluate(env) is True:
                truth = False
            verdict = self._step_waiting(truth, at_ns, now)
        self._plan(at_ns)
        return verdict

    def guard(self, at_ns: int) -> bool:
        """Whether an event may raise: only a definite no of `when` or a definite yes of `unless` holds it back."""
        env = self.env(at_ns)
        when, unless = self.rule.when, self.rule.unless
        if when is not None and when.evaluate(env) is False:
            return False
        return unless is None or unless.evaluate(env) is not True

    def scheduled(self, now: Now) -> bool:
        """Whether this is a time of day at which the rule may raise; yes while the box does not know the time."""
        schedule = self.rule.schedule
        return schedule is None or not now.local_certain or schedule.contains(now.local)

    def gone(self, at_ns: int) -> bool | None:
        """Whether an active condition has gone: by `clear`, or by `when` being false; None for unknown."""
        env = self.env(at_ns)
        if self.rule.clear is not None:
            return self.rule.clear.evaluate(env)
        truth = self.rule.when.evaluate(env) if self.rule.when is not None and self.rule.event is None else True
        return None if truth is None else not truth

    def wait(self) -> None:
        """Back to pending with its duration kept: the next known value decides."""
        self.phase, self.hidden_by = Phase.PENDING, ""

    def over(self, at_ns: int) -> None:
        """The alarm was cleared or closed: inactive, and silent for the rule's rearm time."""
        self.phase, self.onset, self.clear_since_ns = Phase.INACTIVE, None, None
        self.alarm, self.hidden_by, self.seconds = None, "", 0
        self.rearm_ns = at_ns + self._rearm_for_ns if self._rearm_for_ns else 0
        self.due_ns = at_ns

    def unknown_inputs(self, at_ns: int) -> tuple[str, ...]:
        """The names without a value, once that has lasted longer than the rule allows."""
        if self.unknown_ns is None or not self._unknown_after_ns or at_ns - self.unknown_ns < self._unknown_after_ns:
            return ()
        names = zip(self.rule.names, self.sources, strict=True)
        return tuple(
            self.rule.inputs[name].quantity if name in self.rule.inputs else name
            for name, source in names
            if not isinstance(source, Pulse) and source.read(at_ns) is None and not name.startswith("age(")
        )

    def values(self, at_ns: int) -> tuple[dict[str, float], float]:
        """The numeric inputs by quantity, and the lowest quality among them."""
        values: dict[str, float] = {}
        quality = 1.0
        for source in self.sources:
            if isinstance(source, Channel) and (value := source.read(at_ns)) is not None:
                values[source.input.quantity] = value
                quality = min(quality, source.quality)
        return values, quality

    def _note_unknown(self, truth: bool | None, at_ns: int) -> None:
        if truth is not None or self.rule.event is not None:
            self.unknown_ns = None
        elif self.unknown_ns is None:
            self.unknown_ns = at_ns

    def _step_waiting(self, truth: bool | None, at_ns: int, now: Now) -> Verdict:
        if self.rule.event is not None:
            return Verdict.NONE
        held = self._count(truth, at_ns, now) if self.rule.hold.share else self._run(truth, at_ns, now)
        if not held or truth is not True or at_ns < self.rearm_ns:
            return Verdict.NONE
        if not self.scheduled(now):
            return Verdict.NONE
        self.phase = Phase.ACTIVE
        self.clear_since_ns = None
        self.rearm_ns = 0
        return Verdict.RAISE

    def _run(self, truth: bool | None, at_ns: int, now: Now) -> bool:
        """An unbroken run; True once it is long enough."""
        if truth is None:
            return False
        gap_ns, self.known_ns = at_ns - self.known_ns, at_ns
        if not truth:
            self.phase, self.onset = Phase.INACTIVE, None
            return False
        if self.phase is Phase.INACTIVE or gap_ns > self._gap_ns:
            self._begin(at_ns, now)
        return at_ns - self.since_ns >= self._hold_ns

    def _begin(self, at_ns: int, now: Now) -> None:
        self.phase, self.since_ns = Phase.PENDING, at_ns
        self.onset = Stamp(now.stamp.boot_id, at_ns)

    def _count(self, truth: bool | None, at_ns: int, now: Now) -> bool:
        """Seconds that were true among the last `of_s`; an unknown second counts as not true."""
        second, of_s = at_ns // SECOND_NS, int(self.rule.hold.of_s)
        passed = max(0, second - self.second)
        self.seconds = (self.seconds << passed) & ((1 << of_s) - 1) if passed < of_s else 0
        self.second = max(second, self.second)
        if truth is not None:
            self.known_ns = at_ns
        if truth:
            self.seconds |= 1
            if self.phase is Phase.INACTIVE:
                self._begin(at_ns, now)
        elif not self.seconds:
            self.phase, self.onset = Phase.INACTIVE, None
        return self.seconds.bit_count() >= self.rule.hold.need_s

    def _step_active(self, env: Env, truth: bool | None, at_ns: int) -> Verdict:
        clear = self.rule.clear
        if clear is not None:
            gone = clear.evaluate(env)
        elif self.rule.event is not None:
            return Verdict.NONE  # an event has no end of its own: it stays until a person closes it
        else:
            gone = None if truth is None else not truth
        if gone is None:
            return Verdict.NONE
        gap_ns, self.known_ns = at_ns - self.known_ns, at_ns
        if not gone:
            self.clear_since_ns = None
            return Verdict.NONE
        if self.clear_since_ns is None or gap_ns > self._gap_ns:
            self.clear_since_ns = at_ns
        return Verdict.CLEAR if at_ns - self.clear_since_ns >= self._clear_for_ns else Verdict.NONE

    def _plan(self, at_ns: int) -> None:
        """When the clock alone must bring the next look."""
        if self._every_ns:
            self.due_ns = at_ns + self._every_ns
        elif self.phase is Phase.INACTIVE and self.unknown_ns is None and not self.seconds and not self._aging:
            self.due_ns = (at_ns // IDLE_STEP_NS + 1) * IDLE_STEP_NS
        else:
            self.due_ns = at_ns + SECOND_NS // 2  # every tick
