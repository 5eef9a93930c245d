"""A bus with its slaves over a real pseudo-terminal: who is asked when, who is lost, what an answer becomes."""

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from drivers.base import Device, Setting
from drivers.faulty_line import FaultyLine, LineFault, VirtualPort
from drivers.modbus_rtu.driver import FAMILY, HERE, ModbusDriver, family
from drivers.modbus_rtu.peer import Mood, VirtualBus, VirtualSlave
from drivers.modbus_rtu.registers import load_map
from drivers.modbus_rtu.slave import LOST_HINT
from drivers.serial_link import SerialPort
from gateway.core.clock import ManualClock, SystemClock
from gateway.core.errors import ConfigError, LinkError
from gateway.core.model import Stamp
from tests.drivers.recording_sink import RecordingSink, until

IO8, ROOM, KIOSK = (load_map(HERE / f"{model}.toml") for model in ("waveshare_io8", "xy_md02", "open_kiosk_1"))
STEP_S = 0.01


def device(name: str, model: str, unit: int, bed: str | None = "b-1", **settings: Setting) -> Device:
    return Device(name, "modbus_rtu", model, "bus-1", bed, str(unit), settings)


class Bench:
    """Three slaves behind a pseudo-terminal and the bus's owner, under a clock that the test moves in small steps."""

    def __init__(self) -> None:
        self.wire = VirtualPort()
        self.clock = ManualClock()
        self.sink = RecordingSink()
        self.io, self.room, self.kiosk = VirtualSlave(1, IO8), VirtualSlave(2, ROOM), VirtualSlave(3, KIOSK)
        self.io.set_all(di1=True, di2=True)
        self.room.set_all(temperature=21.4, humidity=48.0)
        self.bus = VirtualBus(self.wire.fd, self.clock, [self.io, self.room, self.kiosk])
        self.port = SerialPort(self.wire.path, self.clock, baud=115200)
        self.devices = [
            device("io-1", "waveshare_io8", 1),
            device("room-1", "xy_md02", 2),
            device("kiosk-1", "open_kiosk_1", 3, bed=None),
        ]
        self.driver = FAMILY.make(self.devices, self.port, self.clock)
        self.serving = asyncio.create_task(self.bus.run())
        self.task = asyncio.create_task(self.driver.run(self.sink))

    async def run_for(
        self, seconds: float, until_true: Callable[[], bool] = lambda: False, *, step_s: float = STEP_S
    ) -> None:
        """Move the clock step by step; it stands still while bytes are on their way through the pseudo-terminal."""
        for _ in range(round(seconds / step_s)):
            if until_true():
                return
            await self.clock.advance(step_s)
            async with asyncio.timeout(10):
                while not self.serving.done() and not self.task.done() and self.on_their_way():
                    await asyncio.sleep(0)

    def on_their_way(self) -> bool:
        line, port = self.bus.line, self.port
        return (port.written_bytes, line.sent_bytes) != (self.bus.received_bytes, port.received_bytes)

    async def stop(self) -> None:
        self.serving.cancel()
        self.task.cancel()
        await asyncio.gather(self.serving, self.task, return_exceptions=True)
        self.wire.unplug()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.stop()


async def test_each_slave_comes_up_once_and_gives_its_values(bench: Bench) -> None:
    await bench.run_for(12)
    assert [bench.sink.kinds(name) for name in ("io-1", "room-1", "kiosk-1")] == [["link_up"]] * 3
    assert bench.sink.values("bed_occupied")[:2] == [1.0, 1.0]
    assert bench.sink.values("room_temperature") == [21.4, 21.4]
    assert bench.sink.values("room_humidity") == [48.0, 48.0]
    assert {(m.quantity, m.unit, m.bed, m.origin) for m in bench.sink.measurements} == {
        ("bed_occupied", "1", "b-1", "device"),
        ("room_temperature", "Cel", "b-1", "device"),
        ("room_humidity", "%", "b-1", "device"),
    }
    assert not bench.sink.rejects
    assert 70 <= bench.io.asked <= 81  # every 150 ms
    assert 11 <= bench.kiosk.asked <= 13


async def test_a_pulled_cord_is_a_call_within_two_polls(bench: Bench) -> None:
    await bench.run_for(1)
    pulled = bench.clock.now()
    bench.io.set("di2", False)
    await bench.run_for(1, lambda: "sos_pressed" in bench.sink.kinds("io-1"))
    event = bench.sink.events[-1]
    assert (event.kind, event.bed) == ("sos_pressed", "b-1")
    assert dict(event.detail) == {"source": "pull_cord", "input": "di2"}
    assert 0 < event.at.since_s(pulled) <= 0.4


