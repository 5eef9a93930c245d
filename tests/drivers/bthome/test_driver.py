"""What becomes of a button's adverts: every press once, whatever its code, its id or the noise around it."""

import asyncio

import pytest

from drivers.ble_link import Advert
from drivers.bthome import frame
from drivers.bthome.driver import BEACON_SILENCE_S, BthomeDriver
from drivers.bthome.frame import SERVICE_DATA_UUID, Objects, encode
from drivers.bthome.peer import BURST, BthomeButton
from gateway.core.clock import ManualClock, SystemClock
from gateway.core.errors import PairingError
from gateway.core.model import Event
from gateway.supervise import Supervisor
from tests.drivers.ble_ward import (
    RecordingSink,
    SilentRadio,
    adapter_with,
    adapter_without_radio,
    device,
    ended,
    radio_space,
    running,
    scanning_adapter,
)

MAC = "F2:00:00:00:00:02"
KEY_HEX = "231d39c1d7cc1ab1aee224cd096db932"
KEY = bytes.fromhex(KEY_HEX)


class Bench:
    """A driver that is handed adverts by hand, under a clock moved by hand."""

    def __init__(self, **settings: str | bool) -> None:
        self.clock = ManualClock()
        self.sink = RecordingSink()
        self.adapter = adapter_without_radio(self.clock)
        self.driver = BthomeDriver(device("bthome", MAC, **settings), self.adapter, self.clock)
        self.key: bytes | None = None

    def hear(self, *codes: int, packet_id: int | None = 1, after_s: float = 0.0, counter: int = 0) -> None:
        ids = () if packet_id is None else ((frame.PACKET_ID, packet_id),)
        objects = Objects((*ids, *((frame.BUTTON, code) for code in codes)), counter=counter)
        self.hear_raw(encode(objects, MAC, self.key), after_s=after_s)

    def hear_raw(self, data: bytes, *, after_s: float = 0.0) -> None:
        self.clock.shift(after_s)
        self.driver.hear(Advert(MAC, -60, None, (), {SERVICE_DATA_UUID: data}, {}, self.clock.now()), self.sink)


@pytest.fixture
async def sos() -> Bench:
    return Bench(purpose="sos")


@pytest.mark.parametrize("code", [code for code in range(256) if code != frame.NOT_PRESSED])
async def test_any_code_but_none_is_an_sos(sos: Bench, code: int) -> None:
    sos.hear(code)
    assert sos.sink.kinds() == ["sos_pressed"]


async def test_no_press_is_no_sos(sos: Bench) -> None:
    sos.hear(frame.NOT_PRESSED)
    assert sos.sink.events == []
    assert sos.sink.heard_from == [sos.driver.devices[0].id]


async def test_the_event_bears_the_receipt_of_its_advert_and_is_there_when_the_callback_returns(sos: Bench) -> None:
    sos.hear(0x01, after_s=7.0)
    (event,) = sos.sink.events
    assert event.at == sos.clock.now()
    assert (event.bed, event.detail["press"], event.detail["button"]) == ("b-1", "press", 1)


async def test_a_burst_of_thirty_adverts_is_one_press(sos: Bench) -> None:
    for _ in range(30):
        sos.hear(0x01, packet_id=9, after_s=0.2)
    assert sos.sink.kinds() == ["sos_pressed"]


async def test_the_same_packet_id_after_four_seconds_is_a_new_press(sos: Bench) -> None:
    sos.hear(0x01, packet_id=9)
    sos.hear(0x01, packet_id=9, after_s=4.0)
    assert sos.sink.kinds() == ["sos_pressed", "sos_pressed"]


async def test_a_second_press_one_second_later_is_a_second_event(sos: Bench) -> None:
    sos.hear(0x01, packet_id=9)
    sos.hear(0x01, packet_id=10, after_s=1.0)
    assert len(sos.sink.events) == 2


