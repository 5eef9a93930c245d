"""Server-sent events: tells an open page that something has changed, at most once a second, at least every five.

An event carries no values; the page fetches what it shows. A viewer that does not read stalls nobody but itself.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from gateway.core.clock import Clock
from gateway.readmodel import ReadModel

MIN_GAP_S = 1.0  # real seconds between two events; a page redraws once for all that happened meanwhile
MAX_GAP_S = 5.0  # real seconds; ages on the page grow, and silence would look like a lost gateway
MAX_VIEWERS = 40  # open streams; more are refused, so that a hundred forgotten tabs cost nothing
RETRY_MS = 2000  # after which a browser tries again


class LiveStream:
    """Hands out streams and ends them all when the server stops."""

    def __init__(self, model: ReadModel, clock: Clock) -> None:
        self._model = model
        self._clock = clock
        self._closing = asyncio.Event()
        self.viewers = 0

    @property
    def full(self) -> bool:
        return self.viewers >= MAX_VIEWERS

    def close(self) -> None:
        """End every stream; the pages reconnect to whoever serves next."""
        self._closing.set()

    async def events(self) -> AsyncIterator[str]:
        """Until the viewer goes or `close` is called."""
        self.viewers += 1
        try:
            yield f"retry: {RETRY_MS}\n\n"
            while not self._closing.is_set():
                revision = self._model.revision
                yield f"event: changed\ndata: {json.dumps(self._news(revision))}\n\n"
                await self._pause(MIN_GAP_S)
                await self._change(revision)
        finally:
            self.viewers -= 1

    def _news(self, revision: int) -> dict[str, int]:
        return {"revision": revision, "open_alarms": len(self._model.open_alarms())}

    async def _pause(self, real_s: float) -> None:
        await self._first(self._clock.sleep(real_s * self._clock.speed))

    async def _change(self, after: int) -> None:
        longest = self._clock.sleep((MAX_GAP_S - MIN_GAP_S) * self._clock.speed)
        await self._first(self._model.wait(after), longest)

    async def _first(self, *waits: Coroutine[Any, Any, object]) -> None:
        """Return when one of the waits is over or the server stops; the others are cancelled."""
        tasks: list[asyncio.Task[object]] = [asyncio.create_task(wait) for wait in (*waits, self._closing.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
