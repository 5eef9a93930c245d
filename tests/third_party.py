"""The table of THIRD_PARTY.md: `python -m tests.third_party` prints it, from the lock and the installed packages.

The licences are what each package says of itself in its metadata, not a lawyer's reading.
"""

import re
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

from packaging.markers import Marker

from provisioning.bootstrap import selection

ROOT = Path(__file__).parent.parent
USES = {"daemon": ["dependencies"], "systemd": ["systemd"], "demonstration": ["demo"]}
LINUX = {"sys_platform": "linux", "implementation_name": "cpython", "platform_python_implementation": "CPython"}


def versions(entry: str) -> list[str]:
    """The versions that a lock entry names for Linux, on any Python; empty for other systems' packages."""
    found = []
    for version, marker in re.findall(r"^[\w.-]+==(\S+)(?: ; (.+?))? \\$", entry, re.M):
        pythons = ("3.11.2", "3.13.5")
        if not marker or any(Marker(marker).evaluate(LINUX | {"python_full_version": python}) for python in pythons):
            found.append(version)
    return found


def run_time_packages() -> dict[str, tuple[str, list[str]]]:
    """Each package that a machine in use gets, with what needs it first and its locked versions."""
    lock, pyproject = (ROOT / "requirements.lock").read_text(), (ROOT / "pyproject.toml").read_text()
    found: dict[str, tuple[str, list[str]]] = {}
    for use, lists in USES.items():
        for name, entry in selection(lock, pyproject, lists).items():
            if versions(entry):
                found.setdefault(name, (use, versions(entry)))
    return dict(sorted(found.items()))


def licence(name: str) -> str | None:
    """The licence in the installed package's own metadata; None when it is not installed here."""
    try:
        about = metadata(name)
    except PackageNotFoundError:
        return None
    classified = [line.split(" :: ")[-1] for line in about.get_all("Classifier", []) if line.startswith("License ::")]
    stated = next((about[key] for key in ("License-Expression", "License") if key in about), "")
    short = stated if stated and "\n" not in stated and len(stated) < 60 else ""
    return short or ", ".join(classified) or "see the package"


def table() -> str:
    """The Markdown table of THIRD_PARTY.md."""
    rows = ["| package | version | licence | used by |", "|---|---|---|---|"]
    for name, (use, locked) in run_time_packages().items():
        rows.append(f"| {name} | {', '.join(locked)} | {licence(name) or 'not installed here'} | {use} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())
