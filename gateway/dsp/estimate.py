"""What an estimator answers with: a value and how far it may be trusted."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Estimate:
    """value: in the unit of its quantity. quality: 0 to 1, already lowered by the fraction of missing samples.
    window_s: span of signal behind it."""

    value: float
    quality: float
    window_s: float
