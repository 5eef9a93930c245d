"""A device that a person is pairing belongs to that person: its driver waits until the pairing is over."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Reservations:
    """Addresses taken out of the drivers' hands for a while; at most one pairing runs, so at most one is here."""

    def __init__(self) -> None:
        self._ends: dict[str, asyncio.Event] = {}

    @asynccontextmanager
    async def hold(self, address: str) -> AsyncIterator[None]:
        """Nobody else connects to `address` during the block."""
        end = self._ends[address.upper()] = asyncio.Event()
        try:
            yield
        finally:
            self._ends.pop(address.upper(), None)
            end.set()

    async def free(self, address: str) -> None:
        """Return when nobody holds `address`."""
        while (end := self._ends.get(address)) is not None:
            await end.wait()
