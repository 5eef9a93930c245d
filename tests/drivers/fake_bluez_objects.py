"""The objects of the fake bluetoothd, as BlueZ puts them on the bus (doc/org.bluez.*.rst of 5.66)."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol

from dbus_fast import Message, MessageType, PropertyAccess
from dbus_fast.annotations import DBusBool, DBusBytes, DBusDict, DBusInt16, DBusObjectPath, DBusSignature, DBusStr
from dbus_fast.errors import DBusError
from dbus_fast.service import ServiceInterface, dbus_method, dbus_property

Strings = Annotated[list[str], DBusSignature("as")]
READ = PropertyAccess.READ
OK, HANG = "ok", "hang"  # answers to Connect; anything else is "error name|text"


class Host(Protocol):
    """What the objects ask of the bluetoothd that they belong to."""

    def devices_of(self, adapter: str) -> "Sequence[FakeDevice]": ...
    def forget(self, path: str) -> None: ...
    async def ask_agent(self, member: str, signature: str, body: list[Any]) -> Message: ...


class AdapterObject(ServiceInterface):
    """org.bluez.Adapter1."""

    def __init__(self, bluez: "Host", path: str) -> None:
        super().__init__("org.bluez.Adapter1")
        self.path = path
        self.scans = 0
        self.power_cycles = 0
        self.deaf = False  # scanning is said to run, nothing is heard
        self.heals_by_power = True
        self._bluez = bluez
        self._powered = True
        self._discovering = False

    @property
    def listening(self) -> bool:
        return self._powered and self._discovering and not self.deaf

    @dbus_property(access=READ, name="Address")
    def address(self) -> DBusStr:
        return "00:11:22:33:44:55"

    @dbus_property(access=READ, name="Roles")
    def roles(self) -> Strings:
        return ["central", "peripheral"]

    @dbus_property(name="Powered")
    def powered(self) -> DBusBool:
        return self._powered

    @powered.setter
    def _set_powered(self, value: DBusBool) -> None:
        self._powered = value
        self._discovering = self._discovering and value
        if value:
            self.power_cycles += 1
            self.deaf = self.deaf and not self.heals_by_power
        else:
            for device in self._bluez.devices_of(self.path):
                device.drop()
        self.emit_properties_changed({"Powered": value})

    @dbus_method(name="SetDiscoveryFilter")
    def set_discovery_filter(self, _filters: DBusDict) -> None:
        return

    @dbus_method(name="StartDiscovery")
    def start_discovery(self) -> None:
        if not self._powered:
            raise DBusError("org.bluez.Error.NotReady", "Resource Not Ready")
        self.scans += 1
        self._discovering = True

    @dbus_method(name="StopDiscovery")
    def stop_discovery(self) -> None:
        self._discovering = False

    @dbus_method(name="RemoveDevice")
    def remove_device(self, path: DBusObjectPath) -> None:
        self._bluez.forget(path)


class DeviceObject(ServiceInterface):
    """org.bluez.Device1, as BlueZ remembers it."""

    def __init__(self, bluez: "Host", device: "FakeDevice") -> None:
        super().__init__("org.bluez.Device1")
        self._bluez = bluez
        self._device = device
        self.connected_now = False
        self.resolved = False
        self._trusted = False
        self._rssi = -60

    @dbus_property(access=READ, name="Address")
    def address(self) -> DBusStr:
        return self._device.address

    @dbus_property(access=READ, name="Alias")
    def alias(self) -> DBusStr:
        return "fake"

    @dbus_property(access=READ, name="Adapter")
    def adapter(self) -> DBusObjectPath:
        return self._device.adapter

    @dbus_property(access=READ, name="RSSI")
    def rssi(self) -> DBusInt16:
        return self._rssi

    @dbus_property(access=READ, name="UUIDs")
    def uuids(self) -> Strings:
        return []

    @dbus_property(access=READ, name="Paired")
    def paired(self) -> DBusBool:
        return self._device.bonded

    @dbus_property(access=READ, name="Bonded")
    def bonded(self) -> DBusBool:
        return self._device.bonded

    @dbus_property(name="Trusted")
    def trusted(self) -> DBusBool:
        return self._trusted

    @trusted.setter
    def _set_trusted(self, value: DBusBool) -> None:
        self._trusted = value

    @dbus_property(access=READ, name="Connected")
    def connected(self) -> DBusBool:
        return self.connected_now

    @dbus_property(access=READ, name="ServicesResolved")
    def services_resolved(self) -> DBusBool:
        return self.resolved

    def advertise(self) -> None:
        self._rssi = -61 if self._rssi == -60 else -60
        self.emit_properties_changed({"RSSI": self._rssi})

    def link(self, *, up: bool) -> None:
        if self.connected_now != up:
            self.connected_now = self.resolved = up
            self.emit_properties_changed({"Connected": up, "ServicesResolved": up})

    @dbus_method(name="Connect")
    async def connect(self) -> None:
        self._device.connects += 1
        answer = self._device.answers.popleft() if self._device.answers else OK
        if answer == HANG:
            await asyncio.Event().wait()
        if answer != OK:
            name, _, text = answer.partition("|")
            if text == "le-connection-abort-by-local":  # BlueZ was connected for a moment (bleak 1673)
                self.link(up=True)
                self.link(up=False)
            raise DBusError(name, text)
        self.link(up=True)

    @dbus_method(name="Disconnect")
    def disconnect(self) -> None:
        self._device.disconnects += 1
        self.link(up=False)

    @dbus_method(name="Pair")
    async def pair(self) -> None:
        shown = self._device.passkey
        asked = "RequestAuthorization" if shown is None else "RequestPasskey"
        reply = await self._bluez.ask_agent(asked, "o", [self._device.path])
        refused = reply.message_type is MessageType.ERROR
        if refused or (shown is not None and list(reply.body) != [shown]):
            raise DBusError("org.bluez.Error.AuthenticationFailed", "Authentication Failed")
        self.bond()

    def bond(self) -> None:
        """Keys were exchanged: the identity address is known from now on."""
        self._device.bonded = True
        self._device.address = self._device.identity or self._device.address
        self.emit_properties_changed({"Address": self._device.address, "Paired": True, "Bonded": True})


class ServiceObject(ServiceInterface):
    """org.bluez.GattService1."""

    def __init__(self, device: str, uuid: str) -> None:
        super().__init__("org.bluez.GattService1")
        self._device = device
        self._uuid = uuid

    @dbus_property(access=READ, name="UUID")
    def uuid(self) -> DBusStr:
        return self._uuid

    @dbus_property(access=READ, name="Device")
    def device(self) -> DBusObjectPath:
        return self._device

    @dbus_property(access=READ, name="Primary")
    def primary(self) -> DBusBool:
        return True


class CharacteristicObject(ServiceInterface):
    """org.bluez.GattCharacteristic1."""

    def __init__(self, service: str, uuid: str, device: "FakeDevice") -> None:
        super().__init__("org.bluez.GattCharacteristic1")
        self._service = service
        self._uuid = uuid
        self._device = device

    @dbus_property(access=READ, name="UUID")
    def uuid(self) -> DBusStr:
        return self._uuid

    @dbus_property(access=READ, name="Service")
    def service(self) -> DBusObjectPath:
        return self._service

    @dbus_property(access=READ, name="Flags")
    def flags(self) -> Strings:
        return ["read", "notify"]

    @dbus_property(access=READ, name="Value")
    def value(self) -> DBusBytes:
        return self._device.value

    @dbus_method(name="ReadValue")
    def read_value(self, _options: DBusDict) -> DBusBytes:
        if self._device.read_error:
            name, _, text = self._device.read_error.partition("|")
            raise DBusError(name, text)
        return self._device.value

    @dbus_method(name="StartNotify")
    def start_notify(self) -> None:
        self._device.notifying.set()

    @dbus_method(name="StopNotify")
    def stop_notify(self) -> None:
        return

    def notify(self, value: bytes) -> None:
        self.emit_properties_changed({"Value": value})


@dataclass
class FakeDevice:
    """One peripheral. answers: to the next Connects. remembered: characteristics of BlueZ's (stale) cache.

    passkey: what it shows when it is paired, and expects to be typed.
    """

    adapter: str
    address: str
    characteristics: tuple[str, ...]
    bonded: bool = False
    passkey: int | None = None
    identity: str = ""
    remembered: tuple[str, ...] | None = None
    value: bytes = b"value"
    read_error: str = ""
    answers: deque[str] = field(default_factory=deque)
    connects: int = 0
    disconnects: int = 0
    removals: int = 0
    notifying: asyncio.Event = field(default_factory=asyncio.Event)
    path: str = ""
    object: DeviceObject | None = None
    exported: list[CharacteristicObject] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.path = f"{self.adapter}/dev_{self.address.replace(':', '_')}"

    def drop(self) -> None:
        """The link ends by itself."""
        if self.object is not None:
            self.object.link(up=False)


class AgentManagerObject(ServiceInterface):
    """org.bluez.AgentManager1; who called is taken from the message by FakeBluez."""

    def __init__(self) -> None:
        super().__init__("org.bluez.AgentManager1")

    @dbus_method(name="RegisterAgent")
    def register_agent(self, _path: DBusObjectPath, _capability: DBusStr) -> None:
        return

    @dbus_method(name="RequestDefaultAgent")
    def request_default_agent(self, _path: DBusObjectPath) -> None:
        return


class GattManagerObject(ServiceInterface):
    """org.bluez.GattManager1."""

    def __init__(self) -> None:
        super().__init__("org.bluez.GattManager1")

    @dbus_method(name="RegisterApplication")
    def register_application(self, _path: DBusObjectPath, _options: DBusDict) -> None:
        return
