#!/usr/bin/env python3
"""Set carebed up in .venv beside pyproject.toml, with nothing but the Python that is already there.

    python3 provisioning/bootstrap.py                  set up what the daemon and the demonstration need
    python3 provisioning/bootstrap.py demo [OPTION]... set up, then play the virtual ward (`carebed demo OPTION...`)
    python3 provisioning/bootstrap.py test [OPTION]... set up, then ruff, mypy, lint-imports and `pytest OPTION...`
    python3 provisioning/bootstrap.py setup --again    go through every step, even if nothing has changed

Python packages come from requirements.lock, each with its hash, from wherever pip is configured to look. Debian
packages are installed only where that needs no question (root, or sudo without a password); without them the set-up
goes on and says in one line each what is switched off. Run again, it says nothing and takes no time.
"""

import difflib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time  # the one script that runs before the project exists, so it times its own steps
from importlib import invalidate_caches
from importlib.util import find_spec
from pathlib import Path

OLDEST = (3, 11)


def refusal(version: "tuple[int, ...]", maxsize: int, machine: str) -> str:
    """Why this Python cannot run carebed, in one line, or "" if it can."""
    if version[:2] < OLDEST:
        found = ".".join(str(part) for part in version[:3])
        return f"carebed needs Python 3.11 or newer and this is {found}: Debian 12 and later have it."
    if maxsize <= 2**32:
        return f"carebed needs a 64-bit system and this Python is 32-bit (on {machine}): install the 64-bit image."
    return ""


# Asked before anything below is defined: Python 3.6 reads this far, and the file has no later syntax.
if __name__ == "__main__" and refusal(sys.version_info[:3], sys.maxsize, os.uname().machine):
    sys.exit(refusal(sys.version_info[:3], sys.maxsize, os.uname().machine))

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "carebed-setup.json"
VERSION = ".".join(str(part) for part in sys.version_info[:3])
COMMANDS = ("setup", "demo", "test")
SHOWN_LINES = 15  # of a failed step's output: enough for apt's and pip's own explanation
DOT_S = 3.0  # a long step shows that it is alive
PIP = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--quiet"]

# What each group of Debian packages is for; where it is missing this is switched off and all else goes on.
OWN_PROTOCOL = "systemd-python; gateway/notify.py speaks systemd's protocol itself"
DEBIAN = {
    "mosquitto": "the broker of the demonstration and of the uplink's tests",
    "libsystemd-dev pkg-config gcc python3-dev": OWN_PROTOCOL,
}
DEBIAN_TESTS = {
    "chromium": "the tests that look at the page in a browser",
    "fonts-wqy-microhei": "Chinese text in those tests' pictures",
    "systemd-container": "the tests of the unit under a real systemd",
}


class SetupError(Exception):
    """The set-up cannot go on. The text says what was seen, the hint what to type."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


def say(text: str) -> None:
    """One line for the person, at once: on standard error, so that `demo --json` prints its document alone."""
    print(text, file=sys.stderr, flush=True)


def step(title: str, command: list[str]) -> str:
    """Run a command without input, as one line that says what, shows that it lives and ends with the seconds it took.

    "" when it succeeded; else the last lines of what it said, which the person has then seen.
    """
    started_s = time.perf_counter()
    print(f"  {title} ", end="", file=sys.stderr, flush=True)
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        try:
            process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        except OSError as error:
            say(f"failed: {command[0]}: {error.strerror}")
            return str(error)
        while process.poll() is None:
            try:
                process.wait(DOT_S)
            except subprocess.TimeoutExpired:
                print(".", end="", file=sys.stderr, flush=True)
        log.seek(0)
        lines = [line.rstrip() for line in log if line.strip()][-SHOWN_LINES:]
    took = f"{time.perf_counter() - started_s:.1f} s"
    if process.returncode == 0:
        say(took)
        return ""
    failed = [f"failed after {took} with exit status {process.returncode}", *lines]
    say("\n    | ".join(failed))
    return "\n".join(failed)


def must(title: str, command: list[str], hint: str) -> None:
    """A step without which there is no set-up: SetupError with the hint when it fails."""
    if step(title, command):
        raise SetupError(f"{title} failed", hint)


def absent(packages: list[str]) -> list[str]:
    """Those of the Debian packages that are not installed; none where there is no dpkg to ask."""
    if not shutil.which("dpkg-query"):
        return []
    query = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *packages]
    listed = subprocess.run(query, capture_output=True, text=True, check=False).stdout
    return [name for name in packages if f"{name} installed" not in listed.splitlines()]


def debian_groups(tests: bool) -> dict[str, str]:
    """The groups of Debian packages that this set-up would like, each with what is off without it."""
    needed = {} if find_spec("ensurepip") else {venv_package(): "the virtual environment"}
    return {**needed, **DEBIAN, **(DEBIAN_TESTS if tests else {})}


def absent_for(tests: bool) -> list[str]:
    """The Debian packages that this set-up would like and does not find."""
    return absent(" ".join(debian_groups(tests)).split())


def venv_package() -> str:
    """The Debian package with this Python's ensurepip."""
    debians_own = os.path.realpath("/usr/bin/python3") == os.path.realpath(sys.executable)
    return "python3-venv" if debians_own else f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"


