"""The ring's packets: the published vectors, that no bytes can raise, and a day's log put together."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.colmi import frame
from drivers.hrs.frame import Rejected
from gateway.core.errors import ProtocolError

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "colmi_r02.json").read_text(encoding="utf-8"))
MIDNIGHT_S = 1_732_406_400


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: str(case["id"]))
def test_published_vector_is_decoded(case: dict[str, Any]) -> None:
    decode, data, expect = frame.VECTOR_DECODERS[case["kind"]], bytes.fromhex(case["hex"]), case["expect"]
    values = decode(data, {})
    assert {name: values[name] for name in expect} == expect


def test_the_time_is_written_as_its_vector_has_it() -> None:
    (case,) = (case for case in VECTORS["cases"] if case["expect"] == {"cmd": 1})
    assert frame.set_time(datetime(2024, 1, 1, tzinfo=UTC)).hex() == case["hex"]


@given(st.binary(max_size=20))
def test_any_bytes_decode_or_are_rejected_and_never_raise(data: bytes) -> None:
    assert isinstance(frame.decode(data), frame.Packet | Rejected)


@given(st.integers(0, 255), st.binary(max_size=14))
def test_any_packet_with_a_right_sum_decodes_or_is_rejected_and_one_wrong_byte_is_noticed(
    command: int, data: bytes
) -> None:
    packet = frame.packet(command, data)
    frame.decode(packet)
    for at in range(frame.SIZE):
        damaged = packet[:at] + bytes([packet[at] ^ 0x10]) + packet[at + 1 :]
        assert frame.decode(damaged) == Rejected("checksum")


@pytest.mark.parametrize("kind", [2, 8, 9])
def test_what_the_ring_cannot_measure_is_refused(kind: int) -> None:
    packet = frame.packet(frame.REALTIME, bytes([kind, 0, 120]))
    assert frame.decode(packet) == Rejected("not_credible")
    with pytest.raises(ProtocolError, match="not_credible"):
        frame.packet_values(packet, {})


def test_a_refused_command_is_told_by_its_number() -> None:
    assert frame.decode(frame.packet(0x95)) == frame.Refused(frame.HR_LOG)


def read(packets: list[bytes]) -> list[tuple[int, int]] | Rejected | None:
    reader, result = frame.LogReader(), None
    for data in packets:
        part = frame.decode(data)
        assert isinstance(part, frame.LogHead | frame.LogPart | frame.NoLog)
        result = reader.take(part)
        if isinstance(result, Rejected):
            return result
    return result


@given(st.binary(min_size=1, max_size=288), st.sampled_from([5, 10, 30, 60]))
def test_a_days_log_is_put_together_with_the_time_of_each_value(values: bytes, interval_min: int) -> None:
    log = read(frame.log_packets(MIDNIGHT_S, interval_min, values))
    fitting = values[: 1440 // interval_min]
    assert log == [
        (MIDNIGHT_S + number * interval_min * 60, bpm) for number, bpm in enumerate(fitting) if bpm not in frame.NONE
    ]


def test_a_log_with_a_part_missing_doubled_or_without_head_is_spoilt_and_not_shifted() -> None:
    packets = frame.log_packets(MIDNIGHT_S, 5, bytes(range(60, 160)))
    assert read(packets[:3] + packets[4:]) == Rejected("log_part_missing")
    assert read([*packets[:3], packets[2]]) == Rejected("log_part_missing")
    assert read(packets[1:]) == Rejected("log_without_head")
    assert read([packets[0], *packets]) == read(packets)


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(min_size=13, max_size=13)), max_size=40))
def test_any_order_of_log_packets_keeps_the_memory_bounded(parts: list[tuple[int, bytes]]) -> None:
    reader = frame.LogReader()
    for index, data in parts:
        part = frame.decode(frame.packet(frame.HR_LOG, bytes([index]) + data))
        if isinstance(part, frame.LogHead | frame.LogPart | frame.NoLog):
            reader.take(part)
    assert len(reader._values) <= 255 * 13
