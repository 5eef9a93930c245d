"""A virtual thermometer of the standard's own service, clock in 2A08."""

from collections.abc import Callable
from datetime import datetime

from drivers.ble_virtual_ward import RadioSpace
from drivers.gatt_peer import GattPeer
from gateway.core.clock import Clock


def thermometer(space: RadioSpace, clock: Clock, address: str, local: Callable[[], datetime]) -> GattPeer:
    """The device; `records` takes bytes of frame.encode. local: what the house's wall clock shows."""
    return GattPeer(space, clock, address, "1809", "2A1C", local, name="FT95")
