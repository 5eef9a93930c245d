"""The codec of the worker's pipe: what goes in comes out, in any chunks; what is broken is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gateway.core import messages
from gateway.core.errors import WorkerError
from gateway.core.messages import Describe, Done, EventResult, Feed, MeasurementResult, Ready, Warmed
from gateway.core.model import Event, Measurement, SampleBlock, Stamp, Status

AT = Stamp("00000001", 123_456_789_012_345)
MEASUREMENT = Measurement("b-1", "belt", "heart_rate", 61.25, "/min", AT, 10.0, 0.75, "heart/1", Status.QUESTIONABLE)
EVENT = Event("fall_suspected", AT, "b-1", "band", {"peak_g": 4.5, "clipped": True, "n": 3, "origin": "fall/1"})
FROM: list[messages.FromWorker] = [
    Warmed("fall", 1.5),
    Ready("", "cold", 3.5, 167_000_000),
    Done(7, [MeasurementResult(MEASUREMENT), EventResult(EVENT)], phase=3, memory={"resting": 0.01}),
]


def feed(data: NDArray[np.float32]) -> Feed:
    block = SampleBlock("band", "acc", AT, 52.0, "[g]", data, 4, "b-1")
    return messages.feed_of(block, 9, 2)


@given(st.lists(st.integers(1, 40), max_size=40))
def test_messages_survive_any_chunking(cuts: list[int]) -> None:
    wire = b"".join(messages.encode(message) for message in FROM)
    splitter, at = messages.from_worker(), 0
    seen: list[messages.FromWorker] = []
    for cut in [*cuts, len(wire)]:
        seen += list(splitter.feed(wire[at : at + cut]))
        at += cut
    assert seen == FROM


def test_a_done_with_an_event_keeps_the_order_and_the_types_of_its_results() -> None:
    done = next(messages.from_worker().feed(messages.encode(FROM[2])))
    assert isinstance(done, Done)
    assert [type(result) for result in done.results] == [MeasurementResult, EventResult]
    assert isinstance(done.results[1], EventResult)
    assert {type(value) for value in done.results[1].event.detail.values()} == {float, bool, int, str}


@pytest.mark.parametrize("shape", [(0,), (5,), (0, 3), (4, 3)])
def test_a_block_keeps_its_samples_bit_by_bit(shape: tuple[int, ...]) -> None:
    data = np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)
    if data.size:
        data.flat[0] = np.nan
    (message,) = messages.to_worker().feed(messages.encode(feed(data)))
    assert isinstance(message, Feed)
    block = messages.block_of(message)
    assert block.data.shape == shape
    assert block.data.tobytes() == data.tobytes()
    assert (block.device, block.channel, block.start, block.rate_hz, block.unit, block.lost_before, block.bed) == (
        "band", "acc", AT, 52.0, "[g]", 4, "b-1",
    )  # fmt: skip


def test_descriptions_keep_the_types_of_their_settings() -> None:
    described = Describe("band", {"position": "wrist", "range_g": 8.0, "n": 1, "worn": True}, {"resting": 0.5})
    assert list(messages.to_worker().feed(messages.encode(described))) == [described]


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        (b"\x00\x00\x00\x00", "frame says 0 bytes"),
        (b"\xff\xff\xff\xff", "frame says 4294967295 bytes"),
        (b"\x00\x00\x00\x01\xc1", "is no message"),
        (b"\x00\x00\x00\x02\xa1\xff", "is no message"),
        (messages.encode(Describe("d", {}, {})), "is no message"),
    ],
)
def test_a_broken_frame_is_a_worker_error(wire: bytes, reason: str) -> None:
    with pytest.raises(WorkerError, match=reason):
        list(messages.from_worker().feed(wire))


def test_a_frame_that_is_too_long_is_refused_before_it_is_sent() -> None:
    with pytest.raises(WorkerError, match="at most"):
        messages.encode(feed(np.zeros(2_000_000, dtype=np.float32)))


def test_samples_that_are_no_whole_number_of_rows_are_refused() -> None:
    message = feed(np.zeros((4, 3), dtype=np.float32))
    fields = {name: getattr(message, name) for name in message.__struct_fields__}
    for data, axes in ((b"abc", 1), (bytes(16), 3), (bytes(12), 0)):
        with pytest.raises(WorkerError, match="float32"):
            messages.block_of(Feed(**(fields | {"data": data, "axes": axes})))


def test_numbers_of_numpy_travel_as_plain_ones_and_anything_else_is_refused_by_its_type() -> None:
    done = Done(1, [], memory={"resting": np.float64(0.25)})
    (seen,) = messages.from_worker().feed(messages.encode(done))
    assert isinstance(seen, Done)
    assert seen.memory == {"resting": 0.25}
    with pytest.raises(TypeError, match="object has no place"):
        messages.encode(Done(1, [], memory={"resting": object()}))  # type: ignore[dict-item]
