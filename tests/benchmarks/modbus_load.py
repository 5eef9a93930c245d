"""A full bus against the arithmetic of its timing, and what one dead slave costs the others."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from drivers.base import Device
from drivers.modbus_rtu.driver import HERE, BusHealth, ModbusDriver
from drivers.modbus_rtu.question import Part, together
from drivers.modbus_rtu.registers import load_map
from drivers.profile_schema import Profile
from drivers.serial_link import SerialPort
from gateway.core.clock import SystemClock
from tests.benchmarks.figures import Figure, median
from tests.drivers.recording_sink import RecordingSink

SLAVES, BAUD, DELAY_S = 16, 19_200, 0.005
RUNS, SETTLE_S, WINDOW_S, DEAD_WINDOW_S = 3, 2.0, 15.0, 30.0
REQUEST_BYTES, ANSWER_BYTES = 8, 9  # two registers
SHORTEST_MS = 20  # as often as a profile may ask: more than the bus can carry


class CountingSink(RecordingSink):
    """Keeps nothing but what went wrong."""

    def measurement(self, measurement: object) -> None:
        """Counted by the driver itself."""


def allowed_per_s(port: SerialPort, turnaround_s: float) -> float:
    """Polls a second: silence before, request, the slave's delay, answer. No time of the host's own."""
    silence_s = max(3.5 * port.character_s, turnaround_s)
    return 1 / (silence_s + (REQUEST_BYTES + ANSWER_BYTES) * port.character_s + DELAY_S)


async def measure() -> list[Figure]:
    """Medians of several runs: what else the machine does in half a minute is no dead slave's doing."""
    runs = [await _run() for _ in range(RUNS)]
    return [replace(same[0], value=median([figure.value for figure in same])) for same in zip(*runs, strict=True)]


async def _run() -> list[Figure]:
    """About a minute. Against 15 slaves alone, a dead one costs what its tries and probes take."""
    profile = _asked_without_rest(load_map(HERE / "xy_md02.toml"))
    clock = SystemClock()
    async with _bus() as (path, process):
        port = SerialPort(path, clock, name="bus-1", baud=BAUD)
        devices = [Device(f"d-{unit}", "modbus_rtu", "xy_md02", "bus-1", None, str(unit)) for unit in _units()]
        driver = ModbusDriver([(device, profile) for device in devices], port, clock)
        running = asyncio.create_task(driver.run(CountingSink()))
        try:
            await clock.sleep(SETTLE_S)
            all_well = await _answers_per_s(driver, clock, WINDOW_S)
            assert process.stdin is not None
            process.stdin.write(f"{SLAVES}\n".encode())
            with_a_dead = await _answers_per_s(driver, clock, DEAD_WINDOW_S)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    allowed = allowed_per_s(port, profile.modbus.turnaround_ms / 1000 if profile.modbus else 0.0)
    return _figures(sum(all_well), allowed, all_well[:-1], with_a_dead[:-1])


def _figures(reached: float, allowed: float, before: list[float], after: list[float]) -> list[Figure]:
    others_alone = sum(before) * SLAVES / (SLAVES - 1)  # a full bus gives the sixteenth's time to the others
    return [
        Figure("Modbus, 16 slaves at 19200: polls", reached, "/s", None, "higher"),
        Figure("Modbus, 16 slaves at 19200: allowed by the timing", allowed, "/s", None, "higher"),
        Figure("Modbus, 16 slaves at 19200: share reached", 100 * reached / allowed, "%", 90.0, "higher"),
        Figure("Modbus, one slave dies: the others lose against 15 alone",
               100 * (1 - sum(after) / others_alone), "%", 5.0, "lower"),
        Figure("Modbus, one slave dies: the slowest of the others loses",
               100 * (1 - min(new / old for old, new in zip(before, after, strict=True)) * (SLAVES - 1) / SLAVES),
               "%", None, "lower"),
    ]  # fmt: skip


def _units() -> range:
    return range(1, SLAVES + 1)


def _asked_without_rest(profile: Profile) -> Profile:
    poll = profile.poll[0].model_copy(update={"every_ms": SHORTEST_MS})
    made = profile.model_copy(update={"poll": (poll,)})
    assert len(together([Part(Device("d", "f", "m", "l"), made, poll)])) == 1
    return made


async def _answers_per_s(driver: ModbusDriver, clock: SystemClock, window_s: float) -> list[float]:
    """Of each slave, over the next window."""
    began_ns, before = clock.real_ns(), driver.health()
    await clock.sleep(window_s)
    lasted_s, after = (clock.real_ns() - began_ns) / 1e9, driver.health()
    return [(new - old) / lasted_s for old, new in zip(_answers(before), _answers(after), strict=True)]


def _answers(health: BusHealth) -> list[int]:
    return [slave.answers for slave in health.slaves]


@asynccontextmanager
async def _bus() -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    character_s = 10 / BAUD
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.benchmarks.paced_bus", str(SLAVES), str(character_s), str(DELAY_S),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            path = (await process.stdout.readline()).decode().strip()
        yield path, process
    finally:
        process.stdin.close()
        async with asyncio.timeout(10):
            await process.wait()
