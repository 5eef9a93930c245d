"""Virtual devices on the air, one for each family: what it does by itself so that an installer has something to see.

Each takes the radio space, the model and its address, and lives until it is cancelled.
"""

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from drivers.base import Setting
from drivers.ble_virtual_ward import RadioSpace
from drivers.hrs.frame import HeartRate
from drivers.local_time import local_time
from drivers.profile import parse
from gateway.core.clock import Clock
from gateway.demo.models import Wrist
from gateway.demo.scenes_wired import SEED, STORY_S, path_of, taidoc_memory

IBEACON = UUID("e2c56db5-dffb-48d2-b060-d0f5a71096e0")
WINDOW, MOTION, HUMIDITY, TEMPERATURE = 0x2D, 0x21, 0x2E, 0x45  # BTHome's objects
SEEN: Mapping[str, Sequence[Sequence[tuple[int, float]]]] = {  # by class of BTHome device, what it tells in turn
    "door_contact": (((WINDOW, 0),), ((WINDOW, 1),)),
    "motion_sensor": (((MOTION, 0),), ((MOTION, 1),)),
    "room_sensor": (((HUMIDITY, 46), (TEMPERATURE, 22.4)),),
}
NAMESPACE, INSTANCE, CALLING_INSTANCE = bytes(range(10)), bytes(range(6)), bytes(range(1, 7))


@dataclass(frozen=True, slots=True)
class Air:
    """Where the device is; address: upper case with colons."""

    space: RadioSpace
    clock: Clock
    address: str

    def shown(self) -> datetime:
        """What a display shows that goes right."""
        return local_time(self.clock, self.clock.now()).replace(microsecond=0)


class Living(Protocol):
    """What most peers are."""

    async def start(self) -> None: ...
    async def run(self) -> None: ...


Scene = Callable[[Air, str], Coroutine[Any, Any, None]]


async def _live(peer: Living) -> None:
    await peer.start()
    await peer.run()


def pulse() -> HeartRate:
    """A calm heart, the strap worn."""
    return HeartRate(66, contact=True, rr=(round(60 / 66 * 1024),))


async def strap(air: Air, model: str) -> None:
    from drivers.hrs.peer import HeartRateStrap

    await _live(HeartRateStrap(air.space, air.clock, air.address, pulse))


async def band(air: Air, model: str) -> None:
    """Raw acceleration and pulse."""
    from drivers.polar_pmd.peer import PolarBand

    wrist = Wrist(SEED)
    await _live(PolarBand(air.space, air.clock, air.address, wrist.take, pulse))


async def bthome(air: Air, model: str) -> None:
    """A button is pressed every STORY_S; a door opens and closes, somebody walks by, or the room has a climate."""
    from drivers.bthome.peer import BthomeButton
    from drivers.bthome.sensor_peer import BthomeSensor

    kind = parse(path_of("bthome", model))[0].device.class_name
    if kind in SEEN:
        sensor = BthomeSensor(air.space, air.clock, air.address)
        for told in itertools.cycle(SEEN[kind]):
            await sensor.tell(*told)
            await air.clock.sleep(STORY_S / 10)
    one = BthomeButton(air.space, air.clock, air.address, buttons=4 if model.endswith("4") else 1)
    while True:
        one.beacon()
        await air.clock.sleep(STORY_S / 10)
        await one.press()
        await air.clock.sleep(STORY_S)


async def pendant(air: Air, model: str) -> None:
    """Beacons all the time and calls every STORY_S, as its settings below say."""
    from drivers.beacon import frame
    from drivers.beacon.peer import Pendant

    identity: frame.IBeacon | frame.Uid = frame.IBeacon(IBEACON, 1, 7, -59)
    calling: frame.IBeacon | frame.Uid = frame.IBeacon(IBEACON, 1, 8, -59)
    if model == "eddystone_generic":
        identity = frame.Uid(-18, NAMESPACE, INSTANCE)
        calling = frame.Uid(-18, NAMESPACE, CALLING_INSTANCE)
    one = Pendant(air.space, air.clock, air.address, identity, calling)
    turn = 0
    while True:
        if turn % round(STORY_S) == round(STORY_S / 10):
            one.press()
        one.beacon()
        turn += 1
        await air.clock.sleep(1.0)


async def bci(air: Air, model: str) -> None:
    from drivers.berry_bci.driver import CONTEC_NOTIFY, CONTEC_WRITE
    from drivers.berry_bci.frame import BerryFrame, ContecParams, encode_berry, encode_contec
    from drivers.berry_bci.peer import BleOximeterPeer, finger

    space, clock, address = air.space, air.clock, air.address
    if model == "contec_cms50d_bt":
        one = encode_contec(ContecParams(4, 66, 97))
        uuids = (CONTEC_WRITE[:6] + "0" + CONTEC_WRITE[7:], CONTEC_WRITE, CONTEC_NOTIFY)
        peer = BleOximeterPeer(space, clock, address, iter(lambda: one, b""), per_note=len(one), uuids=uuids)
    elif model == "berrymed_bm1000_berry":
        one = encode_berry(BerryFrame(1, False, False, False, False, 97, 66, 910, 42, 50, 1000, 80, 1))
        peer = BleOximeterPeer(space, clock, address, iter(lambda: one, b""))
    else:
        peer = BleOximeterPeer(space, clock, address, finger(97, 66))
    await peer.start()
    await peer.run(pause_s=0.04 if model == "berrymed_bm1000" else 1.0)


