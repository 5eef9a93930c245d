"""The driver against a meter on a real Bluetooth stack: bonded, read, cut half way, read again."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime

import pytest
from bumble.pairing import PairingConfig, PairingDelegate

from drivers.base import Device, Driver, Setting
from drivers.ble_values import Special
from drivers.gls.driver import FAMILY, HERE, GlsDriver
from drivers.gls.frame import Context, Glucose
from drivers.gls.peer import GlucoseMeter
from drivers.gls.racp import REPORT_ALL, report_from
from drivers.local_time import local_time
from drivers.profile import models_in
from drivers.profile_models import load_model
from gateway.core.clock import UNKNOWN_UNCERTAINTY_NS, Anchor, SystemClock
from gateway.core.errors import LinkError, PairingError
from gateway.core.model import Status
from tests.drivers.ble_ward import RecordingSink, ended, radio_space, running, scanning_adapter

ADDRESS = "F1:00:00:00:00:18"
SOUND = Glucose(0, None, value=0.00111, sample=1, location=1, status=0)


class SyncedClock(SystemClock):
    """The box's clock where no time server is reachable, told that it is right."""

    def anchor(self) -> Anchor:
        return replace(super().anchor(), uncertainty_ns=10**7, source="ntp")


class LostClock(SystemClock):
    """The box's clock before anybody told it the time."""

    def anchor(self) -> Anchor:
        return replace(super().anchor(), uncertainty_ns=UNKNOWN_UNCERTAINTY_NS, source="none")


def meter_of(settings: Mapping[str, Setting]) -> Device:
    return Device("d-18", "gls", "contour_next_one", "virtual", "b-1", ADDRESS, settings)


class Ward:
    """A meter with three records and the driver that answers it."""

    def __init__(self, meter: GlucoseMeter, driver: Driver) -> None:
        self.meter = meter
        self.driver = driver
        self.sink = RecordingSink()

    def sequences(self) -> list[int]:
        return [int(event.detail["sequence"]) for event in self.sink.events if event.kind == "glucose_reading"]

    async def visit(self) -> None:
        """The driver runs until the meter has told all."""
        before = self.sink.kinds().count("link_up")
        async with running(self.driver.run(self.sink)):
            await self.sink.until(lambda: self.sink.kinds().count("link_up") > before)

    async def broken_visit(self) -> BaseException | None:
        return await ended(self.driver, self.sink)


@asynccontextmanager
async def ward(clock: SystemClock | None = None, **settings: str | bool) -> AsyncIterator[Ward]:
    clock = clock or SyncedClock()

    def local() -> datetime:
        return local_time(clock, clock.now())

    async with radio_space() as (space, port):
        meter = GlucoseMeter(space, clock, ADDRESS, local)
        for age_s in (900, 600, 300):
            meter.measure(SOUND, age_s=age_s)
        await meter.start()
        async with scanning_adapter(port, clock) as adapter, running(meter.run()):
            yield Ward(meter, FAMILY.make([meter_of(settings)], adapter, clock))


async def test_a_meter_is_bonded_its_clock_set_and_its_records_told_once_over_two_visits() -> None:
    async with ward() as house:
        house.meter.put_clock_off(120)
        await house.visit()
        assert house.sequences() == [1, 2, 3]
        assert house.sink.values("battery") == [80]
        (clock_event,) = (event for event in house.sink.events if event.kind == "device_clock")
        assert clock_event.detail["offset_s"] == pytest.approx(120, abs=2)
        assert len(house.meter.seen.times) == 1
        ages = [house.sink.measurements[-1].at.since_s(one.at) for one in house.sink.measurements[-3:]]
        assert ages == pytest.approx([600, 300, 0], abs=1)
        house.meter.measure(SOUND, Context(0, meal=1))
        await house.visit()
        assert house.sequences() == [1, 2, 3, 4]
        assert house.sink.events[-1].kind == "records_read"
        reading = next(event for event in house.sink.events if event.detail.get("sequence") == 4)
        assert reading.detail["meal"] == "preprandial"
        assert house.meter.seen.requests == [REPORT_ALL, report_from(3)]
        assert house.sink.rejections == []


async def test_a_box_that_does_not_know_the_time_judges_no_clock_and_sets_none() -> None:
    async with ward(LostClock()) as house:
        house.meter.put_clock_off(120)
        await house.visit()
        assert house.sequences() == [1, 2, 3]
        assert house.meter.seen.times == []
        assert not {"device_clock", "device_clock_unset"} & set(house.sink.kinds())
        assert {event.detail["time_source"] for event in house.sink.events if "sequence" in event.detail} == {"gateway"}


@pytest.mark.parametrize("newest_first", [False, True])
async def test_a_dump_cut_half_way_is_resumed_without_loss_and_without_double(newest_first: bool) -> None:
    async with ward() as house:
        house.meter.faults.newest_first = newest_first
        house.meter.faults.hang_up_after = 2
        assert isinstance(await house.broken_visit(), LinkError)
        assert len(house.sequences()) == 2
        await house.visit()
        assert sorted(house.sequences()) == [1, 2, 3]
        assert house.sink.values("glucose") == [6.16] * 3
        resumed = report_from(2) if not newest_first else REPORT_ALL
        assert house.meter.seen.requests == [REPORT_ALL, resumed]


