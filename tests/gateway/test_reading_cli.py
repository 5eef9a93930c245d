"""`carebed readings` and `carebed assign`: what they print, ask and exit with, against a real socket."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import cli
from tests.gateway.house import House
from tests.gateway.test_cli import Background
from tests.gateway.test_cli import config as config  # the fixture
from tests.gateway.web.conftest import page_of
from tests.gateway.web.unclaimed import ANNE, Books, measured_at_the_kiosk


@pytest.fixture
def books(config: Path, tmp_path: Path) -> Iterator[Books]:
    books = Books(House())
    with Background(page_of(books.house), tmp_path / "runtime" / "page.sock"):
        yield books


def carebed(config: Path, verb: str, *more: str) -> int:
    return cli.main([verb, *more, "--config", str(config), "--lang", "en"])


def test_the_list_names_each_reading_with_its_values_and_limits(
    config: Path, books: Books, capsys: pytest.CaptureFixture[str]
) -> None:
    reading = measured_at_the_kiosk(books)
    assert carebed(config, "readings") == 0
    said = capsys.readouterr().out
    assert said.splitlines()[0].startswith(f"{reading}: kiosk, ")
    assert ">33.3 mmol/L" in said
    assert carebed(config, "readings", "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["id"] == reading


@pytest.mark.parametrize(("answer", "code", "given"), [("y", 0, 1), ("", 1, 0), ("n", 1, 0)])
def test_a_reading_is_given_away_only_after_yes(
    config: Path, books: Books, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: str,
    code: int, given: int,
) -> None:  # fmt: skip
    reading = measured_at_the_kiosk(books)
    monkeypatch.setattr("builtins.input", lambda question: answer if ANNE in question else "")
    assert carebed(config, "assign", reading, "--bed", ANNE, "--by", "N-12") == code
    assert len(books.given) == given
    assert ("Assigned and stored." in capsys.readouterr().out) is bool(given)


def test_what_is_refused_is_said_with_a_hint(
    config: Path, books: Books, capsys: pytest.CaptureFixture[str]
) -> None:
    reading = measured_at_the_kiosk(books)
    assert carebed(config, "assign", "kiosk.0.0", "--bed", ANNE, "--by", "N-12", "--yes") != 0
    assert "carebed readings" in capsys.readouterr().err
    assert carebed(config, "assign", reading, "--bed", "b-99999999", "--by", "N-12", "--yes") != 0
    assert "no such bed" in capsys.readouterr().err
    assert books.given == []


def test_without_a_daemon_it_says_so(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert carebed(config, "readings") == cli.EXIT_NO_DAEMON
    assert carebed(config, "assign", "x", "--bed", ANNE, "--by", "N-12", "--yes") == cli.EXIT_NO_DAEMON
    assert capsys.readouterr().err
