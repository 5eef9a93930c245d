"""Our own cases of the BLE formats once more, damaged: cut at every byte, and with a byte behind the last one."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from drivers.vectors import collect
from gateway.core.errors import ProtocolError

VECTORS = Path(__file__).parents[1] / "vectors"
FIXED = {
    "2A35", "2A5E", "2A5F", "2A1C", "2A9D", "2A9C", "2A18", "2A34", "service_data_181D", "service_data_181B", "colmi16",
}  # fmt: skip


def sound_cases() -> Iterator[Mapping[str, Any]]:
    for path in sorted(VECTORS.glob("*.json")):
        for case in json.loads(path.read_text(encoding="utf-8"))["cases"]:
            if not case["expect"].get("reject"):
                yield case


SOUND = list(sound_cases())


def values_of(case: Mapping[str, Any], data: bytes) -> dict[str, Any] | None:
    try:
        return collect()[case["kind"]](data, case.get("context") or {})
    except ProtocolError:
        return None


@pytest.mark.parametrize("kind", sorted(FIXED))
def test_a_message_cut_at_any_byte_or_longer_by_one_is_refused(kind: str) -> None:
    cases = [case for case in SOUND if case["kind"] == kind]
    assert len(cases) >= 15
    for case in cases:
        whole = bytes.fromhex(case["hex"])
        assert values_of(case, whole) is not None
        damaged = [*(whole[:end] for end in range(len(whole))), whole + b"\x00", whole + b"\xff"]
        accepted = [data.hex() for data in damaged if values_of(case, data) is not None]
        assert accepted == [], case["id"]


def test_a_cut_heart_rate_only_loses_its_newest_intervals() -> None:
    for case in (case for case in SOUND if case["kind"] == "2A37"):
        whole = bytes.fromhex(case["hex"])
        rr = case["expect"]["rr_1024ths_s"]
        for end in range(len(whole)):
            values = values_of(case, whole[:end])
            assert values is None or values == case["expect"] | {"rr_1024ths_s": rr[: (end - len(whole)) // 2]}, end


def test_a_cut_advert_of_a_button_never_says_more_than_the_whole_one() -> None:
    for case in (case for case in SOUND if case["kind"] == "service_data_FCD2"):
        whole, told = bytes.fromhex(case["hex"]), case["expect"]["objects"]
        for end in range(1, len(whole)):
            values = values_of(case, whole[:end])
            if values is None:
                continue
            read = [one for one in values["objects"] if not {"truncated_object_id", "unknown_object_id"} & one.keys()]
            assert len(read) <= len(told), (case["id"], end)
            assert [list(one) for one in read] == [list(one) for one in told[: len(read)]], (case["id"], end)
