"""What the worker is told of a device before its first block."""

import pytest

from drivers.base import Device
from gateway.rooms import worker_settings


def one(family: str, **settings: str | bool) -> Device:
    return Device("d-1", family, "m", "p", "b-1", settings=settings)


@pytest.mark.parametrize("family", ["berry_bci", "berry_bci_ble", "nonin", "nonin_ble"])
def test_of_an_oximeter_that_it_tells_its_own_pulse(family: str) -> None:
    assert worker_settings(one(family)) == {"own_pulse": True}
    assert worker_settings(one(family, position="finger")) == {"own_pulse": True, "position": "finger"}


@pytest.mark.parametrize("family", ["polar_pmd", "bed_belt"])
def test_of_a_band_and_a_belt_their_settings_and_nothing_else(family: str) -> None:
    assert worker_settings(one(family)) == {}
    assert worker_settings(one(family, ppg=True, position="wrist")) == {"ppg": True, "position": "wrist"}
