"""A small house for tests of readers and askers: two beds, five devices, a clock moved by hand, a desk in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from drivers.base import Device
from gateway.commands import Commands
from gateway.core.clock import ManualClock
from gateway.core.model import (
    Acknowledgement,
    Alarm,
    Condition,
    Delivery,
    Gap,
    Kind,
    Measurement,
    Minute,
    Mode,
    Priority,
    Stamp,
)
from gateway.core.quantities import quantity
from gateway.readmodel import Identity, ReadModel


@dataclass(frozen=True)
class Bed:
    id: str
    room: str
    profile: str = "standard"


BEDS = (Bed("b-00000001", "101"), Bed("b-00000002", "102"))
DEVICES = (
    Device("belt-1", "bed_belt", "open_belt_1", "belt-1", "b-00000001"),
    Device("band-1", "polar_pmd", "verity_sense", "radio", "b-00000001", "F0:99:19:00:00:01"),
    Device("button-1", "bthome", "shelly_blu_button1", "radio", "b-00000001", "F0:5E:11:00:00:01"),
    Device("belt-2", "bed_belt", "open_belt_1", "belt-2", "b-00000002"),
    Device("kiosk", "modbus_rtu", "open_kiosk_1", "bus", None, "3"),
)


@dataclass
class Memory:
    """A history that holds what a test puts there."""

    known: list[Alarm] = field(default_factory=list)
    marks: dict[str, Mapping[str, int]] = field(default_factory=dict)

    async def alarms(self, limit: int, bed: str | None) -> Sequence[Alarm]:
        return [alarm for alarm in self.known if bed in (None, alarm.bed)][:limit]

    async def minutes(
        self, bed: str, quantity: str, from_: Stamp | None, to: Stamp | None, limit: int
    ) -> Sequence[Minute]:
        return []

    async def gaps(self, limit: int) -> Sequence[Gap]:
        return []

    async def counts(self) -> Mapping[str, int]:
        return {"summary": 12, "alarm": len(self.known)}

    async def manifest(self, upstream: str) -> Mapping[str, Mapping[str, int]]:
        return self.marks


@dataclass
class Desk:
    """Changes alarms in memory and shows each change to the read model, as the pipeline does."""

    house: "House"

    async def find(self, alarm_id: str) -> Alarm | None:
        return self.house.model.find_alarm(alarm_id)

    async def acknowledge(self, alarm_id: str, by: str, note: str, via: str) -> Alarm:
        given = Acknowledgement(by, self.house.clock.now(), note, via)
        return self._changed(alarm_id, acknowledgement=given)

    async def received(self, alarm_id: str, upstream: str) -> Alarm:
        return self._changed(alarm_id, delivery=Delivery.RECEIVED, received_by=(upstream,))

    async def close(self, alarm_id: str, outcome: str, by: str, via: str) -> Alarm:
        return self._changed(alarm_id, outcome=outcome, closed=self.house.clock.now())

    def _changed(self, alarm_id: str, **changes: object) -> Alarm:
        alarm = self.house.model.find_alarm(alarm_id)
        assert alarm is not None
        changed: Alarm = replace(alarm, rev=alarm.rev + 1, **changes)  # type: ignore[arg-type]
        self.house.model.saw_alarm(changed)
        return changed


class House:
    """Everything a page or a test asks for."""

    def __init__(self, *, mode: Mode = Mode.DEMO, beds: Sequence[Bed] = BEDS) -> None:
        self.clock = ManualClock()
        self.mode = mode
        self.memory = Memory()
        self.model = ReadModel(self.clock, Identity("gw-3F2A9C", "s-7Q4MZ2K9", "0.1.0", mode), self.memory)
        self.model.set_inventory(beds, DEVICES, 7)
        self.model.set_uplinks(["district"])
        self.commands = Commands(Desk(self), frozenset(["district"]))

    def measured(
        self, name: str, value: float, *, bed: str | None = "b-00000001", device: str = "belt-1", quality: float = 0.9,
        origin: str = "heart/1",
    ) -> Measurement:  # fmt: skip
        """A measurement of this moment, shown to the read model."""
        measurement = Measurement(
            bed, device, name, value, quantity(name).unit, self.clock.now(), quality=quality, origin=origin
        )
        self.model.saw_measurement(measurement)
        return measurement

    def alarm(
        self, rule: str = "sos", *, id: str = "a-1", bed: str | None = "b-00000001", priority: Priority = Priority.HIGH,
        latch: bool = True,
    ) -> Alarm:  # fmt: skip
        """An active alarm of this moment, shown to the read model."""
        now = self.clock.now()
        alarm = Alarm(
            id, 1, rule, 1, Kind.OTHER, priority, Condition.ACTIVE, now, now, bed, "button-1", latch, mode=self.mode
        )
        self.model.saw_alarm(alarm)
        return alarm
