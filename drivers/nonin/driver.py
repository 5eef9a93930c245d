"""Nonin oximeters: streams of data format 2, 7 or 8 and spot checks of format 13 on a port, and the 3230 over BLE."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivers.base import Device, Family, Sink
from drivers.ble_link import BleAdapter
from drivers.byte_stream import ByteStream
from drivers.coded_model import Key, code_for, line_of, profile_for
from drivers.nonin import frame, spot
from drivers.nonin.reader import Df8Reader, PacketReader
from drivers.nonin.spot_driver import SpotDriver
from drivers.oximeter import OximeterReader
from drivers.profile import models_over
from drivers.profile_schema import Profile
from drivers.serial_link import SerialPort
from drivers.serial_stream import SerialStream
from gateway.core.clock import Clock
from gateway.core.errors import ProtocolError
from gateway.core.model import Stamp

HERE = Path(__file__).parent
SILENCE_S = 5.0  # every streaming format sends at least once a second
BLE_SILENCE_S = 10.0
ANSWER_S = 0.5  # to a request for another format


def _values(spo2: int | None, pulse: int | None) -> dict[str, float | None]:
    return {"spo2": spo2, "pulse_rate": pulse}


@dataclass(frozen=True, slots=True)
class Streamed:
    """A streaming format. number: of the format, to ask for it where the setting select_format says so."""

    number: int
    stream: Callable[[], ByteStream[Any]]
    reader: Callable[[Device], PacketReader | Df8Reader]


STREAMS: dict[Key, Streamed] = {
    ("df2_packet", None): Streamed(2, lambda: frame.PacketStream(2), PacketReader),
    ("df7_packet", None): Streamed(7, lambda: frame.PacketStream(7), PacketReader),
    ("df8", None): Streamed(8, frame.Df8Stream, Df8Reader),
}
SPOT: Key = ("df13", None)
MODELS = models_over(HERE, "serial")
BLE_MODELS = models_over(HERE, "ble-gatt")


class StreamDriver:
    """One streaming device on a port of its own."""

    def __init__(self, device: Device, profile: Profile, code: Streamed, port: SerialPort, clock: Clock) -> None:
        self.devices = (device,)
        self._code = code
        self._select = bool(device.settings.get("select_format", False))
        self._port = port
        self._clock = clock
        self._stream = SerialStream(device, port, clock, silence_s=SILENCE_S, wanted=line_of(profile))
        self._reader = self._code.reader(device)

    async def run(self, sink: Sink) -> None:
        """Stream until the port breaks or no valid frame comes for SILENCE_S. LinkError."""

        def take(frames: list[Any], at: Stamp) -> None:
            self._reader.take(frames, at, sink)

        self._port.open()
        try:
            if self._select:  # obeyed only in the device's first five seconds; its answer is one byte before the stream
                await self._port.write(spot.select_format(self._code.number))
                await self._port.read_within(ANSWER_S * self._clock.speed)
            await self._stream.run(self._code.stream(), take, sink)
        finally:
            self._port.close()


class BleDriver:
    """A 3230: a record a second while it is on."""

    def __init__(self, device: Device, adapter: BleAdapter, clock: Clock) -> None:
        self.devices = (device,)
        self._device = device
        self._adapter = adapter
        self._codec, _ = code_for(profile_for(device, BLE_MODELS), {("nonin_3230_0AAD7EA0", None): spot.decode_3230})
        self._seconds = OximeterReader(device)

    async def run(self, sink: Sink) -> None:
        """Connect and stream until the link breaks or nothing comes for BLE_SILENCE_S. LinkError or PairingError."""
        async with self._adapter.connect(self._device.address) as gatt:
            await gatt.notify(self._codec.notify or spot.RECORD_3230)
            while True:
                note = await gatt.next(BLE_SILENCE_S)
                sink.heard(self._device.id)
                self.take(note.data, note.at, sink)

    def take(self, data: bytes, at: Stamp, sink: Sink) -> None:
        """One notification."""
        try:
            record = spot.decode_3230(data)
        except ProtocolError as error:
            sink.rejected(self._device.id, str(error).split(":")[0], data)
            return
        if record.encrypted:  # its numbers are none
            sink.rejected(self._device.id, "encrypted", data)
            return
        self._seconds.fault("low_battery", record.low_battery, at, sink)
        perfusion = record.perfusion_percent if record.finger_in and record.spo2_percent is not None else None
        values = _values(record.spo2_percent, record.pulse_bpm) | {"perfusion_index": perfusion}
        self._seconds.take(at, data, sink, worn=record.finger_in, **values)


def make(devices: Sequence[Device], port: SerialPort, clock: Clock) -> StreamDriver | SpotDriver:
    """One driver for one device on a port. ConfigError for a model that the family does not have."""
    (device,) = devices
    profile = profile_for(device, MODELS)
    _, code = code_for(profile, {**STREAMS, SPOT: None})
    return SpotDriver(device, port, clock) if code is None else StreamDriver(device, profile, code, port, clock)


def make_ble(devices: Sequence[Device], adapter: BleAdapter, clock: Clock) -> BleDriver:
    """One driver for one device over BLE. ConfigError for a model that the family does not have."""
    (device,) = devices
    return BleDriver(device, adapter, clock)


FAMILY: Family[SerialPort] = Family("nonin", "serial", tuple(MODELS), make)
FAMILY_BLE: Family[BleAdapter] = Family("nonin_ble", "ble-gatt", tuple(BLE_MODELS), make_ble)
