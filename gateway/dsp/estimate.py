"""What an estimator answers with: a value and how far it may be trusted."""

from dataclasses import dataclass

from gateway.core.model import Measurement, Stamp
from gateway.core.quantities import quantity


@dataclass(frozen=True, slots=True)
class Estimate:
    """value: in the unit of its quantity. quality: 0 to 1, already lowered by the fraction of missing samples.
    window_s: span of signal behind it."""

    value: float
    quality: float
    window_s: float

    def measured(self, name: str, at: Stamp, *, bed: str | None, device: str, origin: str) -> Measurement:
        """As a measurement of this quantity, in its unit. at: moment of the last sample behind it."""
        return Measurement(
            bed=bed,
            device=device,
            quantity=name,
            value=self.value,
            unit=quantity(name).unit,
            at=at,
            window_s=self.window_s,
            quality=self.quality,
            origin=origin,
        )
