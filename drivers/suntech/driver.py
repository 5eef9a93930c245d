"""A SunTech Advantage module in a kiosk: waits until a person's measurement is done, then asks for its result.

The gateway never starts a cuff: the frames that would cannot even be encoded. A result that was there before "done" was
heard has no known time and is not told.
"""

from collections.abc import Sequence
from pathlib import Path

from drivers.base import Device, Family, Sink
from drivers.coded_model import Key, code_for, line_of, profile_for
from drivers.profile import models_in
from drivers.serial_link import SerialPort, wire_seconds
from drivers.serial_stream import Reports
from drivers.spot_reading import refuse, tell
from drivers.suntech.frame import GET_CUFF, GET_RESULT, Cuff, Reply, Result, SuntechStream, encode_command
from gateway.core.clock import Clock
from gateway.core.errors import LinkError
from gateway.core.model import Event, Stamp

POLL_S = 10.0  # the cuff's pressure, as a sign of life
RESULT_EVERY_S = 1.0  # between two requests for the same result
RESULT_TRIES = 8  # a busy module, or a bad line
SILENCE_S = 35.0  # three polls without a valid frame
HERE = Path(__file__).parent
MODELS = models_in(HERE)
CODES: dict[Key, type[SuntechStream]] = {("suntech", None): SuntechStream}


class SuntechDriver:
    """One module on a port of its own."""

    def __init__(self, device: Device, port: SerialPort, clock: Clock) -> None:
        self.devices = (device,)
        self._device = device
        profile = profile_for(device, MODELS)
        _, self._decoder = code_for(profile, CODES)
        self._line = line_of(profile)
        self._port = port
        self._clock = clock
        self._stream = self._decoder()
        self._tries = 0  # requests left for the result of a measurement that is done
        self._due = clock.now()
        self._heard = clock.now()

    async def run(self, sink: Sink) -> None:
        """Ask and listen until the port breaks or the module falls silent for SILENCE_S. LinkError."""
        self._port.open()
        self._stream = self._decoder()
        self._tries = 0
        self._due = self._heard = self._clock.now()
        reports = Reports(self._device, self._port, sink)
        try:
            while True:
                await self._ask_when_due(sink)
                await self._listen(reports, sink)
        except LinkError:
            reports.half_frame(self._stream.pending)
            raise
        finally:
            self._port.close()

    async def _ask_when_due(self, sink: Sink) -> None:
        now = self._clock.now()
        if now.since_s(self._heard) > wire_seconds(self._clock, SILENCE_S):
            message = f"{self._device.id} on {self._port.name}: no valid frame for {SILENCE_S:g} s"
            raise LinkError(message, hint=f"is the kiosk switched on? the module speaks {self._line}")
        if now < self._due:
            return
        await self._port.write(encode_command(GET_RESULT if self._tries else GET_CUFF))
        self._due = now.plus_s(wire_seconds(self._clock, RESULT_EVERY_S if self._tries else POLL_S))
        if self._tries:
            self._tries -= 1
            if not self._tries:
                refuse(sink, self._device, now, "no_result", b"")

    async def _listen(self, reports: Reports, sink: Sink) -> None:
        chunk = await self._port.read_within(max(0.0, self._due.since_s(self._clock.now())))
        if chunk is None:
            return
        data, at = chunk
        said, rejects = self._stream.feed(data)
        reports.rejects(rejects)
        for one in said:
            self._heard = at
            sink.heard(self._device.id)
            self._hear(one, at, sink)

    def _hear(self, said: Reply | Cuff | Result, at: Stamp, sink: Sink) -> None:
        if isinstance(said, Result):
            self._result(said, at, sink)
        elif isinstance(said, Reply) and said.word == "done":
            self._tries = RESULT_TRIES
            self._due = at
        elif isinstance(said, Reply) and said.word == "aborted":
            self._tries = 0
            refuse(sink, self._device, at, "aborted", said.raw)

    def _result(self, result: Result, at: Stamp, sink: Sink) -> None:
        if not self._tries:
            sink.rejected(self._device.id, "unasked_result", result.raw)
            return
        self._tries = 0
        if result.error_code:
            refuse(sink, self._device, at, f"error_{result.error_code}", result.raw)
            return
        values: dict[str, float] = {
            "systolic": result.systolic,
            "diastolic": result.diastolic,
            "mean_arterial": result.mean_arterial,
            "pulse_rate": result.pulse_bpm,
        }
        if tell(sink, self._device, at, result.raw, values, is_spot=True):
            detail = {"beats": result.beats, "bp_status": result.status}
            sink.event(Event("reading", at, self._device.bed, self._device.id, detail))


def make(devices: Sequence[Device], port: SerialPort, clock: Clock) -> SuntechDriver:
    """One driver for one device. ConfigError for a model that the family does not have."""
    (device,) = devices
    return SuntechDriver(device, port, clock)


FAMILY: Family[SerialPort] = Family("suntech", "serial", tuple(MODELS), make)