async def test_sos_is_raised_even_when_the_packet_id_is_old(sos: Bench) -> None:
    sos.hear(0x01, packet_id=200)
    sos.hear(0x01, packet_id=199, after_s=0.5)
    sos.hear(0x01, packet_id=3, after_s=0.5)
    assert len(sos.sink.events) == 3


async def test_without_packet_id_a_repeat_within_two_seconds_is_the_same_press(sos: Bench) -> None:
    for after_s in (0.0, 0.5, 1.9, 2.0):
        sos.hear(0x01, packet_id=None, after_s=after_s)
    assert len(sos.sink.events) == 2


async def test_the_second_key_of_an_sos_device_asks_for_service_when_the_settings_say_so() -> None:
    bench = Bench(purpose="sos", service_buttons="2")
    bench.hear(0x00, 0x01, 0x00, packet_id=1)
    bench.hear(0x00, 0x00, 0x04, packet_id=2)
    assert [(event.kind, event.detail["button"]) for event in bench.sink.events] == [
        ("service_requested", 2),
        ("sos_pressed", 3),
    ]


async def test_a_service_button_asks_for_service() -> None:
    bench = Bench(purpose="service")
    bench.hear(0x01)
    assert bench.sink.kinds() == ["service_requested"]


async def test_battery_and_room_climate_are_measured_once_a_packet() -> None:
    bench = Bench()
    for _ in range(3):
        bench.hear_raw(bytes.fromhex("44004e01642e3f45df00"))
    assert [(one.quantity, one.value, one.unit) for one in bench.sink.measurements] == [
        ("battery", 100.0, "%"),
        ("room_temperature", 22.3, "Cel"),
        ("room_humidity", 63.0, "%"),
    ]
    assert len(bench.sink.heard_from) == 3


async def test_an_implausible_value_is_counted_and_not_stored() -> None:
    bench = Bench()
    bench.hear_raw(bytes.fromhex("4001ff"))
    assert bench.sink.measurements == []
    assert bench.sink.rejections[0][1] == "implausible_battery"


async def test_garbage_is_counted_with_its_bytes(sos: Bench) -> None:
    sos.hear_raw(b"\x00\x01")
    assert sos.sink.rejections == [(sos.driver.devices[0].id, "unknown_version", b"\x00\x01")]


async def keyed() -> tuple[Bench, "asyncio.Task[None]"]:
    bench = Bench(purpose="sos", bind_key=KEY_HEX)
    bench.key = KEY
    task = asyncio.create_task(bench.driver.run(bench.sink))
    await asyncio.sleep(0)
    return bench, task


async def test_an_encrypted_press_is_believed_and_the_same_in_clear_is_not() -> None:
    bench, task = await keyed()
    bench.hear(0x01, counter=500)
    bench.key = None
    bench.hear(0x01, packet_id=2)
    task.cancel()
    assert bench.sink.kinds() == ["sos_pressed"]
    assert bench.sink.rejections[0][1] == "clear_from_keyed_device"


async def test_a_replayed_encrypted_press_is_refused_and_a_changed_battery_is_not() -> None:
    bench, task = await keyed()
    bench.hear(0x01, packet_id=1, counter=500)
    bench.hear(0x01, packet_id=2, counter=499, after_s=60.0)
    bench.hear(0x01, packet_id=1, counter=500, after_s=60.0)
    assert bench.sink.kinds() == ["sos_pressed"]
    assert [reason for _, reason, _ in bench.sink.rejections] == ["replayed_counter"]
    bench.hear(0x01, packet_id=1, counter=3, after_s=60.0)
    task.cancel()
    assert len(bench.sink.events) == 2


async def test_a_wrong_bind_key_in_the_settings_needs_a_person() -> None:
    bench = Bench(purpose="sos", bind_key="not a key")
    error = await ended(bench.driver, bench.sink)
    assert isinstance(error, PairingError)
    assert "bind key" in str(error)


