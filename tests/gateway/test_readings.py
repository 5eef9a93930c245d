"""A reading is a person's: refused, told once, beyond a limit, and given to nobody but who says that it is theirs."""

import math
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import Device
from gateway.core.model import Event, Measurement, Stamp, Status
from gateway.core.quantities import quantity
from gateway.readings import (
    MAX_RECORDS,
    SETTING,
    UNASSIGNED,
    WINDOW_S,
    Readings,
    Refusal,
    Repeats,
    is_spot,
    record_of_event,
)

BOOT = "00000001"
ANNE, BERT = "b-00000001", "b-00000002"


@dataclass(frozen=True)
class Bed:
    id: str
    resident: str | None = None


BEDS = (Bed(ANNE, "p-00000001"), Bed(BERT, "p-00000002"))
DEVICES = (
    Device("kiosk", "modbus_rtu", "open_kiosk_1", "bus"),
    Device("kiosk-2", "modbus_rtu", "open_kiosk_1", "bus"),
    Device("reader", "bthome", "any", "radio", settings={"identifies": "kiosk"}),
    Device("badge", "bthome", "any", "radio"),
)


def at(seconds: float) -> Stamp:
    return Stamp(BOOT, 10**12).plus_s(seconds)


def measured(
    name: str = "systolic", value: float = 128.0, seconds: float = 0.0, *, device: str = "kiosk",
    status: Status = Status.VALID, record: str = "", window_s: float = 0.0, bed: str | None = None,
) -> Measurement:  # fmt: skip
    unit = quantity(name).unit
    return Measurement(bed, device, name, value, unit, at(seconds), window_s, status=status, record=record)


def shown(seconds: float, *, device: str | None = "reader", **detail: str) -> Event:
    return Event("identity_presented", at(seconds), device=device, detail={"by": "card", **detail})


def house(told: dict[str, bytes] | None = None) -> Readings:
    return Readings(["kiosk", "kiosk-2"], DEVICES, BEDS, told)


# -- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [Status.VALID, Status.QUESTIONABLE, Status.ONGOING])
def test_a_value_no_person_has_is_refused_whatever_the_device_thinks_of_it(status: Status) -> None:
    assert house().refusal(measured(value=700.0, status=status)) == Refusal("implausible systolic")
    assert house().refusal(measured(value=128.0, status=status)) is None


@pytest.mark.parametrize("status", [Status.INVALID, Status.NOT_AVAILABLE])
def test_a_failed_measurement_is_never_a_number(status: Status) -> None:
    assert house().refusal(measured(status=status)) == Refusal("failed systolic")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("status", list(Status))
def test_what_is_not_finite_is_refused_as_a_value_and_as_a_limit(status: Status, value: float) -> None:
    assert house().refusal(measured(value=value, status=status)) is not None


# -- beyond a limit ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "direction", "limit"), [(Status.OVER, "over", 33.3), (Status.UNDER, "under", 0.5)])
def test_beyond_the_devices_range_is_a_clinical_event_with_the_limit(
    status: Status, direction: str, limit: float
) -> None:
    readings, value = house(), measured("glucose", limit, status=status, bed=ANNE)
    assert readings.refusal(value) is None
    event = readings.out_of_range(value)
    assert event is not None
    assert (event.kind, event.bed, event.device, event.at) == ("reading_out_of_range", ANNE, "kiosk", value.at)
    assert event.detail == {"quantity": "glucose", "direction": direction, "limit": limit, "unit": "mmol/L"}


def test_a_value_within_the_range_is_no_such_event() -> None:
    assert house().out_of_range(measured("glucose", 33.3)) is None


def test_every_spot_reading_beyond_a_limit_is_an_event_of_its_own() -> None:
    readings = house()
    told = [readings.out_of_range(measured("glucose", 33.3, second, status=Status.OVER)) for second in range(3)]
    assert all(told)


