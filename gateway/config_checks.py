"""What is wrong between the keys of carebed.toml, beyond what the schema of each can say.

Looks at raw values, whatever could be read of them: a wrong baud in one line must not hide a wrong path in another.
"""

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.toml_lines import KeyPath, key_text

STEADY_PORTS = ("/dev/serial/by-id/", "/dev/serial/by-path/")  # /dev/ttyUSB0 is another device after the next boot
SINGLE = (  # (sections that share one space of values, key): devices name their port or radio as one `link`
    (("serial", "ble"), "name"),
    (("upstream",), "name"),
    (("serial",), "path"),
    (("ble",), "adapter"),
)

Contradiction = tuple[KeyPath, str, str]  # where, message, hint


def contradictions(values: Mapping[str, Any], *, mode_known: bool = True) -> Iterator[Contradiction]:
    """What is wrong between keys. A file without a mode is in mode real; mode_known: False when it was unreadable."""
    site = values.get("site")
    mode = site.get("mode", "real") if isinstance(site, dict) else "real"
    if mode_known and mode not in ("demo", "test"):
        yield from _only_pretended(values)
    yield from _doubles(values)
    for index, ble in _entries(values, "ble"):
        yield from _radio(("ble", index), ble)
    for index, upstream in _entries(values, "upstream"):
        yield from _transport(("upstream", index), upstream)
    rules = values.get("rules")
    if isinstance(rules, dict) and "bundle" in rules and "bundle_key" not in rules:
        yield ("rules", "bundle"), "cannot be verified", "a bundle needs the signer's bundle_key beside it"


def _entries(values: Mapping[str, Any], name: str) -> list[tuple[int, dict[str, Any]]]:
    entries = values.get(name)
    if not isinstance(entries, list):
        return []
    return [(index, entry) for index, entry in enumerate(entries) if isinstance(entry, dict)]


def _only_pretended(values: Mapping[str, Any]) -> Iterator[Contradiction]:
    """What a box on which people rely must not have."""
    if "clock" in values:
        yield ("clock",), "scaled time is refused in mode real", 'remove the section, or set mode = "demo" or "test"'
    for index, serial in _entries(values, "serial"):
        path = serial.get("path")
        if isinstance(path, str) and not path.startswith(STEADY_PORTS):
            hint = "take the name that `ls -l /dev/serial/by-id /dev/serial/by-path` shows for it"
            yield ("serial", index, "path"), f"{path!r} may be another device after the next boot", hint
    for index, ble in _entries(values, "ble"):
        if ble.get("backend") == "virtual":
            yield ("ble", index, "backend"), "a virtual radio is refused in mode real", 'use backend = "bluez"'
    page = values.get("page")
    host = page.get("host") if isinstance(page, dict) else None
    if isinstance(host, str) and not is_loopback(host):
        hint = "use 127.0.0.1 and reach it by `ssh -L 8080:127.0.0.1:8080`, until the page has a login"
        yield ("page", "host"), f"{host!r} would show residents' values to the whole network", hint


def _doubles(values: Mapping[str, Any]) -> Iterator[Contradiction]:
    """Names and ports that would stand for two things."""
    for sections, key in SINGLE:
        seen: dict[str, str] = {}
        for section in sections:
            for index, entry in _entries(values, section):
                value = entry.get(key)
                if isinstance(value, str) and value in seen:
                    yield (section, index, key), f"{value!r} is already {seen[value]}", f"each {key} stands only once"
                elif isinstance(value, str):
                    seen[value] = key_text((section, index))


def _radio(path: KeyPath, ble: Mapping[str, Any]) -> Iterator[Contradiction]:
    backend = ble.get("backend", "bluez")
    needed, foreign = ("adapter", "hci") if backend == "bluez" else ("hci", "adapter")
    if backend not in ("bluez", "virtual"):  # the schema says so already
        return
    if needed not in ble:
        example = {"adapter": "hci0", "hci": "tcp-client:127.0.0.1:5555"}[needed]
        yield (*path, needed), "is missing", f"backend {backend!r} needs it, e.g. {needed} = {example!r}"
    if foreign in ble:
        yield (*path, foreign), f"has no meaning with backend {backend!r}", "remove it, or change the backend"


def _transport(path: KeyPath, upstream: Mapping[str, Any]) -> Iterator[Contradiction]:
    host = upstream.get("host")
    plaintext = upstream.get("plaintext") is True
    if plaintext and isinstance(host, str) and not is_loopback(host):
        hint = "remove plaintext and give ca_file; plaintext is for a broker on this very box"
        yield (*path, "plaintext"), f"would send health data to {host} unencrypted", hint
    given = [key for key in ("ca_file", "cert_file", "key_file") if key in upstream]
    if plaintext and given:
        yield (*path, given[0]), "has no meaning with plaintext = true", "remove one of the two"
        return
    if not plaintext and "ca_file" not in upstream:
        hint = "add the PEM of the authority that signed the broker's certificate"
        if isinstance(host, str) and is_loopback(host):
            hint = "add plaintext = true for a broker on this very box, or the PEM of its authority"
        yield (*path, "ca_file"), "is missing: without it the broker cannot be told from a stranger", hint
    for one, other in (("cert_file", "key_file"), ("key_file", "cert_file")):
        if one in upstream and other not in upstream:
            yield (*path, one), f"stands alone, without {other}", f"give {other} as well"


def is_loopback(host: str) -> bool:
    """True for localhost and loopback addresses: what is said there does not leave the box."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
