"""Readings of shared devices that are nobody's yet: listed for a person who knows whose they are, never guessed.

A reading is all that one device measured at one moment. It stays on this list for three days (a weekend and the day
after) and then remains in the books as nobody's. Pure logic: no I/O and no clock.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gateway.core.model import Measurement, Stamp

KEPT_S = 72 * 3600.0
MAX_OPEN = 200  # readings on the list; the oldest leaves it first, and remains in the books
RESTORED = 2000  # newest spot readings that are looked through after a restart

Utc = Callable[[Stamp], int | None]


@dataclass(frozen=True, slots=True)
class OpenValue:
    """One value; status as in `gateway.core.model.Status`: of "over" and "under" the value is the limit."""

    quantity: str
    value: float
    unit: str
    status: str


@dataclass(frozen=True, slots=True)
class OpenReading:
    """What may be assigned. utc_ms, age_s: None while no clock can time it."""

    id: str
    device: str
    values: tuple[OpenValue, ...]
    utc_ms: int | None
    age_s: float | None


def reading_id(measurement: Measurement) -> str:
    """Device and moment, fit for an address: what is measured together has the same."""
    return f"{measurement.device}.{measurement.at.boot_id}.{measurement.at.mono_ns}"


class Unassigned:
    """The list. utc: UTC in ns of a stamp of any boot, None where none is known."""

    def __init__(self, utc: Utc) -> None:
        self._utc = utc
        self._open: OrderedDict[str, dict[str, Measurement]] = OrderedDict()

    def restore(self, stored: Iterable[Measurement], unassigned: str) -> None:
        """Take up what the books say, in order of their commit: a later row with a bed takes a reading off the list."""
        for measurement in stored:
            if measurement.assigned == unassigned:
                self.keep(measurement)
            elif measurement.assigned:
                self.settled(measurement)

    def keep(self, measurement: Measurement) -> None:
        """Nobody's so far."""
        self._open.setdefault(reading_id(measurement), {})[measurement.quantity] = measurement
        if len(self._open) > MAX_OPEN:
            self._open.popitem(last=False)

    def settled(self, measurement: Measurement) -> None:
        """A card said after all whose this value is."""
        values = self._open.get(reading_id(measurement), {})
        values.pop(measurement.quantity, None)
        if not values:
            self._open.pop(reading_id(measurement), None)

    def take(self, reading: str, now: Stamp) -> tuple[Measurement, ...]:
        """Off the list, to be given to somebody; empty when it is not on it."""
        self._expire(now)
        return tuple(self._open.pop(reading, {}).values())

    def listed(self, now: Stamp) -> tuple[OpenReading, ...]:
        """Newest first."""
        self._expire(now)
        found = [self._told(reading, values, now) for reading, values in self._open.items()]
        return tuple(reversed(found))

    def _told(self, reading: str, values: dict[str, Measurement], now: Stamp) -> OpenReading:
        first = next(iter(values.values()))
        utc_ns = self._utc(first.at)
        told = tuple(OpenValue(one.quantity, one.value, one.unit, one.status.value) for one in values.values())
        return OpenReading(
            reading, first.device, told, None if utc_ns is None else utc_ns // 1_000_000, self._age_s(first.at, now)
        )

    def _expire(self, now: Stamp) -> None:
        ages = {name: self._age_s(next(iter(values.values())).at, now) for name, values in self._open.items()}
        for name, age_s in ages.items():
            if age_s is not None and age_s > KEPT_S:
                del self._open[name]

    def _age_s(self, at: Stamp, now: Stamp) -> float | None:
        if at.boot_id == now.boot_id:
            return now.since_s(at)
        then_ns, now_ns = self._utc(at), self._utc(now)
        return None if then_ns is None or now_ns is None else (now_ns - then_ns) / 1e9
