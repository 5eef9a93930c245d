"""A virtual cuff: an A&D UA-651BLE that hands over its records and hangs up."""

from collections.abc import Callable
from datetime import datetime

from drivers.ble_virtual_ward import RadioSpace
from drivers.gatt_peer import GattPeer
from gateway.core.clock import Clock


def cuff(space: RadioSpace, clock: Clock, address: str, local: Callable[[], datetime]) -> GattPeer:
    """The device; `records` takes bytes of frame.encode. local: what the house's wall clock shows."""
    return GattPeer(space, clock, address, "1810", "2A35", local, name="A&D_UA-651BLE_000001", custom=True)
