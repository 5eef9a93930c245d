"""Blocks on their way through the worker: waiting, in flight, and kept so that a new worker can rebuild its state.

A worker answers each block wholly or not at all, in order. What it has answered is kept for `history_s`: after its
death that history is sent first and the answers to it are thrown away, so that filters, windows and fall candidates
are as they were, and then what had no answer yet. The hops of the new chains are cut where the old ones were (`phase`).
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from gateway.core import messages
from gateway.core.errors import WorkerError
from gateway.core.messages import Done, Feed
from gateway.core.model import Gap, SampleBlock

HISTORY_S = 90.0  # of signal: the longest window is 40 s, behind a filter that settles in about 20 s
MAX_IN_FLIGHT = 64  # blocks sent without an answer; keeps the pipe busy while a backlog is caught up
MAX_BYTES = 32 * 1024 * 1024  # 25 beds for about an hour; a second bound beside the span in seconds
_Channel = tuple[str, str]


@dataclass(slots=True)
class _Entry:
    id: int
    block: SampleBlock
    phase: int = 0  # samples of the current hop before this block
    replay: bool = False

    @property
    def channel(self) -> _Channel:
        return (self.block.device, self.block.channel)


class Buffer:
    """The link's blocks. Not more than `limit_s` of signal waits; when full the oldest waiting block is dropped and its
    samples are told as a Gap and, in the next block of the channel, to the worker."""

    def __init__(self, on_gap: Callable[[Gap], None], *, limit_s: float, history_s: float = HISTORY_S) -> None:
        self._on_gap = on_gap
        self._limit_s, self._history_s = limit_s, history_s
        self._waiting: deque[_Entry] = deque()  # bounded by limit_s and MAX_BYTES: the oldest is dropped with a Gap
        self._replays: deque[_Entry] = deque()  # bounded by the history it is a copy of
        self._in_flight: deque[_Entry] = deque()  # bounded by MAX_IN_FLIGHT: take() gives no more
        self._history: deque[_Entry] = deque()  # bounded by history_s: the oldest has served its purpose
        self._phases: dict[_Channel, int] = {}
        self._dropped: dict[_Channel, int] = {}
        self._bytes = 0
        self._next_id = 1
        self._suspect = 0

    @property
    def queued(self) -> int:
        """Blocks without an answer."""
        return len(self._waiting) + sum(not entry.replay for entry in self._in_flight)

    @property
    def in_flight(self) -> int:
        """Blocks sent and not answered, replays among them."""
        return len(self._in_flight)

    def add(self, block: SampleBlock) -> None:
        """Queue a block; may drop the oldest ones."""
        self._waiting.append(_Entry(self._next_id, block))
        self._next_id += 1
        self._bytes += block.data.nbytes
        while len(self._waiting) > 1 and (self._bytes > MAX_BYTES or self._span_s() > self._limit_s):
            self._drop(self._waiting.popleft(), "worker buffer full")

    def take(self) -> Feed | None:
        """The next block to send, None when there is none or enough are in flight."""
        if len(self._in_flight) >= MAX_IN_FLIGHT:
            return None
        if self._replays:
            entry = self._replays.popleft()
        elif self._waiting:
            entry = self._waiting.popleft()
            self._bytes -= entry.block.data.nbytes
            if missed := self._dropped.pop(entry.channel, 0):
                entry.block = replace(entry.block, lost_before=entry.block.lost_before + missed)
        else:
            return None
        self._in_flight.append(entry)
        return messages.feed_of(entry.block, entry.id, entry.phase)

    def done(self, answer: Done) -> tuple[SampleBlock, bool]:
        """Book an answer: its block, and whether its results are new. WorkerError when another answer is due."""
        due = self._in_flight[0].id if self._in_flight else None
        if answer.id != due:
            raise WorkerError(f"answer to block {answer.id}, expected {due}", hint="the worker is restarted")
        entry = self._in_flight.popleft()
        if entry.replay:
            return entry.block, False
        entry.phase = self._phases.get(entry.channel, 0)
        self._phases[entry.channel] = answer.phase
        self._history.append(entry)
        self._forget()
        return entry.block, True

    def rewind(self, *, blame: bool) -> bool:
        """The worker is gone: what has no answer waits again, behind the history.

        blame: it died by itself; when the block it was at killed the worker before, too, that block is dropped and the
        death explained (True).
        """
        unanswered = [entry for entry in self._in_flight if not entry.replay]
        explained = blame and bool(self._in_flight) and self._accuse(self._in_flight[0], unanswered)
        self._in_flight.clear()
        for entry in reversed(unanswered):
            self._waiting.appendleft(entry)
            self._bytes += entry.block.data.nbytes
        for entry in self._waiting:
            entry.phase = self._phases.get(entry.channel, 0)
        self._replays = deque(replace(entry, replay=True) for entry in self._history)
        return explained

    def _accuse(self, first: _Entry, unanswered: list[_Entry]) -> bool:
        if first.id != self._suspect:
            self._suspect = first.id
            return False
        if first.replay:  # it was answered once, so the state it leads to is at fault: start from none
            self._history.clear()
        else:
            unanswered.remove(first)
            self._bytes += first.block.data.nbytes
            self._drop(first, "the worker died of it twice")
        return True

    def _drop(self, entry: _Entry, reason: str) -> None:
        block = entry.block
        self._bytes -= block.data.nbytes
        lost = len(block.data)
        self._dropped[entry.channel] = self._dropped.get(entry.channel, 0) + lost + block.lost_before
        self._on_gap(Gap(block.channel, reason, block.start, lost, block.bed, block.device))

    def _span_s(self) -> float:
        oldest, newest = self._waiting[0].block.start, self._waiting[-1].block.start
        return newest.since_s(oldest) if newest.boot_id == oldest.boot_id else 0.0

    def _forget(self) -> None:
        newest = self._history[-1].block.start
        while self._history:
            oldest = self._history[0].block.start
            if oldest.boot_id == newest.boot_id and newest.since_s(oldest) <= self._history_s:
                return
            self._history.popleft()
