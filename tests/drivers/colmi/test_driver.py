"""The driver against a ring on a real Bluetooth stack: log, spot readings, charger, cut and read again."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from drivers.base import Device, Setting
from drivers.colmi import frame
from drivers.colmi.driver import FAMILY, ColmiDriver
from drivers.colmi.peer import ColmiRing
from gateway.core.clock import ScaledClock
from gateway.core.errors import LinkError
from tests.drivers.ble_ward import RecordingSink, ended, radio_space, running, scanning_adapter

ADDRESS = "F1:00:00:00:00:02"
DAY_S = 86_400
SPEED = 20.0


class Ward:
    """A ring with the log of today's first hours, and its driver. Its clock began at noon."""

    def __init__(self, ring: ColmiRing, driver: ColmiDriver, clock: ScaledClock) -> None:
        self.ring = ring
        self.driver = driver
        self.clock = clock
        self.sink = RecordingSink()

    def midnight_s(self) -> int:
        return self.clock.anchor().utc_ns_of(self.clock.now()) // 10**9 // DAY_S * DAY_S

    async def until(self, true: Callable[[], bool]) -> None:
        async with running(self.driver.run(self.sink)):
            await self.sink.until(true)

    def reasons(self) -> list[str]:
        return [reason for _, reason, _ in self.sink.rejections]


@asynccontextmanager
async def ward(**settings: Setting) -> AsyncIterator[Ward]:
    now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    noon_ns = 20_000 * DAY_S * 10**9 + 12 * 3600 * 10**9
    origin_ns = now_ns - 3 * 3600 * 10**9  # the box has been on since 60 scaled hours
    clock = ScaledClock(SPEED, origin_real_ns=origin_ns, origin_utc_ns=noon_ns - 60 * 3600 * 10**9)
    registered = Device("d-02", "colmi", "colmi_r02", "virtual", "b-1", ADDRESS, {"visit_s": 20, **settings})
    async with radio_space() as (space, port):
        ring = ColmiRing(space, clock, ADDRESS)
        await ring.start()
        async with scanning_adapter(port, clock) as adapter, running(ring.run()):
            driver = FAMILY.make([registered], adapter, clock)
            assert isinstance(driver, ColmiDriver)
            house = Ward(ring, driver, clock)
            ring.state.settings = frame.LogSettings(enabled=True, interval_min=5)
            ring.state.log[house.midnight_s()] = bytes([0, 61, 62, 0xFF, 64] + [65] * 20) + bytes(263)
            yield house


async def test_the_ring_is_set_up_and_its_log_is_told_once_over_two_visits() -> None:
    async with ward(spot_s=0) as house:
        house.ring.state.settings = frame.LogSettings(enabled=False, interval_min=60)
        await house.until(lambda: house.sink.values("battery") == [64, 64])
        told = [one for one in house.sink.measurements if one.quantity == "pulse_rate"]
        assert [one.value for one in told] == [61, 62, 64] + [65] * 20
        first_s = house.clock.anchor().utc_ns_of(told[0].at) / 1e9 - house.midnight_s()
        assert first_s == pytest.approx(300, abs=2)
        assert house.ring.state.settings == frame.LogSettings(enabled=True, interval_min=5)
        assert house.ring.state.commands[0][0] == frame.SET_TIME
        assert house.sink.rejections == []
        kept = next(event.detail for event in house.sink.events if event.kind == "records_read")
        assert kept == {"log_until_s": house.midnight_s() + 24 * 300}


async def test_a_restarted_box_that_kept_where_it_was_tells_nothing_twice() -> None:
    async with ward(spot_s=0, log_until_s=20_000 * DAY_S + 23 * 300) as house:
        await house.until(lambda: house.sink.values("battery") == [64, 64])
        assert house.sink.values("pulse_rate") == [65]


