"""Known-answer files, {device, source, cases: [{id, kind, hex, expect, note, context}]}, through the daemon's decoders.

Each family's frame module names its kinds in VECTOR_DECODERS: kind to a function of bytes and context that gives the
values under the names that the files use, or raises ProtocolError. What must be refused may be refused by the frame or,
one layer above, by the plausible range of a quantity.
"""

import importlib
import json
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import drivers
from drivers import vector_kinds
from drivers.profile_vectors import VectorDecoder
from gateway.core.errors import ConfigError, Fault, ProtocolError
from gateway.core.quantities import QUANTITIES

DECODERS: dict[str, VectorDecoder] = {}

PLAUSIBLE = {  # what vector files call a quantity, in the quantity's own unit
    "spo2_percent": "spo2",
    "pulse_bpm": "pulse_rate",
    "heart_rate_bpm": "heart_rate",
    "systolic_mmHg": "systolic",
    "diastolic_mmHg": "diastolic",
    "mean_arterial_mmHg": "mean_arterial",
    "temperature_C": "body_temperature",
    "weight_kg": "weight",
    "glucose_mmol_L": "glucose",
    "battery_percent": "battery",
}


def register(kind: str, decoder: VectorDecoder) -> None:
    """Add the decoder of one kind. ValueError when another one already has it."""
    if DECODERS.setdefault(kind, decoder) is not decoder:
        raise ValueError(f"two families decode vectors of kind {kind!r}")


@cache
def collect() -> Mapping[str, VectorDecoder]:
    """Every kind that a family under drivers/ knows; families without vectors are passed over."""
    for found in pkgutil.iter_modules(drivers.__path__):
        if found.ispkg and (Path(drivers.__path__[0]) / found.name / "frame.py").is_file():
            module = importlib.import_module(f"drivers.{found.name}.frame")
            for kind, decoder in getattr(module, "VECTOR_DECODERS", {}).items():
                register(kind, decoder)
    for kind, decoder in vector_kinds.VECTOR_DECODERS.items():
        if kind not in DECODERS:
            register(kind, decoder)
    return DECODERS


@dataclass(frozen=True, slots=True)
class Outcome:
    """One case. difference: "" when it passed, else what was seen and what expected."""

    case: str
    hex: str
    difference: str


def run_file(path: Path) -> Iterator[Outcome]:
    """Every case of a file. ConfigError when it is no vector file."""
    for number, case in enumerate(_cases(path), start=1):
        name = str(case.get("id", f"{path.stem}, case {number}"))
        yield Outcome(name, str(case["hex"]), judge(case))


def _cases(path: Path) -> list[Mapping[str, Any]]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
        cases: list[Mapping[str, Any]] = document["cases"]
        faulty = next((case for case in cases if not {"kind", "hex", "expect"} <= case.keys()), None)
    except OSError as error:
        raise _unreadable(path, f"cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unreadable(path, f"is no vector file: {error}") from error
    if faulty is not None:
        raise _unreadable(path, f"has a case without kind, hex or expect: {faulty}")
    return cases


def _unreadable(path: Path, message: str) -> ConfigError:
    hint = "a vector file is JSON: {device, source, cases: [{id, kind, hex, expect}]}"
    return ConfigError(path.name, (Fault(0, "file", message, hint),))


def judge(case: Mapping[str, Any]) -> str:
    """What a case's bytes decode to where they should not; "" when all is as expected."""
    decoder = collect().get(case["kind"])
    if decoder is None:
        return f"no family decodes kind {case['kind']!r}"
    expected: Mapping[str, Any] = case["expect"]
    try:
        data = bytes.fromhex(case["hex"])
    except ValueError:
        return "its hex cannot be read"
    try:
        values = decoder(data, case.get("context") or {})
    except ProtocolError as error:
        return "" if expected.get("reject") else f"refused: {error}"
    if expected.get("reject"):
        return "" if implausible(values) else f"accepted as {_shown(values)}, expected refusal ({expected.get('why')})"
    return next((text for name in expected if (text := _difference(name, values, expected))), "")


def implausible(values: Mapping[str, Any]) -> str:
    """The first value that no person can have; "" when there is none."""
    for name, quantity in PLAUSIBLE.items():
        value = values.get(name)
        if value is not None and not QUANTITIES[quantity].plausible(float(value)):
            return name
    lower, upper = values.get("diastolic_mmHg"), values.get("systolic_mmHg")
    return "diastolic_mmHg" if lower is not None and upper is not None and lower >= upper else ""


def _difference(name: str, values: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    found = name if name in values else _like(name, values, whole=expected[name] is None)
    if not found:
        return "" if expected[name] is None else f"{name} is missing, expected {_shown(expected[name])}"
    if same(values[found], expected[name]):
        return ""
    return f"{name} is {_shown(values[found])}, expected {_shown(expected[name])}"


def _like(name: str, values: Mapping[str, Any], *, whole: bool) -> str:
    """The only value's name that has all words of `name`, in any order (fast_spo2_percent is spo2_fast_percent, and
    tx_power_dBm is tx_power_dBm_at_0m); "" where there is none, or where several could be meant. whole: no words more.
    """
    words = set(name.split("_"))
    fitting = [key for key in values if words <= set(key.split("_"))]
    same_words = [key for key in fitting if words == set(key.split("_"))]
    meant = same_words if same_words or whole else fitting
    return meant[0] if len(meant) == 1 else ""


def same(found: Any, expected: Any) -> bool:
    """Equal; numbers with digits behind the point to half of the last printed one."""
    if isinstance(expected, Mapping):
        return isinstance(found, Mapping) and all(
            name in found and same(found[name], value) for name, value in expected.items()
        )
    if isinstance(expected, Sequence) and not isinstance(expected, str):
        return (
            isinstance(found, Sequence)
            and not isinstance(found, str)
            and len(found) == len(expected)
            and all(map(same, found, expected))
        )
    if expected is None or isinstance(expected, bool | str) or isinstance(found, bool):
        return bool(found == expected) and isinstance(found, bool) == isinstance(expected, bool)
    if not isinstance(found, int | float | Decimal):
        return False
    tolerance = Decimal(10) ** int(Decimal(expected).as_tuple().exponent) / 2 if isinstance(expected, Decimal) else 0
    return abs(Decimal(repr(found) if isinstance(found, float) else found) - Decimal(expected)) <= tolerance


def _shown(value: Any) -> str:
    return json.dumps(value, default=lambda odd: float(odd) if isinstance(odd, Decimal) else str(odd))
