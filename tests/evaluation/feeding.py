"""Recordings through the worker's own chains, in blocks as a driver would send them."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from gateway.core.model import Event, Measurement, SampleBlock, Stamp
from gateway.dsp.chain import Chains

UNITS = {"acc": "[g]", "bed.load": "kg"}  # every other channel is in its own unit, 1
START = Stamp("00000001", 10**12)
DEVICE, BED = "recording", "b-1"


def blocks(channels: Mapping[str, tuple[float, NDArray[np.float64]]], block_s: float = 1.0) -> Iterator[SampleBlock]:
    """channels: name to (rate in Hz, samples). All channels' blocks of one second before those of the next."""
    longest_s = max(len(samples) / rate_hz for rate_hz, samples in channels.values())
    for k in range(int(np.ceil(longest_s / block_s))):
        for name, (rate_hz, samples) in channels.items():
            first, end = round(k * block_s * rate_hz), round((k + 1) * block_s * rate_hz)
            if len(part := samples[first:end]):
                start, unit = START.plus_s(first / rate_hz), UNITS.get(name, "1")
                yield SampleBlock(DEVICE, name, start, rate_hz, unit, part.astype(np.float32), 0, BED)


def results(
    channels: Mapping[str, tuple[float, NDArray[np.float64]]], settings: Mapping[str, object] | None = None
) -> list[Measurement | Event]:
    """Everything that the chains tell of a recording."""
    chains = Chains()
    chains.describe(DEVICE, settings or {}, {})
    return [result for block in blocks(channels) for result in chains.feed(block)]


def second(result: Measurement | Event) -> float:
    """Seconds since the start of the recording at which the last sample was taken that the result rests on, plus one
    sample."""
    return result.at.since_s(START)
