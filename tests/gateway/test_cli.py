"""The command line: what it says, what it exits with, and that it asks a real socket and a real database."""

import asyncio
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from gateway import cli
from gateway.core.model import Event
from gateway.errands import socket_path
from gateway.texts import load
from gateway.web.app import fault_app
from gateway.web.serve import serve
from tests.gateway.house import House
from tests.gateway.test_config import GOOD, TWELVE
from tests.gateway.web.conftest import page_of
from tests.gateway.web.test_fault_page import broken

WARD = """
[[room]]
id = "r-1"
name = "101"
[[bed]]
id = "b-7Q4MZ2K9"
room = "r-1"
"""


class Background:
    """A page on a Unix socket, served from a thread of its own as a daemon would."""

    def __init__(self, app: FastAPI, uds: Path) -> None:
        self._app, self._uds = app, uds
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self._task = self._loop.create_task(
            serve(self._app, host="127.0.0.1", port=0, uds=self._uds, on_ready=lambda _: self._ready.set())
        )
        self._loop.run_until_complete(asyncio.gather(self._task, return_exceptions=True))
        self._loop.close()

    def __enter__(self) -> None:
        self._thread.start()
        assert self._ready.wait(10)

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(10)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A good file whose directories lie in the test's own."""
    file = tmp_path / "carebed.toml"
    paths = "".join(f'{name}_dir = "{tmp_path / name}"\n' for name in ("state", "cache", "runtime"))
    file.write_text(GOOD + "[paths]\n" + paths)
    return file


@pytest.fixture
def house() -> House:
    house = House()
    house.measured("heart_rate", 62)
    house.measured("bed_occupied", 1)
    house.alarm("fall")
    lost = Event("link_lost", house.clock.now(), "b-00000002", "belt-2", {"reason": "the port is gone"})
    house.model.saw_event(lost)
    house.model.saw_state("worker", "ready")
    return house


@pytest.fixture
def running(config: Path, house: House, tmp_path: Path) -> Iterator[None]:
    with Background(page_of(house), tmp_path / "runtime" / "page.sock"):
        yield


def test_help_names_purpose_commands_files_exit_codes_and_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    for part in ("Not a certified medical device", "commands:", "files:", "exit codes:", "examples:", "check-config"):
        assert part in text
    assert max(len(line) for line in text.splitlines()) <= 100


