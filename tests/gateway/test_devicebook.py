"""What a device is known to do: worn, charging, and whether its ways to call for help prove themselves."""

from drivers.base import Device
from gateway.core.clock import ManualClock
from gateway.core.model import Event, Measurement
from gateway.devicebook import DeviceBook
from gateway.views import DeviceState, SosState

BED = "b-00000001"
MONTH_S = 30 * 86_400.0
DEVICES = (
    Device("band", "polar_pmd", "verity_sense", "radio", BED),
    Device("button", "bthome", "shelly_blu_button1", "radio", BED, settings={"purpose": "sos"}),
    Device("pendant", "bthome", "shelly_blu_button1", "radio", BED, settings={"purpose": "sos", "beacon": True}),
    Device("contacts", "modbus_rtu", "waveshare_io8", "bus", BED, "1", {"di3": "call_button"}),
    Device("radar", "r60abd1", "r60abd1", "port", BED),
)


class Book:
    def __init__(self, *, pressed: dict[str, float] | None = None) -> None:
        self.clock = ManualClock()
        self.book = DeviceBook(self.clock, lambda at: self.clock.anchor().utc_ns_of(at))
        self.book.set_devices(DEVICES)
        self.book.set_pressed(pressed or {})
        self.kept: list[dict[str, float]] = []
        self.book.on_pressed = lambda presses: self.kept.append(dict(presses))

    def state(self, device: str) -> DeviceState:
        return next(state for state in self.book.states() if state.id == device)

    def sos(self, device: str, input_: str = "") -> SosState:
        return next(path for path in self.state(device).sos if path.input == input_)

    def tell(self, device: str, kind: str, **detail: str | bool) -> None:
        self.book.happened(Event(kind, self.clock.now(), BED, device, detail))

    def worn(self, device: str, value: float) -> None:
        self.book.measured(Measurement(BED, device, "worn", value, "1", self.clock.now()))


def test_a_device_that_cannot_tell_is_neither_worn_nor_unworn() -> None:
    state = Book().state("radar")
    assert (state.worn, state.charging) == (None, None)


def test_worn_and_charging_are_what_the_device_told_last() -> None:
    book = Book()
    book.worn("band", 1.0)
    assert (book.state("band").worn, book.state("band").charging) == (True, None)
    book.tell("band", "charging_started")
    assert (book.state("band").worn, book.state("band").charging) == (False, True)
    book.tell("band", "charging_ended")
    assert book.state("band").charging is False
    book.worn("band", 1.0)
    book.tell("band", "sensor_off", reason="no contact")
    assert book.state("band").worn is False


def test_what_a_radar_cannot_see_stands_with_it() -> None:
    sees = {sight.quantity: sight for sight in Book().state("radar").sees}
    assert sees["heart_rate"].range == (60.0, 120.0)
    assert sees["bed_occupied"].latency_s == 30


def test_a_button_that_was_never_pressed_is_unsupervised_and_its_test_is_due() -> None:
    path = Book().sos("button")
    assert (path.way, path.proof, path.test_due) == ("none", "unsupervised", True)


def test_a_press_pays_for_a_month_and_is_handed_out_to_be_kept() -> None:
    book = Book()
    book.tell("button", "sos_pressed")
    assert not book.sos("button").test_due
    assert list(book.kept[-1]) == ["button/"]
    book.clock.shift(MONTH_S - 60)
    assert not book.sos("button").test_due
    book.clock.shift(120)
    assert book.sos("button").test_due


def test_a_press_of_an_earlier_life_still_pays() -> None:
    first = Book()
    first.tell("button", "sos_pressed")
    assert not Book(pressed=first.kept[-1]).sos("button").test_due


def test_a_beacon_is_supervised_until_it_has_been_silent_for_an_hour() -> None:
    book = Book()
    assert book.sos("pendant").proof == "supervised"
    book.clock.shift(3000)
    book.book.heard("pendant", book.clock.now())
    book.clock.shift(3000)
    assert book.sos("pendant").proof == "supervised"
    book.clock.shift(700)
    assert (book.sos("pendant").proof, book.sos("pendant").test_due) == ("silent", False)


def test_a_normally_closed_cord_is_supervised_and_an_open_button_beside_it_is_not() -> None:
    book = Book()
    assert (book.sos("contacts", "di2").way, book.sos("contacts", "di2").proof) == ("loop", "supervised")
    assert book.sos("contacts", "di3").test_due
    book.tell("contacts", "sos_pressed", source="call_button")
    assert not book.sos("contacts", "di3").test_due
    assert "contacts/di2" not in book.kept[-1]
