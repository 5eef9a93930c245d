"""A mass becomes moles by what is dissolved; nothing else may guess it."""

import pytest

from drivers.units import MOLAR_MASS, convert, known, normalise
from gateway.core.quantities import QUANTITIES


@pytest.mark.parametrize(
    ("quantity", "value", "unit", "there"),
    [
        ("glucose", 180.0, "mg/dL", 9.99),
        ("cholesterol", 200.0, "mg/dL", 5.17),
        ("uric_acid", 6.0, "mg/dL", 356.9),
        ("ketone", 10.41, "mg/dL", 1.0),
        ("lactate", 9.008, "mg/dL", 1.0),
        ("haemoglobin", 14.0, "g/dL", 140.0),
        ("haematocrit", 42.0, "%", 42.0),
        ("ketone", 1.2, "mmol/L", 1.2),
        ("uric_acid", 0.357, "mmol/L", 357.0),
    ],
)
def test_each_analyte_has_its_own_molar_mass(quantity: str, value: float, unit: str, there: float) -> None:
    assert known(unit, QUANTITIES[quantity].unit, quantity)
    assert normalise(quantity, value, unit) == there
    assert QUANTITIES[quantity].plausible(there)


def test_a_mass_of_what_has_no_molar_mass_is_no_number_of_moles() -> None:
    assert not known("mg/dL", "mmol/L", "haemoglobin")
    with pytest.raises(ValueError, match="of haemoglobin"):
        convert(14.0, "g/dL", "mmol/L", "haemoglobin")


def test_every_molar_mass_is_of_a_quantity_kept_in_moles() -> None:
    assert all(QUANTITIES[name].unit.endswith("mol/L") for name in MOLAR_MASS)
