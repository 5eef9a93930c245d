"""Who may be connected at once: held links (bands, oximeters) against meters, which speak for seconds and are gone.

A radio holds few links. One slot is kept for meters, which are served first, both for a slot and for the turn to
connect: a cuff that wants to hand over its readings hangs up within seconds, a band still streams a minute later.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from enum import Enum

SLOTS = 6  # links at once; a Pi's onboard radio was seen to hold 7 and to refuse the tenth (error 0x0D)
RESERVED = 1  # of them for meters only


class Use(Enum):
    """What a connection is for."""

    HELD = "held"  # streams for as long as it can
    METER = "meter"  # hands over what it stored and hangs up


class _Queue:
    """Waiters for one resource, meters first, else in the order they came. Bounded by the number of drivers."""

    def __init__(self) -> None:
        self._waiting: dict[Use, deque[asyncio.Future[None]]] = {Use.METER: deque(), Use.HELD: deque()}

    def __len__(self) -> int:
        return sum(len(waiting) for waiting in self._waiting.values())

    async def wait(self, use: Use, wake_others: Callable[[], None]) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[use].append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                wake_others()  # woken and cancelled at once: what it was woken for goes to the next
            raise
        finally:
            if waiter in self._waiting[use]:
                self._waiting[use].remove(waiter)

    def wake(self, may: Callable[[Use], bool]) -> None:
        """Wake the first waiter that may go on."""
        for use, waiting in self._waiting.items():
            while waiting and may(use):
                waiter = waiting.popleft()
                if not waiter.done():
                    waiter.set_result(None)
                    return


class Slots:
    """The slots of one adapter. `on_full` is called with address -> use when the last free one has been taken."""

    def __init__(
        self,
        count: int = SLOTS,
        *,
        reserved: int = RESERVED,
        on_full: Callable[[Mapping[str, Use]], None] | None = None,
    ) -> None:
        if count < 1:
            raise ValueError(f"{count} slots; at least 1 is needed")
        self.count = count
        self._for_held = max(1, count - reserved)
        self._holders: list[tuple[str, Use]] = []
        self._on_full = on_full
        self._queue = _Queue()
        self._turns = _Queue()
        self._turn_taken = False

    @property
    def free(self) -> int:
        """Slots that nobody has, the reserved one included."""
        return self.count - len(self._holders)

    @property
    def waiting(self) -> int:
        """Connections that wait for a slot."""
        return len(self._queue)

    def limit(self, use: Use) -> int:
        """Slots that links of this use may have together."""
        return self.count if use is Use.METER else self._for_held

    def holders(self) -> dict[str, Use]:
        """Who has a slot, by address."""
        return dict(self._holders)

    async def available(self, use: Use) -> None:
        """Return when there is a slot for this use, without taking it: an absent device must not hold one."""
        while not self._may(use):
            await self._queue.wait(use, self._wake)
            self._wake()

    async def acquire(self, address: str, use: Use) -> None:
        """Take a slot as soon as there is one; `release` gives it back."""
        while not self._may(use):
            await self._queue.wait(use, self._wake)
        self._holders.append((address, use))
        if self.free == 0 and self._on_full is not None:
            self._on_full(self.holders())

    def release(self, address: str, use: Use) -> None:
        """Give a slot back."""
        self._holders.remove((address, use))
        self._wake()

    @asynccontextmanager
    async def turn(self, use: Use) -> AsyncIterator[None]:
        """One connection is made at a time: BlueZ answers a second one with InProgress."""
        while self._turn_taken:
            await self._turns.wait(use, self._next_turn)
        self._turn_taken = True
        try:
            yield
        finally:
            self._turn_taken = False
            self._next_turn()

    def _next_turn(self) -> None:
        self._turns.wake(lambda _use: not self._turn_taken)

    def _may(self, use: Use) -> bool:
        if self.free == 0:
            return False
        return use is Use.METER or sum(one is Use.HELD for _, one in self._holders) < self._for_held

    def _wake(self) -> None:
        self._queue.wake(self._may)
