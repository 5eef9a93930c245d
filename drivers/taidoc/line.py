"""One question to a TaiDoc meter and its answer, on a port or over BLE; what is no answer to it is ignored."""

from collections.abc import Container
from typing import Protocol

from drivers.base import Device, Sink
from drivers.ble_gatt import Gatt
from drivers.serial_link import SerialPort, wire_seconds
from drivers.serial_stream import Reports
from drivers.taidoc.frame import CHARACTERISTIC, Frame, TaidocStream
from gateway.core.clock import Clock
from gateway.core.errors import LinkError
from gateway.core.model import Stamp

TRIES = 3  # the first byte only wakes a sleeping meter
REPLY_S = 0.5
QUIET_S = 0.1  # after a repeated question: a late answer to the first must not be taken for the next one's
BLE_REPLY_S = 3.0

Answer = tuple[Frame, Stamp]


class Line(Protocol):
    """A way to ask one meter. sleeps: one that does not answer is asleep, which over the air it is not."""

    sleeps: bool

    async def ask(self, request: bytes, replies: Container[int], *, optional: bool = False) -> Answer | None:
        """The first answer whose command is one of `replies`, with its receipt; None when none comes. LinkError.

        optional: not every meter knows the question, so that silence proves nothing about the link.
        """


class SerialLine:
    """A meter on a port that is open. Times on the wire are real, also under a demonstration's fast clock.

    long: a scale's frames are understood too.
    """

    sleeps = True

    def __init__(self, device: Device, port: SerialPort, clock: Clock, sink: Sink, *, long: bool = False) -> None:
        self._port = port
        self._clock = clock
        self._stream = TaidocStream(long=long)
        self._reports = Reports(device, port, sink)

    async def ask(self, request: bytes, replies: Container[int], *, optional: bool = False) -> Answer | None:
        for attempt in range(TRIES):
            self._reports.rejects(self._stream.drop_pending())
            await self._port.write(request)
            if (answer := await self._answer(replies)) is not None:
                if attempt:
                    await self.idle(wire_seconds(self._clock, QUIET_S))
                return answer
        return None

    async def idle(self, seconds: float) -> None:
        """Rest for `seconds` of the clock, listening: what comes unasked is ignored, an unplugged port noticed."""
        until = self._clock.now().plus_s(seconds)
        while (left_s := until.since_s(self._clock.now())) > 0:
            if (chunk := await self._port.read_within(left_s)) is not None:
                _, rejects = self._stream.feed(chunk[0])
                self._reports.rejects(rejects)

    async def _answer(self, replies: Container[int]) -> Answer | None:
        deadline = self._clock.now().plus_s(wire_seconds(self._clock, REPLY_S))
        while (left_s := deadline.since_s(self._clock.now())) > 0:
            if (chunk := await self._port.read_within(left_s)) is None:
                return None
            data, at = chunk
            frames, rejects = self._stream.feed(data)
            self._reports.rejects(rejects)
            for frame in frames:
                if frame.cmd in replies:
                    return frame, at
        return None


class BleLine:
    """A meter over GATT: one characteristic to write to and to be notified by. long: as in SerialLine."""

    sleeps = False

    def __init__(self, device: Device, gatt: Gatt, sink: Sink, *, long: bool = False) -> None:
        self._gatt = gatt
        self._stream = TaidocStream(long=long)
        self._reports = Reports(device, None, sink)

    async def ask(self, request: bytes, replies: Container[int], *, optional: bool = False) -> Answer | None:
        """As Line; a meter that is connected and silent is a LinkError, unless the question was optional."""
        await self._gatt.write(CHARACTERISTIC, request)
        try:
            return await self._answer(replies)
        except LinkError:
            if optional and self._gatt.client.is_connected:
                return None
            raise

    async def _answer(self, replies: Container[int]) -> Answer:
        while True:
            note = await self._gatt.next(BLE_REPLY_S)
            frames, rejects = self._stream.feed(note.data)
            self._reports.rejects(rejects)
            for frame in frames:
                if frame.cmd in replies:
                    return frame, note.at
