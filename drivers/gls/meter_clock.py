"""When a stored record was measured: the meter's wall clock, as far off as it was found to be."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from drivers.gls.frame import Glucose
from drivers.local_time import UNSET_S, local_time, time_is_known
from gateway.core.clock import Clock
from gateway.core.model import Stamp

AHEAD_S = 300.0  # a record this far in the future is one of a wrong clock


@dataclass(frozen=True, slots=True)
class Placed:
    """When a record was measured. source: "device", or "gateway" where only its receipt is known."""

    at: Stamp
    source: str


class MeterClock:
    """One visit's view of the meter's clock. zone: the one the meter is kept in; None is the box's own.

    offset_s: seconds it was ahead when it was read in this visit; None: not known.
    """

    def __init__(self, clock: Clock, zone: ZoneInfo | None) -> None:
        self._clock = clock
        self._zone = zone
        self.offset_s: float | None = None

    def local(self, at: Stamp) -> datetime:
        """What the meter's clock should show at a moment of this boot."""
        return local_time(self._clock, at, self._zone)

    @property
    def known(self) -> bool:
        """Whether our own time is good enough to judge another's."""
        return time_is_known(self._clock)

    def place(self, record: Glucose, receipt: Stamp) -> Placed:
        """When the record was measured, by the meter's clock as far off as it now is."""
        user_time, offset_s = record.user_time, self.offset_s or 0.0
        if user_time is None or "time_fault" in record.status_names or not self.known or abs(offset_s) > UNSET_S:
            return Placed(receipt, "gateway")
        age_s = (self.local(receipt) - user_time).total_seconds() + offset_s
        measured = receipt.plus_s(-max(0.0, age_s))
        if age_s < -AHEAD_S or measured.mono_ns < 0:  # of the future, or before this boot, where no stamp reaches
            return Placed(receipt, "gateway")
        return Placed(measured, "device")
