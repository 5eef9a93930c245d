"""Virtual devices on a wire, one for each family: what it does by itself so that an installer has something to see.

Each takes the device's end of a line and the model, and lives until it is cancelled. The families' peers are imported
only when one of them is asked for.
"""

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

import drivers
from drivers.local_time import local_time
from drivers.profile import parse
from drivers.profile_schema import Poll, Profile
from drivers.serial_link import Format
from gateway.core.clock import Clock
from gateway.core.quantities import QUANTITIES

STORY_S = 20.0  # between two things that happen: a cord is pulled, a kiosk has measured
PULL_S = 3.0
SEED = 1

TYPICAL = {
    "room_temperature": 22.4, "room_humidity": 46.0, "systolic": 128.0, "diastolic": 79.0, "mean_arterial": 95.0,
    "pulse_rate": 66.0, "heart_rate": 66.0, "distance": 150.0, "body_temperature": 36.6, "spo2": 97.0, "weight": 62.0,
    "illuminance": 120.0, "bed_load": 62.0,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wire:
    """The device's end. share: part of all writes that is disturbed."""

    fd: int
    clock: Clock
    share: float = 0.0


Scene = Callable[[Wire, str], Coroutine[Any, Any, None]]


def path_of(family: str, model: str) -> Path:
    """The model's file, which exists for families that read one."""
    return Path(drivers.__path__[0]) / family / f"{model}.toml"


def kind_of(family: str, model: str) -> str:
    """What a model whose layout is code sends first of all; "" for one whose file has no [codec]."""
    codec = parse(path_of(family, model))[0].codec
    return codec.kinds[0] if codec else ""


async def belt(wire: Wire, model: str) -> None:
    """A sleeper who turns round now and then."""
    from drivers.bed_belt.frame import load_format
    from drivers.bed_belt.peer import BeltInput, BeltPeer
    from gateway.demo.models import Sleeper
    from gateway.demo.ward import FRAME_SAMPLES, FULL_SCALE

    sleeper = Sleeper(SEED)

    def felt() -> Iterator[BeltInput]:
        while True:
            wave, load_kg = sleeper.take(FRAME_SAMPLES)
            yield BeltInput(np.clip(wave / FULL_SCALE, -1, 1), load_kg)

    await BeltPeer(wire.fd, wire.clock, load_format(path_of("bed_belt", model)), felt(), share=wire.share).run()


async def slave(wire: Wire, model: str) -> None:
    """All values typical; every STORY_S its contacts change for a moment, or it has measured once more."""
    from drivers.modbus_rtu.peer import VirtualBus, VirtualSlave
    from drivers.modbus_rtu.registers import load_map

    profile = load_map(path_of("modbus_rtu", model))
    one = VirtualSlave(profile.modbus.unit if profile.modbus else 1, profile)
    at_rest = {name: value for poll in profile.poll for name, value in _at_rest(profile, poll).items()}
    one.set_all(**at_rest)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(VirtualBus(wire.fd, wire.clock, [one], share=wire.share).run())
        turn = 0
        while True:
            await wire.clock.sleep(STORY_S if turn else STORY_S / 10)
            turn += 1
            for poll in profile.poll:
                if poll.reading:
                    one.set_all(**{poll.reading.counter: turn, poll.reading.status: poll.reading.valid[0]})
            contacts = {name: not value for name, value in at_rest.items() if isinstance(value, bool)}
            if contacts:
                one.set_all(**contacts)
                await wire.clock.sleep(PULL_S)
                one.set_all(**at_rest)


def _at_rest(profile: Profile, poll: Poll) -> Mapping[str, float | bool]:
    """A mat with somebody on it, a cord that nobody pulls, numbers as one expects them."""
    found: dict[str, float | bool] = {}
    for entry in poll.field:
        role = profile.role.get(entry.role or "")
        if entry.bit is not None:
            inverted = entry.invert if entry.invert is not None else role is not None and role.invert
            calls = bool(entry.event or (role and role.event))
            found[entry.name] = inverted if calls else not inverted
        elif entry.quantity:
            quantity = QUANTITIES[entry.quantity]
            found[entry.name] = TYPICAL.get(entry.quantity, (quantity.low + quantity.high) / 2)
    return found


async def bci(wire: Wire, model: str) -> None:
    """A finger at 97 % and 66 beats a minute."""
    from drivers.berry_bci.peer import finger
    from drivers.stream_peer import StreamPeer

    rate_hz = 60.0 if model.startswith("contec") else 100.0
    berry = kind_of("berry_bci", model) == "berry20"
    frames, rate_hz = (_berry(), 1.0) if berry else (finger(97, 66, rate_hz=rate_hz), rate_hz)
    await StreamPeer(wire.fd, wire.clock, frames, rate_hz=rate_hz, share=wire.share).run()


def _berry() -> Iterator[bytes]:
    from drivers.berry_bci.frame import BerryFrame, encode_berry

    index = 0
    while True:
        yield encode_berry(BerryFrame(index, False, False, False, False, 97, 66, 910, 42, 50, 1000, 80, 1))
        index += 1


async def nonin(wire: Wire, model: str) -> None:
    """A finger at 97 % and 66 beats a minute; a spot checker measures every STORY_S."""
    from drivers.nonin.frame import Df8, encode_df8
    from drivers.nonin.peer import SpotPeer, packets
    from drivers.nonin.spot import SpotCheck
    from drivers.stream_peer import StreamPeer

    kind = kind_of("nonin", model)
    if kind == "df13":
        peer = SpotPeer(wire.fd, wire.clock, _shown(wire.clock), share=wire.share)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(peer.run())
            while True:
                await wire.clock.sleep(STORY_S / 10)
                await peer.measured(SpotCheck(_shown(wire.clock), True, False, False, False, 66, 97))
                await wire.clock.sleep(STORY_S)
    if kind == "df8":
        one = encode_df8(Df8(False, False, False, False, False, 66, 97, True, False, False))
        frames, rate_hz = iter(lambda: one, b""), 1.0
    else:
        data_format = 7 if kind == "df7_packet" else 2
        frames, rate_hz = packets(iter(lambda: (97, 66), (0, 0)), data_format=data_format), 3.0
    await StreamPeer(wire.fd, wire.clock, frames, rate_hz=rate_hz, share=wire.share).run()


async def taidoc(wire: Wire, model: str) -> None:
    """A meter with one measurement of today."""
    from drivers.taidoc.peer import TaidocPeer

    await TaidocPeer(wire.fd, wire.clock, taidoc_memory(wire.clock, model), share=wire.share).run()


def taidoc_memory(clock: Clock, model: str) -> Any:
    """What its meter has stored; also of the one over BLE. A mixed meter has a glucose reading too."""
    from drivers.taidoc.models import Kind, load
    from drivers.taidoc.peer import Memory
    from drivers.taidoc.scale import encode_weighing

    chosen, shown = load(model), _shown(clock)
    value = {
        Kind.PRESSURE: bytes((128, 0, 79, 66)),
        Kind.MIXED: bytes((128, 0, 79, 66)),
        Kind.BLOOD: bytes((104, 0, 0, 0)),
        Kind.TEMPERATURE: (366).to_bytes(2, "little") + bytes(2),
        Kind.SATURATION: bytes((97, 0, 0, 66)),
        Kind.WEIGHT: encode_weighing(shown, 72.5, user=2, height_cm=170, bmi=25.1),
    }[chosen.kind]
    memory = Memory(chosen.number or "TD-4277", shown, live=[value])
    if chosen.kind is Kind.MIXED:
        memory.store(shown - timedelta(minutes=5), bytes((104, 0, 0, 0)))
        memory.marks[shown] = (0x80, 0)
    if not chosen.live:
        memory.store(shown, value)
    return memory


async def suntech(wire: Wire, model: str) -> None:
    """Somebody measures every STORY_S."""
    from drivers.suntech.frame import Result
    from drivers.suntech.peer import SuntechPeer

    peer = SuntechPeer(wire.fd, wire.clock, share=wire.share)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(peer.run())
        while True:
            await wire.clock.sleep(STORY_S / 10)
            await peer.measured(Result(128, 79, 60, 0, 66, 95, 0))
            await wire.clock.sleep(STORY_S)


async def bed_radar(wire: Wire, model: str) -> None:
    """Somebody who sleeps."""
    from drivers.r60abd1.peer import Person, radar

    await radar(wire.fd, wire.clock, Person, share=wire.share).run()


async def breath_radar(wire: Wire, model: str) -> None:
    """Somebody who sleeps."""
    from drivers.tf_radar.peer import radar

    await radar(wire.fd, wire.clock, lambda: (14.0, 66.0), share=wire.share).run()


def _shown(clock: Clock) -> Any:
    """What a device's display shows that goes right."""
    return local_time(clock, clock.now()).replace(microsecond=0)


async def column(wire: Wire, model: str) -> None:
    """Somebody steps onto the scale and stands still, again and again."""
    from drivers.line_scale.peer import ColumnScale

    steps = itertools.count()
    scale = ColumnScale(wire.fd, wire.clock, lambda: (72.5, next(steps) % 20 > 9), share=wire.share)
    await scale.run()


async def identity(wire: Wire, model: str) -> None:
    """Somebody lays a card on it, or shows it a label, every STORY_S."""
    from drivers.identity_reader.peer import ReaderPeer, shown_by

    peer, sent = ReaderPeer(wire.fd, wire.clock, share=wire.share), shown_by(kind_of("identity_reader", model))
    while True:
        await wire.clock.sleep(STORY_S / 10)
        await peer.show(sent)
        await wire.clock.sleep(STORY_S)


WIRED: dict[str, Scene] = {
    "bed_belt": belt,
    "modbus_rtu": slave,
    "berry_bci": bci,
    "nonin": nonin,
    "taidoc": taidoc,
    "suntech": suntech,
    "r60abd1": bed_radar,
    "tf_radar": breath_radar,
    "line_scale": column,
    "identity_reader": identity,
}
LINES: dict[str, tuple[int, Format]] = {  # baud and format of families without a profile that says it
    "berry_bci": (115_200, "8N1"),
    "nonin": (9_600, "8N1"),
    "taidoc": (19_200, "8N1"),
    "suntech": (9_600, "8N1"),
}
