"""The daemon's life: assemble, start in order, feed the watchdog, drain, stop in order, exit with a code that means it.

Start order: store, rules, read model, pipeline, page, then radios, ports and uplinks; READY is said before any kernel
is compiled, because an SOS must not wait for arithmetic. The stop is the reverse, so that what was heard is kept.
"""

import asyncio
import logging
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

from gateway import config as configuration
from gateway.assemble import make_clock
from gateway.config import Config
from gateway.core.clock import Anchor, Clock, SystemClock
from gateway.core.errors import ConfigError, Fault, LinkError, StoreBusyError, StoreError
from gateway.core.model import Event
from gateway.logs import set_up as set_up_logs
from gateway.notify import Notifier, journal_handler
from gateway.rooms import Rooms, open_rooms
from gateway.store.database import Store
from gateway.store.sqlite import hint_of
from gateway.supervise import Crew, PartSupervisor
from gateway.web.app import create_app, fault_app
from gateway.web.render import Surroundings
from gateway.web.serve import SOCKET_NAME, serve
from gateway.worker_link import WorkerName

log = logging.getLogger(__name__)

EXIT_OK, EXIT_FAILED, EXIT_BUSY, EXIT_CONFIG = 0, 70, 75, 78  # sysexits.h: EX_SOFTWARE, EX_TEMPFAIL, EX_CONFIG
FILE_LOOK_S = 2.0  # real time between two looks whether a broken file was mended
STORE_RETRY_S = 10.0  # real time between two tries to open the databases
FAULT_HOST = "127.0.0.1"  # never another address while the file that would say so is broken
STUCK_S = 10.0  # real time without a tick of the pipeline after which the watchdog is no longer fed
SNAPSHOT_S = 10.0  # real time between two snapshots of the rules' running durations
ANCHOR_S = 600.0  # real time between two anchors while nothing changes
ANCHOR_LOOK_S = 10.0
STEP_NS = 100_000_000  # a difference between UTC and the last anchor that counts as a step
DRAIN_S = 2.0  # real time the worker gets to answer for what it has been given before a stop


def run(path: Path) -> int:
    """The daemon for the file at `path`; returns the exit code. A file that is broken is served as a page."""
    set_up_logs(journal=journal_handler())
    try:
        return _run(path)
    except (StoreBusyError, LinkError) as error:
        log.error("%s (%s)", error, error.hint)
        return EXIT_BUSY


def _run(path: Path) -> int:
    """StoreBusyError and LinkError: somebody else has the databases, the page's port or the command line's socket."""
    told = ""
    while True:
        seen = _fingerprint(path)
        try:
            return asyncio.run(_live(configuration.load(path)))
        except ConfigError as error:
            log.error("%s", error)
            changed = partial(_has_changed, path, seen)
            if (code := asyncio.run(_explain(error, path, again=changed, look_s=FILE_LOOK_S))) is not None:
                return code
        except StoreBusyError:
            raise
        except StoreError as error:  # a disk without room, or one that is not there yet: it may pass
            log.log(logging.DEBUG if str(error) == told else logging.ERROR, "%s (%s)", error, error.hint)
            told = str(error)
            fault = ConfigError(str(path), (Fault(0, "paths.state_dir", told, error.hint),))
            if asyncio.run(_explain(fault, path, again=lambda: True, look_s=STORE_RETRY_S)) is not None:
                return EXIT_FAILED


