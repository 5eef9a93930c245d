"""Facts in, alarms out: the one place where a fact meets worker, rules, minutes, store and whoever watches.

Order for every fact: the rules first (an alarm sounds before anything is written), then the books. An alarm is shown
and sounded at once and committed in parallel; it is published when it is committed or after `PUBLISH_AFTER_S`,
whichever comes first, so that a slow disk never delays help.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from drivers.base import Device
from edge_rules.engine import Engine, Now
from gateway.blocks import LossBook, Owed
from gateway.core.clock import Clock, call_later_real
from gateway.core.model import Alarm, Event, Gap, Measurement, Minute, Mode, SampleBlock, Stamp
from gateway.logs import fields
from gateway.minutes import GRACE_S, MinuteBook
from gateway.readings import BEYOND, Readings, Refusal, is_spot
from gateway.store.database import Store
from gateway.worker_link import WorkerLink

log = logging.getLogger(__name__)

PUBLISH_AFTER_S = 0.2  # real seconds: an SD card's fsync may take longer, a person on the floor may not
GRACE_REAL_S = 1.0  # a demonstration's fast clock does not make the worker faster
RULES_LOOK_BACK_S = 900.0  # a reading that is assigned later than this raises no alarm any more
CATCH_UP_GRACE_S = 150.0  # real time that minutes wait for a worker that has fallen behind; its buffer holds 120 s


class Watcher(Protocol):
    """Who is told of everything as it happens: the read model. Calls return at once."""

    def saw_measurement(self, measurement: Measurement) -> None: ...

    def saw_event(self, event: Event) -> None: ...

    def saw_alarm(self, alarm: Alarm) -> None: ...

    def saw_sign_of_life(self, device: str, at: Stamp, rssi_dbm: int | None) -> None: ...

    def saw_rejection(self, device: str, reason: str, raw: bytes, count: int) -> None: ...

    def saw_loss(self, device: str, channel: str, lost: int) -> None: ...

    def saw_withheld(self, device: str, reasons: Mapping[str, str]) -> None: ...


class Uplink(Protocol):
    """A platform link as far as an alarm is concerned."""

    def alarm(self, alarm: Alarm, seq: int) -> None: ...


class Outputs(Protocol):
    """Whatever sounds beside the bed: carries out what `edge_rules.signals` decided."""

    def show(self, channels: Mapping[str, str]) -> None: ...


class Pipeline:
    """Implements `drivers.base.Sink` towards the drivers and receives the worker's results."""

    def __init__(
        self, clock: Clock, zone: ZoneInfo, mode: Mode, *, devices: Sequence[Device], engine: Engine, store: Store,
        worker: WorkerLink, watcher: Watcher, outputs: Outputs, readings: Readings | None = None,
    ) -> None:  # fmt: skip
        self._clock = clock
        self._zone = zone
        self._mode = mode
        self._beds = {device.id: device.bed for device in devices}
        self._engine = engine
        self._store = store
        self._worker = worker
        self._watcher = watcher
        self._outputs = outputs
        self._readings = readings or Readings()
        self._losses = LossBook(self.gap)
        self._owed = Owed()
        self._minutes = MinuteBook(self._bed_minute, self._losses.add)
        self._rejections: dict[tuple[str, str], tuple[int, bytes]] = {}
        self.uplinks: list[Uplink] = []

    # -- Sink: what drivers say ---------------------------------------------------------------------------------------

    def block(self, block: SampleBlock) -> None:
        if block.bed is None:
            block = replace(block, bed=self._beds.get(block.device))
        self._losses.block(block)
        if block.lost_before:
            self._watcher.saw_loss(block.device, block.channel, block.lost_before)
        self._watcher.saw_sign_of_life(block.device, block.start, None)
        self._owed.fed(block)
        self._worker.feed(block)

    def measurement(self, measurement: Measurement) -> None:
        measurement = replace(measurement, mode=self._mode)
        if refusal := self._readings.refusal(measurement):
            text = f"{measurement.quantity}={measurement.value:g} {measurement.unit} {measurement.record}"
            self._refuse(measurement.device, refusal, text.rstrip())
            return
        self._keep(self._readings.claimed(measurement))

    def event(self, event: Event) -> None:
        event = replace(event, mode=self._mode)
        if refusal := self._readings.event_refusal(event):
            self._refuse(event.device or "", refusal, f"{event.kind} {dict(event.detail)}")
            return
        self._readings.happened(event)
        self._transitions(self._engine.event(event, self.now(event.at)))
        self._watcher.saw_event(event)
        self._store.journal.event(event)

    def rejected(self, device: str, reason: str, raw: bytes, *, count: int = 1) -> None:
        """Counted at once, written once a tick for each device and reason with the last raw bytes."""
        self._watcher.saw_rejection(device, reason, raw, count)
        counted, _ = self._rejections.get((device, reason), (0, b""))
        self._rejections[device, reason] = (counted + count, raw)

    def heard(self, device: str, *, rssi_dbm: int | None = None) -> None:
        self._watcher.saw_sign_of_life(device, self._clock.now(), rssi_dbm)

    # -- what the worker, the store and the uplinks say ---------------------------------------------------------------

    def result(self, result: Measurement | Event) -> None:
        """One answer of the signal worker."""
        if isinstance(result, Measurement):
            self.measurement(result)
        else:
            self.event(result)

    def withheld(self, device: str, reasons: Mapping[str, str]) -> None:
        """Why quantities of a device have no value now, or "" for those that have one again."""
        self._watcher.saw_withheld(device, reasons)

    def gap(self, gap: Gap) -> None:
        """Data that will never come."""
        self._store.journal.gap(gap)

    def answered(self, alarms: Iterable[Alarm]) -> list[asyncio.Future[int]]:
        """Transitions that a person or a platform caused (acknowledged, attended, closed); one commit for each."""
        return self._transitions(alarms)

    def delivered(self, alarms: Iterable[Alarm], *, keep: bool = True) -> None:
        """Proofs of delivery: the same revision has got further. Shown and kept, but no news for a platform."""
        for alarm in alarms:
            self._watcher.saw_alarm(alarm)
            if keep:
                self._store.alarms.progress(alarm)
        self._outputs.show(self._engine.signals(self.now()))

    def assigned(self, measurements: Sequence[Measurement]) -> None:
        """A person has said whose a reading is. Rules look at a fresh one only: nobody is called for last night's."""
        now = self._clock.now()
        for one in measurements:
            same_boot = one.at.boot_id == now.boot_id
            if same_boot and now.since_s(one.at) <= RULES_LOOK_BACK_S:
                self._keep(one)
                continue
            if same_boot:
                self._watcher.saw_measurement(one)
            self._store.journal.observation(one)

    def now(self, receipt: Stamp | None = None) -> Now:
        """The present for the rules: stamp, the site's local time, and when the fact's last byte really came."""
        stamp, anchor = self._clock.now(), self._clock.anchor()
        local = datetime.fromtimestamp(anchor.utc_ns_of(stamp) / 1e9, tz=UTC).astimezone(self._zone)
        known = receipt is not None and receipt.boot_id == stamp.boot_id
        real_ns = self._clock.real_ns_of(receipt) if known and receipt is not None else 0
        return Now(stamp, local, self._clock.real_ns(), real_ns, local_certain=anchor.source != "none")

    # -- the books ----------------------------------------------------------------------------------------------------

    def _keep(self, measurement: Measurement) -> None:
        """A measurement that is one: the rules first, then where it belongs. A limit is no value of a minute."""
        self._transitions(self._engine.measurement(measurement, self.now(measurement.at)))
        self._watcher.saw_measurement(measurement)
        if is_spot(measurement):
            self._store.journal.observation(measurement)
        elif measurement.status not in BEYOND:
            self._minutes.add(measurement)
        if beyond := self._readings.out_of_range(measurement):
            self.event(beyond)
        if measurement.record:  # behind the whole record, in one commit with it: neither lost nor told twice by a crash
            asyncio.get_running_loop().call_soon(self._save_told)

    def _save_told(self) -> None:
        for key, digests in self._readings.unsaved():
            self._store.journal.set_setting(key, digests)

    def _refuse(self, device: str, refusal: Refusal, text: str) -> None:
        if refusal.count:
            self.rejected(device, refusal.reason, text.encode(), count=refusal.count)

    # -- the second hand ----------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Once a second of clock: let durations pass, close what is due and write what was counted."""
        now = self.now()
        self._transitions(self._engine.tick(now))
        for assigned in self._readings.settle(now.stamp):
            self._keep(assigned)
        self._minutes.close_due(now.stamp, grace_s=self._grace_s(now.stamp))
        self._losses.close_due(now.stamp)
        self._save_told()
        self._write_rejections()

    def close(self) -> None:
        """Close every open minute and mark before the store closes."""
        self._save_told()
        self._minutes.close_all()
        self._losses.close_due(self._clock.now(), everything=True)
        self._write_rejections()

    def _grace_s(self, now: Stamp) -> float:
        """A minute stays open until the worker has answered for it: also a worker that is back and still catching up
        must not find it closed."""
        behind_s = self._owed.behind_s(self._worker.state.queued_blocks, now)
        grace_s = max(GRACE_S, GRACE_REAL_S * self._clock.speed)
        return grace_s + min(behind_s, CATCH_UP_GRACE_S * self._clock.speed)

    def _write_rejections(self) -> None:
        for (device, reason), (count, raw) in self._rejections.items():
            self._store.journal.rejected(device, reason, raw, count)
        self._rejections.clear()

    def _bed_minute(self, bed: str, start: Stamp, minutes: Sequence[Minute]) -> None:
        self._store.journal.bed_minute(bed, start, minutes)

    # -- alarms -------------------------------------------------------------------------------------------------------

    def _transitions(self, alarms: Iterable[Alarm]) -> list[asyncio.Future[int]]:
        """Show, sound, commit and publish each transition."""
        commits = [self._transition(alarm) for alarm in alarms]
        if commits:
            self._outputs.show(self._engine.signals(self.now()))
        return commits

    def _transition(self, alarm: Alarm) -> asyncio.Future[int]:
        self._watcher.saw_alarm(alarm)
        about = fields(alarm=alarm.id, rule=alarm.rule, bed=alarm.bed, device=alarm.device)
        log.warning("alarm %s rev %d: %s %s", alarm.id, alarm.rev, alarm.rule, alarm.condition.value, extra=about)
        seq = self._store.alarms.next_seq()
        commit = self._store.alarms.save(alarm, seq)
        publish = _Once(lambda: self._publish(alarm, seq))
        timer = call_later_real(PUBLISH_AFTER_S, publish)
        commit.add_done_callback(lambda done: self._committed(alarm, done, publish, timer))
        return commit

    def _committed(
        self, alarm: Alarm, done: asyncio.Future[int], publish: "_Once", timer: asyncio.TimerHandle
    ) -> None:
        """A commit that failed is the store's to retry and to report; publishing does not wait for it."""
        if not done.cancelled() and done.exception() is None:
            self.delivered(self._engine.stored(alarm.id, self.now()), keep=False)  # that it is stored shows by itself
        timer.cancel()
        publish()

    def _publish(self, alarm: Alarm, seq: int) -> None:
        for uplink in self.uplinks:
            uplink.alarm(alarm, seq)


class _Once:
    """Calls `what` the first time it is called."""

    def __init__(self, what: Callable[[], None]) -> None:
        self._what: Callable[[], None] | None = what

    def __call__(self) -> None:
        what, self._what = self._what, None
        if what is not None:
            what()
