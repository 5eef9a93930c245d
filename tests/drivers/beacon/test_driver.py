"""Pendants by what they beacon: every press once, nobody else's press, where the wearer is, and silence."""

import asyncio
from collections.abc import Mapping
from uuid import UUID

import pytest

from drivers.base import Device, Setting
from drivers.beacon import frame
from drivers.beacon.driver import FAMILY, WATCH_S, BeaconDriver
from drivers.beacon.peer import Pendant
from drivers.ble_link import Advert
from gateway.core.clock import ManualClock, SystemClock
from tests.drivers.ble_ward import (
    RecordingSink,
    adapter_without_radio,
    radio_space,
    running,
    scanning_adapter,
)

MAC = "F2:00:00:00:00:4C"
SHARED = "fda50693-a4e2-4fb1-afcf-c6eb07647825"
OWN: dict[str, Setting] = {"uuid": SHARED, "major": 10, "minor": 7, "alarm": "minor&0x8000=0x8000"}
NAMESPACE, INSTANCE = bytes(range(10)), bytes([0, 0, 0, 0, 0, 5])


def ibeacon(minor: int = 7, *, major: int = 10, uuid: str = SHARED) -> frame.IBeacon:
    return frame.IBeacon(UUID(uuid), major, minor, -59)


def pendant_of(address: str, settings: Mapping[str, Setting]) -> Device:
    return Device("d-4C", "beacon", "ibeacon_generic", "virtual", "b-1", address, settings)


class Bench:
    """A driver that is handed adverts by hand, under a clock moved by hand."""

    def __init__(self, address: Setting = "", **settings: Setting) -> None:
        self.clock = ManualClock()
        self.sink = RecordingSink()
        self.driver = BeaconDriver(pendant_of(str(address), settings), adapter_without_radio(self.clock), self.clock)

    def hear(
        self, what: frame.IBeacon | bytes, *, after_s: float = 0.0, rssi_dbm: int = -60, mac: str = MAC
    ) -> None:
        self.clock.shift(after_s)
        maker = {frame.APPLE: frame.encode_ibeacon(what)} if isinstance(what, frame.IBeacon) else {}
        service = {frame.EDDYSTONE: what} if isinstance(what, bytes) else {}
        self.driver.hear(Advert(mac, rssi_dbm, None, (), service, maker, self.clock.now()), self.sink)


def uid(instance: bytes = INSTANCE) -> bytes:
    return frame.encode_uid(frame.Uid(-20, NAMESPACE, instance))


async def test_a_call_is_one_event_however_often_it_is_repeated_and_a_later_one_is_another() -> None:
    bench = Bench(**OWN, zone="")
    bench.hear(ibeacon())
    for _ in range(60):
        bench.hear(ibeacon(0x8007), after_s=0.5)
    assert bench.sink.kinds() == ["sos_pressed"]
    bench.hear(ibeacon(), after_s=2.0)
    bench.hear(ibeacon(0x8007), after_s=20.0)
    assert bench.sink.kinds() == ["sos_pressed", "sos_pressed"]


async def test_the_event_is_there_when_the_callback_returns_and_bears_the_receipt() -> None:
    bench = Bench(**OWN)
    bench.hear(ibeacon(0x8007), after_s=3.0)
    (event,) = bench.sink.events
    assert (event.at, event.bed) == (bench.clock.now(), "b-1")


async def test_a_pendant_that_asks_for_service_is_no_sos() -> None:
    bench = Bench(**OWN, purpose="service")
    bench.hear(ibeacon(0x8007))
    assert bench.sink.kinds() == ["service_requested"]


@pytest.mark.parametrize(
    "other",
    [ibeacon(0x8008), ibeacon(0x8007, major=11), ibeacon(0x8007, uuid=str(UUID(int=1))), ibeacon(8)],
)
async def test_another_pendants_call_is_not_ours(other: frame.IBeacon) -> None:
    bench = Bench(**OWN)
    bench.hear(other)
    assert bench.sink.events == []
    assert bench.sink.heard_from == []


async def test_a_changed_address_does_not_hide_a_call() -> None:
    bench = Bench(**OWN)
    bench.hear(ibeacon(), mac="F2:00:00:00:00:01")
    bench.hear(ibeacon(0x8007), mac="F2:00:00:00:00:02")
    assert bench.sink.kinds() == ["sos_pressed"]


