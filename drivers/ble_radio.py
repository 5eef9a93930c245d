"""What an adapter looks like to its owner, whichever stack is below: adverts in, clients out."""

import asyncio
import importlib
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from bleak import BleakClient, BleakScanner
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData

from gateway.core.model import Stamp

Heard = Callable[[BLEDevice, AdvertisementData], None]


@dataclass(frozen=True, slots=True)
class Advert:
    """One advertisement as received; `at` is its receipt.

    address: upper case with colons. service_data: by full 128-bit uuid in lower case. manufacturer_data: by company id.
    """

    address: str
    rssi_dbm: int
    name: str | None
    service_uuids: tuple[str, ...]
    service_data: Mapping[str, bytes]
    manufacturer_data: Mapping[int, bytes]
    at: Stamp


@dataclass(eq=False, slots=True)
class Subscription:
    """One listener to adverts. `failed` never resolves; it carries the listener's own exception to its owner.

    lasting: it stays subscribed after an exception, because the next advert may be a call for help; its owner then
    calls `again`. failures: adverts whose callback raised.
    """

    callback: Callable[[Advert], None]
    failed: "asyncio.Future[None]"
    _listeners: "list[Subscription]"
    lasting: bool = False
    failures: int = 0

    def again(self, callback: Callable[[Advert], None]) -> None:
        """Be told by a new callback, and watch for its exceptions; of a subscription that is closed too."""
        self.callback = callback
        self.failed = asyncio.get_running_loop().create_future()
        if self not in self._listeners:
            self._listeners.append(self)

    def raised(self, error: Exception) -> None:
        """The callback has raised: its owner is told, and one that is not lasting hears nothing more."""
        self.failures += 1
        if not self.failed.done():
            self.failed.set_exception(error)
        if not self.lasting:
            self.close()

    def close(self) -> None:
        """Hear nothing more; calling it again does nothing."""
        if self in self._listeners:
            self._listeners.remove(self)
        if not self.failed.done():
            self.failed.cancel()


@dataclass(slots=True)
class Health:
    """What the adapter has counted since it was made."""

    adverts: int = 0
    scan_restarts: int = 0
    connects: int = 0
    connect_failures: int = 0
    last_advert: Stamp | None = None
    connected: set[str] = field(default_factory=set)


class Radio(Protocol):
    """An adapter that is open."""

    def scanner(self, heard: Heard) -> BleakScanner:
        """A scanner that reports every advert, repeats included; passive where the backend can."""

    def client(self, device: BLEDevice, lost: Callable[[BleakClient], None], timeout_s: float) -> BleakClient:
        """A client, not yet connected. `lost` is called once the connection has ended, by whatever cause."""

    async def gone(self) -> None:
        """Return when the adapter itself is no longer there."""


@runtime_checkable
class Mendable(Protocol):
    """A radio whose host has a memory and a power switch."""

    async def forget(self, address: str) -> bool:
        """Drop what the host remembers of a device, but never a bond. True when it must be heard anew."""

    async def power_cycle(self) -> None:
        """Switch the adapter off and on; every link of it ends."""


BleBackend = Callable[[], AbstractAsyncContextManager[Radio]]  # entering raises BleakError or OSError


def backend_bluez(adapter: str) -> BleBackend:
    """BlueZ's adapter, such as "hci0"."""
    backend: BleBackend = importlib.import_module("drivers.ble_bluez").backend(adapter)
    return backend


def backend_virtual(hci: str) -> BleBackend:
    """A controller behind a bumble transport name, such as "tcp-client:127.0.0.1:5555". Loads bumble only now."""
    backend: BleBackend = importlib.import_module("drivers.ble_virtual").backend(hci)
    return backend