def test_a_stream_beyond_a_limit_is_one_event_until_it_has_come_back() -> None:
    readings = house()
    over = [measured("spo2", 100, s, status=Status.OVER, window_s=1.0) for s in range(5)]
    assert [readings.out_of_range(one) is not None for one in over] == [True, False, False, False, False]
    assert readings.out_of_range(measured("spo2", 50, 5, status=Status.UNDER, window_s=1.0)) is not None
    assert readings.out_of_range(measured("spo2", 97, 6, window_s=1.0)) is None
    assert readings.out_of_range(replace(over[0], at=at(7))) is not None


def test_a_second_of_a_stream_is_no_spot_reading() -> None:
    assert is_spot(measured("spo2", 97))
    assert not is_spot(measured("spo2", 97, window_s=1.0))
    assert not is_spot(measured("heart_rate", 70))


# -- told once --------------------------------------------------------------------------------------------------------

RECORD = "2026-11-24T07:30:00 128 79 64"


def tell(readings: Readings, record: str = RECORD, *, device: str = "cuff") -> list[Refusal | None]:
    values = {"systolic": 128.0, "diastolic": 79.0, "pulse_rate": 64.0}
    return [readings.refusal(measured(name, value, device=device, record=record)) for name, value in values.items()]


def test_all_values_of_a_record_are_told_once_and_its_repeat_is_counted_once() -> None:
    readings = house()
    assert tell(readings) == [None, None, None]
    assert tell(readings) == [Refusal("repeat"), Refusal("repeat", 0), Refusal("repeat", 0)]


def test_another_record_of_the_same_values_is_news_and_so_is_the_same_of_another_device() -> None:
    readings = house()
    tell(readings)
    assert tell(readings, RECORD.replace("07:30", "07:31")) == [None] * 3
    assert tell(readings, device="cuff-2") == [None] * 3
    assert tell(readings)[0] == Refusal("repeat")


def test_values_told_once_without_a_record_are_never_repeats() -> None:
    readings = house()
    assert [readings.refusal(measured(seconds=0.0)) for _ in range(3)] == [None] * 3
    assert readings.unsaved() == []


def test_a_record_told_before_a_restart_is_a_repeat_after_it() -> None:
    first = house()
    tell(first)
    kept = dict(first.unsaved())
    assert list(kept) == [SETTING + "cuff"]
    assert first.unsaved() == []
    assert tell(house({"cuff": kept[SETTING + "cuff"]}))[0] == Refusal("repeat")


def test_a_damaged_setting_costs_no_more_than_what_it_held() -> None:
    first = house()
    tell(first)
    (_, kept), = first.unsaved()
    assert tell(house({"cuff": kept + b"\x01\x02\x03"}))[0] == Refusal("repeat")
    assert tell(house({"cuff": kept[:-1]})) == [None] * 3


def test_memory_is_bounded_and_the_oldest_record_is_forgotten_first() -> None:
    repeats = Repeats()
    for number in range(MAX_RECORDS + 1):
        assert repeats.refusal("cuff", str(number), "systolic") is None
    ((_, kept),) = repeats.unsaved()
    assert len(kept) == 8 * MAX_RECORDS
    assert repeats.refusal("cuff", str(MAX_RECORDS), "diastolic") is None  # the rest of the newest
    assert repeats.refusal("cuff", "1", "systolic") == Refusal("repeat")
    assert repeats.refusal("cuff", "0", "systolic") is None


def reading_event(**detail: str | float) -> Event:
    own: dict[str, str | float] = {
        "device_time": "2026-11-24T07:30:00", "systolic": 128.0, "offset_s": -3.0, "time_source": "device",
    }  # fmt: skip
    return Event("blood_pressure_reading", at(0), ANNE, "cuff", own | detail)


