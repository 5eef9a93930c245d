"""A house with a kiosk whose readings are nobody's, and a desk in memory that gives them away as the real one does."""

from dataclasses import dataclass, field, replace

from gateway.core.model import Measurement, Status
from gateway.core.quantities import quantity
from gateway.readings import Readings
from tests.gateway.house import DEVICES, House

ANNE = "b-00000001"


@dataclass(frozen=True)
class Occupied:
    id: str
    resident: str | None = None


BEDS = (Occupied(ANNE, "p-00000001"), Occupied("b-00000002"))


@dataclass
class Books:
    """Put before the house's commands. given: (reading, bed, resident, by, via) of each one that was given away."""

    house: House
    readings: Readings = field(init=False)
    given: list[tuple[str, str, str, str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        clock = self.house.clock
        self.readings = Readings(["kiosk"], DEVICES, BEDS, utc=clock.anchor().utc_ns_of)
        self.house.model.watch_unassigned(lambda: self.readings.unassigned(clock.now()))
        self.house.commands = replace(self.house.commands, readings=self)

    async def assign(self, reading: str, bed: str, resident: str, by: str, via: str) -> str:
        owner = self.readings.bed_of(bed, resident)
        if owner is None:
            return "bed_unknown"
        if not self.readings.assign(reading, owner, by, self.house.clock.now()):
            return "reading_unknown"
        self.given.append((reading, bed, resident, by, via))
        return ""


def measured_at_the_kiosk(books: Books) -> str:
    """A pressure, and a glucose beyond what the meter can tell: one reading, its id."""
    for name, value, status in (("systolic", 128.0, Status.VALID), ("glucose", 33.3, Status.OVER)):
        now, unit = books.house.clock.now(), quantity(name).unit
        books.readings.claimed(Measurement(None, "kiosk", name, value, unit, now, status=status))
    return books.readings.unassigned(books.house.clock.now())[0].id
