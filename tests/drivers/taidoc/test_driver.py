"""Meters on a pseudo-terminal and on a virtual radio: the request list, known records, clocks, cuts and bad lines."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bumble.att import Attribute
from bumble.core import UUID
from bumble.gatt import Characteristic, Service

from drivers.base import Device
from drivers.catalogue import FAMILIES as CATALOGUE
from drivers.faulty_line import LineFault
from drivers.serial_link import SerialPort
from drivers.taidoc.driver import FAMILY, FAMILY_BLE
from drivers.taidoc.frame import Command, encode, encode_time
from drivers.taidoc.models import Kind
from drivers.taidoc.peer import BleTaidocPeer, Memory, TaidocPeer
from drivers.taidoc.scale import encode_weighing
from drivers.taidoc.standard import FAMILIES
from gateway.core.clock import ManualClock, SystemClock
from gateway.core.errors import ConfigError, LinkError
from gateway.core.model import Status
from tests.drivers import ble_ward
from tests.drivers.recording_sink import RecordingSink, until
from tests.drivers.serial_bench import beside, ended, flowing, wire

NOW = datetime(2026, 11, 24, 20, 0, tzinfo=UTC)
NOW_LOCAL = datetime(2026, 11, 24, 21, 0)  # noqa: DTZ001 - in Paris
PRESSURE, OTHER_PRESSURE, CUFF_ERROR = bytes((125, 0, 80, 64)), bytes((131, 0, 85, 70)), bytes((125, 0, 80, 2))


def meter(model: str, **settings: str | float) -> Device:
    return Device("meter", "taidoc", model, "p", "b-1", settings={"time_zone": "Europe/Paris", **settings})


class Bench:
    """A meter and its driver under a manual clock that flows."""

    def __init__(self, device: Device, fd: int, path: str, memory: Memory, seed: int) -> None:
        self.clock = ManualClock(utc=NOW, mono_ns=10**15)
        self.sink = RecordingSink()
        self.memory = memory
        self.peer = TaidocPeer(fd, self.clock, memory, seed=seed)
        self.port = SerialPort(path, self.clock, baud=19200)
        self.driver = FAMILY.make([device], self.port, self.clock)

    async def visited(self, times: int = 1) -> None:
        await until(lambda: self.memory.switched_off >= times, timeout_s=30)

    def commands(self) -> list[int]:
        return [request[1] for request in self.peer.asked]


@asynccontextmanager
async def visiting(device: Device, memory: Memory, *, seed: int = 0) -> AsyncIterator[Bench]:
    async with wire() as virtual:
        bench = Bench(device, virtual.fd, virtual.path, memory, seed)
        async with beside(bench.driver.run(bench.sink), bench.peer.run(), flowing(bench.clock)):
            yield bench


async def test_a_visit_asks_in_order_tells_the_reading_and_never_erases() -> None:
    memory = Memory("TD-3128", NOW_LOCAL, [(NOW_LOCAL - timedelta(minutes=3), PRESSURE)])
    async with visiting(meter("td_3128"), memory) as bench:
        await bench.visited()
    assert bench.commands() == [0x22, 0x24, 0x23, 0x33, 0x2B, 0x25, 0x26, 0x50]
    sink = bench.sink
    assert (sink.values("systolic"), sink.values("diastolic"), sink.values("pulse_rate")) == ([125], [80], [64])
    assert memory.set_to == [encode_time(NOW_LOCAL)]
    assert sink.kinds("meter") == ["device_clock", "reading", "records_read"]
    (systolic,) = [one for one in sink.measurements if one.quantity == "systolic"]
    assert bench.clock.now().since_s(systolic.at) == pytest.approx(180, abs=60)
    assert sink.heard_from["meter"] >= 1


async def test_only_what_is_new_is_told_at_the_next_visit() -> None:
    memory = Memory("TD-3128", NOW_LOCAL, [(NOW_LOCAL - timedelta(minutes=30), PRESSURE)])
    async with visiting(meter("td_3128", poll_s=5), memory) as bench:
        await bench.visited()
        memory.store(NOW_LOCAL - timedelta(minutes=2), OTHER_PRESSURE)
        await bench.visited(times=2 + memory.switched_off)
    assert bench.sink.values("systolic") == [125, 131]


async def test_a_known_record_of_before_the_restart_ends_the_reading() -> None:
    shown = NOW_LOCAL - timedelta(minutes=30)
    memory = Memory("TD-3128", NOW_LOCAL, [(NOW_LOCAL, OTHER_PRESSURE), (shown, PRESSURE), (shown, CUFF_ERROR)])
    last = (encode_time(shown) + PRESSURE).hex()
    async with visiting(meter("td_3128", last_record=last), memory) as bench:
        await bench.visited()
    assert bench.sink.values("systolic") == [131]
    told = [event.detail["last_record"] for event in bench.sink.events if event.kind == "records_read"]
    assert told == [(encode_time(NOW_LOCAL) + OTHER_PRESSURE).hex()]


async def test_old_records_of_a_first_look_are_counted_and_not_told_as_news() -> None:
    memory = Memory("TD-3128", NOW_LOCAL, [(NOW_LOCAL - timedelta(days=day), PRESSURE) for day in range(2, 6)])
    memory.store(NOW_LOCAL - timedelta(minutes=5), OTHER_PRESSURE)
    async with visiting(meter("td_3128"), memory) as bench:
        await bench.visited()
    assert bench.sink.values("systolic") == [131]
    assert bench.sink.rejects["meter", "before_first_look"] == 4


async def test_an_error_of_the_cuff_is_rejected_once_and_is_no_number() -> None:
    memory = Memory("TD-3128", NOW_LOCAL, [(NOW_LOCAL, CUFF_ERROR)])
    async with visiting(meter("td_3128", poll_s=5), memory) as bench:
        await bench.visited(times=3)
    assert bench.sink.measurements == []
    assert bench.sink.rejects["meter", "cuff_error"] == 1
    assert bench.sink.kinds("meter").count("readings_rejected") == 1
    assert CUFF_ERROR in bench.sink.raw["meter", "cuff_error"]


async def test_a_clock_lost_with_the_batteries_is_said_and_its_records_still_have_their_age() -> None:
    lost = datetime(2008, 1, 1, 3, 0)  # noqa: DTZ001 - a device's local time
    memory = Memory("TD-3128", lost, [(lost - timedelta(minutes=20), PRESSURE)])
    async with visiting(meter("td_3128"), memory) as bench:
        await bench.visited()
    assert bench.sink.kinds("meter")[0] == "device_clock_unset"
    (systolic,) = [one for one in bench.sink.measurements if one.quantity == "systolic"]
    assert bench.clock.now().since_s(systolic.at) == pytest.approx(1200, abs=60)


async def test_a_record_of_the_future_is_told_at_its_receipt() -> None:
    memory = Memory("TD-3128", NOW_LOCAL, [(NOW_LOCAL + timedelta(days=3), PRESSURE)])
    async with visiting(meter("td_3128"), memory) as bench:
        await bench.visited()
    (reading,) = [event for event in bench.sink.events if event.kind == "reading"]
    assert reading.detail["time_source"] == "gateway"


async def test_another_model_than_the_registry_names_is_not_read() -> None:
    memory = Memory("TD-4277", NOW_LOCAL, [(NOW_LOCAL, PRESSURE)])
    async with wire() as virtual:
        bench = Bench(meter("td_3128"), virtual.fd, virtual.path, memory, 0)
        async with beside(bench.peer.run(), flowing(bench.clock)):
            error = await ended(bench.driver, bench.sink)
    assert isinstance(error, LinkError)
    assert "TD-4277" in str(error)
    assert bench.sink.measurements == []
    assert Command.RECORD_VALUE not in bench.commands()


async def test_a_virtual_meter_that_is_told_to_erase_itself_stays_silent() -> None:
    async with wire() as virtual:
        peer = TaidocPeer(virtual.fd, SystemClock(), Memory("TD-3128", NOW_LOCAL, [(NOW_LOCAL, PRESSURE)]))
        erase = bytes.fromhex("515200000000a346")
        assert peer.requests(erase + encode(Command.COUNT)) == [encode(Command.COUNT)]


async def test_a_sleeping_meter_is_no_lost_link_and_is_read_when_it_wakes() -> None:
    memory = Memory("TD-3128", NOW_LOCAL, [(NOW_LOCAL, PRESSURE)])
    async with wire() as virtual:
        bench = Bench(meter("td_3128", poll_s=2), virtual.fd, virtual.path, memory, 0)
        bench.peer.mute = True
        async with beside(bench.driver.run(bench.sink), bench.peer.run(), flowing(bench.clock)) as (driving, *_):
            await until(lambda: len(bench.peer.asked) >= 6)
            assert set(bench.commands()) == {Command.CONNECT}
            assert not driving.done()
            assert not bench.sink.heard_from
            bench.peer.mute = False
            await bench.visited()
    assert bench.sink.values("systolic") == [125]


async def test_a_visit_that_breaks_off_tells_nothing_and_the_next_one_all() -> None:
    records = [(NOW_LOCAL - timedelta(minutes=n), bytes((120 + n, 0, 80, 64))) for n in range(5)]
    memory = Memory("TD-3128", NOW_LOCAL, records, stop_after=10)
    async with visiting(meter("td_3128", poll_s=2), memory) as bench:
        await until(lambda: bench.sink.rejects["meter", "session_cut"] == 1)
        assert bench.sink.measurements == []
        memory.stop_after = None
        await bench.visited()
    assert bench.sink.values("systolic") == [124, 123, 122, 121, 120]


async def test_over_a_line_with_a_fifth_of_the_writes_disturbed_every_record_arrives_once_and_true() -> None:
    records = [(NOW_LOCAL - timedelta(minutes=n), bytes((100 + n, 0, 60 + n, 64))) for n in range(30)]
    memory = Memory("TD-3128", NOW_LOCAL, records)
    async with visiting(meter("td_3128", poll_s=2), memory, seed=4) as bench:
        bench.peer.line.share = 0.2
        await until(lambda: len(bench.sink.values("systolic")) >= 30, timeout_s=60)
    pairs = list(zip(bench.sink.values("systolic"), bench.sink.values("diastolic"), strict=True))
    assert pairs == [(100 + n, 60 + n) for n in reversed(range(30))]
    assert len(bench.peer.line.disturbed) == len(LineFault)


@pytest.mark.parametrize(
    ("model", "number", "data", "told"),
    [
        ("taidoc_glucose", "TD-4277", "6f000040", {"glucose": 6.16}),
        ("taidoc_thermometer", "TD-1261", "420e0000", {"body_temperature": 36.5}),
        ("taidoc_thermometer", "TD-1261", "6e010000", {"body_temperature": 36.6}),
        ("taidoc_oximeter", "TD-8250", "61000048", {"spo2": 97, "pulse_rate": 72}),
        ("td_4216", "TD-4216", "6f000000", {"glucose": 6.16}),
    ],
)
async def test_each_kind_of_meter_is_told_by_its_quantities(
    model: str, number: str, data: str, told: dict[str, float]
) -> None:
    memory = Memory(number, NOW_LOCAL, [(NOW_LOCAL, bytes.fromhex(data))])
    async with visiting(meter(model), memory) as bench:
        await bench.visited()
    assert {one.quantity: one.value for one in bench.sink.measurements} == told


async def test_glucose_too_high_for_the_meter_is_a_clinical_value_and_no_failure() -> None:
    memory = Memory("TD-4277", NOW_LOCAL, [(NOW_LOCAL, bytes.fromhex("59020000"))])
    async with visiting(meter("td_4277"), memory) as bench:
        await bench.visited()
    assert [(one.value, one.status) for one in bench.sink.measurements] == [(33.3, Status.OVER)]


async def test_a_meter_of_many_strips_tells_each_by_its_own_quantity_and_what_it_said_itself() -> None:
    strips = ("1e00001c", "32000020", "c8000024", "2a000018", "8c00002c", "5a000030", "69000004")
    records = [(NOW_LOCAL - timedelta(minutes=n), bytes.fromhex(data)) for n, data in enumerate(strips)]
    async with visiting(meter("td_4216"), Memory("TD-4216", NOW_LOCAL, records)) as bench:
        await bench.visited()
    told = {one.quantity: (one.value, one.unit) for one in bench.sink.measurements}
    assert told == {
        "ketone": (1.0, "mmol/L"), "uric_acid": (297.4, "umol/L"), "cholesterol": (5.17, "mmol/L"),
        "haematocrit": (42.0, "%"), "haemoglobin": (140.0, "g/L"), "lactate": (9.99, "mmol/L"),
    }  # fmt: skip
    assert bench.sink.rejects["meter", "analyte"] == 1
    uric = [event.detail for event in bench.sink.events if event.detail.get("analyte") == "uric_acid"]
    assert [(detail["value"], detail["unit"]) for detail in uric] == [(5.0, "mg/dL")]


async def test_a_control_solution_is_an_event_and_no_measurement() -> None:
    memory = Memory("TD-4277", NOW_LOCAL, [(NOW_LOCAL, bytes.fromhex("6f0000c0"))])
    async with visiting(meter("td_4277"), memory) as bench:
        await bench.visited()
    assert bench.sink.measurements == []
    assert "control_solution" in bench.sink.kinds("meter")
    assert "readings_rejected" not in bench.sink.kinds("meter")


async def test_a_mixed_memory_tells_pressures_as_pressures_and_glucose_as_glucose() -> None:
    pressure_at, glucose_at = NOW_LOCAL - timedelta(minutes=2), NOW_LOCAL - timedelta(minutes=4)
    records = [(pressure_at, PRESSURE), (glucose_at, bytes.fromhex("69000040"))]
    memory = Memory("TD-3261", NOW_LOCAL, records, marks={pressure_at: (0xC0, 0x20)})
    async with visiting(meter("td_3261"), memory) as bench:
        await bench.visited()
    told = [(one.quantity, one.value) for one in bench.sink.measurements]
    assert told == [("glucose", 5.83), ("systolic", 125), ("diastolic", 80), ("pulse_rate", 64)]
    readings = [event for event in bench.sink.events if event.kind == "reading"]
    assert readings[0].detail["meal"] == "before"
    assert (readings[1].detail["irregular"], readings[1].detail["rhythm"]) == (True, "fast_or_slow")
    assert readings[1].detail["device_time"] == pressure_at.isoformat()
    assert memory.counted_for == [1]


async def test_the_records_of_the_user_that_the_registry_names_are_read() -> None:
    memory = Memory("TD-3140", NOW_LOCAL, [(NOW_LOCAL, PRESSURE)])
    async with visiting(meter("td_3140", user=3), memory) as bench:
        await bench.visited()
    assert memory.counted_for == [3]
    assert {request[5] for request in bench.peer.asked if request[1] in (0x25, 0x26)} == {3}


def weighings(*kilograms: float) -> list[tuple[datetime, bytes]]:
    moments = [NOW_LOCAL - timedelta(minutes=3 * n + 1) for n in range(len(kilograms))]
    return [(at, encode_weighing(at, kg, user=2)) for at, kg in zip(moments, kilograms, strict=True)]


async def test_a_scale_tells_its_weighings_and_each_only_once() -> None:
    memory = Memory("TD-2551", NOW_LOCAL, weighings(61.6, 61.8))
    async with visiting(meter("td_2551", poll_s=5), memory) as bench:
        await bench.visited()
        memory.store(NOW_LOCAL, encode_weighing(NOW_LOCAL, 62.0))
        await bench.visited(times=2 + memory.switched_off)
    assert bench.sink.values("weight") == [61.8, 61.6, 62.0]
    assert 0x71 in bench.commands()
    assert 0x25 not in bench.commands()
    newest = next(one for one in bench.sink.measurements if one.value == 61.6)
    assert bench.clock.now().since_s(newest.at) == pytest.approx(60, abs=90)


async def test_a_scale_that_nobody_has_used_yet_tells_nothing_and_breaks_nothing() -> None:
    async with visiting(meter("td_2555"), Memory("TD-2555", NOW_LOCAL)) as bench:
        await bench.visited()
    assert bench.sink.measurements == []
    assert not bench.sink.rejects


async def test_over_a_disturbed_line_every_weighing_arrives_once_and_true() -> None:
    memory = Memory("TD-2551", NOW_LOCAL, weighings(*(60 + n / 10 for n in range(12))))
    async with visiting(meter("td_2551", poll_s=2), memory, seed=3) as bench:
        bench.peer.line.share = 0.2
        await until(lambda: len(bench.sink.values("weight")) >= 12, timeout_s=60)
    assert bench.sink.values("weight") == [60 + n / 10 for n in reversed(range(12))]


async def test_an_implausible_pressure_is_rejected() -> None:
    cuff = Memory("TD-3128", NOW_LOCAL, [(NOW_LOCAL, bytes((80, 0, 125, 64)))])
    async with visiting(meter("td_3128"), cuff) as bench:
        await bench.visited()
    assert bench.sink.measurements == []
    assert bench.sink.rejects["meter", "implausible_diastolic"] == 1


async def test_a_live_oximeter_is_asked_each_second_until_the_finger_has_gone() -> None:
    memory = Memory("TD-8255", NOW_LOCAL, live=[bytes((96, 0, 0, 71))] * 5 + [bytes(4)])
    async with visiting(meter("td_8255"), memory) as bench:
        await bench.visited()
    assert set(bench.sink.values("spo2")) == {96}
    assert bench.sink.kinds("meter")[-1] == "sensor_off"
    assert Command.COUNT not in bench.commands()


@pytest.mark.parametrize("wrong", ["soon", 0])
def test_settings_that_make_no_sense_are_faults_of_the_registry(wrong: str | float) -> None:
    clock = ManualClock()
    with pytest.raises(ConfigError, match="poll_s"):
        FAMILY.make([meter("td_3128", poll_s=wrong)], SerialPort("/dev/null", clock), clock)
    with pytest.raises(ConfigError, match="td_3128"):
        FAMILY.make([meter("nobody")], SerialPort("/dev/null", clock), clock)


@pytest.mark.parametrize(("model", "user"), [("td_3140", 0), ("td_3140", 5), ("td_3140", "one"), ("td_3128", 2)])
def test_a_user_that_the_meter_does_not_know_is_a_fault_of_the_registry(model: str, user: str | float) -> None:
    clock = ManualClock()
    with pytest.raises(ConfigError, match="user"):
        FAMILY.make([meter(model, user=user)], SerialPort("/dev/null", clock), clock)


def test_a_model_is_listed_for_the_link_over_which_it_is_met() -> None:
    assert {"td_4277", "taidoc_pressure"} <= set(FAMILY.models)
    assert {"td_3128", "td_3261", "td_2555", "fora_md6"} <= set(FAMILY_BLE.models)
    assert not set(FAMILY.models) & set(FAMILY_BLE.models)


async def test_unplugging_is_a_link_error() -> None:
    async with wire() as virtual:
        bench = Bench(meter("td_3128"), virtual.fd, virtual.path, Memory("TD-3128", NOW_LOCAL), 0)
        async with beside(flowing(bench.clock)):

            async def pull() -> None:
                await until(lambda: bench.port.written_bytes > 0)
                virtual.unplug()

            async with beside(pull()):
                assert isinstance(await ended(bench.driver, bench.sink), LinkError)


async def test_over_ble_a_meter_that_hangs_up_in_mid_visit_is_read_whole_at_its_next_call() -> None:
    clock, sink = SystemClock(), ble_ward.RecordingSink()
    device = Device("d-0F", "taidoc_ble", "td_3140", "virtual", "b-1", "F1:00:00:00:00:0F")
    records = [(NOW_LOCAL - timedelta(minutes=n), bytes((120 + n, 0, 80, 64))) for n in range(3)]
    memory = Memory("TD-3140", NOW_LOCAL, records)
    async with ble_ward.radio_space() as (space, port):
        peer = BleTaidocPeer(space, device.address, memory, hang_up_after=8)
        await peer.start()
        async with ble_ward.scanning_adapter(port) as adapter, ble_ward.running(peer.run()):
            driver = FAMILY_BLE.make([device], adapter, clock)
            assert isinstance(await ble_ward.ended(driver, sink), LinkError)
            assert sink.measurements == []
            async with ble_ward.running(driver.run(sink)):
                await sink.until(lambda: len(sink.values("systolic")) == 3)
                await until(lambda: memory.switched_off == 1)
    assert sink.values("systolic") == [122, 121, 120]
    assert memory.switched_off == 1


@asynccontextmanager
async def on_air(device: Device, memory: Memory, **peer: Any) -> AsyncIterator[tuple[BleTaidocPeer, Any, Any]]:
    """The meter, its driver and what it tells, on the virtual radio."""
    sink = ble_ward.RecordingSink()
    async with ble_ward.radio_space() as (space, port):
        meter_there = BleTaidocPeer(space, device.address, memory, **peer)
        await meter_there.start()
        async with ble_ward.scanning_adapter(port) as adapter, ble_ward.running(meter_there.run()):
            yield meter_there, FAMILY_BLE.make([device], adapter, SystemClock()), sink


def ble_meter(model: str) -> Device:
    return Device("d-0F", "taidoc_ble", model, "virtual", "b-1", "F1:00:00:00:00:0F")


def standard(service: str, characteristic: str) -> Service:
    properties = Characteristic.Properties.INDICATE
    return Service(UUID(service), [Characteristic(UUID(characteristic), properties, Attribute.READABLE, b"")])


async def test_over_ble_a_weighing_comes_in_pieces_from_a_scale_that_knows_no_count_and_no_greeting() -> None:
    memory = Memory("TD-2555", NOW_LOCAL, weighings(61.6), mute_to=frozenset((0x22, 0x2B)))
    scale = ble_meter("td_2555")
    async with on_air(scale, memory, note_size=8) as (_, driver, sink), ble_ward.running(driver.run(sink)):
        await sink.until(lambda: sink.values("weight") == [61.6])
        await until(lambda: memory.switched_off == 1, timeout_s=30)


async def test_a_meter_that_offers_the_standard_s_service_is_read_and_the_registry_told_of_the_better_family() -> None:
    memory = Memory("TD-3128", NOW_LOCAL, [(NOW_LOCAL, PRESSURE)])
    also = [standard("1810", "2A35")]
    async with on_air(ble_meter("td_3128"), memory, also=also) as (_, driver, sink), ble_ward.running(driver.run(sink)):
        await sink.until(lambda: sink.values("systolic") == [125])
    faults = [event.detail for event in sink.events if event.kind == "device_fault"]
    assert [fault["fault"] for fault in faults] == ["standard_service"]
    assert "family bls, model taidoc_bls" in str(faults[0]["hint"])


@pytest.mark.parametrize("kind", list(FAMILIES))
def test_every_better_family_has_the_model_that_the_hint_names(kind: Kind) -> None:
    _, family, model = FAMILIES[kind]
    assert model in CATALOGUE[family].models


async def test_a_meter_with_nothing_but_the_standard_s_service_is_a_lost_link_with_a_hint() -> None:
    also = [standard("1808", "2A18")]
    async with on_air(ble_meter("td_4216"), Memory("TD-4216", NOW_LOCAL), also=also, own=False) as (_, driver, sink):
        error = await ble_ward.ended(driver, sink)
    assert isinstance(error, LinkError)
    assert "family gls, model taidoc_gls" in error.hint


async def test_a_mixed_meter_is_steered_nowhere_because_no_standard_service_tells_both() -> None:
    memory = Memory("TD-3261", NOW_LOCAL, [(NOW_LOCAL, bytes.fromhex("69000000"))])
    also = [standard("1808", "2A18")]
    async with on_air(ble_meter("td_3261"), memory, also=also) as (_, driver, sink), ble_ward.running(driver.run(sink)):
        await sink.until(lambda: sink.values("glucose") == [5.83])
    assert "device_fault" not in [event.kind for event in sink.events]
