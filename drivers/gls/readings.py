"""From a meter's records to facts: each reading once, with its context; HI and LO as what they are; no failure as a
number."""

from collections import OrderedDict
from dataclasses import dataclass

from drivers.base import Device, Sink
from drivers.ble_values import Special
from drivers.gls import frame
from drivers.gls.meter_clock import MeterClock
from drivers.gls.racp import Mark
from drivers.hrs.frame import Rejected
from drivers.units import normalise
from gateway.core.model import Detail, Event, Measurement, Stamp, Status
from gateway.core.quantities import QUANTITIES

TOLD_LIMIT = 4096  # records remembered as told; meters hold 500 to 2000
WAITING_LIMIT = 16  # records waiting for their context, which comes directly behind
UNJOINED_LIMIT = 64  # records told without the context that was promised

_FAILED = (
    "sensor_malfunction",
    "sample_insufficient",
    "strip_insertion_error",
    "strip_type_incorrect",
    "temperature_too_high",
    "temperature_too_low",
    "read_interrupted",
    "general_fault",
)
_RESERVED_STATUS = 0xF000
_GLUCOSE = QUANTITIES["glucose"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What "HI" and "LO" on the meter's display mean, in mmol/L."""

    low: float = 0.6
    high: float = 33.3


@dataclass(slots=True)
class _Waiting:
    """A reading already measured whose event waits for its context."""

    at: Stamp
    detail: dict[str, str | int | float | bool]


@dataclass(frozen=True, slots=True)
class _Judged:
    """value in mmol/L, or why there is none."""

    value: float = 0.0
    status: Status = Status.VALID
    fault: str = ""


def mark_of(record: frame.Glucose, data: bytes) -> Mark:
    """Number, base time and value: what a meter never changes of a record (flags change when a meal is added later)."""
    at = 10 + (2 if record.offset_min is not None else 0)
    value = data[at : at + 2] if record.value is not None else b""
    return Mark(record.sequence, data[1:10] + value)


def judge(record: frame.Glucose, limits: Limits) -> _Judged:
    """A number that a person's record may hold, HI or LO with the meter's limit, or why it is neither."""
    names = record.status_names
    if (record.status or 0) & _RESERVED_STATUS:
        return _Judged(fault="reserved_status")
    if failed := next((name for name in names if name in _FAILED), ""):
        return _Judged(fault=f"status_{failed}")
    over = "result_too_high" in names or record.value is Special.PINF
    under = "result_too_low" in names or record.value is Special.NINF
    if over and under:
        return _Judged(fault="both_too_high_and_too_low")
    if over or under:
        return _Judged(limits.high, Status.OVER) if over else _Judged(limits.low, Status.UNDER)
    if record.value is None or isinstance(record.value, Special):
        return _Judged(fault="failed_measurement")
    value = normalise("glucose", record.value, record.unit)
    return _Judged(value) if _GLUCOSE.plausible(value) else _Judged(fault="implausible_glucose")


class Readings:
    """All that one meter has told, across visits. Nothing is told twice."""

    def __init__(self, device: Device, limits: Limits) -> None:
        self._device = device
        self._limits = limits
        self._told: OrderedDict[bytes, None] = OrderedDict()  # full: the oldest is forgotten
        self._waiting: dict[int, _Waiting] = {}  # full: the oldest is told without its context
        self._unjoined: OrderedDict[int, Stamp] = OrderedDict()  # full: the oldest context is given up
        self._repeated: int | None = None

    def measurement(
        self, data: bytes, receipt: Stamp, clock: MeterClock, known: Mark | None, sink: Sink
    ) -> Mark | None:
        """One 2A18 record; None when its bytes are none. known: the newest of the last visit, which is sent again."""
        record = frame.decode_measurement(data)
        if isinstance(record, Rejected):
            self._reject(record.reason, data, receipt, sink)
            return None
        mark = mark_of(record, data)
        if mark.identity in self._told or (known is not None and mark == known):
            self._repeated = record.sequence
            if mark != known:
                sink.rejected(self._device.id, "repeated_record", data)
            return mark
        self._remember(mark)
        placed = clock.place(record, receipt)
        detail = self._tell(record, data, placed.at, sink)
        if detail is None:
            return mark
        shown = record.user_time
        detail |= {"time_source": placed.source, **({"device_time": shown.isoformat()} if shown else {})}
        if not record.context_follows:
            self._event("glucose_reading", placed.at, detail, sink)
            return mark
        if len(self._waiting) >= WAITING_LIMIT:
            self._release(sink)
        self._waiting[record.sequence] = _Waiting(placed.at, detail)
        return mark

    def context(self, data: bytes, receipt: Stamp, sink: Sink) -> None:
        """One 2A34 record: joined to the reading with its number, even when that came in an earlier visit."""
        context = frame.decode_context(data)
        if isinstance(context, Rejected):
            self._reject(context.reason, data, receipt, sink)
        elif waiting := self._waiting.pop(context.sequence, None):
            self._event("glucose_reading", waiting.at, waiting.detail | frame.told(context), sink)
        elif context.sequence != self._repeated:
            sink.rejected(self._device.id, "context_without_record", data)
        elif (at := self._unjoined.pop(context.sequence, None)) is not None:
            self._event("glucose_context", at, {"sequence": context.sequence, **frame.told(context)}, sink)

    def finish(self, sink: Sink) -> None:
        """No more records come in this visit: what still waits is told without its context."""
        while self._waiting:
            self._release(sink)
        self._repeated = None

    def _release(self, sink: Sink) -> None:
        sequence = next(iter(self._waiting))
        waiting = self._waiting.pop(sequence)
        self._event("glucose_reading", waiting.at, waiting.detail | {"context": "missing"}, sink)
        self._unjoined[sequence] = waiting.at
        if len(self._unjoined) > UNJOINED_LIMIT:
            self._unjoined.popitem(last=False)

    def _tell(
        self, record: frame.Glucose, data: bytes, at: Stamp, sink: Sink
    ) -> dict[str, str | int | float | bool] | None:
        """The measurement, at once; what is left for the event, or None when there is no reading of a person."""
        device = self._device
        if "battery_low" in record.status_names:
            self._event("battery_low", at, {"sequence": record.sequence}, sink)
        detail: dict[str, str | int | float | bool] = {"sequence": record.sequence}
        if record.is_control:
            self._event("control_solution", at, detail | {"raw": data.hex()}, sink)
            return None
        judged = judge(record, self._limits)
        if judged.fault:
            self._reject(judged.fault, data, at, sink)
            return None
        mark = mark_of(record, data)
        sink.measurement(
            Measurement(
                device.bed, device.id, "glucose", judged.value, _GLUCOSE.unit, at, status=judged.status,
                record=f"{mark.sequence} {mark.identity.hex()}",
            )
        )  # fmt: skip
        detail |= {"glucose": judged.value, "status": judged.status.value}
        if judged.status is Status.VALID and record.unit == "kg/L" and isinstance(record.value, float | int):
            detail |= {"original": round(record.value * 1e5, 2), "original_unit": "mg/dL"}
        for key, word in (("sample", record.sample_name), ("location", record.location_name)):
            if word:
                detail[key] = word
        return detail

    def _remember(self, mark: Mark) -> None:
        self._told[mark.identity] = None
        if len(self._told) > TOLD_LIMIT:
            self._told.popitem(last=False)

    def _reject(self, reason: str, data: bytes, at: Stamp, sink: Sink) -> None:
        sink.rejected(self._device.id, reason, data)
        self._event("readings_rejected", at, {"reason": reason, "count": 1, "raw": data.hex()}, sink)

    def _event(self, kind: str, at: Stamp, detail: Detail, sink: Sink) -> None:
        sink.event(Event(kind, at, self._device.bed, self._device.id, detail))
