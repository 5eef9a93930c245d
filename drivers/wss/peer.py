"""A virtual scale of the standard's own service, clock in 2A2B."""

from collections.abc import Callable
from datetime import datetime

from drivers.ble_virtual_ward import RadioSpace
from drivers.gatt_peer import GattPeer
from gateway.core.clock import Clock


def scale(space: RadioSpace, clock: Clock, address: str, local: Callable[[], datetime]) -> GattPeer:
    """The device; `records` takes bytes of frame.encode. local: what the house's wall clock shows."""
    return GattPeer(space, clock, address, "181D", "2A9D", local, name="scale", clock_uuid="2A2B")
