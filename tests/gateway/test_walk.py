"""The walk: bytes in at one end, rows and alarms out at the platform's end, with the uplink cut in the middle.

Everything is real: the daemon's process, pseudo-terminals, a virtual radio over HCI, mosquitto, a router that is cut.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gateway import config as configuration
from gateway.core.clock import ScaledClock, SystemClock
from gateway.demo.broker import Broker, Proxy, free_port
from gateway.demo.processes import DaemonProcess, WardProcess
from gateway.demo.site import GATEWAY, TENANT, Origin, origin, write_config, write_ward
from gateway.demo.story import BEDS, KIOSK, STORIES
from gateway.demo.verdict import IN_FLIGHT, doubled
from gateway.errands import import_ward
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.envelope import AlarmState, Backfill, Backlog, Nothing, Observation
from gateway.upstream.platform import Platform

SPEED = 8.0  # a minute passes in 7.5 s; slow enough for a busy machine's scheduler
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Site:
    """Everything around one daemon."""

    directory: Path
    config: Path
    port: int
    when: Origin
    ward: WardProcess
    proxy: Proxy
    platform: Platform

    async def daemon(self) -> DaemonProcess:
        return await DaemonProcess.start(self.config, self.port, self.directory / "daemon.log")

    async def command(self, **what: Any) -> dict[str, Any]:
        await self.ward.do(**what)
        return await self.ward.answer(PATIENCE_S)

    def alarms(self, rule: str) -> list[AlarmState]:
        known = self.platform.gateways.get(GATEWAY)
        found = known.alarms.values() if known else ()
        return [alarm for alarm in found if alarm.rule.startswith(f"{rule}@")]

    async def heads(self) -> dict[str, int]:
        marks = (await self.platform.request(GATEWAY, "backlog.read", Nothing())).message
        assert isinstance(marks, Backlog)
        return {stream: mark.hi for stream, mark in marks.streams.items()}


async def until(ready: Callable[[], Any], what: str) -> None:
    """Wait for a condition, at most PATIENCE_S; the wait ends the moment it is true."""
    async with asyncio.timeout(PATIENCE_S):
        while not ready():
            await SystemClock().sleep(0.02)
    assert ready(), what


async def settled(daemon: DaemonProcess) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            devices, health = await daemon.ask("devices"), await daemon.ask("health")
            heard = all(device["state"] == "up" for device in devices if device["family"] != "bthome")
            worker = {part["name"]: part["state"] for part in health["parts"]}.get("worker")
            if heard and worker == "ready":
                return
            await SystemClock().sleep(0.1)


@asynccontextmanager
async def site(directory: Path, *, bands: int = 1) -> AsyncIterator[Site]:
    when = origin(replace(STORIES["short"], speed=SPEED))
    clock = ScaledClock(when.speed, origin_real_ns=when.real_ns, origin_utc_ns=when.utc_ns)
    async with Broker(directory) as broker, Proxy(broker.port) as proxy:
        platform = Platform(clock, Endpoint("127.0.0.1", broker.port), TENANT, backfill=Backfill(rate=100.0))
        following = asyncio.create_task(platform.run())
        ward = await WardProcess.start(when, beds=len(BEDS), bands=bands, lossy=0.01)
        try:
            await platform.connected.wait()
            port = free_port()
            config = write_config(
                directory, ward.ends, when, broker_port=proxy.port, page_port=port, language="en"
            )
            await import_ward(configuration.load(config), write_ward(directory, len(BEDS), bands), dry_run=False)
            yield Site(directory, config, port, when, ward, proxy, platform)
        finally:
            await ward.stop()
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def complete(place: Site) -> dict[str, int]:
    """Wait until the platform has every row up to the gateway's heads; the heads."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            heads = await place.heads()
            seen = place.platform.seen
            if all(not seen.of(GATEWAY, stream).missing(1, hi) for stream, hi in heads.items() if hi):
                return heads
            await SystemClock().sleep(0.1)


async def test_with_the_uplink_cut_in_the_middle_nothing_is_lost_and_nothing_comes_twice(tmp_path: Path) -> None:
    async with site(tmp_path) as place:
        daemon = await place.daemon()
        try:
            await settled(daemon)
            await place.command(do="press_button", bed=1)
            await until(lambda: place.alarms("sos"), "the first SOS reaches the platform")

            place.proxy.cut()
            await place.command(do="pull_cord", bed=2)
            async with asyncio.timeout(PATIENCE_S):  # local, while no platform can be reached
                while not [a for a in await daemon.ask("alarms") if a["rule"] == "sos" and a["bed"] == BEDS[1]]:
                    await SystemClock().sleep(0.02)
            await place.command(do="kiosk_reading", **KIOSK)
            await SystemClock().sleep(9.0)  # more than a scaled minute of summaries without a platform
            assert [alarm.bed for alarm in place.alarms("sos")] == [BEDS[0]]

            place.proxy.restore()
            await until(lambda: len(place.alarms("sos")) == 2, "the SOS of the outage reaches the platform")
            heads = await complete(place)
            assert heads["summary"] >= 2
            assert heads["obs"] >= 3

            seen = place.platform.seen
            assert sum(seen.duplicates.values()) <= IN_FLIGHT
            for stream in heads:
                assert doubled(record for record in seen.records if record.stream == stream) == 0
            assert seen.unreadable == 0
            came = {r.message.what: r.message.val for r in seen.records if isinstance(r.message, Observation)}
            assert {name: came[name] for name in KIOSK} == KIOSK
            pulled = await place.platform.pull(GATEWAY, "summaries.read", {"bed": BEDS[0]})
            assert pulled.verified
            assert pulled.rows
        finally:
            code = await daemon.stop()
        assert code == 0, (tmp_path / "daemon.log").read_text()


async def test_an_alarm_that_was_open_at_a_kill_is_still_the_same_alarm_afterwards(tmp_path: Path) -> None:
    async with site(tmp_path, bands=0) as place:
        daemon = await place.daemon()
        await settled(daemon)
        await place.command(do="press_button", bed=1)
        await until(lambda: place.alarms("sos"), "the SOS reaches the platform")
        before = place.alarms("sos")[0].id
        await daemon.kill()

        daemon = await place.daemon()
        try:
            await settled(daemon)
            found = [alarm for alarm in await daemon.ask("alarms") if alarm["open"] and alarm["rule"] == "sos"]
            assert [alarm["id"] for alarm in found] == [before]
            answer = await place.platform.acknowledge(GATEWAY, before, "carer-07")
            assert answer.st == 200
            heads = await complete_but_for_burnt_numbers(place)
            assert heads["alarm"] >= 2
            assert place.alarms("sos")[0].id == before
            assert len(place.alarms("sos")) == 1
        finally:
            await daemon.stop()


async def complete_but_for_burnt_numbers(place: Site) -> dict[str, int]:
    """A kill burns the alarm numbers that were reserved; each hole in them is told by a gap note of the gateway."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            heads, seen = await place.heads(), place.platform.seen
            told = sum(
                record.message.lost
                for record in seen.records
                if getattr(record.message, "what", "") == "alarm" and hasattr(record.message, "lost")
            )
            holes = {stream: seen.of(GATEWAY, stream).missing(1, hi) for stream, hi in heads.items() if hi}
            missing = sum(hi - lo + 1 for lo, hi in holes.pop("alarm", []))
            if not any(holes.values()) and missing <= told:
                return heads
            await SystemClock().sleep(0.1)
