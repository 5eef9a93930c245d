"""One visit to a TaiDoc meter: wake it, know it, compare and set its clock, read what is new, switch it off.

Nothing is told before all new records are here: a visit that is cut is made again from the beginning, so that no record
between a told one and a known one is passed over.
"""

import logging
from collections import OrderedDict
from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime

from drivers.base import Device, Sink
from drivers.local_time import UNSET_S, local_time, time_is_known, zone_of
from drivers.spot_reading import refuse, tell
from drivers.taidoc.frame import (
    CONNECT_REPLIES,
    Command,
    decode_count,
    decode_model,
    decode_time,
    encode,
    encode_time,
    record_request,
    weighing_request,
)
from drivers.taidoc.line import Answer, Line
from drivers.taidoc.meaning import Meaning, meaning
from drivers.taidoc.models import Kind, Model
from drivers.taidoc.scale import is_empty, moment
from gateway.core.clock import Clock
from gateway.core.errors import LinkError, ProtocolError
from gateway.core.model import Detail, Event, Stamp

log = logging.getLogger(__name__)

MOST_RECORDS = 2000  # more than any meter keeps: a count beyond it is damage
REMEMBERED = 4000  # told records, so that a meter's whole memory is known
FIRST_LOOK_S = 24 * 3600.0  # without a known record, older ones were probably told before this program started


@dataclass(frozen=True, slots=True)
class Record:
    """A record as read. time: its four bytes, none of a scale's, whose value holds it. shown: the meter's own time of
    it, None when that is none. raw: the frames that brought it."""

    time: bytes
    value: bytes
    shown: datetime | None
    at: Stamp
    raw: bytes

    @property
    def key(self) -> bytes:
        return self.time + self.value


class Records:
    """What has been told. The setting last_record (hex) carries the newest across a restart."""

    def __init__(self, device: Device) -> None:
        last = str(device.settings.get("last_record", ""))
        self._known: OrderedDict[bytes, None] = OrderedDict()  # full: the oldest is forgotten
        try:
            if last:
                self._known[bytes.fromhex(last)] = None
        except ValueError:
            raise ValueError(f"{device.id}: last_record {last!r} is not hexadecimal") from None

    @property
    def is_first_look(self) -> bool:
        return not self._known

    def __contains__(self, key: bytes) -> bool:
        return key in self._known

    def add(self, key: bytes) -> None:
        self._known[key] = None
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


