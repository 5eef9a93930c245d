"""What a decoded message is worth: plausible or not, new or a repeat, of when, in the house's units; then told.

One layer above the bytes. A reading is told whole or not at all; what is refused keeps its raw bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from drivers.base import Device, Sink
from drivers.ble_values import Special
from drivers.local_time import TELL_S, UNSET_S, local_time, time_is_known, zone_of
from drivers.profile_ble import Source
from drivers.profile_condition import parse
from drivers.profile_message import Decoded
from drivers.profile_parts import MessageField
from drivers.profile_schema import Profile
from drivers.units import normalise
from gateway.core.clock import Clock
from gateway.core.model import Detail, Event, Measurement, Stamp, Status
from gateway.core.quantities import QUANTITIES

REMEMBERED = 512  # readings whose repeats are known; a meter stores 200 at most
OLDEST_S = 400 * 86_400.0  # a stored record older than this has no date that anybody should believe
BEYOND = {Special.PINF: Status.OVER, Special.NINF: Status.UNDER}
WORTH = {Status.VALID: 1.0, Status.QUESTIONABLE: 0.3, Status.ONGOING: 0.5}


@dataclass(frozen=True, slots=True)
class Told:
    """One quantity of a reading, in the quantity's unit."""

    quantity: str
    value: float
    status: Status


