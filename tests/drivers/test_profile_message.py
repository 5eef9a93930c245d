"""Messages by profile: conditions, specials, bits, maps; any bytes decode or are refused by name, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from drivers.ble_values import Special
from drivers.bls.frame import PROFILE as BLS
from drivers.hts.frame import PROFILE as HTS
from drivers.mi_scale.frame import PROFILES as MI
from drivers.plx.frame import PROFILE as PLX
from drivers.profile_condition import parse
from drivers.profile_message import MessageDecoder
from drivers.profile_parts import MessageField
from drivers.profile_schema import Message
from drivers.profile_vectors import sources
from drivers.wss.frame import PROFILE as WSS
from gateway.core.errors import ProtocolError

REASONS = {"truncated", "too_long", "reserved", "value", "out_of_range", "unmapped", "time", "ascii"}


def field(**settings: object) -> MessageField:
    return MessageField.model_validate({"name": "x", "type": "u8", **settings})


def decoder(*fields: dict[str, object], exact: bool = True) -> MessageDecoder:
    message = Message.model_validate({"field": [{"type": "u8", **each} for each in fields]})
    return MessageDecoder(message.field, "little", exact=exact)


def reason(reader: MessageDecoder, data: bytes) -> str:
    with pytest.raises(ProtocolError) as caught:
        reader.decode(data)
    return str(caught.value).split(":")[0]


@pytest.mark.parametrize("text", ["flags", "flags & two", "flags and 2", "open('x') & 1", "flags & 2 & 4", "f&-1"])
def test_what_is_no_field_and_mask_is_no_condition(text: str) -> None:
    with pytest.raises(ValueError, match="is no condition"):
        parse(text)


def test_a_field_is_there_only_when_its_condition_holds() -> None:
    reader = decoder({"name": "flags"}, {"name": "a", "when": "flags & 1"}, {"name": "b", "when": "flags & 0x02"})
    assert reader.decode(b"\x02\x07").values == {"flags": 2, "a": None, "b": 7}
    assert reader.decode(b"\x00").values == {"flags": 0, "a": None, "b": None}
    assert reason(reader, b"\x03\x07") == "truncated"
    assert reason(reader, b"\x01\x07\x08") == "too_long"


def test_type_unit_and_scale_follow_the_flags() -> None:
    reader = decoder(
        {"name": "flags"},
        {
            "name": "v",
            "type_if": ["flags & 1", "u16", "u8"],
            "unit_if": ["flags & 2", "[lb_av]", "flags & 4", "jin", "kg"],
            "scale_if": ["flags & 2", 0.01, 1],
        },
    )
    assert reader.decode(b"\x00\x46").values["v"] == 70
    found = reader.decode(b"\x03\xe8\x03")
    assert (found.values["v"], found.units["v"]) == (10.0, "[lb_av]")
    assert reader.decode(b"\x04\x46").units["v"] == "jin"


def test_specials_become_none_and_say_which_one() -> None:
    reader = decoder({"name": "a", "type": "sfloat"}, {"name": "b", "type": "float32"})
    found = reader.decode(bytes.fromhex("ff0702008000"))
    assert found.values == {"a": None, "b": None}
    assert found.specials == {"a": Special.NAN, "b": Special.NINF}


def test_bits_maps_signs_texts_and_lengths() -> None:
    reader = decoder(
        {"name": "length", "must_equal": "len"},
        {"name": "flags", "bits": {"low": 1, "high": 0x80}},
        {"name": "settled", "type": "bits", "of": "flags", "mask": 0x80},
        {"name": "level", "type": "bits", "of": "flags", "mask": 0x30, "map": {"0": "none", "2": "some"}},
        {"name": "x", "type": "sm16", "byte_order": "big"},
        {"name": "serial", "type": "ascii", "size": 4},
        {"name": "tail", "type": "s8", "repeat": "to_end"},
    )
    values = reader.decode(bytes([11, 0xA1, 0x80, 10]) + b"A12\0" + b"\xff\x01\x02").values
    assert values == {
        "length": 11, "flags": ["low", "high"], "settled": True, "level": "some", "x": -10, "serial": "A12",
        "tail": [-1, 1, 2],
    }  # fmt: skip
    assert reason(reader, bytes([9, 0xA1, 0x80, 10]) + b"A12\0") == "value"
    assert reason(reader, bytes([8, 0x90, 0x80, 10]) + b"A12\0") == "unmapped"
    assert reason(reader, bytes([8, 0xA0, 0x80, 10]) + b"A\xff2\0") == "ascii"


def test_what_is_not_measured_is_none_and_what_is_reserved_is_refused() -> None:
    reader = decoder(
        {"name": "flags", "reserved_mask": 0xF0}, {"name": "v", "null": [255], "null_unless": "flags & 1", "max": 100}
    )
    assert reader.decode(b"\x01\x08").values["v"] == 8
    assert reader.decode(b"\x00\x08").values["v"] is None
    assert reader.decode(b"\x01\xff").values["v"] is None
    assert reason(reader, b"\x11\x08") == "reserved"
    assert reason(reader, b"\x01\x65") == "out_of_range"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"type": "bits"}, "needs of and mask"),
        ({"type": "ascii"}, "needs size"),
        ({"type_if": ["flags & 1", "u16"]}, "what else"),
        ({"type_if": ["flags & 1", "u17", "u8"]}, "unknown type u17"),
        ({"unit_if": ["flags & 1", "st", "kg"], "quantity": "weight"}, "weight is kept in 'kg', this field is in 'st'"),
        ({"when": "flags > 1"}, "is no condition"),
        ({"type": "sfloat", "map": {"1": "a"}}, "belong to whole numbers"),
    ],
)
def test_a_field_that_makes_no_sense_is_refused_in_words(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        field(**settings)


def test_a_condition_may_look_only_at_an_earlier_whole_number() -> None:
    with pytest.raises(ValidationError, match="looks at flags, which is no earlier"):
        decoder({"name": "v", "when": "flags & 1"}, {"name": "flags"})


READERS = [reader for path in (BLS, HTS, WSS, PLX, *MI.values()) for reader in sources(path).decoders]


@given(st.sampled_from(READERS), st.binary(max_size=40))
def test_any_bytes_are_decoded_or_refused_by_a_reason_of_the_list(reader: MessageDecoder, data: bytes) -> None:
    refusal = ""
    try:
        reader.decode(data)
    except ProtocolError as error:
        refusal = str(error).split(":")[0]
    assert refusal in {"", *REASONS}


@given(st.data())
def test_a_frame_cut_short_anywhere_is_refused(data: st.DataObject) -> None:
    whole = bytes.fromhex("1e8a00580078000000041114293b3c00012700")
    reader = sources(BLS).decoders[0]
    size = data.draw(st.integers(0, len(whole) - 1))
    assert reason(reader, whole[:size]) == "truncated"
