"""Doors, motion and presence as a rule may use them: as states that hold, and as events that happen."""

from tests.edge_rules.night import Night, rule_text, rules_of

DOOR = {
    "when": '"door_open > 0.5 && presence < 0.5"',
    "for": '"10m"',
    "quality": '{ fresh = "90s", max_gap = "5m", unknown_after = "10m" }',
}


def test_a_door_that_stands_open_while_nobody_is_there_raises_and_a_closed_one_does_not() -> None:
    for door, expected in ((1.0, 1), (0.0, 0)):
        ward = Night(rules_of(rule_text("door", **DOOR)))
        for _ in range(12):  # a contact tells its state again once a minute
            ward.measure("door_open", door)
            ward.measure("presence", 0.0)
            ward.go(60)
        assert len(ward.raised("door")) == expected


def test_an_opened_door_triggers_a_rule_of_its_own() -> None:
    ward = Night(rules_of(rule_text("opened", event='"door_opened"', when=None)))
    assert len(ward.event("door_opened", device="door-1", what="door")) == 1
    assert ward.event("door_closed", device="door-1", what="door") == []
