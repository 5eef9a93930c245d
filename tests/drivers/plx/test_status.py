"""What each status bit of an oximeter makes of its values: told, told with doubt, or not told."""

import pytest

from drivers.plx.frame import PROFILE, encode_continuous
from gateway.core.model import Status
from tests.drivers.test_profile_reading import Bench

PLAIN = {0, 2, 5, 9}  # display, irregular pulse, low perfusion, analysis ongoing
DOUBTFUL = {1, 3, 4, 6, 7, 8, 14}  # malfunction of equipment or sensor, signal inadequate, poor, erratic, pulseless
WORTHLESS = {11, 13, 15}  # unconnected, displaced, disconnected


def told(measurement: int, sensor: int) -> set[Status]:
    bench = Bench(PROFILE)
    bench.take(encode_continuous(97, 72, measurement, sensor))
    return {one.status for one in bench.sink.measurements}


@pytest.mark.parametrize(
    ("bits", "expected"), [(PLAIN, {Status.VALID}), (DOUBTFUL, {Status.QUESTIONABLE}), (WORTHLESS, set())]
)
def test_device_and_sensor_status_decides_what_a_saturation_is_worth(bits: set[int], expected: set[Status]) -> None:
    assert {bit: told(0, 1 << bit) for bit in bits} == dict.fromkeys(bits, expected)


@pytest.mark.parametrize("bit", [10, 11, 12, 13, 15])
def test_demo_test_calibration_unavailable_and_invalid_values_are_not_told(bit: int) -> None:
    assert told(1 << bit, 0) == set()


def test_an_early_estimate_is_shown_as_not_final() -> None:
    assert told(1 << 6, 0) == {Status.ONGOING}
