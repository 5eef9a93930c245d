"""The strap's end of the wire, on bumble: Heart Rate and Battery services, fed by callables."""

from collections.abc import Callable
from typing import Any

from bumble.att import Attribute
from bumble.core import UUID
from bumble.gatt import Characteristic, CharacteristicValue, Service

from drivers.ble_virtual_ward import Peripheral, RadioSpace
from drivers.hrs import frame
from gateway.core.clock import Clock

PERIOD_S = 1.0  # straps notify about once a second
HEART_RATE_SERVICE = UUID("180D")


class HeartRateServices:
    """The two services of any band, with what they say left to the caller.

    heart_rate: asked once a second. battery: percent, asked at each read.
    """

    def __init__(self, heart_rate: Callable[[], frame.HeartRate], battery: Callable[[], int]) -> None:
        properties = Characteristic.Properties
        self._heart_rate = heart_rate
        self._measurement = Characteristic("2A37", properties.NOTIFY, Attribute.READABLE, b"")
        level = Characteristic(
            "2A19",
            properties.READ | properties.NOTIFY,
            Attribute.READABLE,
            CharacteristicValue(read=lambda _connection: bytes([battery()])),
        )
        location = Characteristic("2A38", properties.READ, Attribute.READABLE, b"\x02")
        self.services = [Service("180D", [self._measurement, location]), Service("180F", [level])]

    async def run(self, peripheral: Peripheral, clock: Clock) -> None:
        """Notify for ever; a notification without a subscriber goes nowhere, as on a real strap."""
        start, count = clock.now(), 0
        while True:
            count += 1
            await clock.sleep(count * PERIOD_S - clock.now().since_s(start))
            await peripheral.notify(self._measurement, frame.encode(self._heart_rate()))


class HeartRateStrap:
    """A strap with nothing but these services."""

    def __init__(
        self,
        space: RadioSpace,
        clock: Clock,
        address: str,
        heart_rate: Callable[[], frame.HeartRate],
        battery: Callable[[], int] = lambda: 90,
        *,
        name: str = "HR strap",
    ) -> None:
        self._space = space
        self._clock = clock
        self._address = address
        self._name = name
        self._services = HeartRateServices(heart_rate, battery)
        self.peripheral: Any = None

    async def start(self) -> None:
        """Switch on: advertise."""
        self.peripheral = await self._space.add_peripheral(
            self._address, self._name, self._services.services, [HEART_RATE_SERVICE]
        )

    async def run(self) -> None:
        """Notify until cancelled; `start` comes first."""
        await self._services.run(self.peripheral, self._clock)
