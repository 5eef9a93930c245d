"""python -m tests.fuzz --minutes N: every decoder in turn, each round with new random bytes, until the time is over.

Prints what broke with its smallest bytes and goes on; exits 1 when anything did. --seed makes a run repeatable.
"""

import argparse
import random
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial

from hypothesis import given, seed, settings
from hypothesis import strategies as st

import tests.conftest  # noqa: F401 - its hypothesis profile: no deadline on a busy machine
from tests.fuzz import properties
from tests.fuzz.corpus import any_bytes
from tests.fuzz.targets import Stream, Whole, streams, wholes

ROUND_EXAMPLES = 300


def runs() -> Iterator[tuple[str, Callable[[], Callable[[], None]]]]:
    """Name of every target, and what makes its hypothesis test: a new one for each round."""
    for whole in wholes():
        yield whole.name, partial(whole_run, whole)
    for stream in streams():
        yield stream.name, partial(stream_run, stream)


def whole_run(target: Whole) -> Callable[[], None]:
    @given(data=any_bytes(target.frames))
    def run(data: bytes) -> None:
        properties.whole(target, data)

    return run


def stream_run(target: Stream) -> Callable[[], None]:
    @given(data=any_bytes(target.frames), cuts=st.lists(st.integers(1, 200), max_size=12))
    def run(data: bytes, cuts: list[int]) -> None:
        properties.stream(target, data, cuts)

    return run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, metavar="N", help="how long; default: 1")
    parser.add_argument("--only", default="", metavar="TEXT", help="targets whose name contains this")
    parser.add_argument("--seed", type=int, default=None, metavar="N", help="repeat a run")
    options = parser.parse_args()
    first = random.randrange(2**32) if options.seed is None else options.seed
    draws = random.Random(first)
    chosen = [(name, make) for name, make in runs() if options.only in name]
    print(f"seed {first}, {len(chosen)} decoders, {options.minutes:g} min", flush=True)
    end, rounds, broken = time.monotonic() + 60 * options.minutes, 0, set[str]()
    while chosen and (time.monotonic() < end or rounds < len(chosen)):
        name, make = chosen[rounds % len(chosen)]
        rounds += 1
        try:
            seed(draws.randrange(2**32))(settings(max_examples=ROUND_EXAMPLES, database=None)(make()))()
        except Exception:  # noqa: BLE001 - whatever a decoder raises is the finding
            if name not in broken:
                print(f"\nBROKEN {name}\n{traceback.format_exc()}", flush=True)
            broken.add(name)
    print(f"{rounds} rounds of {ROUND_EXAMPLES}; broken: {', '.join(sorted(broken)) or 'nothing'}")
    return 1 if broken or not chosen else 0


if __name__ == "__main__":
    raise SystemExit(main())
