"""A band's acceleration in, suspected falls out, and what keeps it from telling them: a fault of the device."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from gateway.core.model import Event, Measurement, SampleBlock, Stamp
from gateway.dsp.fall import CONFIRMATION_S, ORIGIN, Fall, Suspicion
from gateway.dsp.hops import Hop, Hopper
from gateway.dsp.inputs import Faults, RateWatch, fault_of
from gateway.dsp.reasons import Withheld

HOP_S = 0.2  # bounds what hops add to the confirmation time
MAX_FILL_S = CONFIRMATION_S  # a longer gap passes every candidate's confirmation anyway
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
        self._row = np.full(3, np.nan)  # the newest sample
        self._last: Stamp | None = None

    def phase(self) -> int:
        """Samples in the hop being filled."""
        return self._hopper.phase

    def feed(self, block: SampleBlock) -> list[Measurement | Event]:
        """Events fall_suspected; device_fault of a band that cannot tell falls (for as long as it is described so), and
        of one that sends no acceleration that can be true."""
        if self._why_not:
            return [] if self._told else [self._cannot(block.start)]
        self._rate.block(block)
        results: list[Measurement | Event] = []
        for hop in self._hopper.push(block):
            results += self._hop(hop)
        return results

    def _hop(self, hop: Hop) -> list[Event]:
        events: list[Event] = []
        if hop.fresh and self._last is not None:
            events += [self._event(found, hop.at) for found in self._fall.miss(hop.at.since_s(self._last))]
        self._last = hop.at
        events += self._faults.step(self._fault(hop), HOP_S, hop.at)
        for found in self._fall.step(hop.data):
            behind = len(hop.data) - 1 - found.index
            events.append(self._event(found, hop.at.plus_s(-behind / self._rate_hz)))
        return events

    def _fault(self, hop: Hop) -> Withheld:
        """Constant means that every sample is the one before: a band at rest still has noise."""
        row, self._row = self._row, hop.data[-1]
        constant = bool((hop.data[0] == row).all() and (hop.data == row).all())
        stuck = not constant and bool((np.abs(hop.data) >= self._range_g).any(axis=1).all())
        clipped = 1.0 if stuck else hop.clipped
        return fault_of(replace(hop, constant=constant, clipped=clipped), wrong_rate=self._rate.wrong)

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
