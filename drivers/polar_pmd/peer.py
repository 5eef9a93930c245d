"""The band's end of the wire, on bumble: raw acceleration and PPG with the real compression, pulse, battery, faults.

Fed by callables that are asked as time goes by, connected or not, so that a story or a recording never stands still.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from bumble.att import Attribute
from bumble.core import UUID
from bumble.core import TimeoutError as BumbleTimeoutError
from bumble.gatt import Characteristic, CharacteristicValue, Service
from numpy.typing import NDArray

from drivers.ble_virtual_ward import Peripheral, RadioSpace
from drivers.hrs.frame import HeartRate
from drivers.hrs.peer import HEART_RATE_SERVICE, HeartRateServices
from drivers.polar_pmd import frame
from gateway.core.clock import Clock

RATE_HZ = 52
FRAME_SAMPLES = 36  # about what a Verity sends; 36 samples of 16-bit differences fit an MTU of 232
RANGE_MG = 8000
PPG_RATE_HZ = 55
PPG_FRAME_SAMPLES = 36  # 16 differences of 4 values and 12 bits are 96 bytes: 36 samples fit an MTU of 232
LIGHTS = (380_000.0, 430_000.0, 480_000.0)  # that come back from a skin: raw counts of a real Verity, in their order
AMBIENT = 184_000
DEPTH = 2000.0  # counts that a beat takes of them
FIRST_NS = 599_616_000 * 10**9  # 2019-01-01: a Verity's time until somebody sets it, in ns since 2000

_OFFERED: frame.Settings = {
    frame.RATE_HZ: (RATE_HZ,),
    frame.RESOLUTION_BITS: (16,),
    frame.RANGE: (8,),
    frame.CHANNEL_COUNT: (3,),
}

_OFFERED_PPG: frame.Settings = {
    frame.RATE_HZ: (PPG_RATE_HZ,), frame.RESOLUTION_BITS: (22,), frame.CHANNEL_COUNT: (4,)
}  # fmt: skip

AccelerationSource = Callable[[int], NDArray[np.floating]]
LightSource = Callable[[int], NDArray[np.integer]]


class Skin:
    """The light that comes back from a skin, made of beats: each takes light and gives most of it back, with a notch.

    interval_s: asked for the length of each beat as it begins.
    """

    def __init__(self, interval_s: Callable[[], float], *, rate_hz: float = PPG_RATE_HZ, seed: int = 1) -> None:
        self._interval_s = interval_s
        self._step_s = 1 / rate_hz
        self._noise = np.random.default_rng(seed)
        self._length_s = interval_s()
        self._into_s = 0.0  # of the beat

    def __call__(self, n: int) -> NDArray[np.int32]:
        """The next n samples, shape (n, 4): three lights and the ambient one, raw counts."""
        blood = np.array([self._next() for _ in range(n)])
        counts = np.empty((n, 4), np.int32)
        for channel, light in enumerate(LIGHTS):
            counts[:, channel] = np.round(light - DEPTH * blood + self._noise.normal(0.0, 15.0, n))
        counts[:, 3] = AMBIENT + np.round(self._noise.normal(0.0, 15.0, n))
        return counts

    def _next(self) -> float:
        self._into_s += self._step_s
        if self._into_s >= self._length_s:
            self._into_s -= self._length_s
            self._length_s = self._interval_s()
        at = self._into_s / self._length_s
        return float(np.exp(-((at - 0.25) ** 2) / 0.012) + 0.35 * np.exp(-((at - 0.6) ** 2) / 0.012))


@dataclass(slots=True)
class Faults:
    """What a test or a story switches on; the counters count down as they are used."""

    in_charger: bool = False
    disk_full: bool = False
    mute: bool = False  # connected, but sends no acceleration
    mute_ppg: bool = False
    ppg_refused: bool = False
    declared_ppg_hz: int = PPG_RATE_HZ  # a Verity before firmware 2.1.0 says 135 and sends 55
    lose_frames: int = 0  # the next frames are taken but never sent
    stale_frames: int = 0  # the next frames carry the timestamp of the one before
    clock_offset_ns: int = 0  # as if somebody had set the band's clock


class PolarBand:
    """A band. acceleration(n): the next n samples in g, shape (n, 3). heart_rate: asked once a second. light(n): the
    next n samples of PPG (see `Skin`); None: a model that has none."""

    def __init__(
        self,
        space: RadioSpace,
        clock: Clock,
        address: str,
        acceleration: AccelerationSource,
        heart_rate: Callable[[], HeartRate],
        battery: Callable[[], int] = lambda: 87,
        *,
        light: LightSource | None = None,
        name: str = "Polar Sense 8C4CAD2D",
        drift_ppm: float = 0.0,
        compressed: bool = True,
    ) -> None:
        self.faults = Faults()
        self.streaming = False  # goes on through a disconnection, as on an H10
        self.streaming_ppg = False
        self.frames_sent = 0
        self.peripheral: Any = None
        self._space = space
        self._clock = clock
        self._address = address
        self._name = name
        self._acceleration = acceleration
        self._light = light
        self._period_s = 1 / (RATE_HZ * (1 + drift_ppm * 1e-6))
        self._ppg_period_s = 1 / (PPG_RATE_HZ * (1 + drift_ppm * 1e-6))
        self._compressed = compressed
        self._heart = HeartRateServices(heart_rate, battery)
        self._replies: asyncio.Queue[bytes] = asyncio.Queue(maxsize=8)  # full: a client that never reads waits
        self._last_ns = FIRST_NS
        properties = Characteristic.Properties
        self._control = Characteristic(
            UUID(frame.CONTROL_POINT),
            properties.READ | properties.WRITE | properties.INDICATE,
            Attribute.READABLE | Attribute.WRITEABLE,
            CharacteristicValue(read=lambda _connection: bytes([0x0F, 0x0C, 0x00]), write=self._on_control),
        )
        self._data = Characteristic(UUID(frame.DATA), properties.NOTIFY, Attribute.READABLE, b"")

    async def start(self) -> None:
        """Switch on: advertise."""
        services = [*self._heart.services, Service(UUID(frame.SERVICE), [self._control, self._data])]
        self.peripheral = await self._space.add_peripheral(self._address, self._name, services, [HEART_RATE_SERVICE])

    async def run(self) -> None:
        """Live until cancelled; `start` comes first."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._heart.run(self.peripheral, self._clock))
            tasks.create_task(self._sample(self.peripheral))
            tasks.create_task(self._answer())
            if self._light is not None:
                tasks.create_task(self._shine(self.peripheral, self._light))

    def disappear(self) -> None:
        """Go out of range."""
        self.peripheral.disappear()

    def reappear(self) -> None:
        """Come back into range."""
        self.peripheral.reappear()

    def stop_by_itself(self) -> None:
        """End the measurement as a real band does when it is put into its charger or its memory fills up."""
        self.streaming = False
        self._replies.put_nowait(bytes([0x01, frame.ACC]))

    async def _sample(self, peripheral: Peripheral) -> None:
        start, taken = self._clock.now(), 0
        while True:
            taken += FRAME_SAMPLES
            await self._clock.sleep(taken * self._period_s - self._clock.now().since_s(start))
            data_mg = np.clip(np.round(self._acceleration(FRAME_SAMPLES) * 1000), -RANGE_MG, RANGE_MG).astype(np.int16)
            at_ns = FIRST_NS + round(taken * self._period_s * 1e9) + self.faults.clock_offset_ns
            if self.streaming and not self.faults.mute and peripheral.connected:
                await self._send(peripheral, at_ns, data_mg)

    async def _shine(self, peripheral: Peripheral, light: LightSource) -> None:
        start, taken = self._clock.now(), 0
        while True:
            taken += PPG_FRAME_SAMPLES
            await self._clock.sleep(taken * self._ppg_period_s - self._clock.now().since_s(start))
            counts = light(PPG_FRAME_SAMPLES)
            at_ns = FIRST_NS + round(taken * self._ppg_period_s * 1e9) + self.faults.clock_offset_ns
            if self.streaming_ppg and not self.faults.mute_ppg and peripheral.connected:
                data = frame.encode_light(at_ns, counts, compressed=self._compressed)
                if self._compressed:
                    await peripheral.notify(self._data, data)
                    continue
                half = PPG_FRAME_SAMPLES // 2  # 18 raw samples are what an OH1 sends in a frame
                middle_ns = at_ns - round(half * self._ppg_period_s * 1e9)
                for end_ns, part in ((middle_ns, counts[:half]), (at_ns, counts[half:])):
                    await peripheral.notify(self._data, frame.encode_light(end_ns, part, compressed=False))

    async def _send(self, peripheral: Peripheral, at_ns: int, data_mg: NDArray[np.int16]) -> None:
        if self.faults.lose_frames:
            self.faults.lose_frames -= 1
            return
        if self.faults.stale_frames:
            self.faults.stale_frames -= 1
            at_ns = self._last_ns
        self._last_ns = at_ns
        await peripheral.notify(self._data, frame.encode_acceleration(at_ns, data_mg, compressed=self._compressed))
        self.frames_sent += 1

    def _on_control(self, _connection: Any, value: bytes) -> None:
        operation, measurement = (*value, 0, 0)[:2]
        status = self._status(operation, measurement)
        params = b""
        if status == frame.OK and operation == frame.GET_SETTINGS:
            offered_ppg = _OFFERED_PPG | {frame.RATE_HZ: (self.faults.declared_ppg_hz,)}
            params = frame.encode_settings(offered_ppg if measurement == frame.PPG else _OFFERED)
        if status == frame.OK and operation == frame.START:
            params = frame.encode_settings({frame.FACTOR: (1.0,)})
        self._replies.put_nowait(frame.encode_reply(frame.Reply(operation, measurement, status, params=params)))

    def _status(self, operation: int, measurement: int) -> int:
        if measurement == frame.PPG and self._light is not None:
            return self._ppg_status(operation)
        if measurement != frame.ACC:
            return 3
        if operation == frame.START:
            if self.faults.in_charger:
                return frame.IN_CHARGER
            if self.faults.disk_full:
                return frame.DISK_FULL
            if self.streaming:
                return frame.ALREADY_IN_STATE
            self.streaming = True
        elif operation == frame.STOP:
            self.streaming = False
        return frame.OK if operation in (frame.GET_SETTINGS, frame.START, frame.STOP) else 1

    def _ppg_status(self, operation: int) -> int:
        if operation == frame.START:
            if self.faults.ppg_refused:
                return frame.INVALID_STATE
            if self.streaming_ppg:
                return frame.ALREADY_IN_STATE
        if operation in (frame.START, frame.STOP):
            self.streaming_ppg = operation == frame.START
        return frame.OK if operation in (frame.GET_SETTINGS, frame.START, frame.STOP) else 1

    async def _answer(self) -> None:
        async with asyncio.TaskGroup() as indications:
            while True:
                indications.create_task(self._indicate(await self._replies.get()))

    async def _indicate(self, reply: bytes) -> None:
        try:
            await self.peripheral.device.indicate_subscribers(self._control, reply)
        except (TimeoutError, BumbleTimeoutError):
            return  # a client that has left confirms nothing; bumble waits 30 s for it
