"""The set-up script: what it refuses, what it picks from the lock, and that a second run has nothing to do."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from provisioning import bootstrap

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "provisioning" / "bootstrap.py"
LOCK = (ROOT / "requirements.lock").read_text()
PYPROJECT = (ROOT / "pyproject.toml").read_text()
SMALL_LOCK = """# made by uv
a==1 \\
    --hash=sha256:aa
    # via
    #   carebed (pyproject.toml)
    #   d
b==2 ; python_full_version < '3.12' \\
    --hash=sha256:bb
    # via a
b==3 ; python_full_version >= '3.12' \\
    --hash=sha256:cc
    # via a
d==4 \\
    --hash=sha256:dd
    # via carebed (pyproject.toml)
tool==5 \\
    --hash=sha256:ee
    # via carebed (pyproject.toml)
"""
SMALL_PROJECT = """
[build-system]
requires = ["tool>=5"]
[project]
dependencies = ["A~=1.0"]
[project.optional-dependencies]
demo = ["d"]
dev = ["carebed[demo]"]
wrong = ["never-locked"]
"""


def run(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The script as a person starts it, without input."""
    command = [sys.executable, str(SCRIPT), *words]
    env = {**os.environ, **environ}
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env, check=False)


def test_an_old_python_can_read_the_script_far_enough_to_refuse() -> None:
    ast.parse(SCRIPT.read_text(), feature_version=(3, 6))


def test_nothing_but_the_standard_library_is_imported() -> None:
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(SCRIPT.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    assert imported <= sys.stdlib_module_names


def test_only_modules_of_python_3_6_are_imported_before_the_refusal() -> None:
    top = [node for node in ast.parse(SCRIPT.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert "tomllib" not in ast.dump(ast.Module(body=list(top), type_ignores=[]))


@pytest.mark.parametrize("version", [(3, 6, 15), (3, 10, 12), (2, 7, 18)])
def test_an_old_python_is_refused_in_one_line_that_names_both_versions(version: tuple[int, ...]) -> None:
    text = bootstrap.refusal(version, 2**63 - 1, "aarch64")
    assert "3.11" in text
    assert ".".join(map(str, version)) in text
    assert "\n" not in text


def test_a_32_bit_python_is_refused_even_on_a_64_bit_kernel() -> None:
    text = bootstrap.refusal((3, 11, 2), 2**31 - 1, "aarch64")
    assert "64-bit" in text
    assert "\n" not in text


def test_python_3_11_and_later_on_64_bit_are_welcome() -> None:
    assert bootstrap.refusal((3, 11, 0), 2**63 - 1, "x86_64") == ""
    assert bootstrap.refusal((3, 13, 5), 2**63 - 1, "aarch64") == ""


def test_a_mistyped_command_says_what_was_expected() -> None:
    done = run("dmeo")
    assert done.returncode != 0
    assert "'dmeo'" in done.stderr
    assert "setup, demo, test" in done.stderr
    assert "Did you mean demo?" in done.stderr


def test_setup_refuses_options_it_does_not_know() -> None:
    done = run("setup", "--agian")
    assert done.returncode != 0
    assert "--again" in done.stderr


def test_help_names_every_command() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert all(f"bootstrap.py {command}" in done.stdout for command in bootstrap.COMMANDS)


def test_options_after_demo_are_not_the_scripts_own() -> None:
    assert bootstrap.parse(["demo", "--story", "short", "--help"]) == ("demo", ["--story", "short", "--help"])
    assert bootstrap.parse([]) == ("setup", [])


def test_a_package_is_picked_with_all_that_it_asks_for() -> None:
    picked = bootstrap.selection(SMALL_LOCK, SMALL_PROJECT, ["dependencies"])
    assert list(picked) == ["a", "b"]
    assert picked["b"].count("b==") == 2  # one line for each Python, pip chooses


def test_an_extra_may_stand_for_another() -> None:
    assert "d" in bootstrap.selection(SMALL_LOCK, SMALL_PROJECT, ["dev"])


def test_what_builds_the_project_comes_from_the_lock_too() -> None:
    assert list(bootstrap.selection(SMALL_LOCK, SMALL_PROJECT, ["build"])) == ["tool"]


def test_picked_entries_keep_their_hashes_and_markers() -> None:
    picked = "".join(bootstrap.selection(SMALL_LOCK, SMALL_PROJECT, ["dependencies"]).values())
    assert "b==2 ; python_full_version < '3.12' \\\n    --hash=sha256:bb\n" in picked


def test_a_package_that_the_lock_lacks_is_named_with_what_to_do() -> None:
    with pytest.raises(bootstrap.SetupError, match="never-locked") as error:
        bootstrap.selection(SMALL_LOCK, SMALL_PROJECT, ["wrong"])
    assert "first lines" in error.value.hint
    assert "uv pip compile" in LOCK.splitlines()[1]


def test_the_demonstration_gets_no_test_tools_and_the_tests_get_all() -> None:
    demo = bootstrap.selection(LOCK, PYPROJECT, ["dependencies", "build", "demo"])
    everything = bootstrap.selection(LOCK, PYPROJECT, ["dependencies", "build", "demo", "dev", "systemd"])
    assert {"bleak", "numba", "bumble", "setuptools"} <= set(demo)
    assert not {"pytest", "mypy", "playwright", "systemd-python"} & set(demo)
    assert set(everything) == set(bootstrap.locked(LOCK)[0])


def test_a_failed_command_shows_its_last_lines_and_its_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert bootstrap.step("a step", [sys.executable, "-c", "print('why it failed'); raise SystemExit(3)"])
    said = capsys.readouterr().err
    assert said.startswith("  a step failed after ")
    assert "exit status 3" in said
    assert said.endswith("    | why it failed\n")


def test_a_command_that_succeeds_is_one_line_with_its_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    assert bootstrap.step("a step", [sys.executable, "-c", "print('chatter')"]) == ""
    assert re.fullmatch(r"  a step \d+\.\d s\n", capsys.readouterr().err)


def test_a_command_that_is_not_there_is_a_failure_not_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert bootstrap.step("a step", ["/nowhere/at-all"])
    assert "/nowhere/at-all: No such file" in capsys.readouterr().err


def test_a_step_that_cannot_be_done_without_ends_the_set_up_with_its_hint() -> None:
    with pytest.raises(bootstrap.SetupError, match="broken failed") as error:
        bootstrap.must("broken", [sys.executable, "-c", "raise SystemExit(1)"], "Mend it.")
    assert error.value.hint == "Mend it."


def test_packages_are_asked_of_dpkg_by_their_state() -> None:
    if not Path("/usr/bin/dpkg-query").exists():
        assert bootstrap.absent(["surely-no-such-package"]) == []
    else:
        assert bootstrap.absent(["dpkg", "surely-no-such-package"]) == ["surely-no-such-package"]


def test_a_half_made_or_moved_environment_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "VENV", tmp_path)
    monkeypatch.setattr(bootstrap, "PYTHON", tmp_path / "bin" / "python")
    assert not bootstrap.venv_is_ours()
    (tmp_path / "bin").mkdir()
    (tmp_path / "pyvenv.cfg").write_text(f"version = {bootstrap.VERSION}\n")
    (tmp_path / "bin" / "pip").write_text(f"#!{tmp_path}/bin/python3\n")
    assert bootstrap.venv_is_ours()
    (tmp_path / "bin" / "pip").write_text("#!/elsewhere/.venv/bin/python3\n")
    assert not bootstrap.venv_is_ours()
    (tmp_path / "bin" / "pip").write_text(f"#!{tmp_path}/bin/python3\n")
    (tmp_path / "pyvenv.cfg").write_text("version = 3.11.0rc1\n")
    assert not bootstrap.venv_is_ours()


def test_the_stamp_changes_with_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "requirements.lock").write_text(LOCK)
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    before = bootstrap.fingerprint(tests=False)
    assert bootstrap.fingerprint(tests=False) == before
    (tmp_path / "requirements.lock").write_text(LOCK + "\n")
    assert bootstrap.fingerprint(tests=False) != before


def test_an_incomplete_checkout_is_a_clear_line_and_not_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    assert bootstrap.main(["setup"]) == 1
    said = capsys.readouterr().err
    assert "requirements.lock" in said
    assert "whole checkout" in said


def test_a_damaged_stamp_only_means_that_the_set_up_runs_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "STAMP", tmp_path / "stamp")
    assert bootstrap.last_stamp() == {}
    (tmp_path / "stamp").write_text('{"inputs": ')
    assert bootstrap.last_stamp() == {}


