"""Room kept in reserve beside the databases, so that a box can start and call for help on a disk that has filled up.

SQLite needs room even to read a database in WAL mode (its shared memory and log). The reserve is given back when an
open fails for want of room, and taken again at a later start that finds plenty.
"""

import logging
import os
from pathlib import Path

log = logging.getLogger(__name__)

NAME = "reserve"
RESERVE_BYTES = 4 << 20  # two databases' logs and shared memory, and some hundred alarms
PLENTY = 8  # the reserve is taken only where this many times its size is free


def keep(directory: Path) -> bool:
    """Take the reserve where there is plenty of room; True when it is there. A disk that refuses keeps none."""
    path = directory / NAME
    if path.exists():
        return True
    room = os.statvfs(directory)
    if room.f_bavail * room.f_frsize < PLENTY * RESERVE_BYTES:
        return False
    try:
        with path.open("xb") as file:
            os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
    except OSError as error:
        log.warning("no reserve could be kept in %s: %s", directory, error)
        path.unlink(missing_ok=True)
        return False
    return True


def spend(directory: Path) -> bool:
    """Give the reserve back; True when there was one."""
    try:
        (directory / NAME).unlink()
    except OSError:
        return False
    log.warning("the disk is full: the reserve in %s is spent so that the box can start; make room", directory)
    return True
