"""The main job's figures of speed and size: ready, idle, from a byte to help, and a house of 25 beds.

Everything is real and in real time: the daemon's and the worker's own processes, pseudo-terminals, a virtual radio over
HCI, mosquitto on loopback. Devices, broker and platform run in other processes and are not counted.
"""

import asyncio
import signal
import tempfile
from dataclasses import replace
from pathlib import Path

from gateway.core.clock import SystemClock
from gateway.core.errors import CarebedError
from gateway.demo.processes import WardProcess
from gateway.demo.site import Ends
from gateway.errands import warm
from tests.benchmarks.box import Queues, Spent, beds_with_vitals, growth, queues, ready_s, spent, worker_restarts
from tests.benchmarks.figures import Figure, median, percentile
from tests.benchmarks.virtual_site import real_time, settled, silent_ports, site, ward
from tests.benchmarks.ward_script import Call, Listener, Script

STARTS = 5
IDLE_SETTLE_S, IDLE_S = 8.0, 30.0
STREAM_SETTLE_S, STREAM_S = 10.0, 15.0
CALLING_BEDS, PRESSES, PULLS = 25, 8, 4  # of each bed: 200 adverts and 100 cords
FALLERS, FALLS = (1, 2, 3, 4), 3  # bands at once on one radio, falls of each
HOUSE, HOUSE_SETTLE_S, HOUSE_S = 25, 42.0, 60.0  # the longest window of the worker is 40 s
NO_RADIO = "no bands: the virtual radio's host stack would run in the daemon"


def measure() -> list[Figure]:
    """About five minutes; CarebedError or a time-out when something cannot be measured."""
    with tempfile.TemporaryDirectory(prefix="carebed-bench-") as name:
        return asyncio.run(_measure(Path(name)))


async def _measure(directory: Path) -> list[Figure]:
    measuring = asyncio.current_task()
    assert measuring is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, measuring.cancel)  # stops what was started, too
    figures = await _ready(directory)
    cache = directory / "kernels"
    cache.mkdir()
    if (code := await asyncio.to_thread(warm, cache)) != 0:
        raise CarebedError(f"the kernels could not be compiled: exit code {code}", hint="carebed warm says why")
    figures += await _idle(directory / "idle", cache)
    figures += await _two_beds(directory / "two", cache)
    figures += await _calls(directory / "calls", cache)
    return figures + await _house(directory / "house", cache)


async def _ready(directory: Path) -> list[Figure]:
    """Two beds with all their devices in the registry; each start finds an empty kernel cache."""
    starts = []
    for number in range(STARTS):
        place, cache = directory / f"ready-{number}", directory / f"no-kernels-{number}"
        cache.mkdir()
        async with (
            silent_ports(2) as ends,
            site(place, ends, real_time(), beds=2, bands=2, buttons=True, cache_dir=cache, bluez=True) as around,
        ):
            starts.append(await ready_s(around.config, place / "notify", place / "daemon.log"))
    return [
        Figure(f"READY=1 after the start, empty kernel cache, 2 beds, median of {STARTS}", median(starts), "s", 2.5,
               "lower"),
        Figure("the same, slowest start", max(starts), "s", None, "lower"),
    ]  # fmt: skip


async def _idle(directory: Path, cache: Path) -> list[Figure]:
    """Two beds whose ports are there and silent, BlueZ as the radio, the uplink up, the kernels loaded."""
    async with (
        silent_ports(2) as ends,
        site(directory, ends, real_time(), beds=2, bands=2, buttons=True, cache_dir=cache, bluez=True) as around,
        around.daemon() as daemon,
    ):
        pids = await settled(daemon, devices=False)
        await SystemClock().sleep(IDLE_SETTLE_S)
        of_daemon, of_worker = await spent(pids, IDLE_S)
    return [
        Figure("daemon RSS, idle: 2 beds, nothing sends, BlueZ backend", of_daemon.rss_mb, "MB", 110.0, "lower"),
        Figure(f"daemon CPU, idle, over {IDLE_S:.0f} s", of_daemon.cpu_percent, "% of core", 1.0, "lower"),
        Figure("worker RSS, kernels loaded, idle", of_worker.rss_mb, "MB", 170.0, "lower"),
        Figure("worker CPU, idle", of_worker.cpu_percent, "% of core", None, "lower"),
    ]


async def _two_beds(directory: Path, cache: Path) -> list[Figure]:
    """Two belts stream, a contact module and a room sensor answer; no Bluetooth."""
    when = real_time()
    async with (
        ward(when, beds=2, bands=0) as devices,
        site(directory, _wired(devices), when, beds=2, bands=0, buttons=False, cache_dir=cache) as around,
        around.daemon() as daemon,
    ):
        pids = await settled(daemon, devices=True)
        await SystemClock().sleep(STREAM_SETTLE_S)
        of_daemon, of_worker = await spent(pids, STREAM_S)
    name = "2 belts and a bus at work, no Bluetooth"
    return [
        Figure(f"daemon RSS, {name}", of_daemon.rss_mb, "MB", None, "lower"),
        Figure(f"daemon CPU, {name}", of_daemon.cpu_percent, "% of core", None, "lower"),
        Figure(f"worker RSS, {name}", of_worker.rss_mb, "MB", 170.0, "lower"),
        Figure(f"worker CPU, {name}", of_worker.cpu_percent, "% of core", None, "lower"),
    ]


