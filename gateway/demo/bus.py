"""The ward's RS-485 bus: a mat and a pull cord for each bed on contact modules, a room sensor, a pressure kiosk."""

from drivers.faulty_line import VirtualPort
from drivers.modbus_rtu.driver import HERE
from drivers.modbus_rtu.peer import VirtualBus, VirtualSlave
from drivers.modbus_rtu.registers import load_map
from drivers.profile import models_in
from gateway.core.clock import Clock
from gateway.demo.site import BEDS_PER_MODULE, KIOSK_UNIT, ROOM_UNIT, first_input, module_unit, modules

VALID = 1  # status of a good reading in the open kiosk map


class Bus:
    """All slaves on one pseudo-terminal, moved by the story."""

    def __init__(self, clock: Clock, beds: int) -> None:
        profiles = {model: load_map(path) for model, path in models_in(HERE).items()}
        self.port = VirtualPort()
        self._modules = [VirtualSlave(module_unit(n), profiles["waveshare_io8"]) for n in range(modules(beds))]
        self._room = VirtualSlave(ROOM_UNIT, profiles["xy_md02"])
        self._kiosk = VirtualSlave(KIOSK_UNIT, profiles["open_kiosk_1"])
        self._readings = 0
        self._bus = VirtualBus(self.port.fd, clock, [*self._modules, self._room, self._kiosk])
        self._room.set_all(temperature=22.4, humidity=46.0)
        for bed in range(1, beds + 1):
            self.mat(bed, occupied=True)
            self.cord(bed, pulled=False)

    async def run(self) -> None:
        """Answer until cancelled."""
        await self._bus.run()

    def mat(self, bed: int, *, occupied: bool) -> None:
        """Beds count from 1."""
        self._module(bed).set(f"di{first_input(bed)}", occupied)

    def cord(self, bed: int, *, pulled: bool) -> None:
        """A pull cord is a closed loop that opens when somebody pulls it, or when its wire breaks."""
        self._module(bed).set(f"di{first_input(bed) + 1}", not pulled)

    def kiosk_reading(self, systolic: float, diastolic: float, pulse_rate: float) -> None:
        """Somebody has measured a blood pressure: mm[Hg], mm[Hg], /min."""
        self._readings += 1
        self._kiosk.set_all(
            counter=self._readings, status=VALID, systolic=systolic, diastolic=diastolic, pulse_rate=pulse_rate
        )

    def _module(self, bed: int) -> VirtualSlave:
        return self._modules[(bed - 1) // BEDS_PER_MODULE]
