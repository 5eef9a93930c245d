"""One chain per device: the block's channel says which. Blocks in, measurements and events out, in order of time.

A chain is made at the device's first block, from the settings that `describe` gave; it is made anew when the device
moves to another bed, changes its rate, or the box has booted in between.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.core.errors import WorkerError
from gateway.core.model import Event, Measurement, SampleBlock
from gateway.dsp import bed_chain
from gateway.dsp.bed_chain import BedChain
from gateway.dsp.fall_chain import FallChain
from gateway.dsp.ppg_chain import ACC, PPG, PpgChain
from gateway.dsp.reasons import Withheld, Withholding

KNOWN = (ACC, *bed_chain.CHANNELS, PPG)
MAX_RATE_HZ = 2000.0
Result = Measurement | Event


@dataclass(slots=True)
class _Described:
    settings: Mapping[str, object] = field(default_factory=dict)
    memory: Mapping[str, float] = field(default_factory=dict)


class Chains:
    """All chains of the box."""

    def __init__(self, *, degraded: bool = False) -> None:
        """degraded: the kernels run as plain Python; leave out what is too slow then."""
        self._degraded = degraded
        self._described: dict[str, _Described] = {}
        self._beds: dict[str, tuple[tuple[str | None, str], BedChain]] = {}
        self._falls: dict[str, tuple[tuple[str | None, str, float], FallChain]] = {}
        self._pulses: dict[str, tuple[tuple[str | None, str], PpgChain]] = {}
        self._left_out: dict[str, Withholding] = {}  # of devices whose chain plain Python is too slow for

    def describe(self, device: str, settings: Mapping[str, object], memory: Mapping[str, float]) -> None:
        """What is known of a device, before its first block. New settings start new chains at the next block."""
        known = self._described.get(device)
        self._described[device] = _Described(dict(settings), dict(memory))
        if known is not None and known.settings != dict(settings):
            self._beds.pop(device, None)
            self._falls.pop(device, None)
            self._pulses.pop(device, None)

    def feed(self, block: SampleBlock, *, phase: int = 0) -> list[Result]:
        """What this block completes. phase: samples of the current hop that came before a new chain's first block.

        WorkerError when the block cannot be what its channel says; no chain has changed then.
        """
        _check(block)
        known = self._described.get(block.device)
        if known is None:
            known = self._described[block.device] = _Described()
        bed = block.bed or _text(known.settings.get("bed"))
        if block.channel == PPG:
            if self._degraded:
                self._left_out.setdefault(block.device, Withholding()).note("pulse_rate", Withheld.DEGRADED)
            return [] if self._degraded else [*self._pulse(block, bed, phase).feed(block)]
        if block.channel == ACC:
            results = self._fall(block, bed, phase).feed(block)
            return results + self._gate(block, bed)
        return self._bed(block, bed, phase).feed(block)

    def phase(self, block: SampleBlock) -> int:
        """Samples in the hop that this block's channel is filling now."""
        if block.channel == ACC:
            return self._falls[block.device][1].phase()
        if block.channel == PPG:
            return 0 if self._degraded else self._pulses[block.device][1].phase(PPG)
        return self._beds[block.device][1].phase(block.channel)

    def withheld(self, block: SampleBlock) -> dict[str, str]:
        """By quantity of the block's device: why it has no value, "" when it has one; what is news since last told."""
        beds, pulses = self._beds.get(block.device), self._pulses.get(block.device)
        books = [each[1].withholding for each in (beds, pulses) if each]
        if block.device in self._left_out:
            books.append(self._left_out[block.device])
        news: dict[str, str] = {}
        for book in books:
            news |= book.news(block.start)
        return news

    def memory(self, device: str) -> dict[str, float]:
        """What the device's chain has learnt and a new one should be given; empty when there is nothing."""
        entry = self._beds.get(device)
        return entry[1].memory() if entry else {}

    def _fall(self, block: SampleBlock, bed: str | None, phase: int) -> FallChain:
        key = (bed, block.start.boot_id, block.rate_hz)
        entry = self._falls.get(block.device)
        if entry is None or entry[0] != key:
            settings = self._described[block.device].settings
            entry = (key, FallChain(block.device, bed, block.rate_hz, settings, phase=phase))
            self._falls[block.device] = entry
        return entry[1]

    def _bed(self, block: SampleBlock, bed: str | None, phase: int) -> BedChain:
        key = (bed, block.start.boot_id)
        entry = self._beds.get(block.device)
        if entry is None or entry[0] != key:
            known = self._described[block.device]
            chain = BedChain(block.device, bed, known.settings, known.memory, degraded=self._degraded)
            entry = (key, chain)
            self._beds[block.device] = entry
        if entry[1].rate_hz(block.channel) != block.rate_hz:
            entry[1].start(block.channel, block.rate_hz, phase)
        return entry[1]

    def _pulse(self, block: SampleBlock, bed: str | None, phase: int) -> PpgChain:
        key = (bed, block.start.boot_id)
        entry = self._pulses.get(block.device)
        if entry is None or entry[0] != key:
            entry = (key, PpgChain(block.device, bed, self._described[block.device].settings))
            self._pulses[block.device] = entry
        if entry[1].rate_hz(block.channel) != block.rate_hz:
            entry[1].start(block.channel, block.rate_hz, phase)
        return entry[1]

    def _gate(self, block: SampleBlock, bed: str | None) -> list[Result]:
        """The acceleration tells the pulse of the same device, if it sends PPG, whether the limb moves."""
        return [] if self._degraded else [*self._pulse(block, bed, 0).feed(block)]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _check(block: SampleBlock) -> None:
    hint = "the driver's profile and the device disagree: compare its channel, rate and axes"
    what = f"{block.device} {block.channel}"
    if block.channel not in KNOWN:
        raise WorkerError(f"{what}: no chain for this channel; known are {', '.join(KNOWN)}", hint=hint)
    if not (math.isfinite(block.rate_hz) and 0.0 < block.rate_hz <= MAX_RATE_HZ):
        raise WorkerError(f"{what}: rate {block.rate_hz} Hz is not between 0 and {MAX_RATE_HZ:.0f}", hint=hint)
    axes = (len(block.data), 3) if block.channel == ACC else (len(block.data),)
    if block.data.shape != axes:
        raise WorkerError(f"{what}: samples have shape {block.data.shape}, expected {axes}", hint=hint)
    if block.lost_before < 0:
        raise WorkerError(f"{what}: {block.lost_before} samples lost before the block", hint=hint)
