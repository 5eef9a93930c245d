"""What a stream of keyed frames tells: numbers as they come, states when they change and as signs of life."""

from collections.abc import Mapping
from typing import Any

from drivers.base import Device, Sink
from drivers.profile_message import Decoded
from drivers.profile_parts import MessageField
from drivers.units import normalise
from gateway.core.model import Measurement, Stamp
from gateway.core.quantities import QUANTITIES


class StateKeeper:
    """Measurements of one device. A field with repeat_s is a state: told when it changes, and again while the device is
    heard, so that a rule can tell "still in bed" from "gone silent"."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._states: dict[str, tuple[float, Stamp, float]] = {}  # quantity: value, when told, repeat_s

    def forget(self) -> None:
        """The link was lost: what the states are now is unknown."""
        self._states.clear()

    def take(self, fields: tuple[MessageField, ...], decoded: Decoded, raw: bytes, at: Stamp, sink: Sink) -> None:
        """One message received at `at`."""
        for entry in fields:
            if entry.quantity is None:
                continue
            number = _number(entry, decoded.values)
            if number is None:
                if entry.repeat_s is not None and entry.name in decoded.values:
                    self._states.pop(entry.quantity, None)  # the device says that it does not know any more
                continue
            value = normalise(entry.quantity, number, decoded.units.get(entry.name, entry.unit))
            if not QUANTITIES[entry.quantity].plausible(value):
                sink.rejected(self._device.id, f"implausible_{entry.quantity}", raw)
            elif entry.repeat_s is None:
                self._tell(entry.quantity, value, at, sink)
            else:
                self._change(entry.quantity, value, entry.repeat_s, at, sink)

    def alive(self, at: Stamp, sink: Sink) -> None:
        """The device was heard: states that are due are told again."""
        for quantity, (value, told, repeat_s) in list(self._states.items()):
            if at.since_s(told) >= repeat_s:
                self._states[quantity] = (value, at, repeat_s)
                self._tell(quantity, value, at, sink)

    def _change(self, quantity: str, value: float, repeat_s: float, at: Stamp, sink: Sink) -> None:
        known = self._states.get(quantity)
        if known is None or known[0] != value:
            self._states[quantity] = (value, at, repeat_s)
            self._tell(quantity, value, at, sink)

    def _tell(self, quantity: str, value: float, at: Stamp, sink: Sink) -> None:
        unit = QUANTITIES[quantity].unit
        sink.measurement(Measurement(self._device.bed, self._device.id, quantity, value, unit, at))


def _number(entry: MessageField, values: Mapping[str, Any]) -> float | None:
    """The field as a number: a mapped name through the profile's `values`."""
    value = values.get(entry.name)
    if entry.values:
        return entry.values.get(str(value))
    return None if value is None else float(value)