class Session:
    """Visits to one meter; what it told is remembered between them."""

    def __init__(self, device: Device, clock: Clock, model: Model) -> None:
        self._device = device
        self._clock = clock
        self._model = model
        self._is_scale = model.kind is Kind.WEIGHT
        self._greets = True  # until one that is awake has ignored it: over the air many do
        self._zone = zone_of(device)
        self._records = Records(device)
        self._shown: tuple[datetime, Stamp] | None = None  # the meter's clock, and when it showed that

    async def greet(self, line: Line, sink: Sink) -> bool:
        """Wake it, see that it is the right one, compare and set its clock. False when it sleeps or broke off.

        LinkError when it is another model than the registry names: its bytes would be taken for something else.
        """
        if self._greets:
            answer = await self._ask(line, Command.CONNECT, replies=CONNECT_REPLIES, optional=True)
            if answer is None and line.sleeps:
                return False
            self._greets = answer is not None
        answer = await self._ask(line, Command.MODEL, optional=self._is_scale)
        if answer is None and not self._is_scale:
            return False
        sink.heard(self._device.id)
        if answer is not None:
            self._check_model(answer, sink)
        await self._set_clock(line, sink)
        return True

    async def read(self, line: Line, sink: Sink) -> bool:
        """Tell what is new, oldest first. False when the meter broke off: then nothing has been told."""
        fresh = await (self._fetch_weighings(line) if self._is_scale else self._fetch(line))
        if fresh is None:
            sink.rejected(self._device.id, "session_cut", b"")
            return False
        sink.heard(self._device.id)
        first_look = self._records.is_first_look
        for record in reversed(fresh):
            self._tell(record, sink, first_look=first_look)
            self._records.add(record.key)
        if fresh:
            detail: dict[str, str | int] = {"last_record": fresh[0].key.hex(), "count": len(fresh)}
            sink.event(Event("records_read", self._clock.now(), self._device.bed, self._device.id, detail))
        return True

    async def switch_off(self, line: Line) -> None:
        """The meter would stay awake for minutes, and a cuff's display lit. Over BLE it hangs up without an answer."""
        try:
            await self._ask(line, Command.POWER_OFF)
        except LinkError as error:
            log.debug("%s: switched off: %s", self._device.id, error)

    async def _ask(
        self,
        line: Line,
        command: Command,
        data: bytes = bytes(4),
        replies: Container[int] | None = None,
        *,
        optional: bool = False,
    ) -> Answer | None:
        return await line.ask(encode(command, data), (command,) if replies is None else replies, optional=optional)

    def _check_model(self, answer: Answer, sink: Sink) -> None:
        frame, at = answer
        try:
            seen = decode_model(frame.data)
        except ProtocolError:
            sink.rejected(self._device.id, "model", frame.raw)
            seen = "no model number"
        if self._model.number and seen != self._model.number:
            detail: dict[str, str | bool] = {"fault": "wrong_model", "active": True, "seen": seen}
            sink.event(Event("device_fault", at, self._device.bed, self._device.id, detail))
            message = f"{self._device.id}: the meter says {seen}, the registry {self._model.number}"
            raise LinkError(message, hint="plug in the right meter, or register this one by its own model")

    async def _set_clock(self, line: Line, sink: Sink) -> None:
        self._shown = None
        answer = await self._ask(line, Command.GET_TIME, optional=True)
        if answer is not None:
            self._compare(answer, sink)
        if time_is_known(self._clock):
            local = local_time(self._clock, self._clock.now(), self._zone)
            await self._ask(line, Command.SET_TIME, encode_time(local), optional=True)

    def _compare(self, answer: Answer, sink: Sink) -> None:
        frame, at = answer
        try:
            shown = decode_time(frame.data)
        except ProtocolError:
            sink.rejected(self._device.id, "device_time", frame.raw)
            return
        self._shown = shown, at
        if not time_is_known(self._clock):
            return
        offset_s = (shown - local_time(self._clock, at, self._zone)).total_seconds()
        kind = "device_clock" if abs(offset_s) <= UNSET_S else "device_clock_unset"
        detail: dict[str, float] = {"offset_s": round(offset_s, 1)}
        sink.event(Event(kind, at, self._device.bed, self._device.id, detail))

    async def _fetch(self, line: Line) -> list[Record] | None:
        """New records, newest first; None when the meter broke off."""
        answer = await self._ask(line, Command.COUNT, bytes((self._model.user, 0, 0, 0)))
        if answer is None:
            return None
        fresh: list[Record] = []
        for index in range(min(decode_count(answer[0].data), MOST_RECORDS)):
            record = await self._record(line, index)
            if record is None:
                return None
            if record.key in self._records:
                break
            fresh.append(record)
        return fresh

    async def _record(self, line: Line, index: int) -> Record | None:
        user = self._model.user
        time = await line.ask(record_request(Command.RECORD_TIME, index, user), (Command.RECORD_TIME,))
        if time is None:
            return None
        value = await line.ask(record_request(Command.RECORD_VALUE, index, user), (Command.RECORD_VALUE,))
        if value is None:
            return None
        (when, _), (what, at) = time, value
        try:
            shown = decode_time(when.data)
        except ProtocolError:
            shown = None
        return Record(when.data, what.data, shown, at, when.raw + what.raw)

    async def _fetch_weighings(self, line: Line) -> list[Record] | None:
        """As _fetch. Of the public readers of these scales some ask how many there are, some only for the newest: a
        scale that does not know the number, or no older one, still gives what it has."""
        counted = await self._ask(line, Command.COUNT, optional=True)
        count = 1 if counted is None else max(1, decode_count(counted[0].data))
        command = self._model.weighing
        fresh: list[Record] = []
        for index in range(min(count, MOST_RECORDS)):
            answer = await line.ask(weighing_request(command, index), (command,), optional=index > 0)
            if answer is None:
                return fresh if index else None
            frame, at = answer
            record = Record(b"", frame.data, moment(frame.data), at, frame.raw)
            if is_empty(frame.data) or record.key in self._records or (fresh and record.key == fresh[-1].key):
                break
            fresh.append(record)
        return fresh

    def _age_s(self, record: Record) -> float | None:
        """By the meter's own clock as it stood before it was set; None when it does not tell."""
        if self._shown is None or record.shown is None:
            return None
        now, at = self._shown
        age_s = (now - record.shown).total_seconds() + record.at.since_s(at)
        return age_s if age_s >= 0 else None

    def _tell(self, record: Record, sink: Sink, *, first_look: bool) -> None:
        device = self._device
        age_s = self._age_s(record)
        if first_look and age_s is not None and age_s > FIRST_LOOK_S:
            sink.rejected(device.id, "before_first_look", record.raw)
            return
        try:
            found = meaning(self._model, record.value, record.time)
        except ProtocolError as error:
            refuse(sink, device, record.at, str(error).split(":")[0], record.raw)
            return
        if found.is_control:
            detail: Detail = {**found.original, "raw": record.raw.hex()}
            sink.event(Event("control_solution", record.at, device.bed, device.id, detail))
            return
        self._tell_person(record, found, age_s, sink)

    def _tell_person(self, record: Record, found: Meaning, age_s: float | None, sink: Sink) -> None:
        device = self._device
        dated = age_s is not None and age_s * 1e9 <= record.at.mono_ns
        when = record.at.plus_s(-age_s) if dated and age_s is not None else record.at
        told = "" if record.shown is None else f"{record.shown.isoformat()} {record.value.hex()}"
        if tell(sink, device, when, record.raw, found.values, status=found.status, is_spot=True, record=told):
            detail: dict[str, str | int | float | bool] = dict(found.original)
            detail["time_source"] = "device" if dated else "gateway"
            if record.shown is not None:
                detail["device_time"] = record.shown.isoformat()
            sink.event(Event("reading", when, device.bed, device.id, detail))
