"""Polar Measurement Data: published vectors, the delta codec both ways, and that no bytes at all can raise."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from drivers.hrs.frame import Rejected
from drivers.polar_pmd import delta, frame

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "polar_pmd.json").read_text(encoding="utf-8"))["cases"]
SETTING_NAMES = {
    "sample_rate_Hz": frame.RATE_HZ,
    "resolution_bits": frame.RESOLUTION_BITS,
    "range": frame.RANGE,
    "channels": frame.CHANNEL_COUNT,
}

int16_samples = hnp.arrays(np.int16, st.tuples(st.integers(1, 90), st.just(3)))
slow_samples = hnp.arrays(np.int16, st.tuples(st.integers(1, 90), st.just(3)), elements=st.integers(-60, 60))


def of_kind(kind: str) -> list[Any]:
    return [pytest.param(case, id=case["id"]) for case in VECTORS if case["kind"] == kind]


@pytest.mark.parametrize("case", of_kind("PMD_DATA"))
def test_published_data_frame_is_decoded(case: dict[str, Any]) -> None:
    decoded, expect = frame.decode_data(bytes.fromhex(case["hex"])), case["expect"]
    if expect["measurement"] == "PPI":
        assert isinstance(decoded, frame.PulseIntervals)
        assert [one.interval_ms for one in decoded.samples] == [one["pp_ms"] for one in expect["samples"]]
        assert [one.bpm for one in decoded.samples] == [one["hr_bpm"] for one in expect["samples"]]
        assert [one.error_ms for one in decoded.samples] == [one["error_ms"] for one in expect["samples"]]
        assert [one.usable for one in decoded.samples] == [not one["blocker"] for one in expect["samples"]]
        return
    assert isinstance(decoded, frame.Acceleration)
    mg = np.round(decoded.data_g * 1000).astype(int).tolist()
    assert decoded.at_ns == expect["timestamp_ns_since_2000"]
    assert len(mg) == expect["n_samples"]
    assert (mg[0], mg[1], mg[-1]) == (expect["first_mg"], expect["second_mg"], expect["last_mg"])


@pytest.mark.parametrize("case", of_kind("PMD_CP"))
def test_published_control_reply_is_decoded(case: dict[str, Any]) -> None:
    expect = case["expect"]
    assert frame.decode_control(bytes.fromhex(case["hex"])) == frame.Reply(
        expect["op"],
        expect["measurement_type"],
        expect["status"],
        expect["more"],
        bytes.fromhex(expect["params_hex"]),
    )


@pytest.mark.parametrize("case", of_kind("PMD_SETTINGS"))
def test_published_settings_are_decoded_and_encoded_back(case: dict[str, Any]) -> None:
    raw = bytes.fromhex(case["hex"])
    settings = frame.decode_settings(raw)
    assert settings == {SETTING_NAMES[name]: tuple(values) for name, values in case["expect"].items()}
    assert frame.encode_settings({kind: tuple(values) for kind, values in dict(settings).items()}) == raw


@given(st.binary(max_size=300))
def test_any_bytes_decode_or_are_rejected_and_never_raise(data: bytes) -> None:
    frame.decode_control(data)
    frame.decode_settings(data)
    frame.decode_data(data)


@given(
    st.sampled_from([0x01, 0x80, 0x81, 0x00, 0x82]), st.binary(max_size=240), st.sampled_from([1.0, 0.001, 244.0, 3e38])
)
def test_any_acceleration_payload_is_finite_or_rejected(frame_type: int, payload: bytes, factor: float) -> None:
    decoded = frame.decode_data(bytes([2, *bytes(8), frame_type]) + payload, factor)
    if isinstance(decoded, frame.Acceleration):
        assert decoded.data_g.dtype == np.float32
        assert np.isfinite(decoded.data_g).all()
    else:
        assert isinstance(decoded, Rejected)


@given(int16_samples | slow_samples)
def test_delta_codec_returns_every_sample_unchanged(samples: NDArray[np.int16]) -> None:
    unpacked = delta.unpack(delta.pack(samples))
    assert unpacked is not None
    assert np.array_equal(unpacked, samples)


@given(slow_samples, st.integers(0, 2**63))
def test_compressed_and_raw_frames_carry_the_same_acceleration(samples: NDArray[np.int16], at_ns: int) -> None:
    both = [frame.decode_data(frame.encode_acceleration(at_ns, samples, compressed=packed)) for packed in (True, False)]
    compressed, raw = both
    assert isinstance(compressed, frame.Acceleration)
    assert isinstance(raw, frame.Acceleration)
    assert compressed.at_ns == raw.at_ns == at_ns
    assert np.array_equal(compressed.data_g, raw.data_g)


@given(slow_samples.filter(lambda samples: len(samples) > 1))
def test_a_block_cut_short_rejects_the_frame(samples: NDArray[np.int16]) -> None:
    assert frame.decode_data(frame.encode_acceleration(1, samples)[:-1]) == Rejected("acc_block")


def test_more_than_any_band_can_measure_is_a_misread_block() -> None:
    strong = frame.encode_acceleration(1, np.full((2, 3), 20_000, np.int16))
    assert [_acceleration(strong, factor).plausible for factor in (1.0, 3.0)] == [True, False]


def _acceleration(data: bytes, factor: float) -> frame.Acceleration:
    decoded = frame.decode_data(data, factor)
    assert isinstance(decoded, frame.Acceleration)
    return decoded
