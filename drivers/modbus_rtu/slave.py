"""One slave: what to ask it and when, what its answers mean, and how a dead one is left alone.

A failed question is repeated at most `retries` times. After a failure the slave rests for its own timeout, in which the
other slaves are asked and a late answer runs dry (a damaged answer leaves none, it is asked again in turn). Then it
counts as lost and is probed once after 1, 5, 30, 30 ... s, so that it costs the bus one timeout a probe.
"""

import logging
from collections.abc import Sequence

from drivers.base import Device, Sink
from drivers.modbus_rtu.bus import NoReply, Reply
from drivers.modbus_rtu.contact import Contact, meaning_of, stray_settings
from drivers.modbus_rtu.frame import EXCEPTIONS, Request
from drivers.modbus_rtu.reading import ReadingWatch
from drivers.modbus_rtu.registers import Values, decode, request_of
from drivers.profile_schema import Modbus, Poll, PollField, Profile
from drivers.serial_link import wire_seconds
from gateway.core.clock import Clock
from gateway.core.errors import ConfigError, Fault
from gateway.core.model import Event, Measurement, Stamp
from gateway.core.quantities import QUANTITIES

log = logging.getLogger(__name__)

PACE_FLOOR_S = 0.02  # of real time between two polls of a kind: a fast clock does not make a bus faster
REFUSED_PACE_S = 5.0  # how often a question that the slave refuses is asked again
LOST_HINT = "check its power, A/B wires, unit id and baud; the other slaves go on"
BUSY = (5, 6)  # exceptions that pass by themselves


class Question:
    """One poll of one slave: its request, when it is due, and the meaning of its fields."""

    def __init__(self, device: Device, profile: Profile, poll: Poll, unit: int, pace_s: float, start: Stamp) -> None:
        self.poll = poll
        self.request: Request = request_of(poll, unit)
        self.pace_s = pace_s
        self.due = start
        self.refused = 0
        self.reading = ReadingWatch(device, poll, poll.reading) if poll.reading else None
        self.contacts: dict[str, Contact] = {}
        self.measured: tuple[PollField, ...] = ()
        if not poll.bits and not poll.reading:
            self.measured = tuple(entry for entry in poll.field if entry.quantity)
        for entry in poll.field if poll.bits else ():
            if (meaning := meaning_of(profile, entry, device)[0]) is not None:
                self.contacts[entry.name] = Contact(device.id, meaning)

    def forget(self) -> None:
        for contact in self.contacts.values():
            contact.forget()

    def asked(self, now: Stamp) -> None:
        """The next time, keeping the pace, but never in the past: an overloaded bus slows down, it does not pile up."""
        self.due = max(self.due.plus_s(self.pace_s), now)


