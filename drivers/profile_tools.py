"""What a person does with profiles: check one, list what is supported, decode bytes by one. No printing here."""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import drivers
from drivers.base import Family
from drivers.bed_belt.frame import decode_vector as decode_belt
from drivers.modbus_rtu.registers import decode_vector as decode_modbus
from drivers.profile import Decoder, load, models_in, parse
from drivers.profile_models import decode as decode_other
from drivers.profile_schema import Profile, Vector
from gateway.core.errors import ConfigError, Fault

DRIVERS = Path(drivers.__path__[0])
MARKS = ("<!-- devices -->", "<!-- /devices -->")
HEAD = ("Family", "Link", "What it is", "Models", "What it cannot see")


def decoder_for(profile: Profile) -> Decoder:
    """The decoder of the family that a profile is for."""
    if profile.device.transport == "modbus-rtu":
        return decode_modbus
    return decode_belt if profile.stream is not None else decode_other


def check(path: Path) -> Profile:
    """The profile in `path`, its vectors decoded. ConfigError with every fault and its line."""
    if not path.is_file():
        raise ConfigError(path.name, (Fault(0, "file", "there is no such file", "give the path of a profile"),))
    profile, _ = parse(path)
    return load(path, decoder_for(profile))


@dataclass(frozen=True, slots=True)
class Entry:
    """One family in the table of supported devices."""

    family: Family[Any]
    summary: str
    profiles: Mapping[str, Profile]

    @property
    def models(self) -> tuple[str, ...]:
        return self.family.models

    def blind(self) -> list[str]:
        """What its devices cannot see, as the profiles declare it."""
        told: dict[str, None] = {}
        for profile in self.profiles.values():
            for quantity, capability in sorted(profile.device.capability.items()):
                name = quantity.replace("_", " ")
                if capability.blind:
                    told[f"{name}: {capability.blind}"] = None
                elif capability.range:
                    told[f"{name}: only from {capability.range[0]:g} to {capability.range[1]:g}"] = None
                elif capability.latency_s:
                    told[f"{name}: told {capability.latency_s:g} s late"] = None
        return list(told)


def entries() -> Iterator[Entry]:
    """Every family under drivers/, in order of name."""
    for found in sorted(pkgutil.iter_modules(drivers.__path__), key=lambda one: one.name):
        if not found.ispkg or not (DRIVERS / found.name / "driver.py").is_file():
            continue
        package = importlib.import_module(f"drivers.{found.name}")
        family: Family[Any] = importlib.import_module(f"drivers.{found.name}.driver").FAMILY
        profiles = {model: parse(path)[0] for model, path in models_in(DRIVERS / found.name).items()}
        summary = (package.__doc__ or "").strip().split("\n")[0].split(". ")[0].rstrip(".")
        yield Entry(family, summary, profiles)


def table() -> list[str]:
    """The supported devices as lines of a Markdown table."""
    rows = [_row(HEAD), _row(("---",) * len(HEAD))]
    for entry in entries():
        models = ", ".join(_model(name, entry.profiles.get(name)) for name in entry.models)
        blind = "; ".join(entry.blind())
        rows.append(_row((f"`{entry.family.name}`", entry.family.transport, entry.summary, models, blind)))
    return rows


def write_table(path: Path) -> None:
    """Put the table between the markers of a Markdown file. ConfigError when it has none."""
    text = path.read_text(encoding="utf-8")
    start, end = text.find(MARKS[0]), text.find(MARKS[1])
    if not 0 <= start < end:
        fault = Fault(0, "file", f"has no {MARKS[0]} ... {MARKS[1]}", "put both marks where the table belongs")
        raise ConfigError(path.name, (fault,))
    body = "\n".join(table())
    path.write_text(f"{text[: start + len(MARKS[0])]}\n\n{body}\n\n{text[end:]}", encoding="utf-8")


def _model(name: str, profile: Profile | None) -> str:
    products = profile.device.products if profile is not None else ()
    return f"`{name}` ({', '.join(products)})" if products else f"`{name}`"


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def model_path(model: str) -> Path:
    """The profile of a shipped model. ConfigError naming the models that have one."""
    known: dict[str, Path] = {}
    for folder in sorted(DRIVERS.iterdir()):
        if folder.is_dir():
            known |= models_in(folder)
    if model not in known:
        hint = f"models with a profile: {', '.join(sorted(known))}"
        raise ConfigError(model, (Fault(0, "model", "no model with a profile is called so", hint),))
    return known[model]


def decode(model: str, hexadecimal: str, *, poll: int = 0, source: int = 0) -> Mapping[str, Any]:
    """What a model's profile makes of whole bytes. model: a shipped model's id, or the path of a profile.

    ConfigError for the profile or the hexadecimal digits, ProtocolError for the bytes.
    """
    path = Path(model) if model.endswith(".toml") else model_path(model)
    profile = check(path)
    try:
        vector = Vector(hex=hexadecimal.replace(" ", "").replace(":", ""), reject="-", poll=poll, source_at=source)
    except ValueError as error:
        fault = Fault(0, "hex", f"{hexadecimal!r} is not hexadecimal", "two digits for each byte, as in 0061004800")
        raise ConfigError(model, (fault,)) from error
    for name, given, there in (("poll", poll, profile.poll), ("source", source, profile.source)):
        if given and given >= len(there):
            fault = Fault(0, name, f"there are {len(there)}, counted from 0", "leave it out for the first")
            raise ConfigError(model, (fault,))
    return decoder_for(profile)(profile, vector)
