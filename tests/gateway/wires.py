"""A virtual site whose wires the test itself holds: belts, bus and radio that can be broken at an exact byte.

The daemon is the real process; `gateway.demo.processes` starts it. Ports are links, as names by id are, so that an
adapter can be unplugged and plugged in again as another pseudo-terminal.
"""

import asyncio
import html
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from drivers.bed_belt.driver import HERE as BELTS
from drivers.bed_belt.frame import BeltFrame, load_format
from drivers.bed_belt.peer import BeltInput, BeltPeer
from drivers.faulty_line import LineFault, VirtualPort
from drivers.modbus_rtu.driver import HERE as SLAVES
from drivers.modbus_rtu.peer import VirtualBus, VirtualSlave
from drivers.modbus_rtu.registers import load_map
from drivers.profile import models_in
from gateway import config as configuration
from gateway.core.clock import ScaledClock, SystemClock
from gateway.core.model import Gap
from gateway.demo.broker import free_port
from gateway.demo.models import Sleeper
from gateway.demo.processes import DaemonProcess
from gateway.demo.site import (
    BELT,
    CONTACTS,
    KIOSK_UNIT,
    ROOM_UNIT,
    Ends,
    Origin,
    first_input,
    module_unit,
    origin,
    write_config,
    write_ward,
)
from gateway.demo.story import STORIES
from gateway.errands import import_ward
from gateway.store.database import Store

PATIENCE_S = 60.0  # a safety net around real processes on a busy machine, never a measurement
FRAME_SAMPLES = 10
FULL_SCALE = 32_768.0
WHOLE = (None, LineFault.GARBAGE, LineFault.BYTE_BY_BYTE)  # what of a frame's faults leaves the frame itself intact


async def eventually(look: Callable[[], Awaitable[Any]], what: str) -> Any:
    """The first answer of `look` that is not empty; `what` says what was waited for in vain."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not (found := await look()):
                await SystemClock().sleep(0.05)
            return found
    except TimeoutError:
        raise AssertionError(f"did not come within {PATIENCE_S:.0f} s: {what}") from None


class Belt:
    """A belt on a port. frames: what the line did to each frame since the last `plug`; intact ones arrive."""

    def __init__(self, path: Path, clock: ScaledClock, seed: int) -> None:
        self.path = path
        self._clock = clock
        self._format = load_format(models_in(BELTS)[BELT[1]])
        self._sleeper = Sleeper(seed)
        self._seed = seed
        self._task: asyncio.Task[None] | None = None
        self.plug()

    def plug(self, sequence: int = 0) -> None:
        """Plug it in; the next frame has number `sequence`."""
        self.port = VirtualPort()
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(self.port.path)
        self.peer = BeltPeer(self.port.fd, self._clock, self._format, self._felt(), seed=self._seed)
        self.peer.sequence = sequence
        self.peer.keep_record = True

    def _felt(self) -> Iterator[BeltInput]:
        while True:
            wave, load_kg = self._sleeper.take(FRAME_SAMPLES)
            yield BeltInput(np.clip(wave / FULL_SCALE, -1, 1), load_kg)

    @property
    def frames(self) -> list[LineFault | None]:
        return self.peer.sent

    @property
    def spoilt(self) -> int:
        """Frames that cannot arrive."""
        return sum(fault not in WHOLE for fault in self.frames)

    def start(self) -> None:
        """Send from now on."""
        self._task = asyncio.create_task(self.peer.run())

    async def stop(self) -> None:
        """Send no more; frames are not sent later either, the next `start` goes on with the next number."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def next_frame(self) -> bytes:
        """The frame that would come next, as bytes for a test to mangle."""
        given = next(self._felt())
        return self._format.encode(BeltFrame(self.peer.sequence, given.samples.astype(np.float32), given.load_kg))

    async def unplug(self) -> None:
        """Pull the plug, whatever is on its way."""
        await self.stop()
        self.path.unlink(missing_ok=True)
        self.port.unplug()