async def test_a_cord_broken_before_we_start_is_a_call(bench: Bench) -> None:
    bench.io.set("di2", False)
    await bench.run_for(1)
    assert bench.sink.kinds("io-1") == ["link_up", "sos_pressed"]


async def test_a_reading_is_told_once_when_the_counter_turns(bench: Bench) -> None:
    bench.kiosk.set_all(counter=56, status=1, systolic=199, diastolic=99, pulse_rate=99)
    await bench.run_for(2.5)
    assert bench.sink.values("systolic") == []  # measured before we first looked: its time is unknown
    bench.kiosk.set_all(counter=57, systolic=128, diastolic=79, pulse_rate=None, age_s=2)
    await bench.run_for(3)
    assert [bench.sink.values(name) for name in ("systolic", "diastolic", "pulse_rate")] == [[128.0], [79.0], []]
    (event,) = [event for event in bench.sink.events if event.kind == "kiosk_reading"]
    assert (event.bed, event.device, event.detail["counter"], event.detail["age_s"]) == (None, "kiosk-1", 57, 2)
    assert {m.at for m in bench.sink.measurements if m.quantity in ("systolic", "diastolic")} == {event.at}


async def test_a_failed_measurement_becomes_an_event_with_its_bytes_and_never_a_number(bench: Bench) -> None:
    await bench.run_for(1)
    bench.kiosk.set_all(counter=1, status=2, systolic=None, diastolic=None, pulse_rate=None, error_code=7)
    await bench.run_for(2)
    bench.kiosk.set_all(counter=2, status=1, systolic=2047, diastolic=2047, pulse_rate=64)
    await bench.run_for(2)
    told = [event for event in bench.sink.events if event.kind == "readings_rejected"]
    assert [event.detail["reason"] for event in told] == ["failed_status_2", "implausible"]
    assert str(told[1].detail["raw"]).startswith("0304100001000200010 7ff07ff".replace(" ", ""))
    assert not {m.quantity for m in bench.sink.measurements} & {"systolic", "diastolic", "pulse_rate"}


async def test_readings_overwritten_between_two_polls_are_counted(bench: Bench) -> None:
    await bench.run_for(1)
    bench.kiosk.set_all(counter=3, status=1, systolic=120, diastolic=70, pulse_rate=60)
    await bench.run_for(2)
    (told,) = [event for event in bench.sink.events if event.kind == "readings_rejected"]
    assert (told.detail["reason"], told.detail["count"]) == ("overwritten", 2)
    assert bench.sink.values("systolic") == [120.0]


async def test_a_dead_slave_slows_the_others_by_no_more_than_one_of_its_timeouts(bench: Bench) -> None:
    bench.room.mood = Mood.DEAD
    heard: list[Stamp] = []
    for _ in range(round(20 / STEP_S)):
        before = bench.sink.heard_from["io-1"]
        await bench.run_for(STEP_S)
        if bench.sink.heard_from["io-1"] > before:
            heard.append(bench.clock.now())
    gaps = [later.since_s(earlier) for earlier, later in itertools.pairwise(heard)]
    assert max(gaps) <= 0.15 + 0.2 + 3 * STEP_S
    assert len(heard) >= 20 / 0.15 - 8
    assert bench.room.asked == 3 + 2  # three tries, then one probe after 1 s and one 5 s later
    assert bench.sink.kinds("room-1") == ["link_lost"]


