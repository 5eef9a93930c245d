"""Each built-in rule: what makes it raise, and what does not."""

from datetime import datetime

import pytest

from edge_rules.engine import BedScope, DeviceScope
from gateway.core.model import Event, Kind, Mode, Priority
from tests.edge_rules.night import BED, BELT, BUTTON, DEFAULTS, MAT, PARIS, Night

RULES = {rule.id: rule for rule in DEFAULTS}


def sleeping(ward: Night, seconds: float, **other: float) -> None:
    ward.go(seconds, **{"bed_occupied": 1, "vital_sign": 1, "heart_rate": 62, "respiration_rate": 14, **other})


# -- sos --------------------------------------------------------------------------------------------------------------


def test_sos_is_raised_at_once_high_and_latched() -> None:
    ward = Night()
    (alarm,) = ward.event("sos_pressed", device=BUTTON, source="button")
    assert (alarm.rule, alarm.priority, alarm.bed, alarm.device) == ("sos", Priority.HIGH, BED, BUTTON)
    assert alarm.latch
    assert alarm.evidence == {"source": "button"}
    assert alarm.trace == {"receipt": ward.now().real_ns, "raised": ward.now().real_ns}
    assert ward.go(7200)[-1].open  # it escalates; nothing ends it but a person


def test_sos_is_silent_when_another_button_is_pressed() -> None:
    ward = Night()
    assert ward.event("service_requested", device=BUTTON, service="meal") == []
    assert ward.go(60) == []


def test_a_new_press_is_a_new_alarm_even_while_the_first_is_open() -> None:
    ward = Night()
    (first,) = ward.event("sos_pressed", device=BUTTON)
    ward.go(10)
    (second,) = ward.event("sos_pressed", device=BUTTON)
    assert first.id != second.id
    assert [alarm.id for alarm in ward.open("sos")] == [first.id, second.id]


def test_the_bounce_of_one_press_is_one_alarm() -> None:
    ward = Night()
    ward.event("sos_pressed", device=BUTTON)
    ward.seconds += 0.2
    assert ward.event("sos_pressed", device=BUTTON) == []
    assert len(ward.event("sos_pressed", device="cord-1")) == 1  # another device is another cry


def test_two_people_who_pull_their_cords_on_one_contact_module_at_once_are_both_heard() -> None:
    ward = Night()
    (one,) = ward.event("sos_pressed", device="contacts-1", bed=BED, source="pull_cord")
    (other,) = ward.event("sos_pressed", device="contacts-1", bed="b-OTHER", source="pull_cord")
    assert (one.bed, other.bed) == (BED, "b-OTHER")
    assert one.id != other.id
    ward.seconds += 0.2
    assert ward.event("sos_pressed", device="contacts-1", bed="b-OTHER", source="pull_cord") == []


def test_a_press_after_an_answer_is_never_a_bounce() -> None:
    ward = Night()
    (first,) = ward.event("sos_pressed", device=BUTTON)
    ward.seconds += 1
    ward.keep(ward.engine.acknowledge(first.id, "p-1", "", "page", ward.now()))
    ward.seconds += 1
    assert len(ward.event("sos_pressed", device=BUTTON)) == 1


def test_sos_from_a_device_and_bed_the_registry_does_not_know_is_raised() -> None:
    ward = Night()
    (alarm,) = ward.event("sos_pressed", bed=None, device="stranger")
    assert (alarm.bed, alarm.device) == (None, "stranger")
    assert len(ward.event("sos_pressed", bed="b-99", device=None)) == 1


def test_sos_flooding_from_strangers_stays_bounded_and_is_still_heard() -> None:
    ward = Night(devices=())
    for stranger in range(1200):
        ward.seconds += 4
        assert len(ward.event("sos_pressed", bed=None, device=f"x-{stranger}")) == 1
    assert sum(1 for _ in ward.engine._ward.cells()) < 1200


def test_sos_of_an_installer_s_test_says_so() -> None:
    ward = Night()
    event = Event("sos_pressed", ward.stamp(), BED, BUTTON, mode=Mode.TEST)
    assert ward.engine.event(event, ward.now())[0].mode is Mode.TEST


# -- fall -------------------------------------------------------------------------------------------------------------


def test_fall_is_raised_at_once_high_and_latched() -> None:
    ward = Night()
    (alarm,) = ward.event("fall_suspected", device="band-1", impact_g="6.1")
    assert (alarm.rule, alarm.priority, alarm.bed, alarm.device) == ("fall", Priority.HIGH, BED, "band-1")
    assert alarm.latch


