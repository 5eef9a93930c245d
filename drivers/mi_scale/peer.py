"""A virtual Mi scale: broadcasts what frame.encode_weight or encode_composition makes, as often as it is told."""

from drivers.ble_virtual_ward import Beacon, RadioSpace

SERVICE_DATA_16 = 0x16


class MiScale:
    """The device. service: "181D" (Mi Scale 1) or "181B" (Mi Body Composition Scale)."""

    def __init__(self, space: RadioSpace, address: str, service: str) -> None:
        self._beacon: Beacon = space.add_beacon(address)
        self._service = bytes.fromhex(service)[::-1]

    def broadcast(self, data: bytes) -> None:
        """One advert."""
        flags = bytes([2, 0x01, 0x06])
        self._beacon.advertise(flags + bytes([3 + len(data), SERVICE_DATA_16]) + self._service + data)
