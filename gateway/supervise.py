"""Keeps one driver alive: run it, back off when its link breaks, say "lost" once and "back" once.

This is the one place where a driver's unexpected exception may end: it is logged with its trace, booked as trouble of
the box and the driver is started again; the other drivers never notice.
"""

import logging
import random

from drivers.base import Driver, Sink
from gateway.core.clock import Clock
from gateway.core.errors import CarebedError, PairingError
from gateway.core.model import Event, Measurement, SampleBlock

log = logging.getLogger(__name__)

BACKOFF_S = (1.0, 2.0, 5.0, 10.0, 30.0)  # a device that is switched on again is heard within half a minute
PAIRING_BACKOFF_S = 300.0  # only a person can help; trying faster would lock some cuffs
STEADY_S = 60.0  # a link that held this long starts the back-off anew


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
        self._driver = driver
        self._watched = _Watched(sink, clock)
        self._sink = sink
        self._clock = clock
        self._jitter = random.Random()  # noqa: S311 - spreads retries, guards no secret
        self._failures = 0
        self._lost: set[str] = set()

    async def run(self) -> None:
        """Run the driver for ever; ends only by cancellation."""
        while True:
            started = self._clock.now()
            try:
                await self._driver.run(self._watched)
                self._report("the driver returned although its link was not closed", "")
            except CarebedError as error:
                self._report(str(error), error.hint)
                pairing = isinstance(error, PairingError)
            except Exception:
                log.exception("driver of %s failed", ", ".join(device.id for device in self._driver.devices))
                self._report("the driver failed; the journal has the trace", "send the diagnostics to the maintainers")
                self._trouble()
                pairing = False
            else:
                pairing = False
            if self._clock.now().since_s(started) >= STEADY_S:
                self._failures = 0
            await self._clock.sleep(PAIRING_BACKOFF_S if pairing else self._backoff_s())

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

    def _trouble(self) -> None:
        for device in self._driver.devices:
            detail = {"part": f"driver {device.id}", "reason": "unexpected failure"}
            self._sink.event(Event("device_fault", self._clock.now(), device.bed, device.id, detail))
