"""What the registry says of one beacon: whose it is, how it calls, where it is near. Faults are ValueErrors.

A beacon is known by its Bluetooth address, or, since telephones and bands change theirs, by what it sends: uuid with
major and minor (iBeacon), or namespace and instance (Eddystone). With both, both have to fit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from drivers.base import Device, Setting
from drivers.beacon.pattern import WIDTHS, Pattern, parse
from drivers.beacon.presence import Bounds

SHARED_UUIDS = {UUID("fda50693-a4e2-4fb1-afcf-c6eb07647825")}  # WeChat's: on most beacons made in China


@dataclass(frozen=True, slots=True)
class Settings:
    """uuid and identity: what an advert has to say; both empty where the address alone tells.

    alarm: the alternatives that call. sos: whether a call is for help or for service. zone: its name; "" where presence
    is not wanted. beacon: it advertises by itself, so that its silence is a fault after supervise_s.
    """

    uuid: UUID | None
    identity: Mapping[str, int]
    alarm: tuple[Pattern, ...]
    sos: bool
    zone: str
    bounds: Bounds
    beacon: bool
    supervise_s: float


def read(device: Device) -> Settings:
    """The settings of one device."""
    raw = device.settings
    try:
        uuid = UUID(str(raw["uuid"])) if "uuid" in raw else None
    except ValueError as error:
        raise ValueError(f"{device.id}: uuid {raw['uuid']!r} is none") from error
    identity = {field: _whole(device, field, raw[field]) for field in WIDTHS if field in raw}
    alarm = parse(str(raw.get("alarm", "")))
    _check_identity(device, uuid, identity, alarm)
    return Settings(
        uuid=uuid,
        identity=identity,
        alarm=alarm,
        sos=raw.get("purpose", "sos") == "sos",
        zone=str(raw.get("zone", device.link)),
        bounds=_bounds(device),
        beacon=raw.get("beacon", True) is True,
        supervise_s=_number(device, raw, "supervise_s", 3600.0),
    )


def _check_identity(
    device: Device, uuid: UUID | None, identity: Mapping[str, int], alarm: tuple[Pattern, ...]
) -> None:
    for pattern in alarm:
        own_value = identity.get(pattern.field)
        if own_value is not None and pattern.value == own_value & pattern.free(pattern.field):
            raise ValueError(f"{device.id}: its alarm pattern on {pattern.field} fits what it always sends")
    if device.address:
        return
    if uuid is None and not {"namespace", "instance"} <= set(identity):
        raise ValueError(f"{device.id}: give its address, or uuid, major and minor, or namespace and instance")
    if uuid is not None and not {"major", "minor"} <= set(identity):
        shared = " (this uuid is on millions of beacons)" if uuid in SHARED_UUIDS else ""
        raise ValueError(f"{device.id}: a uuid alone is no identity{shared}: give major and minor too")
    if any(pattern.free(field) == WIDTHS[field] for pattern in alarm for field in identity):
        message = "its alarm replaces what it is known by: give its address, or a mask such as minor&0x8000=0x8000"
        raise ValueError(f"{device.id}: {message}")


def _bounds(device: Device) -> Bounds:
    raw, usual = device.settings, Bounds()
    bounds = Bounds(
        enter_dbm=_number(device, raw, "enter_dbm", usual.enter_dbm),
        leave_dbm=_number(device, raw, "leave_dbm", usual.leave_dbm),
        hold_s=_number(device, raw, "hold_s", usual.hold_s),
        silence_s=_number(device, raw, "silence_s", usual.silence_s),
    )
    if bounds.leave_dbm >= bounds.enter_dbm:
        raise ValueError(f"{device.id}: leave_dbm {bounds.leave_dbm:g} has to be below enter_dbm {bounds.enter_dbm:g}")
    return bounds


def _number(device: Device, raw: Mapping[str, Setting], key: str, default: float) -> float:
    value = raw.get(key, default)
    if isinstance(value, bool | str):
        raise ValueError(f"{device.id}: {key} {value!r} is no number")
    return float(value)


def _whole(device: Device, field: str, value: Setting) -> int:
    """An identity's number; namespace and instance are written in hexadecimal, as makers print them."""
    try:
        return int(str(value), 16 if field in ("namespace", "instance") else 0)
    except ValueError as error:
        raise ValueError(f"{device.id}: {field} {value!r} is no number") from error
