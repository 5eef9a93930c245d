"""Meters on a pseudo-terminal and on a virtual radio: the request list, known records, clocks, cuts and bad lines."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from drivers.base import Device
from drivers.faulty_line import LineFault
from drivers.serial_link import SerialPort
from drivers.taidoc.driver import FAMILY, FAMILY_BLE
from drivers.taidoc.frame import Command, encode_time
from drivers.taidoc.peer import BleTaidocPeer, Memory, TaidocPeer
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


async def test_a_strip_without_a_quantity_and_an_implausible_pressure_are_rejected() -> None:
    strips = Memory("TD-4216", NOW_LOCAL, [(NOW_LOCAL, bytes.fromhex("1e00001c"))])
    async with visiting(meter("td_4216"), strips) as bench:
        await bench.visited()
    assert bench.sink.rejects["meter", "no_quantity_ketone"] == 1
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
