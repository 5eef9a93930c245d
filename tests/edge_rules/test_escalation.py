"""The ladder: each step at its second, and what stops it."""

from gateway.core.model import Alarm, Delivery, Priority
from tests.edge_rules.night import BUTTON, Night

QUIET = {"bed_occupied": 1.0, "vital_sign": 1.0, "respiration_rate": 14.0}


def pressed(*, up: bool = True) -> tuple[Night, Alarm]:
    ward = Night(beds=(), devices=(), upstreams=("district",))
    ward.event("uplink_back" if up else "uplink_lost", bed=None, device=None, upstream="district")
    (alarm,) = ward.event("sos_pressed", device=BUTTON)
    return ward, alarm


def test_ten_seconds_without_a_puback_start_the_ways_on_the_spot() -> None:
    ward, alarm = pressed()
    ward.engine.stored(alarm.id, ward.now())
    assert ward.go(9) == []
    (local,) = ward.go(1)
    assert (local.local, local.signal["buzzer"], local.signal["relay"], local.rev) == ("no_puback", "on", "on", 2)


def test_a_puback_without_a_subscriber_starts_them_at_once() -> None:
    ward, alarm = pressed()
    (local,) = ward.engine.published(alarm.id, ward.now(), watched=False)
    assert (local.local, local.signal["buzzer"], local.delivery) == ("no_subscriber", "on", Delivery.RAISED)
    assert ward.engine.published(alarm.id, ward.now(), watched=False) == []


def test_an_unwatched_second_upstream_starts_nothing_when_the_first_is_watched() -> None:
    ward, alarm = pressed()
    ward.engine.published(alarm.id, ward.now())
    assert ward.engine.published(alarm.id, ward.now(), watched=False) == []


def test_thirty_seconds_without_received_start_them() -> None:
    ward, alarm = pressed()
    ward.engine.published(alarm.id, ward.now())
    assert ward.go(29) == []
    assert ward.go(1)[0].local == "no_received"


def test_received_ends_what_sounds_for_lack_of_it_but_not_the_wait_for_a_person() -> None:
    ward, alarm = pressed()
    ward.go(40)
    (received,) = ward.engine.received(alarm.id, "district", ward.now())
    assert (received.local, received.signal["buzzer"], received.signal["page"]) == ("", "off", "on")
    assert ward.go(79) == []
    (second,) = ward.go(1)
    assert (second.escalation, second.signal["buzzer"]) == (1, "on")


def test_nobody_answering_escalates_at_120_and_300_s_and_then_no_more() -> None:
    ward, alarm = pressed()
    ward.engine.published(alarm.id, ward.now())
    ward.engine.received(alarm.id, "district", ward.now())
    assert ward.go(119) == []
    (one,) = ward.go(1)
    assert (one.escalation, one.rev) == (1, 2)
    assert ward.go(179) == []
    (two,) = ward.go(1)
    assert (two.escalation, two.rev) == (2, 3)
    assert ward.go(7200) == []


def test_an_answer_ends_the_ladder() -> None:
    ward, alarm = pressed()
    ward.go(60)
    ward.engine.acknowledge(alarm.id, "p-1", "", "page", ward.now())
    assert ward.go(500) == []


def test_answered_but_nobody_came_in_ten_minutes_escalates_again() -> None:
    ward, alarm = pressed()
    ward.engine.acknowledge(alarm.id, "p-1", "", "page", ward.now())
    assert ward.go(599) == []
    (late,) = ward.go(1)
    assert (late.overdue, late.escalation, late.signal["page"]) == ("attended", 1, "on")
    (again,) = ward.engine.acknowledge(alarm.id, "p-2", "", "page", ward.now())
    assert (again.overdue, again.signal["page"], again.evidence["first_answer"]) == ("", "ack", "p-1")


def test_attended_but_not_closed_in_an_hour_escalates_again() -> None:
    ward, alarm = pressed()
    (there,) = ward.engine.attend(alarm.id, "p-1", "", "page", ward.now())
    assert there.attended is not None
    assert there.acknowledgement == there.attended
    assert ward.go(3599) == []
    assert ward.go(1)[0].overdue == "closed"
    ward.engine.close(alarm.id, "helped", "p-1", ward.now())
    assert ward.go(7200) == []


def test_an_island_sounds_on_the_spot_at_once() -> None:
    ward, alarm = pressed(up=False)
    ward.engine.close(alarm.id, "x", "p", ward.now())
    ward.go(100)
    ward.event("sos_pressed", device=BUTTON)
    assert [changed.local for changed in ward.go(1) if changed.rule == "sos"] == ["island"]
    assert ward.engine.signals(ward.now())["relay"] == "high"


def test_a_medium_alarm_becomes_high_after_half_an_hour_without_an_answer() -> None:
    ward = Night(devices=())
    ward.go(400, **QUIET, heart_rate=115)
    (alarm,) = ward.open("heart_rate_raised")
    ward.engine.published(alarm.id, ward.now())
    ward.engine.received(alarm.id, "district", ward.now())
    ward.go(1500, **QUIET, heart_rate=115)
    assert (ward.open()[0].escalation, ward.open()[0].priority) == (1, Priority.MEDIUM)
    ward.go(300, **QUIET, heart_rate=115)
    assert (ward.open()[0].escalation, ward.open()[0].priority) == (2, Priority.HIGH)


def test_what_went_away_by_itself_does_not_escalate() -> None:
    ward = Night(devices=())
    ward.go(80, **QUIET, heart_rate=140)
    ward.go(45, **QUIET, heart_rate=70)
    ward.log.clear()
    ward.go(600, **QUIET, heart_rate=70)
    assert ward.log == []


def test_a_step_of_the_wall_clock_by_a_year_moves_no_ladder() -> None:
    ward, _ = pressed()
    ward.go(60)
    ward.step_utc(365 * 86_400)
    ward.go(59)
    assert ward.open()[0].escalation == 0
    ward.step_utc(-2 * 365 * 86_400)
    ward.go(1)
    assert ward.open()[0].escalation == 1
