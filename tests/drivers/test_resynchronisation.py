"""In step again within two frames: the third true frame is heard, whatever came before it, in every stream family."""

import time
from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from drivers.modbus_rtu.frame import Request, answer, search
from drivers.profile_frames import CHECKSUMS, Layout, StreamDecoder
from drivers.profile_models import Framed
from drivers.profile_schema import Framer
from tests.fuzz.corpus import any_bytes, profiles
from tests.fuzz.properties import counted, is_good, resynchronised
from tests.fuzz.targets import Stream, streams

MODELS = {p.device.id: p for _, p in profiles() if p.framer is not None}
LEAST_BYTES_PER_S = 100_000.0  # of processor time; a port at 115 200 baud brings 11 520 a second
GENEROUS = 20  # a test machine may be so much slower than the benchmark's


def layout_of(model: str) -> Layout:
    return Framed(MODELS[model]).layout


def name_of(target: Stream) -> str:
    return target.name


def longest_head(layout: Layout, key: bytes) -> bytes:
    """What a head that claims the longest frame is judged by."""
    return layout.wrap(bytes(layout.framer.max_data), key)[: layout.needed]


def true_frames(model: str) -> list[bytes]:
    target = next(target for target in streams() if target.name.endswith(f"/{model}"))
    return [frame for frame in target.frames if is_good(target, frame)]


