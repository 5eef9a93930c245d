"""Contacts on an input module: debounced, told when they change, repeated as a sign of life."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from drivers.base import Device, Setting, Sink
from drivers.profile_schema import PollField, Profile, Role
from gateway.core.errors import Fault
from gateway.core.model import Detail, Event, Measurement, Stamp

SettingT = TypeVar("SettingT", str, bool)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What one input stands for in this house: its role, and the bed it belongs to."""

    name: str
    bed: str | None
    quantity: str | None = None
    event: str | None = None
    detail: Detail = field(default_factory=dict)
    invert: bool = False
    debounce: int = 2
    repeat_s: float = 5.0


class Contact:
    """One input. Its first state is told too: a cord that is already pulled when we start is a call for help."""

    def __init__(self, device: str, meaning: Meaning) -> None:
        self._device = device
        self.meaning = meaning
        self.forget()

    def forget(self) -> None:
        """The link was lost: what the contact did meanwhile is unknown, so its next state counts as new."""
        self._state: bool | None = None
        self._read: bool | None = None
        self._equal_reads = 0
        self._told: Stamp | None = None

    def step(self, closed: bool, at: Stamp, sink: Sink) -> None:
        """One read of the input, received at `at`."""
        meaning = self.meaning
        value = closed != meaning.invert
        self._equal_reads = self._equal_reads + 1 if value == self._read else 1
        self._read = value
        if self._equal_reads < meaning.debounce:
            return
        if value != self._state:
            self._state = value
            self._tell_value(value, at, sink)
            if value and meaning.event:
                told = {**meaning.detail, "input": meaning.name}  # two cords of one bed are two
                sink.event(Event(meaning.event, at, meaning.bed, self._device, told))
        elif self._told is None or at.since_s(self._told) >= meaning.repeat_s:
            self._tell_value(value, at, sink)

    def _tell_value(self, value: bool, at: Stamp, sink: Sink) -> None:
        self._told = at
        if self.meaning.quantity:
            sink.measurement(
                Measurement(self.meaning.bed, self._device, self.meaning.quantity, float(value), "1", at)
            )


def meaning_of(profile: Profile, entry: PollField, device: Device) -> tuple[Meaning | None, list[Fault]]:
    """The input's meaning by profile, overlaid by the device's settings; None for an input that means nothing.

    Settings by input: "di3" = a role, "di3_bed" = a bed's id, "di3_invert" = true for a normally closed contact.
    """
    name, settings = entry.name, device.settings
    faults: list[Fault] = []
    chosen = _setting(settings, name, str, faults)
    if chosen is not None and chosen not in profile.role:
        faults.append(_fault(name, f"unknown role {chosen!r}", f"one of: {', '.join(sorted(profile.role))}"))
        chosen = None
    role = profile.role.get(chosen or entry.role or "", Role())
    own_event, own_quantity = (None, None) if chosen else (entry.event, entry.quantity)
    quantity, event = own_quantity or role.quantity, own_event or role.event
    invert = _setting(settings, f"{name}_invert", bool, faults)
    bed = _setting(settings, f"{name}_bed", str, faults)
    if not quantity and not event:
        return None, faults
    meaning = Meaning(
        name,
        bed or device.bed,
        quantity,
        event,
        role.detail,
        next(flag for flag in (invert, None if chosen else entry.invert, role.invert) if flag is not None),
        (None if chosen else entry.debounce) or role.debounce,
        role.repeat_s,
    )
    return meaning, faults


def stray_settings(profile: Profile, device: Device) -> list[Fault]:
    """Settings that look as if they meant an input which this model does not have."""
    names = {entry.name for poll in profile.poll for entry in poll.field if entry.bit is not None}
    faults = []
    for key, value in device.settings.items():
        base = key.removesuffix("_bed").removesuffix("_invert")
        if base not in names and (base != key or value in profile.role):
            known = ", ".join(sorted(names)) or "none"
            faults.append(_fault(key, "no such input", f"inputs of {device.model}: {known}"))
    return faults


def _setting(settings: Mapping[str, Setting], key: str, kind: type[SettingT], faults: list[Fault]) -> SettingT | None:
    value = settings.get(key)
    if value is None or isinstance(value, kind):
        return value
    faults.append(_fault(key, f"{value!r} is no {kind.__name__}", f"give a {kind.__name__}"))
    return None


def _fault(key: str, message: str, hint: str) -> Fault:
    return Fault(0, key, message, hint)
