"""What a reading is worth to the house, one layer above every driver: refused, told once, beyond a limit, and whose.

Pure logic: facts in, facts out, no I/O and no clock. Nothing stored is ever changed. A reading of a shared kiosk is
kept at once, without a bed and marked "unassigned"; when a card, QR code or badge says within two minutes whose it is,
the same reading (device, quantity, moment) is told again with the bed and by what the person was known. The later row
takes the place of the earlier one and never adds to it. What nobody claimed may be assigned by hand (unassigned.py).
"""

import math
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Protocol

from drivers.base import Device
from gateway.core.model import Event, Measurement, Stamp, Status
from gateway.core.quantities import QUANTITIES
from gateway.unassigned import OpenReading, Unassigned, Utc

SPOT = frozenset((
    "systolic", "diastolic", "mean_arterial", "pulse_rate", "spo2", "body_temperature", "weight", "height", "bmi",
    "body_fat", "glucose", "ketone", "uric_acid", "cholesterol", "haematocrit", "haemoglobin", "lactate",
))  # fmt: skip  # about a person; told now and then they stand for themselves and are kept one by one
BEYOND = {Status.OVER: "over", Status.UNDER: "under"}
FAILED = (Status.INVALID, Status.NOT_AVAILABLE)

WINDOW_S = 120.0  # so long before or after a reading an identity counts (NEEDS S2)
UNASSIGNED = "unassigned"
IDENTITY = "identity_presented"
BY_HAND = "hand:"  # and the name of who assigned it, where a card's reading has "card"
MAX_IDENTITIES = 64  # of one shared device; the oldest goes first: a card every two seconds for two minutes
MAX_WAITING = 64  # readings of one shared device that may still be assigned; the oldest stays unassigned

MAX_RECORDS = 2048  # records remembered of one device; meters store 200 to 1000, each is a reading and an event
DIGEST_BYTES = 8
SETTING = "readings.told."  # and the device's id: key of the store's setting that holds its digests, oldest first
NOT_THE_RECORD = frozenset(("offset_s", "time_source"))  # what a visit adds to a record; the rest is the device's own


