"""One GATT connection: every call under a deadline, notifications in one bounded inbox, errors sorted by what to do."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from bleak import BleakClient
from bleak.backends.characteristic import BleakGATTCharacteristic

from drivers.ble_errors import BLE_ERRORS, Cause, cause_of, is_transient, sorted_error
from gateway.core.clock import Clock
from gateway.core.errors import LinkError
from gateway.core.model import Stamp

log = logging.getLogger(__name__)

CALL_S = 10.0  # one GATT call; an encrypted read was seen never to return while pairing stalled (BlueZ 5.66)
DISCONNECT_S = 5.0
GONE_S = 1.0  # the same, when nobody is there any more to do it
PAIR_S = 60.0  # a person may have to read a passkey and type it
PATIENCE_FLOOR_S = 2.0  # real seconds that a silence must last at least, however fast a demonstration's clock runs
INBOX = 256  # notifications; about a minute of one band

__all__ = ["BLE_ERRORS", "Gatt", "Notification", "deadline", "is_transient", "patience_s", "sorted_error"]

T = TypeVar("T")


@asynccontextmanager
async def deadline(clock: Clock, seconds: float, late: str, *, hint: str) -> AsyncIterator[None]:
    """LinkError(late) when the block takes longer than `seconds` of real time, however fast the clock runs."""

    async def expire() -> None:
        await clock.sleep(seconds * clock.speed)
        limit.reschedule(0.0)

    try:
        async with asyncio.timeout(None) as limit:
            timer = asyncio.create_task(expire())
            try:
                yield
            finally:
                timer.cancel()
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise LinkError(late, hint=hint) from error


def patience_s(clock: Clock, silence_s: float) -> float:
    """A silence of `silence_s` in seconds of the clock, but never less than the floor in real ones."""
    return max(silence_s, PATIENCE_FLOOR_S * clock.speed)


@dataclass(frozen=True, slots=True)
class Notification:
    """What a characteristic sent; `at` is its receipt."""

    uuid: str
    data: bytes
    at: Stamp


class Gatt:
    """One connection, made by BleAdapter.connect. Uuids: full, lower case."""

    client: BleakClient

    def __init__(self, address: str, clock: Clock, on_dropped: Callable[[str, int], None] | None = None) -> None:
        """on_dropped(address, count) is told of each run of notifications that found the inbox full."""
        self.address = address
        self.dropped = 0
        self._on_dropped = on_dropped
        self._untold = 0
        self.stale = False  # what the host remembers of the device has proved wrong
        self._clock = clock
        self._inbox: deque[Notification] = deque()  # bounded by INBOX; full: the newest is dropped and counted
        self._wake = asyncio.Event()
        self._gone = asyncio.Event()
        self._adapter_gone = False

    def has(self, uuid: str) -> bool:
        """True when the device offers this characteristic."""
        return self.client.services.get_characteristic(uuid) is not None

    async def read(self, uuid: str) -> bytes:
        """The characteristic's value. LinkError or PairingError."""
        return bytes(await self._call(self.client.read_gatt_char(uuid), f"read of {uuid}"))

    async def write(self, uuid: str, data: bytes) -> None:
        """Write with response. LinkError or PairingError."""
        await self._call(self.client.write_gatt_char(uuid, data, response=True), f"write to {uuid}")

    async def pair(self) -> None:
        """Bond; with a bond already there it returns at once. PairingError when one of the two sides refused."""
        await self._call(self.client.pair(), "pairing", PAIR_S)

    async def notify(self, uuid: str) -> None:
        """Let the notifications (or indications) of one characteristic come into the inbox."""

        def arrived(_: BleakGATTCharacteristic, data: bytearray) -> None:
            note = Notification(uuid, bytes(data), self._clock.now())
            if len(self._inbox) >= INBOX:
                self.dropped += 1
                self._untold += 1
                return
            self._tell_dropped()
            self._inbox.append(note)
            self._wake.set()

        await self._call(self.client.start_notify(uuid, arrived), f"subscription to {uuid}")

    def _tell_dropped(self) -> None:
        untold, self._untold = self._untold, 0
        if untold and self._on_dropped is not None:
            self._on_dropped(self.address, untold)

    async def next(self, silence_s: float) -> Notification:
        """The next notification. LinkError when the connection ends or nothing comes for `silence_s` of the clock."""
        if not self._inbox:
            await self._wait(silence_s)
        return self._inbox.popleft()

    async def gone(self) -> None:
        """Return when the connection has ended."""
        await self._gone.wait()

    def lost(self, _client: BleakClient) -> None:
        """Called by the backend when the connection has ended."""
        self._gone.set()
        self._wake.set()

    def adapter_gone(self) -> None:
        """Called by the adapter when it is no longer there: the connection has ended and cannot be ended properly."""
        self._adapter_gone = True
        self._gone.set()
        self._wake.set()

    async def close(self) -> None:
        """Disconnect. What goes wrong here is only logged: the link is given up in any case.

        Also when the adapter has gone: the client still holds a D-Bus connection, which would leak.
        """
        self._tell_dropped()
        limit_s = GONE_S if self._adapter_gone else DISCONNECT_S
        try:
            late = f"{self.address}: no disconnection within {limit_s:g} s"
            async with deadline(self._clock, limit_s, late, hint="the adapter gives the link up by itself"):
                await self.client.disconnect()
        except (*BLE_ERRORS, LinkError) as error:
            log.debug("%s: disconnect: %s", self.address, error)

    async def _wait(self, silence_s: float) -> None:
        real_s = patience_s(self._clock, silence_s) / self._clock.speed
        silent = f"{self.address}: connected but silent for {silence_s:g} s"
        async with deadline(self._clock, real_s, silent, hint="wait for the reconnection; is the device worn?"):
            while not self._inbox:
                if self._gone.is_set():
                    raise LinkError(f"{self.address}: connection lost", hint="out of range, or its battery is empty")
                self._wake.clear()
                await self._wake.wait()

    async def _call(self, call: Awaitable[T], what: str, limit_s: float = CALL_S) -> T:
        late = f"{self.address}: {what} took longer than {limit_s:g} s"
        try:
            async with deadline(self._clock, limit_s, late, hint="wait for the reconnection"):
                return await call
        except BLE_ERRORS as error:
            self.stale = self.stale or cause_of(error) is Cause.STALE
            raise sorted_error(error, f"{self.address}: {what}") from error
