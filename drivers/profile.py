"""Device profiles: a model is one TOML file, read, checked against its own vectors and interpreted without eval.

`load` tells every fault at once, each with its line. A profile whose embedded frames do not decode to what the file
itself promises is refused: it would turn the device's bytes into wrong numbers for a person's bed.
"""

import math
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from drivers.profile_schema import Profile, Vector
from gateway.core.errors import ConfigError, Fault, ProtocolError

Location = tuple[str | int, ...]
Decoder = Callable[[Profile, Vector], Mapping[str, Any]]
"""Whole bytes of a vector to values by field name; ProtocolError whose message begins with the reason."""

_TABLE = re.compile(r"^\s*(\[{1,2})\s*([^\[\]]+?)\s*\]{1,2}\s*(#.*)?$")
_KEY = re.compile(r"^\s*(\"[^\"]+\"|'[^']+'|[A-Za-z0-9_.-]+)\s*=")
_SYNTAX_LINE = re.compile(r"at line (\d+)")

HINTS = {
    "missing": "add this key",
    "extra_forbidden": "remove it, or mend its spelling; drivers/README.md lists the keys",
    "literal_error": "use one of the values named",
}


def models_in(directory: Path) -> dict[str, Path]:
    """Profile files of a family by model id, which is the file's stem."""
    return {path.stem: path for path in sorted(directory.glob("*.toml"))}


def load(path: Path, decoder: Decoder) -> Profile:
    """The profile in `path`, its vectors decoded by `decoder`. ConfigError with every fault and its line."""
    text = path.read_text(encoding="utf-8")
    try:
        raw = tomllib.loads(text, parse_float=Decimal)  # decimal: a scale of 0.1 has one digit, not fifty-five
    except tomllib.TOMLDecodeError as error:
        line = int(found[1]) if (found := _SYNTAX_LINE.search(str(error))) else 0
        raise ConfigError(path.name, (Fault(line, "syntax", str(error), "mend the TOML at this line"),)) from error
    lines = key_lines(text)
    try:
        profile = Profile.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(path.name, tuple(_fault(lines, detail) for detail in error.errors())) from error
    if profile.device.id != path.stem:
        message = f"the file is called {path.stem}, the device {profile.device.id!r}"
        fault = Fault(line_of(lines, ("device", "id")), "device.id", message, "name both alike")
        raise ConfigError(path.name, (fault,))
    if faults := tuple(_vector_faults(profile, decoder, lines)):
        raise ConfigError(path.name, faults)
    return profile


def key_lines(text: str) -> dict[Location, int]:
    """1-based line of every table and of every key that begins a line, by its place as pydantic names it.

    tomllib gives no lines. Keys inside inline tables belong to the line of the table's own key.
    """
    lines: dict[Location, int] = {}
    arrays: dict[Location, int] = {}
    table: Location = ()
    in_text = False
    for number, line in enumerate(text.splitlines(), start=1):
        if (line.count('"""') + line.count("'''")) % 2:
            in_text = not in_text
        elif in_text:
            continue
        if header := _TABLE.match(line):
            table = _place(header[2], arrays, is_array=len(header[1]) == 2)
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            lines.setdefault((*table, *_parts(key[1])), number)
    return lines


def _parts(dotted: str) -> list[str]:
    return [part.strip().strip("\"'") for part in dotted.split(".")]


def _place(dotted: str, arrays: dict[Location, int], *, is_array: bool) -> Location:
    parts = _parts(dotted)
    place: Location = ()
    for depth, part in enumerate(parts):
        place = (*place, part)
        if is_array and depth == len(parts) - 1:
            arrays[place] = arrays.get(place, -1) + 1
        if place in arrays:
            place = (*place, arrays[place])
    return place


def line_of(lines: Mapping[Location, int], place: Location) -> int:
    """Line of the key, else of the nearest table around it, else 0."""
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place, 0)


def _fault(lines: Mapping[Location, int], detail: Any) -> Fault:
    place: Location = detail["loc"]
    kind: str = detail["type"]
    given = "" if kind == "missing" or isinstance(detail["input"], dict) else f" (given: {detail['input']!r})"
    message = detail["msg"].removeprefix("Value error, ") + given
    key = ".".join(str(part) for part in place) or "file"
    return Fault(line_of(lines, place), key, message, HINTS.get(kind, "see drivers/README.md"))


def _vector_faults(profile: Profile, decoder: Decoder, lines: Mapping[Location, int]) -> list[Fault]:
    faults = []
    for index, vector in enumerate(profile.tests):
        if difference := first_difference(profile, vector, decoder):
            message = f"{vector.hex}: {difference}"
            hint = "the profile or the vector is wrong: compare with the device's document"
            faults.append(Fault(line_of(lines, ("tests", index)), f"tests.{index}", message, hint))
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
    """Equal within 1e-9; the word "null" stands for None, which TOML does not have."""
    if isinstance(promised, str):
        return decoded is None if promised == "null" else bool(decoded == promised)
    if isinstance(promised, Sequence):
        rest = list(decoded) if decoded is not None else []
        return len(rest) == len(promised) and all(map(same, rest, promised))
    if decoded is None or isinstance(promised, bool) or isinstance(decoded, bool):
        return decoded is promised
    return math.isclose(float(decoded), float(promised), rel_tol=1e-9, abs_tol=1e-9)


def _shown(value: Any) -> str:
    if isinstance(value, str | bool | int | float | Decimal) or value is None:
        return str(value)
    return "[" + ", ".join(f"{float(number):g}" for number in value) + "]"
