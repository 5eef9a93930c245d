"""What any streaming oximeter says in a second: the medians of saturation and pulse, and whether a finger is in."""

from statistics import median

from drivers.base import Device, Sink
from drivers.spot_reading import tell
from gateway.core.model import Event, Stamp

TELL_S = 0.9  # a second, less the jitter of a device that sends one frame in each
KEPT = 512  # frames of one second at most; the oldest are not needed for a median


class OximeterReader:
    """Gathers one device's frames; tells once a second; remembers what it has said of finger and faults.

    agree: frames in a row that must say the same of finger or fault before it is believed; more than 1 where a frame
    has no checksum of its own.
    """

    def __init__(self, device: Device, *, agree: int = 1) -> None:
        self._device = device
        self._agree = agree
        self._doubts = 0
        self._since: Stamp | None = None  # the second that is being gathered
        self._worn: bool | None = None
        self._said: bool | None = None  # of a finger, by the last frame
        self._faults: dict[str, tuple[bool, int]] = {}  # told, and frames in a row that say otherwise
        self._battery: tuple[int, Stamp] | None = None
        self._values: dict[str, list[float]] = {}

    def take(self, at: Stamp, raw: bytes, sink: Sink, *, worn: bool | None, **values: float | None) -> None:
        """One frame. values: by quantity, None where the device has none; without a finger they are its imagination."""
        if worn is None or worn == self._worn:
            self._doubts = 0
        else:
            self._doubts = self._doubts + 1 if worn == self._said else 1
        self._said = worn
        if worn is not None and self._doubts >= self._agree:
            self._change(worn, at, raw, sink)
        if worn is not False and self._worn is not False:
            for name, value in values.items():
                if value is not None and len(gathered := self._values.setdefault(name, [])) < KEPT:
                    gathered.append(value)
        if self._since is None:
            self._since = at
        elif at.since_s(self._since) >= TELL_S:
            self._since = at
            self._tell(at, raw, sink)

    def fault(self, name: str, active: bool, at: Stamp, sink: Sink) -> None:
        """One event when a fault comes, one when it goes."""
        known, doubts = self._faults.get(name, (False, 0))
        doubts = doubts + 1 if active != known else 0
        if doubts >= self._agree:
            detail: dict[str, str | bool] = {"fault": name, "active": active}
            sink.event(Event("device_fault", at, self._device.bed, self._device.id, detail))
            known, doubts = active, 0
        self._faults[name] = known, doubts

    def battery(self, percent: int, at: Stamp, raw: bytes, sink: Sink, *, every_s: float = 3600.0) -> None:
        """Told when it changes, and hourly."""
        if self._battery and self._battery[0] == percent and at.since_s(self._battery[1]) < every_s:
            return
        self._battery = (percent, at)
        tell(sink, self._device, at, raw, {"battery": percent})

    def _change(self, worn: bool, at: Stamp, raw: bytes, sink: Sink) -> None:
        self._values.clear()
        if not worn:
            sink.event(Event("sensor_off", at, self._device.bed, self._device.id, {"reason": "no finger"}))
        self._worn = worn
        self._doubts = 0
        self._since = at
        tell(sink, self._device, at, raw, {"worn": float(worn)})

    def _tell(self, at: Stamp, raw: bytes, sink: Sink) -> None:
        if self._worn is not None:
            tell(sink, self._device, at, raw, {"worn": float(self._worn)})
        values = {name: float(median(gathered)) for name, gathered in self._values.items() if gathered}
        self._values.clear()
        if values:
            tell(sink, self._device, at, raw, values, window_s=1.0)
