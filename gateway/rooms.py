"""Every room of a running box, built in order and wired together; the daemon's life is told in `gateway.daemon`."""

import asyncio
import hashlib
import importlib.metadata
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import msgspec

from drivers.base import Device
from drivers.capability import is_shared, sights
from drivers.catalogue import DELIVERS
from edge_rules.engine import Engine
from gateway import readings
from gateway.air import air_of
from gateway.assemble import bed_scopes, device_scopes
from gateway.commands import Commands
from gateway.config import Config
from gateway.core.clock import Clock
from gateway.core.errors import StoreError
from gateway.core.model import Alarm, Event, Gap, Measurement, Minute, Stamp
from gateway.desk import AlarmDesk, IdentityDesk, PlatformAsks, PlatformReader, ReadingDesk, make_uplinks
from gateway.nightly import Nightly
from gateway.outside import open_outside
from gateway.pipeline import Pipeline
from gateway.readings import Readings
from gateway.readmodel import Identity, ReadModel
from gateway.rulebook import Rulebook, open_rulebook
from gateway.store.database import Store
from gateway.supervise import PartSupervisor, Supervisor
from gateway.unassigned import RESTORED
from gateway.upstream.link import Link
from gateway.upstream.ports import Birth
from gateway.worker_link import WorkerLink, WorkerState
from provisioning.registry import Bed, Registry

log = logging.getLogger(__name__)

RECENT_ALARMS = 200  # ended ones the rules are reminded of: one that ended after the last snapshot must not come back
SNAPSHOT_KEY, BOOTS_KEY, INVENTORY_KEY = "rules.snapshot", "box.boots", "registry.inventory"
PRESSES_KEY = "sos.pressed"


@dataclass(frozen=True, slots=True)
class Rooms:
    """What the daemon starts and stops. parts: uplinks, radios; supervisors: drivers; all run until cancelled."""

    store: Store
    engine: Engine
    worker: WorkerLink
    pipeline: Pipeline
    read_model: ReadModel
    commands: Commands
    rulebook: Rulebook
    beds: tuple[Bed, ...]
    devices: tuple[Device, ...]
    parts: tuple[PartSupervisor, ...]
    supervisors: tuple[Supervisor, ...]

    def save_snapshot(self) -> "asyncio.Future[int]":
        """Keep the rules' running durations, so that a restart neither loses nor repeats an alarm."""
        return self.store.journal.set_setting(SNAPSHOT_KEY, self.engine.snapshot().encode())

    async def close(self) -> None:
        """Close minutes and marks and commit everything; the store itself is closed by its owner."""
        self.pipeline.close()
        self.save_snapshot()
        await self.store.flush()


async def open_rooms(config: Config, clock: Clock, store: Store, restart: Callable[[], Awaitable[None]]) -> Rooms:
    """Build everything over an open store. restart: ends the daemon in order, for the service manager to start anew.

    ConfigError when the built-in rules are damaged.
    """
    registry = Registry(store)
    beds, devices = await registry.beds(), await registry.devices()
    read_model = _read_model(config, clock, store)
    names = {room.id: room.name for room in await registry.rooms()}
    read_model.set_inventory(beds, devices, await _inventory_rev(store, beds, devices), names)
    await _keep_presses(read_model, store)
    utc = datetime.fromtimestamp(clock.anchor().utc_ns / 1e9, tz=UTC)
    rulebook = await open_rulebook(config, store, utc)
    upstreams = [upstream.name for upstream in config.upstream]
    engine = Engine(
        rulebook.rules, bed_scopes(beds, devices), device_scopes(devices), config.site.mode, upstreams=upstreams
    )
    read_model.watch_blind(engine.blind)
    inbox = _Inbox()
    worker = _worker(config, clock, read_model, inbox, devices)
    worth = await _readings(store, clock, beds, devices)
    read_model.watch_unassigned(lambda: worth.unassigned(clock.now()))
    pipeline = Pipeline(
        clock, config.zone, config.site.mode, devices=devices, engine=engine, store=store, worker=worker,
        watcher=read_model, outputs=LocalSignals(read_model), readings=worth,
    )  # fmt: skip
    inbox.pipeline = pipeline
    await _take_up(engine, pipeline, store, read_model)
    desk = AlarmDesk(engine, pipeline, store)
    commands = Commands(desk, frozenset(upstreams), IdentityDesk(pipeline, worth), ReadingDesk(pipeline, worth, store))
    reader = PlatformReader(read_model, store, await _birth(store, clock, rulebook))
    asks = PlatformAsks(commands, engine, pipeline)
    uplinks = make_uplinks(config, clock, store, reader, asks, pipeline.event)
    _connect(pipeline, store, uplinks, upstreams)
    _watch_gauges(read_model, store, worker)
    outside = open_outside(
        config, clock, devices, pipeline, restart, lambda key, order: store.alarms.command(key, "pair", order)
    )
    commands = replace(commands, pairing=outside.pairing)  # beside the device and not from afar: no platform pairs
    read_model.watch_pairing(outside.pairing.state)
    read_model.watch_air(lambda: air_of(outside.radios, devices, clock))
    links = (PartSupervisor(f"uplink {name}", link.run, pipeline.event, clock) for name, link in uplinks.items())
    nightly = Nightly(clock, config.zone, beds, store.journal, store.utc, on_night=read_model.saw_night)
    nights = PartSupervisor("night summaries", nightly.run, pipeline.event, clock)
    parts = (*links, *outside.parts, nights)
    if rulebook.refused:
        detail = {"part": "rules", "reason": rulebook.refused, "hint": rulebook.hint}
        pipeline.event(Event("box_trouble", clock.now(), detail=detail))
    return Rooms(
        store, engine, worker, pipeline, read_model, commands, rulebook, beds, devices, parts, outside.supervisors
    )


