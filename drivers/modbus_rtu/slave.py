"""One slave: what to ask it and when, what its answers mean, and how a dead one is left alone.

A failed question is repeated at most `retries` times. After a failure the slave rests for its own timeout, in which the
other slaves are asked and a late answer runs dry (a damaged answer leaves none, it is asked again in turn). Then it
counts as lost and is probed once after 1, 5, 30, 30 ... s, so that it costs the bus one timeout a probe.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from drivers.base import Device, Sink
from drivers.modbus_rtu.bus import NoReply, Reply
from drivers.modbus_rtu.contact import meaning_of, stray_settings
from drivers.modbus_rtu.frame import EXCEPTIONS
from drivers.modbus_rtu.question import Part, Question, together
from drivers.profile_schema import Modbus, Profile
from drivers.serial_link import wire_seconds
from gateway.core.clock import Clock
from gateway.core.errors import ConfigError, Fault
from gateway.core.model import Event, Stamp

log = logging.getLogger(__name__)

PACE_FLOOR_S = 0.02  # of real time between two polls of a kind: a fast clock does not make a bus faster
REFUSED_PACE_S = 5.0  # how often a question that the slave refuses is asked again
LOST_HINT = "check its power, A/B wires, unit id and baud; the other slaves go on"
BUSY = (5, 6)  # exceptions that pass by themselves
OUTSIDE = (2, 3)  # exceptions of a request that reaches beyond what the slave has
TIMEOUTS = ("no_reply", "half_reply")
SMOOTHING = 0.2  # weight of the newest reply time


@dataclass(slots=True)
class SlaveHealth:
    """What one slave has done since the daemon started, for the bus monitor.

    state: "unknown", "up" or "lost". polls: requests sent; answers: intact ones, refusals included. timeouts: no or
    half an answer; damaged: bytes that were none. probes: requests while lost. reply_ms: from the end of the request to
    the end of the answer, smoothed; 0 before the first one.
    """

    device: str
    unit: int
    state: str = "unknown"
    polls: int = 0
    answers: int = 0
    timeouts: int = 0
    damaged: int = 0
    refusals: int = 0
    probes: int = 0
    losses: int = 0
    reply_ms: float = 0.0
    last_answer: Stamp | None = None


class Slave:
    """One device on the bus. Up, lost, or not yet heard since start()."""

    def __init__(self, device: Device, profile: Profile, clock: Clock) -> None:
        self.device = device
        self.timing = profile.modbus or Modbus()
        self.unit = unit_of(device, profile)
        self._clock = clock
        self._floor_s = wire_seconds(clock, PACE_FLOOR_S)
        self._parts = [Part(device, profile, poll) for poll in profile.poll]
        self.health = SlaveHealth(device.id, self.unit)
        self.start()

    def start(self) -> None:
        """The port has been opened: nothing is known of the slave, everything is due now."""
        self.is_up: bool | None = None
        self.health.state = "unknown"
        self._failures = 0
        self._stage = 0
        self._rests_until = self._clock.now()
        groups = together(self._parts) if self.timing.merge else [[part] for part in self._parts]
        self.questions = [self._question(group) for group in groups]
        for question in self.questions:
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
        self._count_answer(reply)
        if reply.noise:
            sink.rejected(self.device.id, "noise", reply.noise, count=len(reply.noise))
        if not self.is_up:
            self._found(reply.at, sink)
        if reply.code:
            self._refused(question, reply, sink)
            return
        sink.heard(self.device.id)
        self._accepted_again(question, reply.at, sink)
        question.take(reply, sink)

    def failed(self, question: Question, failure: NoReply, sink: Sink) -> None:
        """No answer, or none that could be used."""
        self._count_failure(failure)
        self._failures += 1
        rest_s = 0.0 if failure.reason == "checksum" else wire_seconds(self._clock, self.timeout_s)
        sink.rejected(self.device.id, failure.reason, failure.raw[-64:])
        if self.is_up is False or self._failures > self.timing.retries:
            if self._split(question):
                self._failures = 0
            else:
                backoff_s = self.timing.backoff_s
                rest_s = max(rest_s, backoff_s[min(self._stage, len(backoff_s) - 1)])
                self._stage += 1
                self._lost(failure, sink)
        self._rests_until = self._clock.now().plus_s(rest_s)

    def _question(self, parts: Sequence[Part]) -> Question:
        return Question(parts, self.unit, self._floor_s, self._clock.now())

    def _split(self, question: Question) -> bool:
        """Ask each poll alone where the merged request never worked; False when there is nothing to split."""
        if not question.merged or question.proved:
            return False
        log.info("modbus slave does not answer merged polls, each is asked alone: device=%s", self.device.id)
        self.questions.remove(question)
        self.questions += [self._question((part,)) for part in question.parts]
        return True

    def _count_answer(self, reply: Reply) -> None:
        health = self.health
        health.polls += 1
        health.answers += 1
        health.refusals += bool(reply.code)
        health.last_answer = reply.at
        took_ms = 1000 * reply.took_s
        health.reply_ms += (took_ms - health.reply_ms) * (SMOOTHING if health.reply_ms else 1.0)

    def _count_failure(self, failure: NoReply) -> None:
        self.health.polls += 1
        self.health.probes += self.is_up is False
        if failure.reason in TIMEOUTS:
            self.health.timeouts += 1
        else:
            self.health.damaged += 1

    def _found(self, at: Stamp, sink: Sink) -> None:
        if self.is_up is False:
            log.info("modbus slave is back: device=%s unit=%d", self.device.id, self.unit)
        self.is_up = True
        self.health.state = "up"
        sink.event(Event("link_up", at, self.device.bed, self.device.id, {"unit": self.unit}))

    def _lost(self, failure: NoReply, sink: Sink) -> None:
        if self.is_up is False:
            log.debug("modbus slave still lost: device=%s unit=%d %s", self.device.id, self.unit, failure.reason)
            return
        self.is_up = False
        self.health.state = "lost"
        self.health.losses += 1
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
            question.refused = 0  # what it refuses once it is back is told again
        detail: dict[str, str | int] = {
            "reason": failure.reason, "hint": LOST_HINT, "unit": self.unit, "tries": self._failures
        }  # fmt: skip
        sink.event(Event("link_lost", failure.at, self.device.bed, self.device.id, detail))

    def _refused(self, question: Question, reply: Reply, sink: Sink) -> None:
        """An exception: a busy slave is asked again in turn, any other refusal is a fault of map or device."""
        sink.rejected(self.device.id, f"exception_{reply.code}", reply.raw)
        if reply.code in BUSY or (reply.code in OUTSIDE and self._split(question)):
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
