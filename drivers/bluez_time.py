"""A Current Time service of the box itself, for meters that read the time from whoever they are connected to."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from dbus_fast import PropertyAccess
from dbus_fast.annotations import DBusBool, DBusBytes, DBusDict, DBusObjectPath, DBusSignature, DBusStr
from dbus_fast.errors import DBusError
from dbus_fast.service import ServiceInterface, dbus_method, dbus_property

from drivers import ble_time
from drivers.bluez_bus import BluezBus, adapter_path

ROOT = "/org/carebed/time"
MANAGER = "org.bluez.GattManager1"

Strings = Annotated[list[str], DBusSignature("as")]
Now = Callable[[], datetime | None]  # the site's wall clock, with its zone; None while the box does not know the time


class _Service(ServiceInterface):
    def __init__(self) -> None:
        super().__init__("org.bluez.GattService1")

    @dbus_property(access=PropertyAccess.READ, name="UUID")
    def uuid(self) -> DBusStr:
        return ble_time.SERVICE

    @dbus_property(access=PropertyAccess.READ, name="Primary")
    def primary(self) -> DBusBool:
        return True


class _Characteristic(ServiceInterface):
    """Read at the moment of asking: a value kept would be an old time."""

    def __init__(self, uuid: str, service: str, flags: list[str], value: Callable[[], bytes | None]) -> None:
        super().__init__("org.bluez.GattCharacteristic1")
        self._uuid = uuid
        self._service = service
        self._flags = flags
        self._value = value
        self._notifying = False

    @dbus_property(access=PropertyAccess.READ, name="UUID")
    def uuid(self) -> DBusStr:
        return self._uuid

    @dbus_property(access=PropertyAccess.READ, name="Service")
    def service(self) -> DBusObjectPath:
        return self._service

    @dbus_property(access=PropertyAccess.READ, name="Flags")
    def flags(self) -> Strings:
        return self._flags

    @dbus_property(access=PropertyAccess.READ, name="Value")
    def value(self) -> DBusBytes:
        return self._value() or b""

    @dbus_method(name="ReadValue")
    def read_value(self, _options: DBusDict) -> DBusBytes:
        value = self._value()
        if value is None:  # a wrong time in a meter would be on every reading it stores
            raise DBusError("org.bluez.Error.Failed", "the time is not known")
        return value

    @dbus_method(name="StartNotify")
    def start_notify(self) -> None:
        self._notifying = True

    @dbus_method(name="StopNotify")
    def stop_notify(self) -> None:
        self._notifying = False

    def changed(self, value: bytes) -> None:
        """Notify those who subscribed."""
        if self._notifying:
            self.emit_properties_changed({"Value": value})


class TimeService:
    """The service on one adapter; BlueZ drops it by itself when the bus connection ends."""

    def __init__(self, now: Now) -> None:
        self._now = now
        self._service = _Service()
        path = f"{ROOT}/service0"
        self._time = _Characteristic(
            ble_time.CURRENT_TIME, path, ["read", "notify"], lambda: self._encoded(ble_time.current_time)
        )
        self._zone = _Characteristic(
            ble_time.LOCAL_TIME_INFORMATION, path, ["read"], lambda: self._encoded(ble_time.local_time_information)
        )

    def export(self, bus: BluezBus) -> None:
        """Put the objects on the bus; `register` tells an adapter of them."""
        bus.export(f"{ROOT}/service0", self._service)
        bus.export(f"{ROOT}/service0/char0", self._time)
        bus.export(f"{ROOT}/service0/char1", self._zone)

    async def register(self, bus: BluezBus, adapter: str) -> None:
        """Offer the service on one adapter. BleakDBusError."""
        await bus.call(adapter_path(adapter), MANAGER, "RegisterApplication", "oa{sv}", [ROOT, {}])

    def adjusted(self, reason: ble_time.Reason) -> None:
        """Tell subscribers that the wall clock has jumped."""
        value = self._encoded(lambda local: ble_time.current_time(local, reason))
        if value is not None:
            self._time.changed(value)

    def _encoded(self, encode: Callable[[datetime], bytes]) -> bytes | None:
        local = self._now()
        return None if local is None else encode(local)
