"""Is this beacon in this zone? The median of its strength over ten seconds, with hysteresis; never metres.

Strength falls by 10 to 20 dB behind a body, so one weak advert says nothing, and near and far have different bounds.
"""

from collections import deque
from dataclasses import dataclass
from statistics import median

from gateway.core.model import Stamp

WINDOW_S = 10.0  # of the median
FEWEST = 3  # adverts behind a median, older ones if need be: a single one proves nothing
MOST = 256  # adverts kept; a beacon sends 1 to 10 a second


@dataclass(frozen=True, slots=True)
class Bounds:
    """Entered after `hold_s` above enter_dbm; left below leave_dbm, or unheard for silence_s."""

    enter_dbm: float = -75.0
    leave_dbm: float = -85.0
    hold_s: float = 10.0
    silence_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Change:
    """Came or went. reason: "near", "far" or "silent"."""

    inside: bool
    at: Stamp
    reason: str
    rssi_dbm: float


class Presence:
    """One beacon in one zone. Outside until proved inside."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._heard: deque[tuple[Stamp, int]] = deque(maxlen=MOST)  # full: the oldest goes
        self._near_since: Stamp | None = None
        self.inside = False

    @property
    def rssi_dbm(self) -> float | None:
        """The median, None before FEWEST adverts were heard."""
        return median(rssi for _, rssi in self._heard) if len(self._heard) >= FEWEST else None

    def hear(self, rssi_dbm: int, at: Stamp) -> Change | None:
        """One advert."""
        if self._heard and at.since_s(self._heard[-1][0]) > self._bounds.silence_s:
            self._heard.clear()
            self._near_since = None
        self._heard.append((at, rssi_dbm))
        while len(self._heard) > FEWEST and at.since_s(self._heard[0][0]) > WINDOW_S:
            self._heard.popleft()
        strength = self.rssi_dbm
        return None if strength is None else self._judge(strength, at)

    def tick(self, now: Stamp) -> Change | None:
        """Time passes; call it every few seconds."""
        if not self.inside or now.since_s(self._heard[-1][0]) <= self._bounds.silence_s:
            return None
        strength = self.rssi_dbm
        self._heard.clear()
        return self._left(now, "silent", self._bounds.leave_dbm if strength is None else strength)

    def _judge(self, strength: float, at: Stamp) -> Change | None:
        if self.inside:
            return self._left(at, "far", strength) if strength < self._bounds.leave_dbm else None
        if strength <= self._bounds.enter_dbm:
            self._near_since = None
            return None
        self._near_since = self._near_since or at
        if at.since_s(self._near_since) < self._bounds.hold_s:
            return None
        self.inside = True
        return Change(True, at, "near", strength)

    def _left(self, at: Stamp, reason: str, strength: float) -> Change:
        self.inside, self._near_since = False, None
        return Change(False, at, reason, strength)


class Zones:
    """One beacon in all zones that hear it: where it is now, and where it was last."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._zones: dict[str, Presence] = {}  # one for each receiver of the house
        self.last = ""

    def zone(self, name: str) -> Presence:
        """The presence in one zone."""
        return self._zones.setdefault(name, Presence(self._bounds))

    def hear(self, name: str, rssi_dbm: int, at: Stamp) -> Change | None:
        """One advert, heard in this zone."""
        return self.zone(name).hear(rssi_dbm, at)

    def tick(self, now: Stamp) -> list[tuple[str, Change]]:
        """The zones that have fallen silent."""
        changes = ((name, presence.tick(now)) for name, presence in self._zones.items())
        return [(name, change) for name, change in changes if change is not None]

    def moved(self, name: str, change: Change) -> str:
        """Note a change; returns the last zone known before it, "" when there was none."""
        before = self.last
        if change.inside:
            self.last = name
        return before
