"""The platform's end of the wire: receive, say `received`, acknowledge, pull and verify. The reference for platforms.

It follows every gateway of one tenant. A row counts once, by (gateway, stream, number), however often it comes.
"""

import asyncio
import hashlib
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import SystemRandom

import msgspec

from gateway.core.clock import Clock
from gateway.core.errors import ProtocolError, UpstreamError
from gateway.upstream.endpoint import BrokerError, Endpoint, Inbound
from gateway.upstream.envelope import (
    AlarmAck,
    AlarmClose,
    AlarmReceived,
    AlarmState,
    Anything,
    Backfill,
    Event,
    Health,
    Inventory,
    Page,
    PlatformState,
    State,
    decode,
    encode,
)
from gateway.upstream.lanes import Pace, wait_for
from gateway.upstream.pages import messages_of, unpack
from gateway.upstream.seen import Record, Seen
from gateway.upstream.topics import ROOT, Topics, parse, platform_state
from gateway.upstream.wire import Connection

RETRIES = 8  # of one pull: each waits for `reply_s`
RETRY_S = 1.0  # between connections, drawn at random up to this: there is one platform, not a city

log = logging.getLogger("carebed.platform")


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply. st: as in the user property; message: decoded, or the page; user: all user properties."""

    st: int
    message: Anything
    user: Mapping[str, str]
    plain: bytes


@dataclass(slots=True)
class Pulled:
    """A whole read. verified: the gateway's row count and chained SHA-256 agree with what came."""

    rows: list[Event] = field(default_factory=list)
    pages: int = 0
    requests: int = 0
    wire_bytes: int = 0
    verified: bool = False


@dataclass(slots=True)
class Gateway:
    """What is known of one gateway. on: by birth, clean end and will; a will of an earlier boot is ignored."""

    state: State | None = None
    inventory: Inventory | None = None
    health: Health | None = None
    alarms: dict[str, AlarmState] = field(default_factory=dict)
    states: list[State] = field(default_factory=list)

    @property
    def on(self) -> bool:
        return self.state is not None and self.state.on


def _nothing(_: object) -> None:
    """For a platform whose owner does not listen."""


