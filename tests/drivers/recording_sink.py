"""A Sink that remembers: what the drivers' tests look at."""

import asyncio
from collections import Counter
from collections.abc import Callable

from drivers.base import Sink
from gateway.core.model import Event, Measurement, SampleBlock


class RecordingSink(Sink):
    """Everything a driver told, in order."""

    def __init__(self) -> None:
        self.blocks: list[SampleBlock] = []
        self.measurements: list[Measurement] = []
        self.events: list[Event] = []
        self.rejects: Counter[tuple[str, str]] = Counter()
        self.raw: dict[tuple[str, str], bytes] = {}
        self.heard_from: Counter[str] = Counter()

    def block(self, block: SampleBlock) -> None:
        self.blocks.append(block)

    def measurement(self, measurement: Measurement) -> None:
        self.measurements.append(measurement)

    def event(self, event: Event) -> None:
        self.events.append(event)

    def rejected(self, device: str, reason: str, raw: bytes, *, count: int = 1) -> None:
        self.rejects[(device, reason)] += count
        self.raw[(device, reason)] = raw

    def heard(self, device: str, *, rssi_dbm: int | None = None) -> None:
        self.heard_from[device] += 1

    def kinds(self, device: str) -> list[str]:
        """Kinds of the events of one device, in order."""
        return [event.kind for event in self.events if event.device == device]

    def values(self, quantity: str) -> list[float]:
        return [m.value for m in self.measurements if m.quantity == quantity]


async def until(ready: Callable[[], bool], *, timeout_s: float = 10.0) -> None:
    """Let real I/O go on until `ready()`; TimeoutError after `timeout_s` of real time."""
    async with asyncio.timeout(timeout_s):
        while not ready():
            await asyncio.sleep(0.002)
