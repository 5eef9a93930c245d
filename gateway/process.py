"""What this process costs the box: memory and processor time as /proc has them (proc_pid_stat(5))."""

import os

from gateway.core.clock import Clock

UTIME, STIME = 11, 12  # fields 14 and 15 of /proc/self/stat, counted after the command's closing parenthesis
RESIDENT = 1  # second field of /proc/self/statm, in pages


class Usage:
    """Processor time since the question before, in real time whatever the house's clock does."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")
        self._ticks_hz = os.sysconf("SC_CLK_TCK")
        self._last_real_ns = clock.real_ns()
        self._last_s = self._processor_s()
        self._percent = 0.0

    def rss_bytes(self) -> int:
        """Resident set size."""
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[RESIDENT]) * self._page_bytes

    def cpu_percent(self) -> float:
        """Percent of one core since the call before; within the same second the figure before."""
        real_ns = self._clock.real_ns()
        elapsed_s = (real_ns - self._last_real_ns) / 1e9
        if elapsed_s >= 1.0:
            used_s = self._processor_s()
            self._percent = 100.0 * (used_s - self._last_s) / elapsed_s
            self._last_real_ns, self._last_s = real_ns, used_s
        return self._percent

    def _processor_s(self) -> float:
        with open("/proc/self/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[UTIME]) + int(fields[STIME])) / self._ticks_hz
