"""The button's end of the wire: bursts of one advert, as a Shelly BLU Button sends them."""

from drivers.ble_virtual_ward import RadioSpace
from drivers.bthome import frame
from gateway.core.clock import Clock

BURST = 12  # adverts a press; real ones repeat 5 to 30 times
INTERVAL_S = 0.03  # between two of a burst

_FLAGS = bytes([2, 0x01, 0x06])
_SERVICE_DATA_16 = 0x16
_UUID = bytes([0xD2, 0xFC])


class BthomeButton:
    """A button with one or more keys. buttons: how many keys it has."""

    def __init__(
        self,
        space: RadioSpace,
        clock: Clock,
        address: str,
        *,
        buttons: int = 1,
        battery_percent: int = 100,
        key: bytes | None = None,
    ) -> None:
        self.battery_percent = battery_percent
        self.packet_id = 0
        self._beacon = space.add_beacon(address)
        self._clock = clock
        self._address = address
        self._buttons = buttons
        self._key = key
        self._counter = 1000

    async def press(self, code: int = 0x01, *, button: int = 1, burst: int = BURST) -> None:
        """One press: `burst` adverts with the same packet id. The first one leaves at once."""
        codes = [code if position == button else frame.NOT_PRESSED for position in range(1, self._buttons + 1)]
        advert = self._advert(codes)
        for number in range(burst):
            if number:
                await self._clock.sleep(INTERVAL_S)
            self._beacon.advertise(advert)

    def beacon(self) -> None:
        """A sign of life without a press."""
        self._beacon.advertise(self._advert([frame.NOT_PRESSED] * self._buttons))

    def disappear(self) -> None:
        """Go out of range."""
        self._beacon.disappear()

    def reappear(self) -> None:
        """Come back into range."""
        self._beacon.reappear()

    def _advert(self, codes: list[int]) -> bytes:
        self.packet_id = (self.packet_id + 1) % 256
        self._counter += 1
        values = [(frame.PACKET_ID, self.packet_id), (frame.BATTERY, self.battery_percent)]
        objects = (*values, *((frame.BUTTON, code) for code in codes))
        sent = frame.Objects(objects, trigger_based=True, counter=self._counter)
        data = _UUID + frame.encode(sent, self._address, self._key)
        return _FLAGS + bytes([len(data) + 1, _SERVICE_DATA_16]) + data
