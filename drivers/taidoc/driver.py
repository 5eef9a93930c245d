"""TaiDoc meters on a port or over BLE: visited when they can be; in between they sleep, and silence is no fault."""

import asyncio
from collections.abc import Sequence

from drivers.base import Device, Family, Sink
from drivers.ble_gatt import Gatt
from drivers.ble_link import Advert, BleAdapter
from drivers.ble_slots import Use
from drivers.oximeter import OximeterReader
from drivers.serial_link import SerialPort
from drivers.taidoc.frame import CHARACTERISTIC, Command, decode_saturation, encode
from drivers.taidoc.line import BleLine, Line, SerialLine
from drivers.taidoc.models import Kind, model_of, names
from drivers.taidoc.session import Session
from drivers.taidoc.standard import better_family
from gateway.core.clock import Clock
from gateway.core.errors import ConfigError, Fault, LinkError
from gateway.core.model import Event, Stamp

POLL_S = 60.0  # between visits on a port; each one wakes the meter, so not oftener without need (setting poll_s)
REST_S = 30.0  # a meter may go on advertising after it was read
LIVE_EVERY_S = 1.0
LIVE_EMPTY = 10  # answers without a finger in a row end a live visit, so that the meter may sleep


class Meter:
    """What both ways to a meter share: one visit."""

    def __init__(self, device: Device, clock: Clock) -> None:
        self.devices = (device,)
        self._device = device
        self._clock = clock
        self._model = model_of(device)
        self._is_scale = self._model.kind is Kind.WEIGHT
        self._session = Session(device, clock, self._model)
        self._seconds = OximeterReader(device)

    async def _visit(self, line: Line, sink: Sink) -> None:
        if not await self._session.greet(line, sink):
            return
        if self._model.live:
            await self._live(line, sink)
        elif not await self._session.read(line, sink):
            return
        await self._session.switch_off(line)

    async def _live(self, line: Line, sink: Sink) -> None:
        empty = 0
        while empty < LIVE_EMPTY:
            answer = await line.ask(encode(Command.LIVE_SPO2), (Command.LIVE_SPO2,))
            if answer is None:
                return
            frame, at = answer
            spo2, pulse = decode_saturation(frame.data)
            empty = empty + 1 if spo2 is None else 0
            sink.heard(self._device.id)
            self._seconds.take(at, frame.raw, sink, worn=spo2 is not None, spo2=spo2, pulse_rate=pulse)
            await self._clock.sleep(LIVE_EVERY_S)


class SerialMeter(Meter):
    """A meter on a port of its own (the protocol has no address)."""

    def __init__(self, device: Device, port: SerialPort, clock: Clock) -> None:
        super().__init__(device, clock)
        self._port = port
        self._poll_s = _seconds(device, "poll_s", POLL_S)

    async def run(self, sink: Sink) -> None:
        """Visit the meter for ever; LinkError when the port breaks. A meter that does not answer sleeps."""
        self._port.open()
        try:
            line = SerialLine(self._device, self._port, self._clock, sink, long=self._is_scale)
            while True:
                await self._visit(line, sink)
                await line.idle(self._poll_s)
        finally:
            self._port.close()


class BleMeter(Meter):
    """A meter over BLE: it advertises for a while after each measurement, and is visited then."""

    def __init__(self, device: Device, adapter: BleAdapter, clock: Clock) -> None:
        super().__init__(device, clock)
        self._adapter = adapter
        self._call = asyncio.Event()
        self._visited: Stamp | None = None
        self._steered = False

    async def run(self, sink: Sink) -> None:
        """Answer the meter's calls. LinkError when a visit broke off; PairingError."""
        self._call.clear()
        subscription = self._adapter.subscribe(self._device.address, self._advert)
        try:
            while True:
                await self._call.wait()
                async with self._adapter.connect(self._device.address, use=Use.METER) as gatt:
                    self._steer(gatt, sink)
                    await gatt.notify(CHARACTERISTIC)
                    await self._visit(BleLine(self._device, gatt, sink, long=self._is_scale), sink)
                self._visited = self._clock.now()
                self._call.clear()
        finally:
            subscription.close()

    def _advert(self, advert: Advert) -> None:
        if self._visited is None or advert.at.since_s(self._visited) >= REST_S * self._clock.speed:
            self._call.set()

    def _steer(self, gatt: Gatt, sink: Sink) -> None:
        """Say, once, that the meter speaks the standard's service too, which says more and is bonded; it is read by its
        own protocol meanwhile. LinkError when that is not there."""
        hint = better_family(self._model.kind, gatt.has)
        if not gatt.has(CHARACTERISTIC):
            message = f"{self._device.id}: the meter has no characteristic {CHARACTERISTIC}"
            raise LinkError(message, hint=hint or "not a TaiDoc meter? look at its label, and register it by its model")
        if hint and not self._steered:
            self._steered = True
            reason = "the meter offers the Bluetooth standard's service beside its own"
            detail = {"fault": "standard_service", "reason": reason, "hint": hint}
            sink.event(Event("device_fault", self._clock.now(), self._device.bed, self._device.id, detail))


def _seconds(device: Device, name: str, default_s: float) -> float:
    value = device.settings.get(name, default_s)
    if isinstance(value, str | bool) or value <= 0:
        raise ConfigError(device.id, (Fault(0, name, f"{value!r} is no number of seconds", "write it as 60"),))
    return float(value)


def make(devices: Sequence[Device], port: SerialPort, clock: Clock) -> SerialMeter:
    """One driver for one device on a port."""
    (device,) = devices
    return SerialMeter(device, port, clock)


def make_ble(devices: Sequence[Device], adapter: BleAdapter, clock: Clock) -> BleMeter:
    """One driver for one device over BLE."""
    (device,) = devices
    return BleMeter(device, adapter, clock)


FAMILY: Family[SerialPort] = Family("taidoc", "serial", names("serial"), make)
FAMILY_BLE: Family[BleAdapter] = Family("taidoc_ble", "ble-gatt", names("ble-gatt"), make_ble)
