"""Asks the running daemon over its Unix socket, and puts the answer into a few lines for a terminal."""

import http.client
import json
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gateway.core.errors import LinkError
from gateway.texts import LANGUAGES, Texts, load

TIMEOUT_S = 5.0  # a daemon that does not answer within this time is in trouble
REPORT = ("health", "ward", "devices", "uplinks")
SERVICE_UNAVAILABLE = 503


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(str(self._path))


def ask(path: Path, resource: str, texts: Texts, body: Mapping[str, Any] | None = None) -> tuple[int, Any]:
    """(status, JSON) of GET /api/v1/{resource}, or of POST with a `body`.

    LinkError when no daemon answers at the socket `path`.
    """
    connection = _UnixConnection(path)
    try:
        if body is None:
            connection.request("GET", f"/api/v1/{resource}")
        else:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", f"/api/v1/{resource}", json.dumps(dict(body)), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    except PermissionError as error:
        raise LinkError(texts("cli.denied", socket=path), hint=texts("cli.denied_hint")) from error
    except TimeoutError as error:
        waited = texts("cli.no_answer", socket=path, n=f"{TIMEOUT_S:g}")
        raise LinkError(waited, hint=texts("cli.no_answer_hint")) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise LinkError(texts("cli.not_running", socket=path), hint=texts("cli.not_running_hint")) from error
    finally:
        connection.close()


def report(path: Path, texts: Texts) -> tuple[int, dict[str, Any]]:
    """Everything `carebed status` knows. Status 503: the daemon is up with a broken configuration."""
    found: dict[str, Any] = {}
    for resource in REPORT:
        status, found[resource] = ask(path, resource, texts)
        if status == SERVICE_UNAVAILABLE:
            return status, {"configuration": found[resource]}
    return http.client.OK, found


def is_running(path: Path) -> bool:
    """True when somebody answers at the socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(TIMEOUT_S)
        return probe.connect_ex(str(path)) == 0


def lines(found: dict[str, Any], texts: Texts) -> Iterator[str]:
    """The report for a terminal: states and counts, no vital signs."""
    if "configuration" in found:
        broken = found["configuration"]
        yield texts("cli.broken", path=broken["path"], n=len(broken["faults"]))
        for fault in broken["faults"]:
            yield f"  {fault['line']}: {fault['key']}: {fault['message']} ({fault['hint']})"
        return
    health, ward = found["health"], found["ward"]
    mode, running = texts(f"mode.{health['mode']}"), texts.span(health["uptime_s"])
    yield f"{texts('cli.box')}: {health['gateway']}, carebed {health['version']}, {mode}, {running}"
    for part in health["parts"]:
        yield _state_line(texts, texts.named("part", part["name"]), part)
    yield f"{texts('cli.alarms')}: {texts('cli.open', n=ward['open_alarms'])}"
    for bed in ward["beds"]:
        yield f"{texts('cli.beds')}: {bed['id']} ({bed['room']}), {_occupancy(texts, bed['occupied'])}"
        for alarm in bed["alarms"]:
            yield f"  ! {texts.named('rule', alarm['rule'])} ({texts('priority.' + alarm['priority'])})"
    for alarm in ward["box_alarms"]:
        yield f"  ! {texts.named('rule', alarm['rule'])} ({texts('priority.' + alarm['priority'])})"
    for device in found["devices"]:
        yield _state_line(texts, f"{texts('cli.devices')} {device['id']}", device)
    for uplink in found["uplinks"]:
        waiting = texts("cli.waiting", n=sum(stream["waiting"] for stream in uplink["streams"].values()))
        yield f"{_state_line(texts, texts('cli.uplinks') + ' ' + uplink['name'], uplink)}, {waiting}"


def _state_line(texts: Texts, name: str, part: dict[str, Any]) -> str:
    return f"{name}: {texts.named('state', part['state'])}" + (f" ({part['reason']})" if part["reason"] else "")


def _occupancy(texts: Texts, occupied: bool | None) -> str:
    return texts("page.bed." + ("unknown" if occupied is None else "occupied" if occupied else "empty"))


def terminal_language(wanted: str | None) -> str:
    """The language asked for, else the terminal's (LC_ALL, LC_MESSAGES, LANG), else English."""
    spoken = next((os.environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if os.environ.get(name)), "")
    language = wanted or spoken[:2]
    return language if language in LANGUAGES else "en"


def terminal_texts(wanted: str | None) -> Texts:
    """The texts for `terminal_language`."""
    return load(terminal_language(wanted))
