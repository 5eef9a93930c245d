"""Profiles: every fault at once with its line, vectors that must decode, values without eval."""

import textwrap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.bed_belt.driver import HERE
from drivers.bed_belt.frame import decode_vector
from drivers.profile import load, models_in
from drivers.profile_frames import CHECKSUMS, Layout, StreamDecoder, crc16_modbus
from drivers.profile_schema import Framer, MessageField, Value
from drivers.profile_values import decode_message, encode_message, scaled, unscaled
from gateway.core.errors import ConfigError, ProtocolError
from gateway.toml_lines import read

BELT = (HERE / "open_belt_1.toml").read_text(encoding="utf-8")


def faults_of(directory: Path, text: str, name: str = "open_belt_1") -> list[tuple[int, str, str]]:
    path = directory / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path, decode_vector)
    return [(fault.line, fault.key, fault.message) for fault in caught.value.faults]


def line_with(text: str, part: str, *, after: str = "") -> int:
    lines = text.splitlines()
    start = next((n for n, line in enumerate(lines) if after and after in line), 0)
    return next(n for n, line in enumerate(lines[start:], start + 1) if part in line)


def test_all_faults_are_told_at_once_each_with_its_line(tmp_path: Path) -> None:
    text = (
        BELT.replace('head = "B542"', 'head = "B5 4"')
        .replace("max_data = 56", 'max_data = "many"')
        .replace("null = [0xFFFF]", "nul = [0xFFFF]")
        .replace('kind = "crc16_ccitt_false"', 'kind = "crc99"')
        .replace("rate_hz = 100", "rate_hz = 0")
        .replace('class = "bed_belt"\n', "")
    )
    faults = {key: (line, message) for line, key, message in faults_of(tmp_path, text)}
    expected = {
        "framer.head": line_with(text, "head ="),
        "framer.max_data": line_with(text, "max_data ="),
        "framer.checksum.kind": line_with(text, "checksum ="),
        "message.0.field.3.nul": line_with(text, "nul ="),
        "stream.rate_hz": line_with(text, "rate_hz ="),
        "device.class": line_with(text, "[device]"),
    }
    assert {key: line for key, (line, _) in faults.items()} == expected
    assert "hexadecimal" in faults["framer.head"][1]


def test_a_broken_vector_is_told_with_its_hex_and_both_values(tmp_path: Path) -> None:
    text = BELT.replace("load = 61.25", "load = 61.5")
    ((line, key, message),) = faults_of(tmp_path, text)
    assert (key, line) == ("tests.0", line_with(text, "[[tests]]"))
    assert message.startswith("B5421A0102")
    assert message.endswith("load decodes to 61.25, promised 61.5")


def test_a_vector_that_should_be_refused_and_is_not_stops_the_profile(tmp_path: Path) -> None:
    text = BELT.replace("must_equal = 1\n", "")
    ((_, key, message),) = faults_of(tmp_path, text)
    assert key == "tests.2"
    assert "promised refusal as value" in message


def test_a_vector_refused_for_another_reason_stops_the_profile(tmp_path: Path) -> None:
    ((_, key, message),) = faults_of(tmp_path, BELT.replace('reject = "checksum"', 'reject = "length"'))
    assert (key, message.split(": ")[1]) == ("tests.3", "refused as checksum, promised length")


def test_a_profile_without_vectors_is_refused(tmp_path: Path) -> None:
    faults = faults_of(tmp_path, BELT[: BELT.index("# Vectors")])
    assert [(key, message) for _, key, message in faults] == [("tests", "Field required")]


def test_broken_toml_names_its_line_beside_the_other_faults(tmp_path: Path) -> None:
    text = BELT.replace("rate_hz = 100", "rate_hz = = 100").replace("max_data = 56", "max_data = 0")
    faults = {key: line for line, key, _ in faults_of(tmp_path, text)}
    assert faults == {"stream.rate_hz": line_with(text, "rate_hz ="), "framer.max_data": line_with(text, "max_data =")}


def test_a_file_whose_name_is_not_its_id_is_refused(tmp_path: Path) -> None:
    ((line, key, message),) = faults_of(tmp_path, BELT, name="other_belt")
    assert (line, key) == (line_with(BELT, "id ="), "device.id")
    assert "other_belt" in message


def test_references_to_fields_that_do_not_exist_are_told(tmp_path: Path) -> None:
    ((_, _, message),) = faults_of(tmp_path, BELT.replace('sequence = "sequence"', 'sequence = "counter"'))
    assert message == "stream names no field of the message: counter"


def test_a_second_field_of_the_same_name_is_told(tmp_path: Path) -> None:
    text = BELT.replace('name = "status"', 'name = "sequence"')
    assert "two fields are called sequence" in {message for _, _, message in faults_of(tmp_path, text)}


def test_lines_are_found_in_nested_tables_arrays_and_past_long_strings() -> None:
    text = textwrap.dedent(
        '''\
        schema = 1
        note = """
        fake = 1
        [fake]
        """
        [device]
        id = "x"   # comment
        [[poll]]
        every_ms = 1
          [[poll.field]]
          name = "a"
          [[poll.field]]
          name = "b"
        [[poll]]
          [poll.reading]
          counter = "c"
          [[poll.field]]
          "name" = "d"
        '''
    )
    document = read(text)
    lines = document.lines
    assert ("fake",) not in lines
    assert lines[("device", "id")] == 7
    assert lines[("poll", 0, "field", 1, "name")] == 13
    assert lines[("poll", 1, "reading", "counter")] == 16
    assert lines[("poll", 1, "field", 0, "name")] == 18
    assert document.line_of(("poll", 0, "every_ms", "deeper")) == 9
    assert document.line_of(("nowhere",)) == 0


