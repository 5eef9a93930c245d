"""Light of a finger or a wrist as the channel "ppg": samples gathered into blocks of about a second, losses counted.

`PpgBlocks` takes samples that are placed in time already (a band's). `Pleth` places those of an oximeter, which have no
time of their own: by their receipt, and only while a finger is in. A finger that was out for up to OUT_S comes back
with as many samples that are not a number before it, so that time goes on; a longer absence shows in the stamps. It is
no loss and not counted as one. What an oximeter's packets say of what is missing between them differs; its reader
counts what they say, and `unseen` what only the clock can tell. A byte stream without
a counter (BCI packets, Nonin formats) that loses whole packets while the link stands looks unbroken: such a loss is
seen by nobody here, and shows in the worker as a rate that is too low. Waveforms are upright as oximeters show them.
"""

import math
from collections.abc import Sequence

import numpy as np

from drivers.base import Device, Sink
from gateway.core.model import SampleBlock, Stamp

CHANNEL, UNIT = "ppg", "1"
BLOCK_S = 0.7  # gathered so long, a block goes: with the frame that completes it, it is about a second
OUT_S = 40.0  # the worker sees a jump of more than 30 s by itself
LATE_S = 0.5  # a receipt may be so late without anything being lost


class PpgBlocks:
    """The blocks of one device's one channel. A loss ends the block before it."""

    def __init__(self, device: Device, rate_hz: float) -> None:
        self.rate_hz = rate_hz
        self._device = device
        self._samples: list[float] = []
        self._start: Stamp | None = None
        self._lost = 0

    def take(self, samples: Sequence[float], start: Stamp, lost: int, sink: Sink) -> None:
        """samples: upright, NaN where the device has none. lost: missing before the first one."""
        if lost:
            self.flush(sink)
        if self._start is None:
            self._start, self._lost = start, lost
        self._samples += samples
        if len(self._samples) >= BLOCK_S * self.rate_hz:
            self.flush(sink)

    def flush(self, sink: Sink) -> None:
        """Tell what was gathered: before a loss, and when the link breaks."""
        if self._start is not None and self._samples:
            data, device = np.array(self._samples, dtype=np.float32), self._device
            sink.block(
                SampleBlock(device.id, CHANNEL, self._start, self.rate_hz, UNIT, data, self._lost, device.bed)
            )
        self._samples, self._start, self._lost = [], None, 0


class Pleth:
    """The waveform of one oximeter, fed with every sample it sends, finger or not."""

    def __init__(self, device: Device, rate_hz: float) -> None:
        self._device = device
        self._blocks = PpgBlocks(device, rate_hz)
        self._lost = 0  # since the last sample that was told
        self._out = 0  # samples without a finger since then
        self._told = False  # nothing is missing before the first sample ever
        self._last: Stamp | None = None

    @property
    def rate_hz(self) -> float:
        return self._blocks.rate_hz

    def at_rate(self, rate_hz: float, sink: Sink) -> None:
        """The device says that it sends at this rate from now on."""
        if rate_hz != self._blocks.rate_hz:
            self._blocks.flush(sink)
            self._blocks, self._told, self._lost, self._out = PpgBlocks(self._device, rate_hz), False, 0, 0

    def unseen(self, at: Stamp, n: int = 1, *, late_s: float = LATE_S) -> int:
        """Samples that the clock misses when n arrive at `at`, the last one then; 0 when they may only be late."""
        if self._last is None:
            return 0
        over_s = at.since_s(self._last) - n / self.rate_hz
        return round(over_s * self.rate_hz) if over_s > late_s else 0

    def lose(self, n: int, at: Stamp) -> None:
        """n samples before `at` are missing or not to be believed."""
        self._last = at
        if self._out:
            self._out += n
        elif self._told:
            self._lost += n

    def take(self, samples: Sequence[float | None], at: Stamp, sink: Sink, *, worn: bool) -> None:
        """samples: the last one was taken at `at`; None where the device has none."""
        self._last = at
        if not worn:
            self._blocks.flush(sink)
            if self._told:
                self._out += self._lost + len(samples)
                self._lost = 0
            return
        out = self._out if self._out <= OUT_S * self.rate_hz else 0
        values = [math.nan] * out + [math.nan if one is None else one for one in samples]
        self._blocks.take(values, at.plus_s(-(len(values) - 1) / self.rate_hz), self._lost, sink)
        self._lost, self._out, self._told = 0, 0, True
