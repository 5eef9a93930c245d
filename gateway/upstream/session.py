"""One connection's life: subscribe, say who is here, send, answer, and say goodbye."""

import asyncio
import logging
from collections import Counter, deque
from functools import partial
from typing import NoReturn

from gateway.core.errors import ProtocolError
from gateway.upstream.endpoint import NO_SUBSCRIBERS, Granted, Inbound
from gateway.upstream.envelope import MAJORS, Inventory, PlatformState, RuleSet, State, decode, encode
from gateway.upstream.lanes import Bucket, Lane, Pace, wait_for
from gateway.upstream.pages import PAGE_BYTES
from gateway.upstream.ports import House
from gateway.upstream.pumps import Pumps, Tally
from gateway.upstream.requests import Desk
from gateway.upstream.topics import Topics
from gateway.upstream.verbs import Answer, RefusalError, health_of
from gateway.upstream.wire import Connection

MAX_REQUESTS = 32  # being answered at once: what comes beyond is told 429
REPLY_EXPIRY_S = 60
QOS0_REQUEST = -1  # nothing to acknowledge

log = logging.getLogger("carebed.upstream")


class Session:
    """From CONNACK to the end of the connection. `run` ends by BrokerError or cancellation."""

    def __init__(
        self,
        upstream: str,
        topics: Topics,
        house: House,
        pace: Pace,
        connection: Connection,
        granted: Granted,
        *,
        responder: bool,
        bucket: Bucket,
        tally: Tally,
        counts: Counter[str],
    ) -> None:
        self.pumps = Pumps(upstream, topics, house, pace, connection, granted, bucket, tally)
        self._upstream = upstream
        self._topics = topics
        self._house = house
        self._pace = pace
        self._connection = connection
        self._granted = granted
        self._bucket = bucket
        self._counts = counts
        self._desk = Desk(
            upstream,
            topics,
            house,
            responder,
            granted.payload_bytes(PAGE_BYTES),
            self._publish_answer,
            self.pumps.sent_revs.get,
            counts,
        )
        self._inventory_due = asyncio.Event()
        self._answering: set[asyncio.Task[None]] = set()  # at most MAX_REQUESTS, then 429
        self._unacked: deque[list[int]] = deque()  # [mid, answered]: PUBACKs go out in the order of arrival

    async def start(self) -> None:
        """Subscribe, and publish birth and inventory. BrokerError when the broker refuses or goes."""
        await self._connection.subscribe((self._topics.requests, False), (self._topics.platform_state, True))
        await self._house.outbox.link_up(self._upstream)
        await self._retain(self._topics.state, encode(await self._birth()))
        await self._publish_inventory()

    async def run(self) -> NoReturn:
        """Send and answer until the connection ends. BrokerError with the reason."""
        tasks = [asyncio.ensure_future(work) for work in (self._watch(), self.pumps.run(), self._documents())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*tasks, *self._answering):
                task.cancel()
            await asyncio.gather(*tasks, *self._answering, return_exceptions=True)
        raise next(error for task in done if (error := task.exception()))

    async def _watch(self) -> NoReturn:
        closed = await asyncio.shield(self._connection.closed)
        raise closed.error(self._connection.endpoint)

    async def _birth(self) -> State:
        birth, now = self._house.reader.birth(), self._house.clock.now()
        timing = self._house.when(now)
        manifest = await self._house.outbox.manifest(self._upstream)
        return State(
            on=True,
            boot=now.boot_id,
            bootn=birth.boot_number,
            t=timing.utc_ms,
            tu=timing.uncertainty_ms,
            sync=timing.sync,
            sw=birth.software,
            majors=list(MAJORS),
            cfg=birth.configuration_rev,
            rules=RuleSet(birth.rules_rev, birth.rules_sha256),
            inv=self._house.reader.inventory()[0],
            hi={stream: marks["hi"] for stream, marks in manifest.items()},
            lo={stream: marks["lo"] for stream, marks in manifest.items()},
            island=birth.island,
            modes=list(birth.modes),
        )

    def inventory_changed(self) -> None:
        """Publish it again."""
        self._inventory_due.set()

    async def _publish_inventory(self) -> None:
        rev, devices = self._house.reader.inventory()
        await self._retain(self._topics.inventory, encode(Inventory(rev=rev, devices=list(devices))))

    async def _retain(self, topic: str, payload: bytes) -> None:
        if len(payload) > self._granted.payload_bytes(len(payload)):
            log.warning("%s: %s has %d bytes, more than the broker takes", self._upstream, topic, len(payload))
            return
        await self.pumps.window.slot(Lane.REPLY)
        answer = self._connection.publish(topic, payload, retain=True)
        answer.add_done_callback(lambda _: self.pumps.window.release())

    async def _documents(self) -> NoReturn:
        """Health every five minutes, and the inventory whenever it changed."""
        while True:
            self._connection.publish(self._topics.health, encode(health_of(self._house)), qos=0)
            while await wait_for(self._house.clock, self._inventory_due, self._pace.health_s):
                self._inventory_due.clear()
                await self._publish_inventory()

    async def farewell(self) -> None:
        """A clean end: retained state "stopped", then DISCONNECT, so that no will is sent."""
        now = self._house.clock.now()
        timing = self._house.when(now)
        gone = State(on=False, why="stopped", boot=now.boot_id, t=timing.utc_ms, tu=timing.uncertainty_ms)
        self._connection.publish(self._topics.state, encode(gone), retain=True)
        await self._connection.close()

    # What comes in

    def heard(self, message: Inbound) -> None:
        """A message from the broker: a request, or the platform's state."""
        if message.topic == self._topics.platform_state:
            self._platform_spoke(message)
            self._ack(message)
        elif self._topics.verb(message.topic) is not None and not message.retain:
            self._take_request(message)
        else:
            self._counts["stray"] += 1
            self._ack(message)

    def _platform_spoke(self, message: Inbound) -> None:
        try:
            state = decode(message.payload) if message.payload else None
        except ProtocolError as error:
            self._counts["unreadable"] += 1
            log.warning("%s: platform state is unreadable: %s", self._upstream, error)
            return
        if not isinstance(state, PlatformState):
            return
        if state.backfill is not None:
            self._bucket.steer(state.backfill.rate, state.backfill.hold_until)
        if state.on:
            self.pumps.watched()

    def _take_request(self, message: Inbound) -> None:
        entry = [message.mid if message.qos else QOS0_REQUEST, 0]
        self._unacked.append(entry)
        if len(self._answering) >= 2 * MAX_REQUESTS:
            self._counts["dropped"] += 1
            self._answered(entry)
            return
        task = asyncio.get_running_loop().create_task(self._serve(message, len(self._answering) >= MAX_REQUESTS))
        self._answering.add(task)
        task.add_done_callback(partial(self._request_done, entry))

    async def _serve(self, message: Inbound, busy: bool) -> None:
        if busy:
            text = f"{MAX_REQUESTS} requests are being answered already"
            await self._desk.refuse(message, RefusalError(429, text, retry_s=5.0))
            return
        try:
            await self._desk.answer(message)
        except Exception as error:
            log.exception("%s: %s failed", self._upstream, message.topic)
            await self._desk.refuse(message, RefusalError(500, f"the gateway failed: {type(error).__name__}"))

    def _request_done(self, entry: list[int], task: "asyncio.Task[None]") -> None:
        self._answering.discard(task)
        if not task.cancelled():  # a cancelled one stays unacknowledged: the broker delivers it again
            self._answered(entry)

    def _answered(self, entry: list[int]) -> None:
        entry[1] = 1
        while self._unacked and self._unacked[0][1]:
            mid, _ = self._unacked.popleft()
            if mid != QOS0_REQUEST:
                self._connection.ack(mid)

    def _ack(self, message: Inbound) -> None:
        if message.qos:
            self._unacked.append([message.mid, 0])
            self._answered(self._unacked[-1])

    async def _publish_answer(self, topic: str, answer: Answer, correlation: bytes | None) -> bool:
        await self.pumps.window.slot(answer.lane)
        try:
            code = await self._connection.publish(
                topic, answer.payload, expiry_s=REPLY_EXPIRY_S, correlation=correlation, user=answer.user
            )
        finally:
            self.pumps.window.release()
        return 0 <= code < 0x80 and code != NO_SUBSCRIBERS
