"""What the registry has to say of a reader: which kiosks it stands at, and whose each card is.

A card's number is never written down: a card is known by a key made of the number and the site's salt, slowly, so that
whoever holds a copy of the registry must try every number at a cost each.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from drivers.base import Device
from gateway.core.errors import ConfigError, Fault

WAYS = ("card", "qr", "badge")
SALT_LEAST = 16  # characters
KEY = re.compile(r"k-[0-9a-f]{16}")
RESIDENT = re.compile(r"p-[0-9A-HJKMNP-TV-Z]{8}")
STATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
KNOWN = ("identifies", "by", "salt", "prefix", "suffix")


@dataclass(frozen=True, slots=True)
class Settings:
    """identifies: shared devices beside the reader. by: as what it is told. cards: resident by card key.

    prefix, suffix: what the reader is set to put around each line.
    """

    identifies: tuple[str, ...]
    by: str
    salt: str
    cards: Mapping[str, str]
    prefix: bytes
    suffix: bytes


def card_key(number: str, salt: str) -> str:
    """By what a card is known here: 64 bits of scrypt (RFC 7914, N 1024, r 8, p 1), a few milliseconds each."""
    return "k-" + hashlib.scrypt(number.encode(), salt=salt.encode(), n=1024, r=8, p=1, dklen=8).hex()


def settings_of(device: Device, by: str) -> Settings:
    """by: as what the model's finds are told where the settings say nothing. ConfigError with every fault."""
    faults = tuple(_faults(device))
    if faults:
        raise ConfigError(device.id, faults)
    raw = device.settings
    return Settings(
        identifies=tuple(_stations(raw.get("identifies"))),
        by=str(raw.get("by", by)),
        salt=str(raw.get("salt", "")),
        cards={name: str(who) for name, who in raw.items() if KEY.fullmatch(name)},
        prefix=str(raw.get("prefix", "")).encode(),
        suffix=str(raw.get("suffix", "")).encode(),
    )


def _stations(value: object) -> list[str]:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else []


def _faults(device: Device) -> Iterator[Fault]:
    raw = device.settings
    stations = _stations(raw.get("identifies"))
    if not stations or not all(STATION.fullmatch(name) for name in stations):
        yield Fault(0, "identifies", "names no kiosk", 'identifies = "kiosk-1", or several as "kiosk-1, kiosk-2"')
    if device.id in stations:
        yield Fault(0, "identifies", "the reader is no kiosk itself", "name the kiosk that it stands at")
    if raw.get("by", WAYS[0]) not in WAYS:
        yield Fault(0, "by", f"{raw['by']!r} is none", f"one of {', '.join(WAYS)}")
    salt = raw.get("salt", "")
    if not isinstance(salt, str) or 0 < len(salt) < SALT_LEAST:
        yield Fault(0, "salt", "is too short", f"{SALT_LEAST} random characters, the same for all readers of the site")
    for name in ("prefix", "suffix"):
        text = raw.get(name, "")
        if not isinstance(text, str) or not (text.isascii() and text.isprintable()):
            yield Fault(0, name, "is no printable ASCII text", "what the reader is set to put around each line")
    cards = [name for name in raw if name not in KNOWN]
    if cards and not salt:
        yield Fault(0, "salt", "is missing", "cards are known by keys that are made with it")
    for name in cards:
        if not KEY.fullmatch(name):  # what was typed may be a card's number: it is not repeated
            yield Fault(0, "settings", "a key that is no setting and no card", "cards are k- and 16 digits 0-9 a-f")
        elif not RESIDENT.fullmatch(str(raw[name])):
            yield Fault(0, name, "belongs to nobody", "the resident's pseudonym, e.g. p-4T8W2K9M")
