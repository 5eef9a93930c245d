"""A Nonin 9560 that measures now and then: each record is acknowledged, a stored one is dated by the device's clock.

Silence is no fault here: the device is off between two measurements.
"""

from collections import OrderedDict

from drivers.base import Device, Sink
from drivers.local_time import UNSET_S, local_time, time_is_known, zone_of
from drivers.nonin.spot import ACK, GET_TIME, NAK, ClockReply, SpotCheck, SpotStream, set_time
from drivers.serial_link import SerialPort
from drivers.serial_stream import Reports
from drivers.spot_reading import refuse, tell
from gateway.core.clock import Clock
from gateway.core.errors import LinkError
from gateway.core.model import Event, Stamp

REMEMBERED = 64  # records told; the device keeps at least 20 and sends them again when an ACK was lost


class SpotDriver:
    """One device. What it told is remembered across reconnects."""

    def __init__(self, device: Device, port: SerialPort, clock: Clock) -> None:
        self.devices = (device,)
        self._device = device
        self._port = port
        self._clock = clock
        self._zone = zone_of(device)
        self._told: OrderedDict[str, None] = OrderedDict()  # full: the oldest is forgotten
        self._offset_s: float | None = None  # of the clock that dated the records kept until now
        self._low_battery = False
        self._asked: Stamp | None = None  # for the time; answered, as far as is known

    async def run(self, sink: Sink) -> None:
        """Take records until the port breaks: LinkError."""
        self._port.open()
        decoder = SpotStream()
        reports = Reports(self._device, self._port, sink)
        try:
            await self._port.write(GET_TIME)
            while True:
                data, at = await self._port.read()
                said, rejects = decoder.feed(data)
                reports.rejects(rejects)
                if "checksum" in rejects.counts:
                    await self._port.write(NAK)
                for one in said:
                    sink.heard(self._device.id)
                    await self._hear(one, at, sink)
        except LinkError:
            reports.half_frame(decoder.pending)
            raise
        finally:
            self._port.close()

    async def _hear(self, said: SpotCheck | ClockReply, at: Stamp, sink: Sink) -> None:
        if isinstance(said, ClockReply):
            await self._set_clock(said, at, sink)
            return
        await self._port.write(ACK)  # told or refused, it has arrived: unacknowledged it would come for ever
        self._take(said, at, sink)
        await self._ask_clock(at)

    async def _ask_clock(self, at: Stamp) -> None:
        """A device that has just been switched on heard no earlier question."""
        if self._asked is None or at.since_s(self._asked) > UNSET_S:
            self._asked = at
            await self._port.write(GET_TIME)

    async def _set_clock(self, reply: ClockReply, at: Stamp, sink: Sink) -> None:
        self._asked = at
        if not time_is_known(self._clock):
            return
        local = local_time(self._clock, at, self._zone)
        if reply.time_local is not None:
            self._offset_s = (reply.time_local - local).total_seconds()
            kind = "device_clock" if abs(self._offset_s) <= UNSET_S else "device_clock_unset"
            detail: dict[str, float] = {"offset_s": self._offset_s}
            sink.event(Event(kind, at, self._device.bed, self._device.id, detail))
        await self._port.write(set_time(local.replace(microsecond=0)))

    def _take(self, check: SpotCheck, at: Stamp, sink: Sink) -> None:
        record = f"{check.time_local.isoformat()} {check.spo2_percent} {check.pulse_bpm}" if check.time_local else ""
        if record in self._told:
            sink.rejected(self._device.id, "repeat", check.raw)
            return
        if record:
            self._told[record] = None
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        self._tell_battery(check, at, sink)
        if check.no_measurement or check.spo2_percent is None or check.pulse_bpm is None:
            refuse(sink, self._device, at, "no_measurement", check.raw)
            return
        when = self._when(check, at)
        if when is None:
            refuse(sink, self._device, at, "record_time", check.raw)
            return
        values: dict[str, float] = {"spo2": check.spo2_percent, "pulse_rate": check.pulse_bpm}
        tell(sink, self._device, when, check.raw, values, is_spot=True, record=record)

    def _when(self, check: SpotCheck, at: Stamp) -> Stamp | None:
        """A fresh measurement is of now; a stored one is as old as the device's clock says, None when it does not."""
        if not check.from_memory:
            return at
        if check.time_local is None or not time_is_known(self._clock):
            return None
        age_s = (local_time(self._clock, at, self._zone) - check.time_local).total_seconds() + (self._offset_s or 0.0)
        return at.plus_s(-age_s) if 0 <= age_s * 1e9 <= at.mono_ns else None

    def _tell_battery(self, check: SpotCheck, at: Stamp, sink: Sink) -> None:
        """Once when the battery is low, once when it is not any more."""
        if check.low_battery != self._low_battery:
            self._low_battery = check.low_battery
            detail: dict[str, str | bool] = {"fault": "low_battery", "active": check.low_battery}
            sink.event(Event("device_fault", at, self._device.bed, self._device.id, detail))
