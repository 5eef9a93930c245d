"""A platform's broker, reached for as long as the box runs: connect, live one session, back off, connect again.

A city of boxes loses its broker in the same second, so every delay is drawn at random from zero up (full jitter), the
first one too; only a box that holds a high alarm nobody has acknowledged hurries.
"""

import asyncio
import logging
from collections import Counter, deque
from dataclasses import dataclass, field
from random import Random, SystemRandom
from typing import NoReturn

from gateway.core.model import Alarm, Detail, Event, Priority, Stamp
from gateway.upstream.endpoint import (
    LOST,
    QUOTA_EXCEEDED,
    SERVER_MOVED,
    TAKEN_OVER,
    USE_ANOTHER_SERVER,
    BrokerError,
    Closed,
    Endpoint,
    Inbound,
    Will,
    elsewhere,
)
from gateway.upstream.envelope import State, encode
from gateway.upstream.lanes import Bucket, Pace, wait_for
from gateway.upstream.ports import House
from gateway.upstream.pumps import Tally
from gateway.upstream.session import Session
from gateway.upstream.topics import Topics
from gateway.upstream.wire import Connection

STEADY_S = 30.0  # a session that lasted this long was a success: the next failure is the first again
FRESH_BOOT_S = 300.0  # up for less than this: power may have come back for a whole district
TAKEN_OVER_S = 60.0  # two boxes with one id must not throw each other out all day long
REASONS_KEPT = 5
REFUSALS = frozenset((0x84, 0x85, 0x86, 0x87, 0x8A, 0x8C, QUOTA_EXCEEDED))  # trying again soon changes nothing

log = logging.getLogger("carebed.upstream")


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """What the page and `carebed status` show. state: "starting", "connecting", "up", "waiting" or "stopped".

    since: when that state began. reasons: the last ends of connections, newest first. held: streams that wait, and why.
    requests: answered, by status.
    """

    name: str
    host: str
    state: str
    since: Stamp
    attempts: int
    reasons: tuple[tuple[Stamp, str], ...]
    in_flight: int
    held: dict[str, str]
    rows: int
    pages: int
    page_rows: int
    requests: dict[str, int]


@dataclass(slots=True)
class _Progress:
    state: str
    since: Stamp
    attempts: int = 0
    reasons: deque[tuple[Stamp, str]] = field(default_factory=lambda: deque(maxlen=REASONS_KEPT))
    up: bool | None = None  # None until the first attempt has ended
    down_since: Stamp | None = None


