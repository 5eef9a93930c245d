"""PPG of a band: the published layout, and acceleration, PPG and heart rate together over a real Bluetooth stack."""

import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from drivers.base import Driver
from drivers.ble_link import BleAdapter
from drivers.hrs.frame import Rejected
from drivers.polar_pmd import frame
from drivers.polar_pmd.driver import FAMILY
from drivers.polar_pmd.peer import DEPTH, LIGHTS, PPG_FRAME_SAMPLES, PolarBand, Skin
from drivers.vectors import collect
from gateway.core.clock import ManualClock, ScaledClock, SystemClock
from gateway.core.errors import ConfigError, LinkError, ProtocolError
from gateway.core.model import Measurement, SampleBlock
from gateway.dsp.chain import Chains
from tests.drivers.ble_ward import (
    RecordingSink,
    adapter_without_radio,
    device,
    ended,
    pulse_of,
    radio_space,
    running,
    scanning_adapter,
)

CASES = json.loads((Path(__file__).parents[2] / "vectors" / "own_polar_ppg.json").read_text(encoding="utf-8"))["cases"]
ADDRESS = "F1:00:00:00:00:01"
SPEED = 20.0

counts24 = hnp.arrays(
    np.int32, st.tuples(st.integers(1, 40), st.just(4)), elements=st.integers(-(1 << 23), (1 << 23) - 1)
)


# -- the layout -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in CASES])
def test_a_frame_of_the_published_layout_is_decoded_or_refused_by_name(case: dict[str, Any]) -> None:
    data, context = bytes.fromhex(case["hex"]), case.get("context", {})
    if case["expect"].get("reject"):
        with pytest.raises(ProtocolError, match=case["expect"]["why"]):
            collect()["PMD_PPG"](data, context)
    else:
        assert collect()["PMD_PPG"](data, context) == case["expect"]


@given(counts24, st.integers(0, 2**63))
def test_compressed_and_raw_frames_carry_every_count_unchanged(counts: NDArray[np.int32], at_ns: int) -> None:
    for compressed in (True, False):
        decoded = frame.decode_data(frame.encode_light(at_ns, counts, compressed=compressed))
        assert isinstance(decoded, frame.Light)
        assert decoded.at_ns == at_ns
        assert np.array_equal(decoded.counts, counts)
        assert decoded.plausible


@given(st.sampled_from([0x00, 0x80, 0x04, 0x87]), st.binary(max_size=240), st.sampled_from([1.0, 0.5, 3e38]))
def test_any_ppg_payload_is_finite_or_rejected(frame_type: int, payload: bytes, factor: float) -> None:
    decoded = frame.decode_data(bytes([1, *bytes(8), frame_type]) + payload, factor)
    assert isinstance(decoded, Rejected) or np.isfinite(decoded.counts).all()  # type: ignore[union-attr]


# -- the setting ------------------------------------------------------------------------------------------------------


def made(model: str, **settings: str | bool) -> Driver:
    clock = ManualClock()
    one = replace(device("polar_pmd", ADDRESS, **settings), model=model)
    return FAMILY.make([one], adapter_without_radio(clock), clock)


@pytest.mark.parametrize("model", ["verity_sense", "oh1"])
async def test_a_band_whose_profile_has_ppg_may_be_asked_for_it(model: str) -> None:
    made(model, ppg=True)


@pytest.mark.parametrize("model", ["h10", "polar_360"])
async def test_a_band_whose_profile_has_no_ppg_is_refused_with_the_setting_and_taken_without(model: str) -> None:
    made(model)
    made(model, ppg=False)
    with pytest.raises(ConfigError, match="no PPG"):
        made(model, ppg=True)


async def test_a_setting_that_is_no_truth_value_is_refused() -> None:
    with pytest.raises(ConfigError, match="neither true nor false"):
        made("verity_sense", ppg="yes")


# -- over the radio ---------------------------------------------------------------------------------------------------


class Worn:
    """Light of a skin at one rate, every count that was asked of it kept; and a wrist that may swing."""

    def __init__(self, bpm: float) -> None:
        self.skin = Skin(lambda: 60 / bpm)
        self.upright: list[float] = []
        self.moved = 0
        self.swings = False

    def light(self, n: int) -> NDArray[np.int32]:
        counts = self.skin(n)
        self.upright += (-counts[:, :3].mean(axis=1)).tolist()
        return counts

    def acceleration(self, n: int) -> NDArray[np.float64]:
        at_s = np.arange(self.moved, self.moved + n) / 52.0
        self.moved += n
        swing = 0.8 * np.sin(2 * np.pi * 1.3 * at_s) if self.swings else np.zeros(n)
        return np.stack([swing, np.zeros(n), np.ones(n)], axis=1)


