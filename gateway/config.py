"""The installer's file, carebed.toml: its schema and `load`, which returns a Config or every fault at once.

Unknown keys are refused and units stand in the names of keys. Descriptions here are the documentation: the table in
gateway/README.md is compared with them in the tests. The daemon never writes this file.
"""

import base64
import binascii
import difflib
import ipaddress
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from gateway.config_checks import contradictions
from gateway.core.errors import ConfigError, Fault
from gateway.core.model import Mode
from gateway.toml_lines import Document, KeyPath, key_text, read

BAUDS = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600)
MAX_SPEED = 1000.0  # a scaled clock beyond this outruns the event loop's timers (about 1 ms)
KEY_BYTES = 32  # an Ed25519 public key


def _zone(name: str) -> str:
    if name not in available_timezones():
        near = difflib.get_close_matches(name, available_timezones(), n=1)
        raise ValueError(f"{name!r} is no IANA time zone" + (f"; did you mean {near[0]!r}?" if near else ""))
    return name


def _baud(rate: int) -> int:
    if rate not in BAUDS:
        raise ValueError(f"{rate} is no usual rate; usual are {', '.join(map(str, BAUDS))}")
    return rate


def _public_key(text: str) -> str:
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"is no base64 text: {error}") from None
    if len(raw) != KEY_BYTES:
        raise ValueError(f"holds {len(raw)} bytes; an Ed25519 public key has {KEY_BYTES}")
    return text


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError(f"{str(path)!r} is relative; a service has no working directory to speak of")
    return path


