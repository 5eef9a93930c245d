"""The one owner of an RS-485 bus: asks its slaves as they come due, and lets no dead one hold up the others."""

from collections.abc import Sequence
from pathlib import Path

from drivers.base import Device, Family, Sink
from drivers.modbus_rtu.bus import Bus, Reply
from drivers.modbus_rtu.registers import load_map
from drivers.modbus_rtu.slave import Slave, check
from drivers.profile import models_in
from drivers.profile_schema import Profile
from drivers.serial_link import SerialPort
from gateway.core.clock import Clock
from gateway.core.errors import ConfigError, Fault

HERE = Path(__file__).parent


class ModbusDriver:
    """All slaves of one bus. Each slave's loss and return are events of its own; only a broken port ends run()."""

    def __init__(self, devices: Sequence[tuple[Device, Profile]], port: SerialPort, clock: Clock) -> None:
        check(devices)
        self.devices = tuple(device for device, _ in devices)
        self._port = port
        self._clock = clock
        self._slaves = [Slave(device, profile, clock) for device, profile in devices]

    async def run(self, sink: Sink) -> None:
        """Poll until the port breaks: LinkError. A slave that does not answer is backed off alone."""
        self._port.open()
        try:
            bus = Bus(self._port, self._clock)
            for slave in self._slaves:
                slave.start()
            while True:
                await self._ask_next(bus, sink)
        finally:
            self._port.close()

    async def _ask_next(self, bus: Bus, sink: Sink) -> None:
        slave = min(self._slaves, key=lambda slave: slave.next()[0])
        due, question = slave.next()
        await bus.idle(due)
        turnaround_s = slave.timing.turnaround_ms / 1000
        outcome = await bus.ask(question.request, timeout_s=slave.timeout_s, turnaround_s=turnaround_s)
        if isinstance(outcome, Reply):
            slave.answered(question, outcome, sink)
        else:
            slave.failed(outcome, sink)


def family(directory: Path = HERE) -> Family[SerialPort]:
    """The family with the models whose profiles lie in `directory`."""
    paths = models_in(directory)

    def make(devices: Sequence[Device], port: SerialPort, clock: Clock) -> ModbusDriver:
        unknown = [
            Fault(0, "model", f"{device.id}: unknown model {device.model!r}", f"known: {', '.join(paths)}")
            for device in devices
            if device.model not in paths
        ]
        if unknown:
            raise ConfigError(port.name, tuple(unknown))
        profiles = {model: load_map(paths[model]) for model in {device.model for device in devices}}
        return ModbusDriver([(device, profiles[device.model]) for device in devices], port, clock)

    return Family("modbus_rtu", "modbus-rtu", tuple(paths), make)


FAMILY = family()
