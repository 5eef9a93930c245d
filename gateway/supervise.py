"""Keeps things alive: a driver, a part of the box, the tasks of the daemon. Says "lost" once and "back" once.

This is the one place where an unexpected exception may end: it is logged with its trace, booked, and what failed is
started again; the others never notice. A cancellation that nobody asked for (a library's future that was cancelled
under the one who waits for it) is such an exception too, or what it hits would be gone without a word.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from drivers.base import Driver, Sink
from gateway.core.clock import Clock
from gateway.core.errors import CarebedError, PairingError
from gateway.core.model import Event, Measurement, SampleBlock

log = logging.getLogger(__name__)

BACKOFF_S = (1.0, 2.0, 5.0, 10.0, 30.0)  # a device that is switched on again is heard within half a minute
PAIRING_BACKOFF_S = 300.0  # only a person can help; trying faster would lock some cuffs
STEADY_S = 60.0  # a link that held this long starts the back-off anew
RECOVERED_S = 10.0  # a part of the box that runs this long after a failure has recovered


def _told_to_stop(error: BaseException) -> bool:
    """Whether this is the cancellation of the running task itself and not one that came up from what it waits for."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def _stop_if_told() -> None:
    """A failure that comes in the same moment as the order to stop hides it: then nothing is started again."""
    task = asyncio.current_task()
    if task is not None and task.cancelling() > 0:
        raise asyncio.CancelledError


class _Watched:
    """Passes everything on and reports the first sign of life of each device after a loss."""

    def __init__(self, sink: Sink, clock: Clock) -> None:
        self._sink = sink
        self._clock = clock
        self.alive: set[str] = set()

    def _seen(self, device: str, bed: str | None) -> None:
        if device not in self.alive:
            self.alive.add(device)
            self._sink.event(Event("link_up", self._clock.now(), bed, device))

    def block(self, block: SampleBlock) -> None:
        self._seen(block.device, block.bed)
        self._sink.block(block)

    def measurement(self, measurement: Measurement) -> None:
        self._seen(measurement.device, measurement.bed)
        self._sink.measurement(measurement)

    def event(self, event: Event) -> None:
        """A driver that owns several devices reports each one's link itself; that is believed, not repeated."""
        if event.device is not None:
            if event.kind == "link_up" and event.device in self.alive:
                return
            if event.kind == "link_up":
                self.alive.add(event.device)
            elif event.kind == "link_lost":
                self.alive.discard(event.device)
        self._sink.event(event)

    def rejected(self, device: str, reason: str, raw: bytes, *, count: int = 1) -> None:
        self._sink.rejected(device, reason, raw, count=count)

    def heard(self, device: str, *, rssi_dbm: int | None = None) -> None:
        self._sink.heard(device, rssi_dbm=rssi_dbm)


