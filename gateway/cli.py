"""The command `carebed`: parse, call, print. No logic lives here; a command's modules are imported when it is given."""

import argparse
import asyncio
import difflib
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import NoReturn

from gateway.core.errors import CarebedError, ConfigError

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_NO_DAEMON, EXIT_CONFIG, EXIT_INTERRUPTED = 0, 1, 2, 69, 78, 130
CONFIG = Path("/etc/carebed/carebed.toml")

PURPOSE = """\
The gateway beside the bed: hears sensors, computes on the spot, alarms without
the internet and loses nothing. Not a certified medical device; it supports care
staff and is not for life-sustaining monitoring.
"""
MANUAL = """\
files:
  /etc/carebed/carebed.toml     the installer's configuration; every key: gateway/README.md
  /var/lib/carebed              databases: alarms.db and journal.db
  /var/cache/carebed            compiled kernels; may be deleted at any time
  /run/carebed/page.sock        where `carebed status` asks the running daemon

exit codes:
  0     done; for demo: everything that was expected happened
  1     failed; for demo: something that was expected did not happen
  2     the command line is wrong
  69    no gateway is running (status, scan, pair), or one is running that must not (provision)
  70    a part of the daemon ended that must not end; the service manager starts it again
  75    the page's port is taken, or another gateway is running
  78    the configuration or ward file has faults; each is printed with its line and a hint

examples:
  carebed demo                                  a virtual ward on this machine, with its page
  carebed demo --story short --json --no-browser
  carebed check-config /etc/carebed/carebed.toml
  carebed provision import ward.toml --dry-run
  carebed run --config /etc/carebed/carebed.toml
  carebed status --json
  carebed scan --new
  carebed pair cuff-1
  carebed simulate open_kiosk_1 --port ./kiosk
"""


