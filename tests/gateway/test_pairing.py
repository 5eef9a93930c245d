"""Pairing from order to bond: over the virtual radio and against a fake bluetoothd, with every way it can fail told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from bumble.pairing import PairingConfig, PairingDelegate

from drivers.base import Device, Sink
from drivers.ble_link import BleAdapter, backend_bluez
from drivers.ble_virtual_ward import RadioSpace
from drivers.bluez_host import BluezHost
from drivers.gatt_peer import GattPeer
from gateway.core.clock import Clock, ManualClock, SystemClock
from gateway.core.errors import PairingError
from gateway.core.model import Event
from gateway.pair_state import OVER, Step
from gateway.pairing import PairingDesk
from gateway.supervise import PAIRING_BACKOFF_S, Supervisor
from tests.drivers.ble_ward import (
    WAIT_S,
    RecordingSink,
    SilentRadio,
    adapter_with,
    radio_space,
    running,
    scanning_adapter,
)
from tests.drivers.fake_bluez import FakeBluez, advertising, fake_bluez
from tests.drivers.fake_bluez_objects import FakeDevice
from tests.drivers.gatt_house import paris

ADDRESS = "F1:00:00:00:00:2B"
CUFF = Device("cuff", "bls", "omron_hem9200t", "radio", "b-1", ADDRESS)
BUTTON = Device("button", "bthome", "shelly_blu_button1", "radio", "b-1", "F1:00:00:00:00:2C")
BELT = Device("belt", "bed_belt", "open_belt_1", "belt-1", "b-1")
PULSE = "00002a37-0000-1000-8000-00805f9b34fb"


class Bench:
    """A desk over one adapter, with everything it told and committed."""

    def __init__(self, adapter: BleAdapter, clock: Clock) -> None:
        self.events: list[Event] = []
        self.booked: list[tuple[str, bytes]] = []
        self.bonded: list[str] = []
        self.desk = PairingDesk(
            clock, (CUFF, BUTTON, BELT), {"radio": adapter}, self._book, self.events.append,
            transport=lambda device: {"bls": "ble-gatt", "bthome": "ble-adv"}.get(device.family, "serial"),
            on_bonded=self.bonded.append,
        )  # fmt: skip

    async def _book(self, key: str, order: bytes) -> None:
        assert self.events == []  # committed before anything happens
        self.booked.append((key, order))

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not true():
                await asyncio.sleep(0.01)

    async def over(self) -> Step:
        await self.until(lambda: self.desk.state().step in OVER)
        return Step(self.desk.state().step)

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


@asynccontextmanager
async def cuff_in_the_air() -> AsyncIterator[tuple[GattPeer, RadioSpace, BleAdapter, Bench]]:
    clock = SystemClock()
    async with radio_space() as (space, port), scanning_adapter(port, clock) as adapter:
        peer = GattPeer(space, clock, ADDRESS, "1810", "2A35", lambda: paris(clock))
        await peer.start()
        bench = Bench(adapter, clock)
        async with running(bench.desk.run()):
            yield peer, space, adapter, bench


class Refusing(PairingDelegate):  # type: ignore[misc]  # bumble is not type-checked
    """A device that is not in its pairing mode."""

    async def accept(self) -> bool:
        return False


def refuse(peer: GattPeer) -> None:
    peer.peripheral.device.pairing_config_factory = lambda _: PairingConfig(delegate=Refusing())


async def test_a_device_is_paired_over_the_air_committed_before_and_told_afterwards() -> None:
    async with cuff_in_the_air() as (peer, _, _, bench):
        assert await bench.desk.start("cuff", "N-12", "api", 30.0) == ""
        assert await bench.over() is Step.BONDED
        assert await peer.peripheral.device.keystore.get_all()
    ((key, order),) = bench.booked
    assert key.startswith("pair-")
    assert b"N-12" in order
    assert bench.kinds() == ["pairing_started", "device_bonded"]
    assert bench.events[0].detail == {"by": "N-12", "via": "api"}
    assert bench.bonded == ["cuff"]


async def test_a_bond_refused_by_the_device_is_a_pairing_error_with_a_hint() -> None:
    async with cuff_in_the_air() as (peer, _, adapter, _):
        refuse(peer)
        async with asyncio.timeout(WAIT_S), adapter.connect(ADDRESS) as gatt:
            with pytest.raises(PairingError) as caught:
                await gatt.pair()
    assert "AuthenticationFailed" in str(caught.value)
    assert "pair the device again" in caught.value.hint


async def test_a_refused_pairing_is_told_with_reason_and_hint() -> None:
    async with cuff_in_the_air() as (peer, _, _, bench):
        refuse(peer)
        await bench.desk.start("cuff", "N-12", "api", 30.0)
        assert await bench.over() is Step.FAILED
    state = bench.desk.state()
    assert "AuthenticationFailed" in state.reason
    assert "pair the device again" in state.hint
    assert bench.kinds() == ["pairing_started", "pairing_failed"]
    assert bench.events[1].detail == {"reason": state.reason, "hint": state.hint}
    assert bench.bonded == []


async def test_a_link_that_the_driver_holds_is_paired_and_left_to_it() -> None:
    async with cuff_in_the_air() as (_, _, adapter, bench), adapter.connect(ADDRESS) as gatt:
        await bench.desk.start("cuff", "N-12", "api", 30.0)
        assert await bench.over() is Step.BONDED
        assert gatt.client.is_connected
        assert adapter.health.connects == 1


async def test_while_a_person_pairs_a_device_its_driver_waits() -> None:
    async with cuff_in_the_air() as (_, _, adapter, _):
        order: list[str] = []

        async def drive() -> None:
            async with adapter.connect(ADDRESS):
                order.append("driver")

        async with asyncio.timeout(WAIT_S), adapter.reservations.hold(ADDRESS):
            driver = asyncio.create_task(drive())
            async with adapter.connect(ADDRESS, reserved=True) as gatt:
                await gatt.pair()
                order.append("person")
        await asyncio.wait_for(driver, WAIT_S)
    assert order == ["person", "driver"]


async def test_a_device_that_is_not_heard_ends_the_window_with_what_to_do() -> None:
    clock = ManualClock()
    adapter = adapter_with(SilentRadio(), clock)
    bench = Bench(adapter, clock)
    async with running(adapter.run(), bench.desk.run()):
        await bench.desk.start("cuff", "N-12", "api", 20.0)
        await clock.advance(10.0)
        assert bench.desk.state().step == Step.WAITING
        assert bench.desk.state().left_s == 10.0
        await clock.advance(11.0)
    state = bench.desk.state()
    assert (state.step, state.left_s) == (Step.FAILED, 0.0)
    assert "switch it on" in state.hint


@pytest.mark.parametrize(
    ("device", "doubt"),
    [("nobody", "device_unknown"), ("button", "device_bonds_not"), ("belt", "device_bonds_not")],
)
async def test_what_cannot_be_paired_is_refused_and_not_committed(device: str, doubt: str) -> None:
    clock = ManualClock()
    bench = Bench(adapter_with(SilentRadio(), clock), clock)
    assert await bench.desk.start(device, "N-12", "api", 20.0) == doubt
    assert (bench.booked, bench.events) == ([], [])


async def test_a_second_pairing_waits_for_the_end_of_the_first() -> None:
    clock = ManualClock()
    adapter = adapter_with(SilentRadio(), clock)
    bench = Bench(adapter, clock)
    async with running(adapter.run(), bench.desk.run()):
        await bench.desk.start("cuff", "N-12", "api", 20.0)
        assert await bench.desk.start("cuff", "N-13", "api", 20.0) == "pairing_busy"
        await clock.advance(21.0)
        bench.events.clear()
        assert await bench.desk.start("cuff", "N-13", "api", 20.0) == ""


async def test_an_error_that_nobody_foresaw_ends_the_pairing_in_words_and_the_next_one_may_begin(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def breaks(*_: object) -> None:
        raise KeyError("Adapter1")

    async with cuff_in_the_air() as (_, _, _, bench):
        with monkeypatch.context() as patch:
            patch.setattr(bench.desk, "_pair", breaks)
            assert await bench.desk.start("cuff", "N-12", "api", 30.0) == ""
            assert await bench.over() is Step.FAILED
        assert "KeyError" in bench.desk.state().reason
        assert "Traceback" in caplog.text
        assert bench.desk.doubt("cuff") == ""
    assert bench.kinds() == ["pairing_started", "pairing_failed"]


async def test_a_stop_of_the_box_breaks_a_pairing_off() -> None:
    clock = ManualClock()
    adapter = adapter_with(SilentRadio(), clock)
    bench = Bench(adapter, clock)
    async with running(adapter.run()):
        async with running(bench.desk.run()):
            await clock.advance(0.1)
            await bench.desk.start("cuff", "N-12", "api", 20.0)
            await clock.advance(0.1)
        assert bench.desk.state().step == Step.FAILED


async def test_a_device_that_was_paired_is_tried_at_once_and_not_after_five_minutes() -> None:
    clock, starts = ManualClock(), []

    class Unbonded:
        devices = (CUFF,)

        async def run(self, sink: Sink) -> None:
            starts.append(clock.now())
            raise PairingError("no bond", hint="carebed pair cuff")

    supervisor = Supervisor(Unbonded(), RecordingSink(), clock)
    async with running(supervisor.run()):
        await clock.advance(PAIRING_BACKOFF_S - 1)
        assert len(starts) == 1
        supervisor.wake()
        await clock.advance(0.1)
        assert len(starts) == 2
    assert supervisor.answers_for("cuff")


# -- with a person, against BlueZ's words ------------------------------------------------------------------------------


@pytest.fixture
async def bluez(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeBluez]:
    async with fake_bluez(tmp_path, monkeypatch) as fake:
        yield fake


@asynccontextmanager
async def box(bluez: FakeBluez, *, enrolled: bool = True, **more: Any) -> AsyncIterator[tuple[Bench, FakeDevice]]:
    clock = SystemClock()
    adapter = BleAdapter("radio", clock, backend_bluez("hci0"))
    bench = Bench(adapter, clock)
    host = BluezHost(
        clock, ["hci0"], allowed=lambda address: enrolled and address == ADDRESS, on_event=bench.events.append,
        person=bench.desk,
    )  # fmt: skip
    bench.desk.expect = host.agent.expect
    device = bluez.add_device(ADDRESS, PULSE, **more)
    async with AsyncExitStack() as stack:
        for running_part in (running(host.run(), adapter.run(), bench.desk.run()), advertising(bluez, device)):
            await stack.enter_async_context(running_part)
        await bench.until(lambda: bluez.agent is not None)
        yield bench, device


async def test_the_passkey_that_a_person_reads_from_the_device_makes_the_bond(bluez: FakeBluez) -> None:
    async with box(bluez, passkey=4711) as (bench, device):
        await bench.desk.start("cuff", "N-12", "api", 30.0)
        await bench.until(lambda: bench.desk.state().step == Step.PASSKEY)
        assert bench.desk.answer(1_000_000, agrees=None) == "passkey_invalid"
        assert bench.desk.answer(4711, agrees=None) == ""
        assert await bench.over() is Step.BONDED
        await bench.until(lambda: "device_bonded" in bench.kinds())
    assert device.bonded
    assert bench.kinds() == ["pairing_started", "device_bonded"]
    assert b"4711" not in b"".join(order for _, order in bench.booked)


async def test_a_wrong_passkey_fails_with_a_hint_and_the_next_try_is_asked_again(bluez: FakeBluez) -> None:
    async with box(bluez, passkey=4711) as (bench, device):
        for digits, outcome in ((4712, Step.FAILED), (4711, Step.BONDED)):
            bench.events.clear()
            await bench.desk.start("cuff", "N-12", "api", 30.0)
            await bench.until(lambda: bench.desk.state().step == Step.PASSKEY)
            bench.desk.answer(digits, agrees=None)
            assert await bench.over() is outcome
            if outcome is Step.FAILED:
                assert "pair the device again" in bench.desk.state().hint
        assert device.bonded


async def test_without_a_pairing_nobody_types_and_the_device_is_refused_at_once(bluez: FakeBluez) -> None:
    async with box(bluez, passkey=4711) as (bench, device):
        async with asyncio.timeout(WAIT_S), bench.desk._radios["radio"].connect(ADDRESS) as gatt:
            with pytest.raises(PairingError):
                await gatt.pair()
        assert bench.desk.answer(4711, agrees=None) == "pairing_asks_not"
    assert not device.bonded


async def test_a_device_under_an_address_of_the_moment_may_bond_during_the_pairing(bluez: FakeBluez) -> None:
    async with box(bluez, enrolled=False) as (bench, device):
        await bench.desk.start("cuff", "N-12", "api", 30.0)
        assert await bench.over() is Step.BONDED
        await bench.until(lambda: "device_bonded" in bench.kinds())
    assert device.bonded


async def test_digits_are_shown_and_compared_by_the_person() -> None:
    clock = ManualClock()
    adapter = adapter_with(SilentRadio(), clock)
    bench = Bench(adapter, clock)
    async with running(adapter.run(), bench.desk.run()):
        await bench.desk.start("cuff", "N-12", "api", 60.0)
        bench.desk.show(ADDRESS, 42)
        assert (bench.desk.state().step, bench.desk.state().digits) == (Step.SHOW, "000042")
        for agrees in (True, False):
            same = asyncio.create_task(bench.desk.confirm(ADDRESS, 123_456))
            await clock.advance(0.1)
            assert (bench.desk.state().step, bench.desk.state().digits) == (Step.CONFIRM, "123456")
            assert bench.desk.answer(None, agrees=None) == "pairing_asks_not"
            assert bench.desk.answer(None, agrees=agrees) == ""
            assert await same is agrees
