"""A cuff on a real Bluetooth stack: bonded, its clock set first, its records told once, failed ones refused."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from drivers.bls.driver import FAMILY
from drivers.bls.frame import FAILED, Record, encode
from drivers.bls.peer import cuff
from drivers.gatt_meter import PAUSE_S
from drivers.gatt_peer import GattPeer
from tests.drivers.gatt_house import house

Ago = Callable[..., datetime]


async def test_a_cuff_is_bonded_asked_and_set_before_it_sends_and_tells_each_record_at_its_time() -> None:
    def prepare(peer: GattPeer, ago: Ago) -> None:
        peer.records = [encode(Record(125, 80, 95, 64, ago(hours=3))), encode(Record(131, 84, 99, 70, ago(minutes=1)))]

    async with house(FAMILY, "and_ua651ble", cuff, prepare) as home:
        await home.sink.until(lambda: len(home.sink.values("systolic")) == 2)
        assert home.peer.seen.steps == ["ask_all", "time", "subscribe"]
        assert home.sink.values("diastolic") == [80, 84]
        assert home.sink.values("pulse_rate") == [64, 70]
        assert home.sink.values("battery") == [66]
        now = home.clock.now()
        first, second = (m for m in home.sink.measurements if m.quantity == "systolic")
        assert 3 * 3600 <= now.since_s(first.at) < 3 * 3600 + 60
        assert 60 <= now.since_s(second.at) < 120
        (detail, _) = home.detail("reading")
        assert detail["time_source"] == "device"


async def test_a_failed_reading_is_refused_with_its_bytes_and_becomes_no_number() -> None:
    failed: list[bytes] = []

    def prepare(peer: GattPeer, ago: Ago) -> None:
        failed.append(encode(Record(*FAILED, at=ago(minutes=2))))
        peer.records = [failed[0]]

    async with house(FAMILY, "and_ua651ble", cuff, prepare) as home:
        await home.sink.until(lambda: bool(home.sink.rejections))
        assert home.sink.rejections == [("d-1", "failed_measurement", failed[0])]
        assert home.detail("readings_rejected") == [
            {"reason": "failed_measurement", "count": 1, "raw": failed[0].hex()}
        ]
        assert [m.quantity for m in home.sink.measurements] == ["battery"]
        assert home.sink.kinds().count("link_up") == 1


async def test_records_sent_twice_and_again_in_the_next_visit_are_told_once() -> None:
    def prepare(peer: GattPeer, ago: Ago) -> None:
        peer.records = [encode(Record(125, 80, 95, 64, ago(minutes=5)))]
        peer.faults.repeat = peer.faults.keep = True

    async with house(FAMILY, "and_ua651ble", cuff, prepare) as home:
        await home.sink.until(lambda: len(home.sink.rejections) == 1)
        assert home.sink.rejections[0][1] == "repeat"
        assert home.sink.values("systolic") == [125]


async def test_a_cuff_that_hangs_up_in_the_middle_loses_nothing_at_its_next_visit() -> None:
    def prepare(peer: GattPeer, ago: Ago) -> None:
        peer.records = [encode(Record(120 + n, 80, 95, 64, ago(minutes=9 - n))) for n in range(3)]
        peer.faults.hang_up_after = 2
        peer.faults.keep = True

    async with house(FAMILY, "and_ua651ble", cuff, prepare) as home:
        await home.sink.until(lambda: len(home.sink.values("systolic")) == 2)
        await asyncio.sleep(PAUSE_S + 0.2)  # the cuff's own pause before it calls again
        home.peer.appear()
        await home.sink.until(lambda: len(home.sink.values("systolic")) == 3)
        assert home.sink.values("systolic") == [120, 121, 122]
        assert home.peer.seen.visits == 2


async def test_a_clock_that_was_lost_is_told_and_its_dates_are_not_believed() -> None:
    def prepare(peer: GattPeer, ago: Ago) -> None:
        peer.clock_ahead_s = -400 * 86_400.0
        peer.records = [encode(Record(125, 80, 95, 64, ago(days=400)))]

    async with house(FAMILY, "and_ua651ble", cuff, prepare) as home:
        await home.sink.until(lambda: bool(home.detail("reading")))
        offsets = [detail["offset_s"] for detail in home.detail("device_clock_unset")]
        assert all(isinstance(offset, float) and abs(offset + 400 * 86_400) < 10 for offset in offsets)
        (reading,) = home.detail("reading")
        assert reading["time_source"] == "gateway"
        (systolic,) = (m for m in home.sink.measurements if m.quantity == "systolic")
        assert home.clock.now().since_s(systolic.at) < 15


async def test_a_clock_five_minutes_fast_is_measured_set_and_taken_off_the_records_time() -> None:
    def prepare(peer: GattPeer, ago: Ago) -> None:
        peer.clock_ahead_s = 300.0
        peer.records = [encode(Record(125, 80, 95, 64, ago(seconds=-240)))]  # taken a minute ago by the true clock

    async with house(FAMILY, "and_ua651ble", cuff, prepare) as home:
        await home.sink.until(lambda: bool(home.sink.values("systolic")))
        (told,) = home.detail("device_clock")
        assert isinstance(told["offset_s"], float)
        assert abs(told["offset_s"] - 300) <= 2
        (systolic,) = (m for m in home.sink.measurements if m.quantity == "systolic")
        assert 55 <= home.clock.now().since_s(systolic.at) < 80
        assert abs(home.peer.clock_ahead_s) <= 2
