"""Blocks of any length become hops of equal length: what makes every estimator blind to how bytes were chunked.

Gap policy: a gap up to `max_fill_s` becomes NaN samples, so that time goes on and quality falls; a longer one ends the
hop that was being filled and marks the next as `fresh`, upon which estimators forget their state.
"""

from dataclasses import dataclass

import numpy as np

from gateway.core.model import SampleBlock, Stamp
from gateway.dsp.kernels import intake
from gateway.dsp.kernels.compiler import Floats

# Drivers that can count say themselves what was lost. Stamps are of receipt; bursts of a second, or a demonstration's
# fast clock on a busy machine (75 ms are 3 s at speed 40), must not look like a loss: only a longer jump does.
JUMP_S = 30.0
MIN_CONSTANT = 8  # samples that say whether a hop varies
CONSTANT_HOPS = 3  # in a row; after breathing out a coarse converter stands still for two (seen at 10 bits)


@dataclass(frozen=True, slots=True)
class Hop:
    """at: moment of the last sample. data: float64, shape (n,) or (n, 3), NaN where a sample is missing, not finite or
    at the end of the sensor's range. real: fraction of samples that are none of these, 0 in a constant hop where the
    channel must vary. fresh: the first hop ever, or after a long gap. clipped: fraction at the end of the range.
    constant: all real samples are the same, and there are several."""

    at: Stamp
    data: Floats
    real: float
    fresh: bool = False
    clipped: float = 0.0
    constant: bool = False


class Losses:
    """Counts what is missing between the blocks of one channel."""

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._end: Stamp | None = None  # when the sample after the last block's is due

    def before(self, block: SampleBlock) -> int:
        """Samples missing before the block: as declared, or as the stamps show when nothing was declared."""
        end = self._end
        self._end = block.start.plus_s(len(block.data) / self._rate_hz)
        if end is None:
            return 0
        jump_s = block.start.since_s(end)
        if block.lost_before == 0 and jump_s > JUMP_S:
            return round(jump_s * self._rate_hz)
        return block.lost_before


class Hopper:
    """Cuts one channel into hops of `hop_s` seconds, at least one sample."""

    def __init__(
        self, rate_hz: float, hop_s: float, *, max_fill_s: float, full_scale: float = np.inf, phase: int = 0,
        varies: bool = False,
    ) -> None:  # fmt: skip
        """full_scale: samples at or beyond it, either way, are clipped. phase: samples of the current hop that came
        before the first block (a replay): the rest of that hop is left out, so that the cuts fall where they fell.
        varies: what does not vary for CONSTANT_HOPS is not real from then on (a waveform always has noise)."""
        self.rate_hz = rate_hz
        self._length = max(1, round(rate_hz * hop_s))
        self._max_fill_s = max_fill_s
        self._full_scale = float(np.float32(full_scale))  # samples are float32: 3.3 V at the stop is a little less
        self._varies = varies
        self._parts: list[Floats] = []
        self._have = 0
        self._skip = -phase % self._length
        self._losses = Losses(rate_hz)
        self._fresh = True
        self._same, self._value = 0, np.nan
        self._seen: Floats = np.zeros(3)

    @property
    def phase(self) -> int:
        """Samples already in the hop being filled: given to another hopper, it cuts at the same places."""
        return (self._have - self._skip) % self._length

    @property
    def length(self) -> int:
        """Samples in one hop."""
        return self._length

    def push(self, block: SampleBlock) -> list[Hop]:
        """The hops that this block completes."""
        hops: list[Hop] = []
        lost = self._losses.before(block)
        if lost > self._max_fill_s * self.rate_hz:
            self._parts, self._have, self._skip, self._fresh = [], 0, 0, True
        elif lost:
            nothing = np.full((lost, *block.data.shape[1:]), np.nan)
            self._cut(nothing, block.start.plus_s(-lost / self.rate_hz), hops)
        self._cut(np.array(block.data, dtype=np.float64, order="C"), block.start, hops)
        return hops

    def _cut(self, data: Floats, start: Stamp, hops: list[Hop]) -> None:
        taken = min(self._skip, len(data))
        self._skip -= taken
        while taken < len(data):
            part = data[taken : taken + self._length - self._have]
            self._parts.append(part)
            self._have += len(part)
            taken += len(part)
            if self._have == self._length:
                hops.append(self._close(start.plus_s((taken - 1) / self.rate_hz)))

    def _close(self, at: Stamp) -> Hop:
        data = np.concatenate(self._parts) if len(self._parts) > 1 else self._parts[0]
        width = 1 if data.ndim == 1 else data.shape[1]
        real = intake.examine(data if width == 1 else data.reshape(-1), width, self._full_scale, self._seen)
        clipped, same, highest = self._seen.tolist()
        constant = self._stands_still(highest) if real >= MIN_CONSTANT and same == real else self._moves()
        share = 0.0 if constant and self._varies else real / len(data)
        hop = Hop(at, data, share, self._fresh, clipped / data.size, constant)
        self._parts, self._have, self._fresh = [], 0, False
        return hop

    def _stands_still(self, value: float) -> bool:
        """True when this hop of one value and those before it hold the same."""
        self._same = self._same + 1 if value == self._value else 1
        self._value = value
        return self._same >= CONSTANT_HOPS

    def _moves(self) -> bool:
        self._same = 0
        return False