def test_the_event_of_a_repeated_record_is_a_repeat_though_the_clock_was_set_meanwhile() -> None:
    readings = house()
    assert readings.event_refusal(reading_event()) is None
    assert readings.event_refusal(reading_event(offset_s=0.0, time_source="gateway")) == Refusal("repeat")
    assert readings.event_refusal(reading_event(systolic=129.0)) is None


def test_the_event_of_a_record_is_not_counted_again_after_its_values() -> None:
    readings = house()
    for expected in (None, Refusal("repeat", 0)):
        tell(readings)
        assert readings.event_refusal(reading_event()) == expected


@pytest.mark.parametrize("kind", ["sos_pressed", "device_clock", "readings_rejected", "fall_suspected"])
def test_no_event_but_a_reading_with_the_devices_time_can_be_a_repeat(kind: str) -> None:
    assert record_of_event(replace(reading_event(), kind=kind)) == ""
    assert record_of_event(Event("kiosk_reading", at(0), detail={"systolic": 128.0})) == ""


# -- whose ------------------------------------------------------------------------------------------------------------


def test_a_reading_of_a_kiosk_is_kept_at_once_without_a_bed() -> None:
    kept = house().claimed(measured())
    assert (kept.bed, kept.assigned) == (None, UNASSIGNED)


@pytest.mark.parametrize("before_s", [0.0, 5.0, WINDOW_S])
@pytest.mark.parametrize("who", [{"bed": ANNE}, {"resident": "p-00000001"}, {"bed": ANNE, "resident": "p-00000001"}])
def test_a_card_up_to_two_minutes_before_says_whose_it_is(before_s: float, who: dict[str, str]) -> None:
    readings = house()
    readings.happened(shown(-before_s, **who))
    kept = readings.claimed(measured())
    assert (kept.bed, kept.assigned, kept.at) == (ANNE, "card", at(0))
    assert readings.settle(at(1000)) == []


@pytest.mark.parametrize("after_s", [0.1, 5.0, WINDOW_S])
def test_a_card_up_to_two_minutes_after_says_whose_it_was_in_a_new_row_of_the_same_moment(after_s: float) -> None:
    readings = house()
    first = readings.claimed(measured())
    readings.happened(shown(after_s, bed=ANNE, by="qr"))
    assert readings.settle(at(WINDOW_S)) == []
    (later,) = readings.settle(at(WINDOW_S + 1))
    assert later == replace(first, bed=ANNE, assigned="qr")
    assert readings.settle(at(WINDOW_S + 2)) == []


@pytest.mark.parametrize("seconds", [-WINDOW_S - 0.1, WINDOW_S + 0.1])
def test_a_card_beyond_two_minutes_says_nothing(seconds: float) -> None:
    readings = house()
    readings.happened(shown(min(seconds, 0.0) or -500.0, bed=ANNE))
    assert readings.claimed(measured()).bed is None
    readings.happened(shown(max(seconds, 0.0) or 500.0, bed=ANNE))
    assert readings.settle(at(1000)) == []


@pytest.mark.parametrize("sign", [-1, 1])
def test_two_people_on_the_same_side_leave_it_to_nobody(sign: int) -> None:
    readings = house()
    early = [shown(sign * 30.0, bed=ANNE), shown(sign * 60.0, bed=BERT)]
    for event in early if sign < 0 else ():
        readings.happened(event)
    assert readings.claimed(measured()).bed is None
    for event in early if sign > 0 else ():
        readings.happened(event)
    assert readings.settle(at(1000)) == []


def test_who_showed_a_card_first_keeps_the_reading_when_the_next_in_the_queue_shows_theirs() -> None:
    readings = house()
    readings.happened(shown(-60, bed=ANNE))
    assert readings.claimed(measured()).bed == ANNE
    readings.happened(shown(40, bed=BERT))
    assert readings.settle(at(1000)) == []


def test_the_same_card_twice_is_one_person() -> None:
    readings = house()
    readings.happened(shown(-60, bed=ANNE))
    readings.happened(shown(-10, resident="p-00000001"))
    assert readings.claimed(measured()).bed == ANNE


