"""What goes first: alarms, then replies, live rows, pulled pages, and pushed pages of what was missed last.

`Window` is the in-flight window of one connection (the broker's Receive Maximum, 20 at most), handed out by lane.
`Marks` knows which rows of a stream are on their way and how far everything is acknowledged. `Bucket` paces pages.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from random import Random, SystemRandom

from gateway.core.clock import Clock

MAX_IN_FLIGHT = 20  # measured: 4 020 QoS 1 messages/s on loopback; more only delays what is urgent
URGENT_RESERVE = 2  # slots that only alarms and replies may take, where the broker grants that many


class Lane(IntEnum):
    """Lower goes first."""

    ALARM = 0
    REPLY = 1
    LIVE = 2
    PULL = 3
    BACKLOG = 4


@dataclass(frozen=True, slots=True)
class Pace:
    """The timers of a link; seconds of the house's clock unless a line says real time.

    start_spread_s: connect after U(0, this) when the box has been up for less than 5 min: after a power cut a whole
    district comes back at once. first_retry_s: the first retry comes after U(0, this), unless an unacknowledged high
    alarm waits. max_retry_s: later retries after U(0, doubling up to this). urgent_retry_s: the same limit while such
    an alarm waits. backlog_start_s: pages start after U(0, this); backlog_rate: pages a second from then on; both give
    way to the platform's own wish. poll_s: how often the outbox is asked when nobody says that rows are there.
    late_s: live rows older than this travel as pages. unwatched_retry_s: a stream nobody subscribes to is tried again
    after this, or as soon as a platform says that it lives. health_s: between two health messages.
    keepalive_s (real time): a black hole is found within twice this plus a second.
    puback_s (real time): a connection on which a message waits longer than this for its PUBACK is dropped.
    connect_s (real time): for TCP, TLS and CONNACK each.
    """

    start_spread_s: float = 60.0
    first_retry_s: float = 30.0
    max_retry_s: float = 120.0
    urgent_retry_s: float = 10.0
    backlog_start_s: float = 1800.0
    backlog_rate: float = 0.1
    poll_s: float = 1.0
    late_s: float = 600.0
    unwatched_retry_s: float = 60.0
    health_s: float = 300.0
    keepalive_s: int = 14
    puback_s: float = 25.0
    connect_s: float = 5.0

    @property
    def black_hole_s(self) -> float:
        """The longest time until a silent connection is known to be dead: idle, then a ping without an answer."""
        return 2 * self.keepalive_s + 2 * TICK_S


TICK_S = 0.5  # real time between two looks at keep-alive and PUBACK age


async def wait_for(clock: Clock, event: asyncio.Event, seconds: float) -> bool:
    """Wait until `event` is set, at most `seconds` of `clock`; whether it was set."""
    if event.is_set():
        return True
    waiting = asyncio.ensure_future(event.wait())
    sleeping = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait((waiting, sleeping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        sleeping.cancel()
    return event.is_set()


class Window:
    """At most `size` messages without PUBACK; a free slot goes to the first in the lowest lane."""

    def __init__(self, size: int, *, max_waiting: int = 1000) -> None:
        self.size = size
        self.in_flight = 0
        self._reserve = URGENT_RESERVE if size > 2 * URGENT_RESERVE else min(1, size - 1)
        self._waiting: tuple[deque[Callable[[], None]], ...] = tuple(deque() for _ in Lane)
        self._serving = False
        self._max_waiting = max_waiting  # when full `submit` refuses: rows stay in the outbox, requests are told 429

    def submit(self, lane: Lane, send: Callable[[], None]) -> bool:
        """Call `send` now or as soon as a slot is free for this lane; False when too many wait already."""
        if len(self._waiting[lane]) >= self._max_waiting:
            return False
        self._waiting[lane].append(send)
        self._serve()
        return True

    async def slot(self, lane: Lane) -> None:
        """Return with a slot taken: the caller must `release` it."""
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def grant() -> None:
            if granted.cancelled():
                self.release()
            else:
                granted.set_result(None)

        self._waiting[lane].append(grant)  # one for each waiting task: bounded by the callers
        self._serve()
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self.release()
            raise

    def release(self) -> None:
        """A message was acknowledged or given up."""
        self.in_flight -= 1
        self._serve()

    def waiting(self, lane: Lane) -> int:
        return len(self._waiting[lane])

    def _serve(self) -> None:
        if self._serving:  # a send that failed at once gave its slot back: the loop below goes on
            return
        self._serving = True
        try:
            for lane in Lane:
                room = self.size if lane <= Lane.REPLY else self.size - self._reserve
                queue = self._waiting[lane]
                while queue and self.in_flight < room:
                    self.in_flight += 1
                    queue.popleft()()
        finally:
            self._serving = False


class Marks:
    """The live rows of one stream on one connection: sent, acknowledged, and how far without a hole."""

    def __init__(self) -> None:
        self._rows: dict[int, str] = {}  # number -> state; bounded by the window plus what a failed row blocks
        self.held: str = ""  # why the stream waits; empty while it flows

    def knows(self, seq: int) -> bool:
        """The row is on its way or there: it must not be sent again on this connection."""
        return self._rows.get(seq, "failed") != "failed"

    @property
    def on_the_way(self) -> bool:
        return "sent" in self._rows.values()

    def sent(self, seq: int) -> None:
        self._rows[seq] = "sent"

    def acked(self, seq: int) -> int | None:
        """The new mark when everything sent up to it is acknowledged now, None when a hole remains below."""
        if seq not in self._rows:
            return None
        self._rows[seq] = "acked"
        mark: int | None = None
        for number in sorted(self._rows):
            if self._rows[number] != "acked":
                break
            mark = number
        if mark is not None:
            self._rows = {number: state for number, state in self._rows.items() if number > mark}
        return mark

    def failed(self, seq: int) -> None:
        """The row did not get through: the mark stays below it, and it will be read from the outbox again."""
        if seq in self._rows:
            self._rows[seq] = "failed"


class Bucket:
    """The pace of pushed pages: one page at a time, `rate` a second, held until the platform wants them."""

    def __init__(self, clock: Clock, pace: Pace, utc_ms: Callable[[], int | None], rng: Random | None = None) -> None:
        self._clock = clock
        self._utc_ms = utc_ms
        self._rate = pace.backlog_rate
        self._steered = asyncio.Event()
        self._hold_until_ms: int | None = None
        self._not_before = clock.now().plus_s((rng or SystemRandom()).uniform(0.0, pace.backlog_start_s))

    @property
    def rate(self) -> float:
        return self._rate

    def steer(self, rate: float | None, hold_until_ms: int | None) -> None:
        """The platform's wish: it replaces the rate and the random start."""
        if rate is not None:
            self._rate = rate
        self._hold_until_ms = hold_until_ms
        self._not_before = self._clock.now()
        self._steered.set()

    async def take(self) -> None:
        """Return when the next page may go."""
        while (wait_s := self._wait_s()) > 0.0:
            self._steered.clear()
            await wait_for(self._clock, self._steered, wait_s)
        self._not_before = self._clock.now().plus_s(1.0 / self._rate)

    def _wait_s(self) -> float:
        if self._rate <= 0.0:
            return 3600.0  # paused: only the platform's next word ends it
        utc_ms = self._utc_ms()
        held_s = 0.0
        if self._hold_until_ms is not None and utc_ms is not None:
            held_s = (self._hold_until_ms - utc_ms) / 1000.0
        return max(held_s, self._not_before.since_s(self._clock.now()))
