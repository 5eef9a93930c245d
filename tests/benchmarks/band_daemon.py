"""What eight bands and a hundred adverts a second cost the whole daemon: radio, drivers, pipeline, store and page.

A radio holds six links, so there are two, as in a ward; both hear all adverts. The signal worker is another process.
"""

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway import config as configuration
from gateway.core.clock import SystemClock
from gateway.core.errors import LinkError
from gateway.demo.broker import free_port
from gateway.demo.processes import DaemonProcess
from gateway.demo.site import bed_id, kernel_cache
from gateway.errands import import_ward
from tests.benchmarks.band_load import BANDS, START_S, ward
from tests.benchmarks.band_ward import band_address
from tests.benchmarks.box import last_words
from tests.benchmarks.figures import Figure

RADIOS, SETTLE_S, WINDOW_S = 2, 10.0, 30.0


async def measure() -> list[Figure]:
    """About a minute and a half."""
    with tempfile.TemporaryDirectory(prefix="carebed-bands-") as name:
        directory, clock = Path(name), SystemClock()
        async with ward() as (hci_port, _):
            page_port = free_port()
            config = await _site(directory, hci_port, page_port)
            told = directory / "told"
            async with _daemon(config, told, page_port, directory / "log") as daemon:
                await _all_up(daemon, clock)
                await clock.sleep(SETTLE_S)
                first = await _look(daemon, told, 1, clock)
                began_ns = clock.real_ns()
                await clock.sleep(WINDOW_S)
                last = await _look(daemon, told, 2, clock)
                lasted_s = (clock.real_ns() - began_ns) / 1e9
    looks = {who: last["looks"].get(who, 0) - first["looks"].get(who, 0) for who in last["looks"]}
    percent = 100 * (last["cpu_s"] - first["cpu_s"]) / lasted_s
    host = looks.get("host stack", 0) / sum(looks.values())
    name = f"{BANDS} bands and 100 adverts/s: CPU of the whole daemon"
    return [
        Figure(f"{name}, without the virtual host stack", percent * (1 - host), "% of a core", 10.0, "lower"),
        Figure(f"{name}, virtual host stack included", percent, "% of a core", None, "lower"),
    ]


async def _site(directory: Path, hci_port: int, page_port: int) -> Path:
    radios = "\n".join(
        f'[[ble]]\nname = "radio-{n}"\nbackend = "virtual"\nhci = "tcp-client:127.0.0.1:{hci_port}"'
        for n in range(RADIOS)
    )
    paths = "\n".join(f"{what}_dir = {json.dumps(str(directory / what))}" for what in ("state", "runtime"))
    config, people = directory / "carebed.toml", directory / "ward.toml"
    config.write_text(
        f'[site]\ngateway = "gw-bench"\nsite = "s-BENCH"\ntime_zone = "UTC"\nlanguage = "en"\nmode = "test"\n'
        f"[paths]\n{paths}\ncache_dir = {json.dumps(str(kernel_cache()))}\n"
        f'[page]\nhost = "127.0.0.1"\nport = {page_port}\n{radios}\n',
        encoding="utf-8",
    )
    rows = [
        f'[[bed]]\nid = "{bed_id(n + 1)}"\nroom = "r-1"\n[[device]]\nid = "band-{n}"\nfamily = "polar_pmd"\n'
        f'model = "verity_sense"\nlink = "radio-{n % RADIOS}"\nbed = "{bed_id(n + 1)}"\n'
        f'address = "{band_address(n)}"\n[device.settings]\nposition = "wrist"'
        for n in range(BANDS)
    ]
    rows.insert(0, '[[room]]\nid = "r-1"\nname = "1"')
    people.write_text("\n".join(rows) + "\n", encoding="utf-8")
    await import_ward(configuration.load(config), people, dry_run=False)
    return config


@asynccontextmanager
async def _daemon(config: Path, told: Path, page_port: int, log: Path) -> AsyncIterator[DaemonProcess]:
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.benchmarks.sampled_daemon", str(config), str(told), stdout=file, stderr=file,
            start_new_session=True,
        )  # fmt: skip
    daemon, measured = DaemonProcess(process, f"http://127.0.0.1:{page_port}"), False
    try:
        yield daemon
        measured = True
    finally:
        code = await daemon.stop()
        if code != 0 or not measured:
            sys.stderr.write(last_words(log))


async def _all_up(daemon: DaemonProcess, clock: SystemClock) -> None:
    deadline = clock.now().plus_s(2 * START_S)
    while True:
        devices = await daemon.ask("devices") or []
        states = {device["id"]: device["state"] for device in devices}
        if len(states) == BANDS and set(states.values()) == {"up"}:
            return
        if clock.now() > deadline:
            raise LinkError(f"not all bands are there: {states}", hint="its last words stand above")
        await clock.sleep(0.5)


async def _look(daemon: DaemonProcess, told: Path, lines: int, clock: SystemClock) -> Any:
    """CPU seconds and looks of now; LinkError when the daemon does not answer the signal."""
    signal_sent = clock.now()
    os.kill(daemon.pid, signal.SIGUSR1)
    while not told.exists() or len(found := told.read_text(encoding="utf-8").splitlines()) < lines:
        if clock.now().since_s(signal_sent) > START_S:
            raise LinkError("the daemon answers no signal", hint="its last words stand above")
        await clock.sleep(0.05)
    return json.loads(found[lines - 1])
