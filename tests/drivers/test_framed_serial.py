"""Keyed frames: any chunking, any damage, counters that add up, a true frame found behind any noise."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import Device
from drivers.framed_reading import StateKeeper
from drivers.profile_frames import StreamDecoder
from drivers.profile_message import Decoded
from drivers.profile_parts import MessageField
from drivers.profile_vectors import framed
from drivers.r60abd1.frame import PROFILE as R60
from drivers.r60abd1.frame import decode as decode_r60
from drivers.r60abd1.frame import encode as encode_r60
from drivers.tf_radar.frame import PROFILE as TF
from drivers.tf_radar.frame import encode as encode_tf
from gateway.core.errors import ProtocolError
from gateway.core.model import Stamp
from tests.drivers.recording_sink import RecordingSink

SENT = {
    R60: [encode_r60("8502", b"\x48"), encode_r60("8004", b"\x00\x96"), encode_r60("0101", b"\x0f")],
    TF: [encode_tf("0a14", 16.0), encode_tf("0a13", 1.25, -0.5, 0.0625), encode_tf("0f09", data=b"\x01\x00")],
}
RADARS = st.sampled_from([R60, TF])
AT = Stamp("00000001", 10**12)


def cut(chunks: list[bytes], data: bytes) -> list[bytes]:
    """`data` in pieces as long as the chunks."""
    pieces, at = [], 0
    for chunk in chunks:
        pieces.append(data[at : at + len(chunk)])
        at += len(chunk)
    return [*pieces, data[at:]]


@given(path=RADARS, noise=st.binary(max_size=200), chunks=st.lists(st.binary(max_size=20), max_size=20))
def test_any_chunking_gives_the_same_frames_and_the_counters_add_up(
    path: Path, noise: bytes, chunks: list[bytes]
) -> None:
    compiled = framed(path)
    data = noise[:100] + b"".join(SENT[path]) + noise[100:]
    whole, pieces = StreamDecoder(compiled.layout), StreamDecoder(compiled.layout)
    frames, _ = whole.feed(data)
    again = [frame for piece in cut(chunks, data) for frame in pieces.feed(piece)[0]]
    assert [frame.raw for frame in again] == [frame.raw for frame in frames]
    for stream in (whole, pieces):
        assert stream.received_bytes == len(data)
        assert stream.accepted_bytes + stream.skipped_bytes + stream.pending_bytes == len(data)
        assert stream.pending_bytes < compiled.layout.longest


@pytest.mark.parametrize("damaged", [4, 5])
def test_a_false_length_of_a_known_message_is_not_waited_for(damaged: int) -> None:
    stream = StreamDecoder(framed(R60).layout)
    first, second, _ = SENT[R60]
    wrong = bytearray(first)
    wrong[damaged] = 0x3F
    assert [frame.raw for frame in stream.feed(bytes(wrong) + second)[0]] == [second]


@pytest.mark.parametrize("lost", range(1, 10))
def test_a_frame_with_lost_bytes_costs_itself_and_no_other(lost: int) -> None:
    stream = StreamDecoder(framed(R60).layout)
    first, second, third = SENT[R60]
    frames, rejects = stream.feed(first[:lost] + second + third)
    assert [frame.raw for frame in frames] == [second, third]
    assert rejects.counts


@given(st.binary(max_size=120))
def test_any_bytes_decode_or_are_refused_by_name(data: bytes) -> None:
    refusal = ""
    try:
        decode_r60(data)
    except ProtocolError as error:
        refusal = str(error).split(":")[0]
    assert " " not in refusal


@given(key=st.sampled_from(sorted(framed(R60).keys)), data=st.binary(max_size=20))
def test_any_content_of_a_known_message_decodes_or_is_refused(key: bytes, data: bytes) -> None:
    compiled = framed(R60)
    refusal = ""
    try:
        compiled.decode(compiled.only_cut(compiled.layout.wrap(data, key)))
    except ProtocolError as error:
        refusal = str(error).split(":")[0]
    assert refusal in ("", "length", "truncated", "too_long", "unmapped", "out_of_range", "ascii")


BED = MessageField.model_validate(
    {
        "name": "bed", "type": "u8", "map": {"0": "out", "1": "in", "2": "none"}, "values": {"out": 0, "in": 1},
        "quantity": "bed_occupied", "repeat_s": 5,
    }
)  # fmt: skip


def test_a_state_is_told_when_it_changes_and_again_as_a_sign_of_life_until_the_device_no_longer_knows() -> None:
    sink, keeper = RecordingSink(), StateKeeper(Device("r-1", "r60abd1", "r60abd1", "p", bed="b-1"))

    def said(bed: str, after_s: float) -> None:
        keeper.take((BED,), Decoded({"bed": bed}), b"", AT.plus_s(after_s), sink)

    said("in", 0)
    said("in", 1)
    keeper.alive(AT.plus_s(4.9), sink)
    assert sink.values("bed_occupied") == [1]
    keeper.alive(AT.plus_s(5), sink)
    said("out", 6)
    assert sink.values("bed_occupied") == [1, 1, 0]
    said("none", 7)
    keeper.alive(AT.plus_s(60), sink)
    assert sink.values("bed_occupied") == [1, 1, 0]
