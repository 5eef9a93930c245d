"""The signals' figures of speed: the chain of a bed, each kernel against C, the pulse against peers, the worker.

Everything is measured in one run on one machine, CPU time, the fastest of many runs, beside whoever does the same work;
each row says who wins. The first call of anything is not counted: it compiles.
"""

import os
import tempfile
from pathlib import Path

from gateway.core.errors import CarebedError
from gateway.worker import warm_up
from tests.benchmarks import chain_speed, kernel_speed, signal_peers, worker_start
from tests.benchmarks.figures import Figure


def measure() -> list[Figure]:
    """About five minutes; CarebedError when something cannot be measured."""
    if os.environ.get("NUMBA_DISABLE_JIT") == "1":
        raise CarebedError("NUMBA_DISABLE_JIT=1 is set", hint="unset it: plain Python is not what is measured")
    with tempfile.TemporaryDirectory(prefix="carebed-kernels-") as cache:
        warm_up(Path(cache), lambda name, seconds: None)  # as the worker does before its first block
        return [
            *chain_speed.measure(),
            *kernel_speed.measure(),
            *signal_peers.measure(),
            *worker_start.measure(),
        ]
