"""BlueZ as the backend: bleak's own, told which adapter to use.

The scan is active by default: BlueZ 5.66 (Debian 12) scans passively only with its experimental interface switched on.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from bleak import BleakClient, BleakScanner
from bleak.args.bluez import BlueZScannerArgs, OrPattern
from bleak.assigned_numbers import AdvertisementDataType
from bleak.backends.device import BLEDevice

from drivers.ble_link import BleBackend, Heard, Radio

# The Flags field of all LE devices in general discoverable mode: BlueZ demands a pattern for a passive scan.
_PATTERNS = [OrPattern(0, AdvertisementDataType.FLAGS, bytes([flags])) for flags in (0x02, 0x04, 0x05, 0x06, 0x1A)]


class BluezRadio:
    """One adapter of BlueZ."""

    def __init__(self, adapter: str, *, passive: bool) -> None:
        self._adapter = adapter
        self._passive = passive

    def scanner(self, heard: Heard) -> BleakScanner:
        # Without DuplicateData the second press of a button whose payload is unchanged would never be reported.
        options: BlueZScannerArgs = {"adapter": self._adapter, "filters": {"DuplicateData": True, "Transport": "le"}}
        if self._passive:
            options = {"adapter": self._adapter, "or_patterns": list(_PATTERNS)}
        return BleakScanner(heard, scanning_mode="passive" if self._passive else "active", bluez=options)

    def client(self, device: BLEDevice, lost: Callable[[BleakClient], None], timeout_s: float) -> BleakClient:
        return BleakClient(device, lost, timeout=timeout_s, bluez={"adapter": self._adapter})

    async def gone(self) -> None:
        """BlueZ tells through errors of the scan, never through this."""
        await asyncio.Event().wait()


def backend(adapter: str, *, passive: bool = False) -> BleBackend:
    """passive needs BlueZ's AdvertisementMonitor, experimental in 5.66."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Radio]:
        yield BluezRadio(adapter, passive=passive)

    return opened