@dataclass
class Ward:
    band: PolarBand
    worn: Worn
    driver: Driver
    sink: RecordingSink
    adapter: BleAdapter

    def blocks(self, channel: str) -> list[SampleBlock]:
        return [block for block in self.sink.blocks if block.channel == channel]

    async def ppg(self, count: int) -> None:
        await self.sink.until(lambda: len(self.blocks("ppg")) >= count)


@asynccontextmanager
async def ward(bpm: float = 66.0, *, compressed: bool = True, ppg: bool = True) -> AsyncIterator[Ward]:
    clock = ScaledClock(SPEED, origin_real_ns=SystemClock().real_ns(), origin_utc_ns=0)
    worn = Worn(bpm)
    async with radio_space() as (space, port):
        band = PolarBand(
            space, clock, ADDRESS, worn.acceleration, pulse_of(60), light=worn.light, compressed=compressed
        )
        await band.start()
        async with scanning_adapter(port, clock) as adapter, running(band.run()):
            one = device("polar_pmd", ADDRESS, ppg=ppg, position="wrist")
            driver = FAMILY.make([replace(one, model="verity_sense")], adapter, clock)
            yield Ward(band, worn, driver, RecordingSink(), adapter)


def told(blocks: list[SampleBlock]) -> NDArray[np.float64]:
    return np.concatenate([block.data for block in blocks]).astype(np.float64)


def place_of(block: SampleBlock, sent: NDArray[np.float64]) -> int:
    """Where in what the skin gave the block's samples begin."""
    n = len(block.data)
    places = [i for i in range(len(sent) - n + 1) if np.allclose(block.data, sent[i : i + n], atol=0.1)]
    assert len(places) == 1
    return places[0]


@pytest.mark.parametrize("compressed", [True, False])
async def test_ppg_acceleration_and_pulse_come_together_upright_and_without_a_loss(compressed: bool) -> None:
    async with ward(compressed=compressed) as w, running(w.driver.run(w.sink)):
        await w.ppg(8)
        await w.sink.until(lambda: len(w.sink.values("heart_rate")) >= 3)
    ppg, acc = w.blocks("ppg"), w.blocks("acc")
    assert sum(block.lost_before for block in (*ppg, *acc)) == 0
    assert w.sink.rejections == []
    assert {(b.unit, b.rate_hz, b.bed, b.data.dtype) for b in ppg} == {("1", 55.0, "b-1", np.dtype(np.float32))}
    assert all(0.5 <= len(block.data) / 55.0 <= 1.5 for block in ppg[:-1])
    steps = [later.start.since_s(one.start) - len(one.data) / 55.0 for one, later in itertools.pairwise(ppg)]
    assert max(map(abs, steps[3:])) < 0.05
    wave, sent = told(ppg), np.array(w.worn.upright)
    first = place_of(ppg[0], sent)
    assert np.allclose(wave, sent[first : first + len(wave)], atol=0.1)
    assert wave.max() > wave.min() + 0.8 * DEPTH
    assert wave.max() < -np.mean(LIGHTS) + 1.2 * DEPTH
    assert np.median(wave) - wave.min() < wave.max() - np.median(wave), "peaks stand up out of a low floor"
    assert set(w.sink.values("heart_rate")) == {60}


async def test_without_the_setting_no_ppg_is_asked_for() -> None:
    async with ward(ppg=False) as w, running(w.driver.run(w.sink)):
        await w.sink.until(lambda: len(w.blocks("acc")) >= 5)
        assert not w.band.streaming_ppg
    assert w.blocks("ppg") == []


async def test_both_measurements_are_stopped_when_the_driver_is_cancelled() -> None:
    async with ward() as w:
        async with running(w.driver.run(w.sink)):
            await w.ppg(1)
            assert w.band.streaming_ppg
        assert not any((w.band.streaming_ppg, w.band.streaming))