async def test_a_lost_slave_is_probed_after_1_5_and_30_s_and_comes_back_once(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await bench.run_for(0.5)
    bench.io.mood = Mood.DEAD
    await bench.run_for(3, lambda: "link_lost" in bench.sink.kinds("io-1"))
    lost = bench.clock.now()
    asked_at = []
    for _ in range(1500):
        before = bench.io.asked
        await bench.run_for(0.05, step_s=0.05)
        if bench.io.asked > before:
            asked_at.append(bench.clock.now().since_s(lost))
        if len(asked_at) == 4:
            break
    assert asked_at == pytest.approx([1.0, 6.2, 36.4, 66.6], abs=0.5)
    bench.io.mood = Mood.WELL
    await bench.run_for(31, step_s=0.05)
    assert bench.sink.kinds("io-1") == ["link_up", "link_lost", "link_up"]
    (event,) = [event for event in bench.sink.events if event.kind == "link_lost"]
    assert dict(event.detail) == {"reason": "no_reply", "hint": LOST_HINT, "unit": 1, "tries": 3}
    told = [record.levelname for record in caplog.records if "modbus slave" in record.message]
    assert told == ["WARNING", "INFO"]


async def test_one_missing_answer_is_asked_again_and_loses_nobody(bench: Bench) -> None:
    await bench.run_for(0.5)
    bench.bus.line.next_faults.append(LineFault.SILENCE)
    await bench.run_for(2)
    assert sum(count for (_, reason), count in bench.sink.rejects.items() if reason == "no_reply") == 1
    assert not [event for event in bench.sink.events if event.kind == "link_lost"]


@pytest.mark.parametrize(
    ("mood", "reason"),
    [(Mood.WRONG_CRC, "checksum"), (Mood.HALF_REPLY, "half_reply"), (Mood.BABBLE, "noise"), (Mood.DEAD, "no_reply")],
)
async def test_each_way_to_misbehave_is_counted_by_reason_and_ends_in_one_lost_link(
    bench: Bench, mood: Mood, reason: str
) -> None:
    bench.room.mood = mood
    await bench.run_for(3)
    assert bench.sink.kinds("room-1") == ["link_lost"]
    assert bench.sink.rejects[("room-1", reason)] >= 3
    assert bench.sink.values("room_temperature") == []
    assert bench.sink.kinds("io-1") == ["link_up"]
    assert len(bench.sink.values("bed_occupied")) >= 1


async def test_a_slave_that_refuses_is_up_but_faulty_and_tells_so_once(bench: Bench) -> None:
    bench.room.mood, bench.room.code = Mood.REFUSE, 2
    await bench.run_for(25)
    bench.room.mood = Mood.WELL
    await bench.run_for(12)
    assert bench.sink.kinds("room-1") == ["link_up", "device_fault", "device_fault"]
    faults = [event.detail for event in bench.sink.events if event.kind == "device_fault"]
    assert [(fault["fault"], fault["active"]) for fault in faults] == [("exception_2", True), ("exception_2", False)]
    assert faults[0]["meaning"] == "address not known"


async def test_a_refusal_that_outlives_a_lost_link_is_told_again(bench: Bench) -> None:
    bench.room.mood, bench.room.code = Mood.REFUSE, 2
    await bench.run_for(6)
    bench.room.mood = Mood.DEAD
    await bench.run_for(12)
    bench.room.mood = Mood.REFUSE
    await bench.run_for(40)
    assert bench.sink.kinds("room-1") == ["link_up", "device_fault", "link_lost", "link_up", "device_fault"]


async def test_a_busy_slave_is_asked_again_in_turn_without_a_fault(bench: Bench) -> None:
    bench.io.mood, bench.io.code = Mood.REFUSE, 6
    await bench.run_for(1)
    bench.io.mood = Mood.WELL
    await bench.run_for(1)
    assert bench.sink.kinds("io-1") == ["link_up"]
    assert bench.sink.values("bed_occupied") == [1.0]


async def test_a_late_answer_is_nobody_elses_and_no_answer_to_the_next_question(bench: Bench) -> None:
    bench.room.delay_s = 0.26  # beyond its 200 ms: every answer is late
    await bench.run_for(8)
    assert bench.sink.kinds("room-1") == ["link_lost"]
    assert bench.sink.values("room_temperature") == []
    assert "link_lost" not in bench.sink.kinds("io-1") + bench.sink.kinds("kiosk-1")
    assert set(bench.sink.values("bed_occupied")) == {1.0}


async def test_an_adapter_that_hears_itself_disturbs_nothing(bench: Bench) -> None:
    bench.bus.echo = True
    await bench.run_for(3)
    assert not bench.sink.rejects
    assert bench.sink.values("room_temperature") == [21.4]


async def test_unplugging_in_mid_answer_ends_in_a_link_error_and_frees_the_port(bench: Bench) -> None:
    await bench.run_for(0.5)
    bench.io.mood = Mood.HALF_REPLY
    await bench.run_for(1, lambda: bench.sink.rejects[("io-1", "half_reply")] > 0)
    bench.serving.cancel()
    await asyncio.gather(bench.serving, return_exceptions=True)
    bench.wire.unplug()
    await bench.run_for(1, bench.task.done)
    with pytest.raises(LinkError, match="unplugged"):
        await bench.task
    assert not bench.port.is_open


async def test_unplugging_is_noticed_while_the_bus_rests(bench: Bench) -> None:
    await bench.run_for(0.5)
    bench.serving.cancel()
    await asyncio.gather(bench.serving, return_exceptions=True)
    bench.wire.unplug()
    await until(bench.task.done)  # the clock stands still: nothing is due
    assert isinstance(bench.task.exception(), LinkError)


async def test_over_a_line_with_a_fifth_of_the_answers_disturbed_nothing_is_invented() -> None:
    bench = Bench()
    bench.bus.line = FaultyLine(bench.wire.fd, bench.clock, seed=11, share=0.2)
    start, turn_s, turns = bench.clock.now(), 2.5, 40
    for turn in range(turns):
        bench.io.set_all(di1=turn % 2 == 0, di2=turn % 10 != 9)
        bench.kiosk.set_all(counter=turn, status=1, systolic=100 + turn, diastolic=60 + turn, pulse_rate=70)
        await bench.run_for(turn_s, step_s=0.02)
    await bench.stop()

    def turns_at(at: Stamp) -> set[int]:
        """The turns whose state may be told at this moment: a state is two reads old at most when it is told."""
        return {int(at.since_s(start) / turn_s), int((at.since_s(start) - 0.1) / turn_s)}

    occupied = [m for m in bench.sink.measurements if m.quantity == "bed_occupied"]
    calls = [event for event in bench.sink.events if event.kind == "sos_pressed"]
    pressures = list(zip(bench.sink.values("systolic"), bench.sink.values("diastolic"), strict=True))
    assert set(bench.bus.line.disturbed) == set(LineFault)
    assert all(m.value in {float(turn % 2 == 0) for turn in turns_at(m.at)} for m in occupied)
    assert len({turn for m in occupied for turn in turns_at(m.at)}) >= turns * 3 / 4
    assert all(9 in {turn % 10 for turn in turns_at(call.at)} for call in calls)
    assert len(calls) >= 3
    assert set(pressures) <= {(100.0 + turn, 60.0 + turn) for turn in range(1, turns)}
    assert len(pressures) == len(set(pressures)) >= turns * 3 / 4
    assert len(pressures) + bench.sink.rejects[("kiosk-1", "overwritten")] <= turns - 1


async def test_a_model_is_added_by_one_file_and_not_a_line_of_python(tmp_path: Path) -> None:
    (tmp_path / "sen0492.toml").write_text(
        """
        schema = 1
        [device]
        id = "sen0492"
        class = "distance_sensor"
        transport = "modbus-rtu"
        sources = ["wiki.dfrobot.com/sen0492"]
        [modbus]
        unit = 0x50
        [[poll]]
        function = 3
        address = 0x34
        every_ms = 100
          [[poll.field]]
          name = "load"
          register = 0
          scale = 0.1
          unit = "kg"
          max = 400
          quantity = "bed_load"
        [[tests]]
        hex = "500302070B067F"
        source = "vendor document: 1803 counts"
        expect = { load = 180.3 }
        """,
        encoding="utf-8",
    )
    added = family(tmp_path)
    assert added.models == ("sen0492",)
    wire, clock, sink = VirtualPort(), SystemClock(), RecordingSink()
    slave = VirtualSlave(0x50, load_map(tmp_path / "sen0492.toml"))
    slave.set("load", 62.5)
    serving = asyncio.create_task(VirtualBus(wire.fd, clock, [slave]).run())
    made = added.make([Device("x-1", "modbus_rtu", "sen0492", "bus-1", "b-1")], SerialPort(wire.path, clock), clock)
    driving = asyncio.create_task(made.run(sink))
    await until(lambda: len(sink.measurements) >= 2)
    for task in (serving, driving):
        task.cancel()
    await asyncio.gather(serving, driving, return_exceptions=True)
    wire.unplug()
    assert sink.values("bed_load")[:2] == [62.5, 62.5]


async def test_devices_that_cannot_be_on_one_bus_are_refused_with_every_fault() -> None:
    clock = ManualClock()
    port = SerialPort("none", clock)
    with pytest.raises(ConfigError) as caught:
        ModbusDriver([(device("a", "waveshare_io8", 5), IO8), (device("b", "xy_md02", 5), ROOM)], port, clock)
    assert [fault.key for fault in caught.value.faults] == ["address"]
    with pytest.raises(ConfigError) as caught:
        ModbusDriver([(device("a", "waveshare_io8", 5, di1="door", di9_bed="b-2"), IO8)], port, clock)
    assert [fault.key for fault in caught.value.faults] == ["di1", "di9_bed"]
    with pytest.raises(ConfigError, match="'banana' is no unit id"):
        ModbusDriver([(Device("a", "modbus_rtu", "xy_md02", "bus-1", address="banana"), ROOM)], port, clock)
    with pytest.raises(ConfigError, match="unknown model 'toaster'"):
        FAMILY.make([device("a", "toaster", 1)], port, clock)
