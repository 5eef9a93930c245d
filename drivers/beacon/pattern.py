"""How a pendant calls: which bits of what it beacons say that its button was pressed. A setting, never a rule in code.

Makers let the installer choose: a changed major or minor, another instance, a frame that is sent only for a while after
the press. One pattern is FIELD, FIELD=VALUE or FIELD&MASK=VALUE; several, separated by commas, are alternatives:

    minor&0x8000=0x8000     the highest bit of minor is set
    minor=911               minor becomes 911
    instance&0xff=1         the last byte of the Eddystone instance becomes 1
    frame=0x21              a frame of this type under 0xFEAA, whatever it holds
    feaa[3:1]&1=1           byte 3 of any service data 0xFEAA (OFFSET:LENGTH, big-endian)
    apple[22:1]=0xaa        a byte of the data behind Apple's number
    company[0x0639]         any data of this maker
    company[0x0639,4:1]=1   a byte of them
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from drivers.beacon import frame
from drivers.ble_link import Advert

_NUMBER = r"(?:0x[0-9a-fA-F]+|\d+)"
_PATTERN = re.compile(
    rf"(?P<field>major|minor|namespace|instance|frame|feaa|apple|company)"
    rf"(?:\[(?:(?P<company>{_NUMBER}),?)??(?:(?P<at>{_NUMBER}):(?P<length>{_NUMBER}))?\])?"
    rf"(?:(?:&(?P<mask>{_NUMBER}))?=(?P<value>{_NUMBER}))?"
)

WIDTHS = {"major": 0xFFFF, "minor": 0xFFFF, "namespace": (1 << 80) - 1, "instance": (1 << 48) - 1}

Fields = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Pattern:
    """One way to call. mask and value: None where the mere presence calls. at, length: bytes of raw data."""

    field: str
    mask: int | None = None
    value: int | None = None
    company: int | None = None
    at: int = 0
    length: int = 0

    def calls(self, fields: Fields, advert: Advert) -> bool:
        """True when this advert carries the call."""
        number = self._raw(advert) if self.field in ("feaa", "apple", "company") else fields.get(self.field)
        if number is None or self.value is None:
            return number is not None
        return (number if self.mask is None else number & self.mask) == self.value

    def free(self, field: str) -> int:
        """The bits of an identity's field that this pattern changes."""
        if self.field != field:
            return 0
        return self.mask if self.mask is not None else WIDTHS[field]

    def _raw(self, advert: Advert) -> int | None:
        if self.field == "feaa":
            data = advert.service_data.get(frame.EDDYSTONE)
        else:
            data = advert.manufacturer_data.get(frame.APPLE if self.company is None else self.company)
        if data is None or len(data) < self.at + self.length:
            return None
        return int.from_bytes(data[self.at : self.at + self.length], "big")


def parse(text: str) -> tuple[Pattern, ...]:
    """The alternatives of a setting. ValueError with what cannot be meant."""
    parts = re.split(r",(?![^\[]*\])", text)
    return tuple(_one(part.strip()) for part in parts if part.strip())


def _one(text: str) -> Pattern:
    found = _PATTERN.fullmatch(text)
    if found is None:
        raise ValueError(f"alarm pattern {text!r}: write it as minor&0x8000=0x8000, minor=911, frame=0x21, feaa[3:1]=1")
    numbers = {name: int(part, 0) for name, part in found.groupdict().items() if part is not None and name != "field"}
    field, value, mask = found["field"], numbers.get("value"), numbers.get("mask")
    raw = field in ("feaa", "apple", "company")
    if raw != ("[" in text):
        raise ValueError(f"alarm pattern {text!r}: feaa, apple and company take [..], the others do not")
    if (field == "company") != ("company" in numbers):
        raise ValueError(f"alarm pattern {text!r}: company takes the maker's number, as company[0x0639,4:1]=1")
    if value is None and (mask is not None or field != "company"):
        raise ValueError(f"alarm pattern {text!r}: say which value calls")
    if mask is not None and value is not None and value & ~mask:
        raise ValueError(f"alarm pattern {text!r}: {value:#x} has bits outside the mask {mask:#x}")
    if value is not None and raw and not 1 <= numbers.get("length", 0) <= 8:
        raise ValueError(f"alarm pattern {text!r}: say which bytes, 1 to 8 of them, as feaa[3:1]=1")
    return Pattern(field, mask, value, numbers.get("company"), numbers.get("at", 0), numbers.get("length", 0))
