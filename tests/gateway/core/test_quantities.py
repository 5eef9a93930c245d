"""Promises of the quantity table."""

import pytest

from gateway.core.quantities import QUANTITIES, quantity


@pytest.mark.parametrize("name", sorted(QUANTITIES))
def test_every_loinc_code_passes_its_check_digit(name: str) -> None:
    loinc = QUANTITIES[name].loinc
    if loinc is None:
        return
    number, check = loinc.split("-")
    doubled = [int(d) * 2 if i % 2 == 0 else int(d) for i, d in enumerate(reversed(number))]
    total = sum(d // 10 + d % 10 for d in doubled)
    assert (10 - total % 10) % 10 == int(check), f"{name}: {loinc}"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 19.9, 250.1])
def test_what_cannot_be_is_not_plausible(value: float) -> None:
    assert not quantity("heart_rate").plausible(value)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(KeyError, match="heart_rate"):
        quantity("heartrate")
