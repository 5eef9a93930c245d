"""What the engine is told from outside: the present moment, and which beds and devices there are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gateway.core.model import Stamp


@dataclass(frozen=True, slots=True)
class Now:
    """The moment of a call.

    local: aware, in the site's zone. real_ns: CLOCK_BOOTTIME, never scaled. receipt_real_ns: real time at which the
    last byte of the fact handed in was received, 0 where it is not known. local_certain: False until the box has seen
    a trustworthy time; schedules are then taken as "inside", since watching too much is the safe side.
    """

    stamp: Stamp
    local: datetime
    real_ns: int
    receipt_real_ns: int = 0
    local_certain: bool = True

    @property
    def utc_s(self) -> float:
        """UTC in seconds since 1970."""
        return self.local.timestamp()


@dataclass(frozen=True, slots=True)
class BedScope:
    """A bed in service.

    quantities: what its devices are expected to deliver; a rule may be blind for all others. ranges: by quantity from
    where to where each of the bed's devices reports it; a quantity of which one device sees everything is not in it.
    """

    id: str
    profile: str = "standard"
    resident: str | None = None
    quantities: frozenset[str] = frozenset()
    ranges: Mapping[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeviceScope:
    """A device in service.

    supervised: False for what is silent by nature, such as a button that advertises only when it is pressed: it cannot
    be missed, and its silence raises nothing.
    """

    id: str
    bed: str | None = None
    family: str = ""
    supervised: bool = True
