"""A column scale on a pseudo-terminal: told once for each weighing, empty is nothing, damage never a weight."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import Device
from drivers.faulty_line import LineFault, VirtualPort
from drivers.line_scale.driver import FAMILY, LineScale
from drivers.line_scale.frame import MODELS, encode, load_line
from drivers.line_scale.peer import ColumnScale
from drivers.profile_line import LineStream
from drivers.serial_link import SerialPort
from gateway.core.clock import ManualClock, SystemClock
from tests.drivers.ble_ward import running
from tests.drivers.recording_sink import RecordingSink, until

SCALE = Device("scale-1", "line_scale", "and_column", "scale-port")
PROFILE, LINE = load_line(MODELS["and_column"])


@pytest.fixture
def wire() -> Iterator[VirtualPort]:
    wire = VirtualPort()
    yield wire
    wire.unplug()


def test_each_weighing_is_told_once_when_it_has_settled_and_an_empty_scale_is_nothing() -> None:
    clock, sink = ManualClock(), RecordingSink()
    scale = LineScale(SCALE, SerialPort("none", clock), clock, PROFILE, LINE)
    for kilograms, settled in ((0.0, True), (61.0, False), (62.5, True), (62.5, True), (0.0, True), (71.0, True)):
        for _ in range(2):
            scale.take(encode(kilograms, settled=settled).strip(), clock.now(), sink)
    assert sink.values("weight") == [62.5, 71.0]
    assert not sink.rejects


def test_a_line_with_a_wrong_digit_that_stands_alone_is_no_weight_and_no_second_weighing() -> None:
    clock, sink = ManualClock(), RecordingSink()
    scale = LineScale(SCALE, SerialPort("none", clock), clock, PROFILE, LINE)
    for kilograms in (82.5, 62.5, 62.5, 62.5, 92.5, 62.5, 0.0, 62.5, 62.5, 0.0, 0.0, 62.5, 62.5):
        scale.take(encode(kilograms).strip(), clock.now(), sink)
    assert sink.values("weight") == [62.5, 62.5]
    assert not sink.rejects


def test_pounds_become_kilograms_and_a_suitcase_is_refused() -> None:
    clock, sink = ManualClock(), RecordingSink()
    scale = LineScale(SCALE, SerialPort("none", clock), clock, PROFILE, LINE)
    for line in (b"ST,GS,+0154.3lb", b"US,GS,+0010.0kg", b"ST,GS,+0010.0kg", b"ST,GS,---------"):
        for _ in range(2):
            scale.take(line, clock.now(), sink)
    assert sink.values("weight") == [69.989]
    assert set(sink.rejects) == {("scale-1", "implausible_weight"), ("scale-1", "decimal")}


@given(st.binary(max_size=300), st.integers(1, 40))
def test_any_bytes_in_any_chunks_give_the_same_lines_and_counters_that_add_up(data: bytes, size: int) -> None:
    data += encode(62.5)
    whole, pieces = LineStream(LINE), LineStream(LINE)
    lines, _ = whole.feed(data)
    again = [line for at in range(0, len(data), size) for line in pieces.feed(data[at : at + size])[0]]
    assert lines == again
    for stream in (whole, pieces):
        assert stream.accepted_bytes + stream.skipped_bytes + stream.pending_bytes == len(data)
        assert stream.pending_bytes <= LINE.max_length


async def test_a_fifth_of_the_lines_disturbed_costs_lines_but_never_a_wrong_weight(wire: VirtualPort) -> None:
    clock, sink = SystemClock(), RecordingSink()
    loads = iter(range(10**9))

    def load() -> tuple[float, bool]:
        return 62.5, next(loads) % 5 > 1

    peer = ColumnScale(wire.fd, clock, load, period_s=0.005, seed=11, share=0.2)
    driver = FAMILY.make([SCALE], SerialPort(wire.path, clock), clock)
    async with running(peer.run(), driver.run(sink)):
        await until(lambda: peer.line.written >= 300 and len(sink.values("weight")) >= 30)
    assert set(peer.line.disturbed) == set(LineFault)
    assert sink.rejects
    assert set(sink.values("weight")) == {62.5}