@pytest.mark.parametrize("command", ["run", "check-config", "status", "demo", "warm", "provision", "version"])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    assert ended.value.code == 0
    assert command in capsys.readouterr().out


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["chek-config"], "check-config"),
        (["stauts"], "status"),
        (["demo", "--no-browsr"], "--no-browser"),
        (["status", "--jsn"], "--json"),
        (["provision", "imoprt", "x"], "import"),
        (["demo", "--story", "shrot"], ""),
    ],
)
def test_a_mistyped_word_is_answered_with_the_nearest_one(
    typed: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(typed)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert (f"did you mean '{meant}'?" if meant else "--help") in error


def test_without_a_command_the_usage_is_shown_and_the_exit_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([])
    assert ended.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


def test_a_good_file_is_called_good_and_says_what_it_holds(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check-config", str(config)]) == 0
    assert "good: gw-3F2A9C at s-7Q4MZ2K9, mode real, 1 serial port, 1 Bluetooth radio, 1 upstream" in (
        capsys.readouterr().out
    )


def test_a_broken_file_prints_every_fault_with_line_and_hint_and_exits_78(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "carebed.toml"
    file.write_text(TWELVE)
    assert cli.main(["check-config", str(file)]) == 78
    error = capsys.readouterr().err
    assert "12 faults" in error
    assert error.count("\n  line ") == 12
    assert "did you mean 'time_zone'?" in error


def test_a_missing_file_exits_78_with_a_hint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check-config", str(tmp_path / "none.toml")]) == 78
    assert "No such file" in capsys.readouterr().err


def test_status_without_a_daemon_says_so_with_a_hint_and_exits_69(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["status", "--config", str(config), "--lang", "en"]) == 69
    error = capsys.readouterr().err
    assert "No gateway is running here" in error
    assert "carebed run --config FILE" in error
    assert "Traceback" not in error


def test_status_of_a_daemon_that_hangs_does_not_say_that_none_is_running(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("gateway.control.TIMEOUT_S", 0.2)
    path = socket_path(config)
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as hanging:
        hanging.bind(str(path))
        hanging.listen()
        assert cli.main(["status", "--config", str(config), "--lang", "en"]) == 69
    error = capsys.readouterr().err
    assert "runs but has not answered" in error
    assert "journalctl -u carebed" in error


@pytest.mark.usefixtures("running")
def test_status_tells_beds_alarms_devices_and_platforms(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status", "--config", str(config), "--lang", "en"]) == 0
    text = capsys.readouterr().out
    for expected in (
        "gateway: gw-3F2A9C", "Demonstration", "Signal worker: Ready", "alarms: open: 1", "b-00000001 (101), In bed",
        "! Possible fall (High priority)", "devices belt-2: Lost (the port is gone)", "platforms district: Connecting",
    ):  # fmt: skip
        assert expected in text


@pytest.mark.usefixtures("running")
def test_status_for_people_prints_no_vital_sign(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["status", "--config", str(config), "--lang", "en"])
    assert "62" not in capsys.readouterr().out


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(("lang", "word"), [("zh", "疑似跌倒"), ("fr", "Chute possible")])
def test_status_speaks_the_language_asked_for(
    config: Path, lang: str, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["status", "--config", str(config), "--lang", lang]) == 0
    assert word in capsys.readouterr().out


@pytest.mark.usefixtures("running")
def test_status_as_json_is_one_document(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status", "--config", str(config), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ward"]["open_alarms"] == 1
    assert found["health"]["gateway"] == "gw-3F2A9C"


def test_status_of_a_daemon_with_a_broken_file_lists_the_faults_and_exits_78(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Background(fault_app(broken()), tmp_path / "runtime" / "page.sock"):
        assert cli.main(["status", "--config", str(config), "--lang", "en"]) == 78
    text = capsys.readouterr().out
    assert "watches no bed" in text
    assert "site.timezone: unknown key (did you mean 'time_zone'?)" in text


@pytest.mark.parametrize(("lang", "language"), [("fr_FR.UTF-8", "fr"), ("zh_CN", "zh"), ("de_DE", "en"), ("", "en")])
def test_the_terminals_language_is_used_where_none_is_asked_for(
    lang: str, language: str, config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("LC_ALL", raising=False)
    monkeypatch.delenv("LC_MESSAGES", raising=False)
    monkeypatch.setenv("LANG", lang)
    cli.main(["status", "--config", str(config)])
    assert load(language)("cli.not_running_hint") in capsys.readouterr().err


def test_a_ward_file_is_tried_then_imported_then_unchanged(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ward = tmp_path / "ward.toml"
    ward.write_text(WARD)
    command = ["provision", "import", str(ward), "--config", str(config)]
    assert cli.main([*command, "--dry-run"]) == 0
    assert "2 would be added" in capsys.readouterr().out
    assert cli.main(command) == 0
    assert "+ bed b-7Q4MZ2K9" in capsys.readouterr().out
    assert cli.main(command) == 0
    assert "0 added, 0 changed, 2 unchanged" in capsys.readouterr().out


def test_a_ward_file_with_faults_changes_nothing_and_exits_78(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ward = tmp_path / "ward.toml"
    ward.write_text(WARD + '[[device]]\nid = "x"\nfamily = "bed_bolt"\n')
    assert cli.main(["provision", "import", str(ward), "--config", str(config)]) == 78
    assert "line" in capsys.readouterr().err


@pytest.mark.usefixtures("running")
def test_no_ward_file_is_imported_under_a_running_daemon(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ward = tmp_path / "ward.toml"
    ward.write_text(WARD)
    assert cli.main(["provision", "import", str(ward), "--config", str(config)]) == 69
    assert "systemctl stop carebed" in capsys.readouterr().err
    assert not (tmp_path / "state").exists()


def test_version_is_printed_both_ways(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["version"]) == 0
    first = capsys.readouterr().out
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out == first
    assert first.startswith("carebed ")


def test_an_interrupted_command_exits_130_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_version", interrupted)
    assert cli.main(["version"]) == 130
    assert capsys.readouterr().err == ""


def test_the_command_itself_imports_neither_daemon_nor_arithmetic() -> None:
    code = "import sys, gateway.cli; print(sorted({'numpy', 'fastapi', 'numba', 'bleak'} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_a_directory_given_as_a_file_is_a_fault_and_not_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["check-config", str(tmp_path)]) == 78
    assert "Is a directory" in capsys.readouterr().err
