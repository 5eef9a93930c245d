"""The meter's end: a memory of records, a clock that may be wrong, asleep or awake, on a wire or on bumble."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bumble.att import Attribute
from bumble.gatt import Characteristic, CharacteristicValue, Service

from drivers.answer_peer import AnswerPeer
from drivers.ble_virtual_ward import RadioSpace
from drivers.taidoc.frame import (
    CHARACTERISTIC,
    FROM_DEVICE,
    LONG,
    SERVICE,
    TO_DEVICE,
    Command,
    Frame,
    TaidocStream,
    encode,
    encode_time,
)
from drivers.taidoc.scale import LEAST_DATA, NO_YEAR
from gateway.core.clock import Clock

KNOWN = frozenset(Command)  # whatever else a host asks, erasing above all, is not understood
NO_WEIGHING = bytes((0, NO_YEAR)) + bytes(LEAST_DATA)  # what a scale says of a place that is empty


@dataclass
class Memory:
    """What a meter holds. records: (local time, value bytes), newest first; a scale's value is a whole weighing.

    model: as in TD-3128. live: four bytes for each live request, the last one for ever.
    stop_after: requests answered before it falls silent. marks: flags in the upper bits of minute and hour, by a
    record's time. mute_to: commands it does not know. counted_for: the users whose records somebody wanted counted.
    """

    model: str
    clock: datetime
    records: list[tuple[datetime, bytes]] = field(default_factory=list)
    live: list[bytes] = field(default_factory=lambda: [bytes(4)])
    stop_after: int | None = None
    set_to: list[bytes] = field(default_factory=list)
    marks: dict[datetime, tuple[int, int]] = field(default_factory=dict)
    mute_to: frozenset[int] = frozenset()
    counted_for: list[int] = field(default_factory=list)
    switched_off: int = 0

    def store(self, shown: datetime, value: bytes) -> None:
        """A measurement, newest of all."""
        self.records.insert(0, (shown, value))

    def answer(self, request: Frame) -> bytes | None:
        """The frame that answers, None when the meter stays silent."""
        if self.stop_after is not None:
            if self.stop_after <= 0:
                return None
            self.stop_after -= 1
        if request.cmd in self.mute_to:
            return None
        return encode(request.cmd, self._data(request), FROM_DEVICE, is_long=request.is_long)

    def _time(self, shown: datetime) -> bytes:
        minute, hour = self.marks.get(shown, (0, 0))
        data = encode_time(shown)
        return data[:2] + bytes((data[2] | minute, data[3] | hour))

    def _data(self, request: Frame) -> bytes:
        index = int.from_bytes(request.data[:2], "little")
        match request.cmd:
            case Command.MODEL:
                return bytes.fromhex(self.model.removeprefix("TD-"))[::-1] + bytes(2)
            case Command.GET_TIME:
                return encode_time(self.clock)
            case Command.SET_TIME:
                self.set_to.append(request.data)
            case Command.COUNT:
                self.counted_for.append(request.data[0])
                return len(self.records).to_bytes(2, "little") + (bytes(2) if self.records else b"\xff\xff")
            case Command.RECORD_TIME if index < len(self.records):
                return self._time(self.records[index][0])
            case Command.WEIGHING | Command.WEIGHING_BIA:
                return self.records[index][1] if index < len(self.records) else NO_WEIGHING
            case Command.RECORD_VALUE if index < len(self.records):
                return self.records[index][1]
            case Command.LIVE_SPO2:
                return self.live.pop(0) if len(self.live) > 1 else self.live[0]
            case Command.POWER_OFF:
                self.switched_off += 1
        return bytes(4)


class TaidocPeer(AnswerPeer):
    """A virtual meter on the device's end of a pseudo-terminal."""

    def __init__(self, fd: int, clock: Clock, memory: Memory, *, seed: int = 0, share: float = 0.0) -> None:
        super().__init__(fd, clock, seed=seed, share=share)
        self.memory = memory
        self._stream = TaidocStream(TO_DEVICE, long=True)

    def requests(self, data: bytes) -> Sequence[bytes]:
        frames, _ = self._stream.feed(data)
        return [frame.raw for frame in frames if frame.cmd in KNOWN]

    def answers(self, request: bytes) -> Sequence[bytes]:
        answer = self.memory.answer(request_of(request))
        return () if answer is None else (answer,)


def request_of(raw: bytes) -> Frame:
    """A whole request of a host."""
    if raw[1] in LONG:
        return Frame(raw[1], raw[3:-2], TO_DEVICE, is_long=True)
    return Frame(raw[1], raw[2:6], TO_DEVICE)


class BleTaidocPeer:
    """A virtual meter on bumble. hang_up_after: requests after which it disconnects in the middle of a visit.

    also: services that it offers beside its own, or instead of it when `own` is false. note_size: bytes of one
    notification, longer answers come in several.
    """

    def __init__(
        self,
        space: RadioSpace,
        address: str,
        memory: Memory,
        *,
        hang_up_after: int | None = None,
        also: Sequence[Service] = (),
        own: bool = True,
        note_size: int = 20,
    ) -> None:
        self._also = tuple(also)
        self._own = own
        self._note_size = note_size
        self.memory = memory
        self.hang_up_after = hang_up_after
        self.asked: list[bytes] = []
        self.peripheral: Any = None
        self._space = space
        self._address = address
        self._arrived = asyncio.Event()
        self._requests: list[bytes] = []
        properties = Characteristic.Properties
        self._channel = Characteristic(
            CHARACTERISTIC,
            properties.WRITE | properties.NOTIFY,
            Attribute.WRITEABLE | Attribute.READABLE,
            CharacteristicValue(write=self._written),
        )

    async def start(self) -> None:
        """Switch on: advertise."""
        own = [Service(SERVICE, [self._channel])] if self._own else []
        self.peripheral = await self._space.add_peripheral(self._address, "TAIDOC", [*own, *self._also], [])

    async def run(self) -> None:
        """Answer until cancelled; `start` comes first."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._requests:
                await self._answer(self._requests.pop(0))

    def _written(self, _connection: Any, value: bytes) -> None:
        self._requests.append(bytes(value))
        self._arrived.set()

    async def _answer(self, request: bytes) -> None:
        self.asked.append(request)
        if self.hang_up_after is not None and len(self.asked) >= self.hang_up_after:
            self.hang_up_after = None
            await self.peripheral.hang_up()
            return
        answer = self.memory.answer(request_of(request)) or b""
        for at in range(0, len(answer), self._note_size):
            await self.peripheral.notify(self._channel, answer[at : at + self._note_size])
        if request[1] == Command.POWER_OFF:
            await self.peripheral.hang_up()