def root_prefix() -> list[str] | None:
    """What to write before a command that needs root: nothing, `sudo -n`, or None when it may not."""
    if not shutil.which("apt-get"):
        return None
    if os.geteuid() == 0:
        return []
    sudo = ["sudo", "-n"]
    may = shutil.which("sudo") and subprocess.run([*sudo, "true"], capture_output=True, check=False).returncode == 0
    return sudo if may else None


def install_debian(groups: list[list[str]], prefix: list[str]) -> None:
    """Ask apt for each group of packages by itself; a failure is shown, not raised, and the others still come.

    mosquitto's package starts its own service: it listens on the loopback interface only and carebed does not use it.
    """
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-y", "-q", "-o", "DPkg::Lock::Timeout=120"]
    step("Debian package lists", [*apt, "update"])
    for packages in groups:
        step(f"Debian packages: {' '.join(packages)}", [*apt, "install", "--no-install-recommends", *packages])
    invalidate_caches()  # ensurepip may have arrived


def provide_debian(tests: bool) -> None:
    """Install what is missing where that is allowed, and say what stays switched off.

    SetupError with the one command to type when there is still no ensurepip.
    """
    if not shutil.which("dpkg-query"):
        say("  off: what comes from Debian packages, for this is no Debian: put mosquitto on the PATH for the demo")
    groups = debian_groups(tests)
    missing = list(filter(None, (absent(group.split()) for group in groups)))
    prefix = root_prefix() if missing else None
    if prefix is not None:
        install_debian(missing, prefix)
    if not find_spec("ensurepip"):
        command = f"sudo apt install {' '.join(absent_for(tests) or [venv_package()])}"
        raise SetupError("Python cannot make .venv, for ensurepip is missing", f"Type: {command}; then run this again.")
    for group, off in groups.items():
        lacking = absent(group.split())
        if lacking:
            say(f"  off: {off} (to have it: sudo apt install {' '.join(lacking)})")


def locked(text: str) -> tuple[dict[str, str], dict[str, set[str]]]:
    """The lock's entries by name, hashes and markers included, and for each name those that asked for it.

    uv writes below each entry, as comments, who asked for it: that is how one file serves daemon, demo and tests.
    """
    entries: dict[str, str] = {}
    askers: dict[str, set[str]] = {}
    name = ""
    for line in text.splitlines():
        if line.strip().startswith("#"):
            asker = line.strip("# ").removeprefix("via").strip()
            if name and asker:
                askers[name].add(asker)
        elif line.strip():
            if not line.startswith(" "):
                name = line.split("==")[0].strip()
                askers.setdefault(name, set())
            entries[name] = entries.get(name, "") + line + "\n"
    return entries, askers


def project_roots(project: dict[str, list[str]], names: list[str]) -> set[str]:
    """The packages that the named lists ask for by themselves; "carebed[demo]" stands for the list demo."""
    roots: set[str] = set()
    for requirement in (line for name in names for line in project[name]):
        extra = re.fullmatch(r"carebed\[(\w+)\]", requirement)
        found = re.match(r"[\w.-]+", requirement)
        if extra:
            roots |= project_roots(project, [extra[1]])
        elif found:
            roots.add(re.sub(r"[-_.]+", "-", found[0]).lower())
    return roots


