"""A radio space in a process of its own: bands that stream acceleration and pulse, beacons that never rest.

Prints its HCI port. Nothing can be lost unnoticed: each pulse and each advert says its number. At a line of input the
devices fall silent and what they had sent is printed.
"""

import asyncio
import json
import sys

import numpy as np
from numpy.typing import NDArray

from drivers.ble_virtual_ward import RadioSpace
from drivers.hrs.frame import HeartRate
from drivers.polar_pmd.peer import PolarBand
from gateway.core.clock import SystemClock

COMPANY = 0xFFFF  # for tests
FIRST_BPM, BPM_TURN = 60, 100
BEACONS, ADVERTS_PER_S = 10, 10.0  # of each: a hundred a second in all
NUMBER_BYTES = 4


def band_address(number: int) -> str:
    return f"F1:00:00:00:01:{number:02X}"


def beacon_address(number: int) -> str:
    return f"F3:00:00:00:02:{number:02X}"


class Pulse:
    """A pulse that counts: each notification is one beat a minute faster, and falls back after BPM_TURN."""

    def __init__(self) -> None:
        self.sent = -1

    def __call__(self) -> HeartRate:
        self.sent += 1
        return HeartRate(FIRST_BPM + self.sent % BPM_TURN, contact=True, rr=(1000,))


def moving(seed: int) -> "Wrist":
    return Wrist(np.random.default_rng(seed))


class Wrist:
    """1 g and a restless hand, so that the compression has something to do."""

    def __init__(self, draws: np.random.Generator) -> None:
        self._draws = draws

    def __call__(self, n: int) -> NDArray[np.float64]:
        return np.array([0.0, 0.0, 1.0]) + self._draws.normal(0.0, 0.05, (n, 3))


async def advertise(space: RadioSpace, clock: SystemClock, sent: list[int]) -> None:
    """All beacons in turn, evenly over the second."""
    beacons = [space.add_beacon(beacon_address(number)) for number in range(BEACONS)]
    start, turn = clock.now(), 0
    while True:
        turn += 1
        await clock.sleep(turn / (BEACONS * ADVERTS_PER_S) - clock.now().since_s(start))
        which = turn % BEACONS
        number = sent[which].to_bytes(NUMBER_BYTES, "little")
        data = bytes([2, 0x01, 0x06, 3 + NUMBER_BYTES, 0xFF]) + COMPANY.to_bytes(2, "little") + number
        beacons[which].advertise(data)
        sent[which] += 1


async def main(bands: int) -> None:
    space, clock = RadioSpace(), SystemClock()
    pulses = [Pulse() for _ in range(bands)]
    worn = [PolarBand(space, clock, band_address(n), moving(n), pulses[n], name=f"Band {n}") for n in range(bands)]
    for band in worn:
        await band.start()
    adverts = [0] * BEACONS
    living = [asyncio.create_task(band.run()) for band in worn]
    living.append(asyncio.create_task(advertise(space, clock, adverts)))
    print(await space.serve(), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    for task in living:
        task.cancel()
    await asyncio.gather(*living, return_exceptions=True)
    sent = {"frames": [band.frames_sent for band in worn], "pulses": [pulse.sent + 1 for pulse in pulses]}
    print(json.dumps({**sent, "adverts": adverts}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    await space.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
