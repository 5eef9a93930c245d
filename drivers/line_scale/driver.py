"""A scale that prints without end: told once each time it has settled.

A line has no checksum. Its length and its columns guard it against what is lost; against a digit that has become
another one there is repetition alone: lines in a row must say the same.
"""

from collections.abc import Sequence
from pathlib import Path

from drivers.base import Device, Family, Sink
from drivers.line_scale.frame import HERE, load_line
from drivers.profile import models_in
from drivers.profile_line import LineDecoder, LineStream
from drivers.profile_message import Decoded
from drivers.profile_schema import Line, Profile
from drivers.serial_link import SerialPort
from drivers.serial_stream import SerialStream
from drivers.units import normalise
from gateway.core.clock import Clock
from gateway.core.errors import ConfigError, Fault, ProtocolError
from gateway.core.model import Event, Measurement, Stamp
from gateway.core.quantities import QUANTITIES

AGREE = 2  # lines in a row that say the same, of a weight or of an empty or moving scale; columns print five a second


class LineScale:
    """One scale on its own port."""

    def __init__(self, device: Device, port: SerialPort, clock: Clock, profile: Profile, line: Line) -> None:
        self.devices = (device,)
        self._device = device
        self._port = port
        self._clock = clock
        self._profile = profile
        self._line = line
        self._decoder = LineDecoder(line)
        self._said: dict[str, float] = {}  # by the last line; empty while nothing has settled
        self._alike = 0  # lines in a row that said so
        self._told = False
        self._up = False

    async def run(self, sink: Sink) -> None:
        """Listen until the port breaks or the scale prints nothing for the profile's silence_s. LinkError."""
        serial = self._profile.device.serial
        wanted = f"{serial.baud} baud {serial.format}" if serial else "its profile's settings"
        self._port.open()
        try:
            stream = SerialStream(
                self._device, self._port, self._clock, silence_s=self._profile.silence_s, wanted=wanted
            )
            await stream.run(LineStream(self._line), lambda lines, at: self._take_all(lines, at, sink), sink)
        finally:
            self._said, self._alike, self._told, self._up = {}, 0, False, False
            self._port.close()

    def _take_all(self, lines: Sequence[bytes], at: Stamp, sink: Sink) -> None:
        if not self._up:  # also an empty scale is back
            self._up = True
            sink.event(Event("link_up", at, self._device.bed, self._device.id))
        for line in lines:
            self.take(line, at, sink)

    def take(self, line: bytes, at: Stamp, sink: Sink) -> None:
        """One line received at `at`."""
        try:
            decoded = self._decoder.decode(line)
        except ProtocolError as error:
            sink.rejected(self._device.id, str(error).split(":")[0], line)
            return
        said = self._values(decoded) if self._decoder.believed(decoded) else {}
        self._alike = self._alike + 1 if said == self._said else 1
        self._said = said
        if self._alike < AGREE:
            return
        if said and not self._told:
            self._tell(said, line, at, sink)
        self._told = bool(said)

    def _values(self, decoded: Decoded) -> dict[str, float]:
        found = {}
        for entry in self._line.field:
            value = decoded.values[entry.name]
            if entry.quantity is not None and value is not None:
                found[entry.quantity] = normalise(entry.quantity, value, decoded.units[entry.name])
        return found

    def _tell(self, values: dict[str, float], line: bytes, at: Stamp, sink: Sink) -> None:
        bed, device = self._device.bed, self._device.id
        for quantity, value in values.items():
            if not QUANTITIES[quantity].plausible(value):
                sink.rejected(device, f"implausible_{quantity}", line)
                return
        for quantity, value in values.items():
            sink.measurement(Measurement(bed, device, quantity, value, QUANTITIES[quantity].unit, at))
        sink.event(Event("reading", at, bed, device, {"line": line.decode("ascii"), **values}))


def family(directory: Path = HERE) -> Family[SerialPort]:
    """The family with the models whose profiles lie in `directory`."""
    paths = models_in(directory)

    def make(devices: Sequence[Device], port: SerialPort, clock: Clock) -> LineScale:
        (device,) = devices
        if device.model not in paths:
            message = f"unknown model {device.model!r}; known: {', '.join(paths)}"
            raise ConfigError(device.id, (Fault(0, "model", message, "name one of these models"),))
        return LineScale(device, port, clock, *load_line(paths[device.model]))

    return Family("line_scale", "serial", tuple(paths), make)


FAMILY = family()
