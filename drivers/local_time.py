"""A device's wall clock beside the house's: both local, without a zone, because that is all that meters know."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from drivers.base import Device
from gateway.core.clock import Clock
from gateway.core.errors import ConfigError, Fault
from gateway.core.model import Stamp

UNSET_S = 24 * 3600.0  # a clock so far off was lost with the batteries
OWN_UNCERTAINTY_S = 3600.0  # while the box knows the time no better, it proves nothing about another's clock
TELL_S = 60.0  # an offset below a minute is a meter's way of showing no seconds


def zone_of(device: Device) -> ZoneInfo | None:
    """The zone that the device's setting time_zone names; None: the box's own."""
    name = device.settings.get("time_zone")
    if name is None:
        return None
    try:
        return ZoneInfo(str(name))
    except (ZoneInfoNotFoundError, ValueError) as error:
        fault = Fault(0, "time_zone", f"{name!r} is no time zone", "write it as Europe/Paris")
        raise ConfigError(device.id, (fault,)) from error


def local_time(clock: Clock, at: Stamp, zone: ZoneInfo | None = None) -> datetime:
    """What a wall clock in the zone (None: the box's own) shows at `at`; naive, as a device's own time is."""
    moment = datetime.fromtimestamp(clock.anchor().utc_ns_of(at) / 1e9, tz=UTC)
    return moment.astimezone(zone).replace(tzinfo=None)


def time_is_known(clock: Clock) -> bool:
    """Whether the box's own time is good enough to judge, and to set, a device's."""
    return clock.anchor().uncertainty_ns < OWN_UNCERTAINTY_S * 1e9
