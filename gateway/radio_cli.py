"""`carebed scan` and `carebed pair`: asks the running daemon, prints for a person who stands before the device."""

import json
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gateway.control import SERVICE_UNAVAILABLE, ask, lines
from gateway.core.errors import LinkError
from gateway.texts import Texts

EXIT_OK, EXIT_FAILED, EXIT_CONFIG = 0, 1, 78
NAME_WIDTH = 24


def scan(socket: Path, texts: Texts, *, as_json: bool, unregistered: bool) -> int:
    """Print who was heard lately; the exit code. LinkError without a daemon, or without a radio that could hear."""
    status, air = ask(socket, "ble/seen", texts)
    if status == SERVICE_UNAVAILABLE:
        return _broken(air, texts)
    if unregistered:
        air["devices"] = [device for device in air["devices"] if not device["device"]]
    if as_json:
        print(json.dumps(air, ensure_ascii=False))
        return EXIT_OK
    if not air["radios"]:
        raise LinkError(texts("scan.no_radio"), hint=texts("scan.no_radio_hint"))
    for line in (*_radios(air["radios"], texts), *_table(air["devices"], texts)):
        print(line)
    if not any(radio["scanning"] for radio in air["radios"]):
        raise LinkError(texts("scan.no_adapter"), hint=texts("scan.no_adapter_hint"))
    return EXIT_OK


def _broken(found: dict[str, Any], texts: Texts) -> int:
    for line in lines({"configuration": found}, texts):
        print(line)
    return EXIT_CONFIG


def _radios(radios: Sequence[dict[str, Any]], texts: Texts) -> Iterator[str]:
    for radio in radios:
        state = texts("scan.scanning" if radio["scanning"] else "scan.closed")
        yield texts("scan.radio", name=radio["name"], state=state, n=radio["adverts"], forgotten=radio["forgotten"])


def _table(devices: Sequence[dict[str, Any]], texts: Texts) -> Iterator[str]:
    if not devices:
        yield texts("scan.nobody")
        return
    head = tuple(texts(f"scan.column.{name}") for name in ("address", "name", "rssi", "heard", "model", "device"))
    rows = [head, *(_row(device, texts) for device in devices)]
    widths = [max(_width(row[column]) for row in rows) for column in range(len(head))]
    for row in rows:
        yield "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()


def _row(device: dict[str, Any], texts: Texts) -> tuple[str, ...]:
    changes = "" if device["identity"] else " *"
    registered = device["device"]
    if device["contradicts"]:
        registered += " " + texts("scan.contradicts", model=device["contradicts"])
    age = texts("scan.age", n=f"{device['last_heard_s']:.0f}")
    name = "".join(letter for letter in device["name"] if letter.isprintable())[:NAME_WIDTH]
    return device["address"] + changes, name, str(device["rssi_dbm"]), age, _models(device, texts), registered


def _models(device: dict[str, Any], texts: Texts) -> str:
    """The model, or all that it may be: nobody guesses."""
    if device["model"] or not device["models"]:
        return str(device["model"])
    names = [model["model"] + ("" if model["certain"] else "?") for model in device["models"]]
    return texts("scan.one_of", models=", ".join(names))


def _width(text: str) -> int:
    """Columns on a terminal: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