class _Inbox:
    """Where the worker's answers go; the pipeline is built after the worker, since it feeds it."""

    pipeline: Pipeline

    def result(self, result: Measurement | Event) -> None:
        self.pipeline.result(result)

    def gap(self, gap: Gap) -> None:
        self.pipeline.gap(gap)

    def withheld(self, device: str, reasons: Mapping[str, str]) -> None:
        self.pipeline.withheld(device, reasons)


class LocalSignals:
    """What sounds and lights beside the bed. Until an output driver is fitted, page and journal are the signal."""

    def __init__(self, read_model: ReadModel) -> None:
        self._read_model = read_model
        self._shown: Mapping[str, str] = {}

    def show(self, channels: Mapping[str, str]) -> None:
        for channel, pattern in channels.items():
            if self._shown.get(channel, "off") != pattern:
                log.warning("signal %s: %s", channel, pattern)
                self._read_model.saw_state(f"signal.{channel}", pattern)
        self._shown = dict(channels)


class StoredHistory:
    """`gateway.readmodel.History` over the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def alarms(self, limit: int, bed: str | None) -> Sequence[Alarm]:
        return await self._store.alarms.history(limit, bed)

    async def minutes(
        self, bed: str, quantity: str, from_: Stamp | None, to: Stamp | None, limit: int
    ) -> Sequence[Minute]:
        return await self._store.journal.minutes(bed, quantity, from_, to, limit)

    async def gaps(self, limit: int) -> Sequence[Gap]:
        return await self._store.journal.gaps(limit)

    async def counts(self) -> Mapping[str, int]:
        return await self._store.journal.counts()

    async def manifest(self, upstream: str) -> Mapping[str, Mapping[str, int]]:
        return await self._store.outbox.manifest(upstream)


def _read_model(config: Config, clock: Clock, store: Store) -> ReadModel:
    site = config.site
    identity = Identity(site.gateway, site.site, importlib.metadata.version("carebed"), site.mode)

    def when(at: Stamp) -> int | None:
        anchor = clock.anchor() if at.boot_id == clock.boot_id else store.anchor_of(at)
        return None if anchor is None else anchor.utc_ns_of(at)

    read_model = ReadModel(clock, identity, StoredHistory(store), when=when)
    read_model.set_uplinks([upstream.name for upstream in config.upstream])
    read_model.saw_state("store", "ready")
    return read_model


def _worker(
    config: Config, clock: Clock, read_model: ReadModel, inbox: _Inbox, devices: Sequence[Device]
) -> WorkerLink:
    def on_state(state: WorkerState) -> None:
        read_model.saw_state("worker", state.name.value, state.reason)
        kind = "box_trouble" if state.name.value in ("dead", "degraded") else "box_recovered"
        if state.name.value != "starting":
            detail = {"part": "worker", "reason": state.reason}
            inbox.pipeline.event(Event(kind, clock.now(), detail=detail))

    worker = WorkerLink(
        clock, cache_dir=config.paths.cache_dir, on_result=inbox.result, on_gap=inbox.gap, on_state=on_state,
        on_withheld=inbox.withheld,
    )  # fmt: skip
    for device in devices:
        if settings := worker_settings(device):
            worker.describe(device.id, "acc", settings)
    return worker


def worker_settings(device: Device) -> dict[str, str | int | float | bool]:
    """The device's settings, and of an oximeter that tells its pulse itself that the worker adds no second one."""
    tells = "pulse_rate" in DELIVERS.get(device.family, ())
    return {**device.settings, "own_pulse": True} if tells else dict(device.settings)