class Link:
    """One upstream. `run` until cancelled; `alarm` and `rows_ready` are called on the loop and return at once."""

    def __init__(
        self,
        name: str,
        endpoint: Endpoint,
        topics: Topics,
        house: House,
        *,
        responder: bool = True,
        pace: Pace | None = None,
        rng: Random | None = None,
    ) -> None:
        self.name = name
        self.tally = Tally()
        self.requests: Counter[str] = Counter()
        self._home = endpoint
        self._endpoint = endpoint
        self._topics = topics
        self._house = house
        self._responder = responder
        self._pace = pace or Pace()
        self._rng = rng or SystemRandom()
        self._progress = _Progress("starting", house.clock.now())
        self._urgent: set[str] = set()  # open high alarms nobody acknowledged: a handful at most
        self._hurry = asyncio.Event()
        self._session: Session | None = None
        self._inbox: deque[Inbound] = deque(maxlen=64)  # before the session exists; full: the broker sends QoS 1 again
        self._failures = 0

    @property
    def status(self) -> LinkStatus:
        progress = self._progress
        return LinkStatus(
            name=self.name,
            host=f"{self._endpoint.host}:{self._endpoint.port}",
            state=progress.state,
            since=progress.since,
            attempts=progress.attempts,
            reasons=tuple(reversed(progress.reasons)),
            in_flight=self._session.pumps.window.in_flight if self._session else 0,
            held=dict(self.tally.held),
            rows=self.tally.rows,
            pages=self.tally.pages,
            page_rows=self.tally.page_rows,
            requests=dict(self.requests),
        )

    def alarm(self, alarm: Alarm, seq: int) -> None:
        """Send this transition at once, or hurry to connect for it. It is in the store already, or soon."""
        if _urgent(alarm):
            if alarm.id not in self._urgent:
                self._hurry.set()
            self._urgent.add(alarm.id)
        else:
            self._urgent.discard(alarm.id)
        if self._session is not None:
            self._session.pumps.alarm(alarm, seq)

    def rows_ready(self) -> None:
        """The store has committed rows."""
        if self._session is not None:
            self._session.pumps.rows_ready()

    def inventory_changed(self) -> None:
        """Publish the inventory again (a new revision)."""
        if self._session is not None:
            self._session.inventory_changed()

    async def run(self) -> None:
        """For as long as the daemon lives; cancelled, it says a clean goodbye first."""
        try:
            rows = await self._house.reader.open_alarms()
            self._urgent.update(row.body.id for row in rows if isinstance(row.body, Alarm) and _urgent(row.body))
            await self._spread()
            while True:
                began = self._house.clock.now()
                closed = await self._live_once()
                lasted_s = self._house.clock.now().since_s(began)
                self._failures = 1 if lasted_s > STEADY_S else self._failures + 1
                self._ended(closed)
                await self._back_off(closed)
        finally:
            self._enter("stopped")

    async def _spread(self) -> None:
        if self._house.clock.now().mono_ns < FRESH_BOOT_S * 1e9 and not self._urgent:
            await wait_for(self._house.clock, self._hurry, self._rng.uniform(0.0, self._pace.start_spread_s))

    async def _live_once(self) -> Closed:
        """One attempt and, when it succeeds, one session; returns why it ended."""
        self._enter("connecting")
        self._progress.attempts += 1
        connection = self._connection()
        try:
            await self._hold_session(connection)
        except BrokerError as error:
            return error.closed
        except Exception as error:
            log.exception("%s: the session failed", self.name)
            return Closed(LOST, f"this box's own fault: {error!r}")
        finally:
            self._session = None
            connection.abort("the session is over")

    def _connection(self) -> Connection:
        boot = self._house.clock.boot_id
        will = Will(self._topics.state, encode(State(on=False, why="lost", boot=boot)))
        self._inbox.clear()
        return Connection(
            self._endpoint, self._topics.gw, self._house.clock, self._heard, pace=self._pace, will=will
        )

    def _heard(self, message: Inbound) -> None:
        if self._session is None:
            self._inbox.append(message)
        else:
            self._session.heard(message)

    async def _hold_session(self, connection: Connection) -> NoReturn:
        granted = await connection.open()
        session = Session(
            self.name,
            self._topics,
            self._house,
            self._pace,
            connection,
            granted,
            responder=self._responder,
            bucket=Bucket(self._house.clock, self._pace, self._utc_ms, self._rng),
            tally=self.tally,
            counts=self.requests,
        )
        try:
            self._session = session  # alarms handed over from here on wait for the birth, no longer
            while self._inbox:
                session.heard(self._inbox.popleft())
            await session.start()
            self._came_up()
            await session.run()
        except asyncio.CancelledError:
            # A second cancel must not cut the goodbye short: it takes two seconds at most.
            await asyncio.shield(session.farewell())
            raise

    def _utc_ms(self) -> int | None:
        return self._house.when(self._house.clock.now()).utc_ms

    # Up, down, and the time between

    def _enter(self, state: str) -> None:
        self._progress.state, self._progress.since = state, self._house.clock.now()

    def _tell(self, kind: str, detail: Detail) -> None:
        self._house.on_event(Event(kind, self._house.clock.now(), detail={"upstream": self.name, **detail}))

    def _came_up(self) -> None:
        away_s = self._house.clock.now().since_s(self._progress.down_since) if self._progress.down_since else 0.0
        self._enter("up")
        log.info("%s: connected to %s:%d", self.name, self._endpoint.host, self._endpoint.port)
        self._progress.up, self._progress.down_since = True, None
        self._tell("uplink_back", {"away_s": round(away_s, 1)})

    def _ended(self, closed: Closed) -> None:
        now = self._house.clock.now()
        error = closed.error(self._endpoint)
        self._progress.reasons.append((now, f"{error} ({error.hint})"))
        first = self._progress.up is not False
        log.log(logging.WARNING if first else logging.DEBUG, "%s: %s; %s", self.name, error, error.hint)
        if first:
            self._progress.up, self._progress.down_since = False, now
            self._tell("uplink_lost", {"reason": closed.text, "code": closed.code, "hint": error.hint})
        if closed.code == TAKEN_OVER:
            self._tell("uplink_taken_over", {"reason": closed.text, "hint": error.hint})

    async def _back_off(self, closed: Closed) -> None:
        self._enter("waiting")
        moved = closed.code in (USE_ANOTHER_SERVER, SERVER_MOVED) and elsewhere(self._endpoint, closed.server_reference)
        self._endpoint = moved or self._home
        if moved and closed.code == SERVER_MOVED:
            self._home = moved  # until the next start: the installer's file stays what it is
        delay_s = self._rng.uniform(0.0, 1.0) if moved and self._failures < 3 else self._delay_s(closed.code)
        if closed.code == TAKEN_OVER:
            await self._house.clock.sleep(delay_s)
            return
        self._hurry.clear()
        await wait_for(self._house.clock, self._hurry, delay_s)

    def _delay_s(self, code: int) -> float:
        """Full jitter: U(0, limit), the limit doubling; see `Pace`."""
        pace, failures = self._pace, self._failures
        if code == TAKEN_OVER:
            return self._rng.uniform(TAKEN_OVER_S, 5 * TAKEN_OVER_S)
        if self._urgent:
            return 0.0 if failures == 1 else self._rng.uniform(0.0, min(pace.urgent_retry_s, 2.0 ** (failures - 1)))
        if code in REFUSALS:
            return self._rng.uniform(pace.max_retry_s / 2, pace.max_retry_s)
        limit_s = pace.first_retry_s * 2.0 ** min(failures - 1, 16)
        return self._rng.uniform(0.0, limit_s if failures == 1 else min(pace.max_retry_s, limit_s))


def _urgent(alarm: Alarm) -> bool:
    return alarm.open and alarm.priority is Priority.HIGH and alarm.acknowledgement is None
