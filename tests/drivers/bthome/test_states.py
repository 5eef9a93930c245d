"""What becomes of doors, motion and presence: a state is told as a value, a change as an event, a repeat not at all."""

import pytest

from drivers.bthome import frame
from drivers.bthome.driver import BthomeDriver
from drivers.bthome.frame import Objects, encode
from drivers.bthome.states import REPEAT_S
from tests.drivers.bthome.test_driver import KEY_HEX, MAC, Bench

DOOR, WINDOW, OPENING, GARAGE, MOTION, OCCUPANCY, PRESENCE, LIGHT = 0x1A, 0x2D, 0x11, 0x1B, 0x21, 0x23, 0x25, 0x1E


class Contact(Bench):
    """A sensor whose advert holds these objects; each call is a new packet."""

    packet = 0

    def says(self, *objects: tuple[int, bool], after_s: float = 0.0, repeats: int = 1) -> None:
        self.packet += 1
        sent = Objects(((frame.PACKET_ID, self.packet % 256), *objects), counter=1000 + self.packet)
        for number in range(repeats):
            self.hear_raw(encode(sent, MAC, self.key), after_s=0.05 if number else after_s)

    def told(self) -> list[tuple[str, float]]:
        return [(one.quantity, one.value) for one in self.sink.measurements]


@pytest.mark.parametrize(
    ("kind", "quantity", "begins", "ends", "what"),
    [
        (DOOR, "door_open", "door_opened", "door_closed", "door"),
        (WINDOW, "door_open", "door_opened", "door_closed", "window"),
        (OPENING, "door_open", "door_opened", "door_closed", "opening"),
        (GARAGE, "door_open", "door_opened", "door_closed", "garage_door"),
        (MOTION, "motion", "motion_started", "motion_ended", "motion"),
        (OCCUPANCY, "presence", "presence_started", "presence_ended", "occupancy"),
        (PRESENCE, "presence", "presence_started", "presence_ended", "presence"),
    ],
)
async def test_each_change_is_an_event_and_a_value(
    kind: int, quantity: str, begins: str, ends: str, what: str
) -> None:
    bench = Contact()
    for value in (False, True, False):
        bench.says((kind, value), after_s=5.0)
    assert bench.told() == [(quantity, 0.0), (quantity, 1.0), (quantity, 0.0)]
    assert bench.sink.kinds() == [begins, ends]
    event = bench.sink.events[0]
    assert (event.bed, event.device, event.detail) == ("b-1", bench.driver.devices[0].id, {"what": what, "number": 1})
    assert event.at == bench.sink.measurements[1].at


@pytest.mark.parametrize("value", [False, True])
async def test_after_a_start_the_first_state_is_a_value_and_no_event(value: bool) -> None:
    bench = Contact()
    bench.says((DOOR, value), repeats=20)
    assert bench.sink.events == []
    assert bench.told() == [("door_open", float(value))]


async def test_a_burst_of_thirty_adverts_is_one_opening() -> None:
    bench = Contact()
    bench.says((DOOR, False))
    bench.says((DOOR, True), after_s=10.0, repeats=30)
    assert bench.sink.kinds() == ["door_opened"]
    assert bench.told() == [("door_open", 0.0), ("door_open", 1.0)]


async def test_an_unchanged_state_is_told_again_once_a_minute_without_an_event() -> None:
    bench = Contact()
    for _ in range(13):
        bench.says((DOOR, True), after_s=REPEAT_S / 6)
    assert bench.sink.events == []
    assert bench.told() == [("door_open", 1.0)] * 3


async def test_two_windows_of_one_device_are_told_apart() -> None:
    bench = Contact()
    bench.says((WINDOW, False), (WINDOW, False))
    bench.says((WINDOW, False), (WINDOW, True), after_s=5.0)
    assert [(event.kind, event.detail["number"]) for event in bench.sink.events] == [("door_opened", 2)]


async def test_what_is_occupied_is_the_bed_where_the_settings_say_so() -> None:
    bench = Contact(position="bed")
    for value in (False, True, False):
        bench.says((OCCUPANCY, value), after_s=5.0)
    assert bench.told() == [("bed_occupied", 0.0), ("bed_occupied", 1.0), ("bed_occupied", 0.0)]
    assert bench.sink.kinds() == ["bed_entered", "bed_exited"]


async def test_a_lamp_is_no_door() -> None:
    bench = Contact()
    for value in (False, True):
        bench.says((LIGHT, value), after_s=5.0)
    assert (bench.sink.events, bench.told(), bench.sink.rejections) == ([], [], [])


async def test_a_press_and_a_door_in_one_advert_are_both_told() -> None:
    bench = Contact(purpose="sos")
    bench.says((DOOR, False), (frame.BUTTON, False))
    bench.says((DOOR, True), (frame.BUTTON, True), after_s=5.0)
    assert bench.sink.kinds() == ["sos_pressed", "door_opened"]


async def test_an_encrypted_contact_is_told_like_an_open_one() -> None:
    bench = Contact(bind_key=KEY_HEX)
    bench.driver._key = bench.key = bytes.fromhex(KEY_HEX)
    for value in (False, True):
        bench.says((DOOR, value), after_s=5.0, repeats=3)
    assert bench.sink.kinds() == ["door_opened"]


async def test_a_restarted_driver_tells_the_state_again_and_invents_no_event() -> None:
    bench = Contact()
    bench.says((DOOR, False))
    bench.driver = BthomeDriver(bench.driver.devices[0], bench.adapter, bench.clock)
    bench.says((DOOR, True), after_s=600.0)
    assert bench.sink.events == []
    assert bench.told() == [("door_open", 0.0), ("door_open", 1.0)]
