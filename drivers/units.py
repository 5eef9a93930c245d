"""The one place where a device's unit becomes the house's (UCUM codes; "jin" is the Chinese pound, 0.5 kg).

Every conversion is value * factor + offset. Glucose: 18.0156 mg/dL for 1 mmol/L (molar mass 180.156 g/mol).
"""

from gateway.core.quantities import QUANTITIES

GLUCOSE_MG_PER_MMOL = 180.156

_TO: dict[tuple[str, str], tuple[float, float]] = {
    ("kPa", "mm[Hg]"): (7.50062, 0.0),
    ("[lb_av]", "kg"): (0.45359237, 0.0),
    ("jin", "kg"): (0.5, 0.0),
    ("[degF]", "Cel"): (1 / 1.8, -32 / 1.8),
    ("m", "cm"): (100.0, 0.0),
    ("mm", "cm"): (0.1, 0.0),
    ("[in_i]", "cm"): (2.54, 0.0),
    ("mg/dL", "mmol/L"): (10 / GLUCOSE_MG_PER_MMOL, 0.0),
    ("kg/L", "mmol/L"): (1e6 / GLUCOSE_MG_PER_MMOL, 0.0),
    ("mol/L", "mmol/L"): (1000.0, 0.0),
    ("s", "ms"): (1000.0, 0.0),
    ("mV", "V"): (0.001, 0.0),
    ("[ppth]", "%"): (0.1, 0.0),
    ("%", "1"): (0.01, 0.0),
}
_DIGITS = {
    "mm[Hg]": 1, "kg": 3, "Cel": 2, "cm": 1, "mmol/L": 2, "ms": 3, "V": 3, "%": 2, "1": 4,
}  # fmt: skip


def known(unit: str, target: str) -> bool:
    """True when convert can do it."""
    return unit == target or (unit, target) in _TO


def convert(value: float, unit: str, target: str) -> float:
    """`value` of `unit` in `target`, rounded to the digits that the target unit is kept with; unchanged when the units
    are the same. ValueError for units that have no conversion."""
    if unit == target:
        return value
    try:
        factor, offset = _TO[unit, target]
    except KeyError:
        raise ValueError(f"no conversion from {unit!r} to {target!r}") from None
    return round(value * factor + offset, _DIGITS[target])


def normalise(quantity: str, value: float, unit: str) -> float:
    """`value` in the unit that the quantity is kept in."""
    return convert(value, unit, QUANTITIES[quantity].unit)
