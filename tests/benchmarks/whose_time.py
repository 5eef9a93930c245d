"""Whose code the CPU is in: the innermost frame that belongs to somebody, looked at every few milliseconds of CPU time.

The virtual radio's host stack (bumble and its bleak backend) runs in the process that is measured; on a box its work is
the kernel's and BlueZ's. The event loop itself is counted as the daemon's.
"""

import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SAMPLE_S = 0.002
HOST_STACK = ("/bumble/", "/drivers/ble_virtual")
DAEMON = ("/drivers/", "/gateway/", "/bleak/", "/edge_rules/", "/tests/")


def owner(frame: FrameType | None) -> str:
    """ "host stack", "daemon", or "loop" where nobody else is at work."""
    while frame is not None:
        path = frame.f_code.co_filename
        if any(part in path for part in HOST_STACK):
            return "host stack"
        if any(part in path for part in DAEMON):
            return "daemon"
        frame = frame.f_back
    return "loop"


@contextmanager
def sampled() -> Iterator[Counter[str]]:
    """Counts by owner while the block runs; main thread only."""
    counts: Counter[str] = Counter()

    def look(_: int, frame: FrameType | None) -> None:
        counts[owner(frame)] += 1

    before = signal.signal(signal.SIGPROF, look)
    signal.setitimer(signal.ITIMER_PROF, SAMPLE_S, SAMPLE_S)
    try:
        yield counts
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
