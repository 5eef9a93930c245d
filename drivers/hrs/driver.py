"""A strap or band by its Heart Rate Service: pulse, beat intervals, whether it is worn, and its battery."""

from collections.abc import Sequence
from pathlib import Path

from drivers.base import Device, Driver, Family, Sink
from drivers.ble_gatt import Gatt, Notification
from drivers.ble_link import BleAdapter
from drivers.coded_model import Key, code_for, profile_for
from drivers.hrs import frame
from drivers.profile import models_in
from gateway.core.clock import Clock
from gateway.core.model import Event, Measurement, Stamp
from gateway.core.quantities import QUANTITIES

HERE = Path(__file__).parent
MODELS = models_in(HERE)
CODES: dict[Key, object] = {("2A37", None): frame.decode}
SILENCE_S = 15.0  # the service notifies about once a second, worn or not
BATTERY_EVERY_S = 3600.0

_HEART_RATE, _IBI = QUANTITIES["heart_rate"], QUANTITIES["ibi"]


def measured(device: Device, quantity: str, value: float, at: Stamp) -> Measurement:
    """A value that `device` itself measured."""
    return Measurement(device.bed, device.id, quantity, value, QUANTITIES[quantity].unit, at)


class HeartRateReader:
    """Turns the notifications of one device's heart rate and battery into facts; remembers whether it is worn."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._worn: bool | None = None
        self._battery_read: Stamp | None = None

    def take(self, note: Notification, sink: Sink) -> None:
        """One notification of HEART_RATE_MEASUREMENT or BATTERY_LEVEL."""
        if note.uuid == frame.BATTERY_LEVEL:
            self._battery(note.data, note.at, sink)
            return
        heart_rate = frame.decode(note.data)
        if isinstance(heart_rate, frame.Rejected):
            sink.rejected(self._device.id, heart_rate.reason, note.data)
            return
        self._contact(heart_rate.contact, note.at, sink)
        if heart_rate.contact is not False:  # without contact the numbers are the sensor's imagination
            self._pulse(heart_rate, note, sink)

    async def subscribe(self, gatt: Gatt, sink: Sink, clock: Clock) -> None:
        """Let the pulse come, and read the battery once where there is one."""
        await gatt.notify(frame.HEART_RATE_MEASUREMENT)
        self._battery_read = None
        await self.refresh_battery(gatt, sink, clock)

    async def refresh_battery(self, gatt: Gatt, sink: Sink, clock: Clock) -> None:
        """Read the battery when the last reading is old."""
        now = clock.now()
        if self._battery_read is not None and now.since_s(self._battery_read) < BATTERY_EVERY_S:
            return
        self._battery_read = now
        if gatt.has(frame.BATTERY_LEVEL):
            self._battery(await gatt.read(frame.BATTERY_LEVEL), clock.now(), sink)

    def _battery(self, data: bytes, at: Stamp, sink: Sink) -> None:
        percent = frame.battery_percent(data)
        if isinstance(percent, frame.Rejected):
            sink.rejected(self._device.id, percent.reason, data)
        else:
            sink.measurement(measured(self._device, "battery", float(percent), at))

    def _contact(self, contact: bool | None, at: Stamp, sink: Sink) -> None:
        if contact is None:
            return
        sink.measurement(measured(self._device, "worn", float(contact), at))
        if not contact and self._worn is not False:
            sink.event(Event("sensor_off", at, self._device.bed, self._device.id, {"reason": "no skin contact"}))
        self._worn = contact

    def _pulse(self, heart_rate: frame.HeartRate, note: Notification, sink: Sink) -> None:
        if _HEART_RATE.plausible(heart_rate.bpm):
            sink.measurement(measured(self._device, "heart_rate", float(heart_rate.bpm), note.at))
        elif heart_rate.bpm:
            sink.rejected(self._device.id, "implausible_heart_rate", note.data)
        for interval, age_s in zip(heart_rate.rr, frame.beat_ages_s(heart_rate.rr), strict=True):
            ibi_ms = interval * 1000 / frame.RR_HZ
            if _IBI.plausible(ibi_ms):
                sink.measurement(measured(self._device, "ibi", ibi_ms, note.at.plus_s(-age_s)))
            else:
                sink.rejected(self._device.id, "implausible_ibi", note.data)


class HrsDriver:
    """One device of the family."""

    def __init__(self, device: Device, adapter: BleAdapter, clock: Clock) -> None:
        self.devices = (device,)
        self._device = device
        self._adapter = adapter
        self._clock = clock
        self._reader = HeartRateReader(device)

    async def run(self, sink: Sink) -> None:
        """Connect and stream until the link breaks. LinkError or PairingError."""
        async with self._adapter.connect(self._device.address) as gatt:
            await self._reader.subscribe(gatt, sink, self._clock)
            while True:
                note = await gatt.next(SILENCE_S)
                sink.heard(self._device.id)
                self._reader.take(note, sink)
                await self._reader.refresh_battery(gatt, sink, self._clock)


def make(devices: Sequence[Device], adapter: BleAdapter, clock: Clock) -> Driver:
    """One driver for one device. ConfigError for a model that the family does not have."""
    (device,) = devices
    code_for(profile_for(device, MODELS), CODES)
    return HrsDriver(device, adapter, clock)


FAMILY: Family[BleAdapter] = Family("hrs", "ble-gatt", tuple(MODELS), make)
