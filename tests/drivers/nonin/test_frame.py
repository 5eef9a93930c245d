"""Nonin's formats: vectors, and properties of their stream decoders."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.byte_stream import ByteStream
from drivers.nonin.frame import (
    ARTIFACT,
    SENSOR_ALARM,
    VECTOR_DECODERS,
    Df8,
    Df8Stream,
    PacketStream,
    encode_df8,
    encode_packet,
    packet_values,
)
from drivers.nonin.spot import (
    ClockReply,
    Record3230,
    SpotCheck,
    SpotStream,
    decode_3230,
    encode_3230,
    encode_spot,
    select_format,
    set_time,
    time_reply,
)
from gateway.core.errors import ProtocolError
from tests.drivers.serial_bench import cases, check, same_in_any_pieces

MOMENT = datetime(2024, 6, 5, 14, 30, 15)  # noqa: DTZ001 - a device's local time
DF2 = encode_packet(packet_values(72, 97), range(25))
DF7 = encode_packet(packet_values(300, 88), range(0, 25_000, 1000), data_format=7)
DF8 = bytes.fromhex("80486120")
SPOT = encode_spot(SpotCheck(MOMENT, True, False, False, False, 72, 97))
STREAMS: list[tuple[Callable[[], ByteStream[Any]], int]] = [
    (lambda: PacketStream(2), 10),
    (lambda: PacketStream(7), 10),
    (Df8Stream, 4),
    (SpotStream, 40),
]
pieces = st.lists(
    st.one_of(
        st.binary(max_size=12),
        st.sampled_from([DF2, DF2[:60], DF2[5:], DF7, DF7[:44], DF8, SPOT, SPOT[:11], time_reply(MOMENT)]),
    ),
    max_size=8,
).map(b"".join)


@pytest.mark.parametrize("case", cases("nonin"), ids=lambda case: str(case["id"]))
def test_published_vector_is_decoded(case: dict[str, Any]) -> None:
    check(VECTOR_DECODERS, case)


@pytest.mark.parametrize("case", [case for case in cases("nonin") if case["kind"] == "df_command"], ids=str)
def test_published_command_is_encoded(case: dict[str, Any]) -> None:
    expect = case["expect"]
    if expect["encode"] == "set_time":
        assert set_time(datetime.fromisoformat(expect["time"])).hex() == case["hex"]
    else:
        assert select_format(expect["format"]).hex() == case["hex"]


@given(stream=pieces, cuts=st.lists(st.integers(0, 2000), max_size=15))
def test_any_chunking_of_any_bytes_gives_the_same_frames_and_counters(stream: bytes, cuts: list[int]) -> None:
    for make, longest in STREAMS:
        same_in_any_pieces(make, stream, cuts, longest)


@given(noise=st.binary(max_size=60))
def test_after_any_noise_the_second_packet_is_whole(noise: bytes) -> None:
    packets, _ = PacketStream(2).feed(noise + DF2 * 2 + DF2[:5])
    assert packets[-1].raw == DF2
    packets, _ = PacketStream(7).feed(noise + DF7 * 2 + DF7[:5])
    assert packets[-1].raw == DF7
    assert Df8Stream().feed(noise + DF8 * 2)[0][-1].raw == DF8
    said, _ = SpotStream().feed(noise + SPOT * 3)
    assert isinstance(said[-1], SpotCheck)
    assert said[-1].raw == SPOT


def test_a_df7_packet_has_sixteen_bits_of_pleth_and_nine_of_rate() -> None:
    (packet,), rejects = PacketStream(7).feed(DF7)
    assert (packet.hr_bpm, packet.spo2_percent, packet.e_hr_d_bpm) == (300, 88, 300)
    assert packet.pleth == tuple(range(0, 25_000, 1000))
    assert rejects.counts == {}


def test_a_wrong_checksum_costs_its_packet_and_no_other() -> None:
    damaged = bytearray(DF2)
    damaged[52] ^= 1
    packets, rejects = PacketStream(2).feed(DF2 + bytes(damaged) + DF2)
    assert [packet.raw for packet in packets] == [DF2, DF2]
    assert rejects.counts["checksum"] == 1
    assert rejects.counts["cut_packet"] == 1
    assert rejects.counts["no_sync"] == 14


def test_a_sync_too_early_or_too_late_drops_the_packet() -> None:
    packets, rejects = PacketStream(2).feed(DF2[:100] + DF2 + DF2[5:] + DF2)
    assert [packet.raw for packet in packets] == [DF2, DF2]
    assert rejects.counts == {"early_sync": 1, "no_sync": 24}


def test_flags_of_any_frame_are_those_of_the_packet() -> None:
    (packet,), _ = PacketStream(2).feed(encode_packet(packet_values(None, None), range(25), SENSOR_ALARM | ARTIFACT))
    assert packet.has(SENSOR_ALARM)
    assert packet.has(ARTIFACT)
    assert packet.hr_bpm is None


def test_format_8_survives_the_wire() -> None:
    frame = Df8(False, True, False, True, False, 300, 91, True, False, True, 1)
    (decoded,), _ = Df8Stream().feed(encode_df8(frame))
    assert decoded._replace(raw=b"") == frame


def test_a_spot_check_without_a_date_keeps_its_values() -> None:
    check_ = SpotCheck(None, True, False, True, False, 65, 93)
    (decoded,), _ = SpotStream().feed(encode_spot(check_))
    assert isinstance(decoded, SpotCheck)
    assert decoded._replace(raw=b"") == check_


def test_digits_that_are_no_digits_are_no_date() -> None:
    raw = bytearray(SPOT)
    raw[6] = 0xAB
    raw[-2] = sum(raw[6:-2]) & 0xFF
    (decoded,), _ = SpotStream().feed(bytes(raw))
    assert isinstance(decoded, SpotCheck)
    assert (decoded.time_local, decoded.pulse_bpm) == (None, 72)


def test_the_device_s_clock_is_read() -> None:
    assert SpotStream().feed(time_reply(MOMENT))[0] == [ClockReply(MOMENT)]


@given(data=st.binary(max_size=24))
def test_any_notification_of_a_3230_decodes_or_is_refused_for_its_length(data: bytes) -> None:
    if len(data) == 10 and data[0] == 10:
        record = decode_3230(data)
        assert decode_3230(encode_3230(record)) == record
        return
    with pytest.raises(ProtocolError, match=r"^length"):
        decode_3230(data)


def test_a_3230_record_survives_the_air() -> None:
    record = Record3230(True, False, False, True, False, False, 2.9, 4.37, 513, 97, 61)
    assert decode_3230(encode_3230(record)) == record