class Platform:
    """One client. `run` until cancelled; the rest on the same loop.

    on_record: every event, live or late. on_state: (gateway, state). receives: answer each alarm with `alarm.received`.
    backfill: how fast missed rows are wanted, None leaves the gateways their own pace.
    """

    def __init__(
        self,
        clock: Clock,
        endpoint: Endpoint,
        tenant: str,
        *,
        client: str = "platform",
        receives: bool = True,
        backfill: Backfill | None = None,
        pace: Pace | None = None,
        reply_s: float = 10.0,
        on_record: Callable[[Record], None] = _nothing,
        on_state: Callable[[tuple[str, State]], None] = _nothing,
    ) -> None:
        self.seen = Seen()
        self.gateways: dict[str, Gateway] = {}
        self.connected = asyncio.Event()
        self._clock = clock
        self._endpoint = endpoint
        self._tenant = tenant
        self._client = client
        self._receives = receives
        self._backfill = backfill
        self._pace = pace or Pace()
        self._reply_s = reply_s
        self._on_record = on_record
        self._on_state = on_state
        self._connection: Connection | None = None
        self._waiting: dict[bytes, asyncio.Queue[tuple[Inbound, Reply | None]]] = {}

    async def run(self) -> None:
        """Connect, follow, reconnect; cancelled, it says that it goes."""
        while True:
            connection = Connection(
                self._endpoint, self._client, self._clock, self._heard, pace=self._pace, manual_ack=False
            )
            try:
                await connection.open()
                await self._follow(connection)
            except BrokerError as error:
                log.warning("%s; %s", error, error.hint)
            except asyncio.CancelledError:
                if self.connected.is_set():
                    await asyncio.shield(self._leave(connection))
                raise
            finally:
                self._connection = None
                self.connected.clear()
                connection.abort("the platform's session is over")
            await self._clock.sleep(SystemRandom().uniform(0.0, RETRY_S) * self._clock.speed)

    async def _follow(self, connection: Connection) -> None:
        node = f"{ROOT}/{self._tenant}/+"
        self._connection = connection
        await connection.subscribe(
            *((f"{node}/{below}", True) for below in ("state", "inv", "health", "evt/#")),
            (f"{node}/res/{self._client}", False),
        )
        await self._announce(connection, on=True)
        self.connected.set()
        closed = await asyncio.shield(connection.closed)
        raise closed.error(self._endpoint)

    async def _announce(self, connection: Connection, *, on: bool) -> None:
        now_ms = self._clock.anchor().utc_ns // 1_000_000
        state = PlatformState(on=on, t=now_ms, backfill=self._backfill)
        await connection.publish(platform_state(self._tenant), encode(state), retain=True)

    async def _leave(self, connection: Connection) -> None:
        await self._announce(connection, on=False)
        await connection.close()

    async def steer(self, backfill: Backfill) -> None:
        """Tell every gateway how fast missed rows are wanted."""
        self._backfill = backfill
        await self._announce(self._connected(), on=True)

    def _connected(self) -> Connection:
        if self._connection is None:
            raise UpstreamError("the platform is not connected", hint="wait for `connected`")
        return self._connection

    # What comes

    def _heard(self, message: Inbound) -> None:
        address = parse(message.topic)
        if address is None or address.gw.startswith("_"):  # `_platform`: what platforms say, our own words among them
            return
        try:
            if address.kind == "res":
                self._replied(message)
            elif address.kind == "evt":
                self._event(address.gw, address.rest, message)
            elif message.payload:
                self._document(address.gw, decode(message.payload))
        except ProtocolError as error:
            self.seen.unreadable += 1
            log.warning("%s: %s", message.topic, error)

    def _event(self, gw: str, rest: tuple[str, ...], message: Inbound) -> None:
        stream = rest[0] if rest else ""
        decoded = decode(unpack(message.payload, deflated=message.user.get("enc") == "deflate"))
        if isinstance(decoded, Page):
            for row in messages_of(decoded):
                self._row(gw, decoded.stream, row, message.real_ns, "page")
        elif isinstance(decoded, Event):
            self._row(gw, stream, decoded, message.real_ns, "live")
        else:
            raise ProtocolError(f"{type(decoded).__name__} on an event topic", hint="see the contract's schema")

    def _row(self, gw: str, stream: str, row: Event, real_ns: int, how: str) -> None:
        record = self.seen.take(gw, stream, row, real_ns, how)
        if isinstance(row, AlarmState):
            self._alarm(gw, row)
        self._on_record(record)

    def _alarm(self, gw: str, alarm: AlarmState) -> None:
        """Say `received` for an alarm that is new, or that the gateway still holds for not received."""
        known = self.gateways.setdefault(gw, Gateway()).alarms
        before = known.get(alarm.id)
        if before is None or alarm.rev >= before.rev:
            known[alarm.id] = alarm
        if self._receives and not alarm.hist and (before is None or alarm.delivery != "received"):
            args = AlarmReceived(alarm_id=alarm.id, rev=alarm.rev)
            self._connected().publish(Topics(self._tenant, gw).request("alarm.received"), encode(args))

    def _document(self, gw: str, document: Anything) -> None:
        known = self.gateways.setdefault(gw, Gateway())
        if isinstance(document, State):
            if not document.on and known.state is not None and known.state.boot != document.boot:
                return  # the death of an earlier boot overtook this birth
            known.state = document
            known.states.append(document)
            del known.states[:-100]
            self._on_state((gw, document))
        elif isinstance(document, Inventory):
            known.inventory = document
        elif isinstance(document, Health):
            known.health = document

    def _replied(self, message: Inbound) -> None:
        waiting = self._waiting.get(message.correlation or b"")
        if waiting is None:
            return  # late: the request was given up and asked again
        plain = unpack(message.payload, deflated=message.user.get("enc") == "deflate")
        waiting.put_nowait((message, Reply(int(message.user.get("st", "0")), decode(plain), message.user, plain)))

    # What is asked

    async def request(self, gw: str, verb: str, args: msgspec.Struct, *, expiry_s: int | None = 60) -> Reply:
        """Ask once and wait for the first reply. UpstreamError when none comes within `reply_s`."""
        correlation = os.urandom(16)
        self._ask(gw, verb, encode(args), correlation, expiry_s)
        try:
            _, reply = await self._next_reply(correlation)
        finally:
            self._waiting.pop(correlation, None)
        if reply is None:
            raise UpstreamError(f"{gw} did not answer {verb} within {self._reply_s:g} s", hint="is the gateway on?")
        return reply

    def _ask(self, gw: str, verb: str, payload: bytes, correlation: bytes, expiry_s: int | None) -> None:
        topics = Topics(self._tenant, gw)
        self._waiting[correlation] = asyncio.Queue(maxsize=0)  # bounded by the credit that was asked for
        if self._connection is not None:  # otherwise the wait runs out and the caller asks again
            self._connection.publish(
                topics.request(verb),
                payload,
                expiry_s=expiry_s,
                response_topic=topics.reply(self._client),
                correlation=correlation,
            )

    async def _next_reply(self, correlation: bytes) -> tuple[Inbound | None, Reply | None]:
        queue = self._waiting[correlation]
        arrived = asyncio.Event()
        getting = asyncio.ensure_future(queue.get())
        getting.add_done_callback(lambda _: arrived.set())
        try:
            if await wait_for(self._clock, arrived, self._reply_s * self._clock.speed):
                return getting.result()
        finally:
            getting.cancel()
        return None, None

    async def acknowledge(self, gw: str, alarm_id: str, by: str, note: str = "", *, rev: int | None = None) -> Reply:
        """A named person has seen the alarm; at the newest revision known here unless `rev` says otherwise."""
        newest = self.gateways[gw].alarms[alarm_id].rev if rev is None else rev
        args = AlarmAck(alarm_id=alarm_id, rev=newest, by=by, note=note)
        return await self.request(gw, "alarm.ack", args, expiry_s=600)

    async def close(self, gw: str, alarm_id: str, outcome: str, by: str) -> Reply:
        """The alarm was dealt with, with this outcome."""
        return await self.request(gw, "alarm.close", AlarmClose(alarm_id=alarm_id, outcome=outcome, by=by))

    async def pull(self, gw: str, verb: str, args: Mapping[str, object] | None = None, *, credit: int = 8) -> Pulled:
        """Read to the end, over cuts, and verify. UpstreamError when the gateway refuses or stays silent."""
        pulled, digest, cursor, silent = Pulled(), b"", None, 0
        while True:
            query = {**(args or {}), "max_pages": credit, **({"cursor": cursor} if cursor else {})}
            correlation = os.urandom(16)
            pulled.requests += 1
            self._ask(gw, verb, msgspec.json.encode(query), correlation, 60)
            try:
                for number in range(1, credit + 1):
                    inbound, reply = await self._next_reply(correlation)
                    if inbound is None or reply is None or reply.user.get("page") != str(number):
                        silent = self._again(gw, verb, reply, silent)
                        await self._clock.sleep(float(reply.user.get("retry", "0")) if reply else 0.0)
                        break
                    silent = 0
                    pulled.wire_bytes += len(inbound.payload)
                    digest = hashlib.sha256(digest + reply.plain).digest()
                    self._keep(gw, pulled, reply, inbound.real_ns)
                    cursor = reply.user.get("cursor")
                    if reply.st == 200:
                        told = (reply.user.get("rows"), reply.user.get("sha256"))
                        pulled.verified = told == (str(len(pulled.rows)), digest.hex())
                        return pulled
            finally:
                self._waiting.pop(correlation, None)

    def _again(self, gw: str, verb: str, reply: Reply | None, silent: int) -> int:
        if reply is not None and reply.st not in (200, 206, 429):
            text = getattr(reply.message, "text", "")
            raise UpstreamError(f"{gw} refuses {verb}: {reply.st} {text}", hint="see the contract's status codes")
        if silent + 1 >= RETRIES:
            raise UpstreamError(f"{gw} stays silent to {verb} after {RETRIES} tries", hint="is the gateway on?")
        return silent + 1

    def _keep(self, gw: str, pulled: Pulled, reply: Reply, real_ns: int) -> None:
        if not isinstance(reply.message, Page):
            raise ProtocolError(f"{type(reply.message).__name__} is no page", hint="see the contract's schema")
        pulled.pages += 1
        for row in messages_of(reply.message):
            pulled.rows.append(row)
            self._on_record(self.seen.take(gw, reply.message.stream, row, real_ns, "pull"))
