"""Guards over the whole tree: what a reader may rely on in every room, checked on the files as they are.

What .gitignore names is no part of the project.
"""

import ast
import os
import re
import subprocess
import sys
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

from provisioning.bootstrap import locked, project_roots
from tests.third_party import ROOT, licence, run_time_packages

TOP_LEVEL = {
    ".ci", ".gitignore", "CHANGELOG.md", "LICENSE", "README.md", "SECURITY.md", "THIRD_PARTY.md", "drivers",
    "edge_rules", "gateway", "provisioning", "pyproject.toml", "requirements.lock", "systemd", "tests",
}  # fmt: skip
ROOMS = ("drivers", "edge_rules", "gateway", "provisioning")
MODULE_LINES = 400
FUNCTION_LINES = 60
CLOCK_CALLS = re.compile(
    r"\btime\.(time|time_ns|monotonic|monotonic_ns|sleep|clock_gettime\w*|perf_counter\w*)\("
    r"|\bdatetime\.(now|utcnow)\(|\bdate\.today\(|\basyncio\.sleep\("
)
# Set-up runs before anything is installed and times its own steps.
OWN_CLOCK = {"gateway/core/clock.py", "provisioning/bootstrap.py"}
LOCK = (ROOT / "requirements.lock").read_text()


IGNORED = [".git", *(line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines() if line)]


def is_ignored(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in IGNORED)


@cache
def every_file() -> list[Path]:
    """All files of the project, relative to its root."""
    found = []
    for folder, below, names in os.walk(ROOT):
        below[:] = [name for name in below if not is_ignored(name)]
        found += [Path(folder, name).relative_to(ROOT) for name in names if not is_ignored(name)]
    return sorted(found)


def files(*suffixes: str) -> list[Path]:
    """The files with one of the suffixes; all of them without."""
    return [path for path in every_file() if not suffixes or path.suffix in suffixes]


def product() -> list[Path]:
    """The Python modules that are not tests."""
    return [path for path in files(".py") if path.parts[0] in ROOMS]


def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


def test_there_is_something_to_guard() -> None:
    assert len(product()) > 10


def test_the_top_level_holds_exactly_what_the_architecture_names() -> None:
    assert {path.parts[0] for path in files()} <= TOP_LEVEL


def test_no_product_module_is_longer_than_400_lines() -> None:
    lengths = {str(path): len((ROOT / path).read_text().splitlines()) for path in product()}
    assert {path: lines for path, lines in lengths.items() if lines > MODULE_LINES} == {}


def test_no_product_function_is_longer_than_60_lines() -> None:
    long = [
        f"{path}:{node.lineno} {node.name}"
        for path in product()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (node.end_lineno or node.lineno) - node.lineno >= FUNCTION_LINES
    ]
    assert long == []


def test_a_package_file_holds_its_docstring_and_nothing_else() -> None:
    for path in files(".py"):
        if path.name == "__init__.py":
            body = tree(path).body
            assert len(body) == 1, path
            assert ast.get_docstring(tree(path)), path


def test_every_module_opens_with_its_idea() -> None:
    assert [str(path) for path in files(".py") if not ast.get_docstring(tree(path))] == []


def test_only_the_clock_reads_a_clock_or_sleeps() -> None:
    found = [
        f"{path}:{number}"
        for path in product()
        if str(path) not in OWN_CLOCK
        for number, line in enumerate((ROOT / path).read_text().splitlines(), 1)
        if CLOCK_CALLS.search(line.split("#")[0])
    ]
    assert found == []


def test_no_error_is_swallowed() -> None:
    found = [
        f"{path}:{node.lineno}"
        for path in product()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler) and (node.type is None or ast.unparse(node.body[0]) == "pass")
    ]
    assert found == []


def test_nothing_unfinished_is_left_behind() -> None:
    mark = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|NotImplementedError")
    assert [str(path) for path in product() if mark.search((ROOT / path).read_text())] == []


def test_only_notify_imports_the_systemd_module() -> None:
    for path in product():
        names = [name for node in ast.walk(tree(path)) for name in imported(node)]
        if any(name.split(".")[0] == "systemd" for name in names):
            assert str(path) == "gateway/notify.py"


def imported(node: ast.AST) -> list[str]:
    """The module names that an import statement names."""
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []


def test_the_folder_systemd_does_not_shadow_the_module() -> None:
    assert [path for path in files(".py") if path.parts[0] == "systemd"] == []
    source = "import systemd, sys; print(getattr(systemd, '__file__', None) or list(systemd.__path__))"
    alone = subprocess.run([sys.executable, "-P", "-c", "from systemd import daemon"], cwd="/", check=False).returncode
    beside = subprocess.run([sys.executable, "-c", "from systemd import daemon"], cwd=ROOT, check=False).returncode
    assert beside == alone, subprocess.run([sys.executable, "-c", source], cwd=ROOT, capture_output=True).stdout


def test_no_test_folder_is_named_like_a_module_that_a_test_may_need() -> None:
    assert not (ROOT / "tests" / "systemd").exists()


def test_the_project_installs_its_four_packages_and_no_more() -> None:
    import tomllib

    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    assert sorted(table) == sorted(f"{room}*" for room in ROOMS)


def test_the_lock_knows_every_package_that_pyproject_asks_for() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = {"dependencies": project["dependencies"], **project["optional-dependencies"]}
    assert project_roots(lists, list(lists)) <= set(locked(LOCK)[0])


def test_the_lock_holds_no_package_that_nobody_asks_for() -> None:
    entries, askers = locked(LOCK)
    assert [name for name in entries if not askers[name]] == []


def test_every_locked_package_has_a_hash_and_no_address() -> None:
    entries, _ = locked(LOCK)
    assert [name for name, entry in entries.items() if "--hash=sha256:" not in entry] == []
    assert not re.search(r"://|--index|--find-links|--extra|@ ", LOCK)


@pytest.mark.parametrize("name", sorted(run_time_packages()))
def test_each_run_time_package_is_listed_with_its_licence(name: str) -> None:
    rows = re.findall(rf"^\| {re.escape(name)} \| (.+?) \| (.+?) \| (.+?) \|$", third_party(), re.M)
    use, locked_versions = run_time_packages()[name]
    assert len(rows) == 1, "write THIRD_PARTY.md anew: python -m tests.third_party"
    assert rows[0][0] == ", ".join(locked_versions)
    assert rows[0][1] == (licence(name) or rows[0][1])
    assert rows[0][1] not in ("", "not installed here")
    assert rows[0][2] == use


def test_nothing_is_listed_that_is_not_installed() -> None:
    assert re.findall(r"^\| ([\w-]+) \| \d", third_party(), re.M) == list(run_time_packages())


def test_no_run_time_package_is_under_the_gpl() -> None:
    listed = re.findall(r"^\| (\S+) \| .+? \| (.+?) \|", third_party(), re.M)
    assert [name for name, words in listed if re.search(r"(?<!L)GPL", words) and " OR " not in words] == []


def third_party() -> str:
    return (ROOT / "THIRD_PARTY.md").read_text()


def test_no_path_or_host_of_a_building_machine_is_in_the_tree() -> None:
    place = re.compile(r"(?<![\w.])/(work|home/\w+)/|/root/(?!\W)|file:///")
    found = [
        f"{path}:{number}"
        for path in files(".py", ".md", ".toml", ".lock", ".service", ".conf", ".json", ".html", ".js", "")
        for number, line in enumerate((ROOT / path).read_text(errors="replace").splitlines(), 1)
        if place.search(line) and path != Path("tests/test_tree.py")
    ]
    assert found == []