def _fingerprint(path: Path) -> tuple[int, int] | None:
    """What tells a mended file from the broken one; None while there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _has_changed(path: Path, seen: tuple[int, int] | None) -> bool:
    return _fingerprint(path) != seen


async def _live(config: Config) -> int:
    stop = _stop_event()
    notifier = Notifier()
    _on_hangup(notifier, config)
    try:
        return await Daemon(config, notifier).run(stop)
    except StoreError as error:
        if not stop.is_set():
            raise
        log.error("%s (%s)", error, error.hint)
        return EXIT_FAILED


def _stop_event() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _on_hangup(notifier: Notifier, config: Config) -> None:
    """A reload looks at the registry and the file again; what cannot change while running is said, not half done."""

    def reload() -> None:
        notifier.reloading()
        log.warning("changes of the configuration take effect at the next start: systemctl restart carebed")
        notifier.ready(f"{config.site.gateway} running; restart to apply changes of the configuration")

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)


async def _explain(error: ConfigError, path: Path, *, again: Callable[[], bool], look_s: float) -> int | None:
    """Stay up and serve the one page that says what is wrong, until told to stop; None when it is time to try again.

    again: asked every `look_s` of real time.
    """
    stop = _stop_event()
    notifier = Notifier()
    port, runtime = configuration.salvage(path)
    page = asyncio.create_task(
        serve(fault_app(error, host=FAULT_HOST), host=FAULT_HOST, port=port, uds=runtime / SOCKET_NAME)
    )
    notifier.ready(f"{len(error.faults)} faults in {error.path}: see the page, or carebed check-config {error.path}")
    stopped = asyncio.create_task(stop.wait())
    feeding = asyncio.create_task(notifier.feed_watchdog(SystemClock(), lambda: True))
    told = False
    while not told:
        done, _ = await asyncio.wait({page, stopped}, timeout=look_s, return_when=asyncio.FIRST_COMPLETED)
        told = bool(done)
        if not told and again():
            break
    if told:
        notifier.stopping("stopping")
    if page.done():
        page.result()
    for task in (page, stopped, feeding):
        task.cancel()
    await asyncio.gather(page, stopped, feeding, return_exceptions=True)
    return EXIT_CONFIG if told else None


class Daemon:
    """One box at work. `run` returns the exit code once it has been told to stop, or once a part of it has ended."""

    def __init__(self, config: Config, notifier: Notifier) -> None:
        self._config = config
        self._notifier = notifier
        self._clock: Clock = make_clock(config)
        self._stop = asyncio.Event()
        self._failed = ""
        self._rooms: Rooms | None = None
        self._waiting: list[Event] = []
        self._ticked_real_ns = self._clock.real_ns()

    async def run(self, stop: asyncio.Event) -> int:
        """StoreError when the databases cannot be opened; LinkError when the page cannot be served."""
        self._stop = stop
        store = await Store.open(
            self._config.paths.state_dir, self._clock,
            on_trouble=self._store_troubled, on_recovered=self._store_recovered,
        )  # fmt: skip
        try:
            await self._live(store)
        finally:
            await store.close()
        return EXIT_FAILED if self._failed else EXIT_OK

    def _store_troubled(self, reason: str) -> None:
        log.error("the databases cannot keep rows: %s (%s)", reason, hint_of(reason))
        self._tell("box_trouble", part="store", reason=reason, hint=hint_of(reason))

    def _store_recovered(self) -> None:
        log.warning("the databases keep rows again; what was lost meanwhile is marked as gaps")
        self._tell("box_recovered", part="store")

    def _tell(self, kind: str, **detail: str) -> None:
        """An event of the box itself; one from before there is a pipeline waits for it."""
        event = Event(kind, self._clock.now(), detail=detail)
        if self._rooms is None:
            self._waiting.append(event)
        else:
            self._rooms.pipeline.event(event)

    async def _live(self, store: Store) -> None:
        store.journal.anchor(self._clock.anchor())
        self._rooms = rooms = await open_rooms(self._config, self._clock, store, self._restart)
        for event in (*store.findings, *self._waiting):
            rooms.pipeline.event(event)
        page, inner, outside, drivers = (Crew(self._end) for _ in range(4))
        try:
            await self._open_page(page, rooms)
            self._start_inner(inner, rooms)
            self._start_outside(outside, drivers, rooms)
            self._notifier.ready(f"{self._config.site.gateway}: {len(rooms.beds)} beds, {len(rooms.devices)} devices")
            log.info("ready: %d beds, %d devices", len(rooms.beds), len(rooms.devices))
            await self._stop.wait()
        finally:
            self._notifier.stopping("keeping what has been heard")
            await drivers.stop()  # before their radios, so that bands are told to stop streaming
            await outside.stop()
            await self._drain(rooms)
            await inner.stop()
            await rooms.close()
            await page.stop()

    async def _restart(self) -> None:
        """The radio's last cure: a clean stop, and the service manager's new start."""
        self._end("a radio that nothing else revived")

    def _end(self, what: str) -> None:
        """A task that must not end has ended: stop in order and let the service manager start everything anew."""
        self._failed = what
        self._stop.set()

    async def _open_page(self, crew: Crew, rooms: Rooms) -> None:
        """The page first: LinkError here means that another daemon is running."""
        site, page = self._config.site, self._config.page
        around = Surroundings(site.mode, self._config.zone, site.language, signed=rooms.rulebook.signed)
        app = create_app(rooms.read_model, rooms.commands, around, self._clock, host=page.host)
        ready = asyncio.Event()
        serving = asyncio.create_task(
            serve(app, host=page.host, port=page.port, uds=self._config.paths.runtime_dir / SOCKET_NAME,
                  on_ready=lambda _url: ready.set())
        )  # fmt: skip
        reachable = asyncio.create_task(ready.wait())
        await asyncio.wait([serving, reachable], return_when=asyncio.FIRST_COMPLETED)
        reachable.cancel()
        if serving.done():
            serving.result()
        crew.adopt("page", serving)

    def _start_inner(self, crew: Crew, rooms: Rooms) -> None:
        # What the rules raise over one answer of the worker must cost the worker, not the SOS button.
        worker = PartSupervisor("worker link", rooms.worker.run, rooms.pipeline.event, self._clock)
        crew.start(worker.name, worker.run())
        crew.start("pipeline", self._tick(rooms))
        crew.start("snapshots", self._snapshots(rooms))
        crew.start("anchors", self._anchors(rooms.store))
        if self._notifier.watchdog_s is not None:
            crew.start("watchdog", self._notifier.feed_watchdog(self._clock, self._healthy))

    def _start_outside(self, outside: Crew, drivers: Crew, rooms: Rooms) -> None:
        for part in rooms.parts:
            outside.start(part.name, part.run())
        for supervisor in rooms.supervisors:
            drivers.start(supervisor.name, supervisor.run())

    async def _tick(self, rooms: Rooms) -> None:
        while True:
            await self._clock.sleep(1.0)
            rooms.pipeline.tick()
            self._ticked_real_ns = self._clock.real_ns()

    def _healthy(self) -> bool:
        """Fed only while facts can become alarms: the loop turns and the rules have ticked lately."""
        return self._clock.real_ns() - self._ticked_real_ns < STUCK_S * 1e9

    async def _snapshots(self, rooms: Rooms) -> None:
        while True:
            await self._clock.sleep(SNAPSHOT_S * self._clock.speed)
            rooms.save_snapshot()

    async def _anchors(self, store: Store) -> None:
        """Keep how boot time and UTC relate; a step of UTC is an event."""
        last = self._clock.anchor()
        while True:
            await self._clock.sleep(ANCHOR_LOOK_S * self._clock.speed)
            anchor = self._clock.anchor()
            step_ns = _step_ns(last, anchor)
            if abs(step_ns) > STEP_NS:
                self._tell("clock_stepped", by_s=f"{step_ns / 1e9:.3f}", source=anchor.source)
            old = anchor.mono_ns - last.mono_ns > ANCHOR_S * 1e9 * self._clock.speed
            if abs(step_ns) > STEP_NS or anchor.source != last.source or old:
                store.journal.anchor(anchor)
                last = anchor

    async def _drain(self, rooms: Rooms) -> None:
        """Drivers are silent now: let the worker answer for what it still has, at most `DRAIN_S`."""
        deadline_ns = self._clock.real_ns() + round(DRAIN_S * 1e9)
        while rooms.worker.state.queued_blocks and self._clock.real_ns() < deadline_ns:
            if rooms.worker.state.name in (WorkerName.DEAD, WorkerName.STARTING):
                break
            await self._clock.sleep(0.02 * self._clock.speed)


def _step_ns(last: Anchor, now: Anchor) -> int:
    """How far UTC has moved against boot time since the last anchor."""
    return (now.utc_ns - last.utc_ns) - (now.mono_ns - last.mono_ns)
