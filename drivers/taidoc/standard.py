"""Many TaiDoc meters offer the Bluetooth standard's service beside their own: which family reads that.

The standard's service is bonded, indicates each measurement by itself and says its status; prefer it.
"""

from collections.abc import Callable

from drivers.profile_ble import full_uuid
from drivers.taidoc.models import Kind

FAMILIES = {  # characteristic of the standard's service, and who reads it
    Kind.PRESSURE: (("2A35",), "bls", "taidoc_bls"),
    Kind.BLOOD: (("2A18",), "gls", "taidoc_gls"),
    Kind.TEMPERATURE: (("2A1C",), "hts", "taidoc_hts"),
    Kind.SATURATION: (("2A5E", "2A5F"), "plx", "taidoc_plx"),
    Kind.WEIGHT: (("2A9D",), "wss", "wss_generic"),
}  # none for a mixed meter: a device has one family, and only its own protocol tells both


def better_family(kind: Kind, offers: Callable[[str], bool]) -> str:
    """What to do when the meter offers its kind's standard characteristic; "" when not. offers: by full uuid."""
    if kind not in FAMILIES:
        return ""
    characteristics, family, model = FAMILIES[kind]
    if not any(offers(full_uuid(one)) for one in characteristics):
        return ""
    return f"register it as family {family}, model {model}"
