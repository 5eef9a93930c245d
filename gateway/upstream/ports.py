"""What this room needs of the house, as small Protocols that the daemon fills: no import of the store."""

from asyncio import Future
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.core.clock import Clock
from gateway.core.model import Alarm, Event, Stamp
from gateway.upstream.envelope import InvDevice


@dataclass(frozen=True, slots=True)
class Timing:
    """UTC of a stamp as far as it is known now. utc_ms is None when no anchor of that boot exists yet.

    sync: "ntp", "rtc", "platform" or "none".
    """

    utc_ms: int | None
    uncertainty_ms: int
    sync: str


class Row(Protocol):
    """One numbered row of a stream.

    at: receipt; of an alarm the moment of this transition; of a summary the minute's first moment.
    body: Alarm ("alarm"), Measurement or Event ("obs"), the bed's Minutes ("summary"), Event or Gap ("tech").
    """

    @property
    def stream(self) -> str: ...
    @property
    def seq(self) -> int: ...
    @property
    def bed(self) -> str | None: ...
    @property
    def at(self) -> Stamp: ...
    @property
    def body(self) -> object: ...


class Outbox(Protocol):
    """The marks of every upstream, and the rows behind them. Acknowledgements are enqueued; futures tell the commit."""

    async def live(self, upstream: str, stream: str, limit: int) -> Sequence[Row]:
        """Rows after the live mark, lowest number first."""

    def live_acked(self, upstream: str, stream: str, seq: int) -> "Future[None]":
        """Everything up to `seq` since the last `link_up` has been acknowledged."""

    async def link_up(self, upstream: str) -> None:
        """What is not acknowledged becomes backlog; the live mark jumps to the head."""

    async def backlog(self, upstream: str, stream: str, max_rows: int) -> Sequence[Row]:
        """Missed rows, oldest first."""

    def backlog_acked(self, upstream: str, stream: str, seqs: Sequence[int]) -> "Future[None]":
        """These missed rows have been acknowledged."""

    async def manifest(self, upstream: str) -> Mapping[str, Mapping[str, int]]:
        """By stream: lo, hi, acked_hi, pruned_lo, waiting."""

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
    ) -> Sequence[Row]:
        """Rows with after_seq < seq <= hi, of one bed, from <= UTC < to; lowest number first."""


@dataclass(frozen=True, slots=True)
class Birth:
    """What the birth message says of the box. boot_number: boots counted since the box was made."""

    boot_number: int
    software: str
    configuration_rev: int
    rules_rev: int
    rules_sha256: str
    island: bool = False
    modes: tuple[str, ...] = ("ok",)


@dataclass(frozen=True, slots=True)
class Vitals:
    """The box's own health: state by part, numbers by name with unit."""

    parts: Mapping[str, str]
    gauges: Mapping[str, float]


class Reader(Protocol):
    """What is read through the read model."""

    def birth(self) -> Birth: ...
    def inventory(self) -> tuple[int, Sequence[InvDevice]]:
        """Revision and devices."""

    def health(self) -> Vitals: ...
    async def open_alarms(self) -> Sequence[Row]:
        """The newest row of every alarm that is still open."""

    async def alarm(self, alarm_id: str) -> Row | None:
        """The newest row of an alarm, None when it is unknown."""


class Asks(Protocol):
    """What an upstream may ask of the house.

    The coroutines return the alarm after the change, committed; None when it is unknown; ValueError with the reason
    when the house declines (an outcome that is none, an alarm that is closed already).
    """

    def published(self, alarm_id: str, rev: int, upstream: str) -> None:
        """The broker took it and somebody subscribes."""

    def undelivered(self, alarm_id: str, rev: int, upstream: str, reason: str) -> None:
        """The broker took it for nobody (no matching subscribers) or refused it: the local ladder must start now."""

    async def received(self, alarm_id: str, rev: int, upstream: str) -> Alarm | None: ...
    async def acknowledge(self, alarm_id: str, by: str, note: str, via: str) -> Alarm | None: ...
    async def close(self, alarm_id: str, outcome: str, by: str, via: str) -> Alarm | None: ...


class Replies(Protocol):
    """Commands commit before they act, and a repeat within 24 h gets the first reply, by `key`."""

    async def begin(self, key: str, verb: str, payload: bytes) -> bytes | None:
        """Commit the command; the reply it was given before, None when it has none yet and is to be carried out."""

    async def finish(self, key: str, reply: bytes) -> None:
        """Keep the reply."""


def _ignore(_: Event) -> None:
    """For a house that keeps no events."""


@dataclass(frozen=True, slots=True)
class House:
    """Everything a link needs, in one hand. when: UTC of a stamp.

    on_event hears uplink_lost, uplink_back and uplink_taken_over.
    """

    clock: Clock
    outbox: Outbox
    reader: Reader
    asks: Asks
    replies: Replies
    when: Callable[[Stamp], Timing]
    on_event: Callable[[Event], None] = field(default=_ignore)