def test_fall_is_silent_without_a_suspicion_and_for_the_replay_of_one() -> None:
    ward = Night()
    sleeping(ward, 60)
    assert not ward.raised("fall")
    at = ward.stamp()
    ward.event("fall_suspected", at=at)
    ward.go(120)
    assert ward.event("fall_suspected", at=at) == []
    assert len(ward.raised("fall")) == 1


def test_a_second_fall_after_an_answer_is_a_new_alarm_and_the_first_still_waits_to_be_closed() -> None:
    ward = Night()
    (first,) = ward.event("fall_suspected")
    ward.go(5)
    ward.keep(ward.engine.acknowledge(first.id, "p-1", "", "page", ward.now()))
    ward.go(60)
    old, new = ward.event("fall_suspected")
    assert (old.id, old.condition, old.open) == (first.id, "inactive", True)
    assert (new.rule, new.condition, new.rev) == ("fall", "active", 1)
    assert old.evidence["again"] == new.id


def test_a_second_fall_before_an_answer_is_the_same_alarm_counted() -> None:
    ward = Night()
    (first,) = ward.event("fall_suspected")
    ward.go(60)
    (again,) = ward.event("fall_suspected")
    assert (again.id, again.evidence["repeats"]) == (first.id, 1)
    assert again.rev > first.rev


# -- no vital sign ----------------------------------------------------------------------------------------------------


def test_no_vital_sign_is_raised_60_s_after_the_last_one_and_is_never_merely_technical() -> None:
    ward = Night()
    sleeping(ward, 120)
    # the worker says 1 for ten seconds more, since each reading looks back over ten
    ward.go(10, bed_occupied=1, vital_sign=1)
    assert ward.go(50, bed_occupied=1, vital_sign=0) == []
    (alarm,) = ward.go(1, bed_occupied=1, vital_sign=0)
    assert (alarm.rule, alarm.priority, alarm.kind) == ("no_vital_sign", Priority.HIGH, Kind.PHYSIOLOGICAL)
    sleeping(ward, 30)
    assert ward.open("no_vital_sign")[0].condition == "inactive"  # still there: a person must have looked


def test_no_vital_sign_is_silent_while_there_is_one_or_nobody_is_in_bed() -> None:
    ward = Night()
    sleeping(ward, 600)
    ward.go(600, bed_occupied=0, vital_sign=0)
    assert not ward.raised("no_vital_sign")


def test_a_mat_that_says_empty_does_not_silence_no_vital_sign() -> None:
    ward = Night()
    for _ in range(120):
        ward.seconds += 1
        ward.measure("bed_occupied", 1)
        ward.measure("bed_occupied", 0, device=MAT, origin="device")
        ward.measure("vital_sign", 0)
        ward.tick()
    assert len(ward.raised("no_vital_sign")) == 1


# -- technical --------------------------------------------------------------------------------------------------------


def test_sensor_lost_is_raised_two_minutes_after_the_link_and_ends_when_it_is_back() -> None:
    ward = Night()
    ward.event("link_up")
    ward.event("link_lost", reason="unplugged")
    assert not [alarm for alarm in ward.go(119) if alarm.device == BELT]
    (alarm,) = [alarm for alarm in ward.go(1) if alarm.device == BELT]
    assert (alarm.rule, alarm.kind, alarm.bed) == ("sensor_lost", Kind.TECHNICAL, BED)
    ward.event("link_up")
    assert ward.go(11)[-1].condition == "inactive"


def test_sensor_lost_is_silent_for_a_band_that_is_back_in_a_minute_and_for_a_button_nobody_presses() -> None:
    ward = Night(devices=(DeviceScope(BELT, BED), DeviceScope(BUTTON, BED, supervised=False)))
    ward.event("link_up")
    ward.event("link_lost")
    ward.go(60)
    ward.event("link_up")
    ward.go(1200)
    assert not ward.raised("sensor_lost")


def test_a_sensor_that_never_came_up_after_a_restart_is_lost_too() -> None:
    ward = Night(devices=(DeviceScope(BELT, BED),))
    ward.go(419)
    assert not ward.raised("sensor_lost")
    ward.go(3)
    assert len(ward.raised("sensor_lost")) == 1


def test_uplink_lost_is_raised_after_90_s_for_each_uplink_and_makes_no_noise() -> None:
    ward = Night(upstreams=("district", "province"), devices=())
    for name in ("district", "province"):
        ward.event("uplink_back", bed=None, device=None, upstream=name)
    ward.go(10)
    ward.event("uplink_lost", bed=None, device=None, upstream="district")
    assert ward.go(89) == []
    (alarm,) = ward.go(1)
    assert (alarm.rule, alarm.bed, alarm.evidence["upstream"]) == ("uplink_lost", None, "district")
    ward.go(3600)
    assert ward.open("uplink_lost")[0].signal["buzzer"] == "off"
    ward.event("uplink_back", bed=None, device=None, upstream="district")
    assert ward.go(11)[-1].condition == "inactive"


