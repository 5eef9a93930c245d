"""Doors, motion and presence: a contact's state is told as a value, and each change of it as an event.

What a device says first after a start is only its state: whether the door was opened just now or an hour ago, nobody
knows, so it must not look like something that happened.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from drivers.bthome.frame import KIND_NAMES, Objects
from gateway.core.model import Detail, Stamp

REPEAT_S = 60.0  # an unchanged state is told again so often, so that a rule sees how old its knowledge is


@dataclass(frozen=True, slots=True)
class Sense:
    """What one kind of object stands for: the quantity, and the events of its beginning and its end."""

    quantity: str
    begins: str
    ends: str


DOOR = Sense("door_open", "door_opened", "door_closed")
MOTION = Sense("motion", "motion_started", "motion_ended")
PRESENCE = Sense("presence", "presence_started", "presence_ended")
BED = Sense("bed_occupied", "bed_entered", "bed_exited")

SENSES = {
    "door": DOOR, "window": DOOR, "opening": DOOR, "garage_door": DOOR,
    "motion": MOTION, "occupancy": PRESENCE, "presence": PRESENCE,
}  # fmt: skip  # "moving" is a thing that is carried about, not a person


@dataclass(frozen=True, slots=True)
class Told:
    """One state to tell. event: "" where it is no news. detail: which object of the device it was."""

    quantity: str
    value: bool
    event: str
    detail: Detail


@dataclass(slots=True)
class _State:
    value: bool
    told: Stamp


@dataclass(slots=True)
class States:
    """The states of one device. in_bed: its occupancy is that of the bed, a mat or a pad."""

    repeat_s: float = REPEAT_S
    in_bed: bool = False
    _known: dict[tuple[int, int], _State] = field(default_factory=dict)  # bounded by the objects of one advert

    def hear(self, objects: Objects, at: Stamp) -> Iterator[Told]:
        """What one fresh advert has to tell, in the order of its objects."""
        for kind, number, value in objects.truths:
            name = KIND_NAMES[kind]
            sense = BED if self.in_bed and name in ("occupancy", "presence") else SENSES.get(name)
            if sense is None:
                continue
            known = self._known.get((kind, number))
            changed = known is not None and known.value is not value
            if known is not None and not changed and at.since_s(known.told) < self.repeat_s:
                continue
            self._known[kind, number] = _State(value, at)
            event = (sense.begins if value else sense.ends) if changed else ""
            yield Told(sense.quantity, value, event, {"what": name, "number": number})
