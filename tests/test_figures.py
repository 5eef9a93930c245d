"""Promises of the report that every benchmark writes."""

from tests.benchmarks.figures import Figure, percentile, report, table


def test_a_missed_bar_is_said_aloud() -> None:
    missed = Figure("ready", 3.0, "s", 2.5, "lower")
    assert missed.met is False
    assert "MISSED" in table([missed])
    assert Figure("drain", 9000, "rows/s", 8000, "higher").met is True
    assert Figure("context", 1, "s", None, "lower").met is None


def test_the_document_has_the_agreed_keys() -> None:
    document = report("main_job", [Figure("ready", 1.0, "s", 2.5, "lower")])
    assert set(document) == {"name", "machine", "figures"}
    figures = document["figures"]
    assert isinstance(figures, list)
    assert set(figures[0]) == {"name", "value", "unit", "bar", "better", "met"}


def test_the_99th_percentile_of_a_hundred_values_is_the_99th() -> None:
    assert percentile([float(n) for n in range(1, 101)], 99) == 99
    assert percentile([5.0], 99) == 5.0
