"""Every sentence a person reads, in Chinese, English and French, with the numbers and times of each language.

Other rooms speak in keys ("rule.sos", "event.bed_exited"); only here do they become words. Texts are plain text: what
is put into them is escaped where the page is rendered, not here.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import resources

LANGUAGES = ("zh", "en", "fr")
MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400


@dataclass(frozen=True)
class Texts:
    """One language. `texts("page.alarms.open", n=2)`; KeyError for an unknown key or a missing placeholder."""

    language: str
    catalogue: Mapping[str, str]

    def __call__(self, key: str, **values: object) -> str:
        return self.catalogue[key].format(**values) if values else self.catalogue[key]

    def named(self, space: str, name: str) -> str:
        """The word for a name that may be a stranger (a rule of a signed bundle); the name itself for those."""
        return self.catalogue.get(f"{space}.{name}", name)

    def number(self, value: float, digits: int = 0) -> str:
        """97.24 as 97.2 or 97,2."""
        return f"{value:.{digits}f}".replace(".", self("format.decimal"))

    def percent(self, fraction: float) -> str:
        """0.86 as 86% or 86 %."""
        return self("format.percent", number=self.number(fraction * 100))

    def quantity(self, value: float, unit: str) -> str:
        """A value with the unit people use for the UCUM code."""
        digits = 1 if unit in ("Cel", "kg", "mmol/L") else 0
        return f"{self.number(value, digits)} {self.named('unit', unit)}".rstrip()

    def time(self, moment: datetime) -> str:
        """Hours and minutes; give a moment in the site's zone."""
        return self("format.time", hour=moment.hour, minute=moment.minute)

    def date(self, moment: datetime) -> str:
        return self("format.date", year=moment.year, month=moment.month, day=moment.day)

    def age(self, seconds: float) -> str:
        """How long ago, in the largest unit that is at least one."""
        return self._in_units("age", seconds)

    def span(self, seconds: float) -> str:
        """How long."""
        return self._in_units("span", seconds)

    def _in_units(self, space: str, seconds: float) -> str:
        if seconds < MINUTE_S:
            return self(f"{space}.seconds", n=max(0, int(seconds)))
        if seconds < HOUR_S:
            return self(f"{space}.minutes", n=int(seconds / MINUTE_S))
        if seconds < 2 * DAY_S:
            return self(f"{space}.hours", n=int(seconds / HOUR_S))
        return self(f"{space}.days", n=int(seconds / DAY_S))


@cache
def load(language: str) -> Texts:
    """ValueError for a language that the house does not speak."""
    if language not in LANGUAGES:
        raise ValueError(f"no texts in {language!r}; there are {', '.join(LANGUAGES)}")
    source = resources.files("gateway").joinpath(f"locales/{language}.json")
    return Texts(language, json.loads(source.read_text(encoding="utf-8")))


def preferred(accept_language: str, default: str) -> str:
    """The best of our languages for an Accept-Language header (RFC 9110 section 12.5.4)."""
    ranked: list[tuple[float, int, str]] = []
    for place, part in enumerate(accept_language.split(",")[:20]):
        tag, _, weight = part.strip().partition(";q=")
        language = tag.split("-")[0].strip().lower()
        if language in LANGUAGES:
            ranked.append((-_weight(weight), place, language))
    return min(ranked)[2] if ranked else default


def _weight(text: str) -> float:
    try:
        return float(text) if text else 1.0
    except ValueError:
        return 0.0
