"""The one owner of an RS-485 bus: asks its slaves as they come due, and lets no dead one hold up the others."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from drivers.base import Device, Family, Sink
from drivers.modbus_rtu.bus import Bus, Reply
from drivers.modbus_rtu.registers import load_map
from drivers.modbus_rtu.slave import Slave, SlaveHealth, check
from drivers.modbus_rtu.wiring import Wiring
from drivers.profile import models_in
from drivers.profile_schema import Profile
from drivers.serial_link import SerialPort
from gateway.core.clock import Clock
from gateway.core.errors import ConfigError, Fault

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class BusHealth:
    """The bus monitor's view of one bus. busy_s: real seconds in which a question was on its way or waited for.

    suspicion: "", "swapped" or "noisy"; echo: the adapter hears itself; unasked_bytes: came to no question.
    """

    port: str
    polls: int
    timeouts: int
    dead: tuple[str, ...]
    busy_s: float
    unasked_bytes: int
    echo: bool
    suspicion: str
    slaves: tuple[SlaveHealth, ...]


class ModbusDriver:
    """All slaves of one bus. Each slave's loss and return are events of its own; only a broken port ends run()."""

    def __init__(self, devices: Sequence[tuple[Device, Profile]], port: SerialPort, clock: Clock) -> None:
        check(devices)
        self.devices = tuple(device for device, _ in devices)
        self._port = port
        self._clock = clock
        self._slaves = [Slave(device, profile, clock) for device, profile in devices]
        self._wiring = Wiring(port.name, len(devices))
        self._busy_s = 0.0
        self._bus: Bus | None = None

    def health(self) -> BusHealth:
        """How each slave is now, and what was counted since the driver was made (unasked_bytes: since the opening)."""
        slaves = tuple(replace(slave.health) for slave in self._slaves)
        return BusHealth(
            port=self._port.name,
            polls=sum(slave.polls for slave in slaves),
            timeouts=sum(slave.timeouts for slave in slaves),
            dead=tuple(slave.device for slave in slaves if slave.state == "lost"),
            busy_s=self._busy_s,
            unasked_bytes=self._bus.unasked_bytes if self._bus else 0,
            echo=self._wiring.echo,
            suspicion=self._wiring.suspicion,
            slaves=slaves,
        )

    async def run(self, sink: Sink) -> None:
        """Poll until the port breaks: LinkError. A slave that does not answer is backed off alone."""
        self._port.open()
        try:
            bus = self._bus = Bus(self._port, self._clock)
            self._wiring.start()
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
        began_ns = self._clock.real_ns()
        outcome = await bus.ask(question.request, timeout_s=slave.timeout_s, turnaround_s=turnaround_s)
        self._busy_s += (self._clock.real_ns() - began_ns) / 1e9
        if isinstance(outcome, Reply):
            slave.answered(question, outcome, sink)
            self._wiring.answered(outcome, sink)
        else:
            slave.failed(question, outcome, sink)
            self._wiring.failed(outcome, sink)


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
