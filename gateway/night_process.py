"""The process that sums up one night of one bed: a task in on stdin, the night out on stdout, words to stderr.

Started by `gateway.nightly` as `python -m gateway.night_process`. It steps back behind everything else, may use a
bounded amount of memory and processor time, and knows neither the store nor the kernels.
"""

import logging
import os
import resource
import sys

import msgspec

from gateway.core import night as nights
from gateway.dsp import night

NICE = 15
MEMORY_BYTES = 128 << 20  # of data: daemon and worker share 420 MB with it; a night of 14 h takes half
PROCESSOR_S = 60  # a night takes 0.5 s on the slowest box
EXIT_DATA, EXIT_SOFTWARE = 65, 70  # EX_DATAERR, EX_SOFTWARE of sysexits.h
log = logging.getLogger("carebed.night")


def _step_back() -> None:
    """Nobody waits for this: alarms and signals go first."""
    os.nice(NICE)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_S, PROCESSOR_S))


def main() -> int:
    """Exit code: 0, 65 for a task that is none, 70 when memory did not suffice."""
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(message)s", level=logging.INFO)
    _step_back()
    try:
        found = night.summarise(nights.decode_task(sys.stdin.buffer.read()))
    except (msgspec.MsgspecError, ValueError) as error:
        log.error("the task cannot be read: %s", error)
        return EXIT_DATA
    except MemoryError:
        log.error("more than %d MB would be needed", MEMORY_BYTES >> 20)
        return EXIT_SOFTWARE
    sys.stdout.buffer.write(nights.encode_nights([found]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