async def nonin(air: Air, model: str) -> None:
    from drivers.nonin.peer import Ble3230Peer
    from drivers.nonin.spot import Record3230

    record = Record3230(False, True, False, True, False, False, 3.0, 4.2, 0, 97, 66)
    records = (record._replace(counter=number % 65_536) for number in itertools.count())
    await _live(Ble3230Peer(air.space, air.clock, air.address, records))


async def taidoc(air: Air, model: str) -> None:
    from drivers.taidoc.peer import BleTaidocPeer

    await _live(BleTaidocPeer(air.space, air.address, taidoc_memory(air.clock, model)))


async def glucose(air: Air, model: str) -> None:
    from drivers.gls.frame import Glucose
    from drivers.gls.peer import GlucoseMeter

    meter = GlucoseMeter(air.space, air.clock, air.address, air.shown)
    meter.measure(Glucose(0, None, value=0.0058, unit="mol/L", sample=1, location=1))
    await _live(meter)


async def cuff(air: Air, model: str) -> None:
    from drivers.bls.frame import Record, encode
    from drivers.bls.peer import cuff as made

    peer = made(air.space, air.clock, air.address, air.shown)
    await _meter(air, peer, lambda: encode(Record(128.0, 79.0, 95.0, 66.0, air.shown())))


async def thermometer(air: Air, model: str) -> None:
    from drivers.hts.frame import encode
    from drivers.hts.peer import thermometer as made

    peer = made(air.space, air.clock, air.address, air.shown)
    await _meter(air, peer, lambda: encode(36.6, air.shown()))


async def scale(air: Air, model: str) -> None:
    from drivers.wss.frame import encode
    from drivers.wss.peer import scale as made

    peer = made(air.space, air.clock, air.address, air.shown)
    await _meter(air, peer, lambda: encode(62.0, air.shown()))


async def _meter(air: Air, peer: Any, record: Callable[[], bytes]) -> None:
    """Measures, comes into range, hands over and is gone; again every STORY_S."""
    peer.records.append(record())
    await peer.start()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(peer.run())
        while True:
            await air.clock.sleep(STORY_S)
            peer.records.append(record())
            peer.appear()


async def oximeter(air: Air, model: str) -> None:
    from drivers.plx.frame import encode_continuous
    from drivers.plx.peer import oximeter as made

    await _live(made(air.space, air.clock, air.address, air.shown, lambda: encode_continuous(97.0, 66.0)))


async def advert_scale(air: Air, model: str) -> None:
    """Somebody stands on it every STORY_S; the scale goes on telling it for some seconds, as they do."""
    from drivers.mi_scale.frame import IMPEDANCE, STABILIZED, encode_composition, encode_weight
    from drivers.mi_scale.peer import MiScale

    composition = model == "mi_scale_2"
    one = MiScale(air.space, air.address, "181B" if composition else "181D")
    while True:
        at, control = air.shown(), STABILIZED | IMPEDANCE
        weighed = encode_composition(62.0, 503, at, control=control) if composition else encode_weight(62.0, at)
        for _ in range(round(STORY_S / 4)):
            one.broadcast(weighed)
            await air.clock.sleep(1.0)
        await air.clock.sleep(STORY_S)


async def ring(air: Air, model: str) -> None:
    from drivers.colmi.peer import ColmiRing

    await _live(ColmiRing(air.space, air.clock, air.address))


RADIO: dict[str, Scene] = {
    "hrs": strap,
    "polar_pmd": band,
    "bthome": bthome,
    "beacon": pendant,
    "berry_bci_ble": bci,
    "nonin_ble": nonin,
    "taidoc_ble": taidoc,
    "gls": glucose,
    "bls": cuff,
    "hts": thermometer,
    "wss": scale,
    "plx": oximeter,
    "mi_scale": advert_scale,
    "colmi": ring,
}


def settings(family: str, model: str) -> Mapping[str, Setting]:
    """What the registry has to say of a device so that its scene means something."""
    if family == "bthome":
        sees = parse(path_of("bthome", model))[0].device.class_name in SEEN
        return {} if sees else {"purpose": "sos"}
    if family == "polar_pmd":
        return {"position": "wrist"}
    if model == "eddystone_generic":
        called = int.from_bytes(CALLING_INSTANCE, "big")
        return {"namespace": f"0x{NAMESPACE.hex()}", "alarm": f"instance={called}"}
    return {"uuid": str(IBEACON), "major": 1, "alarm": "minor=8"} if family == "beacon" else {}
