"""`carebed scan` and `carebed pair`: asks the running daemon, prints for a person who stands before the device."""

import asyncio
import json
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gateway.commands import Reason
from gateway.control import SERVICE_UNAVAILABLE, ask, lines
from gateway.core.clock import SystemClock
from gateway.core.errors import LinkError
from gateway.pair_state import OVER, Step
from gateway.texts import Texts

EXIT_OK, EXIT_FAILED, EXIT_CONFIG = 0, 1, 78
ACCEPTED = 202
NAME_WIDTH = 24
PASSKEY_DIGITS = 6
LOOK_S = 0.3  # between two looks how far a pairing is


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


@dataclass(frozen=True, slots=True)
class Order:
    """What `carebed pair` was given. passkey: for a script; None asks whoever sits at the terminal."""

    device: str
    by: str
    window_s: float
    passkey: int | None = None


def pair(socket: Path, texts: Texts, order: Order) -> int:
    """Pair one device and tell the outcome; the exit code. LinkError without a daemon, or when it refuses."""
    body = {"by": order.by, "window_s": order.window_s}
    status, state = ask(socket, f"devices/{quote(order.device, safe='')}/pair", texts, body)
    if status == SERVICE_UNAVAILABLE:
        return _broken(state, texts)
    if status != ACCEPTED:
        raise LinkError(_refusal(state, texts), hint=texts("pair.refused_hint"))
    state = asyncio.run(_follow(socket, texts, order))
    if state["step"] == Step.BONDED:
        print(texts("pair.bonded", device=order.device))
        return EXIT_OK
    print(texts("pair.failed", device=order.device, reason=state["reason"]), file=sys.stderr)
    print(state["hint"], file=sys.stderr)
    return EXIT_FAILED


async def _follow(socket: Path, texts: Texts, order: Order) -> dict[str, Any]:
    """The state in which the pairing ended. Each step is told once; what it asks is asked here."""
    clock, told = SystemClock(), ("", "")
    while True:
        _, state = ask(socket, "pairing", texts)
        if state.get("device") != order.device:  # restarted meanwhile
            hint = texts("pair.lost_hint", device=order.device)
            raise LinkError(texts("pair.lost", device=order.device), hint=hint)
        step = state["step"]
        if step in OVER:
            found: dict[str, Any] = state
            return found
        if (step, state["digits"]) != told:
            told = (step, state["digits"])
            _step(socket, texts, order, state)
        await clock.sleep(LOOK_S)


def _step(socket: Path, texts: Texts, order: Order, state: dict[str, Any]) -> None:
    values = {"device": order.device, "digits": state["digits"], "n": f"{state['left_s']:.0f}"}
    text = texts(f"pair.{state['step']}", **values)
    if state["step"] == Step.PASSKEY:
        typed = order.passkey if order.passkey is not None else _digits(text)
        answer: dict[str, Any] = {"passkey": typed}
    elif state["step"] == Step.CONFIRM:
        answer = {"agrees": _typed(text).strip().lower()[:1] in ("y", "o")}
    else:
        print(text)
        return
    status, refused = ask(socket, "pairing/answer", texts, answer)
    if status != ACCEPTED:
        print(_refusal(refused, texts), file=sys.stderr)


def _digits(text: str) -> int:
    """Asked until it is six digits; -1 when nobody is there to type them."""
    while True:
        typed = _typed(text).replace(" ", "")
        if not typed or (len(typed) == PASSKEY_DIGITS and typed.isascii() and typed.isdigit()):
            return int(typed or -1)


def _typed(text: str) -> str:
    try:
        return input(text)
    except EOFError:
        return ""


def _refusal(refused: dict[str, Any], texts: Texts) -> str:
    reason = str(refused.get("error", ""))
    values = {key: value for key, value in refused.items() if key not in ("error", "hint")}
    return texts(f"refused.{reason}", **values) if reason in set(Reason) else reason
