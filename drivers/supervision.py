"""Would we know if this way to call for help were broken? Supervised, or tested by a press once a month: pure logic.

A beacon that is heard at least hourly, a normally closed loop and a bonded link that is held prove themselves. All
others prove themselves only when somebody presses them, so a test press falls due. Times are UTC and aware, because a
month outlives the boots of a box.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from drivers.base import Device
from drivers.modbus_rtu.contact import meaning_of
from drivers.profile_schema import Profile
from gateway.core.model import Event, Measurement

HOURLY_S = 3600.0  # the rarest beacon that counts as supervision
TEST_EVERY = timedelta(days=30)
AHEAD = timedelta(days=1)  # a press so far in the future was stamped by a wrong clock and proves nothing
PRESSES = ("sos_pressed", "service_requested")  # a service key proves the same battery and radio as the other keys


class Way(StrEnum):
    """How a path to help is supervised."""

    BEACON = "beacon"
    LOOP = "loop"
    LINK = "link"
    NONE = "none"


SILENCE_S = {Way.BEACON: HOURLY_S, Way.LOOP: 60.0, Way.LINK: 60.0}  # so long unheard, the proof is gone


class Proof(StrEnum):
    """What is known of a path now. SILENT: it should have proved itself and has not: a fault."""

    SUPERVISED = "supervised"
    SILENT = "silent"
    UNSUPERVISED = "unsupervised"


@dataclass(frozen=True, slots=True)
class SosPath:
    """One button, pendant or cord. input: of a contact module, as its events' detail says, else ""."""

    device: str
    bed: str | None
    way: Way
    input: str = ""

    def pressed_by(self, event: Event) -> bool:
        """Whether this event is a press of this path, in earnest or as a test."""
        if event.kind not in PRESSES or event.device != self.device:
            return False
        return not self.input or event.detail.get("input") == self.input


@dataclass(frozen=True, slots=True)
class Supervision:
    """One path, judged at one moment. test_by: when the next test press falls due; None where none is needed."""

    path: SosPath
    proof: Proof
    test_by: datetime | None
    test_due: bool


def sos_paths(device: Device, profile: Profile | None) -> tuple[SosPath, ...]:
    """Every way in which this device calls for help; empty for one that does not. profile: of its model, if any."""
    if device.family == "modbus_rtu":
        return tuple(_contacts(device, profile)) if profile is not None else ()
    if device.family == "beacon":
        calls = bool(device.settings.get("alarm")) and device.settings.get("purpose", "sos") == "sos"
    else:
        calls = device.settings.get("purpose") == "sos"
    return (SosPath(device.id, device.bed, _way(device, profile)),) if calls else ()


def judge(path: SosPath, *, heard: datetime | None, pressed: datetime | None, now: datetime) -> Supervision:
    """heard: the device's last sign of life; pressed: this path's last press; None: never, as far as is known."""
    if path.way is Way.NONE:
        believed = pressed is not None and pressed <= now + AHEAD
        test_by = pressed + TEST_EVERY if pressed is not None and believed else now
        return Supervision(path, Proof.UNSUPERVISED, test_by, test_due=test_by <= now)
    silent_s = None if heard is None else (now - heard).total_seconds()
    proved = silent_s is not None and silent_s <= SILENCE_S[path.way]
    return Supervision(path, Proof.SUPERVISED if proved else Proof.SILENT, None, test_due=False)


def _way(device: Device, profile: Profile | None) -> Way:
    settings = device.settings
    if device.family == "bthome":
        return Way.BEACON if settings.get("beacon") is True else Way.NONE
    if device.family == "beacon":
        limit_s = settings.get("supervise_s", HOURLY_S)
        hourly = not isinstance(limit_s, str) and limit_s <= HOURLY_S
        return Way.BEACON if hourly and settings.get("beacon", True) is True else Way.NONE
    bonds = profile is not None and profile.device.transport == "ble-gatt" and profile.device.bond != "none"
    return Way.LINK if bonds or settings.get("bonded") is True else Way.NONE


def _contacts(device: Device, profile: Profile) -> Iterable[SosPath]:
    """Inputs that call. Normally open ones are unsupervised: nobody sees that their wire is broken."""
    for poll in profile.poll:
        for entry in poll.field if poll.bits else ():
            meaning, _ = meaning_of(profile, entry, device)
            if meaning is not None and meaning.event == "sos_pressed":
                way = Way.LOOP if meaning.invert else Way.NONE
                yield SosPath(device.id, meaning.bed, way, meaning.name)


@dataclass(frozen=True, slots=True)
class Wear:
    """Whether a device is worn and whether it charges, as far as it has told; None: it has not."""

    worn: bool | None = None
    charging: bool | None = None

    def after(self, fact: Measurement | Event) -> "Wear":
        """What is known once this was told. A device that charges is not worn, and one that is worn does not charge."""
        if isinstance(fact, Measurement):
            if fact.quantity != "worn":
                return self
            worn = fact.value > 0.5
            return Wear(worn, False if worn and self.charging else self.charging)
        match fact.kind:
            case "charging_started":
                return Wear(worn=False, charging=True)
            case "charging_ended":
                return replace(self, charging=False)
            case "sensor_off":
                return replace(self, worn=False)
        return self
