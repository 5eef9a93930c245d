"""What the worker does not need once its kernels are ready: modules never used, freed memory, the compiler's code.

The bar is 170 MB warm; LLVM's library alone has 72 MB of pages in memory after a warm start, though nothing is compiled
any more. The kernel would take clean pages back under pressure; giving them back at once keeps the worker small on a
box whose memory limit counts them.
"""

import ctypes
import gc
import os
import re
import sys
from collections.abc import Iterable

# numba uses them when they are installed: scipy for linear algebra (13 MB, 0.3 s), cffi for foreign calls.
UNUSED = ("scipy", "cffi")
COMPILER = "libllvmlite"
_MADV_DONTNEED = 4  # Linux
_RANGE = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \d+\s*(\S*)")


def leave_out_unused() -> None:
    """Before numba is imported: importing what it could do without fails from now on, as on a box without it."""
    for name in UNUSED:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]


def tidy() -> None:
    """Give back what compiling or loading the kernels has left over; what is needed after all is read in again."""
    gc.collect()
    libc = ctypes.CDLL(None)
    trim = getattr(libc, "malloc_trim", None)  # glibc only
    if trim is not None:
        trim(0)
    with open("/proc/self/smaps", encoding="utf-8", errors="replace") as smaps:
        for start, length in unmodified(smaps, COMPILER):
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), _MADV_DONTNEED)


def unmodified(smaps: Iterable[str], library: str) -> list[tuple[int, int]]:
    """Mappings of a library, as (address, bytes), whose pages all are as in its file: dropping these loses nothing.

    smaps: lines as in /proc/self/smaps. One with a modified page (relocations, data) is left out.
    """
    found: list[tuple[int, int]] = []
    current: tuple[int, int] | None = None
    for line in smaps:
        if head := _RANGE.match(line):
            start, end, path = int(head[1], 16), int(head[2], 16), head[3]
            current = (start, end - start) if library in path else None
        elif current is not None and line.startswith("Anonymous:") and line.split()[1] == "0":
            found.append(current)
    return found


def rss_bytes() -> int:
    """What of this process is in memory now."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
