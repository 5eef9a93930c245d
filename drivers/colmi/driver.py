"""A ring: visited every few minutes for its pulse log, its battery and now and then a spot reading; held no longer.

Realtime readings empty the battery within a day, so the pulse comes from the log that the ring writes by itself: single
readings (pulse_rate), each known minutes later, and no heart rate that a rule could watch by the second. The
ring does not bond: anyone in range can read it, and nothing of it is worth an alarm that saves a life.
Settings: visit_s (300), spot_s (1800; 0 for none), log_until_s of the newest records_read event, so that a restart
tells nothing twice.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from drivers.base import Device, Driver, Family, Setting, Sink
from drivers.ble_gatt import Gatt, patience_s
from drivers.ble_link import BleAdapter, Use
from drivers.colmi import frame
from drivers.hrs.frame import Rejected
from drivers.local_time import time_is_known
from drivers.profile import models_in
from gateway.core.clock import Clock
from gateway.core.errors import LinkError, PairingError
from gateway.core.model import Detail, Event, Measurement, Stamp
from gateway.core.quantities import QUANTITIES

log = logging.getLogger(__name__)

VISIT_S = 300.0  # the log has one value in 5 minutes
SPOT_S = 1800.0
LOG_INTERVAL_MIN = 5
ANSWER_S = 5.0  # one packet
LOG_LIMIT_S = 20.0  # a day's log; it comes within some seconds
SPOT_LIMIT_S = 45.0  # the ring says 0 for about 20 s before it has found the pulse
CONTINUE_S = 2.0  # how often a realtime reading is asked to go on
DAY_S = 86_400
HERE = Path(__file__).parent

AnswerT = TypeVar("AnswerT", frame.TimeSet, frame.Battery, frame.LogSettings)


class ColmiDriver:
    """One ring. What was read of its log is remembered, so that no value is told twice."""

    def __init__(self, device: Device, adapter: BleAdapter, clock: Clock) -> None:
        self.devices = (device,)
        self._device = device
        self._adapter = adapter
        self._clock = clock
        self._visit_s = _seconds(device.settings, "visit_s", VISIT_S)
        self._spot_s = _seconds(device.settings, "spot_s", SPOT_S)
        until_s = _seconds(device.settings, "log_until_s", 0)
        self._log_until_s = int(until_s) if until_s else None  # UTC of the newest value told
        self._spotted: Stamp | None = None
        self._charging: bool | None = None
        self._worn: bool | None = None

    async def run(self, sink: Sink) -> None:
        """Visit for ever. LinkError when the ring is not there or does not answer."""
        while True:
            async with self._adapter.connect(self._device.address, use=Use.METER) as gatt:
                await gatt.notify(frame.NOTIFY)
                sink.heard(self._device.id)
                await self._visit(gatt, sink)
            await self._clock.sleep(self._visit_s)

    async def _visit(self, gatt: Gatt, sink: Sink) -> None:
        known = time_is_known(self._clock)
        if known:
            await self._ask(gatt, frame.set_time(self._utc()), frame.TimeSet, sink)
        battery = await self._ask(gatt, frame.packet(frame.BATTERY), frame.Battery, sink)
        if battery is not None:
            self._tell_battery(battery, sink)
        await self._keep_log(gatt, sink)
        if known:
            await self._read_log(gatt, sink)
        now = self._clock.now()
        due = self._spotted is None or now.since_s(self._spotted) >= self._spot_s
        if self._spot_s and due and not self._charging:
            self._spotted = now
            for kind in frame.KINDS:
                await self._spot(gatt, kind, sink)

    def _utc(self) -> datetime:
        return datetime.fromtimestamp(self._utc_s(), tz=UTC)

    def _utc_s(self) -> int:
        return self._clock.anchor().utc_ns_of(self._clock.now()) // 10**9

    async def _next(self, gatt: Gatt, sink: Sink) -> frame.Packet | None:
        """The next packet; None for one that is not understood."""
        note = await gatt.next(ANSWER_S)
        sink.heard(self._device.id)
        decoded = frame.decode(note.data)
        if isinstance(decoded, Rejected):
            sink.rejected(self._device.id, decoded.reason, note.data)
            return None
        return decoded

    async def _ask(self, gatt: Gatt, request: bytes, kind: type[AnswerT], sink: Sink) -> AnswerT | None:
        """Write a command and wait for its answer; None when the ring refuses it."""
        await gatt.write(frame.WRITE, request)
        asked = self._clock.now()
        while self._clock.now().since_s(asked) < patience_s(self._clock, ANSWER_S):
            answer = await self._next(gatt, sink)
            if isinstance(answer, kind):
                return answer
            if isinstance(answer, frame.Refused) and answer.command == request[0]:
                self._refused(request, sink)
                return None
        raise self._silent(gatt, request)

    def _refused(self, request: bytes, sink: Sink) -> None:
        sink.rejected(self._device.id, f"refused_{request[0]:02x}", request)

    def _silent(self, gatt: Gatt, request: bytes) -> LinkError:
        return LinkError(
            f"{gatt.address}: no answer to {request.hex()} within {ANSWER_S:g} s",
            hint="put the ring on its charger for a moment; another telephone may hold it",
        )

    async def _keep_log(self, gatt: Gatt, sink: Sink) -> None:
        """The ring logs the pulse only when told so."""
        wanted = frame.LogSettings(enabled=True, interval_min=LOG_INTERVAL_MIN)
        found = await self._ask(gatt, frame.READ_LOG_SETTINGS, frame.LogSettings, sink)
        if found is not None and found != wanted:
            await self._ask(gatt, frame.write_log_settings(wanted), frame.LogSettings, sink)

    async def _read_log(self, gatt: Gatt, sink: Sink) -> None:
        """Today's log, and behind a midnight what was missing of yesterday's; of a ring just met, today's only."""
        today_s = self._utc_s() // DAY_S * DAY_S
        if self._log_until_s is None:
            self._log_until_s = today_s - 1
        until_s = self._log_until_s
        due_s = (until_s + 60 * LOG_INTERVAL_MIN) // DAY_S * DAY_S
        for midnight_s in range(min(max(due_s, today_s - DAY_S), today_s), today_s + 1, DAY_S):
            await self._read_day(gatt, midnight_s, sink)
        if self._log_until_s > until_s:
            self._event("records_read", self._clock.now(), {"log_until_s": self._log_until_s}, sink)

    async def _read_day(self, gatt: Gatt, midnight_s: int, sink: Sink) -> None:
        request, reader = frame.read_log(midnight_s), frame.LogReader()
        await gatt.write(frame.WRITE, request)
        asked = self._clock.now()
        while self._clock.now().since_s(asked) < patience_s(self._clock, LOG_LIMIT_S):
            answer = await self._next(gatt, sink)
            if isinstance(answer, frame.Refused) and answer.command == frame.HR_LOG:
                self._refused(request, sink)
                return
            if not isinstance(answer, frame.LogHead | frame.LogPart | frame.NoLog):
                continue
            values = reader.take(answer)
            if isinstance(values, Rejected):
                sink.rejected(self._device.id, values.reason, request)
                return
            if values is not None:
                self._tell_log(values, sink)
                return
        raise self._silent(gatt, request)

    def _tell_log(self, values: list[tuple[int, int]], sink: Sink) -> None:
        """What is newer than the last value told; the ring also fills the day's hours that have not come yet."""
        now, now_s = self._clock.now(), self._utc_s()
        for at_s, bpm in values:
            if at_s <= (self._log_until_s or 0) or at_s > now_s:
                continue
            at = now.plus_s(at_s - now_s)
            self._log_until_s = at_s
            if at.mono_ns >= 0:  # a value from before this boot has no stamp
                self._measure("pulse_rate", bpm, at, sink, record=f"log {at_s} {bpm}")

    async def _spot(self, gatt: Gatt, kind: int, sink: Sink) -> None:
        """One spot reading: started, kept going until a value comes, stopped in any case."""
        started, action = self._clock.now(), frame.START
        try:
            while self._clock.now().since_s(started) < patience_s(self._clock, SPOT_LIMIT_S):
                await gatt.write(frame.WRITE, frame.start_realtime(kind, action))
                if self._take_spot(await self._next(gatt, sink), kind, sink):
                    return
                await self._clock.sleep(CONTINUE_S)
                action = frame.CONTINUE
            self._failed(frame.KINDS[kind], 0, self._clock.now(), sink)
        finally:
            await self._stop(gatt, kind)

    def _take_spot(self, answer: frame.Packet | None, kind: int, sink: Sink) -> bool:
        """True when the reading has come, or will not come."""
        if isinstance(answer, frame.Refused) and answer.command == frame.REALTIME:
            sink.rejected(self._device.id, f"refused_{frame.REALTIME:02x}", bytes([kind]))
            return True
        if not isinstance(answer, frame.Reading) or answer.kind != kind:
            return False
        now, name = self._clock.now(), frame.KINDS[kind]
        if answer.error:
            self._failed(name, answer.error, now, sink)
        elif answer.value:
            self._tell_worn(True, now, sink)
            self._measure(name, answer.value, now, sink)
        return bool(answer.error or answer.value)

    async def _stop(self, gatt: Gatt, kind: int) -> None:
        """The ring would go on measuring, and drain its battery: said even while we are being cancelled."""
        try:
            await gatt.write(frame.WRITE, frame.stop_realtime(kind))
        except (LinkError, PairingError) as error:
            log.debug("%s: stop of a spot reading: %s", self._device.id, error)

    def _failed(self, name: str, error: int, at: Stamp, sink: Sink) -> None:
        if error == frame.WORN_INCORRECTLY:
            self._tell_worn(False, at, sink)
        reason = f"spot_{name}_error_{error}" if error else f"spot_{name}_found_nothing"
        sink.rejected(self._device.id, reason, bytes([error]))

    def _tell_battery(self, battery: frame.Battery, sink: Sink) -> None:
        now = self._clock.now()
        self._measure("battery", battery.percent, now, sink)
        if battery.charging != self._charging:
            self._event("charging_started" if battery.charging else "charging_ended", now, {}, sink)
        self._charging = battery.charging
        if battery.charging:
            self._tell_worn(False, now, sink)

    def _tell_worn(self, worn: bool, at: Stamp, sink: Sink) -> None:
        self._measure("worn", float(worn), at, sink)
        if not worn and self._worn is not False:
            self._event("sensor_off", at, {"reason": "charging" if self._charging else "not worn rightly"}, sink)
        self._worn = worn

    def _measure(self, name: str, value: float, at: Stamp, sink: Sink, *, record: str = "") -> None:
        device, quantity = self._device, QUANTITIES[name]
        if quantity.plausible(value):
            sink.measurement(
                Measurement(device.bed, device.id, name, float(value), quantity.unit, at, record=record)
            )
        else:
            sink.rejected(device.id, f"implausible_{name}", bytes([int(value) & 0xFF]))

    def _event(self, kind: str, at: Stamp, detail: Detail, sink: Sink) -> None:
        sink.event(Event(kind, at, self._device.bed, self._device.id, detail))


def _seconds(settings: Mapping[str, Setting], key: str, default: float) -> float:
    value = settings.get(key, default)
    if isinstance(value, bool | str) or value < 0:
        raise ValueError(f"{key} {value!r} is no number of seconds")
    return float(value)


def make(devices: Sequence[Device], adapter: BleAdapter, clock: Clock) -> Driver:
    """One driver for one ring. ValueError when a setting cannot be meant."""
    (device,) = devices
    return ColmiDriver(device, adapter, clock)


FAMILY: Family[BleAdapter] = Family("colmi", "ble-gatt", tuple(models_in(HERE)), make)