class Parser(argparse.ArgumentParser):
    """Answers a mistyped command or option with the nearest one there is."""

    def error(self, message: str) -> NoReturn:
        known = list(self.words())
        wrong = re.search(r"invalid choice: '([^']*)'|unrecognized arguments: (\S+)", message)
        near = difflib.get_close_matches((wrong.group(1) or wrong.group(2)) if wrong else "", known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"see: {self.prog} --help"
        print(f"{self.prog}: {message}\n{hint}", file=sys.stderr)
        raise SystemExit(EXIT_USAGE)

    def words(self) -> Iterator[str]:
        """Every command and option that may be typed here or below."""
        yield from self._option_string_actions
        for action in self._actions:
            if isinstance(action.choices, dict):
                for name, below in action.choices.items():
                    yield name
                    yield from below.words()


class _Manual(argparse.RawDescriptionHelpFormatter):
    """Keeps our own lines and puts a command and its summary on one."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=18, width=100)


def parser() -> Parser:
    """The whole command line."""
    top = Parser(prog="carebed", description=PURPOSE, epilog=MANUAL, formatter_class=_Manual, allow_abbrev=False)
    top.add_argument("--version", action="version", version=f"carebed {version()}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)

    def command(name: str, summary: str, call: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        added.set_defaults(call=call)
        return added

    run = command("run", "be the gateway until stopped; a broken file is served as a page that explains it", _run)
    _config_option(run)
    check = command("check-config", "print every fault of a configuration file, each with its line and a hint", _check)
    check.add_argument("file", type=Path, metavar="FILE", nargs="?", default=CONFIG, help=f"default: {CONFIG}")
    status = command("status", "ask the running gateway how it is", _status)
    status.add_argument("--json", action="store_true", help="as one JSON document")
    status.add_argument("--lang", choices=("zh", "en", "fr"), help="language of the answer; default: the terminal's")
    _config_option(status)
    _scan_options(command("scan", "list the Bluetooth devices that the running gateway has heard lately", _scan))
    unclaimed = command("readings", "list what was measured on shared devices and nobody claimed", _readings)
    unclaimed.add_argument("--json", action="store_true", help="as one JSON document")
    unclaimed.add_argument("--lang", choices=("zh", "en", "fr"), help="language of the answer; default: the terminal's")
    _config_option(unclaimed)
    _assign_options(command("assign", "say whose an unclaimed reading is, by your name and for good", _assign))
    _pair_options(command("pair", "bond with a registered Bluetooth device while you stand before it", _pair))
    _demo_options(command("demo", "play a story in a virtual ward with real protocols and a real broker", _demo))
    warm = command("warm", "compile and check the signal kernels, so that the first start is quick", _warm)
    warm.add_argument("--cache", type=Path, metavar="DIR", help="where to keep them; default: the usual place")
    _provision_options(command("provision", "change which beds and devices belong to this gateway", _provision))
    _simulate_options(command("simulate", "be the other end of the wire: a virtual device for training", _simulate))
    _profile_options(command("profile", "check, list and try the profiles of device models", _profile))
    known = command("vectors", "run known-answer files through the decoders of the daemon", _vectors)
    known.add_argument("files", type=Path, metavar="FILE", nargs="+", help="JSON: {device, source, cases: [...]}")
    command("version", "print the version", _version)
    return top


def _config_option(to: argparse.ArgumentParser) -> None:
    to.add_argument("--config", type=Path, default=CONFIG, metavar="FILE", help=f"default: {CONFIG}")


def _assign_options(assign: argparse.ArgumentParser) -> None:
    assign.add_argument("reading", metavar="READING", help="its name as `carebed readings` lists it")
    assign.add_argument("--bed", required=True, metavar="BED", help="the bed of the person whose it is")
    assign.add_argument("--by", required=True, metavar="NAME", help="your name or staff number")
    assign.add_argument("--yes", action="store_true", help="do not ask again")
    assign.add_argument("--lang", choices=("zh", "en", "fr"), help="language of the answer; default: the terminal's")
    _config_option(assign)


def _scan_options(scan: argparse.ArgumentParser) -> None:
    scan.add_argument("--json", action="store_true", help="as one JSON document")
    scan.add_argument("--new", action="store_true", help="only those that are not registered yet")
    scan.add_argument("--lang", choices=("zh", "en", "fr"), help="language of the answer; default: the terminal's")
    _config_option(scan)


def _pair_options(pair: argparse.ArgumentParser) -> None:
    pair.add_argument("device", metavar="DEVICE", help="its id in the registry; carebed status lists them")
    pair.add_argument("--by", metavar="NAME", help="who pairs it, for the record; default: the user of this terminal")
    pair.add_argument("--window", type=float, default=120.0, metavar="SECONDS", help="so long it may take; at most 300")
    pair.add_argument("--passkey", type=int, metavar="DIGITS", help="what the device shows; default: it is asked for")
    pair.add_argument("--lang", choices=("zh", "en", "fr"), help="language of the answer; default: the terminal's")
    _config_option(pair)


def _demo_options(demo: argparse.ArgumentParser) -> None:
    demo.add_argument("--story", choices=("short", "full"), default="full", help="short: under a minute; default: full")
    demo.add_argument("--json", action="store_true", help="print one JSON document of what was expected and happened")
    demo.add_argument("--no-browser", action="store_true", help="do not open the page")
    demo.add_argument("--recordings", type=Path, metavar="DIR", help="drive the devices from recorded data")
    demo.add_argument("--lang", choices=("zh", "en", "fr"), help="language of the page; default: the terminal's")


def _simulate_options(simulate: argparse.ArgumentParser) -> None:
    simulate.add_argument("model", metavar="MODEL", nargs="?", default="", help="which device; default: list them all")
    port = "a serial port, or a name for a virtual one; of a radio device its TCP port number"
    simulate.add_argument("--port", metavar="PATH", help=port)
    faults = "part of what it sends that is disturbed on the wire"
    simulate.add_argument("--faults", type=_percent, default=0.0, metavar="PERCENT", help=faults)


def _percent(text: str) -> float:
    try:
        percent = float(text)
    except ValueError:
        percent = -1.0
    if not 0 <= percent <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is no share from 0 to 100")
    return percent


def _provision_options(provision: argparse.ArgumentParser) -> None:
    actions = provision.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)
    ward = actions.add_parser("import", help="add or change beds and devices from a ward file", allow_abbrev=False)
    ward.add_argument("file", type=Path, metavar="FILE", help="a ward file (TOML)")
    ward.add_argument("--dry-run", action="store_true", help="only say what would change")
    _config_option(ward)


def _profile_options(profile: argparse.ArgumentParser) -> None:
    actions = profile.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)
    check = actions.add_parser("check", help="print every fault of profiles, each with its line", allow_abbrev=False)
    check.add_argument("files", type=Path, metavar="FILE", nargs="+", help="a profile (TOML)")
    table = actions.add_parser("list", help="print the table of supported devices", allow_abbrev=False)
    table.add_argument("--into", type=Path, metavar="FILE", help="write it between the marks of this file")
    decode = actions.add_parser("decode", help="print what a profile makes of bytes", allow_abbrev=False)
    decode.add_argument("model", metavar="MODEL", help="a model's id, or the path of a profile")
    decode.add_argument("--hex", required=True, metavar="BYTES", help="the whole frame, two digits for each byte")
    decode.add_argument("--poll", type=int, default=0, metavar="N", help="which request a Modbus answer answers")
    decode.add_argument("--source", type=int, default=0, metavar="N", help="which [[source]] the bytes come from")
    decode.add_argument("--kind", metavar="KIND", help="which of codec.kinds the bytes are; left out: the first")
    decode.add_argument(
        "--context", action="append", default=[], metavar="NAME=VALUE", help="what the bytes do not say: bindkey, mac"
    )


ASKING = ("status", "provision", "scan", "pair", "readings", "assign")  # commands that ask the running daemon


def version() -> str:
    """The installed version; "unknown" in a source tree that was never installed."""
    try:
        return metadata.version("carebed")
    except metadata.PackageNotFoundError:
        return "unknown (not installed)"


def _run(args: argparse.Namespace) -> int:
    from gateway import daemon

    return daemon.run(args.config)


def _check(args: argparse.Namespace) -> int:
    from gateway import config, errands

    print(f"{args.file}: good: {errands.summary(config.load(args.file))}")
    return EXIT_OK


def _status(args: argparse.Namespace) -> int:
    from gateway import control, errands

    texts = control.terminal_texts(args.lang)
    status, found = control.report(errands.socket_path(args.config), texts)
    for line in [json.dumps(found, ensure_ascii=False)] if args.json else control.lines(found, texts):
        print(line)
    return EXIT_CONFIG if status == control.SERVICE_UNAVAILABLE else EXIT_OK


def _scan(args: argparse.Namespace) -> int:
    from gateway import control, errands, radio_cli

    texts = control.terminal_texts(args.lang)
    return radio_cli.scan(errands.socket_path(args.config), texts, as_json=args.json, unregistered=args.new)


def _readings(args: argparse.Namespace) -> int:
    from gateway import control, errands, reading_cli

    return reading_cli.readings(errands.socket_path(args.config), control.terminal_texts(args.lang), as_json=args.json)


def _assign(args: argparse.Namespace) -> int:
    from gateway import control, errands, reading_cli

    def sure(question: str) -> bool:
        return args.yes or input(f"{question} [y/N] ").strip().lower() in ("y", "yes", "o", "oui", "是")

    order = reading_cli.Order(args.reading, args.bed, args.by)
    return reading_cli.assign(errands.socket_path(args.config), control.terminal_texts(args.lang), order, sure)


def _pair(args: argparse.Namespace) -> int:
    from getpass import getuser

    from gateway import control, errands, radio_cli

    order = radio_cli.Order(args.device, args.by or getuser(), args.window, args.passkey)
    return radio_cli.pair(errands.socket_path(args.config), control.terminal_texts(args.lang), order)


def _demo(args: argparse.Namespace) -> int:
    from gateway import control
    from gateway.demo.run import main as play

    args.lang = control.terminal_language(args.lang)
    return play(args)


def _simulate(args: argparse.Namespace) -> int:
    from gateway.demo.simulate import main as play

    return play(args)


def _warm(args: argparse.Namespace) -> int:
    from gateway import errands

    return errands.warm(args.cache or errands.kernel_cache())


def _provision(args: argparse.Namespace) -> int:
    from gateway import config, errands

    result = asyncio.run(errands.import_ward(config.load(args.config), args.file, dry_run=args.dry_run))
    for sign, names in (("+", result.added), ("~", result.changed)):
        for name in names:
            print(f"{sign} {name}")
    would = "would be " if result.dry_run else ""
    print(f"{len(result.added)} {would}added, {len(result.changed)} {would}changed, {result.unchanged} unchanged")
    return EXIT_OK


def _profile(args: argparse.Namespace) -> int:
    from gateway import profiles_cli

    if args.action == "check":
        return profiles_cli.check(args.files)
    if args.action == "list":
        return profiles_cli.supported(args.into)
    return profiles_cli.decode(
        args.model, args.hex, poll=args.poll, source=args.source, kind=args.kind, context=args.context
    )


def _vectors(args: argparse.Namespace) -> int:
    from gateway import profiles_cli

    return profiles_cli.run_vectors(args.files)


def _version(_: argparse.Namespace) -> int:
    print(f"carebed {version()}")
    return EXIT_OK


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code; see MANUAL."""
    args = parser().parse_args(argv)
    call: Callable[[argparse.Namespace], int] = args.call
    try:
        return call(args)
    except ConfigError as error:
        print(f"{error}\n{error.hint}", file=sys.stderr)
        return EXIT_CONFIG
    except CarebedError as error:
        print(f"carebed: {error}\n{error.hint}", file=sys.stderr)
        return EXIT_NO_DAEMON if args.command in ASKING else EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader (head, less) has seen enough
        sys.stdout = open("/dev/null", "w", encoding="utf-8")  # noqa: SIM115 - so that the exit does not flush again
        return EXIT_OK
