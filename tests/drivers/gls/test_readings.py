"""What becomes of a meter's records: a reading once, HI and LO as limits, no failure as a number."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from drivers.ble_values import Special
from drivers.gls.frame import Context, Glucose, encode_context, encode_measurement
from drivers.gls.meter_clock import MeterClock
from drivers.gls.racp import Mark
from drivers.gls.readings import Limits, Readings
from gateway.core.clock import UNKNOWN_UNCERTAINTY_NS, ManualClock
from gateway.core.model import Status
from tests.drivers.ble_ward import RecordingSink, device

METER = device("gls", "F1:00:00:00:00:18")
SOUND = Glucose(1, None, value=0.00111, sample=2, location=1, status=0)


class Bench:
    """Records handed in by hand; time stands."""

    def __init__(self) -> None:
        self.clock = ManualClock(mono_ns=10**15)
        self.meter_clock = MeterClock(self.clock, None)
        self.sink = RecordingSink()
        self.readings = Readings(METER, Limits(1.1, 33.3))
        self.now = self.meter_clock.local(self.clock.now())

    def take(self, record: Glucose, known: Mark | None = None, *, exponent: int | None = None) -> Mark | None:
        data = encode_measurement(record, exponent=exponent)
        return self.readings.measurement(data, self.clock.now(), self.meter_clock, known, self.sink)

    def context(self, context: Context) -> None:
        self.readings.context(encode_context(context), self.clock.now(), self.sink)

    def taken(self, seconds_ago: float, sequence: int = 1) -> Glucose:
        return replace(SOUND, sequence=sequence, base_time=self.now - timedelta(seconds=seconds_ago))

    def age_s(self) -> float:
        return self.clock.now().since_s(self.sink.measurements[-1].at)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_reading_is_told_in_mmol_per_litre_with_the_original_beside_it(bench: Bench) -> None:
    bench.take(SOUND)
    (told,) = bench.sink.measurements
    assert (told.quantity, told.value, told.unit, told.status) == ("glucose", 6.16, "mmol/L", Status.VALID)
    assert told.record, "a repeat after a restart is known by it"
    (event,) = bench.sink.events
    assert event.kind == "glucose_reading"
    assert {"original": 111.0, "original_unit": "mg/dL", "sample": "capillary_plasma"}.items() <= event.detail.items()


@pytest.mark.parametrize(
    ("value", "status", "limit", "worth"),
    [
        (Special.PINF, 0, 33.3, Status.OVER),
        (Special.NINF, 0, 1.1, Status.UNDER),
        (Special.NAN, 1 << 5, 33.3, Status.OVER),
        (Special.NAN, 1 << 6, 1.1, Status.UNDER),
        (Special.NRES, 1 << 5, 33.3, Status.OVER),
        (0.006, 1 << 5, 33.3, Status.OVER),
        (None, 1 << 6, 1.1, Status.UNDER),
        (Special.NAN, 1 << 6 | 1, 1.1, Status.UNDER),
    ],
)
def test_hi_and_lo_are_readings_with_the_meters_limit(
    bench: Bench, value: float | Special | None, status: int, limit: float, worth: Status
) -> None:
    bench.take(replace(SOUND, value=value, status=status), exponent=-5)
    (told,) = bench.sink.measurements
    assert (told.value, told.status) == (limit, worth)
    assert bench.sink.rejections == []


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (replace(SOUND, value=Special.NAN), "failed_measurement"),
        (replace(SOUND, value=Special.RESERVED), "failed_measurement"),
        (replace(SOUND, value=None), "failed_measurement"),
        (replace(SOUND, value=0.01), "implausible_glucose"),
        (replace(SOUND, value=0.0), "implausible_glucose"),
        (replace(SOUND, value=-0.001), "implausible_glucose"),
        (replace(SOUND, value=0.058, unit="mol/L"), "implausible_glucose"),
        (replace(SOUND, status=1 << 1), "status_sensor_malfunction"),
        (replace(SOUND, status=1 << 2), "status_sample_insufficient"),
        (replace(SOUND, status=1 << 10 | 1 << 5), "status_general_fault"),
        (replace(SOUND, status=1 << 12), "reserved_status"),
        (replace(SOUND, status=1 << 5 | 1 << 6), "both_too_high_and_too_low"),
    ],
)
def test_what_is_no_reading_becomes_an_event_with_its_bytes_and_never_a_number(
    bench: Bench, record: Glucose, reason: str
) -> None:
    bench.take(record)
    data = encode_measurement(record)
    assert bench.sink.measurements == []
    assert bench.sink.rejections == [(METER.id, reason, data)]
    (event,) = bench.sink.events
    assert (event.kind, event.detail["reason"], event.detail["raw"]) == ("readings_rejected", reason, data.hex())


@pytest.mark.parametrize("control", [replace(SOUND, sample=10), replace(SOUND, location=4)])
def test_control_solution_is_nobodys_blood(bench: Bench, control: Glucose) -> None:
    bench.take(control)
    assert bench.sink.measurements == []
    assert bench.sink.kinds() == ["control_solution"]


def test_a_low_battery_is_told_and_the_reading_kept(bench: Bench) -> None:
    bench.take(replace(SOUND, status=1))
    assert bench.sink.values("glucose") == [6.16]
    assert bench.sink.kinds() == ["battery_low", "glucose_reading"]


def test_a_repeat_is_counted_and_told_no_second_time_even_when_a_meal_was_added_since(bench: Bench) -> None:
    bench.take(SOUND)
    bench.take(replace(SOUND, context_follows=True))
    assert bench.sink.values("glucose") == [6.16]
    assert [reason for _, reason, _ in bench.sink.rejections] == ["repeated_record"]


def test_the_newest_known_record_comes_again_by_design_and_is_no_complaint(bench: Bench) -> None:
    mark = bench.take(SOUND)
    assert bench.take(SOUND, mark) == mark
    assert bench.sink.rejections == []


def test_the_context_is_joined_by_number_whatever_comes_in_between(bench: Bench) -> None:
    bench.take(replace(SOUND, context_follows=True))
    assert bench.sink.values("glucose") == [6.16], "the number does not wait for its context"
    bench.take(replace(SOUND, sequence=2, value=0.0009))
    bench.context(Context(1, meal=3))
    first, second = sorted(bench.sink.events, key=lambda event: int(event.detail["sequence"]))
    assert first.detail["meal"] == "fasting"
    assert "meal" not in second.detail


def test_a_context_that_was_cut_off_is_told_in_the_next_visit(bench: Bench) -> None:
    record = replace(SOUND, context_follows=True)
    mark = bench.take(record)
    bench.readings.finish(bench.sink)
    assert bench.sink.events[-1].detail["context"] == "missing"
    bench.take(record, mark)
    bench.context(Context(1, meal=2))
    assert bench.sink.kinds() == ["glucose_reading", "glucose_context"]
    assert bench.sink.events[-1].detail["meal"] == "postprandial"
    bench.take(record, mark)
    bench.context(Context(1, meal=2))
    assert bench.sink.kinds() == ["glucose_reading", "glucose_context"]


def test_a_context_without_its_record_is_counted(bench: Bench) -> None:
    bench.context(Context(9, meal=2))
    assert [reason for _, reason, _ in bench.sink.rejections] == ["context_without_record"]


def test_contexts_that_never_come_fill_no_memory(bench: Bench) -> None:
    for sequence in range(1, 200):
        bench.take(replace(SOUND, sequence=sequence, context_follows=True))
    bench.readings.finish(bench.sink)
    assert len(bench.sink.events) == 199
    assert len(bench.readings._unjoined) <= 64
    assert bench.readings._waiting == {}


def test_a_stored_reading_bears_the_time_of_its_measurement(bench: Bench) -> None:
    bench.take(bench.taken(600))
    assert bench.age_s() == pytest.approx(600, abs=1)
    assert bench.sink.events[-1].detail["time_source"] == "device"


def test_the_users_offset_counts_and_a_clock_known_to_be_fast_is_corrected(bench: Bench) -> None:
    bench.meter_clock.offset_s = 90.0
    bench.take(replace(bench.taken(3600 - 90), offset_min=0))
    assert bench.age_s() == pytest.approx(3600, abs=1)
    bench.take(replace(bench.taken(3600 - 90, sequence=2), offset_min=-30))
    assert bench.age_s() == pytest.approx(3600 + 1800, abs=1)


@pytest.mark.parametrize(
    "record",
    [
        replace(SOUND, base_time=datetime.fromisoformat("2055-01-01")),
        replace(SOUND, base_time=datetime.fromisoformat("1999-01-01")),  # long before this boot
        replace(SOUND, base_time=None),
        replace(SOUND, base_time=datetime.fromisoformat("2026-11-24T12:00"), status=1 << 11),
    ],
)
def test_a_time_that_cannot_be_believed_gives_way_to_the_receipt(bench: Bench, record: Glucose) -> None:
    bench.take(record)
    assert bench.age_s() == 0
    assert bench.sink.events[-1].detail["time_source"] == "gateway"


def test_a_box_that_does_not_know_the_time_judges_no_other_clock(bench: Bench) -> None:
    bench.clock.uncertainty_ns = UNKNOWN_UNCERTAINTY_NS
    bench.take(bench.taken(600))
    assert bench.age_s() == 0
