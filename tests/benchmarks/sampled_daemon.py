"""python -m tests.benchmarks.sampled_daemon CONFIG FILE: the daemon, watched by whose_time.py.

At each SIGUSR1 a line is added to FILE: CPU seconds since the start, and looks by owner.
"""

import json
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from gateway import daemon
from tests.benchmarks.whose_time import sampled


def run(config: Path, told: Path) -> int:
    with sampled() as counts:

        def tell(_: int, __: FrameType | None) -> None:
            with told.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"cpu_s": time.process_time(), "looks": dict(counts)}) + "\n")

        signal.signal(signal.SIGUSR1, tell)
        return daemon.run(config)


if __name__ == "__main__":
    raise SystemExit(run(Path(sys.argv[1]), Path(sys.argv[2])))
