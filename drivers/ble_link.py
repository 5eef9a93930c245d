"""Bluetooth LE: one owner for each adapter. The scan is always on; connections go through a bounded number of slots.

Above the backend everything is bleak's public interface, so BlueZ and the virtual stack are the same code path.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData

from drivers.ble_errors import BACKOFF, BLE_ERRORS, Cause, Patience, cause_of, is_transient, sorted_error
from drivers.ble_gatt import Gatt, deadline
from drivers.ble_ladder import SILENCE_S, Cures, Watchdog
from drivers.ble_radio import (
    Advert,
    BleBackend,
    Health,
    Heard,
    Mendable,
    Radio,
    Subscription,
    backend_bluez,
    backend_virtual,
)
from drivers.ble_reserve import Reservations
from drivers.ble_seen import Sightings
from drivers.ble_slots import SLOTS, Slots, Use
from gateway.core.clock import Clock
from gateway.core.errors import CarebedError, LinkError
from gateway.core.model import Detail, Event, Stamp

__all__ = [
    "SILENCE_S",
    "Advert",
    "BleAdapter",
    "BleBackend",
    "Cures",
    "Heard",
    "Radio",
    "Subscription",
    "Use",
    "backend_bluez",
    "backend_virtual",
]

log = logging.getLogger(__name__)

CONNECT_S = 20.0  # to wait for a device's advert; bands advertise at least once a second
CONNECT_ATTEMPT_S = 12.0  # one attempt once the device has been heard: one stubborn device must not hold the adapter
HEARD_S = 10.0  # an advert younger than this says that a device is there
SCAN_CALL_S = 10.0  # start or stop of a scan
SLOTS_FULL_EVERY_S = 600.0  # a ward whose last slot comes and goes says so this often at most
KNOWN_LIMIT = 512  # devices remembered; a busy street with rotating addresses must not grow without end

@dataclass(slots=True)
class _Known:
    """When a device was last heard."""

    device: BLEDevice
    at: Stamp


class BleAdapter:
    """Owns one adapter: `run` scans for ever, `subscribe` and `connect` are for the drivers.

    scan_only: an adapter kept for adverts (SOS buttons); it refuses every connection. on_event: box_trouble and
    box_recovered of a silent scan, ble_slots_full. cures: what the ladder may ask of the daemon.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        backend: BleBackend,
        *,
        slots: int = SLOTS,
        scan_only: bool = False,
        on_event: Callable[[Event], None] | None = None,
        cures: Cures | None = None,
    ) -> None:
        self.name = name
        self.scan_only = scan_only
        self.health = Health()
        self.sightings = Sightings()
        self.reservations = Reservations()
        self.slots = Slots(slots, on_full=self._slots_full)  # full: a connect waits, then fails within its time-out
        self._clock = clock
        self._backend = backend
        self._on_event = on_event
        self._patience = Patience(clock)
        self._radio: Radio | None = None
        self._links: set[Gatt] = set()  # at most one for each slot
        self._listeners: dict[str | None, list[Subscription]] = {}
        self._known: dict[str, _Known] = {}  # full: the device heard longest ago is forgotten
        self._waiting: dict[str, list[asyncio.Future[BLEDevice]]] = {}
        self._watchdog = Watchdog(f"radio {name}", clock, self._power_cycle, cures or Cures(), self._say)
        self._told_full: Stamp | None = None

    @property
    def scanning(self) -> bool:
        """True while the adapter is open."""
        return self._radio is not None

    def subscribe(
        self, address: str | None, callback: Callable[[Advert], None], *, lasting: bool = False
    ) -> Subscription:
        """Have `callback` called, on the loop and without delay, for each advert of one address (None: of all)."""
        self._watchdog.wanted = True
        listeners = self._listeners.setdefault(address.upper() if address else None, [])
        subscription = Subscription(callback, asyncio.get_running_loop().create_future(), listeners, lasting)
        listeners.append(subscription)
        return subscription

    async def run(self) -> None:
        """Open the adapter and scan until cancelled. LinkError when it cannot be opened or goes away."""
        try:
            async with self._backend() as radio:
                self._radio = radio
                try:
                    await self._scan_until_gone(radio)
                except (*BLE_ERRORS, LinkError):
                    self._radio = radio  # a dead scan is a silence too, and its cure is this radio's switch
                    await self._watchdog.mend_when_silent(self.health.last_advert)
                    raise
                finally:
                    self._close_radio()
        except BLE_ERRORS as error:
            await self._watchdog.mend_when_silent(self.health.last_advert)
            raise sorted_error(error, f"adapter {self.name}") from error

    @asynccontextmanager
    async def connect(
        self, address: str, timeout_s: float = CONNECT_S, *, use: Use = Use.HELD, reserved: bool = False
    ) -> AsyncIterator[Gatt]:
        """A connection to `address` for the length of the block, its services known.

        Sits out the rest that its last failure earned it, then waits for a free slot and for the device's advert, each
        at most `timeout_s` real seconds, then for its turn; a device that is not heard holds no slot. reserved: the
        caller holds the device in `reservations`; everybody else waits for the end of that.
        LinkError, or PairingError when a bond is missing or was refused.
        """
        address = address.upper()
        self._watchdog.wanted = True
        try:
            if not reserved:
                await self.reservations.free(address)
            gatt = await self._linked(address, timeout_s, use)
        except CarebedError:
            self.health.connect_failures += 1
            raise
        self._links.add(gatt)
        try:
            yield gatt
        finally:
            self._links.discard(gatt)
            try:
                await gatt.close()
                if use is Use.METER:
                    self._known.pop(address, None)  # it has hung up: only a new advert says that it calls again
                if gatt.stale and self._patience.may_mend(address, Cause.STALE):
                    await self._forget(address)
            finally:
                self._release(address, use)

    def linked(self, address: str) -> Gatt | None:
        """The connection to `address` that somebody has now."""
        return next((gatt for gatt in self._links if gatt.address == address.upper()), None)

    async def _linked(self, address: str, timeout_s: float, use: Use) -> Gatt:
        if self.scan_only:
            raise LinkError(f"adapter {self.name} only scans", hint="give the device another adapter as its link")
        rest_s = self._patience.rest_s(address)
        if rest_s:
            await self._clock.sleep(rest_s)
        await self._slot(address, timeout_s, use)
        try:
            return await self._open(address, timeout_s, use)
        except BaseException:
            self._release(address, use)
            raise

    async def _slot(self, address: str, timeout_s: float, use: Use) -> None:
        kind = "" if self.slots.limit(use) == self.slots.count else f" for {use.value} links"
        busy = (
            f"adapter {self.name}: all {self.slots.limit(use)} connection slots{kind} are in use by "
            f"{', '.join(self.slots.holders())}"
        )
        hint = "add a second adapter or move a device to another box"
        async with deadline(self._clock, timeout_s, busy, hint=hint):
            await self.slots.available(use)
        await self._present(address, timeout_s)
        async with deadline(self._clock, timeout_s, busy, hint=hint):
            await self.slots.acquire(address, use)
        self.health.connected.add(address)

    def _release(self, address: str, use: Use) -> None:
        self.health.connected.discard(address)
        self.slots.release(address, use)

    async def _open(self, address: str, timeout_s: float, use: Use) -> Gatt:
        attempt = 1
        while True:
            device = await self._present(address, timeout_s)
            try:
                async with self.slots.turn(use):
                    gatt = await self._attempt(device, CONNECT_ATTEMPT_S)
            except BLE_ERRORS as error:
                if not await self._worth_again(address, cause_of(error), attempt):
                    raise sorted_error(error, f"{address} through {self.name}") from error
                attempt += 1
                continue
            self.health.connects += 1
            self._patience.connected(address)
            return gatt

    async def _worth_again(self, address: str, cause: Cause, attempt: int) -> bool:
        """Whether another attempt may follow at once, BlueZ having been told to forget the device before it."""
        if cause in (Cause.ABSENT, Cause.STALE):
            self._known.pop(address, None)  # BlueZ dropped the object: only a new advert brings it back
        again = attempt < BACKOFF[cause].attempts and self._patience.may_mend(address, cause)
        if again and await self._forget(address):
            return True
        self._patience.failed(address, cause)
        return False

    async def _forget(self, address: str) -> bool:
        """True when the host dropped what it remembered of the device."""
        radio: object = self._radio
        if not isinstance(radio, Mendable):
            return False
        late = f"adapter {self.name} did not forget {address} within {SCAN_CALL_S:g} s"
        try:
            async with deadline(self._clock, SCAN_CALL_S, late, hint="systemctl restart bluetooth"):
                forgotten = await radio.forget(address)
        except (*BLE_ERRORS, LinkError) as error:
            log.warning("%s: %s could not be forgotten: %s", self.name, address, error)
            return False
        if forgotten:
            self._known.pop(address, None)
            log.info("%s: the host was told to forget what it knew of %s", self.name, address)
        else:
            log.info("%s: %s holds a bond, which is kept; only its pending connection was ended", self.name, address)
        return forgotten

    async def _attempt(self, device: BLEDevice, timeout_s: float) -> Gatt:
        """Connect; an abort by the radio itself (bleak 1673: Wi-Fi on the same chip) is tried again at once."""
        late = f"{device.address} through {self.name}: heard, but no connection within {timeout_s:g} s"
        async with deadline(self._clock, timeout_s, late, hint="bring it nearer; free it from phones that hold it"):
            for _ in range(BACKOFF[Cause.ABORTED].attempts - 1):
                try:
                    return await self._connected(device, timeout_s)
                except BLE_ERRORS as error:
                    if not is_transient(error):
                        raise
            return await self._connected(device, timeout_s)

    async def _connected(self, device: BLEDevice, timeout_s: float) -> Gatt:
        if self._radio is None:
            raise self._not_open()
        gatt = Gatt(device.address.upper(), self._clock, self._dropped)
        # The backend's own limit lies behind ours, which runs on the clock of the house.
        client = self._radio.client(device, gatt.lost, timeout_s + 10.0)
        gatt.client = client
        await client.connect()
        return gatt

    def _dropped(self, address: str, count: int) -> None:
        """The house was too slow for a device: what it could not take is gone, and that is said."""
        log.warning("%s: %d notifications of %s found the inbox full", self.name, count, address)
        self._say("notifications_dropped", {"part": f"radio {self.name}", "address": address, "lost": count})

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
            await self._watchdog.mend_when_silent(self.health.last_advert)
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

    async def _power_cycle(self) -> None:
        radio: object = self._radio
        if not isinstance(radio, Mendable):
            raise LinkError(f"adapter {self.name} has no power switch that is known", hint="unplug it and plug it in")
        late = f"adapter {self.name} was not off and on again within {SCAN_CALL_S:g} s"
        async with deadline(self._clock, SCAN_CALL_S, late, hint="systemctl restart bluetooth"):
            await radio.power_cycle()

    def _slots_full(self, holders: Mapping[str, Use]) -> None:
        now = self._clock.now()
        if self._told_full is not None and now.since_s(self._told_full) < SLOTS_FULL_EVERY_S * self._clock.speed:
            return
        self._told_full = now
        held = sum(use is Use.HELD for use in holders.values())
        detail: Detail = {"part": f"radio {self.name}", "slots": self.slots.count, "held": held}
        self._say("ble_slots_full", detail)

    def _say(self, kind: str, detail: Detail) -> None:
        if self._on_event is not None:
            self._on_event(Event(kind, self._clock.now(), detail=detail))

    def _heard(self, device: BLEDevice, data: AdvertisementData) -> None:
        """Every advert comes through here: stamped first, listeners next, book-keeping last."""
        at = self._clock.now()
        address = device.address.upper()
        uuids, services = tuple(data.service_uuids), data.service_data
        advert = Advert(address, data.rssi, data.local_name, uuids, services, data.manufacturer_data, at)
        for subscription in (*self._listeners.get(address, ()), *self._listeners.get(None, ())):
            self._tell(subscription, advert)
        self._remember(address, device, at)
        self.sightings.hear(advert, device.details)

    def _tell(self, subscription: Subscription, advert: Advert) -> None:
        """A listener that fails has its owner told: it must not silence the next one's SOS button."""
        try:
            subscription.callback(advert)
        except Exception as error:  # noqa: BLE001 - handed to the listener's owner, whose supervisor logs it
            subscription.raised(error)

    def _remember(self, address: str, device: BLEDevice, at: Stamp) -> None:
        self.health.adverts += 1
        self.health.last_advert = at
        self._watchdog.heard()
        self._known.pop(address, None)
        self._known[address] = _Known(device, at)
        if len(self._known) > KNOWN_LIMIT:
            del self._known[next(iter(self._known))]
        for waiter in self._waiting.get(address, ()):
            if not waiter.done():
                waiter.set_result(device)
