"""`carebed demo`: sets up ward, broker, the real daemon and the platform, plays the story and judges it."""

import argparse
import asyncio
import json
import os
import signal
import socket
import tempfile
import webbrowser
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from gateway import config as configuration
from gateway.core.clock import Clock, ScaledClock, SystemClock
from gateway.core.errors import LinkError
from gateway.demo.broker import Broker, Proxy, free_port
from gateway.demo.carer import Carer
from gateway.demo.processes import DaemonProcess, WardProcess, show
from gateway.demo.recordings import Recordings
from gateway.demo.site import GATEWAY, TENANT, Origin, origin, write_config, write_ward
from gateway.demo.story import BEDS, STORIES, Step, Story
from gateway.demo.verdict import Witness, judge
from gateway.errands import import_ward
from gateway.texts import Texts, load
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.envelope import Backfill, Backlog, Nothing
from gateway.upstream.platform import Platform

PAGE_PORT = 8080
SETTLE_S = 45.0  # real time the devices get to be heard for the first time; bands connect one after the other
CATCH_UP_S = 15.0  # real time the backlog gets to reach the platform after the story
PAGES_PER_S = 50.0
ASK_S = 10.0
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # Ctrl-C, a service manager, a terminal that is closed


def main(args: argparse.Namespace) -> int:
    """Play `args.story`; 0 only when everything that was expected came true. ConfigError for useless recordings."""
    story = STORIES[args.story]
    if args.recordings is not None:
        Recordings(args.recordings)  # said here and now, not by the ward's process once half a site stands
    with tempfile.TemporaryDirectory(prefix="carebed-demo-") as name:
        stage = Stage(story, Path(name), load(args.lang), args.recordings, quiet=args.json)
        stay = not args.json and story.name == "full"
        verdict = asyncio.run(_until_told(stage.play(browser=not args.no_browser, stay=stay)))
    if args.json:
        print(json.dumps(verdict, ensure_ascii=False, indent=1))
    return 0 if verdict["ok"] else 1


