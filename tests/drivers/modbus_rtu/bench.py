"""A bus of the modbus tests: any slaves behind a pseudo-terminal, a driver, and a clock that the test moves."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from drivers.base import Device
from drivers.faulty_line import VirtualPort
from drivers.modbus_rtu.driver import ModbusDriver
from drivers.modbus_rtu.peer import VirtualBus, VirtualSlave
from drivers.profile_schema import Profile
from drivers.serial_link import SerialPort
from gateway.core.clock import ManualClock
from tests.drivers.recording_sink import RecordingSink

STEP_S = 0.01


class Line:
    """Slaves of the given profiles with the unit ids 1, 2, ...; devices are called d-1, d-2, ..."""

    def __init__(self, profiles: Sequence[Profile]) -> None:
        self.wire, self.clock, self.sink = VirtualPort(), ManualClock(), RecordingSink()
        self.slaves = [VirtualSlave(unit, profile) for unit, profile in enumerate(profiles, 1)]
        self.bus = VirtualBus(self.wire.fd, self.clock, self.slaves)
        self.port = SerialPort(self.wire.path, self.clock, name="bus-1", baud=115200)
        devices = [
            (Device(f"d-{unit}", "modbus_rtu", profile.device.id, "bus-1", "b-1", str(unit)), profile)
            for unit, profile in enumerate(profiles, 1)
        ]
        self.driver = ModbusDriver(devices, self.port, self.clock)
        self.serving = asyncio.create_task(self.bus.run())
        self.driving = asyncio.create_task(self.driver.run(self.sink))

    async def run_for(self, seconds: float, ready: Callable[[], bool] = lambda: False) -> None:
        """Move the clock step by step; it stands still while bytes are on their way through the pseudo-terminal."""
        for _ in range(round(seconds / STEP_S)):
            if ready():
                return
            await self.clock.advance(STEP_S)
            async with asyncio.timeout(10):
                while not self.serving.done() and not self.driving.done() and self._on_their_way():
                    await asyncio.sleep(0)

    def _on_their_way(self) -> bool:
        line, port = self.bus.line, self.port
        return (port.written_bytes, line.sent_bytes) != (self.bus.received_bytes, port.received_bytes)

    def told(self, kind: str) -> list[dict[str, str | int | float | bool]]:
        """Details of the events of one kind, in order."""
        return [dict(event.detail) for event in self.sink.events if event.kind == kind]


@asynccontextmanager
async def line(*profiles: Profile) -> AsyncIterator[Line]:
    made = Line(profiles)
    try:
        yield made
    finally:
        made.serving.cancel()
        made.driving.cancel()
        await asyncio.gather(made.serving, made.driving, return_exceptions=True)
        made.wire.unplug()
