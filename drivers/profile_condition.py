"""The only conditions a profile may state: `flags & 2`, a field read before and a mask. Parsed, never evaluated."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_FORM = re.compile(r"^\s*([a-z][a-z0-9_]*)\s*&\s*(0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10})\s*$")


@dataclass(frozen=True, slots=True)
class Condition:
    """True when any bit of `mask` is set in the raw number of `field`; false when that field is absent."""

    field: str
    mask: int

    def holds(self, raw: Mapping[str, int]) -> bool:
        return bool(raw.get(self.field, 0) & self.mask)


def parse(text: str) -> Condition:
    """ValueError with the form expected."""
    if found := _FORM.match(text):
        return Condition(found[1], int(found[2], 0))
    raise ValueError(f"{text!r} is no condition: write the name of an earlier field, & and a mask, as in 'flags & 2'")
