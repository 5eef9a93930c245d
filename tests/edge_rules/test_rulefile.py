"""A rule file tells every mistake at once, each with its line and what to write instead."""

import pytest

from edge_rules.rule import FLOOR, LADDERS, Input, Per
from edge_rules.rulefile import lay_over, load_rules
from edge_rules.schedule import Hold, Schedule
from gateway.core.errors import ConfigError, Fault
from gateway.core.model import Priority
from tests.edge_rules.night import DEFAULTS, rule_text, rules_of


def faults(text: str) -> tuple[Fault, ...]:
    with pytest.raises(ConfigError) as caught:
        load_rules(text, "rules.toml")
    return caught.value.faults


def test_twelve_mistakes_are_told_at_once_each_with_its_line_and_a_hint() -> None:
    found = faults(
        """
[rule.first]
rev = "one"
kind = "vital"
priority = "urgent"
when = "hart_rate > 120 && in_bed"
for = "soon"
clear_for = 5
reason = "r"
source = "s"
schedul = "22:00-06:00"

[rule.second]
rev = 1
kind = "other"
priority = "low"
when = "in_bed"
schedule = "22-06"
scope = "room"
quality = { hr = 0.5, max_gap = "x" }
reason = "r"

[rule.Third]
rev = 1

[settings]
"""
    )
    told = [(fault.line, fault.key) for fault in found]
    assert told == [
        (3, "rule.first.rev"), (4, "rule.first.kind"), (5, "rule.first.priority"), (6, "rule.first.when"),
        (7, "rule.first.for"), (8, "rule.first.clear_for"), (11, "rule.first.schedul"),
        (13, "rule.second.source"), (18, "rule.second.schedule"), (19, "rule.second.scope"),
        (20, "rule.second.quality"), (20, "rule.second.quality"), (23, "rule.Third"), (26, "settings"),
    ]  # fmt: skip
    hints = {fault.key: fault.hint for fault in found}
    assert hints["rule.first.when"] == "did you mean heart_rate?"
    assert hints["rule.first.schedul"] == "did you mean schedule?"
    assert all(fault.hint for fault in found)


def test_a_syntax_error_names_its_line() -> None:
    assert faults("[rule.x]\nrev = = 1\n")[0].line == 2


def test_everything_a_rule_can_say_is_read() -> None:
    (rule,) = rules_of(
        rule_text(
            input='{ hr = "heart_rate|median 9s" }', when='"hr > 120 && in_bed"', for_='"54 of 60 s"',
            clear='"hr < 115"', clear_for='"30s"', rearm='"5m"', unless='"bed_exited"',
            quality='{ hr = 0.7, max_gap = "20s", unknown_after = "5m", fresh = "3s" }', every='"2s"',
            schedule='"22:00-06:00 local"', latch="true", explains="[]", text='"rule.other"',
            scope='{ per = "bed", profile = ["dementia"], bed = ["b-1"] }',
            escalate='{ second = "1m", third = "off", raise_priority = true }',
        )
    )  # fmt: skip
    assert rule.inputs["hr"] == Input("heart_rate", "median", 9.0, 0.7, 3.0)
    assert rule.hold == Hold(54, 60)
    assert rule.schedule == Schedule(((1320, 360),))
    assert (rule.clear_for_s, rule.rearm_s, rule.every_s) == (30.0, 300.0, 2.0)
    assert (rule.quality.max_gap_s, rule.quality.unknown_after_s) == (20.0, 300.0)
    assert (rule.scope.per, rule.scope.profiles, rule.scope.beds) == (
        Per.BED, frozenset({"dementia"}), frozenset({"b-1"}),
    )  # fmt: skip
    assert (rule.ladder.second_s, rule.ladder.third_s, rule.ladder.raise_priority) == (60.0, 0.0, True)
    assert rule.ladder.local_s == LADDERS[Priority.HIGH].local_s
    assert rule.text == "rule.other"


@pytest.mark.parametrize(
    ("keys", "part"),
    [
        ({"input": '{ hr = "heart_rate|slope 7d" }', "when": '"hr > 5"'}, "unknown function 'slope'"),
        ({"input": '{ hr = "heart_rate|median 2h" }', "when": '"hr > 5"'}, "at most 600 s"),
        ({"input": '{ hr = "pulse" }', "when": '"hr > 5"'}, "unknown quantity 'pulse'"),
        ({"when": '"heart_rate > 120"', "clear": '"heart_rate < 130"'}, "true together with `when`"),
        ({"when": '"heart_rate > 300"'}, "can never be true"),
        ({"when": '"heart_rate > 100 && heart_rate < 90"'}, "can never be true"),
        ({"when": '"true"'}, "names nothing"),
        ({"when": None}, "is missing"),
        ({"when": '"online"'}, "unknown name 'online'"),
        ({"when": None, "event": '"sos"'}, "unknown event 'sos'"),
        ({"when": None, "event": '"sos_pressed"', "for": '"5s"'}, "over at once"),
        ({"when": '"sos_pressed"', "for": '"5s"'}, "over at once"),
        ({"each": "true"}, "belongs to a rule with `event`"),
        ({"explains": '["sos"]'}, "never hidden"),
        ({"explains": '["nothing"]'}, "no rule 'nothing'"),
        ({"escalate": '{ second = "5m", third = "5m" }'}, "does not come after"),
        ({"quality": "{ heart_rate = 2 }"}, "expected 0 to 1"),
        ({"when": '"heart_rate > 1e10"'}, "too large"),
    ],
)
def test_a_rule_that_cannot_work_is_refused(keys: dict[str, str | None], part: str) -> None:
    found = faults(rule_text("test", **keys))
    assert len(found) == 1
    assert part in str(found[0])
    assert found[0].line > 0


def test_the_safety_floor_is_complete_and_cannot_be_removed() -> None:
    fixed = {rule.id for rule in DEFAULTS if not rule.removable}
    assert fixed >= FLOOR
    for rule in DEFAULTS:
        assert not rule.explains & FLOOR
        assert rule.reason
        assert rule.source
    text = rule_text("fall", when=None, event='"fall_suspected"')
    assert "safety floor" in str(faults(text)[0])


def test_a_second_file_may_replace_a_removable_rule_and_not_the_floor() -> None:
    extra = rules_of(rule_text("night_exit", when='"!in_bed"', for_='"30m"'))
    laid = {rule.id: rule for rule in lay_over(DEFAULTS, extra, "extra.toml")}
    assert laid["night_exit"].hold.need_s == 1800
    assert len(laid) == len(DEFAULTS)
    lost = rules_of(rule_text("input_lost"))
    with pytest.raises(ConfigError, match="cannot be replaced"):
        lay_over(DEFAULTS, lost, "extra.toml")


def test_what_looks_like_a_key_inside_a_long_text_is_no_line_of_a_fault() -> None:
    lines = ["[rule.first]", 'reason = """', "when = explained here", '"""', 'when = "hart_rate > 1"']
    found = faults("\n".join(lines))
    assert [fault.line for fault in found if fault.key == "rule.first.when"] == [5]
