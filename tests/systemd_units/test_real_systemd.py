"""The unit under a real systemd as process 1: a container of this machine's own /usr, booted in seconds, no download.

Needs root and systemd-nspawn; everywhere else the reason is printed and the tests of the text remain.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BOOT_LIMIT_S = 180  # measured: 30 s on two idle cores, half of it the kernels' first compilation
SYSTEM_PYTHON = f"/usr/bin/python{sys.version_info[0]}.{sys.version_info[1]}"

CONTAINER = [
    *("systemd-nspawn", "-q", "-D", "/", "--volatile=yes", "--console=pipe", "--register=no", "--keep-unit"),
    "--private-network",
    "--system-call-filter=adjtimex clock_adjtime",  # forbidden by nspawn, not by a real box
]
JUDGE_UNIT = """[Unit]
Description=Starts, hangs, stops the daemon and writes down what systemd saw
Requires=basic.target
After=basic.target
[Service]
Type=oneshot
ExecStart=/bin/sh /probe/judge.sh
"""
WATCHDOG_OF_THE_TEST = "[Service]\nWatchdogSec=2\nRestartSec=1\n"
PROGRAM = f"""#!/bin/sh
[ -e /probe/real ] && exec {SYSTEM_PYTHON} -m gateway "$@"
exec {SYSTEM_PYTHON} /src/tests/systemd_units/probe.py "$@"
"""
CONFIGURATION = """[site]
gateway = "gw-3F2A9C"
site = "s-7Q4MZ2K9"
time_zone = "Asia/Shanghai"
language = "en"
"""
JUDGE = """
see() { systemctl show carebed -p ActiveState,Result,NRestarts,StatusText,ExecMainStatus >/probe/$1; }
until_active() { for i in $(seq 300); do [ "$(systemctl show carebed -P NRestarts)" = $1 ] &&
  systemctl -q is-active carebed && return; sleep 0.1; done; }
systemctl start carebed; see started; cp /var/lib/carebed/found.json /probe
touch /probe/hang
for i in $(seq 300); do [ "$(systemctl show carebed -P NRestarts)" = 1 ] && break; sleep 0.1; done
rm /probe/hang; until_active 1; see restarted
systemctl kill --kill-whom=main -s KILL carebed; until_active 2; see killed
systemctl stop carebed; see stopped
touch /probe/unusable; systemctl start carebed; sleep 3; see unusable
touch /probe/real; mkdir -p /run/systemd/system/carebed.service.d
printf '[Service]\\nWatchdogSec=30\\n' >/run/systemd/system/carebed.service.d/zz.conf
systemctl daemon-reload; systemctl reset-failed carebed; systemctl start carebed; see daemon
export PYTHONPATH=/src:/packages
for i in $(seq 60); do /opt/carebed/current/bin/carebed status --json >/probe/status.json 2>/probe/status.err
  grep -q '"worker", *"state": *"ready"' /probe/status.json && break; sleep 1; done
see warm
systemctl stop carebed; see daemon_stopped
journalctl --no-pager -u carebed >/probe/journal
systemctl poweroff --no-block
"""


def lacking() -> str:
    """Why a system cannot be booted here, or ""."""
    if os.geteuid() != 0:
        return "booting a container needs root"
    if not shutil.which("systemd-nspawn"):
        return "systemd-nspawn is not installed (apt install systemd-container)"
    if not os.path.exists(SYSTEM_PYTHON):
        return f"the container has this machine's /usr only, and there is no {SYSTEM_PYTHON}"
    tried = subprocess.run([*CONTAINER, "/usr/bin/true"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return f"no container starts here: {tried.stderr.strip()[:200]}" if tried.returncode else ""


pytestmark = [pytest.mark.system, pytest.mark.skipif(bool(lacking()), reason=lacking())]


def lay_out(probe: Path) -> None:
    """The files that the container sees at /probe and as the installed program."""
    program = probe / "current" / "bin" / "carebed"
    program.parent.mkdir(parents=True)
    program.write_text(PROGRAM)
    program.chmod(0o755)
    (probe / "carebed.toml").write_text(CONFIGURATION)
    (probe / "judge.sh").write_text(JUDGE)
    (probe / "judge.service").write_text(JUDGE_UNIT)
    packages = f"[Service]\nEnvironment=PYTHONPATH=/src:/packages PYTHONDONTWRITEBYTECODE=1\n{WATCHDOG_OF_THE_TEST}"
    (probe / "test.conf").write_text(packages)
    probe.chmod(0o777)


def nspawn(probe: Path) -> list[str]:
    """The command that boots the container with the unit files of this repository in their places."""
    places = {
        ROOT / "systemd" / "carebed.service": "/etc/systemd/system/carebed.service",
        ROOT / "systemd" / "carebed.sysusers.conf": "/etc/sysusers.d/carebed.conf",
        probe / "test.conf": "/etc/systemd/system/carebed.service.d/test.conf",
        probe / "judge.service": "/etc/systemd/system/judge.service",
        probe / "carebed.toml": "/etc/carebed/carebed.toml",
        probe / "current": "/opt/carebed/current",
        Path(sysconfig.get_path("purelib")): "/packages",
        ROOT: "/src",
    }
    binds = [f"--bind-ro={source}:{place}" for source, place in places.items()]
    boot = ["--boot", "--", "--unit=judge.service", "systemd.firstboot=off", "systemd.mask=systemd-firstboot.service"]
    return [*CONTAINER, f"--bind={probe}:/probe", *binds, *boot]


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one boot left behind: systemd's view at each moment, and what the probe found."""
    probe = tmp_path_factory.mktemp("probe")
    lay_out(probe)
    boot = subprocess.run(
        nspawn(probe), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=BOOT_LIMIT_S, check=False
    )
    assert (probe / "journal").exists(), boot.stdout[-3000:] + boot.stderr[-3000:]
    return probe


