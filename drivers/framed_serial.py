"""Devices that stream keyed frames on a port of their own, as their profiles describe them: radars, so far.

What no data file says, how the device is set going, is a named hook: a conversation that runs beside the listening.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from drivers.base import Device, Family, Sink
from drivers.framed_reading import StateKeeper
from drivers.profile import models_in
from drivers.profile_frames import Cut, StreamDecoder
from drivers.profile_models import Framed, load_model
from drivers.profile_schema import Profile
from drivers.serial_link import SerialPort
from drivers.serial_stream import SerialStream
from gateway.core.clock import Clock
from gateway.core.errors import ConfigError, Fault, ProtocolError
from gateway.core.model import Event, Stamp


class Talk:
    """One conversation with the device: frames sent, answers awaited. Answers that nobody awaits are forgotten."""

    def __init__(self, port: SerialPort, framed: Framed, clock: Clock) -> None:
        self._port = port
        self._framed = framed
        self.clock = clock
        self._awaited: dict[bytes, asyncio.Future[bytes]] = {}

    async def send(self, key: bytes, data: bytes) -> None:
        """Send one frame."""
        await self._port.write(self._framed.layout.wrap(data, key))

    async def ask(self, key: bytes, data: bytes, *, within_s: float = 1.0) -> bytes | None:
        """Send a frame and wait for one with the same key: its data, or None when none came in real time."""
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._awaited[key] = future
        await self.send(key, data)
        timer = asyncio.ensure_future(self.clock.sleep(within_s * self.clock.speed))
        try:
            await asyncio.wait((future, timer), return_when=asyncio.FIRST_COMPLETED)
            return future.result() if future.done() else None
        finally:
            timer.cancel()
            self._awaited.pop(key, None)

    def heard(self, cut: Cut) -> None:
        """A frame of the device, whatever it says."""
        future = self._awaited.get(cut.key)
        if future is not None and not future.done():
            future.set_result(cut.data)


Hook = Callable[[Talk], Awaitable[None]]
NO_HOOKS: Mapping[str, Hook] = {}


class FramedDriver:
    """One device on its own port."""

    def __init__(
        self, device: Device, port: SerialPort, clock: Clock, profile: Profile, *, start: Hook | None = None
    ) -> None:
        self.devices = (device,)
        self._device = device
        self._port = port
        self._clock = clock
        self._framed = Framed(profile)
        self._start = start
        self._states = StateKeeper(device)

    async def run(self, sink: Sink) -> None:
        """Stream until the port breaks or nothing valid comes for the profile's silence_s. LinkError."""
        self._port.open()
        self._states.forget()
        talk = Talk(self._port, self._framed, self._clock)
        hook = asyncio.ensure_future(self._set_going(talk))
        listen = asyncio.ensure_future(self._listen(talk, sink))
        try:
            done, _ = await asyncio.wait((hook, listen), return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in (hook, listen):
                task.cancel()
            await asyncio.gather(hook, listen, return_exceptions=True)
            self._port.close()

    async def _set_going(self, talk: Talk) -> None:
        if self._start is not None:
            await self._start(talk)

    async def _listen(self, talk: Talk, sink: Sink) -> None:
        serial = self._framed.profile.device.serial
        wanted = f"{serial.baud} baud {serial.format}" if serial else "its profile's settings"
        silence_s = self._framed.profile.silence_s
        stream = SerialStream(self._device, self._port, self._clock, silence_s=silence_s, wanted=wanted)
        frames = StreamDecoder(self._framed.layout)

        def take(cuts: list[Cut], at: Stamp) -> None:
            if frames.accepted_bytes == sum(len(cut.raw) for cut in cuts):  # also one that sees nobody is back
                sink.event(Event("link_up", at, self._device.bed, self._device.id))
            for cut in cuts:
                talk.heard(cut)
                self.take(cut, at, sink)
            self._states.alive(at, sink)

        await stream.run(frames, take, sink)

    def take(self, cut: Cut, at: Stamp, sink: Sink) -> None:
        """One intact frame: what it tells, or why its content is refused."""
        compiled = self._framed.message_of(cut.key)
        if compiled is None:
            return
        try:
            decoded = self._framed.decode(cut)
        except ProtocolError as error:
            if not self._framed.is_answer(cut.key):  # an answer may echo a question in another layout
                sink.rejected(self._device.id, str(error).split(":")[0], cut.raw)
            return
        self._states.take(compiled.message.field, decoded, cut.raw, at, sink)
        if compiled.message.event is not None and decoded.values:
            detail = {name: value for name, value in decoded.values.items() if isinstance(value, str | int | float)}
            sink.event(Event(compiled.message.event, at, self._device.bed, self._device.id, detail))


def framed_family(name: str, directory: Path, hooks: Mapping[str, Hook] = NO_HOOKS) -> Family[SerialPort]:
    """The family with the models whose profiles lie in `directory`; hooks: what a profile may name as device.hook."""
    paths = models_in(directory)

    def make(devices: Sequence[Device], port: SerialPort, clock: Clock) -> FramedDriver:
        (device,) = devices
        if device.model not in paths:
            message = f"unknown model {device.model!r}; known: {', '.join(paths)}"
            raise ConfigError(device.id, (Fault(0, "model", message, "name one of these models"),))
        profile = load_model(paths[device.model])
        hook = profile.device.hook
        if hook is not None and hook not in hooks:
            fault = Fault(0, "device.hook", f"no hook {hook!r}", f"known: {', '.join(hooks) or 'none'}")
            raise ConfigError(device.model, (fault,))
        return FramedDriver(device, port, clock, profile, start=hooks[hook] if hook else None)

    return Family(name, "serial", tuple(paths), make)
