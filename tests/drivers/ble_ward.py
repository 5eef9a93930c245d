"""What the Bluetooth tests share: a sink that remembers, a radio space in this process, an adapter on its TCP port."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import numpy as np
from bleak import BleakClient, BleakScanner
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.exc import BleakError
from numpy.typing import NDArray

from drivers.base import Device, Driver
from drivers.ble_link import BleAdapter, Heard, Radio, backend_virtual
from drivers.ble_virtual_ward import RadioSpace
from drivers.hrs.frame import HeartRate
from gateway.core.clock import Clock, SystemClock
from gateway.core.model import Event, Measurement, SampleBlock

WAIT_S = 15.0  # a safety net around real sockets on a loaded machine, never a measurement


@dataclass
class RecordingSink:
    """Everything a driver said, in order."""

    blocks: list[SampleBlock] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    rejections: list[tuple[str, str, bytes]] = field(default_factory=list)
    heard_from: list[str] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def block(self, block: SampleBlock) -> None:
        self.blocks.append(block)
        self.changed.set()

    def measurement(self, measurement: Measurement) -> None:
        self.measurements.append(measurement)
        self.changed.set()

    def event(self, event: Event) -> None:
        self.events.append(event)
        self.changed.set()

    def rejected(self, device: str, reason: str, raw: bytes, *, count: int = 1) -> None:
        self.rejections.extend([(device, reason, raw)] * count)
        self.changed.set()

    def heard(self, device: str, *, rssi_dbm: int | None = None) -> None:
        self.heard_from.append(device)
        self.changed.set()

    def values(self, quantity: str) -> list[float]:
        return [one.value for one in self.measurements if one.quantity == quantity]

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    async def until(self, true: Callable[[], bool]) -> None:
        """Return once `true()` holds after something was said; TimeoutError after WAIT_S."""
        async with asyncio.timeout(WAIT_S):
            while not true():
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def running(*jobs: "asyncio._CoroutineLike[None]") -> AsyncIterator[list["asyncio.Task[None]"]]:
    """Run these beside the block; afterwards they are cancelled, and what they raised by themselves is raised here."""
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


@asynccontextmanager
async def radio_space() -> AsyncIterator[tuple[RadioSpace, int]]:
    space = RadioSpace()
    port = await space.serve()
    try:
        yield space, port
    finally:
        await space.close()


@asynccontextmanager
async def scanning_adapter(port: int, clock: Clock | None = None, *, slots: int = 6) -> AsyncIterator[BleAdapter]:
    """An adapter whose HCI goes through TCP to `port`, scanning."""
    backend = backend_virtual(f"tcp-client:127.0.0.1:{port}")
    adapter = BleAdapter("virtual", clock or SystemClock(), backend, slots=slots)
    async with running(adapter.run()):
        yield adapter


async def ended(driver: Driver, sink: RecordingSink) -> BaseException | None:
    """What a driver's run raised by itself."""
    async with asyncio.timeout(WAIT_S):
        (result,) = await asyncio.gather(driver.run(sink), return_exceptions=True)
    return result


def lying_still(n: int) -> NDArray[np.float64]:
    """1 g on the z axis."""
    return np.tile([0.0, 0.0, 1.0], (n, 1))


def pulse_of(bpm: int) -> Callable[[], HeartRate]:
    """Worn, one beat interval a notification."""
    return lambda: HeartRate(bpm, contact=True, rr=(round(1024 * 60 / bpm),))


def device(family: str, address: str, **settings: str | bool) -> Device:
    return Device(f"d-{address[-2:]}", family, "test", "virtual", "b-1", address, settings)


class SilentRadio:
    """An adapter that opens, scans and hears nothing: what a dead scan looks like from above."""

    def __init__(self) -> None:
        self.heard: Heard | None = None
        self.starts = 0

    def scanner(self, heard: Heard) -> BleakScanner:
        self.heard = heard
        return _SilentScanner(self)

    def client(self, device: BLEDevice, lost: Callable[[BleakClient], None], timeout_s: float) -> BleakClient:
        raise BleakError("a silent radio connects to nothing")

    async def gone(self) -> None:
        await asyncio.Event().wait()

    def advert(
        self,
        address: str,
        *,
        name: str | None = None,
        services: tuple[str, ...] = (),
        service_data: Mapping[str, bytes] | None = None,
        companies: Mapping[int, bytes] | None = None,
        rssi_dbm: int = -70,
        details: object = None,
    ) -> None:
        assert self.heard is not None
        data = AdvertisementData(
            name, dict(companies or {}), dict(service_data or {}), list(services), None, rssi_dbm, ()
        )
        self.heard(BLEDevice(address, name, details), data)


class _SilentScanner(BleakScanner):
    def __init__(self, radio: SilentRadio) -> None:
        self._radio = radio

    async def start(self) -> None:
        self._radio.starts += 1

    async def stop(self) -> None:
        return


def adapter_with(radio: SilentRadio, clock: Clock) -> BleAdapter:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Radio]:
        yield radio

    return BleAdapter("silent", clock, opened)


def adapter_without_radio(clock: Clock) -> BleAdapter:
    """For drivers that are handed their adverts."""
    return adapter_with(SilentRadio(), clock)
