"""The slaves' end of an RS-485 bus on a pseudo-terminal: scripted inputs and registers, and every way to misbehave."""

import asyncio
from collections.abc import Iterable
from enum import StrEnum

from drivers.faulty_line import FaultyLine
from drivers.modbus_rtu.frame import Request, answer, parse_request, refusal
from drivers.modbus_rtu.registers import encode
from drivers.peer_ear import hear
from drivers.profile_schema import Poll, PollField, Profile
from drivers.serial_link import wire_seconds
from gateway.core.clock import Clock

REQUEST_BYTES = 8
MOST_BYTES = 256  # of unanswered input kept: what is older is no request any more


class Mood(StrEnum):
    WELL = "well"
    DEAD = "dead"
    WRONG_CRC = "wrong_crc"
    HALF_REPLY = "half_reply"
    BABBLE = "babble"  # answers with bytes that mean nothing, for as long as an answer would take ten times over
    REFUSE = "refuse"  # answers with the exception in `code`


def through_exchanged_wires(data: bytes) -> bytes:
    """What a receiver makes of `data` (8N1) when A and B are exchanged: every bit, the idle line too, is turned round.

    A character without its stop bit is handed on as 0, as Linux does.
    """
    bits = [1 - bit for byte in data for bit in (0, *((byte >> place) & 1 for place in range(8)), 1)] + [1] * 10
    heard, at = [], 1
    while at + 10 <= len(bits):
        if not (bits[at - 1] == 1 and bits[at] == 0):  # no edge into a start bit
            at += 1
            continue
        value = sum(bit << place for place, bit in enumerate(bits[at + 1 : at + 9]))
        stopped = bits[at + 9] == 1
        heard.append(value if stopped else 0)
        at += 10 if stopped else 9
    return bytes(heard)


class VirtualSlave:
    """One slave. delay_s: real seconds before it answers (a slow or a late one). asked: how often it was addressed."""

    def __init__(self, unit: int, profile: Profile) -> None:
        self.unit = unit
        self.mood = Mood.WELL
        self.code = 4
        self.delay_s = 0.0
        self.asked = 0
        self._profile = profile
        self._cells: dict[tuple[int, int], int] = {}
        for poll in profile.poll:
            for at in range(poll.size):
                self._cells[(poll.function, poll.address - poll.address_base + at)] = 0
            for entry in poll.field:
                if entry.must_equal is not None:
                    self.set(entry.name, entry.must_equal)

    def set(self, name: str, value: float | None) -> None:
        """Set a field of the model's map in its own unit; True or 1 closes an input, None is "not measured"."""
        poll, entry = self._find(name)
        first = poll.address - poll.address_base
        if entry.bit is not None:
            self._cells[(poll.function, first + entry.bit)] = int(bool(value))
            return
        for offset, register in enumerate(encode(entry, value)):
            self._cells[(poll.function, first + (entry.register_at or 0) + offset)] = register

    def set_all(self, **values: float | None) -> None:
        """Several fields between two requests: a reading appears whole."""
        for name, value in values.items():
            self.set(name, value)

    def reply(self, request: Request) -> bytes:
        """The right answer to an intact request."""
        addresses = range(request.address, request.address + request.count)
        if not any(function == request.function for function, _ in self._cells):
            return refusal(request, 1)
        cells = [self._cells.get((request.function, address)) for address in addresses]
        known = [cell for cell in cells if cell is not None]
        if len(known) < request.count or not known:
            return refusal(request, 2)
        if request.function in (1, 2):
            packed = sum(bit << at for at, bit in enumerate(known))
            return answer(request, packed.to_bytes(request.data_bytes, "little"))
        return answer(request, b"".join(register.to_bytes(2, "big") for register in known))

    def _find(self, name: str) -> tuple[Poll, PollField]:
        for poll in self._profile.poll:
            for entry in poll.field:
                if entry.name == name:
                    return poll, entry
        raise KeyError(f"{self._profile.device.id} has no field {name!r}")


class VirtualBus:
    """Slaves on the device's end `fd` of a pseudo-terminal. echo: the adapter hears itself; line: the cable.

    swapped: A and B of the pair towards the gateway are exchanged.
    """

    def __init__(
        self, fd: int, clock: Clock, slaves: Iterable[VirtualSlave], *, seed: int = 0, share: float = 0.0
    ) -> None:
        self.slaves = {slave.unit: slave for slave in slaves}
        self.line = FaultyLine(fd, clock, seed=seed, share=share)
        self.echo = False
        self.swapped = False
        self.received_bytes = 0
        self._fd = fd
        self._clock = clock
        self._buffer = b""

    async def run(self) -> None:
        """Answer until cancelled; cancel before the pseudo-terminal is closed. OSError once the port is gone."""
        async with asyncio.TaskGroup() as answers:
            await hear(self._fd, lambda arrived: self._take(arrived, answers))

    def _take(self, arrived: bytes, answers: asyncio.TaskGroup) -> None:
        self.received_bytes += len(arrived)
        self._buffer = (self._buffer + arrived)[-MOST_BYTES:]
        while len(self._buffer) >= REQUEST_BYTES:
            request = parse_request(self._buffer[:REQUEST_BYTES])
            self._buffer = self._buffer[REQUEST_BYTES if request else 1 :]
            if request is not None:
                answers.create_task(self._answer(request))

    async def _answer(self, request: Request) -> None:
        if self.echo:
            await self.line.write(request.adu)
        slave = self.slaves.get(request.unit)
        if slave is None:
            return
        slave.asked += 1
        await self._clock.sleep(wire_seconds(self._clock, slave.delay_s))
        if slave.mood is not Mood.DEAD and (spoken := self._spoken(slave, request)):
            await self.line.write(through_exchanged_wires(spoken) if self.swapped else spoken)

    def _spoken(self, slave: VirtualSlave, request: Request) -> bytes:
        frame = slave.reply(request)
        match slave.mood:
            case Mood.WRONG_CRC:
                return frame[:-1] + bytes((frame[-1] ^ 0x55,))
            case Mood.HALF_REPLY:
                return frame[: len(frame) // 2]
            case Mood.BABBLE:
                return bytes((0xA5, 0x5A)) * 5 * len(frame)
            case Mood.REFUSE:
                return refusal(request, slave.code)
            case _:
                return frame
