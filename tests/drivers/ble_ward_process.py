"""A radio space in a process of its own: a band and a button behind an HCI port, told what to do through stdin.

Prints its port on the first line, then one line for each order carried out: press, cut, back, unplug.
"""

import asyncio
import sys

from drivers.ble_virtual_ward import RadioSpace
from drivers.bthome.peer import BthomeButton
from drivers.polar_pmd.peer import PolarBand
from gateway.core.clock import SystemClock
from tests.drivers.ble_ward import lying_still, pulse_of

BAND, BUTTON = "F1:00:00:00:00:01", "F2:00:00:00:00:02"


async def obey(order: str, space: RadioSpace, band: PolarBand, button: BthomeButton) -> None:
    match order:
        case "press":
            await button.press()
        case "cut":
            band.disappear()
        case "back":
            band.reappear()
        case "unplug":
            space.drop_hosts()


async def main() -> None:
    space, clock = RadioSpace(), SystemClock()
    band = PolarBand(space, clock, BAND, lying_still, pulse_of(60))
    button = BthomeButton(space, clock, BUTTON)
    await band.start()
    living = asyncio.create_task(band.run())
    print(await space.serve(), flush=True)
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while order := (await orders.readline()).decode().strip():
        await obey(order, space, band, button)
        print(order, flush=True)
    living.cancel()
    await space.close()


if __name__ == "__main__":
    asyncio.run(main())
