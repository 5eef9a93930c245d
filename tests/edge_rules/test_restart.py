"""kill -9 and power loss: no alarm is lost, none fires twice, no duration ripens by a clock that stepped."""

import json

import pytest

from gateway.core.errors import StoreError
from gateway.core.model import Alarm
from tests.edge_rules.night import BED, BUTTON, Night

ASLEEP = {"bed_occupied": 1.0, "vital_sign": 1.0, "respiration_rate": 14.0}
YEAR_S = 365 * 86_400.0


def test_a_running_duration_goes_on_where_it_was() -> None:
    ward = Night(devices=())
    ward.go(600, bed_occupied=0)
    ward.kill()
    ward.go(300, bed_occupied=0)
    assert not ward.raised("night_exit")
    ward.go(1, bed_occupied=0)
    assert len(ward.raised("night_exit")) == 1


def test_an_open_alarm_is_not_raised_again_and_still_clears() -> None:
    ward = Night(devices=())
    ward.go(80, **ASLEEP, heart_rate=140)
    (alarm,) = ward.open("heart_rate_high")
    ward.kill()
    ward.go(60, **ASLEEP, heart_rate=140)
    assert len(ward.raised("heart_rate_high")) == 1
    ward.go(45, **ASLEEP, heart_rate=70)
    assert ward.log[-1].id == alarm.id
    assert ward.log[-1].condition == "inactive"


def test_an_alarm_raised_after_the_last_snapshot_is_not_raised_twice() -> None:
    ward = Night(devices=())
    ward.go(50, **ASLEEP, heart_rate=140)
    snapshot = ward.engine.snapshot()  # pending
    ward.go(20, **ASLEEP, heart_rate=140)
    assert len(ward.raised("heart_rate_high")) == 1
    ward.kill(snapshot=snapshot)
    ward.go(120, **ASLEEP, heart_rate=140)
    assert len(ward.raised("heart_rate_high")) == 1


def test_an_alarm_that_was_never_stored_is_raised_again_under_the_same_id() -> None:
    ward = Night(devices=())
    ward.go(55, **ASLEEP, heart_rate=140)
    snapshot = ward.engine.snapshot()
    ward.go(10, **ASLEEP, heart_rate=140)
    (lost,) = ward.open("heart_rate_high")
    ward.kill(snapshot=snapshot, stored=())
    ward.go(2, **ASLEEP, heart_rate=140)
    (again,) = ward.open("heart_rate_high")
    assert again.id == lost.id  # whoever got the first message sees a repeat and not a second alarm


def test_without_a_snapshot_the_stored_alarms_are_enough_not_to_fire_twice() -> None:
    ward = Night(devices=())
    ward.go(80, **ASLEEP, heart_rate=140)
    at = ward.stamp()
    ward.event("fall_suspected", at=at)
    ward.kill(snapshot="")
    assert ward.event("fall_suspected", at=at) == []  # the worker replays what it held
    ward.go(120, **ASLEEP, heart_rate=140)
    assert len(ward.raised("heart_rate_high")) == 1
    assert len(ward.raised("fall")) == 1


def test_an_alarm_closed_while_the_box_was_dying_stays_closed() -> None:
    ward = Night(devices=())
    ward.event("sos_pressed", device=BUTTON)
    ward.event("fall_suspected")
    snapshot = ward.engine.snapshot()
    ward.kill(snapshot=snapshot, stored=())
    ward.go(600)
    assert ward.open("sos") == []
    assert ward.open("fall") == []


def test_an_alarm_raised_and_closed_since_the_last_snapshot_does_not_come_back_under_its_id() -> None:
    ward = Night(devices=())
    ward.go(55, **ASLEEP, heart_rate=140)
    snapshot = ward.engine.snapshot()
    ward.go(10, **ASLEEP, heart_rate=140)
    (alarm,) = ward.open("heart_rate_high")
    closed = ward.engine.close(alarm.id, "seen", "p-1", ward.now())
    ward.kill(snapshot=snapshot, stored=closed)
    ward.go(290, **ASLEEP, heart_rate=140)
    assert ward.open("heart_rate_high") == []
    ward.go(20, **ASLEEP, heart_rate=140)
    (again,) = ward.open("heart_rate_high")  # still true: after the rearm time, as an alarm of its own
    assert again.id != alarm.id


def test_a_replayed_event_of_a_closed_alarm_is_not_a_new_one() -> None:
    ward = Night(devices=())
    at = ward.stamp()
    (fall,) = ward.event("fall_suspected", at=at)
    ward.go(30)
    ward.engine.close(fall.id, "false_alarm", "p-1", ward.now())
    ward.kill()
    assert ward.event("fall_suspected", at=at) == []


