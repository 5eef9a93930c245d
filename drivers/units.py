"""The one place where a device's unit becomes the house's (UCUM codes; "jin" is the Chinese pound, 0.5 kg).

Every conversion is value * factor + offset. From a mass to moles it depends on what is dissolved: 18.0156 mg/dL of
glucose are 1 mmol/L, of cholesterol 38.67.
"""

from gateway.core.quantities import QUANTITIES

GLUCOSE = "glucose"
MOLAR_MASS = {  # g/mol, by quantity; ketone is beta-hydroxybutyric acid, which strips measure
    GLUCOSE: 180.156, "ketone": 104.105, "uric_acid": 168.110, "cholesterol": 386.654, "lactate": 90.078,
}  # fmt: skip
_MASS = {"mg/dL": 0.01, "g/dL": 10.0, "g/L": 1.0, "kg/L": 1000.0}  # in g/L
_MOLES = {"mmol/L": 1e3, "umol/L": 1e6}  # of one mol/L

_TO: dict[tuple[str, str], tuple[float, float]] = {
    ("kPa", "mm[Hg]"): (7.50062, 0.0),
    ("[lb_av]", "kg"): (0.45359237, 0.0),
    ("jin", "kg"): (0.5, 0.0),
    ("[degF]", "Cel"): (1 / 1.8, -32 / 1.8),
    ("m", "cm"): (100.0, 0.0),
    ("mm", "cm"): (0.1, 0.0),
    ("[in_i]", "cm"): (2.54, 0.0),
    ("mol/L", "mmol/L"): (1000.0, 0.0),
    ("mol/L", "umol/L"): (1e6, 0.0),
    ("mmol/L", "umol/L"): (1000.0, 0.0),
    ("g/dL", "g/L"): (10.0, 0.0),
    ("s", "ms"): (1000.0, 0.0),
    ("mV", "V"): (0.001, 0.0),
    ("[ppth]", "%"): (0.1, 0.0),
    ("%", "1"): (0.01, 0.0),
}
_DIGITS = {
    "mm[Hg]": 1, "kg": 3, "Cel": 2, "cm": 1, "mmol/L": 2, "umol/L": 1, "g/L": 1, "ms": 3, "V": 3, "%": 2, "1": 4,
}  # fmt: skip


def known(unit: str, target: str, of: str = GLUCOSE) -> bool:
    """True when convert can do it. of: the quantity, which matters between a mass and moles."""
    return unit == target or _factors(unit, target, of) is not None


def convert(value: float, unit: str, target: str, of: str = GLUCOSE) -> float:
    """`value` of `unit` in `target`, rounded to the digits that the target unit is kept with; unchanged when the units
    are the same. of: as in known. ValueError for units that have no conversion."""
    return value if unit == target else round(exactly(value, unit, target, of), _DIGITS[target])


def exactly(value: float, unit: str, target: str, of: str = GLUCOSE) -> float:
    """What convert gives, before it is rounded."""
    if unit == target:
        return value
    if (found := _factors(unit, target, of)) is None:
        raise ValueError(f"no conversion from {unit!r} to {target!r} of {of}")
    factor, offset = found
    return value * factor + offset


def normalise(quantity: str, value: float, unit: str) -> float:
    """`value` in the unit that the quantity is kept in."""
    return convert(value, unit, QUANTITIES[quantity].unit, quantity)


def _factors(unit: str, target: str, of: str) -> tuple[float, float] | None:
    if unit in _MASS and target in _MOLES:
        mass = MOLAR_MASS.get(of)
        return None if mass is None else (_MASS[unit] * _MOLES[target] / mass, 0.0)
    return _TO.get((unit, target))
