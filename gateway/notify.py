"""What the service manager is told: READY, STATUS, WATCHDOG, RELOADING, STOPPING (sd_notify(3)).

The only importer of the `systemd` module. Where it is not installed the same datagrams are sent by hand, so that an
installation without it is a full service all the same.
"""

import importlib
import logging
import os
import socket
from collections.abc import Callable, Mapping
from types import ModuleType

from gateway.core.clock import Clock, kernel_monotonic_us

log = logging.getLogger(__name__)

FEED_PER_LIMIT = 3  # feeds within one watchdog limit: two may be late before the service is killed


def _module(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


class Notifier:
    """Talks to the service manager named by the environment; without one every call does nothing.

    use_module: False sends the datagrams by hand even where the `systemd` module is installed.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ, *, use_module: bool = True) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self._module = _module("systemd.daemon") if use_module and self._address else None
        self._failed = False
        self.watchdog_s = _watchdog_s(environ)

    @property
    def active(self) -> bool:
        """True when a service manager listens."""
        return bool(self._address)

    def ready(self, status: str) -> None:
        self._send(f"READY=1\nSTATUS={_line(status)}")

    def status(self, text: str) -> None:
        """One line that `systemctl status carebed` shows."""
        self._send(f"STATUS={_line(text)}")

    def watchdog(self) -> None:
        """A sign of life; to be given by the loop that does the work, not by a thread beside it."""
        self._send("WATCHDOG=1")

    def reloading(self) -> None:
        """Followed by ready() when the reload is done."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={kernel_monotonic_us()}")

    def stopping(self, status: str) -> None:
        self._send(f"STOPPING=1\nSTATUS={_line(status)}")

    async def feed_watchdog(self, clock: Clock, healthy: Callable[[], bool]) -> None:
        """Give signs of life while `healthy()` says so, until cancelled; returns at once without a watchdog.

        The limit is the service manager's and therefore real time, also under a scaled clock.
        """
        if self.watchdog_s is None:
            return
        while True:
            if healthy():
                self.watchdog()
            await clock.sleep(self.watchdog_s / FEED_PER_LIMIT * clock.speed)

    def _send(self, state: str) -> None:
        if not self._address:
            return
        try:
            if self._module is not None:
                self._module.notify(state)
            else:
                _datagram(self._address, state)
        except OSError as error:
            level = logging.DEBUG if self._failed else logging.WARNING
            log.log(level, "the service manager at %s does not hear: %s", self._address, error)
            self._failed = True
        else:
            self._failed = False


def journal_handler() -> logging.Handler | None:
    """systemd's own handler with structured fields when our stderr is the journal; None otherwise."""
    if not os.environ.get("JOURNAL_STREAM"):
        return None
    module = _module("systemd.journal")
    if module is None:
        return None
    handler: logging.Handler = module.JournalHandler(SYSLOG_IDENTIFIER="carebed")
    return handler


def _watchdog_s(environ: Mapping[str, str]) -> float | None:
    """The limit in seconds; None when there is none or it is meant for another process (sd_watchdog_enabled(3))."""
    limit_us = environ.get("WATCHDOG_USEC", "")
    if not limit_us.isdigit() or int(limit_us) == 0:
        return None
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(limit_us) / 1e6


def _line(text: str) -> str:
    return " ".join(text.split())


def _datagram(address: str, state: str) -> None:
    """A leading @ stands for the NUL of an abstract socket."""
    path = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sender:
        sender.connect(path)
        sender.sendall(state.encode())
