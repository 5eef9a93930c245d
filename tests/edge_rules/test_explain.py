"""One alarm per cause: what explains another hides it, says so, and gives it back."""

from edge_rules.engine import BedScope
from gateway.core.model import Condition
from tests.edge_rules.night import BED, BUTTON, Night


def fallen() -> Night:
    """In bed, then up and fallen."""
    ward = Night(devices=())
    ward.go(60, bed_occupied=1)
    ward.go(20, bed_occupied=0)
    ward.event("fall_suspected", device="band-1")
    return ward


def test_a_fall_hides_the_bed_exit_it_explains_and_says_so() -> None:
    ward = fallen()
    ward.go(1200, bed_occupied=0)
    assert ward.open("night_exit") == []
    assert ward.raised("night_exit") == []
    assert ward.open("fall")[0].evidence["explains"] == "night_exit"


def test_closing_the_fall_raises_the_bed_exit_that_is_still_true() -> None:
    ward = fallen()
    ward.go(1200, bed_occupied=0)
    (fall,) = ward.open("fall")
    changed = ward.engine.close(fall.id, "false_alarm", "p-1", ward.now())
    (exit_alarm,) = [alarm for alarm in changed if alarm.rule == "night_exit"]
    assert exit_alarm.condition is Condition.ACTIVE
    assert exit_alarm.raised.since_s(exit_alarm.onset) == 1219.0


def test_closing_the_fall_raises_nothing_when_the_person_is_back_in_bed() -> None:
    ward = fallen()
    ward.go(1200, bed_occupied=0)
    ward.go(60, bed_occupied=1)
    (fall,) = ward.open("fall")
    ward.keep(ward.engine.close(fall.id, "helped", "p-1", ward.now()))
    ward.go(600, bed_occupied=1)
    assert ward.raised("night_exit") == []


def test_while_it_is_unknown_a_hidden_alarm_waits_for_the_next_known_value() -> None:
    ward = fallen()
    ward.go(1200, bed_occupied=0)
    ward.go(120)
    (fall,) = ward.open("fall")
    ward.keep(ward.engine.close(fall.id, "helped", "p-1", ward.now()))
    ward.go(60)
    assert ward.raised("night_exit") == []
    ward.go(1, bed_occupied=0)
    assert len(ward.raised("night_exit")) == 1


def test_a_bed_exit_already_raised_is_hidden_by_a_fall_and_shown_again_after_it() -> None:
    ward = Night(devices=())
    ward.go(60, bed_occupied=1)
    ward.go(910, bed_occupied=0)
    (exit_alarm,) = ward.open("night_exit")
    fall, hidden = ward.event("fall_suspected", device="band-1")
    assert (hidden.id, hidden.hidden_by, set(hidden.signal.values())) == (exit_alarm.id, fall.id, {"off"})
    assert (fall.rev, fall.evidence["explains"]) == (1, "night_exit")
    assert not [alarm for alarm in ward.go(400, bed_occupied=0) if alarm.rule == "night_exit"]
    changed = ward.engine.close(fall.id, "false_alarm", "p-1", ward.now())
    (shown,) = [alarm for alarm in changed if alarm.id == exit_alarm.id]
    assert (shown.hidden_by, shown.signal["page"]) == ("", "on")


def test_a_hidden_alarm_that_is_no_longer_true_is_closed_with_what_explained_it() -> None:
    ward = Night(devices=())
    ward.go(60, bed_occupied=1)
    ward.go(910, bed_occupied=0)
    (exit_alarm,) = ward.open("night_exit")
    ward.event("fall_suspected", device="band-1")
    ward.go(60, bed_occupied=1)
    (fall,) = ward.open("fall")
    changed = ward.engine.close(fall.id, "helped", "p-1", ward.now())
    assert [(alarm.id, alarm.outcome) for alarm in changed[1:]] == [(exit_alarm.id, "explained")]
    assert ward.open() == []


def test_sos_is_never_hidden() -> None:
    ward = fallen()
    (sos,) = ward.event("sos_pressed", device=BUTTON)
    assert (sos.hidden_by, sos.signal["page"]) == ("", "on")


def test_a_fall_in_one_bed_explains_nothing_in_another() -> None:
    ward = Night(beds=(BedScope(BED), BedScope("b-2")), devices=())
    ward.event("fall_suspected", bed="b-2", device="band-2")
    ward.go(910, bed_occupied=0)
    assert [alarm.bed for alarm in ward.open("night_exit")] == [BED]


def test_a_very_high_rate_explains_a_raised_one() -> None:
    ward = Night(devices=())
    ward.go(600, bed_occupied=1, vital_sign=1, respiration_rate=14, heart_rate=140)
    assert [alarm.rule for alarm in ward.open()] == ["heart_rate_high"]
    ward.go(60, bed_occupied=1, vital_sign=1, respiration_rate=14, heart_rate=115)
    assert [alarm.rule for alarm in ward.open()] == ["heart_rate_raised"]
