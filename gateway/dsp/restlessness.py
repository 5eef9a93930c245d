"""How restless a sleeper is: minutes with movement, of sixty.

In: once a second movement (0 to 1), None when unknown or nobody is in bed. A minute counts from sixty seconds in bed;
it is restless with MOVED_S seconds of movement of at least MOVED, and is left out with less than MIN_KNOWN_S known
ones. Out: at the end of each minute, once MIN_MINUTES were judged, the restless share of the last hour in bed, in
minutes per hour. Window: up to 60 min. Quality: judged minutes of thirty. Gap policy: unknown seconds do not count; a
long gap or an exit ends the running minute, not the hour. Source: own definition, after actigraphy's restless minutes.
"""

from collections import deque

from gateway.dsp.estimate import Estimate

ORIGIN = "restlessness/1"
MOVED, MOVED_S = 0.3, 2
MIN_KNOWN_S = 45
MIN_MINUTES, FULL_MINUTES, HOUR_MINUTES = 10, 30, 60


class Restlessness:
    """Stepped once a second while somebody is in bed."""

    def __init__(self) -> None:
        self._minutes: deque[bool] = deque(maxlen=HOUR_MINUTES)
        self._second = self._known_s = self._moved_s = 0

    def step(self, amount: float | None) -> Estimate | None:
        """The index at the end of a minute, None in between."""
        self._second += 1
        if amount is not None:
            self._known_s += 1
            self._moved_s += amount >= MOVED
        if self._second < 60:
            return None
        judged = self._known_s >= MIN_KNOWN_S
        if judged:
            self._minutes.append(self._moved_s >= MOVED_S)
        self.pause()
        if not judged or len(self._minutes) < MIN_MINUTES:
            return None
        count = len(self._minutes)
        return Estimate(60.0 * sum(self._minutes) / count, min(1.0, count / FULL_MINUTES), 60.0 * count)

    def pause(self) -> None:
        """An exit or a long gap: the minute that had begun does not count."""
        self._second = self._known_s = self._moved_s = 0
