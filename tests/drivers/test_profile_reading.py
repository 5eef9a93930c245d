"""What a message is worth: limits, repeats, clocks and states; any bytes at all end as facts or as a refusal."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import Device
from drivers.ble_values import FIRST_YEAR, Special, date_time_bytes, sfloat_word
from drivers.bls.frame import FAILED, Record
from drivers.bls.frame import PROFILE as BLS
from drivers.bls.frame import encode as pressure
from drivers.hts.frame import PROFILE as HTS
from drivers.mi_scale.frame import PROFILES as MI
from drivers.plx.frame import PROFILE as PLX
from drivers.plx.frame import encode_continuous, encode_spot
from drivers.profile_reading import SourceReader
from drivers.profile_vectors import sources
from drivers.wss.frame import PROFILE as WSS
from gateway.core.clock import ManualClock
from gateway.core.errors import ConfigError, ProtocolError
from gateway.core.model import Status
from gateway.core.quantities import QUANTITIES
from tests.drivers.recording_sink import RecordingSink

HERE = datetime(2026, 11, 24, 20, 0)  # noqa: DTZ001 - what a wall clock in UTC shows when ManualClock begins


class Bench:
    """One source of one profile under a manual clock whose wall time is UTC."""

    def __init__(self, path: Path, source: int = 0, **settings: str) -> None:
        self.clock = ManualClock()
        self.sink = RecordingSink()
        self.profile = sources(path).profile
        self.decoder = sources(path).decoders[source]
        device = Device("d-1", "x", "y", "z", "b-1", settings={"time_zone": "UTC"} | settings)
        self.reader = SourceReader(device, self.profile, self.profile.source[source], self.clock)

    def take(self, data: bytes) -> bool:
        return self.reader.take(self.decoder.decode(data), data, self.clock.now(), self.sink)

    def kinds(self) -> list[str]:
        return self.sink.kinds("d-1")

    def ages(self) -> Iterator[float]:
        return (round(self.clock.now().since_s(m.at)) for m in self.sink.measurements)


def cuff(minutes_ago: float, systolic: float | Special = 125, diastolic: float | Special = 80) -> bytes:
    return pressure(Record(systolic, diastolic, 95, 64, HERE - timedelta(minutes=minutes_ago)))


def test_a_reading_is_dated_by_the_devices_clock() -> None:
    bench = Bench(BLS)
    assert bench.take(cuff(30))
    assert set(bench.ages()) == {1800}
    assert bench.kinds() == ["reading"]


def test_a_clock_that_was_found_fast_is_taken_off_and_one_of_the_future_is_told() -> None:
    bench = Bench(BLS)
    bench.reader.offset_s = 600.0
    bench.take(cuff(-5))  # ten minutes fast: taken five minutes ago
    assert set(bench.ages()) == {300}
    other = Bench(BLS)
    other.take(cuff(-20))
    assert set(other.ages()) == {0}
    assert other.kinds() == ["device_clock", "reading"]


@pytest.mark.parametrize("minutes", [25 * 60, -25 * 60, 5 * 365 * 24 * 60])
def test_a_date_more_than_a_day_off_was_never_set(minutes: float) -> None:
    bench = Bench(BLS)
    bench.take(cuff(minutes))
    assert bench.kinds() == ["device_clock_unset", "reading"]
    assert set(bench.ages()) == {0}


def test_a_record_of_last_week_is_old_and_not_unset_where_the_clock_was_found_right() -> None:
    bench = Bench(BLS)
    bench.reader.offset_s = 2.0
    bench.take(cuff(7 * 24 * 60))
    assert bench.kinds() == ["reading"]
    assert set(bench.ages()) == {7 * 86_400 + 2}


def test_while_the_box_does_not_know_the_time_no_device_is_called_wrong() -> None:
    bench = Bench(BLS)
    bench.clock.uncertainty_ns = 10**18
    bench.take(cuff(5 * 365 * 24 * 60))
    assert bench.kinds() == ["reading"]


def test_a_repeat_is_known_by_its_date_in_every_visit() -> None:
    bench = Bench(BLS)
    for _ in range(2):
        bench.reader.new_visit()
        bench.take(cuff(30))
    assert bench.sink.rejects == {("d-1", "repeat"): 1}
    assert bench.sink.values("systolic") == [125]


def test_without_a_date_equal_readings_are_repeats_within_one_visit_only() -> None:
    bench = Bench(BLS)
    undated = bytes.fromhex("0078005000600000")[:7]
    assert [bench.take(undated), bench.take(undated)] == [True, False]
    bench.reader.new_visit()
    assert bench.take(undated)


def test_a_failed_an_upside_down_and_an_impossible_pressure_are_refused_whole_with_their_bytes() -> None:
    bench = Bench(BLS)
    failed = pressure(Record(*FAILED, at=HERE))
    for data in (failed, cuff(1, 80, 85), cuff(2, 299, 85), cuff(3, Special.NRES, 85)):
        assert not bench.take(data)
    assert bench.sink.measurements == []
    assert bench.kinds() == ["readings_rejected"] * 4
    assert bench.sink.rejects == {
        ("d-1", "failed_measurement"): 2, ("d-1", "implausible_diastolic"): 1, ("d-1", "implausible_systolic"): 1,
    }  # fmt: skip
    assert bench.sink.events[0].detail["raw"] == failed.hex()


def test_beyond_the_cuffs_range_is_a_reading_with_the_limit() -> None:
    bench = Bench(BLS)
    assert bench.take(cuff(1, Special.PINF, 120))
    told = {m.quantity: (m.value, m.status) for m in bench.sink.measurements}
    assert told["systolic"] == (QUANTITIES["systolic"].high, Status.OVER)
    assert told["diastolic"] == (120, Status.VALID)


def test_kilopascals_are_told_in_millimetres_of_mercury_and_kept_as_they_were() -> None:
    bench = Bench(BLS)
    bench.take(bytes.fromhex("01b0f067f07ff0"))
    assert bench.sink.values("systolic") == [132.0]
    assert (bench.sink.events[0].detail["systolic"], bench.sink.events[0].detail["systolic_unit"]) == (17.6, "kPa")


def test_a_spot_check_of_a_displaced_probe_is_refused_and_a_stream_only_falls_silent() -> None:
    spot = Bench(PLX, source=1)
    values = b"".join(sfloat_word(value).to_bytes(2, "little") for value in (97, 70))
    displaced = b"\x04" + values + b"\x00\x20\x00"
    assert not spot.take(displaced)
    assert spot.sink.rejects == {("d-1", "invalid_status"): 1}
    stream = Bench(PLX)
    for _ in range(3):
        stream.take(encode_continuous(97, 70, sensor=0x2000))
    assert stream.kinds() == ["sensor_off"]
    assert not stream.sink.rejects
    assert stream.take(encode_continuous(97, 70))
    assert stream.take(encode_continuous(97, 70)), "a stream repeats itself"


def test_an_oximeter_that_says_its_clock_is_not_set_is_not_asked_for_the_time() -> None:
    bench = Bench(PLX, source=1)
    data = encode_spot(97, 70, HERE)
    bench.take(bytes([data[0] | 0x10]) + data[1:])
    assert bench.kinds() == ["device_clock_unset", "reading"]


def test_an_unknown_zone_is_a_fault_that_names_the_setting() -> None:
    with pytest.raises(ConfigError, match="time_zone: 'Mars/Base' is no time zone"):
        Bench(BLS, time_zone="Mars/Base")


SOURCES = [
    (path, number)
    for path in (BLS, HTS, WSS, PLX, *MI.values())
    for number in range(len(sources(path).profile.source))
]


@given(place=st.sampled_from(SOURCES), data=st.binary(max_size=30), offset=st.none() | st.floats(-1e12, 1e12))
def test_any_bytes_end_as_plausible_facts_or_as_a_refusal(
    place: tuple[Path, int], data: bytes, offset: float | None
) -> None:
    bench = Bench(*place)
    bench.reader.offset_s = offset
    try:
        bench.take(data)
    except ProtocolError:
        assert bench.sink.measurements == []
    for one in bench.sink.measurements:
        assert QUANTITIES[one.quantity].plausible(one.value)
        assert abs(one.at.mono_ns) < 2**62


@given(st.dates(min_value=date(FIRST_YEAR, 1, 1)), st.integers(0, 86_399))
def test_a_device_may_show_any_date(day: object, second: int) -> None:
    bench = Bench(BLS)
    shown = datetime.combine(day, datetime.min.time()) + timedelta(seconds=second)  # type: ignore[arg-type]
    record = bytearray(cuff(0))
    record[7:14] = date_time_bytes(shown)
    assert bench.take(bytes(record))