async def test_a_pendant_known_by_its_address_may_replace_its_whole_minor() -> None:
    bench = Bench(MAC, uuid=SHARED, major=10, minor=7, alarm="minor=911")
    bench.hear(ibeacon(8))
    assert bench.sink.heard_from == []
    bench.hear(ibeacon(911))
    assert bench.sink.kinds() == ["sos_pressed"]


async def test_an_eddystone_pendant_calls_by_its_instance() -> None:
    bench = Bench(namespace=NAMESPACE.hex(), instance=INSTANCE.hex(), alarm="instance&0xff00=0x100")
    bench.hear(uid())
    bench.hear(uid(bytes([0, 0, 0, 0, 1, 6])))
    assert bench.sink.kinds() == []
    bench.hear(uid(bytes([0, 0, 0, 0, 1, 5])))
    assert bench.sink.kinds() == ["sos_pressed"]


async def test_a_frame_that_is_only_sent_while_calling_is_a_call_of_the_address_that_showed_its_identity() -> None:
    bench = Bench(namespace=NAMESPACE.hex(), instance=INSTANCE.hex(), alarm="frame=0x21", zone="")
    bench.hear(b"\x21\x01\x02", mac="F2:00:00:00:00:99")
    assert bench.sink.events == []
    bench.hear(uid())
    bench.hear(b"\x21\x01\x02")
    for _ in range(10):  # identity and call take turns
        bench.hear(uid(), after_s=1.0)
        bench.hear(b"\x21\x01\x02", after_s=1.0)
    assert bench.sink.kinds() == ["sos_pressed"]


async def test_a_pendant_that_speaks_only_when_pressed_is_heard_at_its_first_advert() -> None:
    bench = Bench(MAC, alarm="feaa[0:2]&0xff01=0x2101", beacon=False)
    bench.hear(b"\x21\x02")
    bench.hear(b"\x21\x03")
    assert bench.sink.kinds() == ["sos_pressed"]


async def test_telephones_talk_under_apples_number_is_no_fault_of_a_beacons() -> None:
    bench = Bench(MAC)
    advert = Advert(MAC, -60, None, (), {}, {frame.APPLE: bytes.fromhex("1005441cbd08c5")}, bench.clock.now())
    bench.driver.hear(advert, bench.sink)
    assert bench.sink.rejections == []


async def test_garbage_of_our_own_beacon_is_counted_with_its_bytes() -> None:
    bench = Bench(MAC)
    bench.hear(b"\x20\x07\x01")
    assert bench.sink.rejections == [("d-4C", "eddystone_tlm_version", b"\x20\x07\x01")]


async def test_telemetry_is_measured_once_and_a_low_coin_cell_told_once() -> None:
    bench = Bench(MAC)
    for count in (1, 1, 2):
        bench.hear(frame.encode_telemetry(frame.Telemetry(2.6, 20.0, count, 10.0)), after_s=1.0)
    assert bench.sink.values("voltage") == [2.6, 2.6]
    assert bench.sink.values("battery") == [12.4, 12.4]
    assert bench.sink.kinds() == ["battery_low"]


async def test_the_wearer_enters_and_leaves_the_zone_and_a_call_says_where_it_was_last() -> None:
    bench = Bench(**OWN, zone="day room")
    for _ in range(20):
        bench.hear(ibeacon(), after_s=1.0)
    bench.hear(ibeacon(0x8007), after_s=1.0)
    bench.driver._look(bench.clock.now().plus_s(61.0), bench.sink)
    said = [(event.kind, event.detail.get("zone"), event.detail.get("last_zone")) for event in bench.sink.events]
    assert said == [
        ("zone_entered", "day room", None),
        ("sos_pressed", None, "day room"),
        ("zone_left", "day room", "day room"),
    ]
    assert bench.sink.values("rssi") == [-60, -60]


async def test_a_strength_that_the_radio_does_not_know_moves_nobody() -> None:
    bench = Bench(**OWN)
    for _ in range(30):
        bench.hear(ibeacon(), after_s=1.0, rssi_dbm=127)
    assert bench.sink.events == []
    assert bench.sink.values("rssi") == []


