"""One question and its answer on a half-duplex bus: silence before, a bounded wait, nothing taken for somebody else's.

Times on the wire are real, also under a demonstration's fast clock.
"""

from dataclasses import dataclass

from drivers.modbus_rtu.frame import LONGEST_ADU, Request, search
from drivers.serial_link import SerialPort, wire_seconds
from gateway.core.clock import Clock
from gateway.core.model import Stamp

MOST_BYTES = 4 * LONGEST_ADU  # of one transaction: more is a babbling line, whose bytes are no longer kept
FAST_BAUD = 19_200  # above it the silent interval is fixed (serial line guide V1.02, 2.5.1.1)
FAST_SILENCE_S = 0.00175
SILENT_CHARACTERS = 3.5
MOST_SILENCES = 10  # how many silent intervals we wait for quiet before asking into the babble


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, stamped at receipt of the chunk with its last byte. code: of an exception, 0 for data.

    took_s: real seconds from the end of the request on the wire to `at`. echo: our own request came back before it.
    """

    data: bytes
    raw: bytes
    code: int
    at: Stamp
    noise: bytes
    took_s: float = 0.0
    echo: bool = False


@dataclass(frozen=True, slots=True)
class NoReply:
    """reason: "no_reply", "half_reply", "checksum", "noise" or "babble"; raw: what came instead."""

    reason: str
    raw: bytes
    at: Stamp
    echo: bool = False


class Bus:
    """The wire of one port. Asks one at a time; its caller is the only one. unasked_bytes: came to no question."""

    def __init__(self, port: SerialPort, clock: Clock) -> None:
        self._port = port
        self._clock = clock
        self._last_traffic = clock.now()
        self.unasked_bytes = 0
        characters_s = SILENT_CHARACTERS * port.character_s
        self._silence_s = FAST_SILENCE_S if port.baud > FAST_BAUD else characters_s

    async def ask(self, request: Request, *, timeout_s: float, turnaround_s: float) -> Reply | NoReply:
        """Send the request and wait for its answer: at most timeout_s beyond the time both take on the wire."""
        await self._quiet(max(self._silence_s, turnaround_s))
        self.unasked_bytes += self._port.discard()
        await self._port.write(request.adu)
        sent = self._clock.now().plus_s(wire_seconds(self._clock, len(request.adu) * self._port.character_s))
        answer_s = timeout_s + request.answer_bytes * self._port.character_s
        return await self._answer(request, sent, sent.plus_s(wire_seconds(self._clock, answer_s)))

    async def idle(self, until: Stamp) -> None:
        """Rest until a moment, still listening: what comes unasked is thrown away, an unplugged port is noticed."""
        while (left_s := until.since_s(self._clock.now())) > 0:
            await self._drop_one(left_s)

    async def _answer(self, request: Request, sent: Stamp, deadline: Stamp) -> Reply | NoReply:
        buffer = b""
        while True:
            left_s = deadline.since_s(self._clock.now())
            chunk = await self._port.read_within(left_s) if left_s > 0 else None
            if chunk is None:
                break
            data, self._last_traffic = chunk
            buffer += data
            found, _ = search(request, buffer)
            echo = buffer.startswith(request.adu)
            if found is not None:
                at = self._last_traffic
                took_s = max(0.0, at.since_s(sent)) / self._clock.speed
                return Reply(found.data, found.frame, found.code, at, found.noise, took_s, echo)
            if len(buffer) > MOST_BYTES:  # a line that never rests: give up at once, its bytes are counted, not kept
                return NoReply("babble", buffer, self._clock.now(), echo)
        _, seen = search(request, buffer)
        return NoReply(seen, buffer, self._clock.now(), buffer.startswith(request.adu))

    async def _quiet(self, silence_s: float) -> None:
        wanted_s = wire_seconds(self._clock, silence_s)
        give_up = self._clock.now().plus_s(MOST_SILENCES * wanted_s)
        while (left_s := self._last_traffic.plus_s(wanted_s).since_s(self._clock.now())) > 0:
            await self._drop_one(left_s)
            if self._clock.now() > give_up:
                return

    async def _drop_one(self, seconds: float) -> None:
        if (chunk := await self._port.read_within(seconds)) is not None:
            data, self._last_traffic = chunk
            self.unasked_bytes += len(data)