class Supervisor:
    """Owns one driver for as long as `run` is not cancelled."""

    def __init__(self, driver: Driver, sink: Sink, clock: Clock) -> None:
        self.name = f"driver of {', '.join(device.id for device in driver.devices)}"
        self._driver = driver
        self._watched = _Watched(sink, clock)
        self._sink = sink
        self._clock = clock
        self._jitter = random.Random()  # noqa: S311 - spreads retries, guards no secret
        self._failures = 0
        self._failure = ""  # the last unexpected one
        self._lost: set[str] = set()
        self._rest: asyncio.Future[None] | None = None

    def answers_for(self, device: str) -> bool:
        """Whether this driver is the one of `device`."""
        return any(one.id == device for one in self._driver.devices)

    def wake(self) -> None:
        """What kept the driver from its device has been mended: try now, and not when the rest is over."""
        if self._rest is not None:
            self._rest.cancel()

    async def run(self) -> None:
        """Run the driver for ever; ends only by cancellation."""
        while True:
            started = self._clock.now()
            pairing = False
            try:
                await self._driver.run(self._watched)
                self._report("the driver returned although its link was not closed", "")
            except CarebedError as error:
                self._report(str(error), error.hint)
                pairing = isinstance(error, PairingError)
            except (Exception, asyncio.CancelledError) as error:
                if _told_to_stop(error):
                    raise
                self._failed(error)
            _stop_if_told()
            if self._clock.now().since_s(started) >= STEADY_S:
                self._failures, self._failure = 0, ""
            await self._sleep(PAIRING_BACKOFF_S if pairing else self._backoff_s())

    async def _sleep(self, seconds: float) -> None:
        """Rest until the time is over or somebody wakes us."""
        self._rest = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait({self._rest})
        finally:
            self._rest.cancel()
            self._rest = None

    def _backoff_s(self) -> float:
        step_s = BACKOFF_S[min(self._failures, len(BACKOFF_S) - 1)]
        self._failures += 1
        return step_s * self._jitter.uniform(0.8, 1.2)

    def _report(self, reason: str, hint: str) -> None:
        """link_lost once for each device until it has been seen again."""
        for device in self._driver.devices:
            first = device.id in self._watched.alive or device.id not in self._lost
            self._watched.alive.discard(device.id)
            log.log(logging.WARNING if first else logging.DEBUG, "%s: %s (%s)", device.id, reason, hint)
            if first:
                self._lost.add(device.id)
                detail = {"reason": reason, "hint": hint}
                self._sink.event(Event("link_lost", self._clock.now(), device.bed, device.id, detail))

    def _failed(self, error: BaseException) -> None:
        """A fault of the program: its trace and a device_fault once, until it fails in another way."""
        failure = repr(error)
        repeated, self._failure = failure == self._failure, failure
        log.log(logging.DEBUG if repeated else logging.ERROR, "%s failed", self.name, exc_info=error)
        self._report("the driver failed; the journal has the trace", "send the diagnostics to the maintainers")
        for device in () if repeated else self._driver.devices:
            detail = {"part": f"driver {device.id}", "reason": "unexpected failure"}
            self._sink.event(Event("device_fault", self._clock.now(), device.bed, device.id, detail))


class PartSupervisor:
    """Keeps a part of the box itself alive (a radio, an uplink): box_trouble once, box_recovered once."""

    def __init__(
        self, name: str, run: Callable[[], Awaitable[None]], on_event: Callable[[Event], None], clock: Clock
    ) -> None:
        self.name = name
        self._run = run
        self._on_event = on_event
        self._clock = clock
        self._failures = 0
        self._failure = ""  # the last unexpected one
        self._troubled = False

    async def run(self) -> None:
        """Run the part for ever; ends only by cancellation."""
        while True:
            watch = asyncio.create_task(self._recovered_after())
            try:
                await self._run()
                self._trouble("it ended although nobody stopped it", "")
            except CarebedError as error:
                self._trouble(str(error), error.hint)
            except (Exception, asyncio.CancelledError) as error:
                if _told_to_stop(error):
                    raise
                repeated, self._failure = repr(error) == self._failure, repr(error)
                log.log(logging.DEBUG if repeated else logging.ERROR, "%s failed", self.name, exc_info=error)
                self._trouble("unexpected failure; the journal has the trace", "send the maintainers the diagnostics")
            finally:
                watch.cancel()
            _stop_if_told()
            step_s = BACKOFF_S[min(self._failures, len(BACKOFF_S) - 1)]
            self._failures += 1
            await self._clock.sleep(step_s)

    async def _recovered_after(self) -> None:
        await self._clock.sleep(RECOVERED_S)
        self._failures, self._failure = 0, ""
        if self._troubled:
            self._troubled = False
            log.info("%s is back", self.name)
            self._on_event(Event("box_recovered", self._clock.now(), detail={"part": self.name}))

    def _trouble(self, reason: str, hint: str) -> None:
        log.log(logging.DEBUG if self._troubled else logging.WARNING, "%s: %s (%s)", self.name, reason, hint)
        if not self._troubled:
            self._troubled = True
            detail = {"part": self.name, "reason": reason, "hint": hint}
            self._on_event(Event("box_trouble", self._clock.now(), detail=detail))


class Crew:
    """Tasks that belong together; one that ends by itself is reported, because nobody would notice it missing."""

    def __init__(self, on_failure: Callable[[str], None]) -> None:
        self._on_failure = on_failure
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` until `stop`."""
        self.adopt(name, asyncio.create_task(work))

    def adopt(self, name: str, task: asyncio.Task[None]) -> None:
        """Look after a task that runs already."""
        task.set_name(name)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() and self._stopping:
            return
        error = None if task.cancelled() else task.exception()
        log.critical("%s has ended and must not", task.get_name(), exc_info=error)
        self._on_failure(task.get_name())

    async def stop(self) -> None:
        """Cancel all and wait for their clean-up."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