def test_uplink_lost_is_silent_for_a_router_that_restarts() -> None:
    ward = Night(upstreams=("district",), beds=(), devices=())
    ward.event("uplink_lost", bed=None, device=None, upstream="district")
    ward.go(80)
    ward.event("uplink_back", bed=None, device=None, upstream="district")
    assert ward.go(600) == []


def test_an_uplink_that_never_came_up_is_lost_too() -> None:
    ward = Night(upstreams=("district",), beds=(), devices=())
    ward.go(95)
    assert len(ward.raised("uplink_lost")) == 1


def test_box_in_trouble_is_raised_for_each_part_that_stays_down() -> None:
    ward = Night()
    ward.event("box_trouble", bed=None, device=None, part="disk", reason="full")
    ward.go(10)
    ward.event("box_trouble", bed=None, device=None, part="worker", reason="killed")
    ward.go(25)
    ward.event("box_recovered", bed=None, device=None, part="worker")
    ward.go(60)
    assert [alarm.evidence["part"] for alarm in ward.raised("box_in_trouble")] == ["disk"]


def test_box_in_trouble_is_silent_for_a_worker_that_restarts() -> None:
    ward = Night(beds=(), devices=())
    ward.event("box_trouble", bed=None, device=None, part="worker", reason="killed")
    ward.go(20)
    ward.event("box_recovered", bed=None, device=None, part="worker")
    assert ward.go(600) == []


def test_input_lost_is_raised_when_a_rule_waits_too_long_and_is_silent_out_of_bed() -> None:
    ward = Night(devices=())
    sleeping(ward, 10)
    ward.go(3600, bed_occupied=0)
    assert not ward.raised("input_lost")
    ward.go(700, bed_occupied=1, vital_sign=1, respiration_rate=14)
    assert [alarm.evidence["input"] for alarm in ward.raised("input_lost")] == [f"{BED}/heart_rate"]  # once for 4 rules


def test_a_lost_sensor_explains_its_missing_inputs() -> None:
    ward = Night()
    sleeping(ward, 10)
    ward.measure("bed_occupied", 1, device=MAT, origin="device")
    ward.event("link_lost", reason="unplugged")
    for _ in range(900):
        ward.seconds += 1
        ward.measure("bed_occupied", 1, device=MAT, origin="device")
        ward.tick()
    assert not ward.raised("input_lost")
    assert "input_lost" in str(ward.open("sensor_lost")[0].evidence["explains"])


# -- night exit -------------------------------------------------------------------------------------------------------


def test_night_exit_is_raised_after_15_minutes_out_of_bed() -> None:
    ward = Night()
    sleeping(ward, 60)
    assert not [alarm for alarm in ward.go(900, bed_occupied=0) if alarm.rule == "night_exit"]
    (alarm,) = ward.go(1, bed_occupied=0)
    assert (alarm.rule, alarm.priority, alarm.latch) == ("night_exit", Priority.HIGH, True)
    sleeping(ward, 31)
    (late,) = ward.open("night_exit")
    assert (late.condition, late.signal["page"]) == ("inactive", "latched")  # back, but somebody must ask how it went


def test_night_exit_is_silent_for_a_walk_to_the_toilet_and_by_day() -> None:
    ward = Night()
    sleeping(ward, 60)
    ward.go(840, bed_occupied=0)
    sleeping(ward, 60)
    day = Night(at=datetime(2026, 11, 24, 10, 0, tzinfo=PARIS))
    sleeping(day, 60)
    day.go(7200, bed_occupied=0)
    assert not ward.raised("night_exit")
    assert not day.raised("night_exit")


@pytest.mark.parametrize(
    ("exit_at", "raised_at"),
    [((21, 50), (22, 5)), ((20, 0), (22, 0)), ((5, 44), (5, 59)), ((5, 46), None), ((23, 0), (23, 15))],
)
def test_night_exit_counts_whenever_the_exit_was_and_raises_inside_the_night(
    exit_at: tuple[int, int], raised_at: tuple[int, int] | None
) -> None:
    ward = Night(at=datetime(2026, 11, 24, *exit_at, tzinfo=PARIS))
    for _ in range(3 * 60):
        ward.measure("bed_occupied", 0)
        ward.leap(60)
    seen = [alarm.raised for alarm in ward.raised("night_exit")]
    assert len(seen) == (raised_at is not None)
    if raised_at is not None:
        passed_s = seen[0].mono_ns / 1e9 - 1000
        assert passed_s == ((raised_at[0] - exit_at[0]) * 60 + raised_at[1] - exit_at[1]) * 60


