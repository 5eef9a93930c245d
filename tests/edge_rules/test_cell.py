"""Durations, gaps, hysteresis, rearm: what one rule does for one bed."""

from datetime import datetime

from edge_rules.engine import BedScope
from gateway.core.model import Mode
from tests.edge_rules.night import BED, PARIS, Night, rule_text, rules_of

HR: dict[str, str | None] = {
    "input": '{ hr = "heart_rate" }',
    "when": '"hr > 120"',
    "quality": '{ hr = 0.7, fresh = "2s", max_gap = "10s" }',
    "escalate": '{ local = "off", received = "off", second = "off", third = "off" }',
}


def night(**keys: str | None) -> Night:
    return Night(rules_of(rule_text("test", **{**HR, **keys})))


def test_a_condition_raises_when_its_duration_is_full_and_not_a_second_before() -> None:
    ward = night(for_='"60s"')
    assert ward.go(60, heart_rate=130) == []
    (alarm,) = ward.go(1, heart_rate=130)
    assert (alarm.rule, alarm.rev, alarm.bed, alarm.values) == ("test", 1, BED, {"heart_rate": 130})
    assert alarm.raised.since_s(alarm.onset) == 60.0


def test_one_false_value_begins_the_duration_anew() -> None:
    ward = night(for_='"60s"')
    ward.go(50, heart_rate=130)
    ward.go(1, heart_rate=100)
    assert ward.go(60, heart_rate=130) == []
    assert len(ward.go(1, heart_rate=130)) == 1


def test_an_unknown_of_at_most_the_longest_gap_is_bridged_and_raises_only_once_it_is_over() -> None:
    ward = night(for_='"20s"')
    ward.go(13, heart_rate=130)
    assert ward.go(9) == []  # the duration is full within the gap, but nothing is known there
    assert len(ward.go(1, heart_rate=130)) == 1


def test_a_longer_unknown_begins_the_duration_anew() -> None:
    ward = night(for_='"20s"')
    ward.go(15, heart_rate=130)
    ward.go(15)
    assert ward.go(20, heart_rate=130) == []
    assert len(ward.go(1, heart_rate=130)) == 1


def test_values_below_the_quality_threshold_are_unknown_and_neither_raise_nor_break() -> None:
    ward = night(for_='"20s"')
    ward.go(10, heart_rate=130)
    for _ in range(5):
        ward.seconds += 1
        ward.measure("heart_rate", 60, quality=0.3)
        ward.tick()
    assert len(ward.go(10, heart_rate=130)) == 1


def test_an_unknown_never_clears_an_active_alarm() -> None:
    ward = night(for_='"5s"')
    ward.go(10, heart_rate=130)
    assert ward.go(3600) == []
    assert len(ward.open()) == 1


def test_the_clearing_has_its_own_limit_and_duration() -> None:
    ward = night(for_='"5s"', clear='"hr < 115"', clear_for='"30s"')
    ward.go(10, heart_rate=130)
    assert ward.go(60, heart_rate=118) == []
    assert ward.go(30, heart_rate=110) == []
    (cleared,) = ward.go(1, heart_rate=110)
    assert (cleared.condition, cleared.rev, cleared.open) == ("inactive", 2, False)


def test_after_a_clear_it_stays_silent_for_the_rearm_time() -> None:
    ward = night(for_='"5s"', rearm='"5m"')
    ward.go(10, heart_rate=130)
    ward.go(2, heart_rate=80)
    assert ward.go(290, heart_rate=130) == []
    assert len(ward.go(20, heart_rate=130)) == 1


def test_54_of_60_seconds_tolerate_six_that_are_not() -> None:
    ward = night(for_='"54 of 60 s"')
    for second in range(53):
        assert ward.go(1, heart_rate=100 if second in (10, 20, 30) else 130) == []
    for _ in range(3):
        assert ward.go(1, heart_rate=130) == []
    assert len(ward.go(1, heart_rate=130)) == 1  # 54 true ones after 57 seconds
    steady = night(for_='"54 of 60 s"')
    for second in range(600):
        assert steady.go(1, heart_rate=100 if second % 8 == 0 else 130) == []  # 52 or 53 of any 60


def test_a_schedule_holds_the_raise_back_and_not_the_duration() -> None:
    rules = rules_of(rule_text("test", **{**HR, "for_": '"60s"', "schedule": '"22:00-06:00 local"'}))
    ward = Night(rules, at=datetime(2026, 11, 24, 21, 55, tzinfo=PARIS))
    assert ward.go(299, heart_rate=130) == []
    assert len(ward.go(1, heart_rate=130)) == 1


def test_unless_holds_back_only_when_it_is_known_to_be_true() -> None:
    quiet = night(for_='"5s"', unless='"in_bed"')
    assert quiet.go(20, heart_rate=130, bed_occupied=1) == []
    assert len(quiet.go(20, heart_rate=130, bed_occupied=0)) == 1
    assert len(night(for_='"5s"', unless='"in_bed"').go(20, heart_rate=130)) == 1


def test_every_looks_no_more_often_than_asked() -> None:
    ward = night(every='"10s"')
    ward.go(1, heart_rate=80)
    assert ward.go(9, heart_rate=130) == []
    assert len(ward.go(2, heart_rate=130)) == 1


def test_age_tells_how_long_ago_the_last_good_reading_was() -> None:
    ward = night(when='"age(hr) > 60"', clear='"age(hr) < 10"')
    assert ward.go(600) == []  # never measured: unknown
    ward.go(1, heart_rate=80)
    assert ward.go(60) == []
    assert len(ward.go(1)) == 1
    assert ward.go(1, heart_rate=80)[0].condition == "inactive"


def test_late_values_of_a_worker_that_replays_count_at_their_own_time() -> None:
    ward = night(for_='"60s"')
    ward.go(30, heart_rate=130)
    ward.go(35)  # the worker is down; ticks go on
    changed = []
    for ago in range(34, -1, -1):
        changed += ward.measure("heart_rate", 130, ago_s=ago)
    assert len(changed) == 1
    assert changed[0].raised.since_s(changed[0].onset) == 64.0


def test_a_value_of_another_mode_neither_raises_nor_clears() -> None:
    ward = night(for_='"5s"')
    for _ in range(20):
        ward.seconds += 1
        assert ward.measure("heart_rate", 130, mode=Mode.TEST) == []
        assert ward.tick() == []


def test_an_unknown_that_lasts_is_a_technical_alarm_which_ends_with_it() -> None:
    text = rule_text("test", **{**HR, "for_": '"5s"', "quality": '{ fresh = "2s", unknown_after = "5m" }'})
    lost = rule_text(
        "input_lost", kind='"technical"', priority='"low"', scope='"input"', when='"input_missing"', removable="false"
    )
    ward = Night(rules_of(text + lost))
    ward.go(10, heart_rate=80)
    assert ward.go(300) == []
    (alarm,) = ward.go(5)
    assert (alarm.rule, alarm.kind, alarm.bed) == ("input_lost", "technical", BED)
    assert alarm.evidence["input"] == f"{BED}/heart_rate"
    assert ward.go(60) == []
    (cleared,) = ward.go(1, heart_rate=80)
    assert (cleared.id, cleared.condition) == (alarm.id, "inactive")


def test_an_input_nobody_is_expected_to_deliver_is_blind_and_not_missing() -> None:
    text = rule_text("test", **{**HR, "quality": '{ unknown_after = "1m" }'})
    ward = Night(rules_of(text), beds=(BedScope(BED),))
    assert ward.go(600) == []
    assert ward.engine.blind() == [("test", BED, "heart_rate")]
