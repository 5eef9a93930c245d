"""BlueZ as the backend: bleak's own, told which adapter to use, and what bleak does not do through D-Bus.

The scan is active by default: BlueZ 5.66 (Debian 12) scans passively only with its experimental interface switched on.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from bleak import BleakClient, BleakScanner
from bleak.args.bluez import BlueZScannerArgs, OrPattern
from bleak.assigned_numbers import AdvertisementDataType
from bleak.backends.device import BLEDevice
from dbus_fast import Message, Variant

from drivers.ble_link import BleBackend, Heard, Radio
from drivers.bluez_bus import (
    ADAPTER,
    DEVICE,
    BluezBus,
    adapter_path,
    changed,
    open_bus,
    owner_lost,
    removed,
)

# The Flags field of all LE devices in general discoverable mode: BlueZ demands a pattern for a passive scan.
_PATTERNS = [OrPattern(0, AdvertisementDataType.FLAGS, bytes([flags])) for flags in (0x02, 0x04, 0x05, 0x06, 0x1A)]

POWER_S = 10.0  # real seconds between the order and BlueZ's word that the adapter is on


class BluezRadio:
    """One adapter of BlueZ."""

    def __init__(self, adapter: str, bus: BluezBus, *, passive: bool) -> None:
        self._adapter = adapter
        self._path = adapter_path(adapter)
        self._bus = bus
        self._passive = passive
        self._gone = asyncio.Event()
        self._powered = asyncio.Event()
        self._cycling = False

    async def open(self) -> None:
        """Switch the adapter on and watch over it. BleakDBusError when BlueZ has no such adapter or cannot."""
        await self._bus.watch(self._signal)
        if (await self._bus.get(self._path, ADAPTER)).get("Powered"):
            self._powered.set()
        else:
            await self._power(on=True)

    def scanner(self, heard: Heard) -> BleakScanner:
        # Without DuplicateData the second press of a button whose payload is unchanged would never be reported.
        options: BlueZScannerArgs = {"adapter": self._adapter, "filters": {"DuplicateData": True, "Transport": "le"}}
        if self._passive:
            options = {"adapter": self._adapter, "or_patterns": list(_PATTERNS)}
        return BleakScanner(heard, scanning_mode="passive" if self._passive else "active", bluez=options)

    def client(self, device: BLEDevice, lost: Callable[[BleakClient], None], timeout_s: float) -> BleakClient:
        return BleakClient(device, lost, timeout=timeout_s, bluez={"adapter": self._adapter})

    async def gone(self) -> None:
        """Return when bluetoothd, the bus or the adapter has gone, or somebody else switched the adapter off."""
        ends = {asyncio.create_task(self._gone.wait()), asyncio.create_task(self._bus.gone())}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()

    async def forget(self, address: str) -> bool:
        """RemoveDevice, which drops a pending Connect and the cached services with it.

        It would drop a bond too: with one the pending Connect is only ended, and only a person may remove the bond.
        """
        path = await self._bus.device_path(self._adapter, address)
        if path is None:
            return True
        properties = await self._bus.get(path, DEVICE)
        if properties.get("Bonded", properties.get("Paired", False)):
            await self._bus.call(path, DEVICE, "Disconnect")
            return False
        await self._bus.call(self._path, ADAPTER, "RemoveDevice", "o", [path])
        return True

    async def power_cycle(self) -> None:
        self._cycling = True
        try:
            await self._power(on=False)
            await self._power(on=True)
        finally:
            self._cycling = False

    async def _power(self, *, on: bool) -> None:
        if not on:
            self._powered.clear()
        await self._bus.set(self._path, ADAPTER, "Powered", Variant("b", on))
        if on:
            async with asyncio.timeout(POWER_S):
                await self._powered.wait()

    def _signal(self, message: Message) -> None:
        if owner_lost(message) or removed(message, self._path, ADAPTER):
            self._gone.set()
        elif message.path == self._path and "Powered" in (properties := changed(message, ADAPTER)):
            if properties["Powered"]:
                self._powered.set()
            elif not self._cycling:
                self._gone.set()


def backend(adapter: str, *, passive: bool = False) -> BleBackend:
    """passive needs BlueZ's AdvertisementMonitor, experimental in 5.66."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Radio]:
        async with open_bus() as bus:
            radio = BluezRadio(adapter, bus, passive=passive)
            await radio.open()
            yield radio

    return opened
