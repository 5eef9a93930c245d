"""Device profiles: a model is one TOML file, read, checked against its own vectors and interpreted without eval.

`load` tells every fault at once, each with its line. A profile whose embedded frames do not decode to what the file
itself promises is refused: it would turn the device's bytes into wrong numbers for a person's bed.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from drivers.profile_fit import misfits
from drivers.profile_schema import Profile, Vector
from gateway.core.errors import ConfigError, Fault, ProtocolError
from gateway.toml_lines import Document, KeyPath, read

Decoder = Callable[[Profile, Vector], Mapping[str, Any]]
"""Whole bytes of a vector to values by field name; ProtocolError whose message begins with the reason."""

NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
INHERITED = ("codec", "source", "dedupe", "publish_if", "framer", "line", "message", "silence_s")

HINTS = {
    "missing": "add this key",
    "extra_forbidden": "remove it, or mend its spelling; drivers/README.md lists the keys",
    "literal_error": "use one of the values named",
}


def models_in(directory: Path) -> dict[str, Path]:
    """Profile files of a family by model id, which is the file's stem."""
    return {path.stem: path for path in sorted(directory.glob("*.toml"))}


def models_over(directory: Path, transport: str) -> dict[str, Path]:
    """Of a family with two links the models of one: whose file says this transport, or nothing sound."""
    found = {}
    for model, path in models_in(directory).items():
        device = read(path.read_text(encoding="utf-8")).values.get("device")
        if not isinstance(device, dict) or device.get("transport", transport) == transport:
            found[model] = path
    return found


def load(path: Path, decoder: Decoder) -> Profile:
    """The profile in `path`, its vectors decoded by `decoder`. ConfigError with every fault and its line."""
    profile, document = parse(path)
    if faults := tuple(_vector_faults(profile, decoder, document)):
        raise ConfigError(path.name, faults)
    return profile


def parse(path: Path) -> tuple[Profile, Document]:
    """The profile in `path` and the lines of its keys, before its vectors have been tried. ConfigError."""
    document = read(path.read_text(encoding="utf-8"), Decimal)  # a scale of 0.1 has one digit, not fifty-five
    values = _with_layout(path, document)
    faults = list(document.faults)
    if document.complete:
        faults += [_misfit(document, *each) for each in misfits(values) if each[0] not in document.broken]
    try:
        profile = Profile.model_validate(values)
    except ValidationError as error:
        found = [each for each in error.errors() if document.complete and each["loc"] not in document.broken]
        raise ConfigError(path.name, (*faults, *(_fault(document, detail) for detail in found))) from error
    if faults:
        raise ConfigError(path.name, tuple(faults))
    if profile.device.id != path.stem:
        message = f"the file is called {path.stem}, the device {profile.device.id!r}"
        fault = Fault(document.line_of(("device", "id")), "device.id", message, "name both alike")
        raise ConfigError(path.name, (fault,))
    return profile, document


def _with_layout(path: Path, document: Document) -> dict[str, Any]:
    """The file's values, those of the model that it is `like` beneath them."""
    values = document.values
    device = values.get("device")
    like = device.get("like") if isinstance(device, dict) else None
    if not isinstance(like, str):
        return values
    base = path.with_name(f"{like}.toml")
    if not NAME.fullmatch(like) or like == path.stem or not base.is_file():
        line = document.line_of(("device", "like"))
        known = ", ".join(name for name in models_in(path.parent) if name != path.stem)
        fault = Fault(line, "device.like", f"no model {like!r} beside this file", f"one of: {known or 'none'}")
        raise ConfigError(path.name, (*document.faults, fault))
    inherited = read(base.read_text(encoding="utf-8"), Decimal).values
    return {key: value for key, value in inherited.items() if key in INHERITED} | values


def _fault(document: Document, detail: Any) -> Fault:
    place: KeyPath = detail["loc"]
    kind: str = detail["type"]
    given = "" if kind == "missing" or isinstance(detail["input"], dict) else f" (given: {detail['input']!r})"
    message = detail["msg"].removeprefix("Value error, ") + given
    key = ".".join(str(part) for part in place) or "file"
    return Fault(document.line_of(place), key, message, HINTS.get(kind, "see drivers/README.md"))


def _misfit(document: Document, place: KeyPath, message: str) -> Fault:
    line = document.lines.get((*place, 0), document.line_of(place))  # of [[source]]s the first one's heading
    return Fault(line, ".".join(map(str, place)), message, "see drivers/README.md")


def _vector_faults(profile: Profile, decoder: Decoder, document: Document) -> list[Fault]:
    faults = []
    for index, vector in enumerate(profile.tests):
        if difference := first_difference(profile, vector, decoder):
            message = f"{vector.hex}: {difference}"
            hint = "the profile or the vector is wrong: compare with the device's document"
            faults.append(Fault(document.line_of(("tests", index)), f"tests.{index}", message, hint))
    return faults


def first_difference(profile: Profile, vector: Vector, decoder: Decoder) -> str:
    """What a vector's bytes decode to where they should not, in words; "" when all is as promised."""
    try:
        values = decoder(profile, vector)
    except ProtocolError as error:
        if vector.reject is None:
            return f"refused: {error}"
        reason = str(error).split(":")[0]
        return "" if reason == vector.reject else f"refused as {reason}, promised {vector.reject}"
    if vector.reject is not None:
        return f"accepted as {dict(values)}, promised refusal as {vector.reject}"
    for name, promised in vector.expect.items():
        if name not in values:
            return f"no field {name}; decoded: {', '.join(sorted(values))}"
        if not same(values[name], promised):
            return f"{name} decodes to {_shown(values[name])}, promised {_shown(promised)}"
    return ""


def same(decoded: Any, promised: Any) -> bool:
    """Equal within 1e-9; the word "null" stands for None, which TOML does not have, and a date is given as text.

    Of a table the names that are promised are compared.
    """
    if isinstance(decoded, datetime):
        decoded = decoded.isoformat()
    if isinstance(promised, str):
        return decoded is None if promised == "null" else bool(decoded == promised)
    if isinstance(promised, Mapping):
        return isinstance(decoded, Mapping) and all(
            name in decoded and same(decoded[name], value) for name, value in promised.items()
        )
    if isinstance(promised, Sequence):
        rest = list(decoded) if isinstance(decoded, Iterable) and not isinstance(decoded, str) else None
        return rest is not None and len(rest) == len(promised) and all(map(same, rest, promised))
    if decoded is None or isinstance(promised, bool) or isinstance(decoded, bool | str):
        return decoded is promised
    try:
        return math.isclose(float(decoded), float(promised), rel_tol=1e-9, abs_tol=1e-9)
    except (TypeError, ValueError):  # a list or a table where a number is, or the reverse
        return False


def _shown(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str) or not isinstance(value, Iterable):
        return str(value)
    return "[" + ", ".join(f"{one:g}" if isinstance(one, float) else str(one) for one in value) + "]"