def _host(name: str) -> str:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        if not name or any(letter.isspace() or letter in "/:@[]" for letter in name):
            raise ValueError(f"{name!r} is no host name or address (no scheme, no port, no path)") from None
    return name


Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
Ident = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]
Host = Annotated[str, AfterValidator(_host)]
AbsolutePath = Annotated[Path, Field(strict=False), AfterValidator(_absolute)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Section(BaseModel):
    """A table of the file: frozen, unknown keys refused, no silent conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


SectionT = TypeVar("SectionT", bound=Section)


class Site(Section):
    gateway: Ident = Field(description="id of this box, also its MQTT client id, e.g. gw-3F2A9C")
    site: Ident = Field(description="id of the site it stands in, e.g. s-7Q4MZ2K9")
    time_zone: Annotated[str, AfterValidator(_zone)] = Field(description="IANA time zone, e.g. Asia/Shanghai")
    language: Literal["zh", "en", "fr"] = Field(default="zh", description="language of the page: zh, en or fr")
    mode: Annotated[Mode, Field(strict=False)] = Field(
        default=Mode.REAL, description="real (alarms summon people), test or demo; every fact carries it"
    )


class Paths(Section):
    state_dir: AbsolutePath = Field(default=Path("/var/lib/carebed"), description="databases; must survive a power cut")
    cache_dir: AbsolutePath = Field(default=Path("/var/cache/carebed"), description="compiled kernels; may be deleted")
    runtime_dir: AbsolutePath = Field(default=Path("/run/carebed"), description="Unix socket of the running daemon")


class ScaledTime(Section):
    speed: float = Field(gt=0, le=MAX_SPEED, description="how many times as fast as real time (mode demo or test)")
    origin_real_ns: int = Field(ge=0, description="CLOCK_BOOTTIME in ns at which scaled time is zero")
    origin_utc_ns: int = Field(ge=0, description="UTC in ns since 1970 at that moment")


class Page(Section):
    host: Host = Field(default="127.0.0.1", description="address the page listens on; in mode real a loopback address")
    port: Port = Field(default=8080, description="TCP port of the page")


class Serial(Section):
    name: Name = Field(description="name by which devices refer to this port, e.g. belt-1")
    path: AbsolutePath = Field(description="device file; in mode real under /dev/serial/by-id/ or by-path/")
    baud: Annotated[int, AfterValidator(_baud)] = Field(default=115200, description="line rate in bit/s")
    format: Annotated[str, Field(pattern=r"^8(N1|N2|E1|O1)$")] = Field(
        default="8N1", description="data bits, parity and stop bits: 8N1, 8N2, 8E1 or 8O1"
    )
    rs485: bool = Field(default=False, description="true: the kernel switches an RS-485 transceiver's direction by RTS")


class Ble(Section):
    name: Name = Field(description="name by which devices refer to this radio, e.g. onboard")
    backend: Literal["bluez", "virtual"] = Field(default="bluez", description="bluez, or virtual (mode demo or test)")
    adapter: Annotated[str, Field(pattern=r"^hci[0-9]{1,2}$")] | None = Field(
        default=None, description="BlueZ adapter, e.g. hci0 (backend bluez)"
    )
    hci: str | None = Field(
        default=None, description="bumble transport, e.g. tcp-client:127.0.0.1:5555 (backend virtual)"
    )
    slots: int = Field(default=6, ge=1, le=20, description="connections at once; one is kept for meters")
    scan_only: bool = Field(default=False, description="true: this radio only listens, for SOS adverts beside another")


class Upstream(Section):
    name: Name = Field(description="name of this platform on pages and in marks, e.g. district")
    host: Host = Field(description="host name or address of the MQTT broker")
    port: Port = Field(default=8883, description="TCP port of the broker")
    tenant: Ident = Field(description="tenant id, second level of every topic")
    responder: bool = Field(default=False, description="true: people behind this platform answer alarms")
    plaintext: bool = Field(default=False, description="true: no TLS; accepted for a broker on a loopback address only")
    ca_file: AbsolutePath | None = Field(
        default=None, description="PEM of the authority behind the broker; needed without plaintext"
    )
    cert_file: AbsolutePath | None = Field(default=None, description="PEM of the box's certificate; goes with key_file")
    key_file: AbsolutePath | None = Field(default=None, description="PEM of the box's private key; goes with cert_file")


class Rules(Section):
    bundle_key: Annotated[str, AfterValidator(_public_key)] | None = Field(
        default=None, description="base64 Ed25519 public key of the clinical signer"
    )
    bundle: AbsolutePath | None = Field(default=None, description="file of a signed rule bundle; needs bundle_key")


class Config(Section):
    """The whole file, checked: what stands here is complete and free of contradictions."""

    site: Site = Field(description="who and where this box is")
    paths: Paths = Field(default=Paths(), description="directories")
    clock: ScaledTime | None = Field(default=None, description="scaled time, in mode demo or test only")
    page: Page = Field(default=Page(), description="the local page")
    serial: tuple[Serial, ...] = Field(default=(), strict=False, description="one for each serial port")
    ble: tuple[Ble, ...] = Field(default=(), strict=False, description="one for each Bluetooth radio")
    upstream: tuple[Upstream, ...] = Field(default=(), strict=False, description="one for each platform")
    rules: Rules = Field(default=Rules(), description="signed rule bundle")

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.site.time_zone)


SECTIONS: Mapping[str, type[Section]] = {
    "site": Site,
    "paths": Paths,
    "clock": ScaledTime,
    "page": Page,
    "serial": Serial,
    "ble": Ble,
    "upstream": Upstream,
    "rules": Rules,
}
LISTS = ("serial", "ble", "upstream")  # written [[serial]]


def documented_keys() -> Iterator[tuple[str, str, str]]:
    """(key, default or "required", description) of every key, in the order of the file."""
    for name, section in SECTIONS.items():
        heading = f"[[{name}]]" if name in LISTS else f"[{name}]"
        for key, field in section.model_fields.items():
            default = "required" if field.is_required() else "none" if field.default is None else str(field.default)
            yield f"{heading} {key}", {"False": "false"}.get(default, default), field.description or ""


def load(path: Path) -> Config:
    """ConfigError with every fault, each with its line and a hint."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        hint = "name a file that exists and that this user may read"
        raise ConfigError(str(path), (Fault(0, "file", f"cannot be read: {error.strerror}", hint),)) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            str(path), (Fault(line, "file", f"byte {error.start} is no UTF-8", "save the file as UTF-8"),)
        ) from error
    return parse(text, str(path))