class Stage:
    """One performance in `directory`; recordings: a directory that drives the devices, None for the models."""

    def __init__(
        self, story: Story, directory: Path, texts: Texts, recordings: Path | None, *, quiet: bool = False
    ) -> None:
        self._story = story
        self._directory = directory
        self._texts = texts
        self._recordings = recordings
        self._quiet = quiet
        self._when: Origin = origin(story)
        self._real = SystemClock()
        self._clock: Clock = ScaledClock(
            story.speed, origin_real_ns=self._when.real_ns, origin_utc_ns=self._when.utc_ns, boot_id="0000d3e0"
        )
        self._witness = Witness()
        self._verdict: dict[str, Any] = {"ok": False}
        self._exit_code: int | None = None

    async def play(self, *, browser: bool, stay: bool) -> dict[str, Any]:
        """Everything from the first port to the verdict. LinkError when a part cannot be started."""
        began_ns = self._real.real_ns()
        async with Broker(self._directory) as broker, Proxy(broker.port) as proxy:
            carer = Carer(self._clock)
            platform = Platform(
                self._clock, Endpoint("127.0.0.1", broker.port), TENANT, backfill=Backfill(rate=PAGES_PER_S),
                on_record=carer.heard,
            )  # fmt: skip
            carer.attach(platform)
            following = asyncio.create_task(platform.run())
            ward = await WardProcess.start(self._when, beds=len(BEDS), bands=len(BEDS), recordings=self._recordings)
            try:
                await platform.connected.wait()
                await self._with_daemon(ward, platform, proxy, browser=browser, stay=stay)
                await carer.stop()
            finally:
                await ward.stop()
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
        verdict = self._verdict
        verdict |= {"ward": ward.sums, "seconds": round((self._real.real_ns() - began_ns) / 1e9, 1)}
        verdict |= {"exit_code": self._exit_code, "ok": verdict["ok"] and self._exit_code == 0}
        self._say("demo.true" if verdict["ok"] else "demo.untrue", seconds=verdict["seconds"])
        return verdict

    async def _with_daemon(
        self, ward: WardProcess, platform: Platform, proxy: Proxy, *, browser: bool, stay: bool
    ) -> None:
        port = PAGE_PORT if _is_free(PAGE_PORT) else free_port()
        config = write_config(
            self._directory, ward.ends, self._when, broker_port=proxy.port, page_port=port,
            language=self._texts.language,
        )  # fmt: skip
        await import_ward(configuration.load(config), write_ward(self._directory, len(BEDS), len(BEDS)), dry_run=False)
        daemon = await DaemonProcess.start(config, port, self._directory / "daemon.log")
        try:
            self._say("demo.page", url=daemon.url)
            if browser and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
                webbrowser.open(daemon.url)  # without a screen a text browser would take the terminal over
            await self._settle(daemon)
            await self._tell_story(ward, daemon, proxy)
            await self._gather(daemon, platform)
            self._verdict = judge(self._story, platform, GATEWAY, self._witness)
            self._print_verdict(self._verdict)
            if stay:
                self._say("demo.stay")
                await _until_interrupted()
        finally:
            self._exit_code = await daemon.stop()
            if self._exit_code != 0:
                show(self._directory / "daemon.log")

    async def _settle(self, daemon: DaemonProcess) -> None:
        """The story begins when the worker is ready, the platform is linked and every device but a button is heard."""
        deadline_ns = self._real.real_ns() + round(SETTLE_S * 1e9)
        while True:
            health, devices = await daemon.told("health"), await daemon.told("devices")
            parts = {part["name"]: part["state"] for part in health["parts"]}
            silent = [device["id"] for device in devices if device["state"] != "up" and device["family"] != "bthome"]
            if not silent and parts.get("worker") in ("ready", "degraded"):
                return
            if self._real.real_ns() > deadline_ns:
                raise LinkError(f"not ready after {SETTLE_S:.0f} s: silent {silent}, {parts}", hint="see the log above")
            await self._real.sleep(0.1)

    async def _tell_story(self, ward: WardProcess, daemon: DaemonProcess, proxy: Proxy) -> None:
        start = self._clock.now()
        for step in self._story.steps:
            await self._clock.sleep(step.at_s - self._clock.now().since_s(start))
            self._say(f"demo.step.{step.do}", bed=step.bed or "")
            await self._take(step, ward, daemon, proxy)
        await self._clock.sleep(self._story.end_s - self._clock.now().since_s(start))

    async def _take(self, step: Step, ward: WardProcess, daemon: DaemonProcess, proxy: Proxy) -> None:
        if step.do == "cut_uplink":
            self._witness.cut_real_ns = self._real.real_ns()
            self._witness.done[step.do, step.bed] = self._witness.cut_real_ns
            proxy.cut()
        elif step.do == "restore_uplink":
            alarms = await daemon.told("alarms")
            self._witness.during_cut = tuple(alarm["id"] for alarm in alarms if alarm["open"])
            self._witness.restored_real_ns = self._real.real_ns()
            proxy.restore()
        else:
            number = BEDS.index(step.bed) + 1 if step.bed else None
            await ward.do(do=step.do, bed=number, **step.args)
            answer = await ward.answer(ASK_S)
            self._witness.done[step.do, step.bed] = answer["real_ns"]
            if answer.get("recording"):
                self._witness.recordings.append(answer["recording"])

    async def _gather(self, daemon: DaemonProcess, platform: Platform) -> None:
        """Wait until the platform has caught up, then ask both ends what they have."""
        witness, deadline_ns = self._witness, self._real.real_ns() + round(CATCH_UP_S * 1e9)
        while True:
            uplinks = await daemon.told("uplinks")
            waiting = sum(stream["waiting"] for uplink in uplinks for stream in uplink["streams"].values())
            marks = (await platform.request(GATEWAY, "backlog.read", Nothing())).message
            assert isinstance(marks, Backlog)
            witness.heads = {stream: mark.hi for stream, mark in marks.streams.items()}
            witness.unacknowledged = {stream: mark.waiting for stream, mark in marks.streams.items()}
            complete = all(
                not platform.seen.of(GATEWAY, stream).missing(1, hi) for stream, hi in witness.heads.items() if hi
            )
            if (complete and waiting == 0) or self._real.real_ns() > deadline_ns:
                break
            await self._real.sleep(0.1)
        witness.devices = [
            {key: device[key] for key in ("id", "state", "rejected", "lost_samples")}
            for device in await daemon.told("devices")
        ]
        witness.duplicates = {stream: platform.seen.duplicates.get((GATEWAY, stream), 0) for stream in witness.heads}
        pulled = await platform.pull(GATEWAY, "summaries.read")  # comes on top: every row of it has come before
        witness.pulled_verified, witness.pulled_rows = pulled.verified, len(pulled.rows)

    # -- what the person at the terminal reads ------------------------------------------------------------------------

    def _say(self, key: str, **values: object) -> None:
        if not self._quiet:
            print(self._texts(key, **values), flush=True)

    def _print_verdict(self, verdict: dict[str, Any]) -> None:
        for alarm in verdict["alarms"]:
            self._say(
                "demo.alarm.happened" if alarm["ok"] else "demo.alarm.missing",
                rule=self._texts.named("rule", alarm["rule"]), bed=alarm["bed"] or "-",
                local_ms=_figure(alarm["byte_to_local_ms"]), platform_ms=_figure(alarm["byte_to_platform_ms"]),
            )  # fmt: skip
        for alarm in verdict["unexpected_alarms"]:
            rule = self._texts.named("rule", alarm["rule"].partition("@")[0])
            self._say("demo.alarm.unexpected", rule=rule, bed=alarm["bed"] or "-")
        for stream, counts in verdict["streams"].items():
            self._say("demo.stream", stream=stream, **counts)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


async def _until_told(play: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    """A performance that clears its stage however it is told to end; KeyboardInterrupt when that was before the end."""
    playing = asyncio.create_task(play)
    for number in STOPS:
        asyncio.get_running_loop().add_signal_handler(number, playing.cancel)
    try:
        return await playing
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


async def _until_interrupted() -> None:
    stop = asyncio.Event()
    for number in STOPS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
