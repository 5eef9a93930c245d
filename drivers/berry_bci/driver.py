"""BerryMed and Contec oximeters on a serial port or over BLE: both are the same byte stream to the same decoder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivers.base import Device, Family, Sink
from drivers.berry_bci import frame
from drivers.berry_bci.reader import BciReader, BerryReader, ContecBtReader, Maker
from drivers.ble_battery import read_battery
from drivers.ble_gatt import Gatt, patience_s
from drivers.ble_link import BleAdapter
from drivers.byte_stream import ByteStream
from drivers.coded_model import Key, code_for, line_of, profile_for
from drivers.profile import models_over
from drivers.serial_link import SerialPort
from drivers.serial_stream import Reports, SerialStream
from gateway.core.clock import Clock
from gateway.core.errors import LinkError
from gateway.core.model import Stamp

HERE = Path(__file__).parent
SILENCE_S = 5.0  # all of them send at least once a second, finger or not
BLE_SILENCE_S = 10.0

# BerryMed's and Contec's characteristics, which virtual devices offer; BerryMed's where a profile names none.
NOTIFY = "49535343-1e4d-4bd9-ba61-23c647249616"
WRITE = "49535343-8841-43f4-a8d4-ecbe34729bb3"
CONTEC_WRITE, CONTEC_NOTIFY = "0000ff01-0000-1000-8000-00805f9b34fb", "0000ff02-0000-1000-8000-00805f9b34fb"


@dataclass(frozen=True, slots=True)
class Code:
    """What a kind of frame is read by."""

    stream: Callable[[], ByteStream[Any]]
    reader: Callable[[Device], BciReader | BerryReader | ContecBtReader]


CODES: dict[Key, Code] = {
    ("bci5", "berry"): Code(frame.BciStream, lambda device: BciReader(device, Maker.BERRY)),
    ("bci5", "contec"): Code(frame.BciStream, lambda device: BciReader(device, Maker.CONTEC)),
    ("berry20", None): Code(frame.BerryStream, BerryReader),
    ("contec_cms50d_bt", None): Code(frame.ContecBtStream, ContecBtReader),
}
SERIAL_MODELS = models_over(HERE, "serial")
BLE_MODELS = models_over(HERE, "ble-gatt")


class SerialOximeter:
    """One device on a port of its own."""

    def __init__(self, device: Device, port: SerialPort, clock: Clock) -> None:
        self.devices = (device,)
        profile = profile_for(device, SERIAL_MODELS)
        codec, self._code = code_for(profile, CODES)
        self._greeting = [bytes.fromhex(command) for command in codec.greeting]
        self._port = port
        self._stream = SerialStream(device, port, clock, silence_s=SILENCE_S, wanted=line_of(profile))
        self._reader = self._code.reader(device)

    async def run(self, sink: Sink) -> None:
        """Stream until the port breaks or no valid frame comes for SILENCE_S. LinkError."""

        def take(frames: list[Any], at: Stamp) -> None:
            self._reader.take(frames, at, sink)

        self._port.open()
        try:
            for command in self._greeting:
                await self._port.write(command)
            await self._stream.run(self._code.stream(), take, sink)
        finally:
            self._port.close()


class BleOximeter:
    """One device over BLE: a notification carries several packets and may split one."""

    def __init__(self, device: Device, adapter: BleAdapter, clock: Clock) -> None:
        self.devices = (device,)
        self._device = device
        self._adapter = adapter
        self._clock = clock
        self._codec, self._code = code_for(profile_for(device, BLE_MODELS), CODES)
        self._reader = self._code.reader(device)

    async def run(self, sink: Sink) -> None:
        """Connect and stream until the link breaks or nothing comes for BLE_SILENCE_S. LinkError or PairingError."""
        decoder = self._code.stream()
        async with self._adapter.connect(self._device.address) as gatt:
            try:
                await self._stream(gatt, decoder, sink)
            except LinkError:
                Reports(self._device, None, sink).half_frame(decoder.pending)
                raise

    async def _stream(self, gatt: Gatt, decoder: ByteStream[Any], sink: Sink) -> None:
        await read_battery(gatt, self._device, self._clock, sink)
        await gatt.notify(self._codec.notify or NOTIFY)
        greeted = await self._greet(gatt)
        every_s = patience_s(self._clock, self._codec.greeting_every_s) if self._codec.greeting_every_s else None
        reports = Reports(self._device, None, sink)
        heard = self._clock.now()
        while True:
            note = await gatt.next(BLE_SILENCE_S)
            if every_s is not None and note.at.since_s(greeted) >= every_s:
                greeted = await self._greet(gatt)
            frames, rejects = decoder.feed(note.data)
            reports.rejects(rejects)
            if frames:
                heard = note.at
                sink.heard(self._device.id)
                self._reader.take(frames, note.at, sink)
            elif note.at.since_s(heard) > BLE_SILENCE_S:
                message = f"{gatt.address}: notifications, but no valid frame for {BLE_SILENCE_S:g} s"
                raise LinkError(message, hint="is this the model that the registry names?")

    async def _greet(self, gatt: Gatt) -> Stamp:
        for command in self._codec.greeting:
            await gatt.write(self._codec.write or WRITE, bytes.fromhex(command))
        return self._clock.now()


def make(devices: Sequence[Device], port: SerialPort, clock: Clock) -> SerialOximeter:
    """One driver for one device on a port."""
    (device,) = devices
    return SerialOximeter(device, port, clock)


def make_ble(devices: Sequence[Device], adapter: BleAdapter, clock: Clock) -> BleOximeter:
    """One driver for one device over BLE."""
    (device,) = devices
    return BleOximeter(device, adapter, clock)


FAMILY: Family[SerialPort] = Family("berry_bci", "serial", tuple(SERIAL_MODELS), make)
FAMILY_BLE: Family[BleAdapter] = Family("berry_bci_ble", "ble-gatt", tuple(BLE_MODELS), make_ble)