def test_models_are_the_stems_of_the_files(tmp_path: Path) -> None:
    (tmp_path / "b.toml").touch()
    (tmp_path / "a.toml").touch()
    (tmp_path / "readme.md").touch()
    assert list(models_in(tmp_path)) == ["a", "b"]


@pytest.mark.parametrize(
    ("settings", "raw", "expected"),
    [
        ({"scale": "0.1", "type": "s16"}, -50, -5.0),
        ({"scale": "0.1"}, 3, 0.3),  # not 0.30000000000000004
        ({"scale": "0.01", "offset": "-40"}, 6125, 21.25),
        ({"null": [0x7FFF]}, 0x7FFF, None),
        ({"type": "f32"}, float("nan"), None),
        ({"type": "f32"}, 1.25, 1.25),
    ],
)
def test_raw_numbers_mean_what_the_profile_says(settings: dict[str, object], raw: float, expected: float) -> None:
    assert scaled(Value.model_validate({"name": "x", **settings}), raw) == expected


def test_numbers_out_of_range_are_refused_not_clamped() -> None:
    value = Value.model_validate({"name": "x", "scale": "0.1", "type": "s16", "min": -40, "max": 85})
    assert scaled(value, 850) == 85
    with pytest.raises(ProtocolError, match=r"^out_of_range: x is 85.1"):
        scaled(value, 851)


@given(number=st.integers(-32768, 32767), scale=st.sampled_from(["1", "0.1", "0.01", "0.5", "10"]))
def test_scaling_back_gives_the_raw_number(number: int, scale: str) -> None:
    value = Value.model_validate({"name": "x", "type": "s16", "scale": scale, "offset": "-7.5"})
    there = scaled(value, number)
    assert there is not None
    assert unscaled(value, there) == number


def test_a_quantity_in_another_unit_than_its_own_is_refused() -> None:
    with pytest.raises(ValueError, match="room_temperature is kept in 'Cel'"):
        Value.model_validate({"name": "t", "quantity": "room_temperature", "unit": "K"})


def test_check_values_of_the_checksums_match_the_published_ones() -> None:
    """Check value of b"123456789" in the RevEng CRC catalogue: MODBUS 0x4B37, IBM-3740 (CCITT-FALSE) 0x29B1."""
    assert crc16_modbus(b"123456789") == 0x4B37
    assert CHECKSUMS["crc16_ccitt_false"][1](b"123456789") == 0x29B1
    assert CHECKSUMS["sum8"][1](b"\xff\x02") == 1
    assert CHECKSUMS["xor8"][1](b"\xff\x0f") == 0xF0


RADAR = Framer.model_validate(
    {
        "head": "5359",
        "length": {"at": 4, "type": "u16", "byte_order": "big", "counts": "data"},
        "data_at": 6,
        "checksum": {"kind": "sum8", "from": 0},
        "tail": "5443",
        "max_data": 64,
    }
)


def test_one_engine_cuts_frames_of_another_layout_too() -> None:
    """A layout with bytes between head and length, a big-endian length, a one-byte sum and a tail."""
    frame = bytes.fromhex("535985020001 48 7C 5443".replace(" ", ""))
    assert sum(frame[:-3]) & 0xFF == frame[-3]
    decoder = StreamDecoder(Layout(RADAR))
    cuts, rejects = decoder.feed(b"\x53" + frame + frame[:-1] + b"\x00" + frame)
    assert [cut.data for cut in cuts] == [b"\x48", b"\x48"]
    assert rejects.counts["checksum"] == 1


@given(data=st.binary(max_size=64))
def test_a_wrapped_frame_is_cut_out_whole(data: bytes) -> None:
    layout = Layout(RADAR)
    (cut,), rejects = StreamDecoder(layout).feed(layout.wrap(data))
    assert cut.data == data
    assert not rejects.counts


FIELDS = (
    MessageField.model_validate({"name": "count", "type": "u8"}),
    MessageField.model_validate({"name": "level", "type": "s32", "byte_order": "big", "scale": "0.5"}),
    MessageField.model_validate({"name": "wave", "type": "u8", "repeat": "to_end", "null": [255]}),
)


@given(data=st.binary(max_size=30))
def test_any_message_decodes_or_is_refused_and_nothing_else(data: bytes) -> None:
    if len(data) < 5:
        with pytest.raises(ProtocolError, match="short"):
            decode_message(FIELDS, "little", data)
        return
    values = decode_message(FIELDS, "little", data)
    assert len(values["wave"]) == len(data) - 5
    assert np.isnan(values["wave"]).sum() == data[5:].count(255)


def test_a_message_longer_than_its_fields_is_refused() -> None:
    with pytest.raises(ProtocolError, match="long"):
        decode_message(FIELDS[:2], "little", bytes(6))


def test_samples_beyond_the_type_are_clipped_by_the_devices_end_only() -> None:
    data = encode_message(FIELDS, "little", {"count": 1, "level": -2.5, "wave": np.array([-3.0, 300.0, 7.0])})
    assert data == bytes([1]) + (-5).to_bytes(4, "big", signed=True) + bytes([0, 255, 7])
