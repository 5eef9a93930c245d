"""Promises of the signals' benchmark: a twin for every kernel, the same numbers, and a winner in each row."""

import numpy as np
import pytest

from gateway.core.errors import CarebedError
from gateway.worker import warm_up
from tests.benchmarks import c_twins, chain_speed, kernel_cases, signal_peers
from tests.benchmarks.__main__ import names
from tests.benchmarks.figures import Figure, report, table
from tests.benchmarks.kernel_speed import fastest_s
from tests.benchmarks.signal_peers import Entry, faster, row
from tests.kernel_cache import KERNELS

SAMPLES = 2000
warm_up(KERNELS, lambda name, seconds: None)


def test_the_command_knows_the_benchmark_and_none_of_its_parts() -> None:
    assert "signals" in names()
    parts = {"c_twins", "chain_speed", "kernel_cases", "kernel_speed", "signal_peers", "worker_start"}
    assert not parts & set(names())


def test_every_kernel_is_compared_with_c() -> None:
    assert kernel_cases.kernels() == sorted(case.kernel for case in kernel_cases.cases(SAMPLES))


def test_a_twin_and_its_kernel_give_the_same_numbers() -> None:
    if c_twins.compiler() is None:
        pytest.skip("no C compiler here")
    with c_twins.compiled() as twins:
        for case in kernel_cases.cases(SAMPLES):
            assert twins.has(case.kernel), case.kernel
            ours, theirs = case.arguments(), case.arguments()
            answer, twin_answer = case.run(*ours), twins.call(case.kernel, theirs)
            if answer is not None:
                assert answer == pytest.approx(twin_answer, rel=1e-9, abs=1e-12, nan_ok=True), case.kernel
            for mine, other in zip(ours, theirs, strict=True):
                if isinstance(mine, np.ndarray) and isinstance(other, np.ndarray):
                    np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-12, err_msg=case.kernel)


def test_a_case_is_worth_timing_because_its_kernel_does_something() -> None:
    for case in kernel_cases.cases(SAMPLES):
        before, after = case.arguments(), case.arguments()
        answer = case.run(*after)
        changed = any(
            not np.array_equal(old, new, equal_nan=True)
            for old, new in zip(before, after, strict=True)
            if isinstance(old, np.ndarray) and isinstance(new, np.ndarray)
        )
        assert changed or answer, case.kernel


def test_a_twin_takes_no_array_of_another_layout() -> None:
    with pytest.raises(TypeError, match="cannot take"):
        c_twins._passed([np.zeros((4, 4))[:, 1]])
    with pytest.raises(TypeError, match="cannot take"):
        c_twins._passed([np.zeros(4, dtype=np.float32)])


def test_the_first_call_is_not_timed() -> None:
    calls: list[int] = []

    def call() -> None:
        calls.append(sum(range(2_000_000 if not calls else 10)))

    assert fastest_s(call, runs=3, least_s=0.0) < 0.01
    assert len(calls) == 4


def test_who_gives_another_answer_does_not_win_and_is_named() -> None:
    told = row("pulse", [Entry("ours", 5.0, 0.1), Entry("quick", 1.0, 30.0), Entry("slow", 900.0, 0.2)])
    assert told.note.startswith("we win: quick 1 (other answer: 30/min off); slow 900")
    assert row("pulse", [Entry("ours", 5.0), Entry("quick", 1.0)]).note.startswith("quick wins")


def test_live_pulse_is_held_against_the_fastest_with_the_same_answer() -> None:
    ours = Entry("ours", 5.0, 0.1)
    (figure,) = faster(ours, [Entry("quick", 1.0, 30.0), Entry("right", 400.0, 1.9), Entry("slow", 900.0, 0.0)])
    assert (figure.value, figure.met) == (80.0, False)
    assert faster(ours, [Entry("quick", 1.0, float("inf"))]) == []
    with pytest.raises(CarebedError):
        faster(Entry("ours", 5.0, 3.0), [])


def test_chains_that_tell_nothing_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_speed, "STRETCH_S", 60)
    with pytest.raises(CarebedError, match="told too little"):
        chain_speed._told(chain_speed.bed(60)[::4])
    monkeypatch.setattr(chain_speed, "LEAST_SHARE", 0.1)
    assert set(chain_speed._told(chain_speed.bed(60))) == set(chain_speed.WANTED)


def test_our_filter_and_scipys_are_compared_on_the_same_numbers() -> None:
    scipy = pytest.importorskip("scipy.signal")
    (figure,) = signal_peers._filtering({"scipy": scipy})
    assert "scipy sosfilt" in figure.note


def test_a_note_stands_in_the_table_and_in_the_document_only_when_there_is_one() -> None:
    noted = Figure("filter", 1.0, "µs", None, "lower", "we win")
    assert "we win" in table([noted])
    figures = report("signals", [noted, Figure("bare", 1.0, "µs", None, "lower")])["figures"]
    assert isinstance(figures, list)
    assert figures[0]["note"] == "we win"
    assert "note" not in figures[1]
