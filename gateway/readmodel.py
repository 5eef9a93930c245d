"""The only thing that command line, page, provisioning and upstream may read: live state by id, history by query.

Fed by plain calls of the pipeline (`saw_...`), which return at once; everything kept here is bounded by the number of
beds, devices and parts, or by the constants below.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from drivers.base import Device
from gateway.air import NOTHING, Air, AirState
from gateway.core.clock import UNKNOWN_UNCERTAINTY_NS, Clock
from gateway.core.model import Alarm, Condition, Event, Gap, Measurement, Minute, Mode, Stamp
from gateway.core.night import Night
from gateway.devicebook import DeviceBook
from gateway.pair_state import PairState
from gateway.process import Usage
from gateway.store.rows import TECHNICAL
from gateway.unassigned import OpenReading
from gateway.views import (
    AlarmState,
    BedState,
    BlindRule,
    DeviceState,
    Health,
    Inventory,
    Part,
    UplinkState,
    Value,
    Ward,
    alarm_state_of,
    happening_of,
    part_told,
    stream_state_of,
    uplink_told,
    value_of,
)

CLOSED_KEPT = 200  # newest closed alarms held in memory; older ones are asked of the store
RANK = {"high": 0, "medium": 1, "low": 2}


class Bed(Protocol):
    """A bed as the registry has it."""

    @property
    def id(self) -> str: ...
    @property
    def room(self) -> str: ...
    @property
    def profile(self) -> str: ...


class History(Protocol):
    """What is asked of the store."""

    async def alarms(self, limit: int, bed: str | None) -> Sequence[Alarm]:
        """Newest state of each alarm, open or closed, newest first."""

    async def minutes(
        self, bed: str, quantity: str, from_: Stamp | None, to: Stamp | None, limit: int
    ) -> Sequence[Minute]: ...
    async def gaps(self, limit: int) -> Sequence[Gap]: ...
    async def counts(self) -> Mapping[str, int]: ...
    async def manifest(self, upstream: str) -> Mapping[str, Mapping[str, int]]:
        """By stream: lo, hi, acked_hi, pruned_lo, and waiting where the store counts it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this box is."""

    gateway: str
    site: str
    version: str
    mode: Mode


@dataclass(slots=True)
class _State:
    state: str
    reason: str
    since: Stamp


class ReadModel:
    """One for the house. when: UTC in ns of a stamp of any boot, None where no anchor times it."""

    def __init__(
        self, clock: Clock, identity: Identity, history: History, *, when: Callable[[Stamp], int | None] | None = None
    ) -> None:
        self.identity = identity
        self.history = history
        self.revision = 0
        self._clock = clock
        self._when = when or self._by_own_anchor
        self._started = clock.now()
        self._usage = Usage(clock)
        self._beds: dict[str, Bed] = {}
        self._rooms: dict[str, str] = {}
        self._inventory_rev = 0
        self.devicebook = DeviceBook(clock, self._when)
        self._air: Air = lambda: NOTHING
        self._unassigned: Callable[[], Sequence[OpenReading]] = tuple
        self._pairing: Callable[[], PairState] = PairState
        self._blind: Callable[[], Sequence[tuple[str, str, str]]] = tuple
        self._values: dict[tuple[str | None, str], dict[str, Measurement]] = {}
        self._last_event: dict[str, Event] = {}
        self._nights: dict[str, Night] = {}
        self._open: dict[str, Alarm] = {}
        self._closed: deque[Alarm] = deque(maxlen=CLOSED_KEPT)  # the oldest goes; the store has them all
        self._parts: dict[str, _State] = {}
        self._uplinks: dict[str, _State] = {}
        self._gauges: dict[str, Callable[[], float]] = {}
        self._waiting: set[asyncio.Future[None]] = set()  # one for each open stream of a page, which the page limits

    # -- fed by the daemon and the pipeline ---------------------------------------------------------------------------

    def set_inventory(
        self, beds: Sequence[Bed], devices: Sequence[Device], rev: int, rooms: Mapping[str, str] | None = None
    ) -> None:
        """The registry as it is now; what is known of devices that stay is kept. rooms: name by id."""
        self._rooms = dict(rooms or {})
        self._beds = {bed.id: bed for bed in beds}
        self.devicebook.set_devices(devices)
        self._inventory_rev = rev
        self._changed()

    def set_uplinks(self, names: Sequence[str]) -> None:
        """The platforms of the configuration, none of them connected yet."""
        self._uplinks = {name: _State("connecting", "", self._clock.now()) for name in names}
        self._changed()

    def watch_gauge(self, name: str, read: Callable[[], float]) -> None:
        """Show a number that its owner holds: depth of a queue, free disk space."""
        self._gauges[name] = read

    def watch_blind(self, read: Callable[[], Sequence[tuple[str, str, str]]]) -> None:
        """Show which rules see nothing: (rule, bed, quantity), as the engine says."""
        self._blind = read

    def watch_air(self, read: Air) -> None:
        """Show what the radios have heard lately."""
        self._air = read

    def watch_unassigned(self, read: Callable[[], Sequence[OpenReading]]) -> None:
        """Show the readings that are nobody's."""
        self._unassigned = read

    def watch_pairing(self, read: Callable[[], PairState]) -> None:
        """Show how far the newest pairing is."""
        self._pairing = read

    def saw_measurement(self, measurement: Measurement) -> None:
        """A value older than the one known (the worker replays what it missed) does not become the newest."""
        known = self._values.setdefault((measurement.bed, measurement.quantity), {})
        if measurement.device not in known or known[measurement.device].at <= measurement.at:
            known[measurement.device] = measurement
        self.devicebook.measured(measurement)
        self.devicebook.heard(measurement.device, measurement.at)
        self._changed()

    def saw_event(self, event: Event) -> None:
        if event.bed is not None and event.kind not in TECHNICAL:
            self._last_event[event.bed] = event
        if event.device is not None:
            self.devicebook.happened(event)
        if told := uplink_told(event):
            self.saw_uplink(*told)
        if told := part_told(event):
            self.saw_state(*told)
        self._changed()

    def saw_night(self, night: Night) -> None:
        """The newest night of a bed."""
        self._nights[night.bed] = night
        self._changed()

    def saw_alarm(self, alarm: Alarm) -> None:
        """A transition, or an open alarm found again at start."""
        if alarm.condition is Condition.PENDING:
            return
        if alarm.open:
            self._open[alarm.id] = alarm
        else:
            self._open.pop(alarm.id, None)
            for known in [old for old in self._closed if old.id == alarm.id]:
                self._closed.remove(known)
            self._closed.append(alarm)
        self._changed()

    def saw_sign_of_life(self, device: str, at: Stamp, rssi_dbm: int | None) -> None:
        if rssi_dbm is not None:
            self.devicebook.signal(device, rssi_dbm)
        if self.devicebook.heard(device, at):
            self._changed()

    def saw_rejection(self, device: str, reason: str, raw: bytes, count: int) -> None:
        self.devicebook.rejected(device, reason, raw, count)
        self._changed()

    def saw_loss(self, device: str, channel: str, lost: int) -> None:
        self.devicebook.lost(device, channel, lost)
        self._changed()

    def saw_withheld(self, device: str, reasons: Mapping[str, str]) -> None:
        """Why quantities of a device have no value now, "" for one that has."""
        self.devicebook.withheld(device, reasons)
        self._changed()

    def saw_state(self, part: str, state: str, detail: str = "") -> None:
        """State of a part of the box: "worker" is "starting", "ready", "degraded" or "dead"."""
        self._keep(self._parts, part, state, detail)

    def saw_uplink(self, name: str, state: str, reason: str = "") -> None:
        """State of one platform's link: "connecting", "up" or "lost"."""
        if name in self._uplinks:
            self._keep(self._uplinks, name, state, reason)

    # -- read by everyone ---------------------------------------------------------------------------------------------

    async def wait(self, after: int) -> int:
        """The revision, as soon as it is above `after`."""
        while self.revision <= after:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(future)
            try:
                await future
            finally:
                self._waiting.discard(future)
        return self.revision

    def ward(self) -> Ward:
        alarms = self.open_alarms()
        return Ward(
            site=self.identity.site,
            gateway=self.identity.gateway,
            mode=self.identity.mode.value,
            utc_ms=self._utc_ms(self._clock.now()),
            revision=self.revision,
            beds=tuple(self._bed(bed, alarms) for bed in self._beds.values()),
            box_alarms=tuple(alarm for alarm in alarms if alarm.bed not in self._beds),
            open_alarms=len(alarms),
        )

    def bed(self, bed: str) -> BedState | None:
        """None for a bed that is not registered."""
        return self._bed(self._beds[bed], self.open_alarms()) if bed in self._beds else None

    def night(self, bed: str) -> Night | None:
        """The last night in this bed; None before the first one."""
        return self._nights.get(bed) if bed in self._beds else None

    def open_alarms(self) -> tuple[AlarmState, ...]:
        """Unanswered before answered, by priority, newest first; without those that another alarm explains."""
        alarms = [self._alarm(alarm) for alarm in self._open.values() if not alarm.hidden_by]
        alarms.sort(key=lambda alarm: alarm.raised_utc_ms or 0, reverse=True)
        alarms.sort(key=lambda alarm: (alarm.acknowledged_by is not None, RANK[alarm.priority]))
        return tuple(alarms)

    def find_alarm(self, alarm_id: str) -> Alarm | None:
        """The newest state as far as it is in memory."""
        known = self._open.get(alarm_id)
        return known or next((alarm for alarm in self._closed if alarm.id == alarm_id), None)

    def alarm(self, alarm_id: str) -> AlarmState | None:
        """None for an alarm that is unknown or older than what is kept in memory."""
        alarm = self.find_alarm(alarm_id)
        return self._alarm(alarm) if alarm else None

    async def alarms(self, limit: int = 50, bed: str | None = None) -> tuple[AlarmState, ...]:
        """Open ones first, then the newest of the rest as stored."""
        shown = [alarm for alarm in self.open_alarms() if bed in (None, alarm.bed)]
        known = {alarm.id for alarm in shown}
        stored = {alarm.id: alarm for alarm in await self.history.alarms(limit, bed)}
        hidden = [alarm for alarm in self._open.values() if alarm.hidden_by and bed in (None, alarm.bed)]
        newest = {**{alarm.id: alarm for alarm in hidden}, **stored}
        shown += [self._alarm(self.find_alarm(name) or newest[name]) for name in newest if name not in known]
        return tuple(shown[:limit])

    def devices(self) -> tuple[DeviceState, ...]:
        return self.devicebook.states()

    def air(self) -> AirState:
        """Each radio with what it has heard lately."""
        return self._air()

    def pairing(self) -> PairState:
        """The newest pairing; its device is "" before the first one."""
        return self._pairing()

    def unassigned(self) -> tuple[OpenReading, ...]:
        """Readings that nobody has claimed, newest first."""
        return tuple(self._unassigned())

    def blind(self) -> tuple[BlindRule, ...]:
        """Rules that see nothing in a bed, each once."""
        found = dict.fromkeys(BlindRule(*one) for one in self._blind())
        return tuple(one for one in found if one.bed in self._beds)

    def inventory(self) -> Inventory:
        return Inventory(
            self._inventory_rev, self.identity.site, self.identity.gateway, tuple(self._beds), self.devices()
        )

    def health(self) -> Health:
        now, anchor = self._clock.now(), self._clock.anchor()
        synced = anchor.uncertainty_ns < UNKNOWN_UNCERTAINTY_NS
        return Health(
            gateway=self.identity.gateway,
            site=self.identity.site,
            version=self.identity.version,
            mode=self.identity.mode.value,
            boot_id=now.boot_id,
            uptime_s=now.since_s(self._started),
            utc_ms=anchor.utc_ns_of(now) // 1_000_000,
            clock_source=anchor.source,
            clock_uncertainty_s=anchor.uncertainty_ns / 1e9 if synced else None,
            clock_speed=self._clock.speed,
            rss_bytes=self._usage.rss_bytes(),
            cpu_percent=self._usage.cpu_percent(),
            parts=tuple(
                Part(name, part.state, part.reason, now.since_s(part.since)) for name, part in self._parts.items()
            ),
            gauges={name: read() for name, read in self._gauges.items()},
        )

    async def uplinks(self) -> tuple[UplinkState, ...]:
        now = self._clock.now()
        return tuple([
            UplinkState(
                name,
                link.state,
                link.reason,
                now.since_s(link.since),
                {stream: stream_state_of(marks) for stream, marks in (await self.history.manifest(name)).items()},
            )
            for name, link in list(self._uplinks.items())
        ])

    # -- inside -------------------------------------------------------------------------------------------------------

    def _changed(self) -> None:
        self.revision += 1
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    def _keep(self, states: dict[str, _State], name: str, state: str, reason: str) -> None:
        known = states.get(name)
        if known is None or (known.state, known.reason) != (state, reason):
            since = known.since if known and known.state == state else self._clock.now()
            states[name] = _State(state, reason, since)
            self._changed()

    def _bed(self, bed: Bed, alarms: Sequence[AlarmState]) -> BedState:
        quantities = sorted(quantity for owner, quantity in self._values if owner == bed.id)
        values = {quantity: self._value(bed.id, quantity) for quantity in quantities}
        occupied = values.get("bed_occupied")
        last = self._last_event.get(bed.id)
        return BedState(
            id=bed.id,
            room=self._rooms.get(bed.room, bed.room),
            profile=bed.profile,
            occupied=None if occupied is None or occupied.stale else occupied.value >= 0.5,
            heart=values.get("heart_rate"),
            respiration=values.get("respiration_rate"),
            values=tuple(value for value in values.values() if value),
            last_event=happening_of(last, self._clock.now(), self._utc_ms) if last else None,
            alarms=tuple(alarm for alarm in alarms if alarm.bed == bed.id),
            devices=self.devicebook.states(bed.id),
        )

    def _value(self, bed: str | None, quantity: str) -> Value | None:
        """Of several devices the fresh one of best quality; a contact of the bed itself before what is derived."""
        shown = [value_of(known, self._clock.now()) for known in self._values.get((bed, quantity), {}).values()]
        if not shown:
            return None
        contact = quantity == "bed_occupied"
        return min(
            shown, key=lambda value: (value.stale, contact and value.origin != "device", -value.quality, value.age_s)
        )

    def _alarm(self, alarm: Alarm) -> AlarmState:
        bed = self._beds.get(alarm.bed or "")
        room = self._rooms.get(bed.room, bed.room) if bed else None
        return alarm_state_of(alarm, room, self._clock.now(), self._utc_ms)

    def _by_own_anchor(self, at: Stamp) -> int | None:
        anchor = self._clock.anchor()
        return anchor.utc_ns_of(at) if at.boot_id == anchor.boot_id else None

    def _utc_ms(self, at: Stamp) -> int | None:
        utc_ns = self._when(at)
        return None if utc_ns is None else utc_ns // 1_000_000
