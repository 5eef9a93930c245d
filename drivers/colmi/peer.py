"""The ring's end of the wire, on bumble: log, spot readings, battery; and a ring's faults on demand."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from bumble.att import Attribute
from bumble.core import UUID
from bumble.gatt import Characteristic, CharacteristicValue, Service

from drivers.ble_virtual_ward import Peripheral, RadioSpace
from drivers.colmi import frame
from gateway.core.clock import Clock

SEARCH_READINGS = 2  # spot readings of 0 before the first value


@dataclass
class Faults:
    """What a ring may do wrong. refuse: commands it does not know. garble: so many next packets with a wrong sum.
    lose_log_part: index never sent. worn_wrongly: spot readings fail. finds_nothing: they stay 0. mute: no answers.
    hang_up_in_log: disconnect behind the first part, once. chatter: sends an unasked packet before each answer."""

    refuse: frozenset[int] = frozenset()
    garble: int = 0
    lose_log_part: int | None = None
    worn_wrongly: bool = False
    finds_nothing: bool = False
    mute: bool = False
    hang_up_in_log: bool = False
    chatter: bool = False


@dataclass
class State:
    """What the ring holds. log: by midnight (seconds since 1970) one value for each interval."""

    battery_percent: int = 64
    charging: bool = False
    heart_rate: int = 71
    spo2: int = 97
    settings: frame.LogSettings = field(default_factory=lambda: frame.LogSettings(enabled=False, interval_min=60))
    log: dict[int, bytes] = field(default_factory=dict)
    commands: list[bytes] = field(default_factory=list)


class ColmiRing:
    """A ring. Answers leave from `run`, behind the write's own response."""

    def __init__(self, space: RadioSpace, clock: Clock, address: str) -> None:
        self.faults = Faults()
        self.state = State()
        self._space = space
        self._clock = clock
        self._address = address
        self._commands: asyncio.Queue[bytes] = asyncio.Queue(16)  # full: a command is lost, as on the ring
        self._searched = 0
        properties = Characteristic.Properties
        write = Characteristic(
            UUID(frame.WRITE),
            properties.WRITE | properties.WRITE_WITHOUT_RESPONSE,
            Attribute.WRITEABLE,
            CharacteristicValue(write=self._written),
        )
        self._notify = Characteristic(UUID(frame.NOTIFY), properties.NOTIFY, Attribute.READABLE, b"")
        self.services = [Service(UUID(frame.SERVICE), [write, self._notify])]
        self.peripheral: Peripheral

    async def start(self, name: str = "R02_4C4C") -> None:
        """Switch on: advertise."""
        self.peripheral = await self._space.add_peripheral(self._address, name, self.services, [])

    async def run(self) -> None:
        """Answer commands until cancelled; `start` comes first."""
        while True:
            command = await self._commands.get()
            if self.faults.mute:
                continue
            if self.faults.chatter:
                await self._send(frame.packet(0x73, b"\x12"))
            if command[0] in self.faults.refuse:
                await self._send(frame.packet(command[0] | frame.REFUSED))
            elif command[0] == frame.HR_LOG:
                await self._send_log(int.from_bytes(command[1:5], "little"))
            else:
                await self._send_all(self._answers(command))

    def _written(self, _connection: Any, data: bytes) -> None:
        self.state.commands.append(bytes(data))
        if len(data) == frame.SIZE and not self._commands.full():
            self._commands.put_nowait(bytes(data))

    def _answers(self, command: bytes) -> list[bytes]:
        state = self.state
        match command[0]:
            case frame.BATTERY:
                return [frame.packet(frame.BATTERY, bytes([state.battery_percent, state.charging]))]
            case frame.HR_SETTINGS:
                if command[1] == 2:
                    state.settings = frame.LogSettings(command[2] == 1, command[3])
                enabled = 1 if state.settings.enabled else 2
                return [frame.packet(frame.HR_SETTINGS, bytes([command[1], enabled, state.settings.interval_min]))]
            case frame.REALTIME:
                return [self._reading(command[1], command[2])]
            case frame.SET_TIME:
                return [frame.packet(frame.SET_TIME)]
        return []

    def _reading(self, kind: int, action: int) -> bytes:
        self._searched = 0 if action == frame.START else self._searched + 1
        error = frame.WORN_INCORRECTLY if self.faults.worn_wrongly else 0
        found = self._searched >= SEARCH_READINGS and not error and not self.faults.finds_nothing
        value = {frame.HEART_RATE: self.state.heart_rate, frame.SPO2: self.state.spo2}.get(kind, 0)
        return frame.packet(frame.REALTIME, bytes([kind, error, value if found else 0]))

    async def _send_log(self, midnight_s: int) -> None:
        values = self.state.log.get(midnight_s)
        if values is None:
            await self._send(frame.packet(frame.HR_LOG, b"\xff"))
            return
        packets = frame.log_packets(midnight_s, self.state.settings.interval_min, values)
        if self.faults.hang_up_in_log:
            self.faults.hang_up_in_log = False
            await self._send_all(packets[:2])
            await self.peripheral.hang_up()
            return
        await self._send_all([one for index, one in enumerate(packets) if index != self.faults.lose_log_part])

    async def _send_all(self, packets: list[bytes]) -> None:
        for packet in packets:
            await self._send(packet)

    async def _send(self, packet: bytes) -> None:
        if self.faults.garble:
            self.faults.garble -= 1
            packet = packet[:-1] + bytes([packet[-1] ^ 0x55])
        await self.peripheral.notify(self._notify, packet)
