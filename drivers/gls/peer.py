"""The meter's end of the wire, on bumble: stored records, contexts, RACP, a clock; and a meter's faults on demand."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from bumble.att import ATT_Error, Attribute, ErrorCode
from bumble.core import UUID
from bumble.gatt import Characteristic, CharacteristicValue, Service

from drivers.ble_values import current_time_bytes, date_time
from drivers.ble_virtual_ward import Peripheral, RadioSpace
from drivers.gls import frame, racp
from gateway.core.clock import Clock

GLUCOSE_SERVICE = UUID("1808")
NOT_COMPLETED = 8
MEMORY = 720  # records an Accu-Chek Guide keeps; the oldest go


@dataclass
class Faults:
    """What a meter may do wrong; set before a visit.

    hang_up_after: records of a report after which it disconnects, once. lose: positions (from 0) that are never sent.
    repeat: each record is sent twice. garbage: bytes sent before the first record. without_context: contexts are
    promised and not sent. refuse_from: knows only "report all". refuse_all: knows no report. busy: ends with "not
    completed". newest_first: order. hang_up_when_done: disconnects behind the answer, as many do. delay_s: between two
    records.
    """

    hang_up_after: int | None = None
    lose: tuple[int, ...] = ()
    repeat: bool = False
    garbage: bytes = b""
    without_context: bool = False
    refuse_from: bool = False
    refuse_all: bool = False
    busy: bool = False
    newest_first: bool = False
    hang_up_when_done: bool = False
    delay_s: float = 0.0


@dataclass
class _Stored:
    glucose: frame.Glucose
    context: frame.Context | None = None


@dataclass
class Seen:
    """What the meter noticed of its central."""

    requests: list[racp.Request] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)
    sent: int = 0


class GlucoseMeter:
    """A meter whose control point needs an encrypted link. local: what its clock shows."""

    def __init__(self, space: RadioSpace, clock: Clock, address: str, local: Callable[[], datetime]) -> None:
        self.faults = Faults()
        self.seen = Seen()
        self.battery_percent = 80
        self._space = space
        self._clock = clock
        self._address = address
        self._local = local
        self._clock_ahead_s = 0.0
        self._records: list[_Stored] = []  # bounded by MEMORY; full: the oldest is forgotten
        self._sequence = 0
        self._questions: asyncio.Queue[racp.Request | racp.Answer] = asyncio.Queue(4)  # full: the write is refused
        self.peripheral: Peripheral
        self._build()

    def _build(self) -> None:
        properties = Characteristic.Properties
        notify, indicate, read, write = properties.NOTIFY, properties.INDICATE, properties.READ, properties.WRITE
        self._measurement = Characteristic("2A18", notify, Attribute.READABLE, b"")
        self._context = Characteristic("2A34", notify, Attribute.READABLE, b"")
        feature = Characteristic("2A51", read, Attribute.READABLE, b"\x00\x00")
        self._racp = Characteristic(
            "2A52",
            write | indicate,
            Attribute.WRITEABLE | Attribute.WRITE_REQUIRES_ENCRYPTION,
            CharacteristicValue(write=self._asked),
        )
        time = Characteristic(
            "2A2B",
            read | write,
            Attribute.READABLE | Attribute.WRITEABLE | Attribute.WRITE_REQUIRES_ENCRYPTION,
            CharacteristicValue(read=lambda _connection: current_time_bytes(self.shown()), write=self._set_time),
        )
        level = Characteristic(
            "2A19",
            read,
            Attribute.READABLE,
            CharacteristicValue(read=lambda _connection: bytes([self.battery_percent])),
        )
        self.services = [
            Service("1808", [self._measurement, self._context, feature, self._racp]),
            Service("1805", [time]),
            Service("180F", [level]),
        ]

    async def start(self, name: str = "meter+00000001") -> None:
        """Switch on: advertise."""
        self.peripheral = await self._space.add_peripheral(self._address, name, self.services, [GLUCOSE_SERVICE])

    def shown(self) -> datetime:
        """What its display shows."""
        return self._local() + timedelta(seconds=self._clock_ahead_s)

    def put_clock_off(self, seconds: float) -> None:
        """A clock that is wrong by so much, ahead when positive."""
        self._clock_ahead_s = seconds

    def measure(self, record: frame.Glucose, context: frame.Context | None = None, *, age_s: float = 0.0) -> int:
        """Store one record with the next number, taken `age_s` ago by its own clock. Returns its number."""
        self._sequence += 1
        taken = (self.shown() - timedelta(seconds=age_s)).replace(microsecond=0)
        stored = replace(record, sequence=self._sequence, base_time=taken, context_follows=context is not None)
        joined = None if context is None else replace(context, sequence=self._sequence)
        self._records.append(_Stored(stored, joined))
        del self._records[:-MEMORY]
        return self._sequence

    def change_battery(self) -> None:
        """Its memory is empty afterwards, and its numbers begin anew."""
        self._records.clear()
        self._sequence = 0

    def _set_time(self, _connection: Any, data: bytes) -> None:
        written = date_time(bytes(data[:7]))
        if written is not None:
            self.seen.times.append(written)
            self._clock_ahead_s = (written - self._local()).total_seconds()

    def _asked(self, _connection: Any, data: bytes) -> None:
        """The write is answered first; the report follows from `run`."""
        request = racp.decode_request(bytes(data))
        if isinstance(request, racp.Request):
            self.seen.requests.append(request)
        try:
            self._questions.put_nowait(request)
        except asyncio.QueueFull:
            raise ATT_Error(error_code=ErrorCode.PROCEDURE_ALREADY_IN_PROGRESS) from None

    async def run(self) -> None:
        """Answer the control point until cancelled; `start` comes first."""
        while True:
            request = await self._questions.get()
            if isinstance(request, racp.Answer):
                await self._indicate(request)
            elif request.op is racp.Op.REPORT:
                await self._report(request)
            elif request.op is racp.Op.COUNT:
                await self._indicate(racp.RecordCount(len(self._chosen(request))))
            else:  # an abort comes when nothing runs any more: reports are not interrupted
                await self._indicate(racp.Answer(racp.Op.ABORT, racp.SUCCESS))

    def _chosen(self, request: racp.Request) -> list[_Stored]:
        match request.operator:
            case racp.Operator.FROM:
                return [one for one in self._records if one.glucose.sequence >= (request.sequence or 0)]
            case racp.Operator.FIRST:
                return self._records[:1]
            case racp.Operator.LAST:
                return self._records[-1:]
        return list(self._records)

    async def _report(self, request: racp.Request) -> None:
        if self.faults.refuse_all or (self.faults.refuse_from and request.operator is racp.Operator.FROM):
            await self._indicate(racp.Answer(request.op, 4))
            return
        chosen = self._chosen(request)
        if self.faults.garbage:
            await self.peripheral.notify(self._measurement, self.faults.garbage)
        for position, stored in enumerate(reversed(chosen) if self.faults.newest_first else chosen):
            if position == self.faults.hang_up_after:
                self.faults.hang_up_after = None
                await self.peripheral.hang_up()
                return
            if not self.peripheral.connected:
                return
            if position not in self.faults.lose:
                await self._send(stored)
        code = racp.SUCCESS if chosen else racp.NO_RECORDS
        await self._indicate(racp.Answer(request.op, NOT_COMPLETED if self.faults.busy else code))
        if self.faults.hang_up_when_done:
            await self.peripheral.hang_up()

    async def _send(self, stored: _Stored) -> None:
        for _ in range(2 if self.faults.repeat else 1):
            self.seen.sent += 1
            await self.peripheral.notify(self._measurement, frame.encode_measurement(stored.glucose))
            if stored.context is not None and not self.faults.without_context:
                await self.peripheral.notify(self._context, frame.encode_context(stored.context))
        if self.faults.delay_s:
            await self._clock.sleep(self.faults.delay_s)

    async def _indicate(self, answer: racp.Answer | racp.RecordCount) -> None:
        await self.peripheral.device.indicate_subscribers(self._racp, racp.encode_answer(answer))
