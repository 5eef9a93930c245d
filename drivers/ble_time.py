"""The Current Time Service in bytes (Bluetooth CTS 1.1, GATT Specification Supplement 3.62 and 3.139)."""

from datetime import datetime, timedelta
from enum import IntFlag

SERVICE = "00001805-0000-1000-8000-00805f9b34fb"
CURRENT_TIME = "00002a2b-0000-1000-8000-00805f9b34fb"
LOCAL_TIME_INFORMATION = "00002a0f-0000-1000-8000-00805f9b34fb"

_DST_OFFSETS = {0: 0, 30: 2, 60: 4, 120: 8}  # minutes -> code
_UNKNOWN_DST = 255


class Reason(IntFlag):
    """Why the time was adjusted; 0: it was not, since the device last asked."""

    MANUAL = 1
    REFERENCE = 2
    TIME_ZONE = 4
    DST = 8


UNADJUSTED = Reason(0)


def current_time(local: datetime, reason: Reason = UNADJUSTED) -> bytes:
    """The 10 bytes of 2A2B. local: the site's wall clock; the format knows years from 1582 to 9999."""
    day = local.isoweekday()  # Monday 1 ... Sunday 7, as the format has it
    fraction = local.microsecond * 256 // 1_000_000
    clock = bytes((local.month, local.day, local.hour, local.minute, local.second, day, fraction, reason))
    return local.year.to_bytes(2, "little") + clock


def local_time_information(local: datetime) -> bytes:
    """The 2 bytes of 2A0F: zone without summer time in steps of 15 minutes, and summer time. ValueError when naive."""
    offset, summer = local.utcoffset(), local.dst()
    if offset is None:
        raise ValueError("a local time without its zone")
    summer = summer or timedelta(0)
    zone = round((offset - summer) / timedelta(minutes=15))
    code = _DST_OFFSETS.get(round(summer / timedelta(minutes=1)), _UNKNOWN_DST)
    return zone.to_bytes(1, "little", signed=True) + bytes((code,))