async def _calls(directory: Path, cache: Path) -> list[Figure]:
    """A house at work, 25 belts, 4 bands and a bus with 7 contact modules, in which people call for help."""
    when, listener = real_time(), Listener()
    bands = len(FALLERS)
    async with (
        ward(when, beds=CALLING_BEDS, bands=bands) as devices,
        site(
            directory, devices.ends, when, beds=CALLING_BEDS, bands=bands, buttons=True, cache_dir=cache,
            on_record=listener.heard,
        ) as around,
        around.daemon() as daemon,
    ):  # fmt: skip
        await settled(daemon, devices=True)
        script = Script(devices, around.platform, listener)
        await script.play(CALLING_BEDS, presses=PRESSES, pulls=PULLS, fallers=FALLERS, falls=FALLS)
        return [
            *latencies("SOS advert", script.sos, "the button's first advert"),
            *latencies("contact change (pull cord)", script.cords, "the pull"),
            *falls(script.falls, script.missed),
            Figure("alarms that nobody caused meanwhile", len(listener.uncaused), "alarms", None, "lower"),
        ]


def latencies(what: str, calls: list[Call], beginning: str) -> list[Figure]:
    """From the last byte to the two places where somebody hears of it, and from the device's own moment."""

    def p99_ms(name: str, values: list[float], bar_ms: float | None) -> Figure:
        return Figure(f"{what}, {name}, p99 of {len(values)}", percentile(values, 99), "ms", bar_ms, "lower")

    return [
        p99_ms("last byte to local alarm", [call.local_ms for call in calls], 100.0),
        p99_ms("last byte to the platform's received, at the gateway", [call.received_ms for call in calls], 500.0),
        p99_ms("last byte to the alarm's arrival at the platform", [call.platform_ms for call in calls], None),
        p99_ms(f"{beginning} to local alarm", [call.from_sending_ms for call in calls], None),
    ]


def falls(found: list[Call], missed: int) -> list[Figure]:
    """CarebedError when not one was found: there is no latency of nothing."""
    played = len(found) + missed
    if not found:
        raise CarebedError(f"none of {played} falls raised an alarm", hint="see the worker's lines in the log above")
    latest_s = max(call.beyond_confirmation_s for call in found)
    behind_ms = max(call.local_ms for call in found)
    return [
        Figure("fall, last sample to alarm beyond the detector's stated confirmation time, maximum", latest_s, "s", 1.0,
               "lower"),
        Figure("fall, the sample that confirms it to alarm, maximum", behind_ms, "ms", None, "lower"),
        Figure(f"falls found of {played} played", len(found), "falls", None, "higher"),
    ]  # fmt: skip


async def _house(directory: Path, cache: Path) -> list[Figure]:
    """25 belts at 100 Hz, 7 contact modules, a room sensor and the uplink."""
    when = real_time()
    async with (
        ward(when, beds=HOUSE, bands=0) as devices,
        site(directory, _wired(devices), when, beds=HOUSE, bands=0, buttons=False, cache_dir=cache) as around,
        around.daemon() as daemon,
    ):
        pids = await settled(daemon, devices=True)
        await SystemClock().sleep(HOUSE_SETTLE_S)
        before = await queues(daemon)
        of_daemon, of_worker = await spent(pids, HOUSE_S)
        grown = growth(before, await queues(daemon))
        alive = await beds_with_vitals(daemon)
        if restarts := await worker_restarts(daemon):
            raise CarebedError(f"{restarts} workers died during the measurement", hint="see the log above")
    return house(of_daemon, of_worker, grown, alive)


def house(of_daemon: Spent, of_worker: Spent, grown: Queues, alive: int) -> list[Figure]:
    """The figures of the full house."""
    both = of_daemon.cpu_percent + of_worker.cpu_percent
    return [
        Figure(f"{HOUSE} beds ({NO_RADIO}): CPU of daemon and worker", both, "% of core", 15.0, "lower"),
        Figure(f"{HOUSE} beds: CPU of the daemon", of_daemon.cpu_percent, "% of core", None, "lower"),
        Figure(f"{HOUSE} beds: CPU of the worker", of_worker.cpu_percent, "% of core", None, "lower"),
        Figure(f"{HOUSE} beds: growth of blocks without the worker's answer", grown.blocks, "blocks", 0.0, "lower"),
        Figure(f"{HOUSE} beds: growth of rows without the platform's answer", grown.rows, "rows", 0.0, "lower"),
        Figure(f"{HOUSE} beds: beds with a fresh pulse and breath in the end", alive, "beds", None, "higher"),
        Figure(f"{HOUSE} beds: daemon RSS", of_daemon.rss_mb, "MB", None, "lower"),
        Figure(f"{HOUSE} beds: worker RSS", of_worker.rss_mb, "MB", None, "lower"),
    ]


def _wired(devices: WardProcess) -> Ends:
    """What the ward offers but for its radio."""
    return replace(devices.ends, hci_port=None)
