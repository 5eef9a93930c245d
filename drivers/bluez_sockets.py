"""How many D-Bus connections this process holds: they leak (bleak 1698, 1965), and at 256 all Bluetooth is dead."""

import os
import socket
from pathlib import Path

LIMIT = 200  # of the 256 that dbus-daemon allows one user


def dbus_sockets(fd_dir: Path = Path("/proc/self/fd")) -> int:
    """Own sockets whose other end is a D-Bus bus. Linux only; 0 elsewhere."""
    paths = _bus_paths()
    return sum(_peer(int(entry)) in paths for entry in _entries(fd_dir))


def _entries(fd_dir: Path) -> list[str]:
    """Descriptors that are sockets: `socket.fromfd` of anything else would leak its copy (CPython 3.11)."""
    try:
        return [entry for entry in os.listdir(fd_dir) if _target(fd_dir / entry).startswith("socket:")]
    except OSError:
        return []


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:  # closed since it was listed
        return ""


def _bus_paths() -> set[str]:
    """Socket paths of the system bus; abstract ones begin with a null character."""
    address = os.environ.get("DBUS_SYSTEM_BUS_ADDRESS", "")
    found = {"/run/dbus/system_bus_socket", "/var/run/dbus/system_bus_socket"}
    for part in address.replace(";", ",").removeprefix("unix:").split(","):
        key, _, value = part.removeprefix("unix:").partition("=")
        if key == "path":
            found.add(value)
        elif key == "abstract":
            found.add("\0" + value)
    return found


def _peer(fd: int) -> str | None:
    """Path of the Unix socket at the other end of an own descriptor; None when it is anything else."""
    try:
        with socket.fromfd(fd, socket.AF_UNIX, socket.SOCK_STREAM) as copy:
            if copy.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN) != socket.AF_UNIX:
                return None
            peer = copy.getpeername()
    except OSError:
        return None
    return peer.decode(errors="replace") if isinstance(peer, bytes) else str(peer)
