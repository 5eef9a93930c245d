"""The end of a store-and-dump meter or a streaming monitor, on bumble: records, a clock, bonding, faults on demand."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bumble.att import Attribute
from bumble.core import UUID
from bumble.core import TimeoutError as BumbleTimeoutError
from bumble.gatt import Characteristic, CharacteristicValue, Service

from drivers.and_store_dump import CUSTOM, SEND_ALL
from drivers.ble_values import current_time_bytes, date_time, date_time_bytes
from drivers.ble_virtual_ward import Peripheral, RadioSpace
from gateway.core.clock import Clock

PERIOD_S = 1.0  # a monitor notifies about once a second


@dataclass
class Faults:
    """What a meter may do wrong. hang_up_after: records after which it disconnects, once. repeat: each record is sent
    twice. keep: the records stay after they were sent, so that the next visit hears them again. garbage: bytes sent
    before the first record. stay: it does not hang up by itself. delay_s: between two records."""

    hang_up_after: int | None = None
    repeat: bool = False
    keep: bool = False
    garbage: bytes = b""
    stay: bool = False
    delay_s: float = 0.0


@dataclass
class Seen:
    """What the device noticed of its central, in order: "time", "ask_all", "subscribe"."""

    steps: list[str] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)
    visits: int = 0
    sent: int = 0


class GattPeer:
    """A device with one measuring characteristic.

    service and characteristic: four hexadecimal digits. clock_uuid: "2A08" or "2A2B", "" without a clock. custom: an
    A&D device, which waits for the question for all. bonded: its clock needs an encrypted link. local: what the house's
    wall clock shows. live: asked once a second while somebody listens; without it, `records` are handed over.
    """

    def __init__(
        self,
        space: RadioSpace,
        clock: Clock,
        address: str,
        service: str,
        characteristic: str,
        local: Callable[[], datetime],
        *,
        name: str = "meter",
        clock_uuid: str = "2A08",
        indicate: bool = True,
        bonded: bool = True,
        custom: bool = False,
        live: Callable[[], bytes] | None = None,
    ) -> None:
        self.faults = Faults()
        self.seen = Seen()
        self.battery_percent = 66
        self.records: list[bytes] = []
        self.clock_ahead_s = 0.0
        self.peripheral: Peripheral
        self._space = space
        self._clock = clock
        self._address = address
        self._name = name
        self._service = service
        self._local = local
        self._live = live
        self._asked = not custom
        self._wake = asyncio.Event()
        self._subscribed = False
        self.services = self._built(characteristic, clock_uuid, indicate=indicate, bonded=bonded, custom=custom)

    def _built(
        self, characteristic: str, clock_uuid: str, *, indicate: bool, bonded: bool, custom: bool
    ) -> list[Service]:
        kinds, permissions = Characteristic.Properties, Attribute.Permissions
        self._indicates = indicate
        self._measured = Characteristic(
            characteristic, kinds.INDICATE if indicate else kinds.NOTIFY, permissions.READABLE, b""
        )
        self._measured.on(Characteristic.EVENT_SUBSCRIPTION, self._on_subscription)
        level = CharacteristicValue(read=lambda _connection: bytes([self.battery_percent]))
        services = [Service("180F", [Characteristic("2A19", kinds.READ, permissions.READABLE, level)])]
        inside = [self._measured]
        writeable = permissions.WRITEABLE | (permissions.WRITE_REQUIRES_ENCRYPTION if bonded else permissions.WRITEABLE)
        if clock_uuid:
            encode = date_time_bytes if clock_uuid == "2A08" else current_time_bytes
            value = CharacteristicValue(read=lambda _connection: encode(self.shown()), write=self._set_time)
            inside.append(Characteristic(clock_uuid, kinds.READ | kinds.WRITE, permissions.READABLE | writeable, value))
        if custom:
            value = CharacteristicValue(write=self._on_custom)
            services.append(
                Service(
                    UUID("233bf000-5a34-1b6d-975c-000d5690abe4"),
                    [Characteristic(UUID(CUSTOM), kinds.WRITE, writeable, value)],
                )
            )
        return [Service(self._service, inside), *services]

    async def start(self) -> None:
        """Switch on: advertise."""
        self.peripheral = await self._space.add_peripheral(
            self._address, self._name, self.services, [UUID(self._service)]
        )

    def shown(self) -> datetime:
        """What its display shows."""
        return (self._local() + timedelta(seconds=self.clock_ahead_s)).replace(microsecond=0)

    def appear(self) -> None:
        """Come into range after a measurement."""
        self.peripheral.reappear()

    async def run(self) -> None:
        """Hand over, or stream, until cancelled; `start` comes first."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._live is not None:
                await self._stream(self._live)
            else:
                await self._hand_over()

    async def _stream(self, live: Callable[[], bytes]) -> None:
        while self._subscribed and self.peripheral.connected:
            await self.peripheral.notify(self._measured, live())
            self.seen.sent += 1
            await self._clock.sleep(PERIOD_S)

    async def _hand_over(self) -> None:
        self.seen.visits += 1
        if self.faults.garbage:
            await self._send(self.faults.garbage)
        for position, record in enumerate(list(self.records)):
            if position == self.faults.hang_up_after:
                self.faults.hang_up_after = None
                break
            for _ in range(2 if self.faults.repeat else 1):
                await self._send(record)
            await self._clock.sleep(self.faults.delay_s)
        else:
            if not self.faults.keep:
                self.records.clear()
        if not self.faults.stay:
            await self.peripheral.hang_up()
            self.peripheral.disappear()

    async def _send(self, record: bytes) -> None:
        self.seen.sent += 1
        if not self._indicates:
            await self.peripheral.notify(self._measured, record)
            return
        try:
            await self.peripheral.device.indicate_subscribers(self._measured, record)
        except (TimeoutError, BumbleTimeoutError):
            return  # a central that has left confirms nothing; bumble waits 30 s for it

    def _on_subscription(self, _bearer: Any, notify: bool, indicate: bool) -> None:
        self._subscribed = notify or indicate
        if self._subscribed:
            self.seen.steps.append("subscribe")
            if self._asked:
                self._wake.set()

    def _on_custom(self, _connection: Any, data: bytes) -> None:
        if bytes(data) == SEND_ALL:
            self.seen.steps.append("ask_all")
            self._asked = True

    def _set_time(self, _connection: Any, data: bytes) -> None:
        written = date_time(bytes(data[:7]))
        if written is not None:
            self.seen.steps.append("time")
            self.seen.times.append(written)
            self.clock_ahead_s = (written - self._local()).total_seconds()
