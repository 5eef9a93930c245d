"""A daemon with all that surrounds it in real time: mosquitto, the platform, and devices that speak or are silent."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from drivers.faulty_line import VirtualPort
from gateway import config as configuration
from gateway.core.clock import ScaledClock, SystemClock
from gateway.core.errors import LinkError
from gateway.demo.broker import Broker, free_port
from gateway.demo.processes import DaemonProcess, WardProcess
from gateway.demo.site import TENANT, Ends, Origin, origin, write_config, write_ward
from gateway.demo.story import STORIES
from gateway.errands import import_ward
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.platform import Platform
from gateway.upstream.seen import Record
from tests.benchmarks.box import PATIENCE_S, last_words, worker_pid

BLUEZ = '[[ble]]\nname = "radio"\nbackend = "bluez"\nadapter = "hci0"\n'


@dataclass(frozen=True, slots=True)
class Site:
    """Everything but the daemon. config: of a daemon that has its ward in the registry."""

    directory: Path
    config: Path
    page_port: int
    platform: Platform

    @asynccontextmanager
    async def daemon(self) -> AsyncIterator[DaemonProcess]:
        """The daemon, told to stop in the end. LinkError when it does not end well; its last words go to stderr."""
        log, measured = self.directory / "daemon.log", False
        running = await DaemonProcess.start(self.config, self.page_port, log)
        try:
            yield running
            measured = True
        finally:
            code = await running.stop()
            if code != 0 or not measured:
                sys.stderr.write(last_words(log))
        if code != 0:
            raise LinkError(f"the daemon ended with code {code}", hint="its last words stand above")


def real_time() -> Origin:
    """The story's evening, at the speed of the wall clock."""
    return origin(replace(STORIES["short"], speed=1.0))


def _ignore(_: Record) -> None:
    """Nobody listens to the platform."""


@asynccontextmanager
async def site(
    directory: Path, ends: Ends, when: Origin, *, beds: int, bands: int, buttons: bool, cache_dir: Path,
    bluez: bool = False, on_record: Callable[[Record], None] = _ignore,
) -> AsyncIterator[Site]:  # fmt: skip
    """bluez: the configuration names a BlueZ adapter, as on a real box, instead of the virtual radio."""
    clock = ScaledClock(when.speed, origin_real_ns=when.real_ns, origin_utc_ns=when.utc_ns)
    directory.mkdir()
    async with Broker(directory) as broker:
        platform = Platform(clock, Endpoint("127.0.0.1", broker.port), TENANT, on_record=on_record)
        following = asyncio.create_task(platform.run())
        try:
            async with asyncio.timeout(PATIENCE_S):
                await platform.connected.wait()
            port = free_port()
            config = write_config(
                directory, ends, when, broker_port=broker.port, page_port=port, language="en", cache_dir=cache_dir
            )
            if bluez:
                config.write_text(config.read_text(encoding="utf-8") + BLUEZ, encoding="utf-8")
            ward = write_ward(directory, beds, bands, buttons=buttons)
            await import_ward(configuration.load(config), ward, dry_run=False)
            yield Site(directory, config, port, platform)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


@asynccontextmanager
async def silent_ports(beds: int) -> AsyncIterator[Ends]:
    """Ports that are there and on which nothing is ever said."""
    ports = [VirtualPort() for _ in range(beds + 1)]
    try:
        *belts, bus = (port.path for port in ports)
        yield Ends(tuple(belts), bus, None)
    finally:
        for port in ports:
            port.unplug()


@asynccontextmanager
async def ward(when: Origin, *, beds: int, bands: int) -> AsyncIterator[WardProcess]:
    """The virtual devices, in a process of their own."""
    process = await WardProcess.start(when, beds=beds, bands=bands)
    try:
        yield process
    finally:
        await process.stop()


async def settled(daemon: DaemonProcess, *, devices: bool) -> list[int]:
    """Wait until worker and uplink, and with `devices` all of those that speak, are there; pids of daemon and worker.

    LinkError with what is still missing after PATIENCE_S.
    """
    clock = SystemClock()
    deadline_ns = clock.real_ns() + round(PATIENCE_S * 1e9)
    while True:
        parts = {part["name"]: part["state"] for part in (await daemon.ask("health"))["parts"]}
        missing = [] if parts.get("worker") == "ready" else ["worker"]
        missing += [up["name"] for up in await daemon.ask("uplinks") if up["state"] != "up"]
        if devices:
            known = [device for device in await daemon.ask("devices") if device["family"] != "bthome"]
            missing += [device["id"] for device in known if device["state"] != "up"]
        if not missing:
            return [daemon.pid, await worker_pid(daemon)]
        if clock.real_ns() > deadline_ns:
            raise LinkError(f"not there after {PATIENCE_S:.0f} s: {', '.join(missing)}", hint=f"parts: {parts}")
        await clock.sleep(0.1)
