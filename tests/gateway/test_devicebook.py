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


def test_of_two_buttons_of_one_bed_the_one_that_was_not_pressed_stays_due() -> None:
    book = Book()
    book.book.set_devices([
        Device("contacts", "modbus_rtu", "waveshare_io8", "bus", BED, "1", {"di3": "call_button", "di4": "call_button"})
    ])
    book.tell("contacts", "sos_pressed", source="call_button", input="di4")
    assert book.sos("contacts", "di3").test_due
    assert not book.sos("contacts", "di4").test_due


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
    book.tell("contacts", "sos_pressed", source="call_button", input="di3")
    assert not book.sos("contacts", "di3").test_due
    assert "contacts/di2" not in book.kept[-1]


def shown(book: Book, device: str = "radar") -> tuple[str, str]:
    return book.state(device).state, book.state(device).reason


def test_a_fault_that_lasts_stands_until_its_own_end_is_told() -> None:
    book = Book()
    book.tell("radar", "link_up")
    book.tell("radar", "device_fault", fault="low_battery", active=True)
    book.tell("radar", "device_fault", fault="exception_2", meaning="address not known", active=True)
    book.clock.shift(MONTH_S)
    book.book.heard("radar", book.clock.now())
    assert shown(book) == ("fault", "low_battery; exception_2: address not known")
    book.tell("radar", "device_fault", fault="low_battery", active=False)
    assert shown(book) == ("fault", "exception_2: address not known")
    book.tell("radar", "device_fault", fault="exception_2", meaning="address not known", active=False)
    assert shown(book) == ("up", "")


def test_the_same_refusal_of_two_polls_is_two_faults() -> None:
    book = Book()
    for address in ("1", "9"):
        book.tell("contacts", "device_fault", fault="exception_2", address=address, active=True)
    book.tell("contacts", "device_fault", fault="exception_2", address="1", active=False)
    assert shown(book, "contacts")[0] == "fault"
    book.tell("contacts", "device_fault", fault="exception_2", address="9", active=False)
    assert shown(book, "contacts") == ("up", "")


def test_what_happened_once_is_shown_for_an_hour_and_then_no_longer_if_the_device_goes_on() -> None:
    book = Book()
    book.tell("band", "link_up")
    book.tell("band", "device_fault", reason="the band's clock jumped")
    book.clock.shift(3500)
    book.book.heard("band", book.clock.now())
    assert shown(book, "band") == ("fault", "the band's clock jumped")
    book.clock.shift(200)
    assert shown(book, "band") == ("up", "")
    book.tell("band", "device_fault", reason="the band's clock jumped")
    assert shown(book, "band")[0] == "fault"


def test_a_device_that_nobody_can_drive_stays_a_fault_however_long() -> None:
    book = Book()
    book.tell("radar", "device_fault", reason="no port of this name", hint="see carebed.toml")
    book.clock.shift(MONTH_S)
    assert shown(book) == ("fault", "no port of this name (see carebed.toml)")


def test_a_lost_link_and_its_return_end_every_fault() -> None:
    book = Book()
    book.tell("radar", "device_fault", fault="low_battery", active=True)
    book.tell("radar", "link_lost", reason="unplugged")
    assert shown(book) == ("lost", "unplugged")
    book.tell("radar", "device_fault", reason="unexpected failure")
    assert shown(book) == ("fault", "unexpected failure")
    book.tell("radar", "link_up")
    assert shown(book) == ("up", "")


def test_faults_without_end_are_kept_in_bounds() -> None:
    book = Book()
    for number in range(100):
        book.tell("radar", "device_fault", fault=f"f{number}", active=True)
    assert shown(book)[1].count(";") == 9
