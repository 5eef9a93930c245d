"""What a person does with profiles: check one, list what is supported, decode bytes by one. No printing here."""

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import drivers
from drivers.base import Family
from drivers.bed_belt.frame import decode_vector as decode_belt
from drivers.catalogue import FAMILIES, WHERE
from drivers.modbus_rtu.registers import decode_vector as decode_modbus
from drivers.profile import Decoder, load, models_in, parse
from drivers.profile_models import decode as decode_other
from drivers.profile_schema import Capability, Profile, Vector
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
        """What its devices cannot see, as the profiles declare it; what is said of several quantities is said once."""
        told: dict[str, dict[str, None]] = {}
        for profile in self.profiles.values():
            for quantity, capability in sorted(profile.device.capability.items()):
                if text := _limits(capability):
                    told.setdefault(text, {})[quantity.replace("_", " ")] = None
        return [f"{', '.join(quantities)}: {text}" for text, quantities in told.items()]


def _limits(capability: Capability) -> str:
    if capability.blind:
        return capability.blind
    if capability.range:
        return f"only from {capability.range[0]:g} to {capability.range[1]:g}"
    return f"told {capability.latency_s:g} s late" if capability.latency_s else ""


def entries() -> Iterator[Entry]:
    """Every family of the catalogue, in order of name; two links of one kind of device are two."""
    for name in sorted(FAMILIES):
        package = WHERE[name].partition(":")[0].rpartition(".")[0]
        summary = (importlib.import_module(package).__doc__ or "").strip().split("\n")[0].split(". ")[0].rstrip(".")
        files = models_in(DRIVERS / package.rpartition(".")[2])
        family = FAMILIES[name]
        profiles = {model: parse(files[model])[0] for model in family.models if model in files}
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


def decode(
    model: str,
    hexadecimal: str,
    *,
    poll: int = 0,
    source: int = 0,
    kind: str | None = None,
    context: Mapping[str, str] | None = None,
) -> Mapping[str, Any]:
    """What a model's profile makes of whole bytes. model: a shipped model's id, or the path of a profile.

    kind, context: of a model with a [codec], as in its [[tests]]. ConfigError for the profile, the hexadecimal digits
    or an index or kind that there is not, ProtocolError for the bytes.
    """
    path = Path(model) if model.endswith(".toml") else model_path(model)
    profile = check(path)
    digits = hexadecimal.replace(" ", "").replace(":", "")
    try:
        vector = Vector(
            hex=digits, reject="-", poll=poll, source_at=source, kind=kind, context=dict(context or {})
        )
    except ValueError as error:
        fault = Fault(0, "hex", f"{hexadecimal!r} is not hexadecimal", "two digits for each byte, as in 0061004800")
        raise ConfigError(model, (fault,)) from error
    kinds = profile.codec.kinds if profile.codec else ()
    if kind is not None and kind not in kinds:
        known = ", ".join(kinds) or "none: its layout is data"
        raise ConfigError(model, (Fault(0, "kind", f"{model} sends no {kind!r}", f"kinds: {known}"),))
    for name, given, there in (("poll", poll, profile.poll), ("source", source, profile.source)):
        if given and given >= len(there):
            fault = Fault(0, name, f"there are {len(there)}, counted from 0", "leave it out for the first")
            raise ConfigError(model, (fault,))
    return decoder_for(profile)(profile, vector)
