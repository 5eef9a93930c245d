"""iBeacon and Eddystone: the published vectors, and that no bytes at all can raise."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.beacon import frame
from drivers.hrs.frame import Rejected
from gateway.core.errors import ProtocolError

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "beacons.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: str(case["id"]))
def test_published_vector_is_decoded(case: dict[str, Any]) -> None:
    decode, data, expect = frame.VECTOR_DECODERS[case["kind"]], bytes.fromhex(case["hex"]), case["expect"]
    if expect.get("reject"):
        with pytest.raises(ProtocolError):
            decode(data, {})
        return
    values = decode(data, {})
    assert {name: values[name] for name in expect} == expect


@given(st.binary(max_size=40), st.sampled_from([b"", b"\x02\x15", b"\x00", b"\x10", b"\x20\x00", b"\x30"]))
def test_any_bytes_decode_or_are_rejected_and_never_raise(data: bytes, head: bytes) -> None:
    assert isinstance(frame.decode_ibeacon(head + data), frame.IBeacon | Rejected)
    assert isinstance(frame.decode_eddystone(head + data), frame.Eddystone | Rejected)


@given(st.uuids(), st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.integers(-128, 127))
def test_what_an_ibeacon_sends_is_what_is_read(uuid: UUID, major: int, minor: int, power_dbm: int) -> None:
    beacon = frame.IBeacon(uuid, major, minor, power_dbm)
    assert frame.decode_ibeacon(frame.encode_ibeacon(beacon)) == beacon
    assert frame.decode_ibeacon(frame.encode_ibeacon(beacon)[:-1]) == Rejected("length")


@given(st.integers(-128, 127), st.binary(min_size=10, max_size=10), st.binary(min_size=6, max_size=6))
def test_a_uid_is_read_with_and_without_its_reserved_bytes(power_dbm: int, namespace: bytes, instance: bytes) -> None:
    uid = frame.Uid(power_dbm, namespace, instance)
    assert frame.decode_eddystone(frame.encode_uid(uid)) == uid
    assert frame.decode_eddystone(frame.encode_uid(uid)[:-2]) == uid


@given(
    st.builds(
        frame.Telemetry,
        voltage_v=st.none() | st.integers(1, 65535).map(lambda millivolts: millivolts / 1000),
        temperature_cel=st.none() | st.integers(-32767, 32767).map(lambda raw: raw / 256),
        adv_count=st.integers(0, 2**32 - 1),
        uptime_s=st.integers(0, 2**32 - 1).map(lambda ticks: ticks / 10),
    )
)
def test_telemetry_is_read_as_it_was_sent(telemetry: frame.Telemetry) -> None:
    assert frame.decode_eddystone(frame.encode_telemetry(telemetry)) == telemetry


def test_a_url_is_spelt_out() -> None:
    assert frame.decode_eddystone(b"\x10\xee\x03carebed\x08/x") == frame.Url(-18, "https://carebed.org/x")
    assert frame.decode_eddystone(b"\x10\xee\x09x") == Rejected("url_scheme")
    assert frame.decode_eddystone(b"\x10\xee\x03a\x80") == Rejected("url_character")


def test_identities_that_only_their_owner_can_read_are_recognised() -> None:
    assert frame.decode_eddystone(b"\x30\xf1" + bytes(8)) == frame.Eid(-15, bytes(8))
    assert frame.decode_eddystone(b"\x20\x01" + bytes(16)) == frame.EncryptedTelemetry()
    assert frame.decode_eddystone(b"\x21\x01\x0f") == frame.OtherFrame(0x21)


@pytest.mark.parametrize(
    ("sent", "believed"), [(-59, -59), (-100, -100), (-20, -20), (-101, -59), (-19, -59), (85, -59)]
)
def test_a_measured_power_that_is_none_gives_way_to_the_usual_one(sent: int, believed: int) -> None:
    assert frame.IBeacon(UUID(int=1), 1, 1, sent).believed_power_dbm == believed