@pytest.mark.parametrize(
    "detail", [{}, {"resident": "p-99999999"}, {"bed": "b-99999999"}, {"bed": ANNE, "resident": "p-00000002"}]
)
def test_a_card_of_a_stranger_or_one_that_contradicts_itself_says_nothing(detail: dict[str, str]) -> None:
    readings = house()
    readings.happened(shown(-5, **detail))
    assert readings.claimed(measured()).bed is None


def test_a_resident_of_two_beds_is_not_guessed() -> None:
    readings = Readings(["kiosk"], DEVICES, (Bed(ANNE, "p-1"), Bed(BERT, "p-1")))
    readings.happened(shown(-5, resident="p-1"))
    assert readings.claimed(measured()).bed is None


def test_a_card_belongs_to_its_own_kiosk_and_to_no_other() -> None:
    readings = house()
    readings.happened(shown(-5, bed=ANNE))
    readings.happened(shown(-5, device="kiosk-2", bed=BERT))
    assert readings.claimed(measured()).bed == ANNE
    assert readings.claimed(measured(device="kiosk-2")).bed == BERT


def test_a_badge_that_is_tied_to_no_kiosk_says_nothing_until_the_event_names_one() -> None:
    readings = house()
    readings.happened(shown(-5, device="badge", bed=ANNE))
    assert readings.claimed(measured()).bed is None
    readings.happened(shown(-4, device="badge", bed=ANNE, station="kiosk"))
    assert readings.claimed(measured()).bed == ANNE


def test_devices_of_one_bed_or_of_the_site_are_left_as_they_are() -> None:
    readings = house()
    readings.happened(shown(-5, bed=ANNE))
    own = measured(device="cuff", bed=BERT)
    assert readings.claimed(own) is own
    visitor = measured("body_temperature", 36.6, device="gate")
    assert readings.claimed(visitor) is visitor
    battery = measured("battery", 90)
    assert readings.claimed(battery) is battery


def test_identities_of_another_boot_say_nothing() -> None:
    readings = house()
    readings.happened(replace(shown(-5, bed=ANNE), at=Stamp("00000000", 10**12)))
    assert readings.claimed(measured()).bed is None
    readings.happened(replace(shown(5, bed=ANNE), at=Stamp("00000002", 10**12)))
    assert readings.settle(Stamp("00000002", 10**12)) == []


def test_a_reading_beyond_a_limit_says_so_again_when_it_has_its_bed() -> None:
    readings = house()
    first = readings.claimed(measured("glucose", 33.3, status=Status.OVER))
    readings.happened(shown(5, bed=ANNE))
    (later,) = readings.settle(at(200))
    events = [readings.out_of_range(one) for one in (first, later)]
    assert [(event.bed, event.detail["assigned"]) for event in events if event] == [(None, UNASSIGNED), (ANNE, "card")]


times = st.floats(-300, 300).map(lambda seconds: round(seconds, 1))


@given(st.lists(st.tuples(times, st.sampled_from([ANNE, BERT])), max_size=8))
def test_nobody_gets_a_reading_without_having_shown_a_card_within_two_minutes(cards: list[tuple[float, str]]) -> None:
    readings = house()
    for seconds, bed in sorted(cards):
        if seconds <= 0:
            readings.happened(shown(seconds, bed=bed))
    rows = [readings.claimed(measured())]
    for seconds, bed in sorted(cards):
        if seconds > 0:
            readings.happened(shown(seconds, bed=bed))
    rows += readings.settle(at(1000))
    given_to = [row.bed for row in rows if row.bed is not None]
    near = {bed for seconds, bed in cards if abs(seconds) <= WINDOW_S}
    assert len(given_to) <= 1
    assert set(given_to) <= near
    if len(near) == 1:
        assert set(given_to) == near
