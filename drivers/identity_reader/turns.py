"""When a card is shown, and not merely still there: pure logic.

A reader repeats while a card lies on it. That is one presentation, however long it lies: a card that was forgotten on
the reader must not claim the readings of those who come after.
"""

from typing import Literal

from drivers.identity_reader.frame import Shown
from gateway.core.clock import Clock
from gateway.core.model import Stamp

GONE_S = 3.0  # real; unheard for so long the card was taken away. Readers repeat 2 to 15 times a second
TWICE_S = 10.0  # real; within it a number without a check must come a second time, unchanged

Turn = Literal["new", "again", "once", "replaced"]


class Turns:
    """What has been shown at one reader."""

    def __init__(self, clock: Clock) -> None:
        self._speed = clock.speed
        self._lying: tuple[Shown, Stamp] | None = None
        self._first: tuple[Shown, Stamp] | None = None

    def take(self, shown: Shown, at: Stamp) -> Turn:
        """ "new": somebody shows it now; "again": it still lies there; "once": without a check and not yet twice;
        "replaced": as "once", and the number before was never confirmed."""
        if self._lying and self._lying[0] == shown and self._within(self._lying[1], at, GONE_S):
            self._lying = (shown, at)
            return "again"
        first, self._first = self._first, None
        if not shown.checked and not (first and first[0] == shown and self._within(first[1], at, TWICE_S)):
            self._first = (shown, at)
            return "replaced" if first else "once"
        self._lying = (shown, at)
        return "new"

    def _within(self, since: Stamp, at: Stamp, seconds: float) -> bool:
        return at.since_s(since) <= seconds * self._speed
