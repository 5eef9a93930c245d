"""The desk in the hall: what people and platforms ask of alarms, and what platforms read, put before the right room.

Fills the Protocols of `gateway.commands` and `gateway.upstream.ports`; holds no state of its own.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from msgspec import UNSET

from drivers.capability import Sight
from edge_rules.engine import Engine
from gateway.commands import Commands, Refused
from gateway.config import Config
from gateway.config import Upstream as UpstreamSection
from gateway.core.clock import Clock
from gateway.core.errors import UpstreamError
from gateway.core.model import Alarm, Event, Stamp
from gateway.pipeline import Pipeline
from gateway.readings import IDENTITY, Readings
from gateway.readmodel import ReadModel
from gateway.store.database import Store
from gateway.store.rows import Row
from gateway.upstream.endpoint import Endpoint, tls_context
from gateway.upstream.envelope import InvDevice, Sees, SosPath
from gateway.upstream.lanes import Pace
from gateway.upstream.link import Link
from gateway.upstream.ports import Birth, House, Timing, Vitals
from gateway.upstream.topics import Topics
from gateway.views import DeviceState, SosState

log = logging.getLogger(__name__)

NS_PER_MS = 1_000_000
DEMO_PACE = Pace(start_spread_s=1.0, first_retry_s=2.0, max_retry_s=10.0, backlog_start_s=1.0, backlog_rate=50.0)


@dataclass(frozen=True, slots=True)
class AlarmDesk:
    """`gateway.commands.AlarmDesk`: a command is committed, then acts, then its effect is committed."""

    engine: Engine
    pipeline: Pipeline
    store: Store

    async def find(self, alarm_id: str) -> Alarm | None:
        return self.engine.alarm(alarm_id) or await self.store.alarms.alarm(alarm_id)

    async def acknowledge(self, alarm_id: str, by: str, note: str, via: str) -> Alarm:
        await self._book("acknowledge", alarm_id, by, note, via)
        return await self._act(alarm_id, self.engine.acknowledge(alarm_id, by, note, via, self.pipeline.now()))

    async def received(self, alarm_id: str, upstream: str) -> Alarm:
        self.pipeline.delivered(self.engine.received(alarm_id, upstream, self.pipeline.now()))
        return await self._newest(alarm_id)

    async def close(self, alarm_id: str, outcome: str, by: str, via: str) -> Alarm:
        await self._book("close", alarm_id, by, outcome, via)
        return await self._act(alarm_id, self.engine.close(alarm_id, outcome, by, self.pipeline.now()))

    async def _book(self, verb: str, *words: str) -> None:
        await self.store.alarms.command(f"{verb}-{os.urandom(8).hex()}", verb, msgspec.json.encode(words))

    async def _act(self, alarm_id: str, changed: Sequence[Alarm]) -> Alarm:
        await asyncio.gather(*self.pipeline.answered(changed))
        return await self._newest(alarm_id)

    async def _newest(self, alarm_id: str) -> Alarm:
        alarm = await self.find(alarm_id)
        if alarm is None:
            raise KeyError(f"alarm {alarm_id} is unknown")  # its asker has looked before: see gateway.commands
        return alarm


@dataclass(frozen=True, slots=True)
class IdentityDesk:
    """`gateway.commands.IdentityDesk`: an identity that says something becomes an event."""

    pipeline: Pipeline
    readings: Readings

    def present(self, station: str, detail: Mapping[str, str]) -> str:
        event = Event(IDENTITY, self.pipeline.now().stamp, device=station, detail=detail)
        doubt = self.readings.doubt(event)
        if not doubt:
            self.pipeline.event(event)
        return doubt


@dataclass(frozen=True, slots=True)
class ReadingDesk:
    """`gateway.commands.ReadingDesk`: committed first, then the reading is the person's, in books and upstream."""

    pipeline: Pipeline
    readings: Readings
    store: Store

    async def assign(self, reading: str, bed: str, resident: str, by: str, via: str) -> str:
        owner, now = self.readings.bed_of(bed, resident), self.pipeline.now().stamp
        if all(one.id != reading for one in self.readings.unassigned(now)):
            return "reading_unknown"
        if owner is None:
            return "bed_unknown"
        order = msgspec.json.encode((reading, owner, by, via))
        await self.store.alarms.command(f"assign-{os.urandom(8).hex()}", "assign", order)
        values = self.readings.assign(reading, owner, by, now)
        if not values:  # somebody else was quicker
            return "reading_unknown"
        self.pipeline.assigned(values)
        what = " ".join(sorted(one.quantity for one in values))
        detail = {"reading": reading, "by": by, "via": via, "quantities": what}
        self.pipeline.event(Event("reading_assigned", now, owner, values[0].device, detail))
        return ""


class PlatformAsks:
    """`upstream.ports.Asks` over the commands, so that a platform is checked exactly as the page is."""

    def __init__(self, commands: Commands, engine: Engine, pipeline: Pipeline) -> None:
        self._commands = commands
        self._engine = engine
        self._pipeline = pipeline

    def published(self, alarm_id: str, rev: int, upstream: str) -> None:
        self._pipeline.delivered(self._engine.published(alarm_id, self._pipeline.now()))

    def undelivered(self, alarm_id: str, rev: int, upstream: str, reason: str) -> None:
        self._pipeline.answered(self._engine.published(alarm_id, self._pipeline.now(), watched=False))

    async def received(self, alarm_id: str, rev: int, upstream: str) -> Alarm | None:
        answer = await self._commands.received(alarm_id, rev, upstream)
        return None if isinstance(answer, Refused) else answer.alarm

    async def acknowledge(self, alarm_id: str, by: str, note: str, via: str) -> Alarm | None:
        return _granted(await self._commands.acknowledge(alarm_id, by, note, via))

    async def close(self, alarm_id: str, outcome: str, by: str, via: str) -> Alarm | None:
        return _granted(await self._commands.close(alarm_id, outcome, by, via))