async def test_a_link_that_is_cut_loses_what_was_sent_meanwhile_and_counts_it_to_the_sample() -> None:
    async with ward() as w:

        async def cut() -> None:
            await w.ppg(4)
            w.band.disappear()

        async with running(cut()):
            assert isinstance(await ended(w.driver, w.sink), LinkError)
        before = len(w.blocks("ppg"))
        w.band.reappear()
        async with running(w.driver.run(w.sink)):
            await w.ppg(before + 3)
    ppg, sent = w.blocks("ppg"), np.array(w.worn.upright)
    at = place_of(ppg[0], sent)
    for block in ppg:
        at += block.lost_before
        assert np.allclose(block.data, sent[at : at + len(block.data)], atol=0.1)
        at += len(block.data)
    assert ppg[before].lost_before > 0
    assert [block.lost_before for block in (*ppg[:before], *ppg[before + 1 :])] == [0] * (len(ppg) - 1)


async def test_a_band_that_declares_135_hz_and_sends_55_is_believed_by_its_time_stamps() -> None:
    async with ward() as w:
        w.band.faults.declared_ppg_hz = 135
        async with running(w.driver.run(w.sink)):
            await w.ppg(6)
    assert {block.rate_hz for block in w.blocks("ppg")} == {55.0}
    assert sum(block.lost_before for block in w.blocks("ppg")) == 0
    assert sum(len(block.data) for block in w.blocks("ppg")) >= 6 * PPG_FRAME_SAMPLES


async def test_refused_ppg_is_told_once_and_costs_neither_acceleration_nor_pulse() -> None:
    async with ward() as w:
        w.band.faults.ppg_refused = True
        async with running(w.driver.run(w.sink)):
            await w.sink.until(lambda: len(w.blocks("acc")) >= 4 and len(w.sink.values("heart_rate")) >= 2)
            refused = {"reason": "PPG refused: invalid state", "active": True}
            assert [(event.kind, event.detail) for event in w.sink.events] == [("device_fault", refused)]
            w.band.faults.ppg_refused = False
            await w.ppg(1)  # asked for again after a minute of the band's time
            assert w.sink.events[-1].detail == refused | {"active": False}


async def test_ppg_that_falls_silent_is_started_again_while_acceleration_goes_on() -> None:
    async with ward() as w, running(w.driver.run(w.sink)):
        await w.ppg(2)
        w.band.faults.mute_ppg = True
        await w.sink.until(lambda: bool(w.sink.events))
        assert w.sink.events[0].detail == {"reason": "no usable PPG", "active": True}
        told_before, acc_before = len(w.blocks("ppg")), len(w.blocks("acc"))
        w.band.faults.mute_ppg = False
        await w.ppg(told_before + 2)
        assert len(w.blocks("acc")) > acc_before
        assert w.sink.events[-1].detail == {"reason": "no usable PPG", "active": False}


# -- as far as the numbers --------------------------------------------------------------------------------------------


def numbers(blocks: list[SampleBlock]) -> dict[str, list[Measurement]]:
    """What the worker's chains make of a band's blocks."""
    chains = Chains()
    chains.describe(blocks[0].device, {"ppg": True, "position": "wrist"}, {})
    found: dict[str, list[Measurement]] = {}
    for block in blocks:
        for result in chains.feed(block):
            if isinstance(result, Measurement):
                found.setdefault(result.quantity, []).append(result)
    return found


async def _streamed(bpm: float, seconds: float, moves: Callable[[Ward], None]) -> list[SampleBlock]:
    async with ward(bpm) as w, running(w.driver.run(w.sink)):
        moves(w)
        await w.sink.until(lambda: sum(len(block.data) for block in w.blocks("ppg")) >= 55 * seconds)
    return w.sink.blocks


@pytest.mark.parametrize("bpm", [52.0, 88.0])
async def test_a_still_wrist_gives_the_bed_its_own_pulse_and_intervals_through_the_driver(bpm: float) -> None:
    found = numbers(await _streamed(bpm, 40, lambda w: None))
    rates = [one.value for one in found["pulse_rate"]]
    assert len(rates) >= 10
    assert np.median(rates) == pytest.approx(bpm, abs=1.0)
    assert np.median([one.value for one in found["ibi"]]) == pytest.approx(60_000 / bpm, abs=25)
    assert {one.bed for one in (*found["pulse_rate"], *found["ibi"])} == {"b-1"}


async def test_a_wrist_that_swings_gives_neither_pulse_nor_intervals() -> None:
    def swing(w: Ward) -> None:
        w.worn.swings = True

    found = numbers(await _streamed(66.0, 30, swing))
    assert "pulse_rate" not in found
    assert "ibi" not in found
