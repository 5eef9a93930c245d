"""One input: gated, smoothed, stale in time, and never mixed from two instruments."""

import statistics

from hypothesis import given
from hypothesis import strategies as st

from edge_rules.channel import Channel
from edge_rules.rule import Input
from gateway.core.model import Measurement, Stamp, Status

SECOND = 10**9


def put(channel: Channel, second: float, value: float, *, quality: float = 0.9, device: str = "belt",
        status: Status = Status.VALID) -> bool:  # fmt: skip
    at_ns = round(second * SECOND)
    m = Measurement("b-1", device, "heart_rate", value, "/min", Stamp("00000001", at_ns), 0.0, quality, status=status)
    return channel.accept(m, at_ns)


@given(st.lists(st.floats(20, 250), min_size=1, max_size=40))
def test_a_median_over_nine_seconds_is_the_median_of_the_last_nine_readings(values: list[float]) -> None:
    channel = Channel(Input("heart_rate", "median", 9.0))
    for second, value in enumerate(values):
        put(channel, second, value)
        assert channel.read(second * SECOND) == statistics.median(values[max(0, second - 8) : second + 1])


def test_a_reading_of_low_quality_or_no_worth_tells_nothing() -> None:
    channel = Channel(Input("heart_rate", quality=0.7))
    assert put(channel, 0, 80)
    assert not put(channel, 1, 200, quality=0.6)
    assert not put(channel, 2, 200, status=Status.INVALID)
    assert channel.read(3 * SECOND) == 80


def test_a_value_over_the_range_of_the_device_counts() -> None:
    channel = Channel(Input("heart_rate"))
    assert put(channel, 0, 250, status=Status.OVER)


def test_a_value_goes_stale() -> None:
    channel = Channel(Input("heart_rate", fresh_s=5.0))
    assert channel.read(0) is None
    put(channel, 10, 80)
    assert channel.read(15 * SECOND) == 80
    assert channel.read(15 * SECOND + 1) is None


def test_two_instruments_are_never_mixed_and_the_second_takes_over_when_the_first_is_silent() -> None:
    channel = Channel(Input("heart_rate", "mean", 60.0, fresh_s=5.0))
    put(channel, 0, 80, device="belt")
    assert not put(channel, 1, 180, device="band")
    assert channel.read(SECOND) == 80
    assert put(channel, 6, 100, device="band")
    assert channel.read(6 * SECOND) == 100


def test_a_reading_older_than_the_last_is_not_taken() -> None:
    channel = Channel(Input("heart_rate"))
    put(channel, 10, 80)
    assert not put(channel, 9, 180)
