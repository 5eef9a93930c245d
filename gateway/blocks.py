"""Marks what was lost on the way in, so that a hole in a waveform is a row in the journal and never a silence.

A lossy line would write a row for each frame; losses of a channel are therefore summed for `PERIOD_S`, marked once.
"""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.core.model import Gap, SampleBlock, Stamp

PERIOD_S = 10.0  # a mark at most this often for each channel; short enough to place a loss within a bed-minute


@dataclass(slots=True)
class _Loss:
    first: Stamp
    lost: int
    bed: str | None


class LossBook:
    """Sums the samples lost before blocks and hands out one Gap a channel and period."""

    def __init__(self, on_gap: Callable[[Gap], None]) -> None:
        self._on_gap = on_gap
        self._open: dict[tuple[str, str], _Loss] = {}
        self.lost_by_device: dict[str, int] = {}

    def block(self, block: SampleBlock) -> None:
        """Book what is missing directly before `block`."""
        if block.lost_before <= 0:
            return
        self.lost_by_device[block.device] = self.lost_by_device.get(block.device, 0) + block.lost_before
        key = (block.device, block.channel)
        loss = self._open.get(key)
        if loss is None:
            self._open[key] = _Loss(block.start, block.lost_before, block.bed)
        else:
            loss.lost += block.lost_before

    def close_due(self, now: Stamp, *, everything: bool = False) -> None:
        """Mark each channel's losses that are older than the period, or all of them before a stop."""
        for (device, channel), loss in list(self._open.items()):
            if everything or loss.first.boot_id != now.boot_id or now.since_s(loss.first) >= PERIOD_S:
                del self._open[device, channel]
                self._on_gap(Gap(channel, "lost on the wire", loss.first, loss.lost, loss.bed, device))