def any_cuts(data: bytes, places: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def heard(layout: Layout, pieces: Sequence[bytes]) -> tuple[list[bytes], StreamDecoder]:
    decoder = StreamDecoder(layout)
    found = [cut.raw for piece in pieces for cut in decoder.feed(piece)[0]]
    counted(decoder)
    return found, decoder


PLACES = st.lists(st.integers(0, 3000), max_size=30)


@pytest.mark.parametrize("target", streams(), ids=name_of)
def test_every_family_is_in_step_again_after_two_frames(target: Stream) -> None:
    good = [frame for frame in target.frames if is_good(target, frame)]
    if not good:
        pytest.skip("no good frame among its vectors; its family has another stream")

    @settings(max_examples=150, database=None)
    @given(any_bytes(target.frames), st.sampled_from(good), st.integers(0, 40), st.sampled_from(good))
    def run(data: bytes, head: bytes, kept: int, frame: bytes) -> None:
        decoder = target.make()
        decoder.feed(data + head[: min(kept, len(head) - 1)])
        resynchronised(decoder, frame)

    run()


@pytest.mark.parametrize("target", streams(), ids=name_of)
def test_no_beginning_of_a_longer_frame_holds_back_more_than_two(target: Stream) -> None:
    """Each good frame cut off at each place, before each other good frame: no sampling, all of them."""
    good = [frame for frame in target.frames if is_good(target, frame)]
    for begun in good:
        for frame in good:
            for kept in range(1, min(len(begun), 60)):
                decoder = target.make()
                decoder.feed(begun[:kept])
                resynchronised(decoder, frame)


@pytest.mark.parametrize("target", streams(), ids=name_of)
def test_no_beginning_with_a_byte_changed_holds_back_more_than_two(target: Stream) -> None:
    good = [frame for frame in target.frames if is_good(target, frame)]
    if not good:
        pytest.skip("no good frame among its vectors; its family has another stream")

    @settings(max_examples=300, database=None)
    @given(st.sampled_from(good), st.integers(1, 40), st.integers(0, 7), st.integers(0, 255), st.sampled_from(good))
    def run(begun: bytes, kept: int, at: int, byte: int, frame: bytes) -> None:
        begun = begun[: min(kept, len(begun) - 1)]
        decoder = target.make()
        decoder.feed(begun[:at] + bytes([byte]) + begun[at + 1 :])
        resynchronised(decoder, frame)

    run()


@pytest.mark.parametrize("model", MODELS)
def test_a_head_that_claims_the_longest_frame_gives_way_to_two(model: str) -> None:
    layout = layout_of(model)
    good = true_frames(model)

    @settings(max_examples=150, database=None)
    @given(
        garbage=st.binary(max_size=60),
        key=st.binary(min_size=len(layout.framer.key_at), max_size=len(layout.framer.key_at)),
        frames=st.lists(st.sampled_from(good), min_size=3, max_size=3),
        places=PLACES,
    )
    @example(b"", b"\xff" * len(layout.framer.key_at), [good[0]] * 3, [])
    def run(garbage: bytes, key: bytes, frames: list[bytes], places: list[int]) -> None:
        before = garbage + longest_head(layout, key)
        found, decoder = heard(layout, any_cuts(before + b"".join(frames), places))
        assert found[-1:] == frames[2:]
        assert not decoder.pending

    run()


@st.composite
def framers(draw: st.DrawFn) -> Framer:
    """Any layout whose head and checksum are long enough that garbage does not pass for a frame."""
    head = bytes(draw(st.lists(st.integers(1, 255), min_size=2, max_size=3, unique=True)))
    wide = draw(st.booleans())
    length_at = len(head) + draw(st.integers(0, 2))
    length_end = length_at + 1 + wide
    with_sum = draw(st.booleans())
    data_at = length_end + with_sum + draw(st.integers(0, 1))
    counts = draw(st.sampled_from(["data", "frame"]))
    tail = draw(st.sampled_from(["", "0D0A"]))
    extra = data_at + 2 + len(tail) // 2
    least = draw(st.integers(0, 4))
    settings = {
        "head": head.hex(),
        "length": {"at": length_at, "type": "u16" if wide else "u8", "counts": counts},
        "data_at": data_at,
        "min_data": least,
        "max_data": draw(st.integers(least + 1, 2000 if wide else 255 - extra)),
        "checksum": {"kind": draw(st.sampled_from(["crc16_modbus", "crc16_ccitt_false"])), "from": 0},
        "tail": tail or None,
        "head_checksum": {"kind": "sum8", "at": length_end} if with_sum else None,
    }
    return Framer.model_validate(settings)


@settings(max_examples=200, database=None)
@given(framer=framers(), garbage=st.binary(max_size=60), data=st.data(), places=PLACES)
def test_any_framer_is_in_step_again_after_two_frames(
    framer: Framer, garbage: bytes, data: st.DataObject, places: list[int]
) -> None:
    layout = Layout(framer)
    content = st.binary(min_size=framer.min_data, max_size=min(framer.max_data, 40))
    frames = [layout.wrap(data.draw(content)) for _ in range(3)]
    before = garbage + longest_head(layout, b"")
    found, decoder = heard(layout, any_cuts(before + b"".join(frames), places))
    assert found[-1:] == frames[2:]
    assert not decoder.pending


# -- the rule itself, against a slow decoder that knows all bytes from the start --------------------------------------

TINY = Framer.model_validate(
    {
        "head": "AA", "length": {"at": 1}, "data_at": 2, "max_data": 24, "checksum": {"kind": "xor8", "from": 1},
    }
)  # fmt: skip
"""So weak that garbage, frames in frames and pairs in frames are common: hypothesis finds every case."""


def judged(layout: Layout, data: bytes, at: int) -> int:
    """Where an intact frame at `at` ends; 0 when there is none, or when it has not come whole."""
    if not data.startswith(layout.head, at) or not (size := layout.claim(data, at)) or at + size > len(data):
        return 0
    return 0 if layout.verdict(data[at : at + size]) else at + size


def pairs_of(layout: Layout, data: bytes) -> list[tuple[int, int]]:
    ends = [(at, judged(layout, data, judged(layout, data, at))) for at in range(len(data)) if judged(layout, data, at)]
    return [(at, end) for at, end in ends if end]


def slowly(layout: Layout, data: bytes) -> tuple[list[bytes], dict[str, int]]:
    """Frames and rejected candidates by the rule as it is written, in quadratic time and from all bytes at once."""
    frames: list[bytes] = []
    counts: dict[str, int] = {}
    at = 0
    pairs = pairs_of(layout, data)
    while (at := data.find(layout.head, at)) >= 0:
        size = layout.claim(data, at)
        if not size:
            break
        if any(start > at and end < at + size for start, end in pairs):
            reason = "overtaken"
        elif at + size > len(data):
            break
        else:
            reason = layout.verdict(data[at : at + size])
        if not reason:
            frames.append(data[at : at + size])
            at += size
        else:
            counts[reason] = counts.get(reason, 0) + 1
            at += 1
    return frames, counts


@st.composite
def tiny_streams(draw: st.DrawFn) -> bytes:
    layout, parts = Layout(TINY), []
    for _ in range(draw(st.integers(1, 6))):
        frame = layout.wrap(draw(st.binary(max_size=6)))
        inside = b"".join(layout.wrap(draw(st.binary(max_size=3))) for _ in range(draw(st.integers(0, 3))))
        begun = [b"\xaa\x18", b"\xaa", b"\xaa\x0c", b"\xaa" * 4]
        parts.append(draw(st.sampled_from([frame, frame[:-1], layout.wrap(inside), *begun])))
    return b"".join(parts)


@settings(max_examples=600, database=None)
@given(data=tiny_streams(), places=PLACES)
@example(b"\xaa\x18" + 3 * Layout(TINY).wrap(b"\x01"), list(range(14)))
@example(b"\xaa\x18" + Layout(TINY).wrap(b"\x01") + b"\x55" + Layout(TINY).wrap(b"\x01")[1:] + bytes(9), [])
def test_any_chunking_gives_what_the_rule_says(data: bytes, places: list[int]) -> None:
    layout = Layout(TINY)
    frames, counts = slowly(layout, data)
    found, decoder = heard(layout, any_cuts(data, places))
    decoder.rejected.pop("noise", None)
    assert found == frames
    assert decoder.rejected == counts


@pytest.mark.parametrize("chunk_bytes", [1, 100])
def test_the_shortest_pair_overtakes_the_shortest_claim_that_holds_it(chunk_bytes: int) -> None:
    layout = Layout(TINY.model_copy(update={"head": "05"}))
    pair = layout.wrap(b"") * 2
    data = b"\x05" + pair + b"\x00"
    assert layout.claim(data, 0) == len(data) == 2 * layout.shortest + 2
    found, decoder = heard(layout, [data[at : at + chunk_bytes] for at in range(0, len(data), chunk_bytes)])
    assert found == [pair[:3], pair[3:]]
    assert decoder.rejected == {"overtaken": 1, "noise": 2}


@given(places=PLACES)
def test_a_true_frame_that_carries_two_whole_ones_is_lost_to_them_in_any_chunking(places: list[int]) -> None:
    """Not waiting for it is the price of not waiting for false heads; no device we know sends such content."""
    layout = layout_of("mr60bha2")
    inner = [layout.wrap(b"\x01", b"\x0f\xff"), layout.wrap(b"\x02", b"\x0f\xfe")]
    found, decoder = heard(layout, any_cuts(layout.wrap(bytes(20) + b"".join(inner) + bytes(20), b"\x0f\xfd"), places))
    assert found == inner
    assert decoder.rejected["overtaken"] == 1


@given(places=PLACES, apart=st.binary(min_size=1, max_size=3))
def test_a_true_frame_that_carries_two_apart_or_only_one_is_heard_itself(places: list[int], apart: bytes) -> None:
    layout = layout_of("mr60bha2")
    inner = layout.wrap(b"\x01", b"\x0f\xff")
    for content in (inner + apart.replace(b"\x01", b"\x02") + inner, inner + bytes(20), bytes(20) + inner):
        frame = layout.wrap(content, b"\x0f\xfd")
        assert heard(layout, any_cuts(frame, places))[0] == [frame]


# -- what it costs ----------------------------------------------------------------------------------------------------


def adversaries(model: str) -> Iterator[tuple[str, bytes]]:
    layout = layout_of(model)
    key = b"\xff" * len(layout.framer.key_at)
    longest = longest_head(layout, key)
    (frame, *_) = true_frames(model)
    yield "heads alone", longest
    yield "first bytes of heads", layout.head
    yield "a head before every frame", longest + frame
    yield "heads before two frames", longest * 20 + frame * 2
    yield "a frame that carries frames", layout.wrap((frame * 60)[: layout.framer.max_data], key)
    yield "the longest frame, damaged", layout.wrap(longest * (layout.framer.max_data // len(longest)), key)[:-1] + b"!"


@pytest.mark.parametrize("model", MODELS)
def test_no_stream_of_heads_makes_the_decoder_slow(model: str) -> None:
    for name, piece in adversaries(model):
        data = piece * (1 + 60_000 // len(piece))
        for chunk_bytes in (1, 256):
            decoder = StreamDecoder(layout_of(model))
            began = time.process_time()
            for at in range(0, len(data), chunk_bytes):
                decoder.feed(data[at : at + chunk_bytes])
            rate = len(data) / (time.process_time() - began)
            assert rate > LEAST_BYTES_PER_S / GENEROUS, f"{name}, {chunk_bytes} bytes at once: {rate:.0f} bytes/s"
            counted(decoder)


@given(data=st.binary(max_size=300))
def test_folding_gives_what_the_loop_gives(data: bytes) -> None:
    slow = 0
    for byte in data:
        slow ^= byte
    assert CHECKSUMS["xor8"][1](data) == slow


# -- a bus has no stream: each answer is searched for in what came since its question ---------------------------------


@settings(max_examples=300, database=None)
@given(noise=st.binary(max_size=60), kept=st.integers(0, 12), data=st.binary(min_size=8, max_size=8))
def test_an_answer_is_found_behind_any_noise_and_any_beginning_of_another(noise: bytes, kept: int, data: bytes) -> None:
    request = Request(1, 3, 0, 4)
    frame = answer(request, data)
    found, _ = search(request, noise + frame[:kept] + frame)
    assert found is not None
    assert found.data == data