def _granted(answer: object) -> Alarm | None:
    if isinstance(answer, Refused):
        raise ValueError(answer.reason.value)
    return getattr(answer, "alarm", None)


class PlatformReader:
    """`upstream.ports.Reader` over the read model."""

    def __init__(self, read_model: ReadModel, store: Store, birth: Birth) -> None:
        self._read_model = read_model
        self._store = store
        self._birth = birth

    def birth(self) -> Birth:
        return self._birth

    def inventory(self) -> tuple[int, Sequence[InvDevice]]:
        inventory = self._read_model.inventory()
        utc_ms = self._read_model.health().utc_ms
        return inventory.rev, [_listed(device, utc_ms) for device in inventory.devices]

    def health(self) -> Vitals:
        health = self._read_model.health()
        gauges = {"rss_bytes": float(health.rss_bytes), "cpu_percent": health.cpu_percent, "uptime_s": health.uptime_s}
        return Vitals({part.name: part.state for part in health.parts}, gauges | dict(health.gauges))

    async def open_alarms(self) -> Sequence[Row]:
        return await self._store.alarms.open_rows()

    async def alarm(self, alarm_id: str) -> Row | None:
        return await self._store.alarms.newest_row(alarm_id)


def _listed(device: DeviceState, utc_ms: int) -> InvDevice:
    seen = None if device.last_seen_s is None else utc_ms - round(device.last_seen_s * 1000)
    battery = None if device.battery_percent is None else round(device.battery_percent)
    return InvDevice(
        dev=device.id, kind=device.family, model=device.model, link=device.link, bed=device.bed, batt=battery,
        seen=seen, caps=sorted({sight.quantity for sight in device.sees}), sees=_declared(device.sees) or UNSET,
        worn=UNSET if device.worn is None else device.worn, chg=UNSET if device.charging is None else device.charging,
        sos=[_path(state) for state in device.sos] or UNSET,
    )  # fmt: skip


def _declared(seen: Sequence[Sight]) -> dict[str, Sees]:
    return {
        sight.quantity: Sees(lo=sight.low, hi=sight.high, late_s=sight.latency_s, blind=sight.blind)
        for sight in seen
        if sight.range or sight.latency_s or sight.blind
    }


def _path(state: SosState) -> SosPath:
    return SosPath(state.input, state.bed, state.way, state.proof, state.test_due, state.test_by_utc_ms)


class KeptReplies:
    """`upstream.ports.Replies` in alarms.db."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def begin(self, key: str, verb: str, payload: bytes) -> bytes | None:
        return (await self._store.alarms.command(key, verb, payload)).answer

    async def finish(self, key: str, reply: bytes) -> None:
        await self._store.alarms.answer(key, reply)


def timing(store: Store, clock: Clock) -> Callable[[Stamp], Timing]:
    """UTC of any stamp as far as it is known now, with its uncertainty and where the time came from."""

    def when(at: Stamp) -> Timing:
        anchor = clock.anchor() if at.boot_id == clock.boot_id else store.anchor_of(at)
        if anchor is None:
            return Timing(None, 0, "none")
        return Timing(anchor.utc_ns_of(at) // NS_PER_MS, anchor.uncertainty_ns // NS_PER_MS, anchor.source)

    return when


def make_uplinks(
    config: Config, clock: Clock, store: Store, reader: PlatformReader, asks: PlatformAsks,
    on_event: Callable[[Event], None],
) -> dict[str, Link]:  # fmt: skip
    """A link for each [[upstream]]; in a demonstration they retry and backfill in seconds instead of minutes.

    One whose TLS files cannot be used is trouble of the box, like any link that is down: alarms go on sounding here.
    """
    house = House(
        clock=clock, outbox=store.outbox, reader=reader, asks=asks, replies=KeptReplies(store),
        when=timing(store, clock), on_event=on_event,
    )  # fmt: skip
    pace = Pace() if config.clock is None else DEMO_PACE
    links = {}
    for section in config.upstream:
        try:
            endpoint = _endpoint(section)
        except UpstreamError as error:
            log.error("uplink %s: %s (%s)", section.name, error, error.hint)
            _tell_unusable(section.name, error, clock.now(), on_event)
            continue
        topics = Topics(section.tenant, config.site.gateway)
        links[section.name] = Link(
            section.name, endpoint, topics, house, responder=section.responder, pace=pace
        )
    return links


def _tell_unusable(name: str, error: UpstreamError, now: Stamp, on_event: Callable[[Event], None]) -> None:
    reason, hint = str(error), f"{error.hint}; then: systemctl restart carebed"
    on_event(Event("box_trouble", now, detail={"part": f"uplink {name}", "reason": reason, "hint": hint}))
    on_event(Event("uplink_lost", now, detail={"upstream": name, "reason": reason}))


def _endpoint(section: UpstreamSection) -> Endpoint:
    files: Mapping[str, str | None] = {
        name: str(path) if path else None
        for name, path in (("cert", section.cert_file), ("key", section.key_file))
    }
    tls = tls_context(str(section.ca_file), files["cert"], files["key"]) if section.ca_file else None
    return Endpoint(section.host, section.port, tls)
