"""Why there is no number: the one list of reasons, and which of them are news.

Every estimator that withholds a value names its reason from here; the chain books it, and what has changed reaches the
technician's page at most once in QUIET_S for each device, because a number that comes and goes is no news.
"""

from enum import StrEnum

from gateway.core.model import Stamp

QUIET_S = 60.0


class Withheld(StrEnum):
    """The worst is named where several apply: first what is wrong with the input, then with the signal."""

    NOTHING = ""  # there is a value
    # the input
    FILLING = "filling"  # the window is not full yet
    GAP = "gap"  # too many samples are missing
    CONSTANT = "constant"  # the samples do not vary at all
    SATURATED = "saturated"  # the sensor is at the end of its range
    SLOW = "slow"  # the sampling rate is too low for this quantity
    WRONG_RATE = "wrong_rate"  # samples do not come at the declared rate
    SLIPPED = "slipped"  # load and waveform contradict each other: the sensor is not under the sleeper
    EMPTY = "empty"  # nobody is in the bed
    # the signal
    MOVING = "moving"
    TWO_SOURCES = "two_sources"  # a second person or an animal in the bed
    TREMOR = "tremor"
    PUMP = "pump"  # of an alternating-pressure mattress
    NO_RHYTHM = "no_rhythm"
    IRREGULAR = "irregular"  # no rate of a window can tell such a rhythm
    NO_AGREEMENT = "no_agreement"  # two estimators see different things
    DOUBTFUL = "doubtful"  # a value of too low a quality
    DEGRADED = "degraded"  # not computed while the kernels run as plain Python


class Withholding:
    """What one device's chain withholds now, by quantity, and what of it was not told yet."""

    def __init__(self) -> None:
        self._now: dict[str, str] = {}
        self._told: dict[str, str] = {}
        self._told_at: Stamp | None = None

    def note(self, quantity: str, why: str) -> None:
        """Once for each second: why this quantity has no value, "" when it has one. "filling" lasts for seconds and is
        told only of what never had another reason."""
        if why != Withheld.FILLING or quantity not in self._now:
            self._now[quantity] = why

    @property
    def now(self) -> dict[str, str]:
        """By quantity; "" for one that has a value."""
        return dict(self._now)

    def news(self, at: Stamp) -> dict[str, str]:
        """What has changed since it was last told; empty within QUIET_S of that, and when nothing has."""
        if self._now == self._told:
            return {}
        last = self._told_at
        if last is not None and last.boot_id == at.boot_id and 0.0 <= at.since_s(last) < QUIET_S:
            return {}
        news = {quantity: why for quantity, why in self._now.items() if self._told.get(quantity) != why}
        self._told, self._told_at = dict(self._now), at
        return news
