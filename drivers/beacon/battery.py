"""How full a coin cell is by its voltage: rough, because the voltage stays flat for most of its life.

Corner points of a CR2032 under a beacon's load, as in the discharge curves of its makers' data sheets.
"""

from itertools import pairwise

_CURVE = ((2.10, 0.0), (2.44, 6.0), (2.74, 18.0), (2.90, 42.0), (3.00, 100.0))
HIGHEST_V = 3.6  # above it is no coin cell
LOW_PERCENT = 15.0  # weeks, not months


def coin_cell_percent(voltage_v: float) -> float | None:
    """0 to 100, straight lines between the corners; None for what is no coin cell."""
    if not 0 < voltage_v <= HIGHEST_V:
        return None
    if voltage_v <= _CURVE[0][0]:
        return 0.0
    for (low_v, low), (high_v, high) in pairwise(_CURVE):
        if voltage_v <= high_v:
            return round(low + (voltage_v - low_v) / (high_v - low_v) * (high - low), 1)
    return 100.0
