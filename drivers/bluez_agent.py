"""The pairing agent: who may bond with this box, and how a person takes part where a passkey is asked for.

BlueZ asks the agent whenever a bond is made; without one even Just Works fails (measured against BlueZ 5.66). Devices
that are not in the allow-list are refused, whoever started it. LE Secure Connections are BlueZ's own first choice.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from enum import Enum
from typing import Any, Protocol, TypeVar

from bleak.exc import BleakDBusError
from dbus_fast.annotations import DBusObjectPath, DBusStr, DBusUInt16, DBusUInt32
from dbus_fast.errors import DBusError
from dbus_fast.service import ServiceInterface, dbus_method

from drivers.ble_gatt import deadline
from drivers.bluez_bus import DEVICE, BluezBus
from gateway.core.clock import Clock
from gateway.core.errors import LinkError
from gateway.core.model import Event

log = logging.getLogger(__name__)

T = TypeVar("T")

PATH = "/org/carebed/agent"
MANAGER = "org.bluez.AgentManager1"
PERSON_S = 55.0  # BlueZ gives an agent 60 s


class Capability(Enum):
    """What the box can show and ask, in BlueZ's words."""

    NONE = "NoInputNoOutput"
    KEYBOARD_DISPLAY = "KeyboardDisplay"


class Person(Protocol):
    """Who stands before the installer's page."""

    async def passkey(self, address: str) -> int | None:
        """The six digits that the device shows; None when the person gave up."""

    async def confirm(self, address: str, passkey: int) -> bool:
        """Whether the device shows the same six digits."""

    def show(self, address: str, passkey: int) -> None:
        """Six digits to be typed into the device."""


class Agent(ServiceInterface):
    """org.bluez.Agent1 of this box. `allowed` answers for an identity address in upper case."""

    def __init__(
        self,
        clock: Clock,
        allowed: Callable[[str], bool],
        on_event: Callable[[Event], None],
        *,
        person: Person | None = None,
    ) -> None:
        super().__init__("org.bluez.Agent1")
        self.capability = Capability.KEYBOARD_DISPLAY if person else Capability.NONE
        self._clock = clock
        self._allowed = allowed
        self._on_event = on_event
        self._person = person
        self._bus: BluezBus | None = None
        self._expected: set[str] = set()
        self._asking: asyncio.Task[Any] | None = None

    async def register(self, bus: BluezBus) -> None:
        """Become the default agent of this BlueZ. BleakDBusError."""
        self._bus = bus
        bus.export(PATH, self)
        await bus.call("/org/bluez", MANAGER, "RegisterAgent", "os", [PATH, self.capability.value])
        await bus.call("/org/bluez", MANAGER, "RequestDefaultAgent", "o", [PATH])

    @asynccontextmanager
    async def expect(self, address: str) -> AsyncIterator[None]:
        """While a person pairs a device its address of the moment is allowed: its identity is known only later."""
        self._expected.add(address.upper())
        try:
            yield
        finally:
            self._expected.discard(address.upper())

    def admits(self, address: str) -> bool:
        """Whether a device of this address may bond now."""
        return address.upper() in self._expected or self._allowed(address.upper())

    async def bonded(self, path: str) -> None:
        """A device has bonded: its identity is known now, and one that nobody enrolled is removed again."""
        address, adapter = await self._address(path), path.rpartition("/")[0]
        if self.admits(address) or _first_address(path) in self._expected:
            self._on_event(Event("device_bonded", self._clock.now(), detail={"address": address}))
            return
        assert self._bus is not None
        await self._bus.call(adapter, "org.bluez.Adapter1", "RemoveDevice", "o", [path])
        self._refuse(address, "bond of an unknown device removed")

    @dbus_method(name="Release")
    def release(self) -> None:
        log.info("BlueZ has released the pairing agent")

    @dbus_method(name="Cancel")
    def cancel(self) -> None:
        if self._asking is not None:
            self._asking.cancel()

    @dbus_method(name="RequestPinCode")
    async def request_pin_code(self, device: DBusObjectPath) -> DBusStr:
        """A PIN is classic Bluetooth: no device of ours speaks it."""
        raise self._refused(await self._identity(device), "classic Bluetooth PIN")

    @dbus_method(name="DisplayPinCode")
    async def display_pin_code(self, device: DBusObjectPath, _pincode: DBusStr) -> None:
        raise self._refused(await self._identity(device), "classic Bluetooth PIN")

    @dbus_method(name="RequestPasskey")
    async def request_passkey(self, device: DBusObjectPath) -> DBusUInt32:
        address = await self._admit(device, "passkey")
        passkey = await self._ask(address, lambda person: person.passkey(address))
        if passkey is None or not 0 <= passkey <= 999_999:
            raise self._refused(address, "no passkey was given")
        return passkey

    @dbus_method(name="DisplayPasskey")
    async def display_passkey(self, device: DBusObjectPath, passkey: DBusUInt32, _entered: DBusUInt16) -> None:
        address = await self._admit(device, "passkey")
        if self._person is not None:
            self._person.show(address, passkey)

    @dbus_method(name="RequestConfirmation")
    async def request_confirmation(self, device: DBusObjectPath, passkey: DBusUInt32) -> None:
        address = await self._admit(device, "confirmation")
        if self._person is not None and not await self._ask(address, lambda person: person.confirm(address, passkey)):
            raise self._refused(address, "the digits were not confirmed")

    @dbus_method(name="RequestAuthorization")
    async def request_authorization(self, device: DBusObjectPath) -> None:
        await self._admit(device, "authorization")

    @dbus_method(name="AuthorizeService")
    async def authorize_service(self, device: DBusObjectPath, _uuid: DBusStr) -> None:
        await self._admit(device, "service")

    async def _address(self, path: str) -> str:
        """The address that BlueZ knows the device under now: its identity once bonded, else that of the moment."""
        assert self._bus is not None
        return str((await self._bus.get(path, DEVICE)).get("Address", "")).upper()

    async def _identity(self, path: str) -> str:
        try:
            return await self._address(path)
        except BleakDBusError as error:
            raise DBusError("org.bluez.Error.Rejected", f"{path} is unknown: {error}") from error

    async def _admit(self, path: str, what: str) -> str:
        address = await self._identity(path)
        if not self.admits(address):
            raise self._refused(address, f"{what} asked by a device that is not enrolled")
        return address

    async def _ask(self, address: str, question: Callable[[Person], Coroutine[Any, Any, T]]) -> T | None:
        """The person's answer; None when there is nobody, nobody answered, or the device gave up first."""
        if self._person is None:
            return None
        self._asking = asyncio.create_task(question(self._person))
        try:
            late = f"{address}: nobody answered within {PERSON_S:g} s"
            async with deadline(self._clock, PERSON_S, late, hint="start the pairing again"):
                await asyncio.wait({self._asking})
        except LinkError as error:
            log.warning("%s", error)
        finally:
            self._asking.cancel()
        return self._asking.result() if self._asking.done() and not self._asking.cancelled() else None

    def _refused(self, address: str, reason: str) -> DBusError:
        self._refuse(address, reason)
        return DBusError("org.bluez.Error.Rejected", reason)

    def _refuse(self, address: str, reason: str) -> None:
        log.warning("pairing with %s refused: %s", address, reason)
        detail = {"address": address, "reason": reason}
        self._on_event(Event("pairing_refused", self._clock.now(), detail=detail))


def _first_address(path: str) -> str:
    """The address under which BlueZ met the device: its object keeps that name, whatever its identity proves to be."""
    return path.rpartition("/dev_")[2].replace("_", ":").upper()
