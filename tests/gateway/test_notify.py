"""What the service manager hears, over a real datagram socket, with systemd's module and without it."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import notify
from gateway.core.clock import ManualClock, kernel_monotonic_us
from gateway.notify import Notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        address = str(tmp_path / "notify")
        server.bind(address)
        server.settimeout(5)
        yield server, address


@pytest.fixture
def abstract_manager() -> Iterator[tuple[socket.socket, str]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        name = f"carebed-test-{os.getpid()}"
        server.bind("\0" + name)
        server.settimeout(5)
        yield server, "@" + name


def heard(server: socket.socket) -> dict[str, str]:
    return dict(line.split("=", 1) for line in server.recv(4096).decode().splitlines())


@pytest.mark.parametrize("use_module", [True, False])
def test_ready_is_heard_with_its_status(
    manager: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch, use_module: bool
) -> None:
    server, address = manager
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    Notifier(use_module=use_module).ready("2 beds\nwatched")
    assert heard(server) == {"READY": "1", "STATUS": "2 beds watched"}


@pytest.mark.parametrize("use_module", [True, False])
def test_an_abstract_socket_is_reached(
    abstract_manager: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch, use_module: bool
) -> None:
    server, address = abstract_manager
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    Notifier(use_module=use_module).stopping("draining")
    assert heard(server) == {"STOPPING": "1", "STATUS": "draining"}


def test_reloading_carries_the_monotonic_time_that_systemd_wants(manager: tuple[socket.socket, str]) -> None:
    server, address = manager
    before_us = kernel_monotonic_us()
    Notifier({"NOTIFY_SOCKET": address}, use_module=False).reloading()
    message = heard(server)
    assert message["RELOADING"] == "1"
    assert before_us <= int(message["MONOTONIC_USEC"]) <= kernel_monotonic_us()


def test_without_a_service_manager_every_call_does_nothing() -> None:
    notifier = Notifier({})
    notifier.ready("x")
    notifier.watchdog()
    assert not notifier.active
    assert notifier.watchdog_s is None


def test_a_deaf_service_manager_is_reported_once_and_does_no_harm(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}, use_module=False)
    notifier.watchdog()
    notifier.watchdog()
    assert [record.levelname for record in caplog.records if record.levelno >= 30] == ["WARNING"]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_limit_is_taken_only_when_it_is_meant_for_us(
    environ: dict[str, str], expected: float | None
) -> None:
    assert Notifier(environ).watchdog_s == expected


async def test_signs_of_life_stop_as_soon_as_the_daemon_is_not_healthy(manager: tuple[socket.socket, str]) -> None:
    server, address = manager
    clock = ManualClock()
    healthy = True
    notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000000"}, use_module=False)
    feeding = asyncio.create_task(notifier.feed_watchdog(clock, lambda: healthy))
    await clock.advance(21)
    healthy = False
    await clock.advance(60)
    feeding.cancel()
    server.setblocking(False)
    assert [server.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3  # at 0, 10 and 20 s
    with pytest.raises(BlockingIOError):
        server.recv(100)


async def test_feeding_ends_at_once_when_there_is_no_watchdog() -> None:
    await Notifier({}).feed_watchdog(ManualClock(), lambda: True)


def test_only_this_module_imports_systemd() -> None:
    root = Path(notify.__file__).parents[1]
    rooms = [root / name for name in ("gateway", "drivers", "edge_rules", "provisioning")]
    found = [
        file.name
        for room in rooms
        for file in room.rglob("*.py")
        if any("systemd." in line and "import" in line for line in file.read_text().splitlines())
        or any(line.startswith(("import systemd", "from systemd")) for line in file.read_text().splitlines())
        or '"systemd.' in file.read_text()
    ]
    assert found == ["notify.py"]


def test_no_journal_handler_outside_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    assert notify.journal_handler() is None
