"""Our own cases of the serial and Modbus formats once more, damaged: cut, lengthened, and with each bit turned."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from drivers.vectors import collect
from gateway.core.errors import ProtocolError

VECTORS = Path(__file__).parents[1] / "vectors"
SUMMED = ("berry20", "df2_packet", "df7_packet", "suntech", "suntech_cmd", "r60", "tf", "rtu_request", "rtu_response")
UNSUMMED = ("bci5", "df8", "nonin_3230_0AAD7EA0")  # no checksum at all
PARTLY = ("contec_cms50d_bt", "df13")  # a sum of 7 bits; a sum of the data alone
SERIAL = {*SUMMED, *UNSUMMED, *PARTLY}
LONGEST = 130  # bytes; every bit of the longest Modbus answer would take a minute and prove no more


def sound(kind: str) -> Iterator[Mapping[str, Any]]:
    for path in sorted(VECTORS.glob("*.json")):
        for case in json.loads(path.read_text(encoding="utf-8"))["cases"]:
            if case["kind"] == kind and not case["expect"].get("reject"):
                yield case


def accepted(kind: str, data: bytes) -> dict[str, Any] | None:
    try:
        return collect()[kind](data, {})
    except ProtocolError:
        return None


@pytest.mark.parametrize("kind", sorted(SERIAL))
def test_a_frame_cut_at_any_byte_or_longer_by_one_is_refused(kind: str) -> None:
    cases = list(sound(kind))
    assert len(cases) >= 8
    for case in cases:
        data = bytes.fromhex(case["hex"])
        assert accepted(kind, data) is not None
        for size in range(len(data)):
            assert accepted(kind, data[:size]) is None, f"{case['id']} cut to {size} bytes"
        for more in (b"\0", b"\x01", b"\x80", b"\xff", data[:1], data):
            assert accepted(kind, data + more) is None, f"{case['id']} and {more.hex()}"
            if more != data:
                assert accepted(kind, more + data) is None, f"{more.hex()} and {case['id']}"


@pytest.mark.parametrize("kind", SUMMED)
def test_one_turned_bit_refuses_a_frame_that_has_a_checksum(kind: str) -> None:
    for case in sound(kind):
        data = bytes.fromhex(case["hex"])
        for bit in range(8 * len(data) if len(data) <= LONGEST else 0):
            wrong = bytearray(data)
            wrong[bit // 8] ^= 1 << bit % 8
            assert accepted(kind, bytes(wrong)) is None, f"{case['id']} with bit {bit} turned"


@pytest.mark.parametrize(("kind", "size"), [("bci5", 5), ("df8", 4)])
def test_one_turned_sync_bit_refuses_a_frame_that_has_nothing_else(kind: str, size: int) -> None:
    for case in sound(kind):
        data = bytes.fromhex(case["hex"])
        for at in range(size):
            wrong = bytearray(data)
            wrong[at] ^= 0x80
            assert accepted(kind, bytes(wrong)) is None, f"{case['id']} with the sync bit of byte {at} turned"