class Occupied(Protocol):
    """A bed as the registry has it."""

    @property
    def id(self) -> str: ...
    @property
    def resident(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a value is none. count: 0 for a further value of a repeated record, which is counted once."""

    reason: str
    count: int = 1


def is_spot(measurement: Measurement) -> bool:
    """Whether it stands for itself; a value over a span of signal is one second of a stream, which lives in minutes."""
    return measurement.quantity in SPOT and measurement.window_s == 0.0


def implausible(measurement: Measurement) -> str:
    """Why this is no measurement of its quantity; "" when it is. A limit (over, under) need not be plausible itself."""
    known = QUANTITIES.get(measurement.quantity)
    if known is None:
        return f"implausible {measurement.quantity}"
    if measurement.status in FAILED:
        return f"failed {measurement.quantity}"
    fits = math.isfinite(measurement.value) if measurement.status in BEYOND else known.plausible(measurement.value)
    return "" if fits else f"implausible {measurement.quantity}"


# -- stored records ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Turn:
    """The record a device is telling just now, value by value."""

    digest: bytes
    repeated: bool
    parts: set[str]


class Repeats:
    """Which stored records each device has told already, within and across sessions and restarts."""

    def __init__(self) -> None:
        self._told: dict[str, OrderedDict[bytes, None]] = {}
        self._turns: dict[str, _Turn] = {}
        self._unsaved: set[str] = set()

    def load(self, device: str, digests: bytes) -> None:
        """Take over what `unsaved` handed out in an earlier life. An odd rest is ignored."""
        whole = len(digests) // DIGEST_BYTES * DIGEST_BYTES
        cut = (digests[at : at + DIGEST_BYTES] for at in range(0, whole, DIGEST_BYTES))
        self._told[device] = OrderedDict.fromkeys(cut)

    def refusal(self, device: str, record: str, part: str) -> Refusal | None:
        """None for news. part: what of the record is told; its values come one after the other."""
        digest = blake2b(record.encode(), digest_size=DIGEST_BYTES).digest()
        turn = self._turns.get(device)
        if turn is not None and turn.digest == digest and part not in turn.parts:
            turn.parts.add(part)
            return Refusal("repeat", 0) if turn.repeated else None
        told = self._told.setdefault(device, OrderedDict())
        repeated = digest in told
        self._turns[device] = _Turn(digest, repeated, {part})
        if repeated:
            return Refusal("repeat")
        told[digest] = None
        if len(told) > MAX_RECORDS:
            told.popitem(last=False)
        self._unsaved.add(device)
        return None

    def repeating(self, device: str) -> bool:
        """Whether what the device told last was a repeat."""
        return device in self._turns and self._turns[device].repeated

    def unsaved(self) -> list[tuple[str, bytes]]:
        """(setting's key, digests) of each device that has told a new record since the last call."""
        changed = [(SETTING + device, b"".join(self._told[device])) for device in sorted(self._unsaved)]
        self._unsaved.clear()
        return changed


def record_of_event(event: Event) -> str:
    """The stored record that an event tells of; "" for all but readings that bear the device's own time."""
    if not event.kind.endswith("reading") or "device_time" not in event.detail:
        return ""
    own = sorted((key, value) for key, value in event.detail.items() if key not in NOT_THE_RECORD)
    return f"{event.kind} {own}"


# -- whose ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Identity:
    bed: str
    by: str
    at: Stamp


class Shared:
    """Readings of devices that many people use. Who it was is said by a card, never guessed.

    An identity is an event `identity_presented` with detail `bed` or `resident` (a pseudonym) and `by`. It belongs to
    the shared device that it came from, that its detail `station` names, or to those that the reader's setting
    `identifies` names, parted by commas. One person before the reading has it at once. With nobody before, whoever
    comes in the two minutes after has it when these are over. Two people on the same side of it: nobody has it.
    """

    def __init__(self, shared: Iterable[str], devices: Sequence[Device], beds: Sequence[Occupied]) -> None:
        self._shared = frozenset(shared)
        self._stations = {
            device.id: tuple(part.strip() for part in str(device.settings["identifies"]).split(","))
            for device in devices
            if "identifies" in device.settings
        }
        self._beds = {bed.id: bed.resident for bed in beds}
        self._seen: dict[str, deque[_Identity]] = {name: deque(maxlen=MAX_IDENTITIES) for name in self._shared}
        self._waiting: dict[str, deque[Measurement]] = {name: deque(maxlen=MAX_WAITING) for name in self._shared}

    def claimed(self, measurement: Measurement) -> Measurement:
        """A reading of a shared device with its bed, or marked as unassigned; any other measurement as it is."""
        if measurement.device not in self._shared or measurement.quantity not in SPOT or measurement.bed is not None:
            return measurement
        before, _ = self._around(measurement)
        if not before:
            self._waiting[measurement.device].append(measurement)
        return _given(measurement, before)

    def presented(self, event: Event) -> None:
        """Somebody showed who they are. What names no bed, or contradicts itself, says nothing."""
        bed = self.bed_of(event.detail.get("bed", event.bed), event.detail.get("resident"))
        for station in self._named(event) if bed is not None else ():
            self._seen[station].append(_Identity(bed or "", str(event.detail.get("by", "identity")), event.at))

    def doubt(self, event: Event) -> str:
        """Why an identity says nothing: "station_unknown" or "person_unknown"; "" when it does say whose."""
        if not self._named(event):
            return "station_unknown"
        bed = self.bed_of(event.detail.get("bed", event.bed), event.detail.get("resident"))
        return "person_unknown" if bed is None else ""

    def strangers(self) -> list[tuple[str, str]]:
        """(reader, name) of each name in a setting `identifies` that is no shared device: its cards say nothing."""
        named = [(reader, name) for reader, names in self._stations.items() for name in names]
        return [(reader, name) for reader, name in named if name not in self._shared]

    def withdraw(self, measurements: Iterable[Measurement]) -> None:
        """A person has said whose these are: no card claims them any more."""
        for one in measurements:
            waiting = self._waiting.get(one.device, deque())
            for other in [other for other in waiting if (other.at, other.quantity) == (one.at, one.quantity)]:
                waiting.remove(other)

    def settle(self, now: Stamp) -> list[Measurement]:
        """Readings whose two minutes are over and whose person is known by now, with their bed."""
        settled = []
        for waiting in self._waiting.values():
            due = [one for one in waiting if now.boot_id != one.at.boot_id or now.since_s(one.at) > WINDOW_S]
            for one in due:
                waiting.remove(one)
                before, after = self._around(one)  # a slow reader may tell late of a card that came before
                given = _given(one, before or after)
                if given.bed is not None:
                    settled.append(given)
        return settled

    def _around(self, measurement: Measurement) -> tuple[list[_Identity], list[_Identity]]:
        """Identities up to two minutes before it and after it, in order of their coming."""
        at = measurement.at
        seen = [one for one in self._seen[measurement.device] if one.at.boot_id == at.boot_id]
        before = [one for one in seen if 0.0 <= at.since_s(one.at) <= WINDOW_S]
        return before, [one for one in seen if 0.0 < one.at.since_s(at) <= WINDOW_S]

    def _named(self, event: Event) -> tuple[str, ...]:
        """The shared devices that an identity belongs to."""
        device = event.device or ""
        named = ((str(event.detail.get("station", "")),), (device,), self._stations.get(device, ()))
        found = (tuple(name for name in names if name in self._shared) for names in named)
        return next((names for names in found if names), ())

    def bed_of(self, bed: object, resident: object) -> str | None:
        """The registered bed that these name together; None where they name none, or contradict each other."""
        of_resident = [name for name, who in self._beds.items() if resident is not None and who == resident]
        if bed is None:
            return of_resident[0] if len(of_resident) == 1 else None
        fits = bed in self._beds and (resident is None or bed in of_resident)
        return str(bed) if fits else None


def _given(measurement: Measurement, known: Sequence[_Identity]) -> Measurement:
    """With the bed of the one person among the identities; unassigned where there is none, or more than one."""
    if len({one.bed for one in known}) != 1:
        return replace(measurement, assigned=UNASSIGNED)
    return replace(measurement, bed=known[-1].bed, assigned=known[-1].by)


# -- all of it --------------------------------------------------------------------------------------------------------


class Readings:
    """What the pipeline asks about every measurement and event."""

    def __init__(
        self, shared: Iterable[str] = (), devices: Sequence[Device] = (), beds: Sequence[Occupied] = (),
        told: Mapping[str, bytes] | None = None, *, utc: Utc = lambda _: None,
    ) -> None:  # fmt: skip
        """told: digests by device, as `Repeats.unsaved` handed them out under the device's key. utc: see Unassigned."""
        self._open = Unassigned(utc)
        self._repeats = Repeats()
        for device, digests in (told or {}).items():
            self._repeats.load(device, digests)
        self._shared = Shared(shared, devices, beds)
        self._beyond: dict[tuple[str, str], Status] = {}

    def refusal(self, measurement: Measurement) -> Refusal | None:
        """Why it must not become a number; None when it may."""
        if reason := implausible(measurement):
            return Refusal(reason)
        if not measurement.record:
            return None
        return self._repeats.refusal(measurement.device, measurement.record, measurement.quantity)

    def event_refusal(self, event: Event) -> Refusal | None:
        """Why an event is none: it tells of a record that was told before, and that its values have counted already."""
        record, device = record_of_event(event), event.device or ""
        if not record:
            return None
        counted = self._repeats.repeating(device)
        refusal = self._repeats.refusal(device, record, event.kind)
        return Refusal(refusal.reason, 0) if refusal is not None and counted else refusal

    def claimed(self, measurement: Measurement) -> Measurement:
        """See `Shared.claimed`."""
        claimed = self._shared.claimed(measurement)
        if claimed.assigned == UNASSIGNED:
            self._open.keep(claimed)
        return claimed

    def happened(self, event: Event) -> None:
        """Take in who presented themselves."""
        if event.kind == IDENTITY:
            self._shared.presented(event)

    def doubt(self, event: Event) -> str:
        """See `Shared.doubt`."""
        return self._shared.doubt(event)

    def settle(self, now: Stamp) -> list[Measurement]:
        """See `Shared.settle`."""
        settled = self._shared.settle(now)
        for one in settled:
            self._open.settled(one)
        return settled

    def restore(self, stored: Iterable[Measurement]) -> None:
        """Spot readings of earlier lives of the daemon, in order of their commit."""
        self._open.restore(stored, UNASSIGNED)

    def strangers(self) -> list[tuple[str, str]]:
        """See `Shared.strangers`."""
        return self._shared.strangers()

    def unassigned(self, now: Stamp) -> tuple[OpenReading, ...]:
        """What is nobody's and may be assigned, newest first."""
        return self._open.listed(now)

    def bed_of(self, bed: str, resident: str) -> str | None:
        """See `Shared.bed_of`; "" names nothing."""
        return self._shared.bed_of(bed or None, resident or None)

    def assign(self, reading: str, bed: str, by: str, now: Stamp) -> tuple[Measurement, ...]:
        """The reading's values as this bed's, told by a person; empty when it is not nobody's (any more)."""
        taken = self._open.take(reading, now)
        self._shared.withdraw(taken)
        return tuple(replace(one, bed=bed, assigned=BY_HAND + by) for one in taken)

    def out_of_range(self, measurement: Measurement) -> Event | None:
        """The clinical event of a value beyond what the device can measure: each spot reading, and of a stream the
        first second of it."""
        key, status = (measurement.device, measurement.quantity), measurement.status
        before = self._beyond.pop(key, None)
        if status not in BEYOND:
            return None
        if not is_spot(measurement):
            self._beyond[key] = status
            if before is status:
                return None
        detail: dict[str, str | float] = {
            "quantity": measurement.quantity, "direction": BEYOND[status], "limit": measurement.value,
            "unit": measurement.unit,
        }  # fmt: skip
        if measurement.assigned:
            detail["assigned"] = measurement.assigned
        return Event(
            "reading_out_of_range", measurement.at, measurement.bed, measurement.device, detail, measurement.mode
        )

    def unsaved(self) -> list[tuple[str, bytes]]:
        """Settings that the store must keep now."""
        return self._repeats.unsaved()