async def test_a_meter_out_of_range_in_mid_transfer_is_read_when_it_comes_back() -> None:
    async with ward() as house:
        house.meter.faults.delay_s = 0.05

        async def leave() -> None:
            await house.sink.until(lambda: bool(house.sequences()))
            house.meter.peripheral.disappear()

        async with running(leave()):
            assert isinstance(await house.broken_visit(), LinkError)
        house.meter.peripheral.reappear()
        await house.visit()
        assert sorted(house.sequences()) == [1, 2, 3]


async def test_a_meter_that_sends_twice_garbles_and_hangs_up_behind_its_answer_is_read_all_the_same() -> None:
    async with ward() as house:
        faults = house.meter.faults
        faults.repeat, faults.garbage, faults.hang_up_when_done = True, b"\xff\x01", True
        await house.visit()
        assert house.sequences() == [1, 2, 3]
        reasons = [reason for _, reason, _ in house.sink.rejections]
        assert sorted(reasons) == ["repeated_record"] * 3 + ["reserved"]


async def test_a_changed_battery_starts_the_numbers_anew_and_nothing_is_missed() -> None:
    async with ward() as house:
        await house.visit()
        house.meter.change_battery()
        for age_s in (50, 40, 30, 20, 10):
            house.meter.measure(SOUND, age_s=age_s)
        await house.visit()
        assert house.sequences()[:3] == [1, 2, 3]
        assert sorted(house.sequences()[3:]) == [1, 2, 3, 4, 5]
        assert house.meter.seen.requests == [REPORT_ALL, report_from(3), REPORT_ALL]


async def test_a_meter_that_knows_only_report_all_is_read_by_it() -> None:
    async with ward() as house:
        house.meter.faults.refuse_from = True
        await house.visit()
        house.meter.measure(SOUND)
        await house.visit()
        assert house.sequences() == [1, 2, 3, 4]
        assert house.meter.seen.requests == [REPORT_ALL, report_from(3), REPORT_ALL]


async def test_a_meter_that_does_not_complete_is_asked_again_by_the_next_run() -> None:
    async with ward() as house:
        house.meter.faults.busy = True
        error = await house.broken_visit()
        assert isinstance(error, LinkError)
        assert "busy" in str(error)
        house.meter.faults.busy = False
        await house.visit()
        assert house.sequences() == [1, 2, 3]


async def test_a_restarted_box_that_kept_the_last_record_fetches_nothing_twice() -> None:
    async with ward() as first:
        await first.visit()
        kept = str(first.sink.events[-1].detail["last_record"])
    async with ward(last_record=kept) as second:
        second.meter._records = first.meter._records
        second.meter.measure(SOUND)
        await second.visit()
        assert second.sequences() == [4]


async def test_a_meter_that_knows_no_report_is_a_device_fault_said_once() -> None:
    async with ward() as house:
        house.meter.faults.refuse_all = True
        for _ in range(2):
            assert isinstance(await house.broken_visit(), LinkError)
        assert house.sink.kinds().count("device_fault") == 1


async def test_a_meter_that_refuses_the_bond_ends_the_visit_before_any_record_is_asked_for() -> None:
    async with ward() as house:
        refusal = PairingDelegate(PairingDelegate.NO_OUTPUT_NO_INPUT)

        async def refuse() -> bool:
            return False

        refusal.accept = refuse
        device = house.meter.peripheral.device
        device.pairing_config_factory = lambda _connection: PairingConfig(delegate=refusal)
        error = await house.broken_visit()
        assert isinstance(error, LinkError | PairingError)
        assert "pairing" in str(error)
        assert house.sink.measurements == []
        assert house.meter.seen.requests == []


async def test_a_clock_far_off_is_told_as_unset_and_its_readings_bear_their_receipt() -> None:
    async with ward() as house:
        house.meter.change_battery()
        house.meter.put_clock_off(-400 * 86_400)
        house.meter.measure(SOUND, age_s=60)
        await house.visit()
        assert "device_clock_unset" in house.sink.kinds()
        reading = next(event for event in house.sink.events if event.kind == "glucose_reading")
        assert reading.detail["time_source"] == "gateway"


async def test_a_meter_just_read_is_left_alone_until_it_was_silent_or_a_minute_has_passed() -> None:
    async with ward() as house:
        async with running(house.driver.run(house.sink)):
            await house.sink.until(lambda: "link_up" in house.sink.kinds())
            await asyncio.sleep(0.5)  # some advertising intervals
        assert house.meter.seen.requests == [REPORT_ALL]


async def test_lo_on_the_display_is_told_with_the_limit_of_this_model() -> None:
    async with ward() as house:
        house.meter.change_battery()
        house.meter.measure(Glucose(0, None, value=Special.NAN, sample=1, location=1, status=1 << 6))
        await house.visit()
        (told,) = (one for one in house.sink.measurements if one.quantity == "glucose")
        assert (told.value, told.status) == (1.1, Status.UNDER)


def test_every_model_of_the_family_decodes_its_own_vectors_and_has_its_range() -> None:
    assert set(FAMILY.models) == {"gls_generic", "accu_chek_guide", "contour_next_one", "taidoc_gls"}
    for path in models_in(HERE).values():
        assert load_model(path).device.capability["glucose"].range is not None


@pytest.mark.parametrize(
    "settings", [{"low_limit": "low"}, {"low_limit": 9.0, "high_limit": 3.0}, {"last_record": "no hex"}]
)
async def test_a_setting_that_cannot_be_meant_is_refused(settings: dict[str, str | bool]) -> None:
    async with radio_space() as (_, port), scanning_adapter(port) as adapter:
        with pytest.raises(ValueError, match=next(iter(settings))):
            GlsDriver(meter_of(settings), adapter, SystemClock())
