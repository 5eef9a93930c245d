"""What the box is to BlueZ, one for all adapters: its pairing agent, its Current Time service, its D-Bus connections.

Run beside the adapters; it ends with LinkError when bluetoothd or the bus goes, and its supervisor starts it again,
which registers everything anew with the next bluetoothd.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from dbus_fast import Message

from drivers.ble_errors import BLE_ERRORS, sorted_error
from drivers.bluez_agent import Agent, Person
from drivers.bluez_bus import DEVICE, BluezBus, changed, open_bus, owner_lost
from drivers.bluez_sockets import LIMIT, dbus_sockets
from drivers.bluez_time import Now, TimeService
from gateway.core.clock import Clock
from gateway.core.errors import LinkError
from gateway.core.model import Event

log = logging.getLogger(__name__)

COUNT_EVERY_S = 60.0


class BluezHost:
    """The box's own side of BlueZ.

    allowed: whether an identity address (upper case) is enrolled. now: the site's wall clock with its zone; None offers
    no time. restart_box: asked once when the D-Bus connections have leaked. person: who types passkeys, if anybody.
    """

    def __init__(
        self,
        clock: Clock,
        adapters: Sequence[str],
        *,
        allowed: Callable[[str], bool],
        on_event: Callable[[Event], None],
        now: Now | None = None,
        person: Person | None = None,
        restart_box: Callable[[], Awaitable[None]] | None = None,
        socket_limit: int = LIMIT,
        count_sockets: Callable[[], int] = dbus_sockets,
    ) -> None:
        self.agent = Agent(clock, allowed, on_event, person=person)
        self.time = TimeService(now) if now else None
        self.sockets = 0
        self._clock = clock
        self._adapters = tuple(adapters)
        self._on_event = on_event
        self._restart_box = restart_box
        self._socket_limit = socket_limit
        self._count_sockets = count_sockets
        self._bonds: asyncio.Queue[str] = asyncio.Queue(maxsize=64)  # full: the bond is logged, unchecked
        self._asked = False

    async def run(self) -> None:
        """Register with BlueZ and stay registered until cancelled. LinkError when BlueZ is not there or goes."""
        try:
            async with open_bus() as bus:
                gone = asyncio.Event()
                await bus.watch(lambda message: self._signal(message, gone))
                await self._register(bus)
                await self._until_gone(bus, gone)
        except BLE_ERRORS as error:
            raise sorted_error(error, "bluetoothd") from error

    async def _register(self, bus: BluezBus) -> None:
        await self.agent.register(bus)
        if self.time is None:
            return
        self.time.export(bus)
        for adapter in self._adapters:
            try:
                await self.time.register(bus, adapter)
            except BLE_ERRORS as error:  # one adapter that is unplugged must not cost the others their agent
                log.warning("%s offers no Current Time service: %s", adapter, error)

    async def _until_gone(self, bus: BluezBus, gone: asyncio.Event) -> None:
        jobs = [gone.wait(), bus.gone(), self._count_for_ever(), self._check_bonds()]
        tasks = {asyncio.create_task(job) for job in jobs}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            raise LinkError("bluetoothd has left the bus", hint="systemctl status bluetooth")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _signal(self, message: Message, gone: asyncio.Event) -> None:
        if owner_lost(message):
            gone.set()
        elif changed(message, DEVICE).get("Paired") and message.path:
            if self._bonds.full():
                log.warning("%s has bonded; too many at once to check its identity", message.path)
                return
            self._bonds.put_nowait(message.path)

    async def _check_bonds(self) -> None:
        while True:
            path = await self._bonds.get()
            try:
                await self.agent.bonded(path)
            except BLE_ERRORS as error:
                log.warning("%s has bonded but could not be checked: %s", path, error)

    async def _count_for_ever(self) -> None:
        while True:
            await self._check_sockets()
            await self._clock.sleep(COUNT_EVERY_S * self._clock.speed)

    async def _check_sockets(self) -> None:
        self.sockets = self._count_sockets()
        if self.sockets <= self._socket_limit or self._asked:
            return
        self._asked = True
        reason = f"{self.sockets} D-Bus connections are open, more than {self._socket_limit}"
        hint = "the daemon restarts itself; report it if it comes back"
        log.error("%s (%s)", reason, hint)
        detail = {"part": "bluez", "reason": reason, "hint": hint}
        self._on_event(Event("box_trouble", self._clock.now(), detail=detail))
        if self._restart_box is not None:
            await self._restart_box()
