"""What contacts mean: debounce, first state, signs of life, and what an installer may set."""

import pytest

from drivers.base import Device, Setting
from drivers.modbus_rtu.contact import Contact, Meaning, meaning_of, stray_settings
from drivers.modbus_rtu.driver import HERE
from drivers.modbus_rtu.registers import load_map
from gateway.core.model import Stamp
from tests.drivers.recording_sink import RecordingSink

START = Stamp("00000001", 10**12)
IO8 = load_map(HERE / "waveshare_io8.toml")
MAT = Meaning("di1", "b-1", quantity="bed_occupied")
CORD = Meaning("di2", "b-1", event="sos_pressed", detail={"source": "pull_cord"}, invert=True)


def reads(meaning: Meaning, *closed: bool, pace_s: float = 0.15) -> RecordingSink:
    """Feed one read after another, `pace_s` apart."""
    sink, contact = RecordingSink(), Contact("io-1", meaning)
    for number, state in enumerate(closed):
        contact.step(state, START.plus_s(number * pace_s), sink)
    return sink


def test_the_second_equal_read_makes_the_state_and_bears_its_own_stamp() -> None:
    sink = reads(CORD, True, True, True, False, False)
    (event,) = sink.events
    assert (event.kind, event.bed, event.device, dict(event.detail)) == (
        "sos_pressed",
        "b-1",
        "io-1",
        {"source": "pull_cord", "input": "di2"},
    )
    assert event.at == START.plus_s(4 * 0.15)


def test_a_single_read_that_differs_is_a_bounce_and_no_call() -> None:
    assert reads(CORD, True, True, False, True, False, True, True).events == []


def test_a_cord_already_open_at_start_is_a_call() -> None:
    assert [event.kind for event in reads(CORD, False, False).events] == ["sos_pressed"]


def test_a_held_cord_calls_once_and_again_after_it_was_let_go() -> None:
    assert len(reads(CORD, False, False, False, False).events) == 1
    assert len(reads(CORD, False, False, True, True, False, False).events) == 2


def test_the_mat_tells_every_change_and_its_first_state() -> None:
    assert reads(MAT, False, False, True, True, False, False).values("bed_occupied") == [0.0, 1.0, 0.0]


def test_the_mat_gives_a_sign_of_life_while_nothing_changes() -> None:
    told = [m.at.since_s(START) for m in reads(MAT, *[True] * 110).measurements]
    assert told == pytest.approx([0.15, 5.25, 10.35, 15.45])


def test_a_chattering_mat_gives_no_sign_of_life_for_a_state_it_does_not_have() -> None:
    told = reads(MAT, True, True, *[False, True] * 50).measurements
    assert [m.value for m in told] == [1.0]


def test_after_a_lost_link_the_state_is_told_again() -> None:
    sink, contact = RecordingSink(), Contact("io-1", CORD)
    for number in range(4):
        contact.step(False, START.plus_s(number * 0.15), sink)
    contact.forget()
    for number in range(4):
        contact.step(False, START.plus_s(9 + number * 0.15), sink)
    assert len(sink.events) == 2


def meanings(**settings: Setting) -> dict[str, Meaning]:
    device = Device("io-1", "modbus_rtu", "waveshare_io8", "bus-1", "b-1", settings=settings)
    found = {}
    for entry in IO8.poll[0].field:
        meaning, faults = meaning_of(IO8, entry, device)
        assert faults == []
        if meaning is not None:
            found[entry.name] = meaning
    return found


def test_without_settings_input_1_is_the_mat_and_input_2_the_normally_closed_cord() -> None:
    found = meanings()
    assert list(found) == ["di1", "di2"]
    assert (found["di1"].quantity, found["di1"].invert, found["di1"].bed) == ("bed_occupied", False, "b-1")
    assert (found["di2"].event, found["di2"].invert, found["di2"].debounce) == ("sos_pressed", True, 2)


def test_settings_give_an_input_another_role_bed_and_sense() -> None:
    found = meanings(di1="unused", di3="mat", di3_bed="b-2", di3_invert=True, di4="pull_cord", di4_bed="b-2")
    assert list(found) == ["di2", "di3", "di4"]
    assert (found["di3"].quantity, found["di3"].bed, found["di3"].invert) == ("bed_occupied", "b-2", True)
    assert (found["di4"].event, found["di4"].bed, found["di4"].invert) == ("sos_pressed", "b-2", True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"di1": "matt"}, "unknown role 'matt'"),
        ({"di1_invert": "yes"}, "'yes' is no bool"),
        ({"di1_bed": 2}, "2 is no str"),
    ],
)
def test_settings_that_mean_nothing_are_faults(settings: dict[str, Setting], message: str) -> None:
    device = Device("io-1", "modbus_rtu", "waveshare_io8", "bus-1", "b-1", settings=settings)
    _, faults = meaning_of(IO8, IO8.poll[0].field[0], device)
    assert [fault.message for fault in faults] == [message]


def test_a_bed_for_an_input_that_does_not_exist_is_a_fault_but_other_settings_are_nobodys_business() -> None:
    device = Device("io-1", "modbus_rtu", "waveshare_io8", "bus-1", "b-1", settings={"di9_bed": "b-2", "note": "left"})
    assert [fault.key for fault in stray_settings(IO8, device)] == ["di9_bed"]

