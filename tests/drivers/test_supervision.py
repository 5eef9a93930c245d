"""Every way to call for help is supervised, or a test press falls due."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import drivers.modbus_rtu
from drivers.base import Device, Setting
from drivers.modbus_rtu.contact import Contact, meaning_of
from drivers.modbus_rtu.registers import load_map
from drivers.supervision import SILENCE_S, Proof, SosPath, Supervision, Way, Wear, judge, sos_paths
from gateway.core.model import Event, Measurement, Stamp
from tests.drivers.recording_sink import RecordingSink

NOW = datetime(2026, 11, 24, 20, 0, tzinfo=UTC)
AT = Stamp("00000001", 10**12)
MODULE = load_map(Path(drivers.modbus_rtu.__path__[0]) / "waveshare_io8.toml")


def device(family: str, **settings: Setting) -> Device:
    return Device("d-1", family, "model", "link", "b-1", "", settings)


def judged(way: Way, *, heard_s: float | None = None, pressed_days: float | None = None) -> Supervision:
    heard = None if heard_s is None else NOW - timedelta(seconds=heard_s)
    pressed = None if pressed_days is None else NOW - timedelta(days=pressed_days)
    return judge(SosPath("d-1", "b-1", way), heard=heard, pressed=pressed, now=NOW)


@pytest.mark.parametrize(
    ("family", "settings", "ways"),
    [
        ("bthome", {"purpose": "sos", "beacon": True}, [Way.BEACON]),
        ("bthome", {"purpose": "sos"}, [Way.NONE]),
        ("bthome", {"purpose": "service", "beacon": True}, []),
        ("bthome", {}, []),
        ("beacon", {"alarm": "minor=911"}, [Way.BEACON]),
        ("beacon", {"alarm": "minor=911", "beacon": False}, [Way.NONE]),
        ("beacon", {"alarm": "minor=911", "supervise_s": 7200}, [Way.NONE]),
        ("beacon", {"alarm": "minor=911", "purpose": "service"}, []),
        ("beacon", {}, []),
        ("hrs", {}, []),
        ("itag", {"purpose": "sos", "bonded": True}, [Way.LINK]),
        ("itag", {"purpose": "sos"}, [Way.NONE]),
        ("modbus_rtu", {"purpose": "sos"}, []),
    ],
)
def test_each_way_to_call_is_known_by_how_it_is_supervised(
    family: str, settings: Mapping[str, Setting], ways: list[Way]
) -> None:
    assert [path.way for path in sos_paths(device(family, **settings), None)] == ways


def test_a_normally_closed_cord_is_a_loop_and_a_normally_open_button_is_unsupervised() -> None:
    module = device("modbus_rtu", di3="call_button", di3_bed="b-3", di4="pull_cord", di4_invert=False)
    paths = sos_paths(module, MODULE)
    assert [(path.input, path.bed, path.way) for path in paths] == [
        ("di2", "b-1", Way.LOOP),
        ("di3", "b-3", Way.NONE),
        ("di4", "b-1", Way.NONE),
    ]


@pytest.mark.parametrize("way", [Way.BEACON, Way.LOOP, Way.LINK])
def test_a_supervised_path_proves_itself_by_being_heard_and_needs_no_test(way: Way) -> None:
    fresh = judged(way, heard_s=SILENCE_S[way])
    assert (fresh.proof, fresh.test_due, fresh.test_by) == (Proof.SUPERVISED, False, None)
    assert judged(way, heard_s=SILENCE_S[way] + 1).proof is Proof.SILENT
    assert judged(way).proof is Proof.SILENT


def test_an_unsupervised_path_is_due_until_it_was_pressed_and_again_after_a_month() -> None:
    assert judged(Way.NONE).test_due
    assert judged(Way.NONE, heard_s=1.0).test_due, "being heard does not prove a button"
    pressed = judged(Way.NONE, pressed_days=29.9)
    assert (pressed.proof, pressed.test_due) == (Proof.UNSUPERVISED, False)
    assert pressed.test_by is not None
    assert pressed.test_by > NOW
    assert judged(Way.NONE, pressed_days=30).test_due


def test_a_press_stamped_by_a_wrong_clock_puts_no_test_off_for_years() -> None:
    assert judged(Way.NONE, pressed_days=-400).test_due
    assert not judged(Way.NONE, pressed_days=-0.5).test_due


@given(st.sampled_from(Way), st.none() | st.floats(0, 1e8), st.none() | st.floats(-4000, 4000))
def test_no_path_is_ever_both_unproved_and_without_a_consequence(
    way: Way, heard_s: float | None, pressed_days: float | None
) -> None:
    one = judged(way, heard_s=heard_s, pressed_days=pressed_days)
    if one.proof is Proof.UNSUPERVISED:
        assert one.test_by is not None
        assert one.test_due == (one.test_by <= NOW)
    else:
        assert one.test_by is None


def test_a_press_is_told_by_device_and_on_a_module_by_input() -> None:
    button = SosPath("d-1", "b-1", Way.NONE)
    assert button.pressed_by(Event("sos_pressed", AT, "b-1", "d-1"))
    assert button.pressed_by(Event("service_requested", AT, "b-1", "d-1", {"button": 2}))
    assert not button.pressed_by(Event("sos_pressed", AT, "b-1", "d-2"))
    assert not button.pressed_by(Event("link_up", AT, "b-1", "d-1"))
    cord = SosPath("d-1", "b-1", Way.NONE, "di2")
    assert cord.pressed_by(Event("sos_pressed", AT, "b-1", "d-1", {"source": "pull_cord", "input": "di2"}))
    assert not cord.pressed_by(Event("sos_pressed", AT, "b-1", "d-1", {"source": "pull_cord", "input": "di3"}))
    assert not cord.pressed_by(Event("sos_pressed", AT, "b-1", "d-1", {"source": "pull_cord"}))


def test_of_two_cords_of_one_bed_only_the_pulled_one_has_been_tested() -> None:
    module = device("modbus_rtu", di2="call_button", di3="call_button")
    first, second = sos_paths(module, MODULE)
    sink = RecordingSink()
    entry = next(entry for entry in MODULE.poll[0].field if entry.name == "di3")
    meaning, _ = meaning_of(MODULE, entry, module)
    assert meaning is not None
    contact = Contact("d-1", meaning)
    for after_s in range(3):
        contact.step(True, AT.plus_s(after_s), sink)
    (event,) = sink.events
    assert (first.bed, second.bed, event.bed) == ("b-1", "b-1", "b-1")
    assert (first.pressed_by(event), second.pressed_by(event)) == (False, True)


def told_worn(value: float) -> Measurement:
    return Measurement("b-1", "d-1", "worn", value, "1", AT)


def test_worn_and_charging_are_known_once_told_and_exclude_each_other() -> None:
    wear = Wear()
    assert wear.after(Event("link_up", AT)) == Wear()
    assert wear.after(told_worn(1)) == Wear(worn=True)
    charging = wear.after(told_worn(1)).after(Event("charging_started", AT))
    assert charging == Wear(worn=False, charging=True)
    assert charging.after(Event("charging_ended", AT)) == Wear(worn=False, charging=False)
    assert charging.after(told_worn(1)) == Wear(worn=True, charging=False)
    assert wear.after(Event("sensor_off", AT)) == Wear(worn=False)
