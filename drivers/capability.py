"""What a device can see and what it cannot, as its family and its profile say: pure, no I/O but the profiles' files.

A radar that reports a heart rate only from 60 to 120 sees no bradycardia, and a bed exit that it tells 30 s late helps
nobody at once. That is no fault of one device but a property of its model; the rules, the page and the platform's
inventory are told, so that nobody takes silence for health.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from drivers.base import Device
from drivers.catalogue import DELIVERS, FAMILIES
from drivers.modbus_rtu.contact import meaning_of
from drivers.profile import NAME, models_in, parse
from drivers.profile_schema import Profile
from gateway.core.errors import ConfigError

DRIVERS = Path(__file__).parent
METERS = ("gls", "taidoc", "taidoc_ble")  # families whose every model is switched on for a measurement only


@dataclass(frozen=True, slots=True)
class Sight:
    """One quantity as one device sees it, of the person in `bed` (None: of the site, or of whoever uses it).

    low, high: outside of them the device reports nothing or something else, in the quantity's unit; None where nothing
    is declared. latency_s: so late it tells a change. blind: what it misses, in a technician's words.
    """

    quantity: str
    bed: str | None = None
    low: float | None = None
    high: float | None = None
    latency_s: float = 0.0
    blind: str = ""

    @property
    def range(self) -> tuple[float, float] | None:
        """None where the device declares none and is taken to see whatever there is."""
        return None if self.low is None or self.high is None else (self.low, self.high)


def sights(device: Device) -> tuple[Sight, ...]:
    """What a device delivers, by bed and quantity in order; empty for one of an unknown family without a profile."""
    profile = profile_of(device.family, device.model)
    seen = {(device.bed, quantity) for quantity in DELIVERS.get(device.family, ())}
    if profile is not None:
        seen |= set(_wired(device, profile)) | {(device.bed, quantity) for quantity in _measured(profile)}
    in_order = sorted(seen, key=lambda one: (one[0] or "", one[1]))
    return tuple(_sight(profile, bed, quantity) for bed, quantity in in_order)


def is_shared(device: Device) -> bool:
    """A device of no bed that many people use: its readings belong to whoever shows a card, QR code or badge.

    A kiosk by its profile's class; any other by its setting `shared`, which also takes a kiosk out.
    """
    if device.bed is not None:
        return False
    profile = profile_of(device.family, device.model)
    kiosk = profile is not None and profile.device.class_name.endswith("kiosk")
    return bool(device.settings.get("shared", kiosk))


def can_be_missed(device: Device) -> bool:
    """Whether its silence is a loss. A button that does not beacon, and a meter that is switched on for a measurement
    only, are silent by nature: nobody should be called because a blood pressure cuff lies in its drawer."""
    if device.family == "beacon":
        return device.settings.get("beacon", True) is True
    family, profile = FAMILIES.get(device.family), profile_of(device.family, device.model)
    transport = profile.device.transport if profile is not None else family.transport if family is not None else ""
    if transport == "ble-adv":
        return device.settings.get("beacon") is True
    meter = profile is not None and bool(profile.source) and all(one.reading == "record" for one in profile.source)
    if profile is not None and profile.codec is not None and profile.codec.presence == "when_used":
        meter = True
    return not meter and device.family not in METERS


@cache
def profile_of(family: str, model: str) -> Profile | None:
    """The model's profile; None where its family needs none, or where it cannot be read (its driver says why)."""
    if not NAME.fullmatch(family):
        return None
    path = models_in(DRIVERS / family.removesuffix("_ble")).get(model)  # two links, one family of models
    try:
        return None if path is None else parse(path)[0]
    except ConfigError:
        return None


def _measured(profile: Profile) -> Iterable[str]:
    """Quantities that the profile's fields name, and those that it declares something of."""
    yield from profile.device.capability
    polls = [poll for poll in profile.poll if not poll.bits]
    parts = (*profile.source, *profile.message, *polls, *((profile.line,) if profile.line else ()))
    for part in parts:
        yield from (entry.quantity for entry in part.field if entry.quantity)


def _wired(device: Device, profile: Profile) -> Iterable[tuple[str | None, str]]:
    """What the inputs of a contact module stand for in this house."""
    for poll in profile.poll:
        for entry in poll.field if poll.bits else ():
            meaning, _ = meaning_of(profile, entry, device)
            if meaning is not None and meaning.quantity:
                yield meaning.bed, meaning.quantity


def _sight(profile: Profile | None, bed: str | None, quantity: str) -> Sight:
    declared = profile.device.capability.get(quantity) if profile is not None else None
    if declared is None:
        return Sight(quantity, bed)
    low, high = declared.range or (None, None)
    return Sight(quantity, bed, low, high, declared.latency_s, declared.blind)
