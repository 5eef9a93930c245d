"""Bluetooth LE: one owner for each adapter. The scan is always on; connections go through a bounded number of slots.

Above the backend everything is bleak's public interface, so BlueZ and the virtual stack are the same code path.
"""

import asyncio
import importlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from bleak import BleakClient, BleakScanner
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData

from drivers.ble_gatt import BLE_ERRORS, Gatt, deadline, is_transient, sorted_error
from gateway.core.clock import Clock
from gateway.core.errors import LinkError
from gateway.core.model import Stamp

log = logging.getLogger(__name__)

SLOTS = 6  # links at once; a Pi's onboard radio was seen to hold 7 and to refuse the tenth (error 0x0D)
CONNECT_S = 20.0  # to wait for a device's advert; bands advertise at least once a second
CONNECT_ATTEMPT_S = 12.0  # one attempt once the device has been heard: one stubborn device must not hold the adapter
HEARD_S = 10.0  # an advert younger than this says that a device is there
SILENCE_S = 90.0  # a scan without any advert for this long is started anew (habluetooth's figure)
SCAN_CALL_S = 10.0  # start or stop of a scan
KNOWN_LIMIT = 512  # devices remembered; a busy street with rotating addresses must not grow without end

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


class Radio(Protocol):
    """An adapter that is open."""

    def scanner(self, heard: Heard) -> BleakScanner:
        """A scanner that reports every advert, repeats included; passive where the backend can."""

    def client(self, device: BLEDevice, lost: Callable[[BleakClient], None], timeout_s: float) -> BleakClient:
        """A client, not yet connected. `lost` is called once the connection has ended, by whatever cause."""

    async def gone(self) -> None:
        """Return when the adapter itself is no longer there."""


BleBackend = Callable[[], AbstractAsyncContextManager[Radio]]  # entering raises BleakError or OSError


def backend_bluez(adapter: str) -> BleBackend:
    """BlueZ's adapter, such as "hci0"."""
    backend: BleBackend = importlib.import_module("drivers.ble_bluez").backend(adapter)
    return backend


def backend_virtual(hci: str) -> BleBackend:
    """A controller behind a bumble transport name, such as "tcp-client:127.0.0.1:5555". Loads bumble only now."""
    backend: BleBackend = importlib.import_module("drivers.ble_virtual").backend(hci)
    return backend


@dataclass(eq=False, slots=True)
class Subscription:
    """One listener to adverts. `failed` never resolves; it carries the listener's own exception to its owner."""

    callback: Callable[[Advert], None]
    failed: "asyncio.Future[None]"
    _listeners: "list[Subscription]"

    def close(self) -> None:
        """Hear nothing more; calling it again does nothing."""
        if self in self._listeners:
            self._listeners.remove(self)
        if not self.failed.done():
            self.failed.cancel()


@dataclass(slots=True)
class _Known:
    """When a device was last heard."""

    device: BLEDevice
    at: Stamp


@dataclass(slots=True)
class Health:
    """What the adapter has counted since it was made."""

    adverts: int = 0
    scan_restarts: int = 0
    connects: int = 0
    connect_failures: int = 0
    last_advert: Stamp | None = None
    connected: set[str] = field(default_factory=set)


