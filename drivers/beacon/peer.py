"""The beacon's end of the wire: an iBeacon or Eddystone pendant that calls the way its pattern says, and its faults."""

from dataclasses import dataclass, replace

from drivers.beacon import frame
from drivers.ble_virtual_ward import RadioSpace
from gateway.core.clock import Clock

INTERVAL_S = 0.2  # between two adverts; real ones 0.1 to 1 s
CALL_ADVERTS = 50  # a call lasts 10 s

_FLAGS = bytes([2, 0x01, 0x06])
_MANUFACTURER, _SERVICE_DATA_16 = 0xFF, 0x16
_FEAA = bytes([0xAA, 0xFE])


@dataclass
class Faults:
    """What the air and a cheap beacon do. lose_every: each so many-th advert is not sent. garbage: raw service data
    sent before each advert. new_address_every: so many adverts, and the address is another (0: never)."""

    lose_every: int = 0
    garbage: bytes = b""
    new_address_every: int = 0


class Pendant:
    """identity: what it beacons; calling: what it beacons for a while after a press, beside nothing else."""

    def __init__(
        self,
        space: RadioSpace,
        clock: Clock,
        address: str,
        identity: frame.IBeacon | frame.Uid,
        calling: frame.IBeacon | frame.Uid | bytes,
    ) -> None:
        self.telemetry = frame.Telemetry(3.0, 22.5, 0, 0.0)
        self.faults = Faults()
        self._space = space
        self._address = address
        self._beacon = space.add_beacon(address)
        self._clock = clock
        self._sent = 0
        self._identity = identity
        self._calling = calling
        self._calls_left = 0
        self._started = clock.now()

    def beacon(self) -> None:
        """One advert of its identity, or of its call while that lasts."""
        self._sent += 1
        if self.faults.new_address_every and self._sent % self.faults.new_address_every == 0:
            self._change_address()
        if self.faults.garbage:
            self.send(self.faults.garbage)
        calls, self._calls_left = self._calls_left > 0, max(0, self._calls_left - 1)
        if not self.faults.lose_every or self._sent % self.faults.lose_every:
            self.send(self._calling if calls else self._identity)

    def press(self, adverts: int = CALL_ADVERTS) -> None:
        """Press the button: the next so many adverts call. The first one leaves at once."""
        self._calls_left = adverts
        self.beacon()

    def tell_telemetry(self) -> None:
        """One telemetry frame."""
        uptime_s = round(self._clock.now().since_s(self._started), 1)
        self.telemetry = replace(self.telemetry, adv_count=self.telemetry.adv_count + 1, uptime_s=uptime_s)
        self._send_eddystone(frame.encode_telemetry(self.telemetry))

    async def run(self) -> None:
        """Beacon until cancelled."""
        while True:
            self.beacon()
            await self._clock.sleep(INTERVAL_S)

    def send(self, what: frame.IBeacon | frame.Uid | bytes) -> None:
        """One advert; bytes: raw service data under FEAA, for makers' frames and garbage."""
        if isinstance(what, frame.IBeacon):
            data = frame.APPLE.to_bytes(2, "little") + frame.encode_ibeacon(what)
            self._beacon.advertise(_FLAGS + bytes([len(data) + 1, _MANUFACTURER]) + data)
        else:
            self._send_eddystone(what if isinstance(what, bytes) else frame.encode_uid(what))

    def disappear(self) -> None:
        """Go out of range."""
        self._beacon.disappear()

    def reappear(self) -> None:
        """Come back into range."""
        self._beacon.reappear()

    def _change_address(self) -> None:
        self._beacon.disappear()
        head, last = self._address[:-2], int(self._address[-2:], 16)
        self._address = f"{head}{(last + 1) % 256:02X}"
        self._beacon = self._space.add_beacon(self._address)

    def _send_eddystone(self, data: bytes) -> None:
        service_data = _FEAA + data
        self._beacon.advertise(_FLAGS + bytes([len(service_data) + 1, _SERVICE_DATA_16]) + service_data)