async def _readings(store: Store, clock: Clock, beds: Sequence[Bed], devices: Sequence[Device]) -> Readings:
    """With the stored records that the devices told in earlier lives of the daemon, and what was nobody's then."""

    def utc(at: Stamp) -> int | None:
        anchor = clock.anchor() if at.boot_id == clock.boot_id else store.anchor_of(at)
        return None if anchor is None else anchor.utc_ns_of(at)

    told = {device.id: await store.journal.setting(readings.SETTING + device.id) for device in devices}
    known = {device: digests for device, digests in told.items() if digests}
    worth = Readings((device.id for device in devices if is_shared(device)), devices, beds, known, utc=utc)
    worth.restore(await store.journal.observations(RESTORED))
    for reader, name in worth.strangers():
        log.error("%s identifies %s, which is no shared device: its cards say nothing there", reader, name)
    return worth


async def _keep_presses(read_model: ReadModel, store: Store) -> None:
    """When each way to call for help was pressed last: a test press counts for a month, over any restart."""
    read_model.devicebook.set_pressed(
        msgspec.json.decode(await store.journal.setting(PRESSES_KEY) or b"{}", type=dict[str, float])
    )

    def keep(pressed: Mapping[str, float]) -> None:
        store.journal.set_setting(PRESSES_KEY, msgspec.json.encode(pressed))

    read_model.devicebook.on_pressed = keep


async def _take_up(engine: Engine, pipeline: Pipeline, store: Store, read_model: ReadModel) -> None:
    """Go on where the last life of the daemon stopped."""
    snapshot = await store.journal.setting(SNAPSHOT_KEY)
    if snapshot is not None:
        try:
            engine.load_snapshot(snapshot.decode(), pipeline.now())
        except StoreError as error:
            log.warning("%s (%s)", error, error.hint)
    open_alarms = await store.alarms.open_alarms()
    ended = [alarm for alarm in await store.alarms.history(RECENT_ALARMS) if not alarm.open]
    engine.restore([*ended, *open_alarms])
    for alarm in open_alarms:
        read_model.saw_alarm(alarm)
    pipeline.event(Event("box_started", pipeline.now().stamp, detail={"version": read_model.identity.version}))


async def _birth(store: Store, clock: Clock, rulebook: Rulebook) -> Birth:
    known = msgspec.json.decode(await store.journal.setting(BOOTS_KEY) or b'[0, ""]', type=tuple[int, str])
    boots = known[0] + (known[1] != clock.boot_id)
    if boots != known[0]:
        store.journal.set_setting(BOOTS_KEY, msgspec.json.encode((boots, clock.boot_id)))
    version = importlib.metadata.version("carebed")
    return Birth(boots, version, configuration_rev=0, rules_rev=rulebook.rev, rules_sha256=rulebook.sha256)


async def _inventory_rev(store: Store, beds: Sequence[Bed], devices: Sequence[Device]) -> int:
    """Rises by one whenever registry or capabilities are not as they were at the last start."""
    seen = [sights(device) for device in devices]
    digest = hashlib.sha256(msgspec.json.encode((list(beds), list(devices), seen))).hexdigest()
    rev, known = msgspec.json.decode(await store.journal.setting(INVENTORY_KEY) or b'[0, ""]', type=tuple[int, str])
    if known == digest:
        return rev
    store.journal.set_setting(INVENTORY_KEY, msgspec.json.encode((rev + 1, digest)))
    return rev + 1


def _connect(pipeline: Pipeline, store: Store, uplinks: Mapping[str, Link], upstreams: Sequence[str]) -> None:
    """Every platform of the configuration has its marks, also one that cannot be reached yet: it misses nothing."""
    pipeline.uplinks.extend(uplinks.values())

    def on_rows(_stream: str) -> None:
        for link in uplinks.values():
            link.rows_ready()

    store.outbox.watch(on_rows)
    for name in upstreams:
        store.outbox.register(name)


def _watch_gauges(read_model: ReadModel, store: Store, worker: WorkerLink) -> None:
    read_model.watch_gauge("worker_queued_blocks", lambda: float(worker.state.queued_blocks))
    read_model.watch_gauge("worker_rss_bytes", lambda: float(worker.state.rss_bytes))
    read_model.watch_gauge("worker_pid", lambda: float(worker.state.pid or 0))
    read_model.watch_gauge("worker_restarts", lambda: float(worker.state.restarts))
    read_model.watch_gauge("alarms_unsaved", lambda: float(store.alarms.unsaved))
