"""Durations and times of day as people write them: "90 s", "15 min", "54 of 60 s", "22:00-06:00 local".

A schedule is read off the site's wall clock, so a night is a night also when the clocks change; durations are
monotonic and know nothing of it.
"""

import re
from dataclasses import dataclass
from datetime import datetime

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d)\s*")
_SHARE = re.compile(r"\s*(\d+)\s+of\s+(\d+)\s*s\s*")
_WINDOW = re.compile(r"\s*(\d\d):(\d\d)\s*-\s*(\d\d):(\d\d)(?:\s+local)?\s*")
MAX_DURATION_S = 30 * 86_400.0
MAX_SHARE_S = 600  # one bit a second is kept


def duration_s(text: str) -> float:
    """Seconds of "60s", "9 s", "15 min", "5m", "12h" or "3 d". ValueError for anything else or more than 30 days."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a duration; write for example 60s, 15m or 12h")
    seconds = float(match.group(1)) * _UNITS_S[match.group(2)]
    if seconds > MAX_DURATION_S:
        raise ValueError(f"{text!r} is longer than 30 days")
    return seconds


@dataclass(frozen=True, slots=True)
class Hold:
    """For how long a condition must be true: `need_s` of the last `of_s` seconds; unbroken when both are equal."""

    need_s: float = 0.0
    of_s: float = 0.0

    @property
    def share(self) -> bool:
        """True where seconds are counted instead of an unbroken run."""
        return self.need_s < self.of_s

    @classmethod
    def parse(cls, text: str) -> "Hold":
        """From "60s" or "54 of 60 s". ValueError."""
        match = _SHARE.fullmatch(text)
        if match is None:
            seconds = duration_s(text)
            return cls(seconds, seconds)
        need_s, of_s = int(match.group(1)), int(match.group(2))
        if not 0 < need_s <= of_s <= MAX_SHARE_S:
            raise ValueError(f"{text!r}: the first number must be 1 to the second, the second at most {MAX_SHARE_S}")
        return cls(need_s, of_s)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Spans of the site's day; begin is inside, end is not; a span whose end is not after its begin crosses midnight.

    spans: (begin, end) in minutes after local midnight.
    """

    spans: tuple[tuple[int, int], ...]

    def contains(self, local: datetime) -> bool:
        """Whether the wall clock of `local` lies inside a span."""
        minute = local.hour * 60 + local.minute
        return any(
            begin <= minute < end if begin < end else minute >= begin or minute < end for begin, end in self.spans
        )

    @classmethod
    def parse(cls, text: str) -> "Schedule":
        """From "22:00-06:00 local" or several spans with commas between. ValueError."""
        spans = []
        for part in text.split(","):
            match = _WINDOW.fullmatch(part)
            if match is None:
                raise ValueError(f"{part.strip()!r} is not a span of the day; write for example 22:00-06:00 local")
            hour, minute, end_hour, end_minute = (int(group) for group in match.groups())
            begin, end = hour * 60 + minute, end_hour * 60 + end_minute
            if minute > 59 or end_minute > 59 or begin > 1440 or end > 1440:
                raise ValueError(f"{part.strip()!r} is not a time of day")
            if begin == end:
                raise ValueError(f"{part.strip()!r} is empty; leave the schedule out for the whole day")
            spans.append((begin, end))
        return cls(tuple(spans))
