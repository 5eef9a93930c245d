"""Each kernel against its twin in C, on the same 60,000 samples in the same run."""

import time
from collections.abc import Callable, Sequence

from tests.benchmarks import c_twins
from tests.benchmarks.c_twins import Argument, Twins
from tests.benchmarks.figures import Figure
from tests.benchmarks.kernel_cases import Case, cases

SAMPLES = 60_000
RUNS = 25
LEAST_S = 0.05  # a measurement goes on for at least so long: two users share the machine's cores
BAR = 2.0


def fastest_s(call: Callable[[], object], *, runs: int = RUNS, least_s: float = LEAST_S) -> float:
    """CPU seconds of the fastest of at least `runs` calls; the first, which compiles, is not counted."""
    call()
    best, spent, done = float("inf"), 0.0, 0
    while done < runs or spent < least_s:
        start = time.process_time()
        call()
        took = time.process_time() - start
        best, spent, done = min(best, took), spent + took, done + 1
    return best


def measure() -> list[Figure]:
    """One figure for each kernel: how many times its twin's time it takes."""
    if c_twins.compiler() is None:
        print(f"no {c_twins.COMPILER} here: the comparison with C is left out")
        return []
    with c_twins.compiled() as twins:
        return [against_c(case, twins) for case in cases(SAMPLES)]


def against_c(case: Case, twins: Twins) -> Figure:
    """Both sides twice, in turn: what disturbs one half of the measurement does not decide it."""
    ours_s, c_s = float("inf"), float("inf")
    for _ in range(2):
        ours: Sequence[Argument] = case.arguments()
        ours_s = min(ours_s, fastest_s(lambda ours=ours: case.run(*ours)))  # type: ignore[misc]
        runs = max(RUNS, round(LEAST_S / ours_s))
        c_s = min(c_s, twins.fastest_s(case.kernel, case.arguments(), runs))
    winner = "we win" if ours_s < c_s else "C wins"
    note = f"{winner}: ours {1e6 * ours_s:.1f} µs, C {1e6 * c_s:.1f} µs"
    return Figure(f"kernel {case.kernel}, {SAMPLES} samples", ours_s / c_s, "x C", BAR, "lower", note)
