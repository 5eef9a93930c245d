"""Eight bands that stream acceleration and pulse, and a hundred adverts a second: what is lost, and what it costs.

The devices live in another process behind an HCI port. In this one run what the daemon runs for them, the adapter and
eight drivers, and with them the virtual host stack, which a box does not have: whose_time.py tells the two apart.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from drivers.base import Device
from drivers.ble_link import Advert, BleAdapter, backend_virtual
from drivers.polar_pmd.driver import FAMILY
from gateway.core.clock import SystemClock
from gateway.core.errors import LinkError
from gateway.core.model import Measurement, SampleBlock
from tests.benchmarks import band_ward
from tests.benchmarks.figures import Figure
from tests.benchmarks.whose_time import sampled
from tests.drivers.recording_sink import RecordingSink

BANDS, WINDOW_S, START_S, DRAIN_S = 8, 30.0, 60.0, 2.0


class Heard(RecordingSink):
    """Counts what came and what is missing between; keeps no samples."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = [0] * BANDS
        self.lost_samples = 0
        self.pulses = [0] * BANDS
        self.pulses_lost = 0
        self._last_bpm: dict[str, int] = {}

    def block(self, block: SampleBlock) -> None:
        self.frames[int(block.device)] += 1
        self.lost_samples += block.lost_before

    def measurement(self, measurement: Measurement) -> None:
        if measurement.quantity != "heart_rate":
            return
        number, device = round(measurement.value) - band_ward.FIRST_BPM, measurement.device
        self.pulses[int(device)] += 1
        if device in self._last_bpm:
            self.pulses_lost += (number - self._last_bpm[device] - 1) % band_ward.BPM_TURN
        self._last_bpm[device] = number


class Beacons:
    """Counts the adverts of the beacons and the numbers that were left out, from the first one heard on.

    A report that repeats one (the answer to a scan request is told with the advert it belongs to) counts for nothing.
    """

    def __init__(self) -> None:
        self.heard = 0
        self.lost = 0
        self.next: dict[str, int] = {}

    def __call__(self, advert: Advert) -> None:
        data = advert.manufacturer_data.get(band_ward.COMPANY)
        if data is None:
            return
        number = int.from_bytes(data, "little")
        due = self.next.get(advert.address, number)
        if number >= due:
            self.heard += 1
            self.lost += number - due
            self.next[advert.address] = number + 1


async def measure() -> list[Figure]:
    """Under a minute. LinkError when the bands do not stream."""
    clock, sink, beacons = SystemClock(), Heard(), Beacons()
    async with ward() as (port, process):
        adapter = BleAdapter("radio", clock, backend_virtual(f"tcp-client:127.0.0.1:{port}"), slots=BANDS + 1)
        adapter.subscribe(None, beacons)
        tasks = [asyncio.create_task(adapter.run())]
        addresses = [band_ward.band_address(number) for number in range(BANDS)]
        devices = [Device(str(n), "polar_pmd", "verity_sense", "radio", None, at) for n, at in enumerate(addresses)]
        tasks += [asyncio.create_task(FAMILY.make([device], adapter, clock).run(sink)) for device in devices]
        try:
            await _all_stream(clock, sink, tasks)
            before, began_ns, adverts = time.process_time(), clock.real_ns(), beacons.heard
            with sampled() as counts:
                await clock.sleep(WINDOW_S)
            spent_s, lasted_s = time.process_time() - before, (clock.real_ns() - began_ns) / 1e9
            adverts = beacons.heard - adverts
            sent = await _silenced(process)
            await clock.sleep(DRAIN_S)  # what is on its way arrives
        finally:
            for task in reversed(tasks):  # the adapter last: the drivers still say goodbye to their bands
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
    host = counts["host stack"] / sum(counts.values())
    return _figures(sink, beacons, sent, 100 * spent_s / lasted_s, host, adverts / lasted_s)


def _figures(
    sink: Heard, beacons: Beacons, sent: dict[str, list[int]], percent: float, host: float, adverts_per_s: float
) -> list[Figure]:
    """host: share of the CPU time that the virtual host stack had."""
    frames = sum(sent["frames"]) - sum(sink.frames)
    tail = sum(count - beacons.next.get(band_ward.beacon_address(n), 0) for n, count in enumerate(sent["adverts"]))
    name = f"{BANDS} bands and {band_ward.BEACONS * band_ward.ADVERTS_PER_S:g} adverts/s"
    return [
        Figure(f"{name}: acceleration frames lost", frames + sink.lost_samples, "frames", 0.0, "lower"),
        Figure(f"{name}: acceleration frames received", sum(sink.frames), "frames", None, "higher"),
        Figure(f"{name}: pulse notifications lost", sink.pulses_lost, "of " + str(sum(sink.pulses)), 0.0, "lower"),
        Figure(f"{name}: adverts lost", beacons.lost + tail, "of " + str(beacons.heard), 0.0, "lower"),
        Figure(f"{name}: adverts heard", adverts_per_s, "/s", None, "higher"),
        Figure(f"{name}: CPU of adapter and drivers, without the virtual host stack",
               percent * (1 - host), "% of a core", None, "lower"),
        Figure(f"{name}: CPU of the process, virtual host stack included", percent, "% of a core", None, "lower"),
    ]  # fmt: skip


async def _all_stream(clock: SystemClock, sink: Heard, tasks: list["asyncio.Task[None]"]) -> None:
    deadline = clock.now().plus_s(START_S)
    while not (all(count > 2 for count in sink.frames) and all(count > 1 for count in sink.pulses)):
        for task in tasks:
            if task.done():
                task.result()
        if clock.now() > deadline:
            raise LinkError(f"after {START_S:g} s frames {sink.frames}, pulses {sink.pulses}", hint="is it overloaded?")
        await clock.sleep(0.2)


async def _silenced(process: asyncio.subprocess.Process) -> dict[str, list[int]]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"\n")
    sent: dict[str, list[int]] = json.loads(await process.stdout.readline())
    return sent


@asynccontextmanager
async def ward() -> AsyncIterator[tuple[int, asyncio.subprocess.Process]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.benchmarks.band_ward", str(BANDS),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_S):
            port = int(await process.stdout.readline())
        yield port, process
    finally:
        process.stdin.close()
        async with asyncio.timeout(15):
            await process.wait()
