"""What is asked of a slave: polls of one pace and function become one request where their registers lie together.

A slave may not know the registers between two polls, or not give so many at once: then each poll is asked alone again.
"""

from collections.abc import Sequence

from drivers.base import Device, Sink
from drivers.modbus_rtu.bus import Reply
from drivers.modbus_rtu.contact import Contact, meaning_of
from drivers.modbus_rtu.frame import Request
from drivers.modbus_rtu.reading import ReadingWatch
from drivers.modbus_rtu.registers import Values, decode, request_of
from drivers.profile_schema import Poll, PollField, Profile
from gateway.core.model import Measurement, Stamp
from gateway.core.quantities import QUANTITIES

MOST_GAP = 8  # registers nobody asked for that one request may carry: cheaper than a second silence and header
MOST_REGISTERS = 125  # of one answer (Modbus application protocol V1.1b3, 6.3)


class Part:
    """One poll of the profile, and what its fields mean for this device."""

    def __init__(self, device: Device, profile: Profile, poll: Poll) -> None:
        self.poll = poll
        self.first = poll.address - poll.address_base
        self.end = self.first + poll.size
        self._device = device
        self._reading = ReadingWatch(device, poll, poll.reading) if poll.reading else None
        self._contacts: dict[str, Contact] = {}
        self._measured: tuple[PollField, ...] = ()
        if not poll.bits and not poll.reading:
            self._measured = tuple(entry for entry in poll.field if entry.quantity)
        for entry in poll.field if poll.bits else ():
            if (meaning := meaning_of(profile, entry, device)[0]) is not None:
                self._contacts[entry.name] = Contact(device.id, meaning)

    def forget(self) -> None:
        """The link was lost: the next state of each contact is news."""
        for contact in self._contacts.values():
            contact.forget()

    def take(self, data: bytes, reply: Reply, sink: Sink) -> None:
        """This poll's share `data` of an answer."""
        values, refused = decode(self.poll, data)
        if self._reading is not None:
            numbers = {name: value for name, value in values.items() if not isinstance(value, bool)}
            self._reading.step(numbers, refused, reply.raw, reply.at, sink)
            return
        for error in refused:
            sink.rejected(self._device.id, str(error).split(":")[0], reply.raw)
        for name, contact in self._contacts.items():
            contact.step(bool(values[name]), reply.at, sink)
        self._measure(values, reply, sink)

    def _measure(self, values: Values, reply: Reply, sink: Sink) -> None:
        device = self._device
        for entry in self._measured:
            value = values.get(entry.name)
            if value is None or entry.quantity is None:
                continue
            if QUANTITIES[entry.quantity].plausible(value):
                sink.measurement(Measurement(device.bed, device.id, entry.quantity, value, entry.unit, reply.at))
            else:
                sink.rejected(device.id, "implausible", reply.raw)


class Question:
    """One request, when it is due, and the polls that it answers. proved: it has been answered with data."""

    def __init__(self, parts: Sequence[Part], unit: int, floor_s: float, start: Stamp) -> None:
        poll = parts[0].poll
        first = min(part.first for part in parts)
        size = max(part.end for part in parts) - first
        self.parts = tuple(parts)
        self.request = request_of(poll, unit) if len(parts) == 1 else Request(unit, poll.function, first, size)
        self.pace_s = max(poll.every_ms / 1000, floor_s)
        self.due = start
        self.refused = 0
        self.proved = False

    @property
    def merged(self) -> bool:
        return len(self.parts) > 1

    def forget(self) -> None:
        for part in self.parts:
            part.forget()

    def asked(self, now: Stamp) -> None:
        """The next time, keeping the pace, but never in the past: an overloaded bus slows down, it does not pile up."""
        self.due = max(self.due.plus_s(self.pace_s), now)

    def take(self, reply: Reply, sink: Sink) -> None:
        """An answer with data: each poll gets its registers."""
        self.proved = True
        for part in self.parts:
            at = 0 if part.poll.bits else 2 * (part.first - self.request.address)
            size = len(reply.data) if part.poll.bits else 2 * part.poll.size
            part.take(reply.data[at : at + size], reply, sink)


def together(parts: Sequence[Part]) -> list[list[Part]]:
    """Polls that one request can answer: registers of one function and pace, at most MOST_GAP apart."""
    groups: list[list[Part]] = []
    for part in sorted(parts, key=lambda part: (part.poll.function, part.poll.every_ms, part.first)):
        if groups and _fits(groups[-1], part):
            groups[-1].append(part)
        else:
            groups.append([part])
    return groups


def _fits(group: Sequence[Part], part: Part) -> bool:
    one, other = group[0].poll, part.poll
    if other.bits or (one.function, one.every_ms) != (other.function, other.every_ms):
        return False
    end = max(member.end for member in group)
    return part.first - end <= MOST_GAP and max(end, part.end) - group[0].first <= MOST_REGISTERS
