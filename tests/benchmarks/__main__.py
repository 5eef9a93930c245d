"""python -m tests.benchmarks NAME --json FILE: measures, prints a table, exits 0 when it ran, whatever the figures."""

import argparse
import importlib
import pkgutil
from pathlib import Path

import tests.benchmarks
from tests.benchmarks.figures import write

# modules of this directory that are not benchmarks
PLUMBING = {
    "__main__", "figures", "box", "virtual_site", "ward_script", "band_daemon", "band_load", "band_ward",
    "decoder_rates", "modbus_load", "paced_bus", "sampled_daemon", "whose_time",
    "c_twins", "chain_speed", "kernel_cases", "kernel_speed", "signal_peers", "worker_start",
}  # fmt: skip


def names() -> list[str]:
    return sorted(m.name for m in pkgutil.iter_modules(tests.benchmarks.__path__) if m.name not in PLUMBING)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("name", choices=names(), help="which benchmark to run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    options = parser.parse_args()
    module = importlib.import_module(f"tests.benchmarks.{options.name}")
    write(options.name, module.measure(), options.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
