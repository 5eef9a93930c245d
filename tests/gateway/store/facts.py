"""Facts for the tests of the store, as small as they can be."""

import numpy as np

from gateway.core.model import Alarm, Condition, Event, Gap, Kind, Measurement, Minute, Priority, Stamp

BED = "b-7Q4MZ2K9"
AT = Stamp("00000001", 10**12)


def heart_rate(value: float, at: Stamp = AT, bed: str | None = BED) -> Measurement:
    return Measurement(bed, "band-1", "heart_rate", value, "/min", at)


def minute(at: Stamp = AT, quantity: str = "heart_rate", bed: str = BED) -> Minute:
    column = np.full(60, np.nan, np.float32)
    column[:30] = 60 + np.sin(np.arange(30)) / 3
    return Minute(bed, quantity, at, 30, 59.7, 60.1, 60.3, 0.9, column)


def alarm(name: str = "a-1", rev: int = 1, *, closed: Stamp | None = None, bed: str | None = BED) -> Alarm:
    return Alarm(
        name, rev, "sos", 1, Kind.OTHER, Priority.HIGH, Condition.ACTIVE, AT, AT, bed=bed, latch=True, closed=closed
    )


def gap(lost: int = 1, what: str = "bed.wave") -> Gap:
    return Gap(what, "link_lost", AT, lost, BED, "belt-1")


def event(kind: str, at: Stamp = AT) -> Event:
    return Event(kind, at, BED, "belt-1", {"reason": "test"})
