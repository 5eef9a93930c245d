"""What the command line does without asking a daemon: check a file, fill the kernel cache, import a ward file."""

import os
import subprocess
import sys
from pathlib import Path

from gateway.config import Config, load, salvage
from gateway.control import is_running
from gateway.core.clock import SystemClock
from gateway.core.errors import ConfigError, LinkError
from gateway.store.database import Store
from gateway.web.serve import SOCKET_NAME
from provisioning.registry import ImportResult, Registry


def summary(config: Config) -> str:
    """What a good file describes, in one line."""
    counts = [
        f"{len(entries)} {name}{'s' if len(entries) != 1 else ''}"
        for name, entries in (
            ("serial port", config.serial),
            ("Bluetooth radio", config.ble),
            ("upstream", config.upstream),
        )
    ]
    missing = "" if config.upstream else "; without an upstream alarms stay at this box"
    site = config.site
    return f"{site.gateway} at {site.site}, mode {site.mode.value}, {', '.join(counts)}{missing}"


def socket_path(config_path: Path) -> Path:
    """Where the daemon of this file listens; a broken file is read as the daemon reads it."""
    try:
        return load(config_path).paths.runtime_dir / SOCKET_NAME
    except ConfigError:
        return salvage(config_path)[1] / SOCKET_NAME


def kernel_cache() -> Path:
    """systemd's cache directory for a service, else the user's own."""
    given = os.environ.get("CACHE_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "carebed"


def warm(cache_dir: Path) -> int:
    """Compile, test and store every kernel in a process of its own; its exit code."""
    command = [sys.executable, "-m", "gateway.worker", "--warm", "--cache", str(cache_dir)]
    return subprocess.run(command, check=False).returncode


async def import_ward(config: Config, path: Path, *, dry_run: bool) -> ImportResult:
    """Put a ward file into the registry. ConfigError with every fault of the file; LinkError while a daemon runs."""
    socket = config.paths.runtime_dir / SOCKET_NAME
    if is_running(socket):
        hint = "stop it, import, start it again: systemctl stop carebed"
        raise LinkError(f"the running gateway at {socket} owns the databases", hint=hint)
    store = await Store.open(config.paths.state_dir, SystemClock())
    try:
        return await Registry(store).import_file(path, dry_run=dry_run)
    finally:
        await store.close()