class SourceReader:
    """One [[source]] of one device: messages in, facts out. Remembers what was told, so that nothing is told twice."""

    def __init__(self, device: Device, profile: Profile, source: Source, clock: Clock) -> None:
        self._device = device
        self._profile = profile
        self._source = source
        self._clock = clock
        self._zone = zone_of(device)
        self._key = profile.dedupe.key if profile.dedupe else tuple(f.name for f in source.field if f.quantity)
        self._seen: dict[tuple[Any, ...], None] = {}  # full: the oldest goes
        self._gate = [[parse(text) for text in group] for group in profile.gate]
        states = source.status_if
        self._states = [
            (status, [parse(text) for text in texts])
            for status, texts in (
                (Status.INVALID, states.invalid),
                (Status.QUESTIONABLE, states.questionable),
                (Status.ONGOING, states.ongoing),
            )
        ]
        self._measured = [entry for entry in source.field if entry.quantity]
        self._sensor_off = False
        self._clock_unset = parse(source.clock_unset) if source.clock_unset else None
        self._visit = 0
        self.offset_s: float | None = None  # the device's clock less the house's, where it has been read

    def new_visit(self) -> None:
        """A connection begins: without a time of the device, equal readings are repeats within one visit only."""
        self._visit += 1
        self.offset_s = None

    def take(self, decoded: Decoded, raw: bytes, at: Stamp, sink: Sink, *, repeats_are_news: bool = True) -> bool:
        """One message received at `at`. repeats_are_news: False for adverts, which are repeated on purpose.

        True when it was told.
        """
        if self._gate and not any(all(one.holds(decoded.raw) for one in group) for group in self._gate):
            return False
        status = self._status(decoded.raw)
        told = self._told(decoded, status)
        stream = self._source.reading == "stream"
        if stream and (status is Status.INVALID or not told):
            self._tell_sensor_off(status is Status.INVALID, at, sink)
            return False
        self._sensor_off = False
        if reason := self._refusal(decoded, told, status):
            self._reject(reason, raw, at, sink, repeats_are_news=repeats_are_news)
            return False
        if not stream and self._is_repeat(decoded):
            if repeats_are_news:
                sink.rejected(self._device.id, "repeat", raw)
            return False
        self._tell(decoded, told, at, sink)
        return True

    def _status(self, raw: dict[str, int]) -> Status:
        for status, conditions in self._states:
            if any(condition.holds(raw) for condition in conditions):
                return status
        return Status.VALID

    def _told(self, decoded: Decoded, status: Status) -> list[Told]:
        told = []
        for entry in self._measured:
            name = entry.quantity or ""
            value, special = decoded.values.get(entry.name), decoded.specials.get(entry.name)
            if special in BEYOND:
                told.append(Told(name, self._limit(name, special), BEYOND[special]))
            elif value is not None:
                number = entry.values.get(str(value)) if entry.values else value
                if number is not None:
                    unit = decoded.units.get(entry.name, entry.unit)
                    told.append(Told(name, float(normalise(name, number, unit)), status))
        return told

    def _limit(self, quantity: str, special: Special) -> float:
        """The end of what the device can measure; of what is plausible where the profile does not say."""
        capability = self._profile.device.capability.get(quantity)
        known = QUANTITIES[quantity]
        low, high = capability.range if capability and capability.range else (known.low, known.high)
        return high if special is Special.PINF else low

    def _refusal(self, decoded: Decoded, told: Sequence[Told], status: Status) -> str:
        """Why this is no reading; "" when it is one."""
        if status is Status.INVALID:
            return "invalid_status"
        if not told:
            return "failed_measurement"
        first = self._measured[0]  # a record without its first value is a failed one, whatever else it says
        if self._source.reading == "record" and decoded.specials.get(first.name) not in (None, *BEYOND):
            return "failed_measurement"
        for one in told:
            if one.status not in (Status.OVER, Status.UNDER) and not QUANTITIES[one.quantity].plausible(one.value):
                return f"implausible_{one.quantity}"
        for lower, upper in self._source.less:
            below, above = decoded.values.get(lower), decoded.values.get(upper)
            if below is not None and above is not None and below >= above:
                return f"implausible_{lower}"
        return ""

    def _reject(self, reason: str, raw: bytes, at: Stamp, sink: Sink, *, repeats_are_news: bool) -> None:
        """A refused reading is told once as an event, with its bytes; an advert's repeats of it only count."""
        known = (reason, raw) in self._seen
        self._remember((reason, raw))
        if known and not repeats_are_news:
            return
        sink.rejected(self._device.id, reason, raw)
        if not known and self._source.reading == "record":
            detail: Detail = {"reason": reason, "count": 1, "raw": raw.hex()}
            sink.event(Event("readings_rejected", at, self._device.bed, self._device.id, detail))

    def _is_repeat(self, decoded: Decoded) -> bool:
        dated = decoded.values.get(self._source.clock or "") is not None
        key = (None if dated else self._visit, *(decoded.values.get(name) for name in self._key))
        if key in self._seen:
            return True
        self._remember(key)
        return False

    def _remember(self, key: tuple[Any, ...]) -> None:
        self._seen[key] = None
        if len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]

    def _tell(self, decoded: Decoded, told: Sequence[Told], at: Stamp, sink: Sink) -> None:
        device = self._device
        when, clock_detail = self._moment(decoded, at, sink)
        record = self._record(decoded)
        window_s = 1.0 if self._source.reading == "stream" else 0.0
        for one in told:
            quality = WORTH.get(one.status, 1.0)
            unit = QUANTITIES[one.quantity].unit
            name, value, status = one.quantity, one.value, one.status
            sink.measurement(
                Measurement(
                    device.bed, device.id, name, value, unit, when, window_s, quality, status=status, record=record
                )
            )
        if self._source.reading == "record":
            detail = _detail(self._source.field, decoded) | clock_detail
            sink.event(Event(self._source.event, when, device.bed, device.id, detail))

    def _record(self, decoded: Decoded) -> str:
        """Time by the device's clock and values; "" where there is no such time, so that nothing can be a repeat."""
        shown = decoded.values.get(self._source.clock or "")
        if not isinstance(shown, datetime):
            return ""
        return " ".join(str(value) for value in (shown.isoformat(), *(decoded.values.get(name) for name in self._key)))

    def _moment(self, decoded: Decoded, at: Stamp, sink: Sink) -> tuple[Stamp, dict[str, str | float]]:
        """When it was measured, by the device's clock where that can be believed, else when it was received."""
        shown = decoded.values.get(self._source.clock or "")
        if not isinstance(shown, datetime) or not time_is_known(self._clock):
            return at, {"time_source": "gateway"}
        age_s = (local_time(self._clock, at, self._zone) - shown).total_seconds()
        offset_s = -age_s if self.offset_s is None else self.offset_s
        detail: dict[str, str | float] = {"device_time": shown.isoformat()}
        if abs(offset_s) > UNSET_S or (self._clock_unset is not None and self._clock_unset.holds(decoded.raw)):
            unset: Detail = {"offset_s": round(offset_s, 1)}
            sink.event(Event("device_clock_unset", at, self._device.bed, self._device.id, unset))
            return at, detail | {"time_source": "gateway"}
        if self.offset_s is not None:
            age_s += self.offset_s
            detail["offset_s"] = round(self.offset_s, 1)
        elif age_s < -TELL_S or age_s > self._source.clock_tolerance_s:  # stored readings are old, never of the future
            fast: Detail = {"offset_s": round(-age_s, 1)}
            sink.event(Event("device_clock", at, self._device.bed, self._device.id, fast))
        oldest_s = self._source.clock_tolerance_s if self.offset_s is None else OLDEST_S
        if not -TELL_S <= age_s <= oldest_s:
            return at, detail | {"time_source": "gateway"}
        return at.plus_s(-max(0.0, age_s)), detail | {"time_source": "device"}

    def _tell_sensor_off(self, off: bool, at: Stamp, sink: Sink) -> None:
        if off and not self._sensor_off:
            detail: Detail = {"reason": "the device says that its values are not valid"}
            sink.event(Event("sensor_off", at, self._device.bed, self._device.id, detail))
        self._sensor_off = self._sensor_off or off


def _detail(fields: Sequence[MessageField], decoded: Decoded) -> dict[str, str | int | float | bool]:
    """What the device itself said, in its own units."""
    detail: dict[str, str | int | float | bool] = {}
    for entry in fields:
        value = decoded.values.get(entry.name)
        if value is None or isinstance(value, datetime):
            continue
        if isinstance(value, list):
            if not entry.bits or not value:
                continue
            value = ",".join(map(str, value))
        detail[entry.name] = value
        unit = decoded.units.get(entry.name, entry.unit)
        if entry.quantity and unit != QUANTITIES[entry.quantity].unit:
            detail[f"{entry.name}_unit"] = unit
    return detail

