"""Every device family by name: the one list that the daemon, the registry and the generated tables read."""

from typing import Any

from drivers.base import Family
from drivers.bed_belt.driver import FAMILY as BED_BELT
from drivers.bthome.driver import FAMILY as BTHOME
from drivers.hrs.driver import FAMILY as HRS
from drivers.modbus_rtu.driver import FAMILY as MODBUS_RTU
from drivers.polar_pmd.driver import FAMILY as POLAR_PMD

FAMILIES: dict[str, Family[Any]] = {
    family.name: family for family in (BED_BELT, MODBUS_RTU, HRS, POLAR_PMD, BTHOME)
}
SERIAL = ("serial", "modbus-rtu")  # transports whose link is a [[serial]] port; the others need a [[ble]] radio
SHARED = ("modbus-rtu",)  # all devices of one link share one driver

DELIVERS = {  # quantities a rule may expect of a device of this family, measured by it or derived from its signal
    "bed_belt": frozenset(("bed_occupied", "heart_rate", "respiration_rate", "movement", "vital_sign")),
    "hrs": frozenset(("heart_rate", "ibi")),
    "polar_pmd": frozenset(("heart_rate", "ibi")),
    "modbus_rtu": frozenset[str](),
    "bthome": frozenset[str](),
}
