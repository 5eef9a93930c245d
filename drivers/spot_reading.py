"""A reading is told whole or not at all: one implausible value among its own makes the others doubtful too."""

from collections.abc import Mapping

from drivers.base import Device, Sink
from gateway.core.model import Measurement, Stamp, Status
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


def tell(
    sink: Sink, device: Device, at: Stamp, raw: bytes, values: Mapping[str, float], status: Status = Status.VALID
) -> bool:
    """Tell each value by its quantity, in the quantity's unit; or reject the reading with its bytes. True when told."""
    if fault := fault_of(values):
        sink.rejected(device.id, fault, raw)
        return False
    for name, value in values.items():
        unit = QUANTITIES[name].unit
        sink.measurement(Measurement(device.bed, device.id, name, float(value), unit, at, status=status))
    return True
