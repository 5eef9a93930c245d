"""A virtual oximeter: streams once a second while somebody listens."""

from collections.abc import Callable
from datetime import datetime

from drivers.ble_virtual_ward import RadioSpace
from drivers.gatt_peer import GattPeer
from gateway.core.clock import Clock


def oximeter(
    space: RadioSpace, clock: Clock, address: str, local: Callable[[], datetime], live: Callable[[], bytes]
) -> GattPeer:
    """The device. live: asked once a second for bytes of frame.encode_continuous."""
    return GattPeer(
        space, clock, address, "1822", "2A5F", local,
        name="oximeter", clock_uuid="", indicate=False, bonded=False, live=live,
    )  # fmt: skip
