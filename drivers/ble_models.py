"""The models that can be recognised in the air: the `match` of every BLE profile beside the drivers.

Only `match` is read and checked; a profile whose frames do not decode is refused by its driver, with the reason.
"""

from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from drivers.catalogue import WHERE
from drivers.profile import models_in
from drivers.profile_ble import Match
from drivers.recognise import Candidate
from gateway.toml_lines import read

DRIVERS = Path(__file__).parent


@cache
def candidates() -> tuple[Candidate, ...]:
    """Every BLE model that ships, by family and model. Reads files the first time."""
    found = []
    for folder in sorted(path for path in DRIVERS.iterdir() if path.name in WHERE):
        family = f"{folder.name}_ble" if f"{folder.name}_ble" in WHERE else folder.name
        for model, path in models_in(folder).items():
            match = _match(_device(path), folder)
            if match is not None:
                found.append(Candidate(family, model, match))
    return tuple(found)


def _match(device: dict[str, Any], folder: Path) -> Match | None:
    """The model's own, else that of the model whose layout it has."""
    if not str(device.get("transport", "ble")).startswith("ble"):
        return None
    if "match" not in device and (like := models_in(folder).get(str(device.get("like")))):
        device = _device(like)
    try:
        return Match.model_validate(device["match"])
    except (KeyError, ValidationError):
        return None


def _device(path: Path) -> dict[str, Any]:
    device = read(path.read_text(encoding="utf-8")).values.get("device")
    return device if isinstance(device, dict) else {}
