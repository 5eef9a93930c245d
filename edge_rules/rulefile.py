"""Rule files: TOML text in, rules or every fault at once out.

```toml
[rule.heart_rate_high]
rev = 1
kind = "physiological"                        # physiological, technical, other
priority = "high"                             # high, medium, low
input = { hr = "heart_rate|median 9s" }       # alias = "quantity" or "quantity|median, mean, min or max and a window"
when = "hr >= 131 && in_bed"                  # or: event = "sos_pressed", with `when` as an optional guard
for = "60s"                                   # or "54 of 60 s"
clear = "hr < 126"                            # absent: when `when` is false
clear_for = "30s"
rearm = "5m"                                  # after a clear or a close it does not raise again within this time
quality = { hr = 0.6, fresh = "5s", max_gap = "20s", unknown_after = "10m" }
reason = "..."                                # why it is worth a person's attention
source = "..."                                # where the numbers come from
```
Optional: latch, removable, schedule = "22:00-06:00 local", unless, every, each, explains = ["rule"], text = "key",
scope = "bed" or { per = "bed", profile = [..], bed = [..], family = [..], resident = [..] },
escalate = { local, received, second, third, attended, closed } (durations or "off", and raise_priority).
"""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from enum import StrEnum
from importlib import resources
from typing import Any, TypeVar

from edge_rules.channel import MAX_WINDOW_S, SMOOTHINGS
from edge_rules.contradiction import contradictions
from edge_rules.expression import Expression, ExpressionError, Type, compile_expression
from edge_rules.rule import EVENTS, FLOOR, LADDERS, MEASURED, Input, Ladder, Per, Quality, Rule, Scope, types_in
from edge_rules.schedule import Hold, Schedule, duration_s
from gateway.core.errors import ConfigError, Fault
from gateway.core.model import Kind, Priority
from gateway.core.quantities import QUANTITIES
from gateway.toml_lines import key_text, locate

_KEYS = (
    "rev", "kind", "priority", "latch", "removable", "input", "when", "event", "each", "for", "clear", "clear_for",
    "rearm", "quality", "schedule", "unless", "every", "scope", "escalate", "explains", "text", "reason", "source",
)  # fmt: skip
_SCOPE_KEYS = ("per", "profile", "bed", "family", "resident")
_ESCALATE_KEYS = ("local", "received", "second", "third", "raise_priority", "attended", "closed")
_INPUT = re.compile(r"\s*([a-z_0-9]+)\s*(?:\|\s*([a-z_0-9]+)\s+(.+))?")
_ID = re.compile(r"[a-z][a-z0-9_]{0,39}")
MAX_RULES = 200  # more than a person can keep an overview of; also bounds the engine's cost

EnumT = TypeVar("EnumT", bound=StrEnum)


def load_defaults() -> tuple[Rule, ...]:
    """The built-in rules. ConfigError when the package is damaged."""
    text = resources.files("edge_rules").joinpath("defaults.toml").read_text(encoding="utf-8")
    rules = load_rules(text, "defaults.toml")
    missing = FLOOR - {rule.id for rule in rules}
    if missing:
        fault = Fault(0, "rule", f"the safety floor lacks {', '.join(sorted(missing))}", "reinstall the package")
        raise ConfigError("defaults.toml", (fault,))
    return rules


