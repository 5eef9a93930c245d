"""A reading is told whole or not at all: one implausible value among its own makes the others doubtful too."""

from collections.abc import Mapping

from drivers.base import Device, Sink
from gateway.core.model import Event, Measurement, Stamp, Status
from gateway.core.quantities import QUANTITIES


def fault_of(values: Mapping[str, float]) -> str:
    """Why these values cannot be one reading of a person; "" when they can."""
    for name, value in values.items():
        if not QUANTITIES[name].plausible(value):
            return f"implausible_{name}"
    if "systolic" in values and "diastolic" in values and values["diastolic"] >= values["systolic"]:
        return "implausible_diastolic"
    if "mean_arterial" in values and not values["diastolic"] <= values["mean_arterial"] <= values["systolic"]:
        return "implausible_mean_arterial"
    return ""


def refuse(sink: Sink, device: Device, at: Stamp, reason: str, raw: bytes) -> None:
    """A reading that a person waited for is no number: count it, and tell it with its bytes."""
    sink.rejected(device.id, reason, raw)
    detail: dict[str, str | int] = {"reason": reason, "count": 1, "raw": raw.hex()}
    sink.event(Event("readings_rejected", at, device.bed, device.id, detail))


def tell(
    sink: Sink,
    device: Device,
    at: Stamp,
    raw: bytes,
    values: Mapping[str, float],
    *,
    status: Status = Status.VALID,
    is_spot: bool = False,
    record: str = "",
    window_s: float = 0.0,
) -> bool:
    """Tell each value by its quantity, in the quantity's unit; or reject all of them with their bytes. True when told.

    is_spot: a single reading, whose refusal is an event too; in a stream the next second brings another.
    record: which stored record of the device it is, window_s: span of signal behind the values, as in Measurement.
    """
    if fault := fault_of(values):
        if is_spot:
            refuse(sink, device, at, fault, raw)
        else:
            sink.rejected(device.id, fault, raw)
        return False
    for name, value in values.items():
        unit = QUANTITIES[name].unit
        sink.measurement(
            Measurement(device.bed, device.id, name, float(value), unit, at, window_s, status=status, record=record)
        )
    return True
