"""The oximeter's end: packets for stream_peer.StreamPeer, a spot checker that wants its ACK, a 3230 on bumble."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from bumble.att import Attribute
from bumble.gatt import Characteristic, Service

from drivers.answer_peer import AnswerPeer
from drivers.ble_virtual_ward import RadioSpace
from drivers.nonin.frame import SENSOR_ALARM, encode_packet, packet_values
from drivers.nonin.spot import (
    ACK,
    GET_TIME,
    NAK,
    RECORD_3230,
    SERVICE_3230,
    Record3230,
    SpotCheck,
    encode_3230,
    encode_spot,
    set_time,
    time_reply,
)
from gateway.core.clock import Clock


def packets(readings: Iterable[tuple[int | None, int | None]], *, data_format: int = 2) -> Iterator[bytes]:
    """One packet for each (SpO2, rate); a pair of None is a finger that has gone, with its alarm."""
    for spo2, bpm in readings:
        alarm = SENSOR_ALARM if spo2 is None and bpm is None else 0
        yield encode_packet(packet_values(bpm, spo2), range(25), alarm, data_format=data_format)


class SpotPeer(AnswerPeer):
    """A virtual 9560: sends the record it owes again until it is acknowledged. shown: its clock."""

    def __init__(self, fd: int, clock: Clock, shown: datetime, *, seed: int = 0, share: float = 0.0) -> None:
        super().__init__(fd, clock, seed=seed, share=share)
        self.shown = shown
        self.owed: list[SpotCheck] = []
        self.set_to: list[bytes] = []
        self.naks = 0
        self._buffer = b""
        self._set_length = len(set_time(shown))

    async def measured(self, check: SpotCheck) -> None:
        """A measurement is done; whatever is owed goes out."""
        self.owed.append(check)
        await self.send()

    async def send(self) -> None:
        """Send, or send again, the oldest record that was not acknowledged."""
        if self.owed:
            await self.line.write(encode_spot(self.owed[0]))

    def requests(self, data: bytes) -> Sequence[bytes]:
        self._buffer += data
        found: list[bytes] = []
        while (size := self._request_size()) is not None:
            found.append(self._buffer[:size])
            self._buffer = self._buffer[size:]
        return found

    def answers(self, request: bytes) -> Sequence[bytes]:
        if request == ACK:
            del self.owed[:1]
            return [encode_spot(check) for check in self.owed[:1]]
        if request == NAK:
            self.naks += 1
            return [encode_spot(check) for check in self.owed[:1]]
        if request == GET_TIME:
            return (time_reply(self.shown),)
        self.set_to.append(request)
        return ()

    def _request_size(self) -> int | None:
        """Bytes of the whole request that the buffer begins with; the host's line is clean, ours to it is not."""
        if not self._buffer:
            return None
        size = 1
        if self._buffer[0] == 2:
            size = len(GET_TIME) if self._buffer.startswith(GET_TIME[:3]) else self._set_length
        return size if len(self._buffer) >= size else None


class Ble3230Peer:
    """A virtual 3230 on bumble: notifies the records it is given, one a period."""

    def __init__(self, space: RadioSpace, clock: Clock, address: str, records: Iterable[Record3230]) -> None:
        self._space = space
        self._clock = clock
        self._address = address
        self._records = records
        self.peripheral: Any = None
        self._record = Characteristic(RECORD_3230, Characteristic.Properties.NOTIFY, Attribute.READABLE, b"")

    async def start(self) -> None:
        """Switch on: advertise."""
        service = Service(SERVICE_3230, [self._record])
        self.peripheral = await self._space.add_peripheral(self._address, "Nonin3230_501", [service], [])

    async def run(self, *, period_s: float = 1.0) -> None:
        """Notify until the records end or the task is cancelled; `start` comes first."""
        for record in self._records:
            await self._clock.sleep(period_s)
            await self.peripheral.notify(self._record, encode_3230(record))