def selection(lock: str, pyproject: str, names: list[str]) -> dict[str, str]:
    """The lock's entries that the named lists of pyproject.toml need, with all that those need in turn.

    Lists are "dependencies", "build" (what setuptools needs to install the project itself) and the extras.
    """
    import tomllib

    table = tomllib.loads(pyproject)
    lists = {"dependencies": table["project"]["dependencies"], "build": table["build-system"]["requires"]}
    chosen = project_roots({**lists, **table["project"]["optional-dependencies"]}, names)
    entries, askers = locked(lock)
    unknown = sorted(chosen - set(entries))
    if unknown:
        raise SetupError(f"requirements.lock lacks {', '.join(unknown)}", "Run the command in the lock's first lines.")
    before = 0
    while len(chosen) > before:
        before = len(chosen)
        chosen |= {name for name, by in askers.items() if by & chosen}
    return {name: entries[name] for name in sorted(chosen)}


def venv_is_ours() -> bool:
    """Whether .venv was made here by this very Python: a moved or half-made one is made anew."""
    try:
        made_by = (VENV / "pyvenv.cfg").read_text()
        script = (VENV / "bin" / "pip").read_text()
    except OSError:
        return False
    return re.search(rf"^version(_info)? = {re.escape(VERSION)}\b", made_by, re.M) is not None and str(PYTHON) in script


def make_venv() -> None:
    """A .venv with pip in it, empty unless it was made here before."""
    if not venv_is_ours():
        command = [sys.executable, "-m", "venv", "--clear", str(VENV)]
        must(f"virtual environment for Python {VERSION}", command, f"Make {ROOT} writable, or remove .venv.")


def pip_install(title: str, entries: dict[str, str], options: list[str]) -> str:
    """Install locked entries and nothing else. "" when it succeeded, else the last lines of what pip said."""
    with tempfile.NamedTemporaryFile("w", prefix="carebed-", suffix=".txt") as chosen:
        chosen.write("".join(entries.values()))
        chosen.flush()
        return step(title, [*PIP, "--no-deps", "--require-hashes", *options, "-r", chosen.name])


def install_packages(lock: str, pyproject: str, tests: bool) -> None:
    """The locked packages of daemon and demonstration, of the tests too if asked, and the project, editable."""
    entries = selection(lock, pyproject, ["dependencies", "build", "demo", *(["dev"] if tests else [])])
    if pip_install("Python packages from requirements.lock", entries, ["--only-binary=:all:"]):
        causes = "No network, a full disk, or a package that is not what the lock says: pip's lines above tell which."
        raise SetupError("pip could not install the locked packages", causes)
    command = [*PIP, "--no-deps", "--no-index", "--no-build-isolation", "--editable", str(ROOT)]
    must("carebed itself", command, "Read pip's lines above.")


def install_systemd(lock: str, pyproject: str) -> None:
    """systemd-python, built here if it can be: it exists as source only, and nothing may depend on it."""
    if subprocess.run([PYTHON, "-c", "from systemd import daemon"], capture_output=True, check=False).returncode == 0:
        return
    headers = Path(sysconfig.get_path("include"), "Python.h").exists()
    if headers and shutil.which("gcc") and shutil.which("pkg-config"):
        library = subprocess.run(["pkg-config", "--exists", "libsystemd"], capture_output=True, check=False)
        options = ["--no-build-isolation", "--use-pep517", "--no-binary=systemd-python"]
        entries = selection(lock, pyproject, ["systemd"])
        if library.returncode == 0 and not pip_install("systemd-python", entries, options):
            return
        say(f"  off: {OWN_PROTOCOL}")  # where a tool is missing, provide_debian has said so


def warm() -> None:
    """Compile the signal kernels now, so that the first bed does not wait for it."""
    if step("signal kernels", [str(VENV / "bin" / "carebed"), "warm"]):
        say("  later: the kernels are compiled when the worker first needs them, which takes it longer")


