"""What a platform may ask and what the house answers, one function for each verb.

A function gets its decoded arguments and yields answers: one for a command or a document, one for each page of a read.
It raises RefusalError for anything it will not do.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import Struct

from gateway.core.model import Alarm
from gateway.upstream import paging
from gateway.upstream.envelope import (
    AlarmAck,
    AlarmClose,
    AlarmReceived,
    AlarmState,
    Backlog,
    Health,
    Inventory,
    Nothing,
    Query,
    Result,
    StreamMarks,
    encode,
)
from gateway.upstream.lanes import Lane
from gateway.upstream.ports import House, Row
from gateway.upstream.translate import message_of


@dataclass(frozen=True, slots=True)
class Answer:
    """One reply message. plain: JSON before deflate; user: user properties beside `st`."""

    st: int
    payload: bytes
    user: Mapping[str, str] = field(default_factory=dict)
    lane: Lane = Lane.REPLY


class RefusalError(Exception):
    """A request that is answered with a status and a text, and not carried out."""

    def __init__(self, st: int, text: str, *, retry_s: float | None = None, alarm: AlarmState | None = None) -> None:
        super().__init__(text)
        self.st = st
        self.text = text
        self.retry_s = retry_s
        self.alarm = alarm


@dataclass(frozen=True, slots=True)
class Asked:
    """What a verb's function may use. upstream: who asks; page_bytes: the longest payload of a page;
    sent_rev: the newest revision of an alarm that this upstream was sent, None when it was sent none."""

    upstream: str
    house: House
    page_bytes: int
    sent_rev: Callable[[str], int | None]


Run = Callable[[Asked, Any], AsyncIterator[Answer]]


@dataclass(frozen=True, slots=True)
class Verb:
    """care: changes an alarm's course: only a responder's counts, and a repeat gets the first reply again."""

    name: str
    args: type[Struct]
    run: Run
    care: bool = False


def _reads(name: str, stream: str) -> Verb:
    async def run(asked: Asked, query: Query) -> AsyncIterator[Answer]:
        marks = (await asked.house.outbox.manifest(asked.upstream)).get(stream, {})
        try:
            state = paging.start(stream, query, marks.get("hi", 0))
        except ValueError as error:
            raise RefusalError(400, str(error)) from None
        if query.cursor is None and query.after is not None and query.after + 1 < marks.get("pruned_lo", 0):
            raise RefusalError(410, f"rows up to {marks['pruned_lo'] - 1} are pruned, {query.after + 1} was asked for")
        async for page in paging.read(asked.house.outbox, asked.house.when, state, query, asked.page_bytes):
            yield _page_answer(page)

    return Verb(name, Query, run)


def _page_answer(page: paging.PulledPage) -> Answer:
    user = {"page": str(page.number)}
    if page.packed.deflated:
        user["enc"] = "deflate"
    if page.cursor is not None:
        return Answer(206, page.packed.wire, {**user, "cursor": page.cursor}, Lane.PULL)
    return Answer(200, page.packed.wire, {**user, "rows": str(page.rows), "sha256": page.digest}, Lane.PULL)


async def _inventory(asked: Asked, _: Nothing) -> AsyncIterator[Answer]:
    rev, devices = asked.house.reader.inventory()
    yield Answer(200, encode(Inventory(rev=rev, devices=list(devices))))


async def _health(asked: Asked, _: Nothing) -> AsyncIterator[Answer]:
    yield Answer(200, encode(health_of(asked.house)))


def health_of(house: House) -> Health:
    """The box's own health, as it is published every five minutes and pulled."""
    now = house.clock.now()
    timing, vitals = house.when(now), house.reader.health()
    return Health(
        boot=now.boot_id,
        m=now.mono_ns // 1_000_000,
        t=timing.utc_ms,
        tu=timing.uncertainty_ms,
        sync=timing.sync,
        parts=dict(vitals.parts),
        gauges=dict(vitals.gauges),
    )


async def _backlog(asked: Asked, _: Nothing) -> AsyncIterator[Answer]:
    manifest = await asked.house.outbox.manifest(asked.upstream)
    marks = {stream: msgspec.convert(dict(values), StreamMarks) for stream, values in manifest.items()}
    yield Answer(200, encode(Backlog(streams=marks)))


async def _received(asked: Asked, args: AlarmReceived) -> AsyncIterator[Answer]:
    alarm = await asked.house.asks.received(args.alarm_id, args.rev, asked.upstream)
    yield _done("alarm.received", args.alarm_id, alarm)


async def _acknowledge(asked: Asked, args: AlarmAck) -> AsyncIterator[Answer]:
    row = await _known(asked, args.alarm_id)
    state = message_of(row, asked.house.when)
    assert isinstance(state, AlarmState)
    newest = asked.sent_rev(args.alarm_id)
    if args.rev < (state.rev if newest is None else newest):
        raise RefusalError(409, f"revision {args.rev} is stale, the alarm is at {state.rev}", alarm=state)
    alarm = await _ask(asked.house.asks.acknowledge(args.alarm_id, args.by, args.note, asked.upstream))
    yield _done("alarm.ack", args.alarm_id, alarm)


async def _close(asked: Asked, args: AlarmClose) -> AsyncIterator[Answer]:
    await _known(asked, args.alarm_id)
    alarm = await _ask(asked.house.asks.close(args.alarm_id, args.outcome, args.by, asked.upstream))
    yield _done("alarm.close", args.alarm_id, alarm)


async def _known(asked: Asked, alarm_id: str) -> Row:
    row = await asked.house.reader.alarm(alarm_id)
    if row is None:
        raise _unknown(alarm_id)
    return row


async def _ask(asking: Awaitable[Alarm | None]) -> Alarm | None:
    try:
        return await asking
    except ValueError as error:
        raise RefusalError(422, str(error)) from None


def _unknown(alarm_id: str) -> RefusalError:
    return RefusalError(404, f"no alarm {alarm_id!r} is known here")


def _done(verb: str, alarm_id: str, alarm: Alarm | None) -> Answer:
    if alarm is None:
        raise _unknown(alarm_id)
    return Answer(200, encode(Result(verb=verb, st=200, rev=alarm.rev)))


VERBS: Mapping[str, Verb] = {
    verb.name: verb
    for verb in (
        _reads("summaries.read", "summary"),
        _reads("obs.read", "obs"),
        _reads("alarms.read", "alarm"),
        _reads("tech.read", "tech"),
        Verb("inventory.read", Nothing, _inventory),
        Verb("health.read", Nothing, _health),
        Verb("backlog.read", Nothing, _backlog),
        Verb("alarm.received", AlarmReceived, _received, care=True),
        Verb("alarm.ack", AlarmAck, _acknowledge, care=True),
        Verb("alarm.close", AlarmClose, _close, care=True),
    )
}