def parse(text: str, name: str = "carebed.toml") -> Config:
    """The same for a text; `name` is what the faults call it."""
    document = read(text)
    faults = list(document.faults)
    config: Config | None = None
    try:
        config = Config.model_validate(document.values)
    except ValidationError as error:
        faults += _schema_faults(error.errors(), document)
    faults += [
        Fault(document.line_of(path), key_text(path), message, hint)
        for path, message, hint in contradictions(document.values, mode_known=_mode_known(document))
        if path not in document.broken
    ]
    if faults or config is None:
        raise ConfigError(name, tuple(sorted(faults, key=lambda fault: (fault.line, fault.key))))
    return config


def salvage(path: Path) -> tuple[int, Path]:
    """(page port, runtime directory) as far as a broken file still says them, else the defaults.

    The fault page is served there and the command line looks there, so both must read a broken file alike.
    """
    try:
        values = read(path.read_bytes().decode("utf-8-sig", errors="replace")).values
    except OSError:
        values = {}
    return _salvaged(values, "page", Page).port, _salvaged(values, "paths", Paths).runtime_dir


def _salvaged(values: dict[str, Any], name: str, section: type[SectionT]) -> SectionT:
    """The section with those of its keys that are good by themselves."""
    given = values.get(name)
    good: dict[str, Any] = {}
    for key, value in given.items() if isinstance(given, dict) else ():
        try:
            section.model_validate({key: value})
        except ValidationError:
            continue
        good[key] = value
    return section.model_validate(good)


def _mode_known(document: Document) -> bool:
    """False when the line or section that says the mode could not be read."""
    return ("site", "mode") not in document.broken and (document.complete or "site" in document.values)


def _schema_faults(details: list[ErrorDetails], document: Document) -> list[Fault]:
    """pydantic's errors in the words of the file, without those that only follow from another fault."""
    told = document.broken | {
        (*detail["loc"][:-1], near)
        for detail in details
        if detail["type"] == "extra_forbidden" and (near := _nearest(detail["loc"]))
    }
    faults = []
    for detail in details:
        kind, path = detail["type"], detail["loc"]
        follows = path in told or (kind in ("missing", "extra_forbidden") and not document.complete)
        if not follows:
            message, hint = _words(kind, path, detail)
            faults.append(Fault(document.line_of(path), key_text(path), message, hint))
    return faults


def _words(kind: str, path: KeyPath, detail: ErrorDetails) -> tuple[str, str]:
    """(message, hint) of one error."""
    if kind == "extra_forbidden":
        near = _nearest(path)
        hint = f"did you mean {near!r}?" if near else f"known here: {', '.join(_keys_around(path))}"
        return f"unknown {'key' if len(path) > 1 else 'section'}", hint
    hint = _description(path)
    if kind == "missing":
        return "is missing", f"add it: {hint}"
    message = detail["msg"].removeprefix("Value error, ")
    if kind == "string_pattern_mismatch":
        message = f"{detail['input']!r:.80} has not the form {detail['ctx']['pattern']}"
    elif kind != "value_error":
        message = f"{message[:1].lower()}{message[1:]}, found {detail['input']!r:.80}"
    if path[0] in LISTS and len(path) == 1:
        hint = f"write [[{path[0]}]], with two brackets"
    return message, hint


def _nearest(path: KeyPath) -> str | None:
    """The known key that an unknown one was probably meant to be."""
    near = difflib.get_close_matches(str(path[-1]), _keys_around(path), n=1, cutoff=0.5)
    return near[0] if near else None


def _keys_around(path: KeyPath) -> list[str]:
    return list(SECTIONS[str(path[0])].model_fields) if len(path) > 1 and path[0] in SECTIONS else list(SECTIONS)


def _description(path: KeyPath) -> str:
    section = SECTIONS.get(str(path[0]))
    if section is None:
        return ""
    names = [part for part in path[1:] if isinstance(part, str) and part in section.model_fields]
    field = section.model_fields[names[0]] if names else Config.model_fields[str(path[0])]
    return field.description or ""
