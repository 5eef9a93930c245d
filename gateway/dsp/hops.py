"""Blocks of any length become hops of equal length: what makes every estimator blind to how bytes were chunked.

Gap policy: a gap up to `max_fill_s` becomes NaN samples, so that time goes on and quality falls; a longer one ends the
hop that was being filled and marks the next as `fresh`, upon which estimators forget their state.
"""

from dataclasses import dataclass

import numpy as np

from gateway.core.model import SampleBlock, Stamp
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
        self._last: Stamp | None = None
        self._fresh = True
        self._same, self._value = 0, np.nan

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
        lost = self._lost_before(block)
        if lost > self._max_fill_s * self.rate_hz:
            self._parts, self._have, self._skip, self._fresh = [], 0, 0, True
        elif lost:
            nothing = np.full((lost, *block.data.shape[1:]), np.nan)
            self._cut(nothing, block.start.plus_s(-lost / self.rate_hz), hops)
        data = block.data.astype(np.float64)
        self._cut(data, block.start, hops)
        self._last = block.start.plus_s((len(data) - 1) / self.rate_hz)
        return hops

    def _lost_before(self, block: SampleBlock) -> int:
        """Samples missing before the block: as declared, or as the stamps show when nothing was declared."""
        if self._last is None:
            return 0
        jump_s = block.start.since_s(self._last) - 1.0 / self.rate_hz
        if block.lost_before == 0 and jump_s > JUMP_S:
            return round(jump_s * self.rate_hz)
        return block.lost_before

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
        data = np.concatenate(self._parts)
        size = np.abs(data)
        inside, finite = size < self._full_scale, size < np.inf
        clipped = float(np.mean(finite & ~inside)) if not inside.all() else 0.0
        data[~inside] = np.nan
        real = float(np.mean(inside if data.ndim == 1 else inside.all(axis=1)))
        constant = self._stands_still(data)
        hop = Hop(at, data, 0.0 if constant and self._varies else real, self._fresh, clipped, constant)
        self._parts, self._have, self._fresh = [], 0, False
        return hop


    def _stands_still(self, data: Floats) -> bool:
        """True when this hop and those before it hold one and the same value."""
        if not _constant(data):
            self._same = 0
            return False
        value = float(np.nanmax(data))
        self._same = self._same + 1 if value == self._value else 1
        self._value = value
        return self._same >= CONSTANT_HOPS


def _constant(data: Floats) -> bool:
    """True when several real samples are all the same."""
    first = data[0]
    if (data[-1] != first).any() if data.ndim == 2 else data[-1] != first and not np.isnan(first - data[-1]):
        return False  # the usual case, at the cost of one comparison
    known = data[np.isfinite(data) if data.ndim == 1 else np.isfinite(data).all(axis=1)]
    return len(known) >= MIN_CONSTANT and bool((known == known[0]).all())