async def test_a_silent_beacon_is_lost_once_and_its_call_is_heard_all_the_same() -> None:
    bench = Bench(**OWN)
    async with running(bench.driver.run(bench.sink)):
        await bench.clock.advance(3600 - WATCH_S)
        assert bench.sink.kinds() == []
        await bench.clock.advance(7200)
        assert bench.sink.kinds() == ["link_lost"]
        bench.hear(ibeacon(0x8007))
    assert bench.sink.kinds() == ["link_lost", "sos_pressed", "link_up"]


async def test_a_pendant_that_does_not_beacon_is_never_called_lost() -> None:
    bench = Bench(MAC, alarm="frame=0x21", beacon=False)
    async with running(bench.driver.run(bench.sink)):
        await bench.clock.advance(100_000)
    assert bench.sink.events == []


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({}, "address"),
        ({"uuid": SHARED}, "millions"),
        ({"uuid": "x"}, "uuid"),
        ({**OWN, "minor": "x"}, "minor"),
        ({**OWN, "alarm": "minor=911"}, "replaces"),
        ({**OWN, "alarm": "minor&0xffff=911"}, "replaces"),
        ({**OWN, "minor": 0x8007}, "always"),
        ({**OWN, "alarm": "minor"}, "value"),
        ({**OWN, "alarm": "minor&1=2"}, "mask"),
        ({**OWN, "alarm": "feaa=1"}, r"\[\.\.\]"),
        ({**OWN, "alarm": "company[4:1]=1"}, "maker"),
        ({**OWN, "alarm": "feaa[1:9]=1"}, "1 to 8"),
        ({**OWN, "alarm": "colour=1"}, "alarm pattern"),
        ({**OWN, "leave_dbm": -70.0}, "below"),
        ({**OWN, "hold_s": "long"}, "hold_s"),
    ],
)
async def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, Setting], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Bench(**settings)


async def test_over_the_air_a_pendant_enters_calls_is_out_of_range_and_comes_back() -> None:
    clock, sink = SystemClock(), RecordingSink()
    settings: dict[str, Setting] = {**OWN, "zone": "room", "enter_dbm": 10.0, "leave_dbm": 5.0, "hold_s": 0.2}
    async with radio_space() as (space, port), scanning_adapter(port, clock) as adapter:
        pendant = Pendant(space, clock, MAC, ibeacon(), ibeacon(0x8007))
        driver = FAMILY.make([pendant_of("", settings)], adapter, clock)
        async with running(driver.run(sink)):
            while len(sink.heard_from) < 3:
                pendant.beacon()
                await asyncio.sleep(0.02)
            pendant.press(20)
            for _ in range(19):
                pendant.beacon()
            pendant.tell_telemetry()
            await sink.until(lambda: bool(sink.values("voltage")))
            pendant.disappear()
            pendant.press(3)  # nobody can hear this one
            pendant.reappear()
            heard = len(sink.heard_from)
            pendant.send(b"\x00\x01")
            pendant.send(ibeacon())
            await sink.until(lambda: len(sink.heard_from) > heard)
    assert sink.kinds().count("sos_pressed") == 1
    assert sink.values("battery") == [100.0]


async def test_over_bad_air_with_changing_addresses_each_press_is_heard_once() -> None:
    clock, sink = SystemClock(), RecordingSink()
    async with radio_space() as (space, port), scanning_adapter(port, clock) as adapter:
        pendant = Pendant(space, clock, MAC, ibeacon(), ibeacon(0x8007))
        driver = FAMILY.make([pendant_of("", {**OWN, "zone": ""})], adapter, clock)
        async with running(driver.run(sink)):
            while not sink.heard_from:
                pendant.beacon()
                await asyncio.sleep(0.02)
            pendant.faults.lose_every, pendant.faults.new_address_every = 2, 3
            pendant.faults.garbage = b"\x20\x09"
            pendant.press(30)
            for _ in range(29):
                pendant.beacon()
            heard = len(sink.heard_from)
            pendant.faults.lose_every = 0
            pendant.beacon()
            await sink.until(lambda: len(sink.heard_from) > heard)
    assert sink.kinds() == ["sos_pressed"]
    assert sink.rejections == [], "garbage from an address that showed no identity is nobody's"
