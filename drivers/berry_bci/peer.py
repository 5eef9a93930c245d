"""The oximeter's end: packets of a finger for drivers.stream_peer.StreamPeer on a wire, and a BLE one on bumble."""

from collections.abc import Iterable, Iterator
from typing import Any

from bumble.att import Attribute
from bumble.gatt import Characteristic, CharacteristicValue, Service

from drivers.berry_bci.driver import NOTIFY, WRITE
from drivers.berry_bci.frame import BciPacket, encode_bci
from drivers.ble_virtual_ward import RadioSpace
from drivers.hrs.frame import BATTERY_LEVEL
from gateway.core.clock import Clock

SERVICE = "49535343-FE7D-4AE5-8FA9-9FAFD205E455"


def finger(spo2_percent: int, pulse_bpm: int, *, rate_hz: float = 100.0) -> Iterator[bytes]:
    """BCI packets of a finger for ever: its values, a saw-tooth for the pulse wave, a beat bit at each turn."""
    period = round(60 * rate_hz / pulse_bpm)
    number = 0
    while True:
        phase = number % period
        wave = 1 + 99 * phase // period
        packet = BciPacket(7, False, False, phase == 0, wave, wave // 7, False, False, pulse_bpm, spo2_percent)
        yield encode_bci(packet)
        number += 1


def no_finger(*, contec: bool = False) -> bytes:
    """A packet with nothing in the probe."""
    return encode_bci(BciPacket(None, contec, False, False, None, 0, not contec, True, None, None))


class BleOximeterPeer:
    """A virtual oximeter on bumble: notifies what it is given in chunks, whatever frames they cut through."""

    def __init__(
        self,
        space: RadioSpace,
        clock: Clock,
        address: str,
        frames: Iterable[bytes],
        *,
        per_note: int = 20,
        uuids: tuple[str, str, str] = (SERVICE, WRITE, NOTIFY),
        name: str = "BerryMed",
    ) -> None:
        self._space = space
        self._clock = clock
        self._address = address
        self._frames = frames
        self._per_note = per_note
        self._name = name
        self.written: list[bytes] = []
        self.peripheral: Any = None
        properties = Characteristic.Properties
        service, write, notify = uuids
        self._stream = Characteristic(notify, properties.NOTIFY, Attribute.READABLE, b"")
        commands = Characteristic(
            write,
            properties.WRITE,
            Attribute.WRITEABLE,
            CharacteristicValue(write=lambda _connection, value: self.written.append(bytes(value))),
        )
        level = Characteristic(BATTERY_LEVEL, properties.READ, Attribute.READABLE, bytes((80,)))
        self._services = [Service(service, [self._stream, commands]), Service("180F", [level])]

    async def start(self) -> None:
        """Switch on: advertise."""
        self.peripheral = await self._space.add_peripheral(self._address, self._name, self._services, [])

    async def run(self, *, pause_s: float = 0.04) -> None:
        """Notify until the frames end or the task is cancelled; `start` comes first."""
        waiting = b""
        for frame in self._frames:
            waiting += frame
            while len(waiting) >= self._per_note:
                note, waiting = waiting[: self._per_note], waiting[self._per_note :]
                await self._clock.sleep(pause_s)
                await self.peripheral.notify(self._stream, note)
