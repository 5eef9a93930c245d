"""Known-answer files through the daemon's own decoders, and that the judge can say no."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from drivers.vectors import judge, run_file, same
from gateway import cli

VECTORS = sorted((Path(__file__).parents[1] / "vectors").glob("*.json"))
FEVER = {"id": "t-1", "kind": "2A1C", "hex": "006e0100ff", "expect": {"temperature_C": 36.6}}


def test_there_are_vectors_of_every_kind_of_family() -> None:
    assert len(VECTORS) >= 11


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: str(path.stem))
def test_every_published_case_passes_through_the_code_the_daemon_runs(path: Path) -> None:
    outcomes = list(run_file(path))
    assert outcomes
    assert [(one.case, one.difference) for one in outcomes if one.difference] == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"expect": {"temperature_C": Decimal("36.7")}}, "temperature_C is 36.6, expected 36.7"),
        ({"expect": {"temperature_C": None}}, "temperature_C is 36.6, expected null"),
        ({"expect": {"colour": "red"}}, "colour is missing"),
        ({"expect": {"reject": True, "why": "truncated"}}, "expected refusal (truncated)"),
        ({"hex": "006e01"}, "refused: truncated"),
        ({"hex": "0g"}, "hex cannot be read"),
        ({"kind": "2AFF"}, "no family decodes kind '2AFF'"),
    ],
)
def test_a_case_that_does_not_hold_is_told_in_words(change: dict[str, Any], said: str) -> None:
    assert said in judge(FEVER | change)


def test_a_value_that_nobody_can_have_counts_as_refused() -> None:
    refused = {"expect": {"reject": True, "why": "implausible"}}
    assert judge({"kind": "2A5F", "hex": "0062804880"} | refused) == ""
    assert judge({"kind": "2A5F", "hex": "0061004800"} | refused) != ""


def test_pressures_in_the_wrong_order_count_as_refused() -> None:
    refused = {"kind": "2A35", "expect": {"reject": True, "why": "implausible"}}
    assert judge({"hex": "00500078005d00"} | refused) == ""
    assert judge({"hex": "00780050005d00"} | refused) != ""


def test_a_name_is_known_by_its_words_in_any_order() -> None:
    fast = {"kind": "2A5F", "hex": "016100480060004700"}
    assert judge(fast | {"expect": {"fast_spo2_percent": 96}}) == ""
    assert "fast_spo2_percent is 96" in judge(fast | {"expect": {"fast_spo2_percent": 97}})
    assert judge(fast | {"expect": {"fast_spo2": 96}}) == ""
    assert "spo2 is missing" in judge(fast | {"expect": {"spo2": 97}})  # three values could be meant


@pytest.mark.parametrize(
    ("found", "expected", "equal"),
    [
        (6.161, Decimal("6.16"), True),
        (6.17, Decimal("6.16"), False),
        (97, Decimal("97.0"), True),
        (97.04, 97, False),
        (True, 1, False),
        (1, True, False),
        (None, None, True),
        (0, None, False),
        ([1, None], [1, None], True),
        ([1], [1, 2], False),
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ("in", "out", False),
    ],
)
def test_numbers_agree_to_half_of_the_last_printed_digit(found: Any, expected: Any, equal: bool) -> None:
    assert same(found, expected) is equal


def test_the_command_counts_and_exits_by_the_outcome(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps({"device": "x", "source": [], "cases": [FEVER]}))
    bad.write_text(json.dumps({"cases": [FEVER, FEVER | {"id": "t-2", "expect": {"temperature_C": 40.0}}]}))
    assert cli.main(["vectors", str(good)]) == 0
    assert capsys.readouterr().out == "1 passed, 0 failed\n"
    assert cli.main(["vectors", str(good), str(bad)]) == 1
    out = capsys.readouterr().out
    assert "bad.json: t-2: temperature_C is 36.6, expected 40.0" in out
    assert out.endswith("2 passed, 1 failed\n")


def test_a_file_that_is_no_vector_file_is_a_fault_and_no_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "odd.json"
    for text in ("{", "[]", '{"cases": [{"kind": "2A1C"}]}', '{"cases": 3}'):
        path.write_text(text)
        assert cli.main(["vectors", str(path)]) == 78
        assert "odd.json" in capsys.readouterr().err
    assert cli.main(["vectors", str(tmp_path / "missing.json")]) == 78
