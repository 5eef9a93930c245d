"""A device that measures now and then (a kiosk): one reading for each turn of its counter, never a number twice."""

from collections.abc import Mapping

from drivers.base import Device, Sink
from drivers.profile_schema import Poll, Reading
from gateway.core.errors import ProtocolError
from gateway.core.model import Event, Measurement, Stamp
from gateway.core.quantities import QUANTITIES

MOST_OVERWRITTEN = 100  # a counter further ahead was reset, not overrun between two polls
COUNTER_TURN = 65_536


class ReadingWatch:
    """Watches one poll of one device; remembers its counter through lost links, so that no reading is told twice."""

    def __init__(self, device: Device, poll: Poll, reading: Reading) -> None:
        self._device = device
        self._reading = reading
        self._measured = [entry for entry in poll.field if entry.quantity]
        self._counter: int | None = None

    def step(
        self, values: Mapping[str, float | None], refused: list[ProtocolError], raw: bytes, at: Stamp, sink: Sink
    ) -> None:
        """One answer. raw: the whole answer, kept in hex where it must not become numbers."""
        counter, status = values.get(self._reading.counter), values.get(self._reading.status)
        if counter is None or status is None:
            return
        before, self._counter = self._counter, int(counter)
        if before is None or before == self._counter:
            return  # what was measured before we first looked has no time that we know
        overwritten = (self._counter - before) % COUNTER_TURN - 1
        if 0 < overwritten <= MOST_OVERWRITTEN:
            self._reject("overwritten", b"", at, sink, count=overwritten)
        if int(status) in self._reading.idle:
            return
        if int(status) not in self._reading.valid:
            self._reject(f"failed_status_{int(status)}", raw, at, sink)
        elif refused or self._implausible(values):
            self._reject("implausible", raw, at, sink)
        else:
            self._tell(values, at, sink)

    def _implausible(self, values: Mapping[str, float | None]) -> bool:
        """True when a value is outside its quantity's range, or when there is none at all."""
        given = [(entry, values[entry.name]) for entry in self._measured]
        present = [(entry, value) for entry, value in given if value is not None]
        return not present or any(not QUANTITIES[entry.quantity or ""].plausible(value) for entry, value in present)

    def _tell(self, values: Mapping[str, float | None], at: Stamp, sink: Sink) -> None:
        bed, device = self._device.bed, self._device.id
        for entry in self._measured:
            value = values[entry.name]
            if value is not None and entry.quantity:
                sink.measurement(Measurement(bed, device, entry.quantity, value, entry.unit, at))
        told = {name: value for name, value in values.items() if value is not None and name != self._reading.status}
        sink.event(Event(self._reading.event, at, bed, device, told))

    def _reject(self, reason: str, raw: bytes, at: Stamp, sink: Sink, *, count: int = 1) -> None:
        sink.rejected(self._device.id, reason, raw, count=count)
        detail: dict[str, str | int] = {"reason": reason, "count": count, "raw": raw.hex()}
        sink.event(Event("readings_rejected", at, self._device.bed, self._device.id, detail))