def test_a_second_run_is_silent(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    done = bootstrap.fingerprint(tests=True)
    monkeypatch.setattr(bootstrap, "last_stamp", lambda: done)
    monkeypatch.setattr(bootstrap, "venv_is_ours", lambda: True)
    bootstrap.set_up(tests=True, again=False)
    bootstrap.set_up(tests=False, again=False)  # what the tests need includes what the demonstration needs
    assert capsys.readouterr() == ("", "")


def test_one_failed_check_fails_the_whole_and_is_named_last(capfd: pytest.CaptureFixture[str]) -> None:
    good, bad = [sys.executable, "-c", ""], [sys.executable, "-c", "raise SystemExit(4)"]
    assert bootstrap.run_checks({"good": good, "bad": bad, "also good": good}) == 1
    assert capfd.readouterr().out.splitlines()[-1] == "carebed test: FAILED: bad"
    assert bootstrap.run_checks({"good": good}) == 0
    assert capfd.readouterr().out.splitlines()[-1] == "carebed test: all checks passed"


def test_the_tests_are_preceded_by_ruff_mypy_and_the_import_contract() -> None:
    commands = bootstrap.checks(["-k", "sos"])
    assert list(commands) == ["ruff", "mypy", "lint-imports", "pytest"]
    assert commands["pytest"][-2:] == ["-k", "sos"]


def test_without_ensurepip_and_without_root_the_one_command_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "find_spec", lambda name: None)
    monkeypatch.setattr(bootstrap, "absent", lambda packages: packages[:1])
    monkeypatch.setattr(bootstrap, "root_prefix", lambda: None)
    with pytest.raises(bootstrap.SetupError) as error:
        bootstrap.provide_debian(tests=False)
    assert f"sudo apt install {bootstrap.venv_package()};" in error.value.hint


def test_what_is_missing_and_may_not_be_installed_is_one_line_each(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "absent", lambda packages: [name for name in packages if name != "gcc"])
    monkeypatch.setattr(bootstrap, "root_prefix", lambda: None)
    bootstrap.provide_debian(tests=False)
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if "mosquitto" in line] == [
        "  off: the broker of the demonstration and of the uplink's tests (to have it: sudo apt install mosquitto)"
    ]
    assert any("sudo apt install libsystemd-dev pkg-config python3-dev" in line for line in said)


def test_ci_runs_the_test_command_and_nothing_clever() -> None:
    ci = ROOT / ".ci" / "run"
    lines = [line for line in ci.read_text().splitlines() if line]
    assert lines[0] == "#!/usr/bin/env bash"
    assert lines[-1] == "exec python3 provisioning/bootstrap.py test"
    assert len(lines) <= 4
    assert os.access(ci, os.X_OK)


def test_the_script_names_no_package_index() -> None:
    assert not re.search(r"https?://|--index-url|--extra-index|--find-links", SCRIPT.read_text())
