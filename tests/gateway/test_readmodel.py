"""What readers see: the freshest and best value with its age, devices with their losses, alarms in order of need."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import msgspec
import pytest

from gateway.core.model import Condition, Detail, Event, Mode, Priority, Stamp
from gateway.views import BedState
from tests.gateway.house import BEDS, House


@pytest.fixture
def house() -> House:
    return House()


def bed(house: House, number: int = 0) -> BedState:
    shown = house.model.bed(BEDS[number].id)
    assert shown is not None
    return shown


def test_a_value_carries_quality_and_age(house: House) -> None:
    house.measured("heart_rate", 62, quality=0.8)
    house.clock.shift(5)
    heart = bed(house).heart
    assert heart is not None
    assert (heart.value, heart.unit, heart.quality, heart.age_s, heart.stale) == (62, "/min", 0.8, 5.0, False)


def test_an_old_value_is_marked_stale_and_not_hidden(house: House) -> None:
    house.measured("heart_rate", 62)
    house.clock.shift(21)
    heart = bed(house).heart
    assert heart is not None
    assert heart.stale


def test_a_bed_without_values_says_so_with_none_and_never_with_zero(house: House) -> None:
    assert (bed(house).heart, bed(house).respiration, bed(house).occupied) == (None, None, None)


def test_of_two_devices_the_fresh_one_of_better_quality_is_shown(house: House) -> None:
    house.measured("heart_rate", 62, device="belt-1", quality=0.95)
    house.clock.shift(30)
    house.measured("heart_rate", 70, device="band-1", quality=0.5)
    heart = bed(house).heart
    assert heart is not None
    assert heart.device == "band-1"


def test_the_contact_under_the_mattress_is_believed_before_what_is_derived(house: House) -> None:
    house.measured("bed_occupied", 0, device="kiosk", origin="device", quality=0.6)
    house.measured("bed_occupied", 1, device="belt-1", origin="occupancy/1", quality=1.0)
    assert bed(house).occupied is False


def test_occupancy_is_unknown_once_nothing_fresh_says_it(house: House) -> None:
    house.measured("bed_occupied", 1)
    assert bed(house).occupied is True
    house.clock.shift(31)
    assert bed(house).occupied is None


def test_a_replayed_older_value_does_not_become_the_newest(house: House) -> None:
    old = house.measured("heart_rate", 62)
    house.clock.shift(1)
    house.measured("heart_rate", 64)
    house.model.saw_measurement(old)
    heart = bed(house).heart
    assert heart is not None
    assert heart.value == 64


def test_values_of_one_bed_never_show_in_another(house: House) -> None:
    house.measured("heart_rate", 62)
    assert bed(house, 1).heart is None


def test_open_alarms_come_unanswered_first_then_by_priority_then_newest(house: House) -> None:
    low = house.alarm("uplink_lost", id="a-low", bed=None, priority=Priority.LOW)
    house.clock.shift(1)
    house.alarm("fall", id="a-old")
    house.clock.shift(1)
    house.alarm("sos", id="a-new")
    house.clock.shift(1)
    answered = house.alarm("sos", id="a-answered")
    asyncio.run(house.commands.acknowledge(answered.id, "N-12", "", "page"))
    assert [alarm.id for alarm in house.model.open_alarms()] == ["a-new", "a-old", low.id, "a-answered"]


def test_an_alarm_of_the_box_is_on_the_ward_page_too(house: House) -> None:
    house.alarm("uplink_lost", bed=None)
    ward = house.model.ward()
    assert [alarm.rule for alarm in ward.box_alarms] == ["uplink_lost"]
    assert ward.open_alarms == 1


def test_a_condition_that_is_only_building_up_is_not_shown_as_an_alarm(house: House) -> None:
    house.model.saw_alarm(replace(house.alarm(id="a-2"), id="a-3", condition=Condition.PENDING))
    assert [alarm.id for alarm in house.model.open_alarms()] == ["a-2"]


def test_a_closed_alarm_leaves_the_open_ones_and_stays_known(house: House) -> None:
    alarm = house.alarm()
    house.model.saw_alarm(replace(alarm, rev=2, closed=house.clock.now(), outcome="helped"))
    shown = house.model.alarm(alarm.id)
    assert house.model.open_alarms() == ()
    assert shown is not None
    assert shown.outcome == "helped"


async def test_the_list_of_alarms_is_open_ones_first_then_the_store(house: House) -> None:
    alarm = house.alarm()
    house.memory.known = [replace(alarm, id="a-stored", closed=house.clock.now()), alarm]
    assert [shown.id for shown in await house.model.alarms()] == [alarm.id, "a-stored"]


def test_an_alarm_of_an_earlier_boot_is_shown_without_a_time_rather_than_a_wrong_one(house: House) -> None:
    before = Stamp("00000000", 5)
    house.model.saw_alarm(replace(house.alarm(), onset=before, raised=before))
    (shown,) = house.model.open_alarms()
    assert (shown.raised_utc_ms, shown.age_s) == (None, None)


def test_a_device_is_never_heard_then_up_then_lost_with_its_reason_then_up(house: House) -> None:
    def state() -> tuple[str, str]:
        shown = next(device for device in house.model.devices() if device.id == "belt-1")
        return shown.state, shown.reason

    assert state() == ("never", "")
    house.model.saw_sign_of_life("belt-1", house.clock.now(), None)
    assert state() == ("up", "")
    lost = {"reason": "unplugged", "hint": "check the plug"}
    house.model.saw_event(Event("link_lost", house.clock.now(), BEDS[0].id, "belt-1", lost))
    assert state() == ("lost", "unplugged (check the plug)")
    house.model.saw_event(Event("link_up", house.clock.now(), BEDS[0].id, "belt-1"))
    assert state() == ("up", "")


def test_last_seen_and_signal_strength_are_kept_by_device(house: House) -> None:
    house.model.saw_sign_of_life("band-1", house.clock.now(), -61)
    house.clock.shift(3)
    shown = next(device for device in house.model.devices() if device.id == "band-1")
    assert (shown.last_seen_s, shown.rssi_dbm) == (3.0, -61)


def test_rejected_frames_are_counted_by_reason_with_the_last_one_in_hex(house: House) -> None:
    house.model.saw_rejection("belt-1", "checksum", b"\xca\xfe", 2)
    house.model.saw_rejection("belt-1", "checksum", b"\xbe\xef", 1)
    house.model.saw_rejection("belt-1", "length", b"\x01", 1)
    shown = next(device for device in house.model.devices() if device.id == "belt-1")
    assert shown.rejected == {"checksum": 3, "length": 1}
    assert shown.last_rejected == "01"


def test_a_device_that_invents_reasons_does_not_fill_the_memory(house: House) -> None:
    for number in range(1000):
        house.model.saw_rejection("belt-1", f"reason {number}", bytes(500), 1)
    shown = next(device for device in house.model.devices() if device.id == "belt-1")
    assert sum(shown.rejected.values()) == 1000
    assert len(shown.rejected) == 21
    assert len(shown.last_rejected) == 64 * 3 - 1


def test_lost_samples_are_summed_by_channel(house: House) -> None:
    house.model.saw_loss("belt-1", "bed.wave", 30)
    house.model.saw_loss("belt-1", "bed.wave", 12)
    shown = next(device for device in house.model.devices() if device.id == "belt-1")
    assert shown.lost_samples == {"bed.wave": 42}


def test_a_device_shows_why_a_quantity_has_no_value_until_it_has_one(house: House) -> None:
    def shown() -> Mapping[str, str]:
        return next(device for device in house.model.devices() if device.id == "belt-1").withheld

    revision = house.model.revision
    house.model.saw_withheld("belt-1", {"heart_rate": "moving", "respiration_rate": "gap"})
    assert shown() == {"heart_rate": "moving", "respiration_rate": "gap"}
    assert house.model.revision > revision
    house.model.saw_withheld("belt-1", {"heart_rate": ""})
    assert shown() == {"respiration_rate": "gap"}


def test_a_fault_that_is_over_is_no_longer_shown(house: House) -> None:
    def state() -> str:
        return next(device.state for device in house.model.devices() if device.id == "kiosk")

    def fault(*, active: bool) -> Event:
        detail: Detail = {"fault": "exception_2", "meaning": "illegal data address", "active": active}
        return Event("device_fault", house.clock.now(), None, "kiosk", detail)

    house.model.saw_event(fault(active=True))
    assert state() == "fault"
    house.model.saw_event(fault(active=False))
    assert state() == "up"


async def test_an_uplink_is_connecting_then_up_then_lost_with_the_reason(house: House) -> None:
    assert [link.state for link in await house.model.uplinks()] == ["connecting"]
    house.model.saw_event(Event("uplink_back", house.clock.now(), detail={"upstream": "district"}))
    assert [link.state for link in await house.model.uplinks()] == ["up"]
    lost = {"upstream": "district", "reason": "broker refused", "hint": "check the password"}
    house.model.saw_event(Event("uplink_lost", house.clock.now(), detail=lost))
    house.clock.shift(60)
    (link,) = await house.model.uplinks()
    assert (link.state, link.reason, link.since_s) == ("lost", "broker refused (check the password)", 60.0)


async def test_the_rows_that_a_platform_has_not_acknowledged_are_counted(house: House) -> None:
    house.memory.marks = {"summary": {"lo": 1, "hi": 90, "acked_hi": 60, "pruned_lo": 0}}
    (link,) = await house.model.uplinks()
    assert link.waiting == 30


def test_a_part_in_trouble_shows_why_and_what_to_do_until_it_has_recovered(house: House) -> None:
    def parts() -> dict[str, tuple[str, str]]:
        return {part.name: (part.state, part.reason) for part in house.model.health().parts}

    house.model.saw_state("store", "ready")
    trouble = {"part": "store", "reason": "disk_full", "hint": "free space"}
    house.model.saw_event(Event("box_trouble", house.clock.now(), detail=trouble))
    assert parts() == {"store": ("fault", "disk_full (free space)")}
    house.model.saw_event(Event("box_recovered", house.clock.now(), detail={"part": "store"}))
    assert parts() == {"store": ("ready", "")}


def test_the_worker_that_tells_its_own_states_is_not_overruled_by_its_trouble(house: House) -> None:
    house.model.saw_state("worker", "degraded", "kernels died early")
    house.model.saw_event(Event("box_trouble", house.clock.now(), detail={"part": "worker", "reason": "x"}))
    assert [part.state for part in house.model.health().parts] == ["degraded"]


def test_health_names_boot_clock_parts_and_gauges(house: House) -> None:
    house.model.saw_state("worker", "starting")
    house.clock.shift(2)
    house.model.saw_state("worker", "ready", "pid 7")
    house.model.watch_gauge("worker_queue", lambda: 3.0)
    house.clock.shift(5)
    health = house.model.health()
    assert (health.boot_id, health.uptime_s, health.clock_source) == ("00000001", 7.0, "ntp")
    assert [(part.name, part.state, part.reason, part.since_s) for part in health.parts] == [
        ("worker", "ready", "pid 7", 5.0)
    ]
    assert health.gauges == {"worker_queue": 3.0}
    assert health.rss_bytes > 10_000_000


def test_a_clock_that_was_never_synced_is_not_given_a_certainty(house: House) -> None:
    house.clock.source, house.clock.uncertainty_ns = "none", 10 * 365 * 86_400 * 10**9
    assert house.model.health().clock_uncertainty_s is None


async def test_a_waiting_reader_is_woken_by_the_next_change(house: House) -> None:
    seen = house.model.revision
    waiting = asyncio.create_task(house.model.wait(seen))
    await asyncio.sleep(0)
    assert not waiting.done()
    house.measured("heart_rate", 60)
    assert await asyncio.wait_for(waiting, 1) > seen


async def test_a_reader_that_gives_up_leaves_nothing_behind(house: House) -> None:
    waiting = asyncio.create_task(house.model.wait(house.model.revision))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert house.model._waiting == set()


def test_a_bed_that_is_not_registered_is_none(house: House) -> None:
    assert house.model.bed("b-none") is None


def test_what_is_known_of_a_device_survives_a_new_registry(house: House) -> None:
    house.model.saw_rejection("belt-1", "checksum", b"", 1)
    house.model.set_inventory(BEDS[:1], [], 8)
    assert house.model.inventory().devices == ()
    assert house.model.inventory().rev == 8


async def test_every_answer_turns_into_json(house: House) -> None:
    house.measured("heart_rate", 60)
    house.alarm()
    house.model.saw_event(Event("bed_exited", house.clock.now(), BEDS[0].id, "belt-1", {"load_kg": 2.0}))
    answers = [house.model.ward(), house.model.devices(), house.model.health(), await house.model.uplinks()]
    ward = msgspec.json.decode(msgspec.json.encode(answers))[0]
    assert ward["beds"][0]["heart"]["value"] == 60
    assert ward["beds"][0]["last_event"]["kind"] == "bed_exited"


def test_the_mode_is_part_of_every_answer_about_people() -> None:
    real = House(mode=Mode.REAL)
    real.alarm()
    assert real.model.ward().mode == "real"
    assert real.model.open_alarms()[0].mode == "real"


def test_a_room_is_shown_by_its_name_where_it_has_one(house: House) -> None:
    house.alarm()
    house.model.set_inventory(BEDS, [], 8, rooms={"101": "Jasmine"})
    assert [shown.room for shown in house.model.ward().beds] == ["Jasmine", "102"]
    assert house.model.open_alarms()[0].room == "Jasmine"


def test_an_alarm_that_another_one_explains_is_listed_but_not_counted(house: House) -> None:
    alarm = house.alarm("fall")
    house.model.saw_alarm(replace(alarm, id="a-2", rule="sensor_lost", hidden_by="a-1"))
    assert [shown.id for shown in house.model.open_alarms()] == ["a-1"]
    assert {shown.id for shown in asyncio.run(house.model.alarms())} == {"a-1", "a-2"}


def test_the_last_event_of_a_bed_is_about_the_person_and_not_about_a_cable(house: House) -> None:
    house.model.saw_event(Event("bed_exited", house.clock.now(), BEDS[0].id, "belt-1"))
    house.model.saw_event(Event("link_up", house.clock.now(), BEDS[0].id, "band-1"))
    last = bed(house).last_event
    assert last is not None
    assert last.kind == "bed_exited"
