"""Rows on their way up one connection: alarms at once, the rest live, then pages of what was missed.

A mark moves on PUBACK only. "No matching subscribers" (0x10) and refusals are no delivery: the stream waits, is tried
again, and an alarm's local ladder is told. What waits too long travels as pages.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from gateway.core.errors import CarebedError, StoreError
from gateway.core.model import Alarm, Priority, Stamp
from gateway.upstream.endpoint import LOST, NO_SUBSCRIBERS, Granted
from gateway.upstream.envelope import AlarmState, Event, encode
from gateway.upstream.lanes import Bucket, Lane, Marks, Pace, Window, wait_for
from gateway.upstream.pages import PAGE_BYTES, pack
from gateway.upstream.ports import House, Row
from gateway.upstream.topics import STREAMS, Topics
from gateway.upstream.translate import alarm_state, message_of
from gateway.upstream.wire import Connection

BATCH_ROWS = 100  # live rows read from the outbox at once
PAGE_ROWS = 120  # a pushed page's rows: as in a pull
SUMMARY_EXPIRY_S = 600  # a broker keeps a live summary this long for an absent platform: later it pulls
LARGEST_LIVE_BYTES = 128 * 1024
REVISIONS_KEPT = 4096  # alarms whose newest sent revision is known; the oldest is forgotten: its acks compare with now

log = logging.getLogger("carebed.upstream")


@dataclass(slots=True)
class Tally:
    """What went up since the start of the daemon, for the page and the tests."""

    rows: int = 0
    pages: int = 0
    page_rows: int = 0
    unwatched: int = 0
    refused: int = 0
    unsaved_marks: int = 0
    held: dict[str, str] = field(default_factory=dict)


class Pumps:
    """One connection's outgoing rows. `alarm` returns at once; `live` and `backlog` run until cancelled."""

    def __init__(
        self,
        upstream: str,
        topics: Topics,
        house: House,
        pace: Pace,
        connection: Connection,
        granted: Granted,
        bucket: Bucket,
        tally: Tally,
    ) -> None:
        self.window = Window(granted.window)
        self.sent_revs: dict[str, int] = {}
        self._upstream = upstream
        self._topics = topics
        self._house = house
        self._pace = pace
        self._connection = connection
        self._granted = granted
        self._bucket = bucket
        self._tally = tally
        self._marks = {stream: Marks() for stream in STREAMS}
        self._retry_at: dict[str, Stamp] = {}
        self._early: deque[tuple[Alarm, int, Stamp]] | None = deque(maxlen=1000)  # full: the oldest comes by the outbox
        self._opening = 0
        self._opened = asyncio.Event()
        self._rows_ready = asyncio.Event()
        self._quiet = asyncio.Event()
        self._backlog_due = asyncio.Event()
        self._backlog_due.set()
        tally.held.clear()

    # Alarms

    def alarm(self, alarm: Alarm, seq: int) -> None:
        """Send this transition now, ahead of everything else."""
        at = self._house.clock.now()
        if self._early is not None:
            self._early.append((alarm, seq, at))
        elif not self._marks["alarm"].knows(seq):
            self._send_alarm(alarm, seq, at)

    def _send_alarm(self, alarm: Alarm, seq: int, at: Stamp) -> None:
        message = alarm_state(alarm, seq, at, self._house.when)
        self._marks["alarm"].sent(seq)
        if not self.window.submit(Lane.ALARM, partial(self._launch, "alarm", message, self._row_answered)):
            self._marks["alarm"].failed(seq)  # a thousand alarms wait already: this one is read from the outbox later

    async def begin(self) -> None:
        """After the birth: open alarms nobody acknowledged, high to low and oldest first, then what came since."""
        fresh = {row.seq for row in await self._house.outbox.live(self._upstream, "alarm", BATCH_ROWS)}
        fresh |= {seq for _, seq, _ in self._early or ()}
        opened = await self._house.reader.open_alarms()
        rows = [row for row in opened if _unacknowledged(row) and row.seq not in fresh]
        self._opening = len(rows)
        for row in sorted(rows, key=_urgency):
            message = message_of(row, self._house.when)
            await self.window.slot(Lane.ALARM)
            self._launch("alarm", message, self._open_alarm_answered)
        if not rows:
            self._opened.set()
        early, self._early = self._early, None
        for alarm, seq, at in early or ():
            self._send_alarm(alarm, seq, at)

    def _open_alarm_answered(self, stream: str, message: Event, code: int) -> None:
        self._opening -= 1
        if self._opening == 0:
            self._opened.set()  # only now: a page must not bring once more what was on its way just then
        if code == LOST:
            return
        if not _delivered(code):
            self._not_delivered(stream, message, code)
            return
        self._delivered(stream, message)
        self._save(self._house.outbox.backlog_acked(self._upstream, stream, [message.seq]))

    async def run(self) -> None:
        """Send until cancelled."""
        await self.begin()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.live())
            group.create_task(self.backlog())

    # Live rows

    def rows_ready(self) -> None:
        """The store has committed rows: look now and not at the next poll."""
        self._rows_ready.set()

    def watched(self) -> None:
        """A platform says that it lives: streams held back for want of one are tried again now."""
        self._retry_at.clear()
        self._rows_ready.set()
        self._backlog_due.set()

    async def live(self) -> None:
        """Send what the outbox holds after the live marks, stream by stream, for ever."""
        while True:
            self._rows_ready.clear()
            sent = 0
            for stream in STREAMS:
                sent += await self._drain(stream)
            if sent:
                self._quiet.clear()
                continue
            self._quiet.set()
            await wait_for(self._house.clock, self._rows_ready, self._pace.poll_s)

    async def _drain(self, stream: str) -> int:
        if self._is_held(stream):
            return 0
        marks = self._marks[stream]
        try:
            batch = await self._house.outbox.live(self._upstream, stream, BATCH_ROWS)
        except StoreError as error:
            self._hold(stream, str(error))
            return 0
        rows = [row for row in batch if not marks.knows(row.seq)]
        if rows and self._late(rows[0]):
            await self._turn_into_backlog()
            return 0
        for row in rows:
            if marks.knows(row.seq):
                continue  # handed over directly while this batch was on its way
            marks.sent(row.seq)
            await self.window.slot(Lane.ALARM if stream == "alarm" else Lane.LIVE)
            self._launch(stream, message_of(row, self._house.when), self._row_answered)
            if marks.held:
                break
        return len(rows)

    def _late(self, row: Row) -> bool:
        now = self._house.clock.now()
        return row.at.boot_id != now.boot_id or now.since_s(row.at) > self._pace.late_s

    async def _turn_into_backlog(self) -> None:
        """What waited too long for a subscriber is no live row any more; once nothing is on its way."""
        if any(marks.on_the_way for marks in self._marks.values()):
            return
        await self._house.outbox.link_up(self._upstream)
        self._marks = {stream: Marks() for stream in STREAMS}
        self._backlog_due.set()

    # One message out, one answer back

    def _launch(self, stream: str, message: Event, answered: Callable[[str, Event, int], None]) -> None:
        """Publish with a slot already taken; the slot goes back with the answer."""
        payload = encode(message)
        if len(payload) > self._granted.payload_bytes(LARGEST_LIVE_BYTES):
            self.window.release()
            answered(stream, message, 0x95)
            return
        expiry_s = SUMMARY_EXPIRY_S if stream == "summary" else None
        topic = self._topics.event(stream, getattr(message, "bed", None))
        answer = self._connection.publish(topic, payload, expiry_s=expiry_s)
        if isinstance(message, AlarmState):
            self._note_revision(message)

        def done(future: asyncio.Future[int]) -> None:
            self.window.release()
            answered(stream, message, future.result())

        answer.add_done_callback(done)

    def _note_revision(self, message: AlarmState) -> None:
        self.sent_revs[message.id] = max(message.rev, self.sent_revs.pop(message.id, 0))
        if len(self.sent_revs) > REVISIONS_KEPT:
            self.sent_revs.pop(next(iter(self.sent_revs)))

    def _row_answered(self, stream: str, message: Event, code: int) -> None:
        marks = self._marks[stream]
        if code == LOST:
            marks.failed(message.seq)
        elif not _delivered(code):
            marks.failed(message.seq)
            self._not_delivered(stream, message, code)
        else:
            self._delivered(stream, message)
            mark = marks.acked(message.seq)
            if mark is not None:
                self._save(self._house.outbox.live_acked(self._upstream, stream, mark))

    def _delivered(self, stream: str, message: Event) -> None:
        self._tally.rows += 1
        if self._tally.held.pop(stream, None):
            self._marks[stream].held = ""
            self._retry_at.pop(stream, None)
            self._rows_ready.set()
        if isinstance(message, AlarmState):
            self._house.asks.published(message.id, message.rev, self._upstream)

    def _not_delivered(self, stream: str, message: Event, code: int) -> None:
        reason = _reason(code)
        self._count_refusal(code)
        self._hold(stream, reason)
        if isinstance(message, AlarmState):
            self._house.asks.undelivered(message.id, message.rev, self._upstream, reason)

    def _count_refusal(self, code: int) -> None:
        if code == NO_SUBSCRIBERS:
            self._tally.unwatched += 1
        else:
            self._tally.refused += 1

    def _hold(self, stream: str, reason: str) -> None:
        """Leave the stream alone for a while; the others flow on."""
        if stream in self._marks:
            self._marks[stream].held = reason
        if self._tally.held.get(stream) != reason:
            log.warning("%s: stream %s waits: %s", self._upstream, stream, reason)
        self._tally.held[stream] = reason
        self._retry_at[stream] = self._house.clock.now().plus_s(self._pace.unwatched_retry_s)

    def _is_held(self, stream: str) -> bool:
        """True while a held stream waits; when its time has come it flows again until the next refusal."""
        marks, retry_at = self._marks[stream], self._retry_at.get(stream)
        if not marks.held:
            return False
        if retry_at is not None and self._house.clock.now() < retry_at:
            return True
        marks.held = ""
        return False

    def _save(self, commit: "asyncio.Future[None]") -> None:
        commit.add_done_callback(self._saved)

    def _saved(self, commit: "asyncio.Future[None]") -> None:
        if commit.cancelled():
            return
        error = commit.exception()
        if isinstance(error, CarebedError):
            self._tally.unsaved_marks += 1  # the rows go up once more after the next start and are deduped there
            log.warning("%s: a mark could not be saved: %s", self._upstream, error)
        elif error is not None:
            raise error

    # What was missed

    async def backlog(self) -> None:
        """Push pages, alarms first, oldest first, at the bucket's pace and only while nothing live waits."""
        await self._opened.wait()
        while True:
            self._backlog_due.clear()
            if not await self._next_stream():
                await wait_for(self._house.clock, self._backlog_due, 60.0)
                continue
            await self._bucket.take()
            await self._quiet.wait()
            stream = await self._next_stream()
            if stream:
                await self._push_page(stream)

    async def _next_stream(self) -> str | None:
        for stream in ("alarm", "obs", "summary", "tech"):
            if await self._missed(stream, 1):
                return stream
        return None

    async def _missed(self, stream: str, max_rows: int) -> Sequence[Row]:
        """None where the store cannot read them: the next stream's turn."""
        try:
            return await self._house.outbox.backlog(self._upstream, stream, max_rows)
        except StoreError as error:
            self._hold(f"page/{stream}", str(error))
            return ()

    async def _push_page(self, stream: str) -> None:
        rows = await self._missed(stream, PAGE_ROWS)
        if not rows:
            return
        messages = [message_of(row, self._house.when, hist=True) for row in rows]
        packed = pack(stream, messages, self._granted.payload_bytes(PAGE_BYTES))
        await self.window.slot(Lane.BACKLOG)
        try:
            user = {"enc": "deflate"} if packed.deflated else None
            code = await self._connection.publish(self._topics.page(stream), packed.wire, user=user)
        finally:
            self.window.release()
        if code == LOST:
            return
        if not _delivered(code):
            self._count_refusal(code)
            self._hold(f"page/{stream}", _reason(code))
            await wait_for(self._house.clock, self._backlog_due, self._pace.unwatched_retry_s)
            return
        self._tally.held.pop(f"page/{stream}", None)
        self._tally.pages += 1
        self._tally.page_rows += packed.rows
        self._save(self._house.outbox.backlog_acked(self._upstream, stream, [row.seq for row in rows[: packed.rows]]))


def _delivered(code: int) -> bool:
    return code < 0x80 and code != NO_SUBSCRIBERS


def _reason(code: int) -> str:
    if code == NO_SUBSCRIBERS:
        return "nobody subscribes to it"
    if code == 0x95:
        return "it is longer than the broker's largest packet"
    return f"the broker refused it (0x{code:02X})"


def _unacknowledged(row: Row) -> bool:
    return isinstance(row.body, Alarm) and row.body.acknowledgement is None


def _urgency(row: Row) -> tuple[int, int]:
    assert isinstance(row.body, Alarm)
    return list(Priority).index(row.body.priority), row.seq
