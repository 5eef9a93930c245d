"""Promises of the catalogue: every family is there under its name, and none is loaded before it is asked for."""

import subprocess
import sys
from pathlib import Path

import pytest

from drivers.base import Family
from drivers.catalogue import DELIVERS, FAMILIES, WHERE
from gateway.core.quantities import QUANTITIES

DRIVERS = Path(__file__).parents[2] / "drivers"


@pytest.mark.parametrize("name", WHERE)
def test_a_family_is_found_under_its_own_name_and_has_models(name: str) -> None:
    family = FAMILIES[name]
    assert isinstance(family, Family)
    assert family.name == name
    assert family.models
    assert DELIVERS[name] <= set(QUANTITIES)


def test_no_package_of_drivers_is_forgotten() -> None:
    packages = {path.parent.name for path in DRIVERS.glob("*/driver.py")}
    assert packages == {where.split(".")[1] for where in WHERE.values()}


def test_a_stranger_is_a_key_error_and_no_import() -> None:
    assert "os" not in FAMILIES
    with pytest.raises(KeyError):
        FAMILIES["os"]


def test_a_family_is_not_loaded_before_it_is_asked_for() -> None:
    code = "import sys, drivers.catalogue as c; c.FAMILIES['hrs']; print([m for m in sys.modules if 'taidoc' in m])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
