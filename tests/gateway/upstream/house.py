"""A small house around a link: outbox and alarms in memory, with the semantics of `gateway.store.outbox`."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random

import numpy as np

from gateway.core.clock import Clock, SystemClock
from gateway.core.model import (
    Acknowledgement,
    Alarm,
    Condition,
    Delivery,
    Event,
    Gap,
    Kind,
    Measurement,
    Minute,
    Mode,
    Priority,
    SignalState,
    Stamp,
)
from gateway.upstream.envelope import InvDevice
from gateway.upstream.ports import Birth, House, Row, Timing, Vitals
from gateway.upstream.topics import STREAMS

BED = "b-7Q4MZ2K9"


@dataclass(frozen=True, slots=True)
class MemoryRow:
    stream: str
    seq: int
    bed: str | None
    at: Stamp
    body: Alarm | Measurement | Event | Gap | tuple[Minute, ...]


@dataclass(slots=True)
class _Marks:
    live: int = 0
    missed: list[int] = field(default_factory=list)


class MemoryOutbox:
    """Rows and marks in lists; commits at once."""

    def __init__(self, when: "MemoryHouse") -> None:
        self.rows: dict[str, list[MemoryRow]] = {stream: [] for stream in STREAMS}
        self._marks: dict[tuple[str, str], _Marks] = {}
        self._house = when
        self.live_acks: list[tuple[str, int]] = []
        self.backlog_acks: list[tuple[str, int]] = []

    def _of(self, upstream: str, stream: str) -> _Marks:
        return self._marks.setdefault((upstream, stream), _Marks())

    def head(self, stream: str) -> int:
        return self.rows[stream][-1].seq if self.rows[stream] else 0

    async def live(self, upstream: str, stream: str, limit: int) -> Sequence[MemoryRow]:
        mark = self._of(upstream, stream).live
        return [row for row in self.rows[stream] if row.seq > mark][:limit]

    def live_acked(self, upstream: str, stream: str, seq: int) -> "asyncio.Future[None]":
        marks = self._of(upstream, stream)
        self.live_acks.append((stream, seq))
        if seq > marks.live:
            marks.live = seq
        elif seq in marks.missed:
            marks.missed.remove(seq)
        return _done()

    async def link_up(self, upstream: str) -> None:
        for stream in STREAMS:
            marks = self._of(upstream, stream)
            marks.missed += [row.seq for row in self.rows[stream] if row.seq > marks.live]
            marks.live = max(marks.live, self.head(stream))

    async def backlog(self, upstream: str, stream: str, max_rows: int) -> Sequence[MemoryRow]:
        missed = set(self._of(upstream, stream).missed[:max_rows])
        return [row for row in self.rows[stream] if row.seq in missed]

    def backlog_acked(self, upstream: str, stream: str, seqs: Sequence[int]) -> "asyncio.Future[None]":
        marks = self._of(upstream, stream)
        self.backlog_acks += [(stream, seq) for seq in seqs]
        marks.missed = [seq for seq in marks.missed if seq not in set(seqs)]
        return _done()

    async def manifest(self, upstream: str) -> dict[str, dict[str, int]]:
        found = {}
        for stream in STREAMS:
            marks, rows = self._of(upstream, stream), self.rows[stream]
            lo = rows[0].seq if rows else 0
            found[stream] = {
                "lo": lo,
                "hi": self.head(stream),
                "acked_hi": min(marks.missed) - 1 if marks.missed else marks.live,
                "pruned_lo": lo,
                "waiting": len(marks.missed) + len([row for row in rows if row.seq > marks.live]),
            }
        return found

    async def range(
        self,
        stream: str,
        after_seq: int,
        limit: int,
        *,
        bed: str | None = None,
        from_utc_ms: int | None = None,
        to_utc_ms: int | None = None,
        hi: int | None = None,
    ) -> Sequence[MemoryRow]:
        def wanted(row: MemoryRow) -> bool:
            utc_ms = self._house.when(row.at).utc_ms
            assert utc_ms is not None
            return (
                after_seq < row.seq
                and (hi is None or row.seq <= hi)
                and (bed is None or row.bed == bed)
                and (from_utc_ms is None or from_utc_ms <= utc_ms)
                and (to_utc_ms is None or utc_ms < to_utc_ms)
            )

        return [row for row in self.rows[stream] if wanted(row)][:limit]


def _done() -> "asyncio.Future[None]":
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.set_result(None)
    return future


class MemoryHouse:
    """Store, engine, read model and commands in one hand; `port` is what a link is given."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self.outbox = MemoryOutbox(self)
        self.random = Random(3)
        self.events: list[Event] = []
        self.calls: list[tuple[str, str, int]] = []
        self.received_at_ns: dict[str, int] = {}
        self.undelivered_reasons: list[str] = []
        self.acknowledgements = 0
        self.received_event = asyncio.Event()
        self.kept: dict[str, bytes | None] = {}
        self.devices = [InvDevice(dev="belt-0A3F", kind="bed_belt", model="open-belt", link="belt-1", bed=BED)]
        self.port = House(
            clock=self.clock,
            outbox=self.outbox,
            reader=self,
            asks=self,
            replies=self,
            when=self.when,
            on_event=self.events.append,
        )

    def when(self, at: Stamp) -> Timing:
        anchor = self.clock.anchor()
        return Timing(anchor.utc_ns_of(at) // 1_000_000, anchor.uncertainty_ns // 1_000_000, anchor.source)

    # Reader

    def birth(self) -> Birth:
        return Birth(41, "0.1.0", 17, 9, "ab" * 32)

    def inventory(self) -> tuple[int, Sequence[InvDevice]]:
        return 88, self.devices

    def health(self) -> Vitals:
        return Vitals({"store": "ready"}, {"queue_rows": 3.0})

    async def open_alarms(self) -> Sequence[Row]:
        newest = {row.body.id: row for row in self.outbox.rows["alarm"] if isinstance(row.body, Alarm)}
        return [row for row in newest.values() if isinstance(row.body, Alarm) and row.body.open]

    async def alarm(self, alarm_id: str) -> MemoryRow | None:
        rows = [row for row in self.outbox.rows["alarm"] if isinstance(row.body, Alarm) and row.body.id == alarm_id]
        return rows[-1] if rows else None

    # Asks

    def published(self, alarm_id: str, rev: int, upstream: str) -> None:
        self.calls.append(("published", alarm_id, rev))

    def undelivered(self, alarm_id: str, rev: int, upstream: str, reason: str) -> None:
        self.calls.append(("undelivered", alarm_id, rev))
        self.undelivered_reasons.append(reason)

    async def received(self, alarm_id: str, rev: int, upstream: str) -> Alarm | None:
        self.calls.append(("received", alarm_id, rev))
        self.received_at_ns.setdefault(alarm_id, self.clock.real_ns())
        self.received_event.set()
        row = await self.alarm(alarm_id)
        return row.body if row is not None and isinstance(row.body, Alarm) else None

    async def acknowledge(self, alarm_id: str, by: str, note: str, via: str) -> Alarm | None:
        self.acknowledgements += 1
        ack = Acknowledgement(by, self.clock.now(), note, via)
        return await self._change(alarm_id, lambda old: replace(old, rev=old.rev + 1, acknowledgement=ack))

    async def close(self, alarm_id: str, outcome: str, by: str, via: str) -> Alarm | None:
        if outcome == "nonsense":
            raise ValueError("outcome 'nonsense' is none")
        now = self.clock.now()
        return await self._change(alarm_id, lambda old: replace(old, rev=old.rev + 1, outcome=outcome, closed=now))

    async def _change(self, alarm_id: str, change: Callable[[Alarm], Alarm]) -> Alarm | None:
        row = await self.alarm(alarm_id)
        if row is None or not isinstance(row.body, Alarm):
            return None
        changed = change(row.body)
        self.keep("alarm", changed, changed.bed)
        return changed

    # Replies

    async def begin(self, key: str, verb: str, payload: bytes) -> bytes | None:
        return self.kept.setdefault(key, None)

    async def finish(self, key: str, reply: bytes) -> None:
        self.kept[key] = reply

    # What happens in the house

    def keep(
        self, stream: str, body: Alarm | Measurement | Event | Gap | tuple[Minute, ...], bed: str | None = BED
    ) -> int:
        """Store a row, return its number."""
        seq = self.outbox.head(stream) + 1
        self.outbox.rows[stream].append(MemoryRow(stream, seq, bed, self.clock.now(), body))
        return seq

    def keep_summary(self) -> int:
        return self.keep("summary", summary(self.clock.now(), self.random))


def summary(start: Stamp, random: Random, bed: str = BED) -> tuple[Minute, ...]:
    """A sleeper's minute of five quantities, with noise from one minute to the next and now and then lost seconds."""
    column = np.full(60, np.nan, np.float32)
    minutes = []
    for name, low in _LEVELS:
        mean, n = low + random.gauss(0.0, 1.5), 60 if random.random() < 0.8 else random.randint(30, 59)
        least, most = mean - random.expovariate(0.5), mean + random.expovariate(0.3)
        minutes.append(Minute(bed, name, start, n, least, mean, most, n / 60 * random.uniform(0.85, 1.0), column))
    return tuple(minutes)


_LEVELS = (
    ("heart_rate", 58.0),
    ("respiration_rate", 14.0),
    ("movement", 0.2),
    ("bed_occupied", 1.0),
    ("bed_load", 60.0),
)


def alarm(
    clock: Clock,
    name: str = "sos",
    *,
    rev: int = 1,
    bed: str | None = BED,
    priority: Priority = Priority.HIGH,
    delivery: Delivery = Delivery.RAISED,
) -> Alarm:
    """A latching alarm, one minute after its onset."""
    now = clock.now()
    return Alarm(
        id=f"a-{name}",
        rev=rev,
        rule="sos_pressed",
        rule_rev=4,
        kind=Kind.PHYSIOLOGICAL,
        priority=priority,
        condition=Condition.ACTIVE,
        onset=now.plus_s(-60.0),
        raised=now,
        bed=bed,
        device="btn-1",
        latch=True,
        signal={"buzzer": SignalState.ON, "platform": SignalState.ON},
        delivery=delivery,
        values={"heart_rate": 128.4},
        quality=0.86,
        mode=Mode.REAL,
        trace={"receipt": clock.real_ns()},
    )