def seen(probe: Path, moment: str) -> dict[str, str]:
    """systemd's properties of the service at that moment."""
    return dict(line.split("=", 1) for line in (probe / moment).read_text().splitlines())


def test_the_service_is_ready_and_says_what_it_does(probe: Path) -> None:
    started = seen(probe, "started")
    assert started["ActiveState"] == "active", (probe / "journal").read_text()
    assert started["StatusText"] == "probing"


def test_daemon_and_kernels_work_inside_the_hardened_unit(probe: Path) -> None:
    found = json.loads((probe / "found.json").read_text())
    assert found["user"] == "True"
    assert found["boot_id"] == "8"
    assert found["time_sync"] == "asked"
    assert found["kernel"] == "45.0 cached=1"
    assert found["database"] == "wal"
    assert found["page"] == "listening"
    assert found["arguments"] == "run --config /etc/carebed/carebed.toml"


def test_the_service_can_neither_change_the_program_nor_look_around(probe: Path) -> None:
    found = json.loads((probe / "found.json").read_text())
    assert found["write_etc"] in ("OSError", "PermissionError")
    assert found["write_program"] in ("OSError", "PermissionError")
    assert found["read_home"] == "PermissionError"
    assert found["raw_socket"] in ("OSError", "PermissionError")


def test_a_stuck_daemon_is_restarted_by_the_watchdog(probe: Path) -> None:
    restarted = seen(probe, "restarted")
    assert restarted["NRestarts"] == "1"
    assert restarted["ActiveState"] == "active"
    assert "Watchdog timeout" in (probe / "journal").read_text()


def test_a_killed_daemon_comes_back(probe: Path) -> None:
    killed = seen(probe, "killed")
    assert killed["NRestarts"] == "2"
    assert killed["ActiveState"] == "active"


def test_a_stop_is_clean(probe: Path) -> None:
    stopped = seen(probe, "stopped")
    assert stopped["ActiveState"] == "inactive"
    assert stopped["Result"] == "success"


def test_an_unusable_configuration_is_not_tried_again(probe: Path) -> None:
    unusable = seen(probe, "unusable")
    assert unusable["ActiveState"] == "failed"
    assert unusable["ExecMainStatus"] == "78"
    assert unusable["NRestarts"] == "0"


def test_the_daemon_itself_starts_inside_the_hardened_unit(probe: Path) -> None:
    daemon = seen(probe, "daemon")
    assert daemon["ActiveState"] == "active", (probe / "journal").read_text()
    assert "gw-3F2A9C" in daemon["StatusText"]
    assert seen(probe, "warm")["NRestarts"] == "0"


def test_the_worker_compiles_its_kernels_inside_the_hardened_unit(probe: Path) -> None:
    parts = json.loads((probe / "status.json").read_text())["health"]["parts"]
    assert {part["name"]: part["state"] for part in parts}["worker"] == "ready"


def test_daemon_and_worker_stay_below_the_memory_at_which_systemd_slows_them(probe: Path) -> None:
    health = json.loads((probe / "status.json").read_text())["health"]
    used_bytes = health["rss_bytes"] + health["gauges"]["worker_rss_bytes"]  # right after the first compilation
    assert used_bytes < 320 * 2**20  # MemoryHigh of the unit


def test_the_daemon_stops_cleanly_when_systemd_says_so(probe: Path) -> None:
    stopped = seen(probe, "daemon_stopped")
    assert stopped["ActiveState"] == "inactive"
    assert stopped["Result"] == "success"