def fingerprint(tests: bool) -> dict[str, object]:
    """All that decides what the set-up does; equal to the stamp of the last one when there is nothing to do."""
    digest = hashlib.sha256()
    for path in (ROOT / "requirements.lock", ROOT / "pyproject.toml", Path(__file__)):
        digest.update(path.read_bytes())
    return {"inputs": digest.hexdigest(), "python": VERSION, "tests": tests, "debian_missing": absent_for(tests)}


def last_stamp() -> dict[str, object]:
    """What the last complete set-up left, or nothing."""
    try:
        stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def set_up(tests: bool, again: bool) -> None:
    """Everything up to a .venv in which `carebed` runs; at once and silently when that is already so."""
    stamp = last_stamp()
    tests = tests or stamp.get("tests") is True  # once a developer's, always: `demo` does not fall behind the lock
    if stamp == fingerprint(tests) and venv_is_ours() and not again:
        return
    started_s = time.perf_counter()
    say(f"Setting up carebed in {VENV}; the first time takes a minute or more.")
    lock, pyproject = (ROOT / "requirements.lock").read_text(), (ROOT / "pyproject.toml").read_text()
    provide_debian(tests)
    make_venv()
    install_packages(lock, pyproject, tests)
    install_systemd(lock, pyproject)
    warm()
    STAMP.write_text(json.dumps(fingerprint(tests)))
    say(f"carebed is set up, in {time.perf_counter() - started_s:.0f} s.")


def checks(pytest_options: list[str]) -> dict[str, list[str]]:
    """What `test` runs, in this order."""
    module = [str(PYTHON), "-m"]
    return {
        "ruff": [*module, "ruff", "check", "."],
        "mypy": [*module, "mypy", "--python-version", VERSION.rsplit(".", 1)[0]],  # numpy is locked for each Python
        "lint-imports": [str(VENV / "bin" / "lint-imports")],
        "pytest": [*module, "pytest", *pytest_options],
    }


def run_checks(checks: dict[str, list[str]]) -> int:
    """Run every check to its end, then say in one line which failed. 0 only when none did."""
    results = []
    for name, command in checks.items():
        print(f"--- {name}", flush=True)
        started_s = time.perf_counter()
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        results.append((name, code, time.perf_counter() - started_s))
    print("--- summary")
    for name, code, took_s in results:
        print(f"{name:13} {'ok' if code == 0 else f'FAILED, exit status {code}':25} {took_s:6.1f} s")
    failed = [name for name, code, _ in results if code]
    print(f"carebed test: {'FAILED: ' + ', '.join(failed) if failed else 'all checks passed'}", flush=True)
    return 1 if failed else 0


def parse(words: list[str]) -> tuple[str, list[str]]:
    """The command and its options; SystemExit with what was expected when they make no sense."""
    command, options = (words[0], words[1:]) if words else ("setup", [])
    if command in ("-h", "--help", "help"):
        print(__doc__)
        raise SystemExit(0)
    if command not in COMMANDS:
        meant = difflib.get_close_matches(command, COMMANDS, n=1)
        guess = f" Did you mean {meant[0]}?" if meant else ""
        raise SystemExit(f"bootstrap.py: {command!r} is no command; expected setup, demo, test or --help.{guess}")
    if command == "setup" and options not in ([], ["--again"]):
        raise SystemExit(f"bootstrap.py: setup takes --again or nothing, not {' '.join(options)!r}.")
    return command, options


def main(words: list[str]) -> int:
    """Set up, then hand over. The exit code is 1 when the set-up failed, else that of what was handed over to."""
    command, options = parse(words)
    try:
        set_up(tests=command == "test", again="--again" in options and command == "setup")
    except SetupError as error:
        say(f"bootstrap.py: {error}. {error.hint}")
        return 1
    except OSError as error:
        say(f"bootstrap.py: {error}. Is {ROOT} a whole checkout, and yours to write to?")
        return 1
    except KeyboardInterrupt:
        say("\nbootstrap.py: stopped; run it again to go on.")
        return 130
    if command == "demo":
        carebed = str(VENV / "bin" / "carebed")
        os.execv(carebed, [carebed, "demo", *options])  # noqa: S606  # no shell is wanted
    return run_checks(checks(options)) if command == "test" else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
