"""BlueZ over D-Bus, as far as bleak does not go: power, forgetting a device, the agent, what has gone away.

Loaded only where BlueZ is the backend: a box without D-Bus never imports this module.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from bleak.exc import BleakDBusError
from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.errors import AuthError, InvalidAddressError
from dbus_fast.service import ServiceInterface
from dbus_fast.unpack import unpack_variants

BLUEZ = "org.bluez"
ADAPTER, DEVICE = "org.bluez.Adapter1", "org.bluez.Device1"
PROPERTIES, OBJECTS = "org.freedesktop.DBus.Properties", "org.freedesktop.DBus.ObjectManager"

SignalHandler = Callable[[Message], None]


def adapter_path(adapter: str) -> str:
    """Object path of an adapter such as "hci0"."""
    return f"/org/bluez/{adapter}"


class BluezBus:
    """One connection to the system bus, talking to org.bluez. Its calls raise BleakDBusError, as bleak's do."""

    def __init__(self, bus: MessageBus) -> None:
        self.bus = bus
        self._ended = asyncio.create_task(self._until_ended())

    async def call(
        self, path: str, interface: str, member: str, signature: str = "", body: Sequence[Any] = ()
    ) -> list[Any]:
        """The reply's body, variants unpacked."""
        message = Message(
            destination=BLUEZ, path=path, interface=interface, member=member, signature=signature, body=list(body)
        )
        return await self._sent(message)

    async def restart_unit(self, unit: str) -> None:
        """Ask systemd to restart a unit; polkit must allow it. Returns once the job is queued."""
        message = Message(
            destination="org.freedesktop.systemd1", path="/org/freedesktop/systemd1",
            interface="org.freedesktop.systemd1.Manager", member="RestartUnit", signature="ss", body=[unit, "replace"],
        )  # fmt: skip
        await self._sent(message)

    async def get(self, path: str, interface: str) -> Mapping[str, Any]:
        """All properties of one interface of an object."""
        (properties,) = await self.call(path, PROPERTIES, "GetAll", "s", [interface])
        found: Mapping[str, Any] = properties
        return found

    async def set(self, path: str, interface: str, name: str, value: Variant) -> None:
        """Write one property."""
        await self.call(path, PROPERTIES, "Set", "ssv", [interface, name, value])

    async def objects(self) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
        """Every object of BlueZ: path -> interface -> property -> value."""
        (found,) = await self.call("/", OBJECTS, "GetManagedObjects")
        objects: Mapping[str, Mapping[str, Mapping[str, Any]]] = found
        return objects

    async def device_path(self, adapter: str, address: str) -> str | None:
        """The object of a device, by the identity that BlueZ knows it under; None when it knows none."""
        under = adapter_path(adapter) + "/"
        for path, interfaces in (await self.objects()).items():
            if path.startswith(under) and interfaces.get(DEVICE, {}).get("Address", "").upper() == address.upper():
                return path
        return None

    async def watch(self, handler: SignalHandler) -> None:
        """Have `handler` called for what BlueZ signals about its objects and for a change of its owner."""
        rules = (
            f"type='signal',sender='{BLUEZ}',interface='{OBJECTS}'",
            f"type='signal',sender='{BLUEZ}',interface='{PROPERTIES}',member='PropertiesChanged'",
            f"type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='{BLUEZ}'",
        )
        self.bus.add_message_handler(handler)
        for rule in rules:
            await self._sent(
                Message(
                    destination="org.freedesktop.DBus", path="/org/freedesktop/DBus",
                    interface="org.freedesktop.DBus", member="AddMatch", signature="s", body=[rule],
                )
            )  # fmt: skip

    def export(self, path: str, interface: ServiceInterface) -> None:
        """Put an own object on the bus until it is closed; dbus_fast takes it off by itself then."""
        self.bus.export(path, interface)

    async def gone(self) -> None:
        """Return when the connection itself has ended. A wait that is cancelled leaves the next one unharmed."""
        await asyncio.wait({self._ended})

    async def close(self) -> None:
        """Return when the socket is closed; own objects may be put on the next bus."""
        self.bus.disconnect()
        await self.gone()

    async def _until_ended(self) -> None:
        with suppress(OSError, EOFError):
            await self.bus.wait_for_disconnect()  # type: ignore[no-untyped-call]

    async def _sent(self, message: Message) -> list[Any]:
        reply = await self.bus.call(message)
        if reply is None:
            raise EOFError("the D-Bus connection was closed")
        if reply.message_type is MessageType.ERROR:
            raise BleakDBusError(reply.error_name or "", reply.body)
        body: list[Any] = unpack_variants(reply.body)
        return body


@asynccontextmanager
async def open_bus() -> AsyncIterator[BluezBus]:
    """A connection of its own to the system bus. OSError when there is none or it refuses us."""
    bus = BluezBus(await _connected())
    try:
        yield bus
    finally:
        await bus.close()


async def restart_bluetoothd() -> None:
    """The ladder's step over systemd. OSError or BleakDBusError when that is not possible."""
    async with open_bus() as bus:
        await bus.restart_unit("bluetooth.service")


async def _connected() -> MessageBus:
    bus: MessageBus | None = None
    try:
        bus = MessageBus(bus_type=BusType.SYSTEM)
        return await bus.connect()
    except BaseException as error:
        if bus is not None:
            bus.disconnect()  # a bus that never connected holds its socket until told
        if isinstance(error, AuthError | InvalidAddressError):
            raise ConnectionRefusedError(str(error)) from error
        raise


def owner_lost(message: Message) -> bool:
    """True when bluetoothd has left the bus."""
    return message.member == "NameOwnerChanged" and message.body[0] == BLUEZ and not message.body[2]


def changed(message: Message, interface: str) -> Mapping[str, Any]:
    """The properties of `interface` that a PropertiesChanged carries, else nothing."""
    if message.member != "PropertiesChanged" or message.body[0] != interface:
        return {}
    properties: Mapping[str, Any] = unpack_variants(message.body[1])
    return properties


def removed(message: Message, path: str, interface: str) -> bool:
    """True when this object has lost this interface."""
    return message.member == "InterfacesRemoved" and message.body[0] == path and interface in message.body[1]
