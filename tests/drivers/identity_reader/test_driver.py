"""Readers at a kiosk: a card says who it is once, damage never says who it is not, and no number is told in clear."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import Device, Setting
from drivers.byte_stream import ByteStream
from drivers.faulty_line import VirtualPort
from drivers.identity_reader import frame
from drivers.identity_reader.driver import FAMILY, MODELS, IdentityReader
from drivers.identity_reader.peer import NUMBER, RESIDENT, ReaderPeer, shown_by
from drivers.identity_reader.settings import card_key
from drivers.profile_models import load_model
from drivers.serial_link import SerialPort
from gateway.core.clock import ManualClock, SystemClock
from gateway.core.errors import ConfigError
from tests.drivers.ble_ward import running
from tests.drivers.recording_sink import RecordingSink, until
from tests.drivers.serial_bench import same_in_any_pieces

SALT = "a salt of the site 7Q4MZ2K9"
KINDS = {model: codec.kinds[0] for model in MODELS if (codec := load_model(MODELS[model]).codec)}
NUMBERS = {"rdm6300": NUMBER, "card_bcc": NUMBER, "card_uid_hex": "E3086CED", "card_uid_decimal": "3808980205"}
PLAIN = {"identifies": "kiosk", "salt": SALT}


def reader_of(model: str, **more: Setting) -> Device:
    cards = {card_key(number, SALT): RESIDENT for number in NUMBERS.values()}
    return Device("reader-1", "identity_reader", model, "port", settings={**PLAIN, **cards, **more})


class Bench:
    """A reader fed by hand."""

    def __init__(self, device: Device) -> None:
        self.clock, self.sink = ManualClock(), RecordingSink()
        self.reader = FAMILY.make([device], SerialPort("none", self.clock), self.clock)

    def show(self, sent: bytes) -> None:
        assert isinstance(self.reader, IdentityReader)
        stream = self.reader._spoken.stream()
        frames, _ = stream.feed(sent)
        for one in frames:
            self.reader.take(one, self.clock.now(), self.sink)

    def who(self) -> list[tuple[str, str]]:
        return [(event.kind, str(event.detail.get("resident", ""))) for event in self.sink.events]


SOMEBODY = ("identity_presented", RESIDENT)


@pytest.mark.parametrize("model", MODELS)
async def test_a_card_that_lies_there_for_minutes_is_one_presentation_and_shown_anew_another(model: str) -> None:
    bench = Bench(reader_of(model))
    for _ in range(60):
        bench.show(shown_by(KINDS[model]))
        await bench.clock.advance(1.0)
    assert bench.who() == [SOMEBODY]
    await bench.clock.advance(5.0)
    for _ in range(2):
        bench.show(shown_by(KINDS[model]))
    assert bench.who() == [SOMEBODY, SOMEBODY]
    assert bench.sink.events[0].detail["by"] == ("qr" if model == "code_scanner" else "card")
    assert (bench.sink.events[0].device, bench.sink.events[0].bed) == ("reader-1", None)


@pytest.mark.parametrize("model", ["card_uid_hex", "card_uid_decimal"])
async def test_a_number_without_a_check_is_nobodys_until_it_has_come_twice_within_ten_seconds(model: str) -> None:
    bench = Bench(reader_of(model))
    bench.show(shown_by(KINDS[model]))
    assert bench.who() == []
    await bench.clock.advance(10.5)
    bench.show(shown_by(KINDS[model]))
    assert bench.who() == []
    await bench.clock.advance(9.5)
    bench.show(shown_by(KINDS[model]))
    assert bench.who() == [SOMEBODY]


def test_another_number_in_between_is_counted_and_begins_anew() -> None:
    bench = Bench(reader_of("card_uid_hex"))
    for sent in (b"E3086CED\n", b"E3086CEC\n", b"E3086CED\n"):
        bench.show(sent)
    assert bench.who() == []
    assert bench.sink.rejects == {("reader-1", "read_once"): 2}
    bench.show(b"E3086CED\n")
    assert bench.who() == [SOMEBODY]


@pytest.mark.parametrize("model", MODELS)
def test_a_card_nobody_registered_is_told_by_its_key_and_is_nobody(model: str) -> None:
    bench = Bench(Device("reader-1", "identity_reader", model, "port", settings=PLAIN))
    sent = b"6Y00123\r" if model == "code_scanner" else shown_by(KINDS[model])
    bench.show(sent)
    bench.show(sent)
    (event,) = bench.sink.events
    number = "6Y00123" if model == "code_scanner" else NUMBERS[model]
    assert (event.kind, event.detail["card"]) == ("identity_unknown", card_key(number, SALT))
    assert "resident" not in event.detail


def test_without_a_salt_a_foreign_card_has_no_key_and_our_own_label_still_speaks() -> None:
    bench = Bench(Device("reader-1", "identity_reader", "code_scanner", "port", settings={"identifies": "kiosk"}))
    bench.show(b"6Y00123\n")
    bench.show(b"6Y00123\n")
    bench.show(frame.encode_label(RESIDENT) + b"\r\n")
    assert bench.who() == [("identity_unknown", ""), SOMEBODY]
    assert "card" not in bench.sink.events[0].detail


def test_a_line_without_the_prefix_that_the_reader_is_set_to_is_refused() -> None:
    bench = Bench(reader_of("card_uid_hex", prefix="UID=", suffix="#"))
    for sent in (b"E3086CED\n", b"UID=E3086CED\n", b"UID=E3086CED#\n", b"UID=E3086CED#\n"):
        bench.show(sent)
    assert bench.who() == [SOMEBODY]
    assert bench.sink.rejects == {("reader-1", "prefix"): 2}


def test_two_cards_have_two_keys_and_another_salt_makes_others() -> None:
    keys = {card_key(number, salt) for number in ("04A2B3C4", "04A2B3C5") for salt in (SALT, SALT + "x")}
    assert len(keys) == 4
    assert card_key("04A2B3C4", SALT) == card_key("04A2B3C4", SALT)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({}, "identifies"),
        ({"identifies": ""}, "identifies"),
        ({"identifies": "kiosk, "}, "identifies"),
        ({"identifies": "reader-1"}, "identifies"),
        ({"identifies": "kiosk", "by": "face"}, "by"),
        ({"identifies": "kiosk", "salt": "short"}, "salt"),
        ({"identifies": "kiosk", "prefix": "\x02"}, "prefix"),
        ({"identifies": "kiosk", "k-0011223344556677": RESIDENT}, "salt"),
        ({**PLAIN, "k-0011223344556677": "Anne"}, "k-0011223344556677"),
        ({**PLAIN, "04A2B3C4": RESIDENT}, "settings"),
    ],
)
def test_settings_that_say_nothing_are_refused_and_no_number_is_repeated(
    settings: dict[str, Setting], key: str
) -> None:
    device = Device("reader-1", "identity_reader", "rdm6300", "port", settings=settings)
    with pytest.raises(ConfigError) as caught:
        FAMILY.make([device], SerialPort("none", ManualClock()), ManualClock())
    assert key in [fault.key for fault in caught.value.faults]
    assert "04A2B3C4" not in str(caught.value) + repr(caught.value.faults)


def test_all_faults_of_the_settings_are_told_at_once() -> None:
    device = Device("reader-1", "identity_reader", "rdm6300", "port", settings={"by": "face", "salt": "short"})
    with pytest.raises(ConfigError) as caught:
        FAMILY.make([device], SerialPort("none", ManualClock()), ManualClock())
    assert {fault.key for fault in caught.value.faults} == {"identifies", "by", "salt"}


# -- damage -----------------------------------------------------------------------------------------------------------

STREAMS: dict[str, Callable[[], ByteStream[Any]]] = {
    "em": frame.Em4100Stream, "bcc": frame.BccStream, "line": frame.LineStream,
}  # fmt: skip
SENT = st.sampled_from([shown_by(kind) for kind in KINDS.values()])


@pytest.mark.parametrize("name", STREAMS)
@given(st.lists(st.one_of(st.binary(max_size=40), SENT), max_size=12), st.lists(st.integers(0, 600), max_size=20))
def test_any_bytes_in_any_pieces_give_the_same_frames_and_counters_that_add_up(
    name: str, parts: list[bytes], cuts: list[int]
) -> None:
    same_in_any_pieces(STREAMS[name], b"".join(parts), cuts, frame.MAX_LINE + 1)


@given(st.sampled_from(["rdm6300", "card_bcc", "code_scanner"]), st.integers(0, 10**6), st.integers(0, 7))
def test_one_damaged_bit_of_a_checked_frame_is_never_another_person(model: str, place: int, bit: int) -> None:
    sent = bytearray(shown_by(KINDS[model]))
    sent[place % len(sent)] ^= 1 << bit
    bench = Bench(Device("reader-1", "identity_reader", model, "port", settings={**PLAIN, "by": "badge"}))
    bench.show(bytes(sent))
    known = {card_key(NUMBERS[model], SALT)} if model in NUMBERS else set()
    assert {event.detail.get("card") for event in bench.sink.events} <= known | {None}
    assert {event.detail["resident"] for event in bench.sink.events if "resident" in event.detail} <= {RESIDENT}


@pytest.mark.parametrize("model", MODELS)
@given(st.integers(0, 10**6), st.integers(1, 3))
def test_lost_bytes_never_make_another_number(model: str, place: int, lost: int) -> None:
    sent = shown_by(KINDS[model])
    at = place % len(sent)
    bench = Bench(Device("reader-1", "identity_reader", model, "port", settings=PLAIN))
    bench.show(sent[:at] + sent[at + lost :] + b"\n")
    assert [event for event in bench.sink.events if event.kind == "identity_unknown" and model not in NUMBERS] == []
    keys = {event.detail["card"] for event in bench.sink.events if "card" in event.detail}
    assert keys <= {card_key(NUMBERS.get(model, ""), SALT)}


def test_a_line_that_never_ends_is_counted_and_the_next_one_is_read() -> None:
    bench = Bench(reader_of("code_scanner"))
    bench.show(b"A" * 700 + b"\n" + shown_by("scanned_code_line"))
    assert bench.who() == [SOMEBODY]
    assert bench.sink.rejects == {("reader-1", "length"): 3}


# -- on a wire --------------------------------------------------------------------------------------------------------


@pytest.fixture
def wire() -> Iterator[VirtualPort]:
    wire = VirtualPort()
    yield wire
    wire.unplug()


@pytest.mark.parametrize("model", MODELS)
async def test_a_fifth_of_the_writes_disturbed_costs_reads_but_never_makes_a_stranger(
    model: str, wire: VirtualPort
) -> None:
    clock, sink = SystemClock(), RecordingSink()
    device = reader_of(model)
    sent = shown_by(KINDS[model])
    peer = ReaderPeer(wire.fd, clock, repeat_s=0.004, seed=7, share=0.2)
    driver = FAMILY.make([device], SerialPort(wire.path, clock), clock)

    async def shows() -> None:
        while True:
            await peer.show(sent)

    async with running(shows(), driver.run(sink)):
        await until(lambda: peer.line.written >= 400 and bool(sink.events))
    assert sum(peer.line.disturbed.values()) > 40
    assert sink.rejects
    assert {(event.kind, event.detail.get("resident")) for event in sink.events} == {SOMEBODY}
    assert len(sink.events) <= 2, "one card that lies there all the time"
    told = repr(sink.events).encode() + b"".join(sink.raw.values())
    assert NUMBERS.get(model, "no number").encode() not in told


async def test_half_a_number_before_a_pause_is_not_joined_with_the_next(wire: VirtualPort) -> None:
    clock, sink = SystemClock(), RecordingSink()
    driver = FAMILY.make([reader_of("card_uid_hex")], SerialPort(wire.path, clock), clock)
    peer = ReaderPeer(wire.fd, clock)
    async with running(driver.run(sink)):
        while not sink.heard_from:  # what is sent before the port is open is nobody's
            await peer.show(b"04A2B3C4\r\n", times=1)
        for half in (b"E308", b"6CED\r\n"):
            await peer.line.write(half)
            await until(lambda: len(sink.rejects) >= 1)
        await until(lambda: ("reader-1", "length") in sink.rejects)
    assert sink.events == []
    assert ("reader-1", "half_frame") in sink.rejects
