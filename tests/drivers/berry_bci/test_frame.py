"""BCI, BERRY and CMS50D-BT: vectors, and properties of their stream decoders."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.berry_bci.frame import (
    VECTOR_DECODERS,
    BciPacket,
    BciStream,
    BerryFrame,
    BerryStream,
    BerryVersion,
    ContecBtStream,
    ContecParams,
    ContecWave,
    encode_bci,
    encode_berry,
    encode_contec,
)
from tests.drivers.serial_bench import cases, check, same_in_any_pieces

TYPICAL = bytes.fromhex("c53a074861")
BERRY = bytes.fromhex("ffaa070061614848a6003c3a2d102700005a6440")
CONTEC = bytes.fromhex("eb010453637f0025")

bci = st.builds(
    BciPacket,
    signal=st.none() | st.integers(0, 14),
    bit4_first=st.booleans(),
    bit5_first=st.booleans(),
    beat=st.booleans(),
    pleth=st.none() | st.integers(1, 127),
    bargraph=st.integers(0, 15),
    bit4_third=st.booleans(),
    searching=st.booleans(),
    pulse_bpm=st.none() | st.integers(1, 254),
    spo2_percent=st.none() | st.integers(1, 126),
    unbroken=st.just(0),
    raw=st.just(b""),
)
pieces = st.lists(
    st.one_of(st.binary(max_size=12), bci.map(encode_bci), st.sampled_from([BERRY, BERRY[:9], CONTEC, CONTEC[:5]])),
    max_size=12,
).map(b"".join)
cuts = st.lists(st.integers(0, 2000), max_size=15)


@pytest.mark.parametrize("case", cases("berry_bci"), ids=lambda case: str(case["id"]))
def test_published_vector_is_decoded(case: dict[str, Any]) -> None:
    check(VECTOR_DECODERS, case)


@given(packet=bci)
def test_a_bci_packet_survives_the_wire(packet: BciPacket) -> None:
    (decoded,), rejects = BciStream().feed(encode_bci(packet))
    assert decoded._replace(unbroken=0, raw=b"") == packet
    assert rejects.counts == {}


@given(stream=pieces, cuts=cuts)
def test_any_chunking_of_any_bytes_gives_the_same_frames_and_counters(stream: bytes, cuts: list[int]) -> None:
    same_in_any_pieces(BciStream, stream, cuts, 5)
    same_in_any_pieces(BerryStream, stream, cuts, 20)
    same_in_any_pieces(ContecBtStream, stream, cuts, 8)


@given(noise=st.binary(max_size=60))
def test_after_any_noise_the_second_frame_is_recognised(noise: bytes) -> None:
    assert BciStream().feed(noise + TYPICAL * 2)[0][-1].raw == TYPICAL
    frame = BerryStream().feed(noise + BERRY * 2)[0][-1]
    assert isinstance(frame, BerryFrame)
    assert frame.raw == BERRY
    params = ContecBtStream().feed(noise + CONTEC * 2)[0][-1]
    assert isinstance(params, ContecParams)
    assert params.raw == CONTEC


def test_packets_count_how_many_came_unbroken() -> None:
    packets, _ = BciStream().feed(TYPICAL * 2 + b"\x00" + TYPICAL)
    assert [packet.unbroken for packet in packets] == [1, 2, 1]


def test_a_version_is_text_only_right_after_it_was_asked_for() -> None:
    answer = b"\xffV1.0" + b"\xff4.00" + b"\xff.36\0"
    stream = BciStream()
    assert len(stream.feed(answer)[0]) == 3
    stream.expect_version()
    assert [packet.raw for packet in stream.feed(answer + TYPICAL)[0]] == [TYPICAL]
    assert stream.version == "V1.04.00.36"


def test_a_berry_frame_survives_the_wire_and_an_index_like_a_version_is_data() -> None:
    for number in (0x53, 0x48, 7):
        frame = BerryFrame(number, False, False, False, True, 97, 72, 830, 60, 45, -10_000, 90, 100)
        (decoded,), _ = BerryStream().feed(encode_berry(frame))
        assert isinstance(decoded, BerryFrame)
        assert decoded._replace(raw=b"") == frame


def test_a_reserved_status_bit_of_berry_refuses_the_frame() -> None:
    damaged = bytearray(BERRY)
    damaged[3] = 0x40
    damaged[-1] = sum(damaged[:-1]) & 0xFF
    frames, rejects = BerryStream().feed(bytes(damaged))
    assert (frames, rejects.counts["reserved_flag"]) == ([], 1)


def test_a_hardware_version_is_told_apart() -> None:
    body = b"\xff\xaa\x48V2.0" + bytes(12)
    assert BerryStream().feed(body + bytes((sum(body) & 0xFF,)))[0] == [BerryVersion("hardware", "V2.0")]


def test_a_wave_of_a_cms50d_bt_is_six_bytes() -> None:
    """Bytes of the public thread (issue 2 of tobiasisenberg/OxiVis)."""
    frames, rejects = ContecBtStream().feed(bytes.fromhex("eb000348093f") + CONTEC)
    assert frames[0] == ContecWave(72, 9)
    assert len(frames) == 2
    assert rejects.counts == {}


def test_one_flipped_bit_of_a_contec_packet_refuses_it() -> None:
    frames, rejects = ContecBtStream().feed(bytes.fromhex("eb010453617f0025"))
    assert (frames, rejects.counts["checksum"]) == ([], 1)
    assert encode_contec(ContecParams(4, 83, 99)) == CONTEC
