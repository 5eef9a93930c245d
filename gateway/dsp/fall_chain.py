"""A band's acceleration in, suspected falls out, and what keeps it from telling them: a fault of the device.

Falls are sought sample by sample as blocks come, so that nothing waits for a hop; faults are judged by the second.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from gateway.core.model import Event, Measurement, SampleBlock, Stamp
from gateway.dsp.fall import CONFIRMATION_S, ORIGIN, Fall, Suspicion
from gateway.dsp.hops import Hop, Hopper, Losses
from gateway.dsp.inputs import Faults, RateWatch, fault_of
from gateway.dsp.kernels import intake
from gateway.dsp.kernels.compiler import Floats
from gateway.dsp.reasons import Withheld

HOP_S = 1.0  # of faults
MAX_FILL_S = CONFIRMATION_S  # a longer gap passes every candidate's confirmation anyway
PIECE_S = 10.0  # so much at a time, lest a long block hold more falls than `Fall` tells at once
DEFAULT_RANGE_G = 8.0
MAX_G = 100.0  # no band measures more: garbage of a line


class FallChain:
    """One band. settings: position ("wrist" or "waist"), range_g."""

    def __init__(
        self, device: str, bed: str | None, rate_hz: float, settings: Mapping[str, object], *, phase: int = 0
    ) -> None:
        self._device, self._bed, self._rate_hz = device, bed, rate_hz
        range_g = settings.get("range_g", DEFAULT_RANGE_G)
        self._range_g = float(range_g) if isinstance(range_g, int | float) else DEFAULT_RANGE_G
        position = str(settings.get("position", "wrist"))
        self._fall = Fall(rate_hz, position=position, range_g=self._range_g)
        self._why_not = Fall.why_not(rate_hz, self._range_g)
        self._told = False
        self._hopper = Hopper(rate_hz, HOP_S, max_fill_s=MAX_FILL_S, full_scale=MAX_G, phase=phase)
        self._rate = RateWatch(rate_hz)
        self._faults = Faults(device, bed, "acc")
        self._losses = Losses(rate_hz)
        self._end: Stamp | None = None  # when the sample after the newest is due
        self._seen: Floats = np.zeros(3)

    def phase(self) -> int:
        """Samples in the hop being filled."""
        return self._hopper.phase

    def feed(self, block: SampleBlock) -> list[Measurement | Event]:
        """Events fall_suspected; device_fault of a band that cannot tell falls (for as long as it is described so), and
        of one that sends no acceleration that can be true."""
        if self._why_not:
            return [] if self._told else [self._cannot(block.start)]
        self._rate.block(block)
        events = self._falls(block)
        for hop in self._hopper.push(block):
            events += self._faults.step(self._fault(hop), HOP_S, hop.at, fresh=hop.fresh)
        return [*events]

    def _falls(self, block: SampleBlock) -> list[Event]:
        """Suspicions, stamped with the sample that ended their confirmation."""
        events: list[Event] = []
        lost = self._losses.before(block)
        if lost > MAX_FILL_S * self._rate_hz and self._end is not None:
            gap_s = block.start.since_s(self._end)
            events += [self._event(found, block.start) for found in self._fall.miss(max(gap_s, lost / self._rate_hz))]
        elif 0 < lost <= MAX_FILL_S * self._rate_hz:
            events += self._sought(np.full((lost, 3), np.nan), block.start.plus_s(-lost / self._rate_hz))
        acc = np.array(block.data, dtype=np.float64, order="C")
        intake.examine(acc.reshape(-1), 3, MAX_G, self._seen)
        events += self._sought(acc, block.start)
        self._end = block.start.plus_s(len(acc) / self._rate_hz)
        return events

    def _sought(self, acc: Floats, start: Stamp) -> list[Event]:
        events: list[Event] = []
        length = round(PIECE_S * self._rate_hz)
        for first in range(0, len(acc), length):
            suspicions = self._fall.step(acc[first : first + length])
            events += [self._event(each, start.plus_s((first + each.index) / self._rate_hz)) for each in suspicions]
        return events

    def _fault(self, hop: Hop) -> Withheld:
        """A band at rest still has noise; one whose every sample has an axis at the end of its range is saturated."""
        first_g = max(abs(axis) for axis in hop.data[0].tolist())  # seldom at the end: spares looking at all rows
        if first_g >= self._range_g and bool((np.abs(hop.data) >= self._range_g).any(axis=1).all()):
            hop = replace(hop, clipped=1.0)
        return fault_of(hop, wrong_rate=self._rate.wrong)

    def _event(self, found: Suspicion, at: Stamp) -> Event:
        detail: dict[str, str | int | float | bool] = {
            "peak_g": round(found.peak_g, 2),
            "clipped": found.clipped,
            "confidence": round(found.confidence, 3),
            "confirmation_s": CONFIRMATION_S,
            "still": round(found.still, 3),
            "posture_deg": round(found.posture_deg, 1),
            "real": round(found.real, 3),
            "origin": ORIGIN,
        }
        return Event("fall_suspected", at, bed=self._bed, device=self._device, detail=detail)

    def _cannot(self, at: Stamp) -> Event:
        self._told = True
        detail: dict[str, str | int | float | bool] = {
            "reason": f"fall_{self._why_not}",
            "range_g": self._range_g,
            "rate_hz": self._rate_hz,
            "active": True,
        }
        return Event("device_fault", at, bed=self._bed, device=self._device, detail=detail)