class Wires:
    """Everything around one daemon, in the test's own hands."""

    def __init__(self, directory: Path, when: Origin) -> None:
        self.directory = directory
        self.when = when
        self.clock = ScaledClock(when.speed, origin_real_ns=when.real_ns, origin_utc_ns=when.utc_ns)
        self.belts = [Belt(directory / f"port-{n}", self.clock, n) for n in (1, 2)]
        maps = {model: load_map(path) for model, path in models_in(SLAVES).items()}
        self.contacts = VirtualSlave(module_unit(0), maps[CONTACTS[1]])
        self.room = VirtualSlave(ROOM_UNIT, maps["xy_md02"])
        self.kiosk = VirtualSlave(KIOSK_UNIT, maps["open_kiosk_1"])
        self.bus_port = VirtualPort()
        self.bus = VirtualBus(self.bus_port.fd, self.clock, [self.contacts, self.room, self.kiosk])
        self.room.set_all(temperature=22.4, humidity=46.0)
        for bed in (1, 2):
            self.contacts.set(f"di{first_input(bed)}", True)
            self.cord(bed, pulled=False)
        self.page_port = free_port()
        self.config = directory / "carebed.toml"

    def cord(self, bed: int, *, pulled: bool) -> None:
        """A pull cord's loop opens when it is pulled. Beds count from 1."""
        self.contacts.set(f"di{first_input(bed) + 1}", not pulled)

    @property
    def state_dir(self) -> Path:
        return self.directory / "state"

    @property
    def log(self) -> str:
        """What the daemon has said so far."""
        return (self.directory / "daemon.log").read_text(encoding="utf-8")

    async def fit(self, *, bands: int, hci_port: int | None, broker_port: int) -> None:
        """Write configuration and ward, and put the ward into the registry."""
        ends = Ends(tuple(str(belt.path) for belt in self.belts), self.bus_port.path, hci_port)
        self.config = write_config(
            self.directory, ends, self.when, broker_port=broker_port, page_port=self.page_port, language="en"
        )
        ward = write_ward(self.directory, len(self.belts), bands, buttons=False)
        await import_ward(configuration.load(self.config), ward, dry_run=False)

    @asynccontextmanager
    async def daemon(self) -> AsyncIterator["Box"]:
        """The running daemon; afterwards it has ended in order, with everything it heard in its books."""
        process = await DaemonProcess.start(self.config, self.page_port, self.directory / "daemon.log")
        try:
            yield Box(process)
        except BaseException:
            await process.stop()
            raise
        code = await process.stop()
        assert code == 0, self.log

    @asynccontextmanager
    async def books(self) -> AsyncIterator["Books"]:
        """What is stored, once the daemon has stopped."""
        store = await Store.open(self.state_dir, SystemClock())
        try:
            assert store.findings == (), "a database was damaged"
            yield Books(store)
        finally:
            await store.close()


@dataclass(frozen=True)
class Box:
    """The daemon as it answers."""

    process: DaemonProcess

    async def ask(self, what: str) -> Any:
        answer = await self.process.ask(what)
        assert answer is not None, f"the daemon does not answer {what}"
        return answer

    async def device(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(one for one in await self.ask("devices") if one["id"] == name)
        return found

    async def part(self, name: str) -> dict[str, Any]:
        parts = {part["name"]: part for part in (await self.ask("health"))["parts"]}
        found: dict[str, Any] = parts.get(name, {"state": "unknown", "reason": ""})
        return found

    async def gauge(self, name: str) -> float:
        return float((await self.ask("health"))["gauges"][name])

    async def alarm(self, rule: str, **wanted: object) -> dict[str, Any] | None:
        """The newest alarm of a rule with these fields."""
        for alarm in await self.ask("alarms"):
            if alarm["rule"] == rule and all(alarm[key] == value for key, value in wanted.items()):
                found: dict[str, Any] = alarm
                return found
        return None

    async def heard(self, *names: str) -> None:
        """Wait until these devices are up."""
        for name in names:
            await eventually(partial(self._is_up, name), f"{name} is up")

    async def _is_up(self, name: str) -> bool:
        return str((await self.device(name))["state"]) == "up"

    async def working(self) -> None:
        """Wait until the signal worker answers."""
        await eventually(self._worker_ready, "the worker is ready")

    async def _worker_ready(self) -> bool:
        return str((await self.part("worker"))["state"]) == "ready"

    async def page(self, path: str) -> str:
        """The text of a page."""
        async with httpx.AsyncClient(base_url=self.process.url, timeout=5) as client:
            return html.unescape((await client.get(path)).raise_for_status().text)


@dataclass(frozen=True)
class Books:
    """The databases of a daemon that has stopped."""

    store: Store

    async def gaps(self, what: str, device: str | None = None) -> list[Gap]:
        return [gap for gap in await self.store.journal.gaps(100_000) if (gap.what, gap.device) == (what, device)]

    async def lost(self, what: str, device: str | None = None) -> int:
        return sum(gap.lost for gap in await self.gaps(what, device))

    async def rejected(self, device: str) -> Counter[str]:
        return Counter({one.reason: one.count for one in await self.store.journal.rejections() if one.device == device})

    async def details(self, kind: str, device: str | None) -> list[dict[str, Any]]:
        """Details of each stored event of a kind, in order."""
        events = await self.store.journal.events(100_000)
        return [dict(event.detail) for event in events if (event.kind, event.device) == (kind, device)]


@asynccontextmanager
async def wires(
    directory: Path, *, speed: float, bands: int = 0, hci_port: int | None = None, broker_port: int | None = None
) -> AsyncIterator[Wires]:
    """A site with two belts, a bus of three slaves, and an upstream; without broker_port nobody listens there."""
    site = Wires(directory, origin(replace(STORIES["short"], speed=speed)))
    async with AsyncExitStack() as undo:
        undo.callback(site.bus_port.unplug)
        for belt in site.belts:
            undo.push_async_callback(belt.unplug)
        await site.fit(bands=bands, hci_port=hci_port, broker_port=broker_port or free_port())
        bus = asyncio.create_task(site.bus.run())
        try:
            yield site
        finally:
            bus.cancel()
            await asyncio.gather(bus, return_exceptions=True)
