"""BTHome v2: published vectors, encryption both ways, and that no bytes at all can raise."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.bthome import frame
from drivers.bthome.frame import KINDS, Objects, Rejected, decode, encode

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "bthome_v2.json").read_text(encoding="utf-8"))
MAC = "F2:00:00:00:00:02"
KEY = bytes.fromhex("231d39c1d7cc1ab1aee224cd096db932")

buttons = st.tuples(st.just(frame.BUTTON), st.integers(0, 255))
sent_objects = st.builds(
    lambda packet_id, battery, codes: Objects(((frame.PACKET_ID, packet_id), (frame.BATTERY, battery), *codes)),
    st.integers(0, 255),
    st.integers(0, 100),
    st.lists(buttons, max_size=4),
)


def named(objects: Objects) -> list[dict[str, object]]:
    """Objects in the vectors' own words."""
    rows: list[dict[str, object]] = []
    for kind, value in objects.objects:
        shown: object = frame.PRESS_NAMES.get(int(value)) if kind == frame.BUTTON else value
        rows.append({KINDS[kind].name: shown})
    if objects.unknown_id is not None:
        rows.append({"unknown_object_id": objects.unknown_id})
    return rows


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: str(case["id"]))
def test_published_vector_is_decoded(case: dict[str, Any]) -> None:
    context, expect = case.get("context", {}), case["expect"]
    key = bytes.fromhex(context["bindkey"]) if context else None
    decoded = decode(bytes.fromhex(case["hex"]), context.get("mac", MAC), key)
    if expect.get("reject"):
        assert isinstance(decoded, Rejected)
        return
    assert isinstance(decoded, Objects)
    assert named(decoded) == expect["objects"]
    assert (decoded.trigger_based, decoded.encrypted) == (expect["trigger_based"], expect["encrypted"])


@given(st.binary(max_size=40), st.none() | st.just(KEY))
def test_any_bytes_decode_or_are_rejected_and_never_raise(data: bytes, key: bytes | None) -> None:
    assert isinstance(decode(data, MAC, key), Objects | Rejected)


@given(sent_objects, st.none() | st.just(KEY))
def test_what_a_button_sends_is_what_is_read(sent: Objects, key: bytes | None) -> None:
    decoded = decode(encode(sent, MAC, key), MAC, key)
    assert isinstance(decoded, Objects)
    assert decoded.objects == sent.objects


@given(sent_objects, st.integers(0, 10_000))
def test_one_flipped_bit_of_an_encrypted_advert_is_refused(sent: Objects, where: int) -> None:
    raw = bytearray(encode(sent, MAC, KEY))
    bit = where % ((len(raw) - 1) * 8)
    raw[1 + bit // 8] ^= 1 << bit % 8
    assert decode(bytes(raw), MAC, KEY) == Rejected("wrong_key_or_forged")


def test_a_device_that_has_a_key_is_never_believed_in_clear() -> None:
    assert decode(bytes.fromhex("40001d01643a01"), MAC, KEY) == Rejected("clear_from_keyed_device")


def test_another_version_is_refused() -> None:
    assert decode(bytes.fromhex("20001d01643a01"), MAC) == Rejected("unknown_version")


def test_a_button_before_an_unknown_object_is_kept() -> None:
    decoded = decode(bytes.fromhex("40001d3a04fe0102"), MAC)
    assert isinstance(decoded, Objects)
    assert (decoded.presses, decoded.unknown_id) == ((4,), 0xFE)


@pytest.mark.parametrize("text", ["", "zz" * 16, "00" * 15, "00" * 17])
def test_what_is_not_a_bind_key_is_refused(text: str) -> None:
    assert frame.parse_key(text) is None
