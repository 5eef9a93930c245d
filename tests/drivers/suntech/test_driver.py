"""A SunTech module on a pseudo-terminal: results after "done" only, errors, busy, bad lines, silence."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from drivers.base import Device
from drivers.faulty_line import LineFault
from drivers.serial_link import SerialPort
from drivers.suntech.driver import FAMILY
from drivers.suntech.frame import GET_CUFF, GET_RESULT, Reply, Result, encode, encode_command
from drivers.suntech.peer import SuntechPeer
from gateway.core.clock import ManualClock
from gateway.core.errors import ConfigError, LinkError
from tests.drivers.recording_sink import RecordingSink, until
from tests.drivers.serial_bench import beside, ended, flowing, wire

DEVICE = Device("cuff", "suntech", "suntech_advantage", "p")
GOOD = Result(115, 74, 30, 1, 85, 88, 0)


class Bench:
    def __init__(self, fd: int, path: str, seed: int) -> None:
        self.clock = ManualClock()
        self.sink = RecordingSink()
        self.peer = SuntechPeer(fd, self.clock, seed=seed)
        self.port = SerialPort(path, self.clock)
        self.driver = FAMILY.make([DEVICE], self.port, self.clock)

    async def listening(self) -> None:
        """Wait until the module has been asked and its answer heard."""
        await until(lambda: self.sink.heard_from["cuff"] >= 1)


@asynccontextmanager
async def module(*, seed: int = 0) -> AsyncIterator[Bench]:
    async with wire() as virtual:
        bench = Bench(virtual.fd, virtual.path, seed)
        async with beside(bench.driver.run(bench.sink), bench.peer.run(), flowing(bench.clock, step_s=0.1)):
            await bench.listening()
            yield bench


async def test_a_result_is_told_after_done_and_never_a_cuff_started() -> None:
    async with module() as bench:
        await bench.peer.measured(GOOD)
        await until(lambda: len(bench.sink.measurements) == 4)
        asked = bench.peer.asked
    told = {one.quantity: one.value for one in bench.sink.measurements}
    assert told == {"systolic": 115, "diastolic": 74, "mean_arterial": 88, "pulse_rate": 85}
    assert {one.bed for one in bench.sink.measurements} == {None}
    assert set(asked) == {encode_command(GET_CUFF), encode_command(GET_RESULT)}


async def test_what_was_measured_before_the_first_look_is_not_told() -> None:
    async with wire() as virtual:
        bench = Bench(virtual.fd, virtual.path, 0)
        bench.peer.result = GOOD
        async with beside(bench.driver.run(bench.sink), bench.peer.run(), flowing(bench.clock, step_s=0.1)):
            await until(lambda: bench.sink.heard_from["cuff"] >= 3)
            await bench.peer.line.write(encode(GOOD))
            await until(lambda: bench.sink.rejects["cuff", "unasked_result"] == 1)
    assert bench.sink.measurements == []


async def test_an_error_code_and_an_implausible_result_are_rejected() -> None:
    async with module() as bench:
        await bench.peer.measured(GOOD._replace(error_code=4))
        await until(lambda: bench.sink.rejects["cuff", "error_4"] == 1)
        await bench.peer.measured(GOOD._replace(diastolic=120))
        await until(lambda: bench.sink.rejects["cuff", "implausible_diastolic"] == 1)
    assert bench.sink.measurements == []
    assert bench.sink.kinds("cuff") == ["readings_rejected"] * 2


async def test_an_aborted_measurement_is_told_as_such() -> None:
    async with module() as bench:
        await bench.peer.line.write(encode(Reply("aborted")))
        await until(lambda: bench.sink.rejects["cuff", "aborted"] == 1)
    assert bench.sink.measurements == []


async def test_a_busy_module_is_asked_again() -> None:
    async with module() as bench:
        bench.peer.busy = 3
        await bench.peer.measured(GOOD)
        await until(lambda: bench.sink.values("systolic") == [115])


async def test_a_module_that_never_answers_with_its_result_is_told() -> None:
    async with module() as bench:
        bench.peer.busy = 1000
        await bench.peer.measured(GOOD)
        await until(lambda: bench.sink.rejects["cuff", "no_result"] == 1)
    assert bench.sink.measurements == []


async def test_over_a_line_with_a_fifth_of_the_writes_disturbed_what_is_told_is_true() -> None:
    async with module(seed=9) as bench:
        bench.peer.line.share = 0.2
        for number in range(40):
            before = bench.clock.now()
            await bench.peer.measured(GOOD._replace(systolic=100 + number))
            while bench.clock.now().since_s(before) < 4:
                await asyncio.sleep(0.002)
    told = bench.sink.values("systolic")
    assert set(told) <= {100.0 + number for number in range(40)}
    assert told == sorted(told)
    assert len(told) >= 20
    assert set(bench.peer.line.disturbed) == set(LineFault)


async def test_silence_is_a_link_error() -> None:
    async with wire() as virtual:
        bench = Bench(virtual.fd, virtual.path, 0)
        bench.peer.mute = True
        async with beside(bench.peer.run(), flowing(bench.clock, step_s=0.1)):
            error = await ended(bench.driver, bench.sink)
    assert isinstance(error, LinkError)
    assert "9600" in error.hint


def test_an_unknown_model_is_a_fault_of_the_registry() -> None:
    clock = ManualClock()
    with pytest.raises(ConfigError, match="suntech_advantage"):
        FAMILY.make([Device("cuff", "suntech", "nobody", "p")], SerialPort("/dev/null", clock), clock)