def test_a_latched_alarm_and_its_acknowledgement_survive_a_power_loss() -> None:
    ward = Night(beds=(), devices=())
    (sos,) = ward.event("sos_pressed", device=BUTTON)
    ward.engine.acknowledge(sos.id, "p-1", "coming", "page", ward.now())
    ward.reboot(down_s=120)
    (alarm,) = ward.open("sos")
    assert alarm.acknowledgement is not None
    assert alarm.acknowledgement.by == "p-1"
    assert ward.go(479) == []
    assert ward.go(2)[0].overdue == "attended"  # ten minutes with the two in the dark


def test_a_ladder_goes_on_through_a_power_loss() -> None:
    ward = Night(devices=())
    ward.event("sos_pressed", device=BUTTON)
    ward.go(60)
    ward.reboot(down_s=45)
    ward.go(14)
    assert ward.open()[0].escalation == 0
    ward.go(2)
    assert ward.open()[0].escalation == 1


@pytest.mark.parametrize("step_s", [YEAR_S, -YEAR_S])
def test_a_clock_that_comes_back_a_year_off_ripens_nothing(step_s: float) -> None:
    ward = Night(devices=())
    ward.go(60, bed_occupied=0)
    ward.reboot(down_s=30, utc_step_s=step_s)
    ward.log.clear()
    ward.go(600, bed_occupied=0)
    assert ward.raised("night_exit") == []
    ward.go(301, bed_occupied=0)
    assert len(ward.raised("night_exit")) == 1


def test_without_a_trusted_clock_the_time_in_the_dark_counts_for_nothing() -> None:
    ward = Night(devices=())
    ward.go(600, bed_occupied=0)
    ward.reboot(down_s=30, local_certain=False)
    ward.go(298, bed_occupied=0)
    assert ward.raised("night_exit") == []
    ward.go(4, bed_occupied=0)
    assert len(ward.raised("night_exit")) == 1


def test_a_hidden_exit_whose_fall_was_closed_meanwhile_is_raised() -> None:
    ward = Night(devices=())
    ward.event("fall_suspected", device="band-1")
    ward.go(1000, bed_occupied=0)
    assert ward.raised("night_exit") == []
    ward.kill(stored=())
    ward.go(1, bed_occupied=0)
    assert len(ward.raised("night_exit")) == 1


def test_a_pause_ends_at_its_time_also_after_a_restart() -> None:
    ward = Night(devices=())
    ward.go(80, **ASLEEP, heart_rate=140)
    ward.engine.pause(BED, "heart_rate_high", 600, ward.now())
    ward.kill()
    ward.go(599, **ASLEEP, heart_rate=140)
    assert ward.open("heart_rate_high")[0].signal["lamp"] == "paused"
    ward.go(1, **ASLEEP, heart_rate=140)
    assert ward.open("heart_rate_high")[0].signal["lamp"] == "on"


def test_a_restored_alarm_of_a_rule_no_longer_in_force_waits_for_a_person() -> None:
    ward = Night(devices=())
    ward.go(80, **ASLEEP, heart_rate=140)
    (alarm,) = ward.open("heart_rate_high")
    bare = Night((), devices=())
    bare.engine.restore([alarm])
    bare.go(60)
    assert [open_.id for open_ in bare.open()] == [alarm.id]
    closed: list[Alarm] = bare.engine.close(alarm.id, "seen", "p-1", bare.now())
    assert not closed[0].open


def test_a_damaged_snapshot_is_refused_with_what_happens_instead() -> None:
    ward = Night()
    for text in ("", "{", "[]", json.dumps({"boot": 5})):
        with pytest.raises(StoreError) as caught:
            ward.engine.load_snapshot(text, ward.now())
        assert "begin anew" in caught.value.hint


def test_a_snapshot_of_a_changed_rule_lets_it_begin_afresh() -> None:
    ward = Night(devices=())
    ward.go(600, bed_occupied=0)
    text = ward.engine.snapshot().replace('["night_exit",1,', '["night_exit",7,')
    ward.kill(snapshot=text)
    ward.go(899, bed_occupied=0)
    assert ward.raised("night_exit") == []


def test_a_snapshot_of_an_idle_ward_is_small() -> None:
    ward = Night(devices=())
    ward.go(60, **ASLEEP, heart_rate=62)
    assert len(ward.engine.snapshot()) < 4000
