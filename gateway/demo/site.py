"""The virtual site on paper: the configuration and the ward file that the real daemon is started with."""

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from gateway.core.clock import SystemClock
from gateway.demo.story import BEDS, Story

ZONE = "Asia/Shanghai"
TENANT = "demo"
GATEWAY = "gw-demo"
BELT = ("bed_belt", "open_belt_1")  # family and model
BAND = ("polar_pmd", "verity_sense")
BUTTON = ("bthome", "shelly_blu_button1")
CONTACTS = ("modbus_rtu", "waveshare_io8")
BAND_ADDRESS = "F0:99:19:00:00:{:02X}"
BUTTON_ADDRESS = "F0:5E:11:00:00:{:02X}"
ROOM_UNIT, KIOSK_UNIT = 101, 102
BEDS_PER_MODULE = 4  # a contact module has eight inputs: a mat and a pull cord for each bed


def modules(beds: int) -> int:
    """How many contact modules so many beds need."""
    return -(-beds // BEDS_PER_MODULE)


def module_unit(number: int) -> int:
    """Modbus unit id of contact module `number` (from 0)."""
    return 1 + number


def first_input(bed: int) -> int:
    """Number of the mat's input (from 1) of bed `bed` (from 1); the pull cord has the next one."""
    return 1 + 2 * ((bed - 1) % BEDS_PER_MODULE)


def bed_id(number: int) -> str:
    """Pseudonym of bed `number` (from 1): the story's two, then made-up ones."""
    return BEDS[number - 1] if number <= len(BEDS) else f"b-DEM0{number:04d}"


@dataclass(frozen=True, slots=True)
class Ends:
    """Where the ward's process offers its devices. hci_port None: nobody listens to the virtual radio."""

    belts: tuple[str, ...]
    bus: str
    hci_port: int | None


@dataclass(frozen=True, slots=True)
class Origin:
    """The moment at which scaled time is zero, shared by daemon and ward."""

    speed: float
    real_ns: int
    utc_ns: int


def origin(story: Story) -> Origin:
    """Scaled time begins now, at the story's local time of the evening before."""
    zone = ZoneInfo(ZONE)
    hour, minute = (int(part) for part in story.local_start.split(":"))
    today = datetime.fromtimestamp(SystemClock().anchor().utc_ns / 1e9, tz=UTC).astimezone(zone)
    evening = (today - timedelta(days=1)).replace(hour=hour, minute=minute, second=0, microsecond=0)
    return Origin(story.speed, SystemClock().real_ns(), int(evening.timestamp()) * 10**9)


def kernel_cache() -> Path:
    """Where `carebed warm` has put the compiled kernels when this user set the project up."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "carebed"


def write_config(
    directory: Path, ends: Ends, when: Origin, *, broker_port: int, page_port: int, language: str,
    cache_dir: Path | None = None,
) -> Path:  # fmt: skip
    """carebed.toml for the virtual site; returns its path. cache_dir: of the kernels, by default the user's own."""
    radio = f'[[ble]]\nname = "radio"\nbackend = "virtual"\nhci = "tcp-client:127.0.0.1:{ends.hci_port}"'
    lines = [
        "[site]", f'gateway = "{GATEWAY}"', 'site = "s-DEMO2026"', f'time_zone = "{ZONE}"', f'language = "{language}"',
        'mode = "demo"', "[paths]",
        *(f"{name}_dir = {json.dumps(str(directory / name))}" for name in ("state", "runtime")),
        f"cache_dir = {json.dumps(str(cache_dir or kernel_cache()))}",
        "[clock]", f"speed = {float(when.speed)}", f"origin_real_ns = {when.real_ns}", f"origin_utc_ns = {when.utc_ns}",
        "[page]", 'host = "127.0.0.1"', f"port = {page_port}",
        *(f'[[serial]]\nname = "belt-{n}"\npath = "{path}"' for n, path in enumerate(ends.belts, 1)),
        f'[[serial]]\nname = "bus"\npath = "{ends.bus}"\nbaud = 9600',
        *([radio] if ends.hci_port is not None else []),
        f'[[upstream]]\nname = "district"\nhost = "127.0.0.1"\nport = {broker_port}\ntenant = "{TENANT}"',
        "responder = true", "plaintext = true",
    ]  # fmt: skip
    path = directory / "carebed.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_ward(directory: Path, beds: int, bands: int, *, buttons: bool = True) -> Path:
    """The beds and devices for `carebed provision import`; returns the file's path."""
    lines = ['[[room]]\nid = "r-1"\nname = "1"']
    for number in range(1, beds + 1):
        bed = bed_id(number)
        lines += [f'[[bed]]\nid = "{bed}"\nroom = "r-1"', _device(f"belt-{number}", BELT, bed, f"belt-{number}", "")]
        if number <= bands:
            lines += [
                _device(f"band-{number}", BAND, bed, "radio", BAND_ADDRESS.format(number)),
                '[device.settings]\nposition = "wrist"',
            ]
        if buttons:
            lines += [
                _device(f"button-{number}", BUTTON, bed, "radio", BUTTON_ADDRESS.format(number)),
                '[device.settings]\npurpose = "sos"',
            ]
    for module in range(modules(beds)):
        name, unit = f"contacts-{module + 1}", str(module_unit(module))
        lines += [_device(name, CONTACTS, None, "bus", unit), "[device.settings]"]
        first = module * BEDS_PER_MODULE + 1
        for number in range(first, first + BEDS_PER_MODULE):
            lines += _wired(number, fitted=number <= beds)
    lines += [
        _device("room-1", ("modbus_rtu", "xy_md02"), None, "bus", str(ROOM_UNIT)),
        _device("kiosk", ("modbus_rtu", "open_kiosk_1"), None, "bus", str(KIOSK_UNIT)),
    ]
    path = directory / "ward.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _wired(number: int, *, fitted: bool) -> list[str]:
    """What the two inputs of a bed mean."""
    mat = first_input(number)
    if not fitted:
        return [f'di{mat} = "unused"', f'di{mat + 1} = "unused"']
    return [
        f'di{mat} = "mat"', f'di{mat}_bed = "{bed_id(number)}"',
        f'di{mat + 1} = "pull_cord"', f'di{mat + 1}_bed = "{bed_id(number)}"',
    ]  # fmt: skip


def _device(name: str, kind: tuple[str, str], bed: str | None, link: str, address: str) -> str:
    rows = {"id": name, "family": kind[0], "model": kind[1], "link": link, "bed": bed, "address": address}
    return "[[device]]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in rows.items() if value)