class Slave:
    """One device on the bus. Up, lost, or not yet heard since start()."""

    def __init__(self, device: Device, profile: Profile, clock: Clock) -> None:
        self.device = device
        self.timing = profile.modbus or Modbus()
        self.unit = unit_of(device, profile)
        self._clock = clock
        floor_s = wire_seconds(clock, PACE_FLOOR_S)
        self.questions = [
            Question(device, profile, poll, self.unit, max(poll.every_ms / 1000, floor_s), clock.now())
            for poll in profile.poll
        ]
        self.start()

    def start(self) -> None:
        """The port has been opened: nothing is known of the slave, everything is due now."""
        self.is_up: bool | None = None
        self._failures = 0
        self._stage = 0
        self._rests_until = self._clock.now()
        for question in self.questions:
            question.due = self._clock.now()
            question.forget()

    @property
    def timeout_s(self) -> float:
        return self.timing.timeout_ms / 1000

    def next(self) -> tuple[Stamp, Question]:
        """When this slave is to be asked next, and what."""
        question = min(self.questions, key=lambda question: question.due)
        return max(question.due, self._rests_until), question

    def answered(self, question: Question, reply: Reply, sink: Sink) -> None:
        """An answer came; exceptions too prove that the slave is there."""
        question.asked(self._clock.now())
        self._failures = self._stage = 0
        if reply.noise:
            sink.rejected(self.device.id, "noise", reply.noise, count=len(reply.noise))
        if not self.is_up:
            self._found(reply.at, sink)
        if reply.code:
            self._refused(question, reply, sink)
            return
        sink.heard(self.device.id)
        self._accepted_again(question, reply.at, sink)
        values, refused = decode(question.poll, reply.data)
        if question.reading is not None:
            numbers = {name: value for name, value in values.items() if not isinstance(value, bool)}
            question.reading.step(numbers, refused, reply.raw, reply.at, sink)
            return
        for error in refused:
            sink.rejected(self.device.id, str(error).split(":")[0], reply.raw)
        self._tell(question, values, reply, sink)

    def failed(self, failure: NoReply, sink: Sink) -> None:
        """No answer, or none that could be used."""
        self._failures += 1
        rest_s = 0.0 if failure.reason == "checksum" else wire_seconds(self._clock, self.timeout_s)
        sink.rejected(self.device.id, failure.reason, failure.raw[-64:])
        if self.is_up is False or self._failures > self.timing.retries:
            backoff_s = self.timing.backoff_s
            rest_s = max(rest_s, backoff_s[min(self._stage, len(backoff_s) - 1)])
            self._stage += 1
            self._lost(failure, sink)
        self._rests_until = self._clock.now().plus_s(rest_s)

    def _tell(self, question: Question, values: Values, reply: Reply, sink: Sink) -> None:
        for name, contact in question.contacts.items():
            contact.step(bool(values[name]), reply.at, sink)
        for entry in question.measured:
            value = values.get(entry.name)
            if value is None or entry.quantity is None:
                continue
            if QUANTITIES[entry.quantity].plausible(value):
                bed = self.device.bed
                sink.measurement(Measurement(bed, self.device.id, entry.quantity, value, entry.unit, reply.at))
            else:
                sink.rejected(self.device.id, "implausible", reply.raw)

    def _found(self, at: Stamp, sink: Sink) -> None:
        if self.is_up is False:
            log.info("modbus slave is back: device=%s unit=%d", self.device.id, self.unit)
        self.is_up = True
        sink.event(Event("link_up", at, self.device.bed, self.device.id, {"unit": self.unit}))

    def _lost(self, failure: NoReply, sink: Sink) -> None:
        if self.is_up is False:
            log.debug("modbus slave still lost: device=%s unit=%d %s", self.device.id, self.unit, failure.reason)
            return
        self.is_up = False
        log.warning(
            "modbus slave lost: device=%s unit=%d: %s after %d tries of %d ms; %s",
            self.device.id,
            self.unit,
            failure.reason,
            self._failures,
            self.timing.timeout_ms,
            LOST_HINT,
        )
        for question in self.questions:
            question.forget()
        detail: dict[str, str | int] = {
            "reason": failure.reason, "hint": LOST_HINT, "unit": self.unit, "tries": self._failures
        }  # fmt: skip
        sink.event(Event("link_lost", failure.at, self.device.bed, self.device.id, detail))

    def _refused(self, question: Question, reply: Reply, sink: Sink) -> None:
        """An exception: a busy slave is asked again in turn, any other refusal is a fault of map or device."""
        sink.rejected(self.device.id, f"exception_{reply.code}", reply.raw)
        if reply.code in BUSY:
            return
        question.due = self._clock.now().plus_s(max(REFUSED_PACE_S, question.pace_s))
        question.forget()
        if question.refused != reply.code:
            question.refused = reply.code
            self._fault(question, reply.code, reply.at, sink, active=True)

    def _accepted_again(self, question: Question, at: Stamp, sink: Sink) -> None:
        if question.refused:
            self._fault(question, question.refused, at, sink, active=False)
            question.refused = 0

    def _fault(self, question: Question, code: int, at: Stamp, sink: Sink, *, active: bool) -> None:
        detail: dict[str, str | int | bool] = {
            "fault": f"exception_{code}",
            "meaning": EXCEPTIONS.get(code, "not in the standard"),
            "function": question.request.function,
            "address": question.request.address,
            "active": active,
        }
        sink.event(Event("device_fault", at, self.device.bed, self.device.id, detail))


def unit_of(device: Device, profile: Profile) -> int:
    """Unit id from the registry's address ("5", "0x50"), else the model's factory setting. Else ConfigError."""
    if not device.address:
        return (profile.modbus or Modbus()).unit
    try:
        unit = int(device.address, 0)
    except ValueError:
        unit = 0
    if not 1 <= unit <= 247:
        fault = Fault(0, "address", f"{device.address!r} is no unit id", "a number from 1 to 247, as set on the device")
        raise ConfigError(device.id, (fault,))
    return unit


def check(devices: Sequence[tuple[Device, Profile]]) -> None:
    """ConfigError with every fault of the devices of one bus: settings that mean nothing, unit ids used twice."""
    faults: list[Fault] = []
    owners: dict[int, str] = {}
    for device, profile in devices:
        for poll in profile.poll:
            for entry in poll.field if poll.bits else ():
                faults += meaning_of(profile, entry, device)[1]
        faults += stray_settings(profile, device)
        unit = unit_of(device, profile)
        if unit in owners:
            message = f"unit id {unit} of {device.id} is {owners[unit]}'s too"
            faults.append(Fault(0, "address", message, "set another unit id on one of the two devices"))
        owners[unit] = device.id
    if faults:
        raise ConfigError(", ".join(device.id for device, _ in devices), tuple(faults))
