"""`carebed readings` and `carebed assign`: what nobody claimed at a shared device, and whose it is."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gateway.commands import Reason
from gateway.control import SERVICE_UNAVAILABLE, ask, lines
from gateway.core.errors import LinkError
from gateway.texts import Texts

EXIT_OK, EXIT_FAILED, EXIT_CONFIG = 0, 1, 78


@dataclass(frozen=True, slots=True)
class Order:
    """Whose a reading is. by: who says so."""

    reading: str
    bed: str
    by: str


def readings(socket: Path, texts: Texts, *, as_json: bool) -> int:
    """Print what is nobody's, newest first; the exit code. LinkError without a daemon."""
    status, found = ask(socket, "readings/unassigned", texts)
    if status == SERVICE_UNAVAILABLE:
        return _broken(found, texts)
    for line in [json.dumps(found, ensure_ascii=False)] if as_json else _table(found, texts):
        print(line)
    return EXIT_OK


def assign(socket: Path, texts: Texts, order: Order, sure: Callable[[str], bool]) -> int:
    """Show the reading, ask whether it is `sure`, then give it away. LinkError when it is refused."""
    status, found = ask(socket, "readings/unassigned", texts)
    if status == SERVICE_UNAVAILABLE:
        return _broken(found, texts)
    chosen = [one for one in found if one["id"] == order.reading]
    if not chosen:
        raise LinkError(texts("refused.reading_unknown"), hint=texts("cli.readings_hint"))
    for line in _table(chosen, texts):
        print(line)
    if not sure(texts("page.readings.sure", bed=order.bed)):
        return EXIT_FAILED
    asked = {"bed": order.bed, "by": order.by}
    status, answer = ask(socket, f"readings/{quote(order.reading, safe='')}/assign", texts, asked)
    if status != HTTPStatus.OK:
        values = {name: value for name, value in answer.items() if name not in ("error", "hint")}
        reason = texts(f"refused.{answer['error']}", **values) if answer["error"] in list(Reason) else answer["error"]
        raise LinkError(reason, hint=texts("cli.readings_hint"))
    print(texts("page.done.assign"))
    return EXIT_OK


def _broken(found: dict[str, Any], texts: Texts) -> int:
    for line in lines({"configuration": found}, texts):
        print(line)
    return EXIT_CONFIG


def _table(found: Sequence[dict[str, Any]], texts: Texts) -> Iterator[str]:
    if not found:
        yield texts("page.readings.empty")
    for one in found:
        age = texts("state.unknown") if one["age_s"] is None else texts.age(one["age_s"])
        yield f"{one['id']}: {one['device']}, {age}"
        for value in one["values"]:
            beyond = {"over": ">", "under": "<"}.get(value["status"], "")
            number = f"{beyond}{texts.number(value['value'], 1 if value['value'] % 1 else 0)}"
            yield f"  {texts.named('quantity', value['quantity'])}: {number} {texts.named('unit', value['unit'])}"
