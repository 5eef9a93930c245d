"""What becomes of a strap's notifications, and the driver against a strap on a real Bluetooth stack."""

from dataclasses import replace

import pytest

from drivers.ble_gatt import Notification
from drivers.hrs.driver import FAMILY, HeartRateReader
from drivers.hrs.frame import BATTERY_LEVEL, HEART_RATE_MEASUREMENT, HeartRate, encode
from drivers.hrs.peer import HeartRateStrap
from gateway.core.clock import SystemClock
from gateway.core.errors import LinkError
from gateway.core.model import Stamp
from tests.drivers.ble_ward import RecordingSink, device, ended, pulse_of, radio_space, running, scanning_adapter

STRAP = replace(device("hrs", "F1:00:00:00:00:0A"), model="hrs_generic")
AT = Stamp("00000001", 50 * 10**9)


def notified(heart_rate: HeartRate) -> Notification:
    return Notification(HEART_RATE_MEASUREMENT, encode(heart_rate), AT)


def test_beats_are_stamped_backwards_from_the_receipt() -> None:
    sink = RecordingSink()
    HeartRateReader(STRAP).take(notified(HeartRate(60, True, None, (1024, 512))), sink)
    ibi = [(one.value, one.at.since_s(AT)) for one in sink.measurements if one.quantity == "ibi"]
    assert ibi == [(1000.0, -0.5), (500.0, 0.0)]


def test_without_skin_contact_no_pulse_is_believed_and_sensor_off_is_said_once() -> None:
    sink, reader = RecordingSink(), HeartRateReader(STRAP)
    for contact in (True, False, False, True, False):
        reader.take(notified(HeartRate(70, contact)), sink)
    assert sink.values("worn") == [1, 0, 0, 1, 0]
    assert sink.values("heart_rate") == [70, 70]
    assert sink.kinds() == ["sensor_off", "sensor_off"]


def test_zero_is_no_reading_yet_and_not_a_stopped_heart() -> None:
    sink = RecordingSink()
    HeartRateReader(STRAP).take(notified(HeartRate(0, True)), sink)
    assert sink.values("heart_rate") == []
    assert sink.rejections == []


def test_implausible_values_are_counted_and_not_clamped() -> None:
    sink = RecordingSink()
    HeartRateReader(STRAP).take(notified(HeartRate(299, None, None, (65535, 900))), sink)
    assert [reason for _, reason, _ in sink.rejections] == ["implausible_heart_rate", "implausible_ibi"]
    assert sink.values("ibi") == [pytest.approx(878.90625)]


def test_a_frame_that_is_not_understood_is_counted_with_its_bytes() -> None:
    sink = RecordingSink()
    HeartRateReader(STRAP).take(Notification(HEART_RATE_MEASUREMENT, b"\xff\x01", AT), sink)
    HeartRateReader(STRAP).take(Notification(BATTERY_LEVEL, b"\xff", AT), sink)
    assert sink.rejections == [(STRAP.id, "reserved_flag", b"\xff\x01"), (STRAP.id, "battery", b"\xff")]


async def test_a_strap_streams_pulse_beats_and_battery_until_it_goes_out_of_range() -> None:
    clock, sink = SystemClock(), RecordingSink()
    async with radio_space() as (space, port):
        strap = HeartRateStrap(space, clock, STRAP.address, pulse_of(66), lambda: 41)
        await strap.start()
        async with scanning_adapter(port) as adapter, running(strap.run()):
            driver = FAMILY.make([STRAP], adapter, clock)

            async def cut() -> None:
                await sink.until(lambda: bool(sink.values("ibi")))
                strap.peripheral.disappear()

            async with running(cut()):
                error = await ended(driver, sink)
    assert isinstance(error, LinkError)
    assert sink.values("heart_rate")[0] == 66
    assert sink.values("ibi")[0] == pytest.approx(60_000 / 66, abs=1)
    assert sink.values("battery") == [41]
