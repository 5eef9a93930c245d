"""Promises of the drivers' benchmark: each figure is what its name says, a loss is seen, and time is told apart."""

import asyncio
import signal
from collections import Counter

import pytest

from drivers.ble_link import Advert
from drivers.faulty_line import VirtualPort
from drivers.modbus_rtu.driver import HERE
from drivers.modbus_rtu.registers import load_map
from drivers.serial_link import SerialPort
from gateway.core.clock import ManualClock
from gateway.core.model import Measurement, Stamp
from tests.benchmarks import band_load, decoder_rates, modbus_load, whose_time
from tests.benchmarks.__main__ import names
from tests.benchmarks.band_ward import BPM_TURN, COMPANY, FIRST_BPM, Pulse, beacon_address
from tests.fuzz.properties import is_good
from tests.fuzz.targets import streams

AT = Stamp("00000001", 0)


def advert(number: int, beacon: int = 0) -> Advert:
    data = {COMPANY: number.to_bytes(4, "little")}
    return Advert(beacon_address(beacon), -50, None, (), {}, data, AT)


def pulse(bpm: int, device: str = "0") -> Measurement:
    return Measurement(None, device, "heart_rate", float(bpm), "/min", AT)


def test_the_command_knows_the_benchmark_and_none_of_its_parts() -> None:
    assert "drivers" in names()
    assert not {"band_daemon", "band_load", "band_ward", "paced_bus", "modbus_load", "whose_time"} & set(names())


def test_a_lost_advert_is_seen_and_a_repeated_one_is_none() -> None:
    beacons = band_load.Beacons()
    for number in (7, 7, 8, 8, 11):
        beacons(advert(number))
    beacons(advert(3, beacon=1))
    assert (beacons.heard, beacons.lost) == (4, 2)


def test_a_lost_pulse_is_seen_across_the_turn_of_its_numbers() -> None:
    heard, sent = band_load.Heard(), Pulse()
    rates = [sent().bpm for _ in range(BPM_TURN + 3)]
    assert (rates[0], rates[BPM_TURN]) == (FIRST_BPM, FIRST_BPM)
    del rates[BPM_TURN - 1 : BPM_TURN + 1]
    for bpm in rates:
        heard.measurement(pulse(bpm))
    assert (heard.pulses[0], heard.pulses_lost) == (BPM_TURN + 1, 2)


def test_frames_that_were_sent_and_did_not_come_are_lost_and_so_are_adverts_at_the_end() -> None:
    heard, beacons = band_load.Heard(), band_load.Beacons()
    beacons(advert(0))
    sent = {"frames": [5] * band_load.BANDS, "pulses": [], "adverts": [3] + [0] * 9}
    figures = band_load._figures(heard, beacons, sent, 20.0, 0.75, 100.0)
    by_name = {figure.name.split(": ")[1]: figure for figure in figures}
    assert (by_name["acceleration frames lost"].value, by_name["acceleration frames lost"].met) == (40, False)
    assert (by_name["adverts lost"].value, by_name["adverts lost"].met) == (2, False)
    assert by_name["CPU of adapter and drivers, without the virtual host stack"].value == 5.0


def test_the_timing_of_a_bus_is_silence_request_delay_and_answer() -> None:
    wire = VirtualPort()
    port = SerialPort(wire.path, ManualClock(), baud=19_200)
    wire.unplug()
    character_s = 10 / 19_200
    assert modbus_load.allowed_per_s(port, 0.0) == pytest.approx(1 / (20.5 * character_s + 0.005))
    assert modbus_load.allowed_per_s(port, 0.005) == pytest.approx(1 / (0.010 + 17 * character_s))


def test_a_dead_slave_is_judged_against_the_bus_without_it() -> None:
    figures = modbus_load._figures(48.0, 50.0, [3.0] * 15, [3.04] * 15)
    assert figures[2].value == 96.0
    assert figures[3].value == pytest.approx(100 * (1 - 3.04 / 3.2))  # 15 alone would get 3.2 each
    assert [figure.met for figure in figures[2:4]] == [True, False]


def test_only_the_pace_of_the_room_sensor_is_changed_for_the_full_bus() -> None:
    room = load_map(HERE / "xy_md02.toml")
    asked = modbus_load._asked_without_rest(room)
    assert asked.poll[0].every_ms < room.poll[0].every_ms
    assert (asked.modbus, asked.poll[0].field) == (room.modbus, room.poll[0].field)


def test_time_belongs_to_the_innermost_owner() -> None:
    class Code:
        def __init__(self, path: str) -> None:
            self.co_filename = path

    class Frame:
        def __init__(self, path: str, back: "Frame | None" = None) -> None:
            self.f_code, self.f_back = Code(path), back

    loop = Frame("/usr/lib/python3/asyncio/events.py")
    host = Frame("/x/bumble/host.py", loop)
    ours = Frame("/x/drivers/hrs/driver.py", host)
    assert whose_time.owner(Frame("/usr/lib/python3/struct.py", ours)) == "daemon"  # type: ignore[arg-type]
    assert whose_time.owner(Frame("/x/drivers/ble_virtual.py", ours)) == "host stack"  # type: ignore[arg-type]
    assert whose_time.owner(host) == "host stack"  # type: ignore[arg-type]
    assert whose_time.owner(loop) == "loop"  # type: ignore[arg-type]


def test_busy_code_is_looked_at_while_it_runs_and_the_signal_is_given_back() -> None:
    before = signal.getsignal(signal.SIGPROF)
    with whose_time.sampled() as counts:
        while sum(counts.values()) < 5:
            sum(range(1000))
    assert isinstance(counts, Counter)
    assert counts["daemon"] >= 4  # this file lies below tests/
    assert signal.getsignal(signal.SIGPROF) == before
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)


def test_a_decoder_s_rate_counts_whole_frames_and_has_the_bar_of_its_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_rates, "LEAST_S", 0.0001)
    monkeypatch.setattr(decoder_rates, "FRAMES", 20)
    bars = {}
    for target in streams():
        figure = decoder_rates._stream(target)
        assert (figure is None) == (not any(is_good(target, frame) for frame in target.frames))
        if figure is not None:
            assert figure.value > 0
            bars[target.name] = figure.bar
    assert bars["bed_belt/open_belt_1"] == decoder_rates.PROFILE_BAR
    assert bars["berry_bci.BciStream"] == decoder_rates.CODE_BAR


async def test_answers_a_second_are_counted_for_each_slave_over_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modbus_load, "RUNS", 1)
    monkeypatch.setattr(modbus_load, "SETTLE_S", 0.3)
    monkeypatch.setattr(modbus_load, "WINDOW_S", 1.0)
    monkeypatch.setattr(modbus_load, "DEAD_WINDOW_S", 1.0)
    async with asyncio.timeout(60):
        figures = await modbus_load.measure()
    reached, allowed, share = (figure.value for figure in figures[:3])
    assert 0 < reached < allowed  # nothing is faster than its wire
    assert share == pytest.approx(100 * reached / allowed)
