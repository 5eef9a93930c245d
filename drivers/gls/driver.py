"""A glucose meter: it calls after a measurement; we connect at once, bond, set its clock and fetch what is new.

Settings: last_record, the hexadecimal "last_record" of the newest records_read event, so that a restart fetches nothing
twice; time_zone, the zone that the meter is kept in (else the box's); low_limit and high_limit in mmol/L, what LO and
HI mean on this meter. An Accu-Chek shows a passkey, or has it on its label: the adapter's agent asks for it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from drivers.base import Device, Driver, Family, Setting, Sink
from drivers.ble_battery import read_battery
from drivers.ble_gatt import Gatt, Notification
from drivers.ble_link import BleAdapter, Use
from drivers.gatt_meter import GattCaller
from drivers.gls import frame, racp
from drivers.gls.meter_clock import MeterClock
from drivers.gls.readings import Limits, Readings
from drivers.profile import models_in
from drivers.profile_models import load_model
from drivers.profile_schema import Profile
from gateway.core.clock import Clock
from gateway.core.errors import LinkError
from gateway.core.model import Detail

ANSWER_S = 15.0  # between two records, or until the answer; meters were seen to take some seconds for the first one

HERE = Path(__file__).parent


class GlsDriver(GattCaller):
    """One meter. What it told, and up to where, is remembered across lost links."""

    rest_s, pause_s = 60.0, 10.0  # it goes on advertising for long after it was read, with pauses

    def __init__(self, device: Device, adapter: BleAdapter, clock: Clock) -> None:
        profile = _profile(device)
        super().__init__(device, adapter, clock, profile)
        self._readings = Readings(device, _limits(device, profile))
        self._meter_clock = MeterClock(clock, self._zone)
        self._mark = _mark(device.settings)
        self._refuses = False  # said once

    async def _visit(self, sink: Sink) -> None:
        async with self._adapter.connect(self._device.address, use=Use.METER) as gatt:
            sink.heard(self._device.id)
            await gatt.pair()
            self._meter_clock.offset_s = await self._set_clock(gatt, sink)  # before any record is let through
            await read_battery(gatt, self._device, self._clock, sink)
            await gatt.notify(frame.MEASUREMENT)
            if gatt.has(frame.CONTEXT):
                await gatt.notify(frame.CONTEXT)
            await gatt.notify(racp.RACP)
            await self._collect(gatt, sink)

    async def _collect(self, gatt: Gatt, sink: Sink) -> None:
        known, lost = self._mark, gatt.dropped
        collection = racp.Collection(known)
        try:
            outcome = await self._fetch(gatt, collection, known, sink)
        finally:
            self._readings.finish(sink)
            if gatt.dropped == lost:
                self._mark = collection.mark
        now = self._clock.now()
        if gatt.dropped > lost:
            raise LinkError(f"{gatt.address}: {gatt.dropped - lost} records were lost on the way", hint="asked again")
        if outcome is racp.Outcome.REFUSED and not self._refuses:
            self._event("device_fault", now, {"reason": "the meter refuses to report its records"}, sink)
        self._refuses = outcome is racp.Outcome.REFUSED
        if outcome is not racp.Outcome.COMPLETE:
            raise LinkError(
                f"{gatt.address}: the meter did not report its records ({outcome.value})",
                hint="leave its menu, wait until its display is off, measure again or press its Bluetooth key",
            )
        self._event("link_up", now, {}, sink)
        if self._mark is not None and self._mark != known:
            detail: Detail = {"last_sequence": self._mark.sequence, "last_record": self._mark.identity.hex()}
            self._event("records_read", now, detail, sink)

    async def _fetch(
        self, gatt: Gatt, collection: racp.Collection, known: racp.Mark | None, sink: Sink
    ) -> racp.Outcome:
        """Ask, take records, ask again, until the meter has told all."""
        step: racp.Request | racp.Outcome = collection.request
        while isinstance(step, racp.Request):
            await gatt.write(racp.RACP, racp.encode_request(step))
            step = collection.answer(await self._records(gatt, collection, known, sink))
        return step

    async def _records(
        self, gatt: Gatt, collection: racp.Collection, known: racp.Mark | None, sink: Sink
    ) -> racp.Answer:
        """Take records until the answer that ends them. A context may come even behind that answer: it is not awaited,
        the record is sent again in the next visit."""
        while True:
            note = await gatt.next(ANSWER_S)
            sink.heard(self._device.id)
            if note.uuid == racp.RACP:
                answer = racp.decode_answer(note.data)
                if isinstance(answer, racp.Answer) and answer.request_op == racp.Op.REPORT:
                    return answer
                sink.rejected(self._device.id, "control_point", note.data)
            else:
                self._record(note, collection, known, sink)

    def _record(
        self, note: Notification, collection: racp.Collection, known: racp.Mark | None, sink: Sink
    ) -> None:
        if note.uuid == frame.CONTEXT:
            self._readings.context(note.data, note.at, sink)
            return
        mark = self._readings.measurement(note.data, note.at, self._meter_clock, known, sink)
        if mark is not None and not collection.record(mark):
            raise LinkError(f"{self._device.id}: the meter sends records without end", hint="change its batteries")


def _profile(device: Device) -> Profile:
    path = models_in(HERE).get(device.model)
    if path is None:
        raise ValueError(f"{device.id}: unknown model {device.model!r}; known: {', '.join(models_in(HERE))}")
    return load_model(path)


def _limits(device: Device, profile: Profile) -> Limits:
    """What LO and HI mean on this meter: its settings, else what its profile declares."""
    declared = profile.device.capability.get("glucose")
    ends = declared.range if declared is not None else None
    model_low, model_high = ends if ends is not None else (Limits().low, Limits().high)
    low, high = device.settings.get("low_limit", model_low), device.settings.get("high_limit", model_high)
    if isinstance(low, str) or isinstance(high, str) or not 0 < float(low) < float(high):
        raise ValueError(f"{device.id}: low_limit {low!r} and high_limit {high!r} have to be rising mmol/L")
    return Limits(float(low), float(high))


def _mark(settings: Mapping[str, Setting]) -> racp.Mark | None:
    text = str(settings.get("last_record", ""))
    try:
        identity = bytes.fromhex(text)
    except ValueError as error:
        raise ValueError(f"last_record {text!r} is not hexadecimal") from error
    return racp.Mark(int.from_bytes(identity[:2], "little"), identity) if len(identity) >= 2 else None


def make(devices: Sequence[Device], adapter: BleAdapter, clock: Clock) -> Driver:
    """One driver for one meter. ValueError when a setting cannot be meant."""
    (device,) = devices
    return GlsDriver(device, adapter, clock)


FAMILY: Family[BleAdapter] = Family("gls", "ble-gatt", tuple(models_in(HERE)), make)
