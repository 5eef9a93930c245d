"""The one room that reads a clock or sleeps. Tests move a ManualClock, demonstrations run a ScaledClock.

Intervals come from CLOCK_BOOTTIME. Wall time is attached through anchors: pairs of boot time and UTC with an
uncertainty, so that a row written before the first time sync can be re-timed later and is never re-numbered.
"""

import asyncio
import ctypes
import heapq
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Protocol

from gateway.core.model import Stamp

UNKNOWN_UNCERTAINTY_NS = 10 * 365 * 86_400 * 10**9  # no sync has ever been seen: ten years, and honest about it


@dataclass(frozen=True, slots=True)
class Anchor:
    """UTC at one moment of one boot. source: "ntp", "rtc", "platform" or "none"."""

    boot_id: str
    mono_ns: int
    utc_ns: int
    uncertainty_ns: int
    source: str

    def utc_ns_of(self, at: Stamp) -> int:
        """UTC in ns since 1970 of a stamp of the same boot; ValueError for another boot's."""
        if at.boot_id != self.boot_id:
            raise ValueError(f"stamp of boot {at.boot_id} cannot be timed by an anchor of boot {self.boot_id}")
        return self.utc_ns + at.mono_ns - self.mono_ns


class Clock(Protocol):
    """What the rest of the house may ask of time. `speed` is 1.0 except on a scaled clock."""

    boot_id: str
    speed: float

    def now(self) -> Stamp:
        """The present moment of this boot."""

    def anchor(self) -> Anchor:
        """How boot time and UTC relate now."""

    def real_ns(self) -> int:
        """CLOCK_BOOTTIME in ns, never scaled: for latencies only."""

    def real_ns_of(self, at: Stamp) -> int:
        """The real CLOCK_BOOTTIME in ns at which this boot's stamp was taken."""

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of this clock."""


def utc_text(anchor: Anchor, at: Stamp) -> str:
    """ISO 8601 UTC to the millisecond, for people."""
    moment = datetime.fromtimestamp(anchor.utc_ns_of(at) / 1e9, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@cache
def _libc() -> ctypes.CDLL:
    """Loaded once: an anchor is asked for with every fact."""
    return ctypes.CDLL(None, use_errno=True)


def _kernel_sync() -> tuple[str, int]:
    """(source, uncertainty_ns) as the kernel's NTP discipline has it (ntp_adjtime(3)); ("none", ...) if unsynced."""
    buffer = (ctypes.c_long * 32)()  # struct timex: modes at 0, maxerror (µs) is the fourth long on 64-bit Linux
    state = _libc().ntp_adjtime(ctypes.byref(buffer))
    if state in (-1, 5):  # TIME_ERROR: not synchronised
        return "none", UNKNOWN_UNCERTAINTY_NS
    return "ntp", int(buffer[3]) * 1000


class SystemClock:
    """The box's own clock."""

    speed = 1.0

    def __init__(self) -> None:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            self.boot_id = file.read().replace("-", "")[:8]

    def now(self) -> Stamp:
        return Stamp(self.boot_id, time.clock_gettime_ns(time.CLOCK_BOOTTIME))

    def anchor(self) -> Anchor:
        source, uncertainty_ns = _kernel_sync()
        mono_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        return Anchor(self.boot_id, mono_ns, time.time_ns(), uncertainty_ns, source)

    def real_ns(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def real_ns_of(self, at: Stamp) -> int:
        return at.mono_ns

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


class ScaledClock:
    """Time that runs `speed` times as fast: demonstrations and tests only (the configuration refuses it elsewhere).

    Several processes that share (origin_real_ns, origin_utc_ns, speed) share the same scaled time.
    """

    def __init__(self, speed: float, *, origin_real_ns: int, origin_utc_ns: int, boot_id: str | None = None) -> None:
        self.speed = speed
        self.boot_id = boot_id or os.urandom(4).hex()
        self._origin_real_ns = origin_real_ns
        self._origin_utc_ns = origin_utc_ns

    def now(self) -> Stamp:
        elapsed_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - self._origin_real_ns
        return Stamp(self.boot_id, round(elapsed_ns * self.speed))

    def anchor(self) -> Anchor:
        now = self.now()
        return Anchor(self.boot_id, now.mono_ns, self._origin_utc_ns + now.mono_ns, 1_000_000, "platform")

    def real_ns(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def real_ns_of(self, at: Stamp) -> int:
        return self._origin_real_ns + round(at.mono_ns / self.speed)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds) / self.speed)


class ManualClock:
    """Time that moves only when a test says so: `await clock.advance(5)` wakes every sleeper due by then, in order."""

    speed = 1.0

    def __init__(self, *, utc: datetime | None = None, boot_id: str = "00000001", mono_ns: int = 10**12) -> None:
        self.boot_id = boot_id
        self._mono_ns = mono_ns
        start = utc or datetime(2026, 11, 24, 20, 0, tzinfo=UTC)
        self._utc_offset_ns = int(start.timestamp()) * 10**9 - mono_ns
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = 0
        self.source = "ntp"
        self.uncertainty_ns = 1_000_000

    def now(self) -> Stamp:
        return Stamp(self.boot_id, self._mono_ns)

    def anchor(self) -> Anchor:
        utc_ns = self._mono_ns + self._utc_offset_ns
        return Anchor(self.boot_id, self._mono_ns, utc_ns, self.uncertainty_ns, self.source)

    def real_ns(self) -> int:
        return self._mono_ns

    def real_ns_of(self, at: Stamp) -> int:
        return at.mono_ns

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._order += 1
        heapq.heappush(self._sleepers, (self._mono_ns + round(max(0.0, seconds) * 1e9), self._order, future))
        await future

    def step_utc(self, seconds: float) -> None:
        """Move wall time alone, as an NTP step does."""
        self._utc_offset_ns += round(seconds * 1e9)

    async def advance(self, seconds: float) -> None:
        """Move time forward, letting every task that wakes run before time moves on."""
        target_ns = self._mono_ns + round(seconds * 1e9)
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= target_ns:
            due_ns, _, future = heapq.heappop(self._sleepers)
            self._mono_ns = max(self._mono_ns, due_ns)
            if not future.done():
                future.set_result(None)
            await self._settle()
        self._mono_ns = target_ns

    def shift(self, seconds: float) -> None:
        """Move time forward without waking anybody: for code that never sleeps."""
        self._mono_ns += round(seconds * 1e9)

    async def _settle(self) -> None:
        for _ in range(20):  # rounds of the loop that a woken chain of tasks may need before all wait again
            await asyncio.sleep(0)


def call_later_real(seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
    """Call back after real `seconds` whatever the clock's speed: for deadlines of hardware, such as a slow disk."""
    return asyncio.get_running_loop().call_later(seconds, callback)


def kernel_monotonic_us() -> int:
    """CLOCK_MONOTONIC in µs: systemd wants this one with RELOADING=1 (sd_notify(3)), nobody else does."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


async def within(clock: Clock, seconds: float, ready: Callable[[], bool], *, poll_s: float = 0.01) -> bool:
    """Wait until `ready()` is true, at most `seconds` of `clock`; False when it never became true."""
    start = clock.now()
    while not ready():
        if clock.now().since_s(start) >= seconds:
            return False
        await clock.sleep(poll_s * clock.speed)
    return True
