"""The belt's decoder on any bytes: same frames in any chunks, quick resynchronisation, counters that add up."""

import itertools
import struct
from binascii import crc_hqx

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.bed_belt.driver import HERE
from drivers.bed_belt.frame import BeltDecoder, BeltFrame, load_format

BELT = load_format(HERE / "open_belt_1.toml")
LONGEST = 61  # README: 3 bytes before the data, 56 of data, 2 of checksum


def by_the_table(sequence: int, samples: list[int], *, status: int = 0, load: int = 6125) -> bytes:
    """A frame written from the README's byte table with struct alone."""
    data = struct.pack("<BHBH", 1, sequence, status, load) + struct.pack(f"<{len(samples)}h", *samples)
    body = bytes([len(data)]) + data
    return b"\xb5\x42" + body + struct.pack("<H", crc_hqx(body, 0xFFFF))


samples = st.lists(st.integers(-32768, 32767), min_size=1, max_size=25)
frames = st.builds(
    by_the_table, st.integers(0, 65535), samples, status=st.integers(0, 255), load=st.integers(0, 65535)
)
tricky = st.lists(
    st.one_of(frames, st.binary(max_size=80), st.sampled_from([b"\xb5", b"\xb5\x42", b"\xb5\x42\x38"])), max_size=12
).map(b"".join)


def keys(decoded: list[BeltFrame]) -> list[tuple[int, int, float | None, bytes]]:
    return [(f.sequence, f.status, f.load_kg, f.samples.tobytes()) for f in decoded]


def cut_up(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[a:b] for a, b in itertools.pairwise(edges)]


@given(stream=tricky, cuts=st.lists(st.integers(0, 2000), max_size=20))
@settings(max_examples=300)
def test_any_chunking_gives_identical_frames_and_counters(stream: bytes, cuts: list[int]) -> None:
    whole, pieces = BeltDecoder(BELT), BeltDecoder(BELT)
    expected, _ = whole.feed(stream)
    got = [frame for chunk in cut_up(stream, cuts) for frame in pieces.feed(chunk)[0]]
    assert keys(got) == keys(expected)
    assert pieces.stream.rejected == whole.stream.rejected
    assert pieces.stream.pending_bytes == whole.stream.pending_bytes


@given(stream=tricky)
def test_one_byte_at_a_time_never_raises_and_memory_stays_below_one_frame(stream: bytes) -> None:
    decoder = BeltDecoder(BELT)
    for index in range(len(stream)):
        decoder.feed(stream[index : index + 1])
        assert decoder.stream.pending_bytes < LONGEST
    counts = decoder.stream
    assert counts.received_bytes == len(stream)
    assert counts.received_bytes == counts.accepted_bytes + counts.skipped_bytes + counts.pending_bytes
    assert counts.rejected.get("noise", 0) == counts.skipped_bytes


@given(garbage=st.binary(max_size=200), sequences=st.integers(0, 60000))
def test_after_garbage_every_true_frame_is_there_two_frames_later(garbage: bytes, sequences: int) -> None:
    decoder = BeltDecoder(BELT)
    decoder.feed(garbage + b"\xb5\x42\x38")
    got: list[int] = []
    for number in range(6):
        decoded, _ = decoder.feed(by_the_table(sequences + number, list(range(10))))
        got += [frame.sequence for frame in decoded]
        assert got[: max(0, number - 1)] == [sequences + n for n in range(max(0, number - 1))]
    assert len(got) >= 4


@given(
    sequence=st.integers(0, 65535),
    raw=samples,
    load=st.one_of(st.none(), st.integers(0, 65534)),
    status=st.integers(0, 255),
)
def test_what_the_peer_encodes_is_what_the_table_says_and_decodes_back(
    sequence: int, raw: list[int], load: int | None, status: int
) -> None:
    wave = (np.array(raw, dtype=np.float64) / 32768).astype(np.float32)
    frame = BeltFrame(sequence, wave, None if load is None else load / 100, status)
    encoded = BELT.encode(frame)
    assert encoded == by_the_table(sequence, raw, status=status, load=0xFFFF if load is None else load)
    decoded, rejects = BeltDecoder(BELT).feed(encoded)
    assert keys(decoded) == keys([frame])
    assert rejects.counts == {}


def test_no_flipped_bit_is_taken_for_a_frame() -> None:
    intact = by_the_table(7, list(range(10)))
    for flipped in range(8 * len(intact)):
        frame = bytearray(intact)
        frame[flipped // 8] ^= 1 << (flipped % 8)
        decoder = BeltDecoder(BELT)
        decoded, _ = decoder.feed(bytes(frame) + bytes(LONGEST))
        assert decoded == [], f"bit {flipped}"
        assert sum(decoder.stream.rejected.values()) > 0


def test_rejections_are_counted_by_reason() -> None:
    good = by_the_table(1, [1, 2, 3])
    bad_checksum = good[:-1] + bytes([good[-1] ^ 1])
    bad_length = b"\xb5\x42\xff" + good[3:]
    data = struct.pack("<BHBHh", 9, 1, 0, 0, 0)
    body = bytes([len(data)]) + data
    other_version = b"\xb5\x42" + body + struct.pack("<H", crc_hqx(body, 0xFFFF))
    decoder = BeltDecoder(BELT)
    decoded, rejects = decoder.feed(bad_checksum + bad_length + other_version + good)
    assert [frame.sequence for frame in decoded] == [1]
    assert rejects.counts["checksum"] == 1
    assert rejects.counts["length"] == 1
    assert rejects.counts["value"] == 1
    assert rejects.last["checksum"] == bad_checksum
    assert decoder.refused == {"value": 1}
