"""Every device family by name: the one list that the daemon, the registry and the generated tables read.

A family is imported when somebody asks for it by name: a box with two bands does not load the code of every meter.
"""

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from drivers.base import Family

WHERE = {  # family: module and name
    "bed_belt": "drivers.bed_belt.driver:FAMILY",
    "modbus_rtu": "drivers.modbus_rtu.driver:FAMILY",
    "hrs": "drivers.hrs.driver:FAMILY",
    "polar_pmd": "drivers.polar_pmd.driver:FAMILY",
    "bthome": "drivers.bthome.driver:FAMILY",
    "plx": "drivers.plx.driver:FAMILY",
    "bls": "drivers.bls.driver:FAMILY",
    "hts": "drivers.hts.driver:FAMILY",
    "wss": "drivers.wss.driver:FAMILY",
    "gls": "drivers.gls.driver:FAMILY",
    "beacon": "drivers.beacon.driver:FAMILY",
    "mi_scale": "drivers.mi_scale.driver:FAMILY",
    "berry_bci": "drivers.berry_bci.driver:FAMILY",
    "berry_bci_ble": "drivers.berry_bci.driver:FAMILY_BLE",
    "nonin": "drivers.nonin.driver:FAMILY",
    "nonin_ble": "drivers.nonin.driver:FAMILY_BLE",
    "taidoc": "drivers.taidoc.driver:FAMILY",
    "taidoc_ble": "drivers.taidoc.driver:FAMILY_BLE",
    "r60abd1": "drivers.r60abd1.driver:FAMILY",
    "tf_radar": "drivers.tf_radar.driver:FAMILY",
    "suntech": "drivers.suntech.driver:FAMILY",
    "colmi": "drivers.colmi.driver:FAMILY",
    "line_scale": "drivers.line_scale.driver:FAMILY",
    "identity_reader": "drivers.identity_reader.driver:FAMILY",
}
SERIAL = ("serial", "modbus-rtu")  # transports whose link is a [[serial]] port; the others need a [[ble]] radio
CLOCKED = frozenset(  # families whose devices keep a wall clock: they are told the site's zone
    ("plx", "bls", "hts", "wss", "gls", "mi_scale", "nonin", "nonin_ble", "taidoc", "taidoc_ble", "colmi")
)
SHARED = ("modbus-rtu",)  # all devices of one link share one driver


class _Catalogue(Mapping[str, Family[Any]]):
    """Loads a family the first time it is asked for."""

    def __getitem__(self, name: str) -> Family[Any]:
        module, _, attribute = WHERE[name].partition(":")
        family: Family[Any] = getattr(importlib.import_module(module), attribute)
        return family

    def __iter__(self) -> Iterator[str]:
        return iter(WHERE)

    def __len__(self) -> int:
        return len(WHERE)


FAMILIES: Mapping[str, Family[Any]] = _Catalogue()

_NOTHING: frozenset[str] = frozenset()
DELIVERS = {  # quantities a rule may expect of a device of this family, measured by it or derived from its signal
    "bed_belt": frozenset(("bed_occupied", "heart_rate", "respiration_rate", "movement", "vital_sign")),
    "modbus_rtu": _NOTHING,
    "hrs": frozenset(("heart_rate", "ibi")),
    "polar_pmd": frozenset(("heart_rate", "ibi")),
    "bthome": _NOTHING,
    "plx": frozenset(("spo2", "pulse_rate")),
    "bls": frozenset(("systolic", "diastolic", "mean_arterial", "pulse_rate")),
    "hts": frozenset(("body_temperature",)),
    "wss": frozenset(("weight",)),
    "gls": frozenset(("glucose",)),
    "beacon": frozenset(("rssi",)),
    "mi_scale": frozenset(("weight",)),
    "berry_bci": frozenset(("spo2", "pulse_rate", "worn")),
    "berry_bci_ble": frozenset(("spo2", "pulse_rate", "worn")),
    "nonin": frozenset(("spo2", "pulse_rate")),
    "nonin_ble": frozenset(("spo2", "pulse_rate", "worn", "perfusion_index")),
    "taidoc": _NOTHING,  # by model: pressure, glucose, oximeter or thermometer
    "taidoc_ble": _NOTHING,
    "r60abd1": frozenset(("bed_occupied", "heart_rate", "respiration_rate")),
    "tf_radar": frozenset(("heart_rate", "respiration_rate")),
    "suntech": frozenset(("systolic", "diastolic", "mean_arterial", "pulse_rate")),
    "colmi": frozenset(("pulse_rate", "spo2")),
    "line_scale": frozenset(("weight",)),
    "identity_reader": _NOTHING,
}
