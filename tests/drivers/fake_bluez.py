"""A small bluetoothd on a private bus: what bumble cannot show (BlueZ's errors, its memory, its agent, its switch).

Layouts and error names are BlueZ's own (doc/org.bluez.*.rst, src/error.c of 5.66). It proves how the driver takes them,
not that BlueZ behaves so: that is for the system test with a real bluetoothd.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from bleak.backends.bluezdbus.version import BlueZFeatures
from dbus_fast import BusType, Message, NameFlag
from dbus_fast.aio import MessageBus
from dbus_fast.errors import DBusError

from tests.drivers.fake_bluez_objects import (
    AdapterObject,
    AgentManagerObject,
    CharacteristicObject,
    DeviceObject,
    FakeDevice,
    GattManagerObject,
    ServiceObject,
)

SERVICE = "0000180d-0000-1000-8000-00805f9b34fb"

CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={socket}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/>
<allow eavesdrop="true"/><allow own="*"/></policy>
</busconfig>"""


@asynccontextmanager
async def private_bus(directory: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[asyncio.subprocess.Process]:
    """A dbus-daemon of its own that everybody takes for the system bus."""
    if shutil.which("dbus-daemon") is None:
        pytest.skip("dbus-daemon is not installed (Debian package dbus-daemon): no bus for the fake org.bluez")
    socket, config = directory / "bus", directory / "bus.conf"
    config.write_text(CONFIG.format(socket=socket))
    process = await asyncio.create_subprocess_exec(
        "dbus-daemon", f"--config-file={config}", "--nofork", "--print-address", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    address = (await asyncio.wait_for(process.stdout.readline(), 10)).decode().strip()
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
    monkeypatch.setattr(BlueZFeatures, "checked_bluez_version", True)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


class FakeBluez:
    """bluetoothd: owns org.bluez on the private bus."""

    def __init__(self, daemon: asyncio.subprocess.Process) -> None:
        self.daemon = daemon
        self.adapters: dict[str, AdapterObject] = {}
        self.devices: dict[str, FakeDevice] = {}
        self.agent: tuple[str, str, str] | None = None  # sender, path, capability
        self.registered = asyncio.Event()
        self.applications: list[tuple[str, str]] = []  # sender, path
        self.bus: MessageBus | None = None

    @property
    def on_bus(self) -> MessageBus:
        assert self.bus is not None
        return self.bus

    async def start(self) -> None:
        """Appear on the bus with one adapter, hci0."""
        self.bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
        self.bus.add_message_handler(self._saw)
        self.bus.export("/org/bluez", AgentManagerObject())
        self.add_adapter("hci0")
        await self.bus.request_name("org.bluez", NameFlag.REPLACE_EXISTING)

    async def stop(self) -> None:
        """Leave the bus, as a bluetoothd that is stopped does: its objects go first."""
        for path in [*self.devices]:
            self.devices[path].drop()
            self.forget(path)
        for path in [*self.adapters]:
            self.on_bus.unexport(path)
        self.adapters.clear()
        self.agent = None
        self.registered.clear()
        await self.on_bus.release_name("org.bluez")
        self.on_bus.disconnect()
        await self.on_bus.wait_for_disconnect()  # type: ignore[no-untyped-call]

    async def crash(self) -> None:
        """Be killed: nothing is said any more, not even that the objects have gone."""
        for device in self.devices.values():
            device.object, device.exported = None, []
        self.adapters.clear()
        self.on_bus.disconnect()
        await self.on_bus.wait_for_disconnect()  # type: ignore[no-untyped-call]

    def add_adapter(self, name: str) -> AdapterObject:
        path = f"/org/bluez/{name}"
        self.adapters[path] = AdapterObject(self, path)
        self.on_bus.export(path, self.adapters[path])
        self.on_bus.export(path, GattManagerObject())
        return self.adapters[path]

    @property
    def hci0(self) -> AdapterObject:
        return self.adapters["/org/bluez/hci0"]

    def devices_of(self, adapter: str) -> list[FakeDevice]:
        return [device for device in self.devices.values() if device.adapter == adapter]

    def add_device(self, address: str, *characteristics: str, **more: Any) -> FakeDevice:
        device = FakeDevice("/org/bluez/hci0", address, characteristics, **more)
        self.devices[device.path] = device
        return device

    def advertise(self, device: FakeDevice) -> None:
        """One advert; BlueZ makes the objects of a device that it does not know (any more)."""
        if not self.adapters[device.adapter].listening:
            return
        if device.object is None:
            self._remember(device)
        else:
            device.object.advertise()

    def _remember(self, device: FakeDevice) -> None:
        device.object = DeviceObject(self, device)
        device.exported = []
        self.on_bus.export(device.path, device.object)
        self.on_bus.export(f"{device.path}/service0001", ServiceObject(device.path, SERVICE))
        uuids = device.characteristics if device.remembered is None else device.remembered
        for number, uuid in enumerate(uuids, 2):
            service = f"{device.path}/service0001"
            characteristic = CharacteristicObject(service, uuid, device)
            device.exported.append(characteristic)
            self.on_bus.export(f"{service}/char{number:04x}", characteristic)

    def forget(self, path: str) -> None:
        """RemoveDevice: the objects, the bond and the cached services go."""
        device = self.devices[path]
        device.removals += 1
        device.remembered, device.bonded = None, False
        for number in range(len(device.exported)):
            self.on_bus.unexport(f"{path}/service0001/char{number + 2:04x}")
        if device.object is not None:
            self.on_bus.unexport(f"{path}/service0001")
            self.on_bus.unexport(path)
        device.object = None

    async def ask_agent(self, member: str, signature: str, body: list[Any]) -> Message:
        """What BlueZ asks the default agent; without one it is an error."""
        if self.agent is None:
            raise DBusError("org.bluez.Error.AuthenticationFailed", "no agent")
        sender, path, _ = self.agent
        return await self.call(sender, path, "org.bluez.Agent1", member, signature, body)

    async def call(
        self, sender: str, path: str, interface: str, member: str, signature: str = "", body: list[Any] | None = None
    ) -> Message:
        message = Message(
            destination=sender, path=path, interface=interface, member=member, signature=signature, body=body or []
        )
        reply = await self.on_bus.call(message)
        assert reply is not None
        return reply

    def _saw(self, message: Message) -> None:
        sender = message.sender or ""
        if message.member == "RegisterAgent":
            self.agent = (sender, message.body[0], message.body[1])
        elif message.member == "RegisterApplication":
            self.applications.append((sender, message.body[0]))
            self.registered.set()


@asynccontextmanager
async def fake_bluez(directory: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeBluez]:
    """A private bus with a fake bluetoothd on it."""
    async with private_bus(directory, monkeypatch) as daemon:
        bluez = FakeBluez(daemon)
        await bluez.start()
        try:
            yield bluez
        finally:
            if bluez.on_bus.connected:
                bluez.on_bus.disconnect()


@asynccontextmanager
async def advertising(bluez: FakeBluez, *devices: FakeDevice, every_s: float = 0.02) -> AsyncIterator[None]:
    """The devices advertise for the length of the block."""

    async def advertise() -> None:
        while True:
            for device in devices:
                bluez.advertise(device)
            await asyncio.sleep(every_s)

    task = asyncio.create_task(advertise())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
