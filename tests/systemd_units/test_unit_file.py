"""The unit file as text and as systemd-analyze reads it: traps that were fallen into once stay marked."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "systemd"
UNIT = UNITS / "carebed.service"
WORST_EXPOSURE = 25  # tenths; an unhardened unit scores 92

needs_analyze = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed here")


def directives() -> dict[str, list[str]]:
    """Each key with its values in order."""
    found: dict[str, list[str]] = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.M):
        found.setdefault(key, []).append(value)
    return found


@needs_analyze
def test_systemd_knows_every_line_of_the_unit() -> None:
    done = subprocess.run(["systemd-analyze", "verify", str(UNIT)], capture_output=True, text=True, check=False)
    complaints = [
        line
        for line in done.stderr.splitlines()
        if UNIT.name in line and "/opt/carebed/current/bin/carebed is not executable" not in line
    ]
    assert complaints == []


@needs_analyze
def test_a_misspelt_directive_would_be_noticed(tmp_path: Path) -> None:
    wrong = tmp_path / UNIT.name
    wrong.write_text(UNIT.read_text().replace("WatchdogSec=", "WatchdogSecs="))
    done = subprocess.run(["systemd-analyze", "verify", str(wrong)], capture_output=True, text=True, check=False)
    assert "WatchdogSecs" in done.stderr


@needs_analyze
def test_the_unit_stays_hardened() -> None:
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={WORST_EXPOSURE}", str(UNIT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-200:]


def test_nothing_in_the_unit_kills_the_kernels_or_the_stamps() -> None:
    unit = directives()
    assert "MemoryDenyWriteExecute" not in unit  # numba makes machine code
    assert "ProcSubset" not in unit  # the boot's id is in /proc/sys
    assert "ProtectClock" not in unit  # forbids asking whether time is synchronised
    assert unit["SystemCallErrorNumber"] == ["EPERM"]  # a filtered mbind must be refused, not fatal
    assert not any("~@resources" in value for value in unit["SystemCallFilter"])


def test_the_unit_needs_nothing_newer_than_debian_12() -> None:
    unit = directives()
    assert unit["Type"] == ["notify"]  # systemd 252 takes notify-reload for simple
    assert "ImportCredential" not in unit


def test_the_daemon_is_restarted_for_ever_but_not_with_an_unusable_configuration() -> None:
    unit = directives()
    assert unit["Restart"] == ["always"]
    assert unit["StartLimitIntervalSec"] == ["0"]
    assert unit["RestartPreventExitStatus"] == ["78"]
    assert unit["OOMPolicy"] == ["continue"]  # a worker out of memory must not take the alarms with it


def test_kernels_are_cached_where_the_service_may_write() -> None:
    unit = directives()
    assert unit["CacheDirectory"] == ["carebed"]
    assert "NUMBA_CACHE_DIR=%C/carebed/numba" in unit["Environment"][0].split()


def test_the_service_starts_the_command_with_the_installers_file() -> None:
    assert directives()["ExecStart"] == ["/opt/carebed/current/bin/carebed run --config /etc/carebed/carebed.toml"]


def test_no_python_shadows_the_module_systemd() -> None:
    assert list(UNITS.rglob("*.py")) == []
    assert list(UNITS.rglob("*.pyi")) == []
