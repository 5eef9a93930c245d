"""What no fitted device can see is said of a rule before it is needed."""

import pytest

from edge_rules.engine import BedScope
from edge_rules.expression import Limit, Type, compile_expression
from edge_rules.kleene import Value
from tests.edge_rules.night import BED, Night, rule_text, rules_of

RADAR = ((60.0, 120.0),)
NAMES = {"heart_rate": Type.NUMBER, "spo2": Type.NUMBER, "in_bed": Type.TRUTH}


def limits_of(text: str) -> tuple[Limit, ...]:
    return compile_expression(text, NAMES, {}).limits


def blind(when: str, ranges: tuple[tuple[float, float], ...], **keys: str) -> list[tuple[str, str, str]]:
    bed = BedScope(BED, quantities=frozenset({"heart_rate"}), ranges={"heart_rate": ranges} if ranges else {})
    ward = Night(rules_of(rule_text("test", when=f'"{when}"', **keys)), beds=(bed,))
    return ward.engine.blind()


def test_every_comparison_of_a_name_with_a_number_is_a_limit_with_the_name_on_its_left() -> None:
    assert limits_of("heart_rate < 40 || 130 <= heart_rate") == (
        Limit("heart_rate", "<", 40), Limit("heart_rate", ">=", 130),
    )  # fmt: skip
    assert limits_of("in_bed && heart_rate - 10 < 40 && abs(spo2) > 3 && heart_rate > spo2") == ()
    assert limits_of("!(heart_rate > 100 + 2 * 15) && spo2 > -1") == (
        Limit("heart_rate", ">", 130), Limit("spo2", ">", -1),
    )  # fmt: skip


def test_a_comparison_with_a_number_that_is_none_is_no_limit() -> None:
    assert limits_of("heart_rate > 1 / 0") == ()


@pytest.mark.parametrize(
    ("mark", "number", "within"),
    [
        ("<", 60, False), ("<=", 60, True), ("<", 61, True), (">", 120, False), (">=", 120, True), (">", 119, True),
        ("==", 59, False), ("==", 60, True), ("!=", 121, False), ("<", 40, False), (">", 40, False),
    ],
)  # fmt: skip
def test_a_limit_is_within_a_range_when_values_of_it_lie_on_both_sides(mark: str, number: Value, within: bool) -> None:
    assert number is not None
    assert Limit("heart_rate", mark, number).within(60, 120) is within


@pytest.mark.parametrize(
    "when", ["heart_rate < 50", "heart_rate > 130", "in_bed && (heart_rate < 70 || heart_rate > 130)"]
)
def test_a_rule_with_a_limit_that_the_radar_never_reports_is_blind(when: str) -> None:
    assert blind(when, RADAR) == [("test", BED, "heart_rate")]


@pytest.mark.parametrize(
    "when", ["heart_rate < 70", "heart_rate > 110", "in_bed && heart_rate > 70 && heart_rate < 110"]
)
def test_a_rule_whose_limits_the_radar_reports_sees(when: str) -> None:
    assert blind(when, RADAR) == []


def test_a_second_device_that_sees_beyond_gives_the_rule_its_sight() -> None:
    assert blind("heart_rate < 50", (*RADAR, (30.0, 250.0))) == []
    assert blind("heart_rate < 50", ()) == []


def test_two_devices_see_two_limits_between_them() -> None:
    assert blind("heart_rate < 50 || heart_rate > 130", ((30.0, 100.0), (100.0, 200.0))) == []


def test_a_rule_stays_blind_at_its_limit_however_many_values_have_come() -> None:
    bed = BedScope(BED, quantities=frozenset({"heart_rate"}), ranges={"heart_rate": RADAR})
    ward = Night(rules_of(rule_text("test", when='"heart_rate < 50"')), beds=(bed,))
    ward.go(30, heart_rate=70)
    assert ward.engine.blind() == [("test", BED, "heart_rate")]


def test_the_built_in_rules_say_that_a_radar_sees_no_slow_heart() -> None:
    bed = BedScope(
        BED, quantities=frozenset({"bed_occupied", "heart_rate", "respiration_rate", "vital_sign"}),
        ranges={"heart_rate": RADAR, "respiration_rate": ((0.0, 35.0),)},
    )  # fmt: skip
    blind_rules = {rule for rule, scope, quantity in Night(beds=(bed,)).engine.blind() if quantity == "heart_rate"}
    assert {"heart_rate_low", "heart_rate_high"} <= blind_rules
