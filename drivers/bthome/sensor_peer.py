"""A sensor's end of the wire: a door contact, a motion sensor or a thermometer that advertises what it sees."""

from drivers.ble_virtual_ward import RadioSpace
from drivers.bthome import frame
from drivers.bthome.peer import BURST, INTERVAL_S
from gateway.core.clock import Clock

_FLAGS = bytes([2, 0x01, 0x06])
_SERVICE_DATA_16 = 0x16
_UUID = bytes([0xD2, 0xFC])


class BthomeSensor:
    """One device on the air. Its battery and a packet id stand before whatever it tells."""

    def __init__(self, space: RadioSpace, clock: Clock, address: str, *, battery_percent: int = 100) -> None:
        self.battery_percent = battery_percent
        self.packet_id = 0
        self._beacon = space.add_beacon(address)
        self._clock = clock
        self._address = address

    async def tell(self, *objects: tuple[int, float], burst: int = BURST) -> None:
        """(id, value) of each object, ids rising, in `burst` adverts with one packet id. The first leaves at once."""
        self.packet_id = (self.packet_id + 1) % 256
        head = ((frame.PACKET_ID, self.packet_id), (frame.BATTERY, self.battery_percent))
        data = _UUID + frame.encode(frame.Objects((*head, *objects), trigger_based=True), self._address)
        advert = _FLAGS + bytes([len(data) + 1, _SERVICE_DATA_16]) + data
        for number in range(burst):
            if number:
                await self._clock.sleep(INTERVAL_S)
            self._beacon.advertise(advert)