class BleAdapter:
    """Owns one adapter: `run` scans for ever, `subscribe` and `connect` are for the drivers."""

    def __init__(self, name: str, clock: Clock, backend: BleBackend, *, slots: int = SLOTS) -> None:
        self.name = name
        self.health = Health()
        self._clock = clock
        self._backend = backend
        self._slots = asyncio.Semaphore(slots)  # full: a connect waits, then fails within its own time-out
        self._slot_count = slots
        self._connecting = asyncio.Lock()
        self._radio: Radio | None = None
        self._links: set[Gatt] = set()  # at most one for each slot
        self._listeners: dict[str | None, list[Subscription]] = {}
        self._known: dict[str, _Known] = {}  # full: the device heard longest ago is forgotten
        self._waiting: dict[str, list[asyncio.Future[BLEDevice]]] = {}

    def subscribe(self, address: str | None, callback: Callable[[Advert], None]) -> Subscription:
        """Have `callback` called, on the loop and without delay, for each advert of one address (None: of all)."""
        listeners = self._listeners.setdefault(address.upper() if address else None, [])
        subscription = Subscription(callback, asyncio.get_running_loop().create_future(), listeners)
        listeners.append(subscription)
        return subscription

    async def run(self) -> None:
        """Open the adapter and scan until cancelled. LinkError when it cannot be opened or goes away."""
        try:
            async with self._backend() as radio:
                self._radio = radio
                try:
                    await self._scan_until_gone(radio)
                finally:
                    self._close_radio()
        except BLE_ERRORS as error:
            raise sorted_error(error, f"adapter {self.name}") from error

    @asynccontextmanager
    async def connect(self, address: str, timeout_s: float = CONNECT_S) -> AsyncIterator[Gatt]:
        """A connection to `address` for the length of the block, its services known.

        Waits for a free slot and for the device's advert, each at most `timeout_s` real seconds, then for its turn.
        LinkError, or PairingError when a bond is missing or was refused.
        """
        address = address.upper()
        busy = f"adapter {self.name}: all {self._slot_count} connection slots are in use by {self.health.connected}"
        async with deadline(self._clock, timeout_s, busy, hint="add a second adapter or move a device to another box"):
            await self._slots.acquire()
        try:
            self.health.connected.add(address)
            gatt = await self._open(address, timeout_s)
            self._links.add(gatt)
            try:
                yield gatt
            finally:
                self._links.discard(gatt)
                await gatt.close()
        finally:
            self.health.connected.discard(address)
            self._slots.release()

    async def _open(self, address: str, timeout_s: float) -> Gatt:
        try:
            device = await self._present(address, timeout_s)
            async with self._connecting:
                gatt = await self._attempt(device, CONNECT_ATTEMPT_S)
        except BLE_ERRORS as error:
            self.health.connect_failures += 1
            raise sorted_error(error, f"{address} through {self.name}") from error
        except LinkError:
            self.health.connect_failures += 1
            raise
        self.health.connects += 1
        return gatt

    async def _attempt(self, device: BLEDevice, timeout_s: float) -> Gatt:
        """Connect; an abort by the radio itself (bleak 1673: Wi-Fi on the same chip) is tried once more at once."""
        late = f"{device.address} through {self.name}: heard, but no connection within {timeout_s:g} s"
        async with deadline(self._clock, timeout_s, late, hint="bring it nearer; free it from phones that hold it"):
            try:
                return await self._connected(device, timeout_s)
            except BLE_ERRORS as error:
                if not is_transient(error):
                    raise
            return await self._connected(device, timeout_s)

    async def _connected(self, device: BLEDevice, timeout_s: float) -> Gatt:
        if self._radio is None:
            raise self._not_open()
        gatt = Gatt(device.address.upper(), self._clock)
        # The backend's own limit lies behind ours, which runs on the clock of the house.
        client = self._radio.client(device, gatt.lost, timeout_s + 10.0)
        gatt.client = client
        await client.connect()
        return gatt

    async def _present(self, address: str, timeout_s: float) -> BLEDevice:
        """The device, once an advert says that it is there; an adapter that is just being opened is waited for."""
        known = self._known.get(address)
        if known is not None and self._clock.now().since_s(known.at) <= HEARD_S * self._clock.speed:
            return known.device
        waiter: asyncio.Future[BLEDevice] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(address, []).append(waiter)
        absent = f"{address} not heard by {self.name} within {timeout_s:g} s"
        try:
            async with deadline(self._clock, timeout_s, absent, hint="switch it on, charge it, bring it nearer"):
                return await waiter
        except LinkError as error:
            if self._radio is None:
                raise self._not_open() from error
            raise
        finally:
            waiters = self._waiting[address]
            waiters.remove(waiter)
            if not waiters:
                del self._waiting[address]

    def _close_radio(self) -> None:
        """What hung on the adapter ends with it: nobody waits for a radio that is no longer there."""
        self._radio = None
        self._known.clear()
        for gatt in self._links:
            gatt.adapter_gone()

    def _not_open(self) -> LinkError:
        return LinkError(f"adapter {self.name} is not open", hint="see the adapter's own entry in the journal")

    async def _scan_until_gone(self, radio: Radio) -> None:
        tasks = {asyncio.create_task(self._scan(radio)), asyncio.create_task(radio.gone())}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            self._close_radio()
            for task in done:
                task.result()
            raise LinkError(f"adapter {self.name} has gone", hint="is it plugged in and is its driver running?")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _scan(self, radio: Radio) -> None:
        """Scan for ever; a silent scan is started anew (a dead one looks the same as an empty room)."""
        while True:
            scanner = radio.scanner(self._heard)
            await self._scan_call(scanner.start(), "start")
            started = self._clock.now()
            try:
                await self._until_silent(started)
            finally:
                if self._radio is radio:  # an adapter that has gone would answer with a time-out
                    await self._scan_call(scanner.stop(), "stop")
            self.health.scan_restarts += 1
            log.debug("%s: no advert for %.0f s, the scan is started anew", self.name, SILENCE_S)

    async def _scan_call(self, call: Awaitable[None], verb: str) -> None:
        late = f"adapter {self.name} did not {verb} its scan within {SCAN_CALL_S:g} s"
        async with deadline(self._clock, SCAN_CALL_S, late, hint="systemctl restart bluetooth"):
            await call

    async def _until_silent(self, started: Stamp) -> None:
        limit_s = SILENCE_S * self._clock.speed
        while True:
            heard = max(started, self.health.last_advert or started)
            silent_s = self._clock.now().since_s(heard)
            if silent_s >= limit_s:
                return
            await self._clock.sleep(limit_s - silent_s)

    def _heard(self, device: BLEDevice, data: AdvertisementData) -> None:
        """Every advert comes through here: stamped first, listeners next, book-keeping last."""
        at = self._clock.now()
        address = device.address.upper()
        listeners = [*self._listeners.get(address, ()), *self._listeners.get(None, ())]
        if listeners:
            uuids, services = tuple(data.service_uuids), data.service_data
            advert = Advert(address, data.rssi, data.local_name, uuids, services, data.manufacturer_data, at)
            for subscription in listeners:
                self._tell(subscription, advert)
        self._remember(address, device, at)

    def _tell(self, subscription: Subscription, advert: Advert) -> None:
        """A listener that fails is dropped and its owner told: it must not silence the next one's SOS button."""
        try:
            subscription.callback(advert)
        except Exception as error:  # noqa: BLE001 - handed to the listener's owner, whose supervisor logs it
            failed = subscription.failed
            if not failed.done():
                failed.set_exception(error)
            subscription.close()

    def _remember(self, address: str, device: BLEDevice, at: Stamp) -> None:
        self.health.adverts += 1
        self.health.last_advert = at
        self._known.pop(address, None)
        self._known[address] = _Known(device, at)
        if len(self._known) > KNOWN_LIMIT:
            del self._known[next(iter(self._known))]
        for waiter in self._waiting.get(address, ()):
            if not waiter.done():
                waiter.set_result(device)
