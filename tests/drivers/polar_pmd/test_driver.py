"""A band on a real Bluetooth stack behind a TCP transport: streaming, every refusal, and every way to lose it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from drivers.ble_link import BleAdapter
from drivers.ble_virtual_ward import RadioSpace
from drivers.polar_pmd.driver import FAMILY, PolarDriver
from drivers.polar_pmd.peer import FRAME_SAMPLES, PolarBand
from gateway.core.clock import ScaledClock, SystemClock
from gateway.core.errors import LinkError
from tests.drivers.ble_ward import (
    RecordingSink,
    device,
    ended,
    lying_still,
    pulse_of,
    radio_space,
    running,
    scanning_adapter,
)

ADDRESS = "F1:00:00:00:00:01"
SPEED = 20.0  # the band's second in real time is 50 ms: a real stack carries it, and the tests are quick


def fast_clock() -> ScaledClock:
    return ScaledClock(SPEED, origin_real_ns=SystemClock().real_ns(), origin_utc_ns=0)


@dataclass
class Ward:
    """A band, an adapter and the driver between them, not yet running."""

    clock: ScaledClock
    space: RadioSpace
    band: PolarBand
    adapter: BleAdapter
    driver: PolarDriver
    sink: RecordingSink

    async def frames(self, count: int) -> None:
        await self.sink.until(lambda: len(self.sink.blocks) >= count)


@asynccontextmanager
async def ward(
    acceleration: Callable[[int], NDArray[np.floating]] = lying_still, *, compressed: bool = True
) -> AsyncIterator[Ward]:
    clock = fast_clock()
    async with radio_space() as (space, port):
        band = PolarBand(space, clock, ADDRESS, acceleration, pulse_of(60), compressed=compressed)
        await band.start()
        async with scanning_adapter(port, clock) as adapter, running(band.run()):
            driver = PolarDriver(device("polar_pmd", ADDRESS), adapter, clock)
            yield Ward(clock, space, band, adapter, driver, RecordingSink())


class Ramp:
    """Acceleration that tells each sample from the next: counts up in mG on x."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, n: int) -> NDArray[np.float64]:
        x = (np.arange(self.count, self.count + n) % 8000) / 1000
        self.count += n
        return np.stack([x, np.zeros(n), np.ones(n)], axis=1)


@pytest.mark.parametrize("compressed", [True, False])
async def test_acceleration_arrives_unchanged_and_pulse_comes_over_the_same_connection(compressed: bool) -> None:
    async with ward(Ramp(), compressed=compressed) as w, running(w.driver.run(w.sink)):
        await w.frames(6)
        await w.sink.until(lambda: bool(w.sink.values("heart_rate")))
    blocks = w.sink.blocks
    x_mg = np.concatenate([np.round(block.data[:, 0] * 1000) for block in blocks])
    assert np.array_equal(np.diff(x_mg), np.ones(len(x_mg) - 1))
    first = blocks[0]
    assert (first.channel, first.unit, first.rate_hz, first.bed) == ("acc", "[g]", 52.0, "b-1")
    assert first.data.shape == (FRAME_SAMPLES, 3)
    assert first.data.dtype == np.float32
    assert sum(block.lost_before for block in blocks) == 0
    assert set(w.sink.values("heart_rate")) == {60}
    assert w.sink.values("battery") == [87]
    assert w.sink.rejections == []


async def test_the_band_is_told_to_stop_when_the_driver_is_cancelled() -> None:
    async with ward() as w:
        async with running(w.driver.run(w.sink)):
            await w.frames(1)
            assert w.band.streaming
        assert not w.band.streaming


async def test_a_stream_left_running_by_an_earlier_client_is_stopped_and_started_anew() -> None:
    async with ward() as w:
        w.band.streaming = True
        async with running(w.driver.run(w.sink)):
            await w.frames(2)
    assert w.sink.events == []


async def test_notifications_lost_on_the_air_are_counted_to_the_sample() -> None:
    async with ward() as w, running(w.driver.run(w.sink)):
        await w.frames(3)
        before = len(w.sink.blocks)
        w.band.faults.lose_frames = 2
        await w.frames(before + 2)
    assert sum(block.lost_before for block in w.sink.blocks) == 2 * FRAME_SAMPLES


async def test_frames_whose_timestamp_does_not_advance_are_dropped_and_counted_as_lost() -> None:
    async with ward() as w, running(w.driver.run(w.sink)):
        await w.frames(3)
        w.band.faults.stale_frames = 2
        await w.sink.until(lambda: len(w.sink.rejections) >= 2)
        await w.frames(len(w.sink.blocks) + 1)
    assert {reason for _, reason, _ in w.sink.rejections} == {"acc_timestamp_not_newer"}
    assert len(w.sink.rejections) == 2
    assert sum(block.lost_before for block in w.sink.blocks) == 2 * FRAME_SAMPLES