async def test_a_beacon_that_falls_silent_is_reported_once_and_still_listened_to() -> None:
    bench = Bench(purpose="sos", beacon=True)
    async with running(bench.driver.run(bench.sink)):
        await bench.clock.advance(BEACON_SILENCE_S + 60)
        assert bench.sink.kinds() == ["link_lost"]
        await bench.clock.advance(BEACON_SILENCE_S + 60)
        assert bench.sink.kinds() == ["link_lost"]
        bench.hear(0x01)
    assert bench.sink.kinds() == ["link_lost", "sos_pressed", "link_up"]


async def test_a_button_that_only_speaks_when_pressed_is_never_called_lost() -> None:
    bench = Bench(purpose="sos")
    async with running(bench.driver.run(bench.sink)):
        await bench.clock.advance(10 * BEACON_SILENCE_S)
    assert bench.sink.events == []


async def test_three_bursts_through_the_air_are_three_events() -> None:
    clock, sink = SystemClock(), RecordingSink()
    async with radio_space() as (space, port), scanning_adapter(port, clock) as adapter:
        button = BthomeButton(space, clock, MAC, buttons=2, key=KEY)
        settings = {"purpose": "sos", "service_buttons": "2", "bind_key": KEY_HEX}
        driver = BthomeDriver(device("bthome", MAC, **settings), adapter, clock)
        async with running(driver.run(sink)):
            while not sink.heard_from:  # until the scan has begun
                button.beacon()
                await asyncio.sleep(0.02)
            sink.heard_from.clear()
            await button.press()
            await button.press(0x80)
            await button.press(button=2)
            await sink.until(lambda: len(sink.heard_from) >= 3 * BURST)
    assert sink.kinds() == ["sos_pressed", "sos_pressed", "service_requested"]
    assert [event.detail["press"] for event in sink.events] == ["press", "hold_press", "press"]
    assert sink.rejections == []


class BrokenSink(RecordingSink):
    """Raises where it must not, as a fault of the program would."""

    broken = True

    def event(self, event: Event) -> None:
        if self.broken and event.kind == "sos_pressed":
            raise ZeroDivisionError("a fault of the program")
        super().event(event)


def press(radio: SilentRadio, packet_id: int) -> None:
    data = encode(Objects(((frame.PACKET_ID, packet_id), (frame.BUTTON, 0x01))), MAC)
    radio.advert(MAC, service_data={SERVICE_DATA_UUID: data})


async def test_a_press_while_the_supervisor_backs_off_after_a_failure_is_heard_at_once() -> None:
    clock, sink, radio = ManualClock(), BrokenSink(), SilentRadio()
    adapter = adapter_with(radio, clock)
    supervisor = Supervisor(BthomeDriver(device("bthome", MAC, purpose="sos"), adapter, clock), sink, clock)
    async with running(adapter.run(), supervisor.run()):
        await clock.advance(0.1)
        press(radio, 1)  # raises; the driver ends, its supervisor waits for at least 0.8 s
        sink.broken = False
        await clock.advance(0.2)
        press(radio, 2)
        assert "sos_pressed" in sink.kinds()
        await clock.advance(2.0)
    assert [reason for _, reason, _ in sink.rejections] == ["driver_failed"]


async def test_the_next_advert_of_a_burst_tells_the_press_that_the_first_one_could_not() -> None:
    clock, sink, radio = ManualClock(), BrokenSink(), SilentRadio()
    adapter = adapter_with(radio, clock)
    supervisor = Supervisor(BthomeDriver(device("bthome", MAC, purpose="sos"), adapter, clock), sink, clock)
    async with running(adapter.run(), supervisor.run()):
        await clock.advance(0.1)
        press(radio, 9)
        sink.broken = False
        for _ in range(10):
            press(radio, 9)
        assert sink.kinds().count("sos_pressed") == 1


async def test_a_cancelled_driver_hears_nothing_more() -> None:
    clock, sink, radio = ManualClock(), RecordingSink(), SilentRadio()
    adapter = adapter_with(radio, clock)
    async with running(adapter.run()):
        async with running(BthomeDriver(device("bthome", MAC, purpose="sos"), adapter, clock).run(sink)):
            await clock.advance(0.1)
        press(radio, 1)
    assert sink.events == []
