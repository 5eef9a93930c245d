"""A band's acceleration in, suspected falls out."""

from collections.abc import Mapping

from gateway.core.model import Event, Measurement, SampleBlock, Stamp
from gateway.dsp.fall import CONFIRMATION_S, ORIGIN, Fall, Suspicion
from gateway.dsp.hops import Hop, Hopper

HOP_S = 0.2  # bounds what hops add to the confirmation time
MAX_FILL_S = CONFIRMATION_S  # a longer gap passes every candidate's confirmation anyway
DEFAULT_RANGE_G = 8.0


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
        self._hopper = Hopper(rate_hz, HOP_S, max_fill_s=MAX_FILL_S, phase=phase)
        self._last: Stamp | None = None

    def phase(self) -> int:
        """Samples in the hop being filled."""
        return self._hopper.phase

    def feed(self, block: SampleBlock) -> list[Measurement | Event]:
        """Events fall_suspected, and once device_fault for a band that cannot tell falls."""
        if self._why_not:
            return [] if self._told else [self._cannot(block.start)]
        results: list[Measurement | Event] = []
        for hop in self._hopper.push(block):
            results += self._hop(hop)
        return results

    def _hop(self, hop: Hop) -> list[Event]:
        events: list[Event] = []
        if hop.fresh and self._last is not None:
            events += [self._event(found, hop.at) for found in self._fall.miss(hop.at.since_s(self._last))]
        self._last = hop.at
        for found in self._fall.step(hop.data):
            behind = len(hop.data) - 1 - found.index
            events.append(self._event(found, hop.at.plus_s(-behind / self._rate_hz)))
        return events

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
        }
        return Event("device_fault", at, bed=self._bed, device=self._device, detail=detail)