async def test_a_band_whose_clock_was_set_goes_on_and_is_reported_once() -> None:
    async with ward() as w, running(w.driver.run(w.sink)):
        await w.frames(2)
        w.band.faults.clock_offset_ns = 7 * 365 * 86_400 * 10**9
        await w.sink.until(lambda: bool(w.sink.events))
        await w.frames(len(w.sink.blocks) + 2)
    assert [(event.kind, event.detail["reason"]) for event in w.sink.events] == [
        ("device_fault", "the band's clock jumped")
    ]
    ages_s = [w.clock.now().since_s(block.start) for block in w.sink.blocks]
    assert max(ages_s) < 3600


async def test_out_of_range_is_a_link_error_and_after_the_return_the_missed_samples_are_counted() -> None:
    async with ward(Ramp()) as w:
        async with running(_cut_after(w, 3)):
            error = await ended(w.driver, w.sink)
        assert isinstance(error, LinkError)
        assert error.hint
        before = len(w.sink.blocks)
        w.band.reappear()
        async with running(w.driver.run(w.sink)):
            await w.frames(before + 2)
    last, first = w.sink.blocks[before - 1], w.sink.blocks[before]
    missed = round(float(first.data[0, 0] - last.data[-1, 0]) * 1000) - 1
    assert first.lost_before == missed % 8000
    assert missed > 0


async def _cut_after(w: Ward, frames: int) -> None:
    await w.frames(frames)
    w.band.disappear()


async def test_a_band_in_its_charger_is_sensor_off_once_and_says_what_to_do() -> None:
    async with ward() as w:
        w.band.faults.in_charger = True
        errors = [await ended(w.driver, w.sink), await ended(w.driver, w.sink)]
        assert all(isinstance(error, LinkError) and "charger" in error.hint for error in errors)
        assert w.sink.kinds() == ["sensor_off"]
        w.band.faults.in_charger = False
        async with running(w.driver.run(w.sink)):
            await w.frames(1)


async def test_a_measurement_that_the_band_stopped_by_itself_is_started_again() -> None:
    async with ward() as w, running(w.driver.run(w.sink)):
        await w.frames(2)
        w.band.stop_by_itself()
        await w.frames(len(w.sink.blocks) + 3)
        assert w.band.streaming
    assert w.sink.events == []


async def test_a_full_memory_costs_the_acceleration_but_not_the_pulse() -> None:
    async with ward() as w, running(w.driver.run(w.sink)):
        w.band.faults.disk_full = True
        await w.sink.until(lambda: len(w.sink.values("heart_rate")) >= 2)
        refused = {"reason": "acceleration refused: memory full", "active": True}
        assert [(event.kind, event.detail) for event in w.sink.events] == [("device_fault", refused)]
        w.band.faults.disk_full = False
        await w.frames(1)  # asked for again after a minute of the band's time
        assert w.sink.events[-1].detail == refused | {"active": False}


async def test_acceleration_that_falls_silent_breaks_the_link_though_the_pulse_goes_on() -> None:
    async with ward() as w:

        async def mute() -> None:
            await w.frames(2)
            w.band.faults.mute = True

        async with running(mute()):
            error = await ended(w.driver, w.sink)
    assert isinstance(error, LinkError)
    assert "no usable acceleration" in str(error)


async def test_four_bands_stream_at_once() -> None:
    clock = fast_clock()
    async with radio_space() as (space, port), scanning_adapter(port, clock) as adapter:
        addresses = [f"F1:00:00:00:00:{number:02X}" for number in range(1, 5)]
        bands = [PolarBand(space, clock, address, Ramp(), pulse_of(60)) for address in addresses]
        await asyncio.gather(*(band.start() for band in bands))
        worn = [replace(device("polar_pmd", address), model="verity_sense") for address in addresses]
        drivers = [FAMILY.make([one], adapter, clock) for one in worn]
        sink = RecordingSink()
        async with running(*(band.run() for band in bands), *(driver.run(sink) for driver in drivers)):
            ids = [driver.devices[0].id for driver in drivers]
            await sink.until(lambda: all(sum(b.device == one for b in sink.blocks) >= 5 for one in ids))
            assert len(adapter.health.connected) == 4
    assert sum(block.lost_before for block in sink.blocks) == 0
    assert sink.rejections == []