def load_rules(text: str, path: str, *, bundle: str = "built-in") -> tuple[Rule, ...]:
    """All rules of one file, or ConfigError with every fault, each with its line."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = re.search(r"line (\d+)", str(error))
        fault = Fault(int(match.group(1)) if match else 0, "file", str(error), "mend the TOML syntax")
        raise ConfigError(path, (fault,)) from error
    reader = _Reader(_lines(text), bundle)
    rules = reader.document(document)
    if reader.faults:
        raise ConfigError(path, tuple(sorted(reader.faults, key=lambda fault: fault.line)))
    return rules


def lay_over(base: Sequence[Rule], extra: Sequence[Rule], path: str) -> tuple[Rule, ...]:
    """`base` with the rules of `extra` in place of those of the same name. ConfigError if that touches the floor."""
    names = {rule.id: rule for rule in base}
    faults = [
        Fault(0, f"rule.{rule.id}", "belongs to the safety floor and cannot be replaced", "leave it out")
        for rule in extra
        if rule.id in names and not names[rule.id].removable
    ]
    if faults:
        raise ConfigError(path, tuple(faults))
    names.update({rule.id: rule for rule in extra})
    return tuple(names.values())


def _lines(text: str) -> dict[str, int]:
    """Line of each "rule.<id>" and "rule.<id>.<key>" as far as they are written one a line."""
    return {key_text(path): line for path, line in locate(text.splitlines())[0].items()}


def _near(word: str, known: Iterable[str]) -> str:
    """ "did you mean x?" or the list of what is known."""
    names = sorted(known)
    near = get_close_matches(word, names, 1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}"


class _Reader:
    """Turns the parsed document into rules and collects the faults on the way."""

    def __init__(self, lines: Mapping[str, int], bundle: str) -> None:
        self.faults: list[Fault] = []
        self._lines = lines
        self._bundle = bundle
        self._at = "rule"

    def fault(self, key: str, message: str, hint: str) -> None:
        where = f"{self._at}.{key}" if key else self._at
        line = self._lines.get(where) or self._lines.get(self._at, 0)
        self.faults.append(Fault(line, where, message, hint))

    def document(self, document: Mapping[str, Any]) -> tuple[Rule, ...]:
        for key in document:
            if key not in ("rule", "disable"):
                line = self._lines.get(key, 0)
                self.faults.append(Fault(line, key, "unknown section", "rules begin with [rule.name]"))
        sections = document.get("rule", {})
        if not isinstance(sections, dict) or len(sections) > MAX_RULES:
            self.faults.append(Fault(0, "rule", f"expected 1 to {MAX_RULES} sections [rule.name]", "split the file"))
            return ()
        rules = [rule for name, table in sections.items() if (rule := self._rule(name, table)) is not None]
        self._check_explains(rules, set(sections))
        return tuple(rules)

    def _check_explains(self, rules: Sequence[Rule], names: set[str]) -> None:
        for rule in rules:
            self._at = f"rule.{rule.id}"
            for other in sorted(rule.explains):
                if other in FLOOR:
                    self.fault("explains", f"{other} belongs to the safety floor and is never hidden", "leave it out")
                elif other not in names and self._bundle == "built-in":
                    self.fault("explains", f"there is no rule {other!r}", _near(other, names))

    def _rule(self, name: str, table: Any) -> Rule | None:
        self._at = f"rule.{name}"
        before = len(self.faults)
        if not isinstance(table, dict) or not _ID.fullmatch(name):
            self.fault("", "expected a section with a name of small letters, digits and _", "as [rule.night_exit]")
            return None
        for key in table:
            if key not in _KEYS:
                self.fault(key, "unknown key", _near(key, _KEYS))
        scope = self._scope(table.get("scope", "bed"))
        inputs = self._inputs(table, scope.per)
        priority = self._choice(table, "priority", Priority)
        slots: dict[str, int] = {}
        written = table.get("input", {})
        aliases = {*inputs, *(written if isinstance(written, dict) else ())}  # also one whose definition is faulty
        predicates = self._predicates(table, scope.per, aliases, slots)
        event = self._event(table, predicates["when"])
        removable = self._typed(table, "removable", bool, True)
        if name in FLOOR and (removable or self._bundle != "built-in"):
            self.fault("removable", f"{name} belongs to the safety floor", "only the built-in file may name it")
        rule = Rule(
            id=name,
            rev=self._typed(table, "rev", int, None),
            kind=self._choice(table, "kind", Kind),
            priority=priority,
            latch=self._typed(table, "latch", bool, False),
            removable=removable,
            reason=self._typed(table, "reason", str, None),
            source=self._typed(table, "source", str, None),
            text=self._typed(table, "text", str, f"rule.{name}"),
            scope=scope,
            names=tuple(slots),
            event=event,
            each=self._typed(table, "each", bool, False),
            hold=self._hold(table),
            clear_for_s=self._duration(table, "clear_for", 0.0),
            rearm_s=self._duration(table, "rearm", 0.0),
            every_s=self._duration(table, "every", 0.0),
            schedule=self._schedule(table),
            inputs=inputs,
            quality=self._quality(table),
            ladder=self._ladder(table, LADDERS[priority]),
            explains=frozenset(self._words(table, "explains")),
            bundle=self._bundle,
            **predicates,
        )
        if len(self.faults) == before:
            for key, message, hint in contradictions(rule):
                self.fault(key, message, hint)
        return rule if len(self.faults) == before else None

    def _typed(self, table: Mapping[str, Any], key: str, kind: type, default: Any) -> Any:
        value = table.get(key, default)
        if value is None:
            self.fault(key, "is missing", f"write {key} = ...")
        elif type(value) is not kind or value == "":
            self.fault(key, f"expected {kind.__name__}, found {value!r}", "see the example at the head of rulefile.py")
        else:
            return value
        return kind() if default is None else default

    def _choice(self, table: Mapping[str, Any], key: str, kind: type[EnumT]) -> EnumT:
        members = list(kind)
        value = table.get(key)
        if value in members:
            return kind(value)
        message = "is missing" if value is None else f"{value!r} is none of them"
        self.fault(key, message, f"one of: {', '.join(members)}")
        return members[0]

    def _words(self, table: Mapping[str, Any], key: str) -> list[str]:
        value = table.get(key, [])
        if isinstance(value, list) and all(isinstance(word, str) for word in value):
            return value
        self.fault(key, f"expected a list of texts, found {value!r}", f'as {key} = ["..."]')
        return []

    def _duration(self, table: Mapping[str, Any], key: str, default: float, *, within: str = "") -> float:
        value = table.get(key)
        if value is None:
            return default
        try:
            return duration_s(value if isinstance(value, str) else repr(value))
        except ValueError as error:
            self.fault(within or key, f"{key}: {error}" if within else str(error), "number and unit: ms, s, m, h, d")
            return default

    def _hold(self, table: Mapping[str, Any]) -> Hold:
        value = table.get("for", "0s")
        try:
            return Hold.parse(value if isinstance(value, str) else repr(value))
        except ValueError as error:
            self.fault("for", str(error), 'as "60s" or "54 of 60 s"')
            return Hold()

    def _schedule(self, table: Mapping[str, Any]) -> Schedule | None:
        value = table.get("schedule")
        if value is None:
            return None
        try:
            return Schedule.parse(value if isinstance(value, str) else repr(value))
        except ValueError as error:
            self.fault("schedule", str(error), "the site's wall clock")
            return None

    def _scope(self, value: Any) -> Scope:
        table = {"per": value} if isinstance(value, str) else value
        if not isinstance(table, dict):
            self.fault("scope", f"expected a text or a table, found {value!r}", 'as scope = "bed"')
            return Scope()
        for key in set(table) - set(_SCOPE_KEYS):
            self.fault("scope", f"unknown key {key!r}", _near(key, _SCOPE_KEYS))
        if table.get("per", "bed") not in list(Per):
            self.fault("scope", f"{table['per']!r} is none of them", f"one of: {', '.join(Per)}")
            return Scope()
        sets = [frozenset(self._words(table, key)) for key in _SCOPE_KEYS[1:]]
        return Scope(Per(table.get("per", "bed")), *sets)

    def _inputs(self, table: Mapping[str, Any], per: Per) -> dict[str, Input]:
        quality = table.get("quality", {})
        quality = quality if isinstance(quality, dict) else {}
        fresh_s = self._duration(quality, "fresh", 5.0, within="quality")
        written = table.get("input", {})
        if not isinstance(written, dict):
            self.fault("input", f"expected a table, found {written!r}", 'as input = { hr = "heart_rate|median 9s" }')
            written = {}
        inputs = {}
        for alias, text in written.items():
            parsed = self._input(alias, text)
            if parsed is not None:
                inputs[alias] = replace(parsed, quality=self._threshold(quality, alias), fresh_s=fresh_s)
        if per in MEASURED:
            for name in QUANTITIES:
                inputs.setdefault(name, Input(name, quality=self._threshold(quality, name), fresh_s=fresh_s))
        return inputs

    def _threshold(self, quality: Mapping[str, Any], alias: str) -> float:
        value = quality.get(alias, 0.0)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0.0 <= value <= 1.0:
            return float(value)
        self.fault("quality", f"{alias}: expected 0 to 1, found {value!r}", "readings below it tell nothing")
        return 0.0

    def _input(self, alias: str, text: Any) -> Input | None:
        match = _INPUT.fullmatch(text) if isinstance(text, str) else None
        if match is None or not _ID.fullmatch(alias):
            self.fault("input", f"{alias}: cannot read {text!r}", 'as "heart_rate" or "heart_rate|median 9s"')
            return None
        name, smoothing, window = match.groups()
        if name not in QUANTITIES:
            self.fault("input", f"{alias}: unknown quantity {name!r}", _near(name, QUANTITIES))
            return None
        if smoothing is None:
            return Input(name)
        if smoothing not in SMOOTHINGS:
            self.fault("input", f"{alias}: unknown function {smoothing!r}", f"known: {', '.join(SMOOTHINGS)}")
            return None
        window_s = self._duration({alias: window}, alias, 0.0, within="input")
        if not 0.0 < window_s <= MAX_WINDOW_S:
            self.fault("input", f"{alias}: a window of {window}", f"more than 0 s and at most {MAX_WINDOW_S:.0f} s")
        return Input(name, smoothing, window_s)

    def _predicates(
        self, table: Mapping[str, Any], per: Per, aliases: Iterable[str], slots: dict[str, int]
    ) -> dict[str, Expression | None]:
        types = types_in(per) | dict.fromkeys(aliases, Type.NUMBER)
        result: dict[str, Expression | None] = {}
        for key in ("when", "clear", "unless"):
            text = table.get(key)
            result[key] = None
            if text is None:
                continue
            try:
                result[key] = compile_expression(text if isinstance(text, str) else repr(text), types, slots)
            except ExpressionError as error:
                self.fault(key, str(error), error.hint)
        return result

    def _event(self, table: Mapping[str, Any], when: Expression | None) -> str | None:
        event = table.get("event")
        if event is None:
            if "when" not in table:
                self.fault("when", "is missing", 'write when = "..." or event = "..."')
            elif when is not None and not when.names:
                self.fault("when", "names nothing that could change", "compare a quantity or name a fact")
            elif when is not None and set(when.names) & EVENTS and "for" in table:
                self.fault("for", "an event is over at once and cannot last", "leave `for` out")
        elif event not in EVENTS:
            self.fault("event", f"unknown event {event!r}", _near(str(event), EVENTS))
        elif "for" in table:
            self.fault("for", "an event is over at once and cannot last", "leave `for` out")
        if table.get("each") and (event is None or "clear" in table):
            self.fault("each", "belongs to a rule with `event` and without `clear`", "leave it out")
        return event if event in EVENTS else None

    def _quality(self, table: Mapping[str, Any]) -> Quality:
        quality = table.get("quality", {})
        if not isinstance(quality, dict):
            self.fault("quality", f"expected a table, found {quality!r}", 'as quality = { max_gap = "20s" }')
            return Quality()
        written = table.get("input", {})
        known = {"max_gap", "unknown_after", "fresh", *QUANTITIES, *(written if isinstance(written, dict) else ())}
        for key in set(quality) - known:
            self.fault("quality", f"unknown key {key!r}", _near(key, known))
        return Quality(
            self._duration(quality, "max_gap", 20.0, within="quality"),
            self._duration(quality, "unknown_after", 0.0, within="quality"),
        )

    def _ladder(self, table: Mapping[str, Any], default: Ladder) -> Ladder:
        written = table.get("escalate", {})
        if not isinstance(written, dict):
            self.fault("escalate", f"expected a table, found {written!r}", 'as escalate = { second = "2m" }')
            return default
        for key in set(written) - set(_ESCALATE_KEYS):
            self.fault("escalate", f"unknown key {key!r}", _near(key, _ESCALATE_KEYS))
        changes: dict[str, Any] = {}
        for key in ("local", "received", "second", "third", "attended", "closed"):
            if written.get(key) == "off":
                changes[f"{key}_s"] = 0.0
            elif key in written:
                changes[f"{key}_s"] = self._duration(written, key, 0.0, within="escalate")
        if "raise_priority" in written:
            changes["raise_priority"] = self._typed(written, "raise_priority", bool, False)
        ladder = replace(default, **changes)
        if 0 < ladder.third_s <= ladder.second_s:
            self.fault("escalate", "the third step does not come after the second", "make it later")
        return ladder
