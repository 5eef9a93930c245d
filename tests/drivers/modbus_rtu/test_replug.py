"""An adapter that is pulled out and put in again, perhaps under another number: supervisor, driver, port together."""

import asyncio
from pathlib import Path

from drivers.base import Device
from drivers.faulty_line import VirtualPort
from drivers.modbus_rtu.driver import FAMILY, HERE
from drivers.modbus_rtu.peer import VirtualBus, VirtualSlave
from drivers.modbus_rtu.registers import load_map
from drivers.serial_link import SerialPort
from gateway.core.clock import ScaledClock, SystemClock
from gateway.supervise import Supervisor
from tests.drivers.recording_sink import RecordingSink, until

IO8 = load_map(HERE / "waveshare_io8.toml")


async def test_a_bus_goes_on_when_its_adapter_comes_back_under_another_number(tmp_path: Path) -> None:
    real = SystemClock()
    clock = ScaledClock(20.0, origin_real_ns=real.real_ns(), origin_utc_ns=0)  # the back-off of a minute in seconds
    steady, sink = tmp_path / "usb-1a86_USB_Serial-if00-port0", RecordingSink()
    module = VirtualSlave(1, IO8)
    module.set_all(di1=True, di2=True)

    def plug_in() -> tuple[VirtualPort, "asyncio.Task[None]"]:
        wire = VirtualPort()
        steady.symlink_to(wire.path)
        return wire, asyncio.create_task(VirtualBus(wire.fd, clock, [module]).run())

    async def pull_out(wire: VirtualPort, serving: "asyncio.Task[None]") -> None:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        steady.unlink()
        wire.unplug()

    wire, serving = plug_in()
    device = Device("io-1", "modbus_rtu", "waveshare_io8", "bus-1", "b-1", "1")
    port = SerialPort(str(steady), clock, name="bus-1")
    supervising = asyncio.create_task(Supervisor(FAMILY.make([device], port, clock), sink, clock).run())
    await until(lambda: bool(sink.values("bed_occupied")))
    await pull_out(wire, serving)
    await until(lambda: sink.kinds("io-1")[-1] == "link_lost")
    reason = str(sink.events[-1].detail["reason"])
    assert "unplugged" in reason
    module.set("di2", False)  # somebody pulls the cord while nobody can hear it
    other = VirtualPort()  # takes the number that has become free
    wire, serving = plug_in()
    await until(lambda: "sos_pressed" in sink.kinds("io-1"))
    assert sink.kinds("io-1") == ["link_up", "link_lost", "link_up", "sos_pressed"]
    supervising.cancel()
    await asyncio.gather(supervising, return_exceptions=True)
    await pull_out(wire, serving)
    other.unplug()
