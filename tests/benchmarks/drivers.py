"""The drivers' figures of speed: bands and adverts on one radio, decoders, a full Modbus bus and its dead slave.

Devices run in processes of their own and are not counted; everything between is real: HCI over TCP, pseudo-terminals.
"""

import asyncio

from tests.benchmarks import band_daemon, band_load, decoder_rates, modbus_load
from tests.benchmarks.figures import Figure


def measure() -> list[Figure]:
    """About five minutes; CarebedError or a time-out when something cannot be measured."""
    figures = decoder_rates.measure()
    for load in (modbus_load, band_load, band_daemon):
        figures += asyncio.run(load.measure())
    return figures