async def test_the_rest_of_yesterdays_log_is_fetched_behind_midnight() -> None:
    async with ward(spot_s=0, log_until_s=20_000 * DAY_S - 900) as house:
        house.ring.state.log[house.midnight_s() - DAY_S] = bytes(284) + bytes([50, 51, 52, 53])
        await house.until(lambda: 65 in house.sink.values("pulse_rate"))
        assert house.sink.values("pulse_rate")[:3] == [52, 53, 61]


async def test_spot_readings_wait_for_a_value_and_are_stopped() -> None:
    async with ward() as house:
        house.ring.state.log.clear()
        house.ring.faults.chatter = True
        await house.until(lambda: bool(house.sink.values("spo2")))
        assert (house.sink.values("pulse_rate"), house.sink.values("spo2")) == ([71], [97])
        assert house.sink.values("worn") == [1, 1]
        stops = [command[1] for command in house.ring.state.commands if command[0] == frame.REALTIME_STOP]
        assert stops[0] == frame.HEART_RATE


async def test_a_ring_worn_wrongly_gives_no_number_and_says_so() -> None:
    async with ward() as house:
        house.ring.state.log.clear()
        house.ring.faults.worn_wrongly = True
        await house.until(lambda: "spot_spo2_error_1" in house.reasons())
        assert house.sink.values("pulse_rate") == []
        assert house.sink.values("worn") == [0, 0]
        assert house.sink.kinds() == ["charging_ended", "sensor_off"]


async def test_a_ring_on_its_charger_is_not_worn_and_not_asked_for_spot_readings() -> None:
    async with ward() as house:
        house.ring.state.charging = True
        house.ring.state.log.clear()
        await house.until(lambda: len(house.sink.values("battery")) == 2)
        assert house.sink.values("worn") == [0, 0]
        assert house.sink.kinds() == ["charging_started", "sensor_off"]
        assert frame.REALTIME not in {command[0] for command in house.ring.state.commands}


async def test_a_ring_that_hangs_up_in_its_log_is_read_again_without_loss_and_without_double() -> None:
    async with ward(spot_s=0) as house:
        house.ring.faults.hang_up_in_log = True
        assert isinstance(await ended(house.driver, house.sink), LinkError)
        await house.until(lambda: 65 in house.sink.values("pulse_rate"))
        assert house.sink.values("pulse_rate") == [61, 62, 64] + [65] * 20


async def test_a_ring_out_of_range_is_a_lost_link_and_is_read_when_it_comes_back() -> None:
    async with ward(spot_s=0) as house:

        async def leave() -> None:
            await house.sink.until(lambda: bool(house.sink.values("battery")))
            house.ring.peripheral.disappear()

        async with running(leave()):
            assert isinstance(await ended(house.driver, house.sink), LinkError)
        house.ring.peripheral.reappear()
        house.sink.measurements.clear()
        await house.until(lambda: bool(house.sink.values("battery")))


async def test_a_lost_part_spoils_the_log_of_this_visit_only() -> None:
    async with ward(spot_s=0) as house:
        house.ring.faults.lose_log_part = 2
        await house.until(lambda: "log_part_missing" in house.reasons())
        assert house.sink.values("pulse_rate") == []
        house.ring.faults.lose_log_part = None
        await house.until(lambda: 65 in house.sink.values("pulse_rate"))


async def test_a_mute_ring_and_one_that_garbles_are_lost_links_with_a_count() -> None:
    async with ward(spot_s=0) as house:
        house.ring.faults.garble = 1
        assert isinstance(await ended(house.driver, house.sink), LinkError)
        assert house.reasons() == ["checksum"]
        house.ring.faults.mute = True
        assert isinstance(await ended(house.driver, house.sink), LinkError)
        assert house.sink.measurements == []


async def test_an_older_ring_that_refuses_a_command_is_used_for_the_rest() -> None:
    async with ward(spot_s=0) as house:
        house.ring.faults.refuse = frozenset((frame.HR_SETTINGS, frame.HR_LOG))
        await house.until(lambda: len(house.sink.values("battery")) == 2)
        assert house.reasons()[:2] == ["refused_16", "refused_15"]


async def test_a_setting_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="visit_s"):
        async with ward(visit_s="often"):
            pass