@pytest.mark.parametrize("night", ["2026-03-29T01:50", "2026-10-25T02:50"])
def test_night_exit_takes_15_minutes_also_while_the_clocks_change(night: str) -> None:
    ward = Night(at=datetime.fromisoformat(night).replace(tzinfo=PARIS))
    ward.go(900, bed_occupied=0)
    assert not ward.raised("night_exit")
    ward.go(1, bed_occupied=0)
    assert len(ward.raised("night_exit")) == 1


def test_night_exit_watches_round_the_clock_while_the_box_does_not_know_the_time() -> None:
    ward = Night(at=datetime(1970, 1, 1, 12, 0, tzinfo=PARIS), local_certain=False)
    ward.go(901, bed_occupied=0)
    assert len(ward.raised("night_exit")) == 1


# -- heart and respiration rate ---------------------------------------------------------------------------------------

LIMITS = [
    ("heart_rate_high", "heart_rate", 131, 130, 60, Priority.HIGH),
    ("heart_rate_low", "heart_rate", 40, 41, 60, Priority.HIGH),
    ("heart_rate_raised", "heart_rate", 111, 110, 300, Priority.MEDIUM),
    ("heart_rate_lowered", "heart_rate", 45, 46, 300, Priority.MEDIUM),
    ("respiration_rate_high", "respiration_rate", 30, 29, 120, Priority.HIGH),
    ("respiration_rate_raised", "respiration_rate", 25, 24, 120, Priority.MEDIUM),
    ("respiration_rate_low", "respiration_rate", 8, 9, 45, Priority.HIGH),
]


@pytest.mark.parametrize(("rule", "quantity", "at", "_short", "delay_s", "priority"), LIMITS)
def test_a_rate_at_its_limit_is_raised_after_the_stated_delay(
    rule: str, quantity: str, at: float, _short: float, delay_s: int, priority: Priority
) -> None:
    ward = Night()
    sleeping(ward, 30)
    sleeping(ward, delay_s, **{quantity: at})
    assert not ward.raised(rule)
    sleeping(ward, 15, **{quantity: at})
    (alarm,) = ward.raised(rule)
    assert alarm.priority is priority
    assert alarm.values[quantity] == at


@pytest.mark.parametrize(("rule", "quantity", "at", "short", "delay_s", "_priority"), LIMITS)
def test_a_rate_short_of_its_limit_or_for_less_than_its_delay_or_out_of_bed_is_silent(
    rule: str, quantity: str, at: float, short: float, delay_s: int, _priority: Priority
) -> None:
    ward = Night()
    sleeping(ward, 600, **{quantity: short})
    sleeping(ward, delay_s - 10, **{quantity: at})
    sleeping(ward, 60)
    assert not ward.raised(rule)
    up = Night()
    up.go(600, bed_occupied=0, **{quantity: at})
    assert not up.raised(rule)


@pytest.mark.parametrize(("rule", "quantity", "at", "_short", "delay_s", "_priority"), LIMITS)
def test_a_rate_of_low_quality_is_silent(
    rule: str, quantity: str, at: float, _short: float, delay_s: int, _priority: Priority
) -> None:
    ward = Night()
    for _ in range(delay_s + 60):
        ward.seconds += 1
        ward.measure("bed_occupied", 1)
        ward.measure(quantity, at, quality=0.4)
        ward.tick()
    assert not ward.raised(rule)


def test_every_built_in_rule_is_covered_here() -> None:
    named = {rule for rule, *_ in LIMITS}
    here = {"sos", "fall", "no_vital_sign", "sensor_lost", "uplink_lost", "box_in_trouble", "input_lost", "night_exit"}
    assert named | here == set(RULES)


def test_beds_do_not_disturb_each_other() -> None:
    ward = Night(beds=(BedScope("b-1"), BedScope("b-2")))
    for _ in range(80):
        ward.seconds += 1
        for bed, rate in (("b-1", 140), ("b-2", 60)):
            ward.measure("bed_occupied", 1, bed=bed, device=f"belt-{bed}")
            ward.measure("heart_rate", rate, bed=bed, device=f"belt-{bed}")
        ward.tick()
    assert [alarm.bed for alarm in ward.raised("heart_rate_high")] == ["b-1"]
