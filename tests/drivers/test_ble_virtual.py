"""The virtual stack: bleak's public interface over a controller in another process, and what a radio can do to it."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from bleak.backends.device import BLEDevice
from bleak.exc import BleakDeviceNotFoundError
from bumble import hci
from bumble.att import Attribute
from bumble.core import UUID
from bumble.gatt import Characteristic, CharacteristicValue, Service

from drivers.ble_link import Advert, BleAdapter, backend_virtual
from drivers.ble_virtual_ward import Peripheral, RadioSpace
from drivers.bthome.driver import BthomeDriver
from drivers.polar_pmd.driver import PolarDriver
from gateway.core.clock import SystemClock
from gateway.core.errors import LinkError, PairingError
from tests.drivers.ble_ward import (
    WAIT_S,
    RecordingSink,
    device,
    ended,
    radio_space,
    running,
    scanning_adapter,
)
from tests.drivers.ble_ward_process import BAND, BUTTON

ADDRESS = "F3:00:00:00:00:03"
ABSENT = "F3:00:00:00:00:77"
SERVICE, PLAIN, SLOW, SECRET = (f"c0de000{number}-0000-4000-8000-00805f9b34fb" for number in range(1, 5))


@dataclass
class WardProcess:
    """The other process, and its HCI port."""

    process: asyncio.subprocess.Process
    port: int

    async def tell(self, order: str) -> None:
        """Return when the order has been carried out."""
        assert self.process.stdin is not None
        self.process.stdin.write(order.encode() + b"\n")
        assert await self._line() == order

    async def _line(self) -> str:
        assert self.process.stdout is not None
        async with asyncio.timeout(WAIT_S):
            return (await self.process.stdout.readline()).decode().strip()


@asynccontextmanager
async def ward_process() -> AsyncIterator[WardProcess]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.drivers.ble_ward_process", stdin=pipe, stdout=pipe
    )
    ward = WardProcess(process, 0)
    try:
        ward.port = int(await ward._line())
        yield ward
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_across_two_processes_a_band_streams_is_lost_and_comes_back_and_sos_is_heard() -> None:
    clock, sink = SystemClock(), RecordingSink()
    async with ward_process() as ward, scanning_adapter(ward.port) as adapter:
        band = PolarDriver(device("polar_pmd", BAND), adapter, clock)
        button = BthomeDriver(device("bthome", BUTTON, purpose="sos"), adapter, clock)
        async with running(button.run(sink)):
            async with running(_tell_after_block(ward, sink, "cut")):
                error = await ended(band, sink)
            assert isinstance(error, LinkError)
            await ward.tell("press")
            await ward.tell("back")
            before = len(sink.blocks)
            async with running(band.run(sink)):
                await sink.until(lambda: len(sink.blocks) > before)
                await sink.until(lambda: bool(sink.values("heart_rate")))
    assert sink.kinds() == ["sos_pressed"]
    last, first = sink.blocks[before - 1], sink.blocks[before]
    taken = first.start.since_s(last.start) * first.rate_hz
    assert taken == pytest.approx(len(last.data) + first.lost_before, abs=2)


async def _tell_after_block(ward: WardProcess, sink: RecordingSink, order: str) -> None:
    await sink.until(lambda: bool(sink.blocks))
    await ward.tell(order)


async def test_a_restarted_daemon_finds_a_fresh_controller_and_the_same_band() -> None:
    clock = SystemClock()
    async with ward_process() as ward:
        for _ in range(3):
            sink = RecordingSink()
            async with scanning_adapter(ward.port) as adapter:
                driver = PolarDriver(device("polar_pmd", BAND), adapter, clock)
                async with running(driver.run(sink)):
                    await sink.until(lambda: bool(sink.blocks))  # noqa: B023 - awaited within the round


async def test_an_adapter_that_is_pulled_out_ends_its_run_and_its_connections() -> None:
    clock, sink = SystemClock(), RecordingSink()
    async with ward_process() as ward:
        adapter = _adapter(ward.port)
        scan = asyncio.create_task(adapter.run())
        driver = PolarDriver(device("polar_pmd", BAND), adapter, clock)
        async with running(_tell_after_block(ward, sink, "unplug")):
            error = await ended(driver, sink)
        assert isinstance(error, LinkError)
        with pytest.raises(LinkError, match="has gone"):
            await asyncio.wait_for(scan, WAIT_S)


async def test_an_adapter_that_was_pulled_out_and_put_back_is_used_again() -> None:
    async with radio_space() as (space, port):
        await gadget(space)
        adapter = _adapter(port)
        for _ in range(2):
            scan = asyncio.create_task(adapter.run())
            async with adapter.connect(ADDRESS) as gatt:
                assert await gatt.read(PLAIN) == b"plain"
            space.drop_hosts()
            with pytest.raises(LinkError, match="has gone"):
                await asyncio.wait_for(scan, WAIT_S)


async def test_no_controller_behind_the_port_is_a_link_error_with_a_hint() -> None:
    async with radio_space() as (_, port):
        pass
    with pytest.raises(LinkError) as caught:
        await _adapter(port).run()
    assert "controller" in caught.value.hint


def _adapter(port: int) -> BleAdapter:
    return BleAdapter("virtual", SystemClock(), backend_virtual(f"tcp-client:127.0.0.1:{port}"))


async def slow_read(_connection: Any) -> bytes:
    await asyncio.Event().wait()
    return b""


async def gadget(space: RadioSpace) -> Peripheral:
    """A device with a plain, a never answering and an encrypted characteristic."""
    properties = Characteristic.Properties
    plain = Characteristic(UUID(PLAIN), properties.READ | properties.NOTIFY, Attribute.READABLE, b"plain")
    slow = Characteristic(UUID(SLOW), properties.READ, Attribute.READABLE, CharacteristicValue(read=slow_read))
    secured = Attribute.READABLE | Attribute.READ_REQUIRES_ENCRYPTION
    secret = Characteristic(UUID(SECRET), properties.READ, secured, b"secret")
    service = Service(UUID(SERVICE), [plain, slow, secret])
    return await space.add_peripheral(ADDRESS, "gadget", [service], [UUID("180D")])


async def test_adverts_carry_name_services_and_strength_and_no_service_twice() -> None:
    heard: asyncio.Queue[Advert] = asyncio.Queue()
    async with radio_space() as (space, port), scanning_adapter(port) as adapter:
        await gadget(space)
        adapter.subscribe(ADDRESS, heard.put_nowait)
        advert = await asyncio.wait_for(heard.get(), WAIT_S)
    assert (advert.address, advert.name) == (ADDRESS, "gadget")
    assert advert.service_uuids == ("0000180d-0000-1000-8000-00805f9b34fb",)
    assert -127 <= advert.rssi_dbm <= 20


async def test_a_characteristic_is_read_and_a_missing_one_is_a_link_error() -> None:
    async with radio_space() as (space, port), scanning_adapter(port) as adapter:
        await gadget(space)
        async with adapter.connect(ADDRESS) as gatt:
            assert await gatt.read(PLAIN) == b"plain"
            assert not gatt.has(SERVICE.replace("0001", "0009"))
            with pytest.raises(LinkError, match=r"stale|not found") as caught:
                await gatt.read(SERVICE.replace("0001", "0009"))
            assert "cache" in caught.value.hint


async def test_an_encrypted_characteristic_without_a_bond_needs_a_person() -> None:
    async with radio_space() as (space, port), scanning_adapter(port) as adapter:
        await gadget(space)
        async with adapter.connect(ADDRESS) as gatt:
            with pytest.raises(PairingError) as caught:
                await gatt.read(SECRET)
            assert "pair" in caught.value.hint
            await gatt.client.pair()
            assert await gatt.read(SECRET) == b"secret"


async def test_a_bond_outlives_the_connection_and_the_adapter_and_the_next_link_is_encrypted_by_itself() -> None:
    async with radio_space() as (space, port):
        peer = await gadget(space)
        adapter = _adapter(port)
        async with running(adapter.run()):
            async with adapter.connect(ADDRESS) as gatt:
                await gatt.pair()
                assert await gatt.read(SECRET) == b"secret"
                peer.disappear()
                await asyncio.wait_for(gatt.gone(), WAIT_S)
            peer.reappear()
            async with adapter.connect(ADDRESS) as gatt:
                assert await gatt.read(SECRET) == b"secret"
        async with running(adapter.run()), adapter.connect(ADDRESS) as gatt:
            assert await gatt.read(SECRET) == b"secret"
            await gatt.pair()
            (connection,) = peer.device.connections.values()
            assert connection.sc
            assert connection.is_encrypted


async def test_a_device_that_has_forgotten_its_bond_needs_a_person() -> None:
    async with radio_space() as (space, port), scanning_adapter(port) as adapter:
        peer = await gadget(space)
        async with adapter.connect(ADDRESS) as gatt:
            await gatt.pair()
        peer.device.keystore.all_keys.clear()
        with pytest.raises(PairingError):
            async with adapter.connect(ADDRESS) as gatt:
                await gatt.read(SECRET)


async def test_a_call_in_flight_when_the_device_disappears_is_a_link_error_and_no_cancellation() -> None:
    async with radio_space() as (space, port), scanning_adapter(port) as adapter:
        peer = await gadget(space)
        async with adapter.connect(ADDRESS) as gatt:
            reading = asyncio.create_task(gatt.read(SLOW))
            for _ in range(20):
                await gatt.read(PLAIN) if reading.done() else await asyncio.sleep(0.005)
            peer.disappear()
            with pytest.raises(LinkError, match="ended during the call"):
                await asyncio.wait_for(reading, WAIT_S)
            await asyncio.wait_for(gatt.gone(), WAIT_S)


async def test_a_device_that_hangs_up_ends_the_wait_for_its_next_notification() -> None:
    async with radio_space() as (space, port), scanning_adapter(port) as adapter:
        peer = await gadget(space)
        async with adapter.connect(ADDRESS) as gatt:
            await gatt.notify(PLAIN)
            waiting = asyncio.create_task(gatt.next(60.0))
            await peer.hang_up()
            with pytest.raises(LinkError, match="connection lost"):
                await asyncio.wait_for(waiting, WAIT_S)


async def test_an_absent_device_is_not_found_within_the_backends_own_time_out() -> None:
    async with radio_space() as (space, port), scanning_adapter(port) as adapter:
        await gadget(space)
        client = await _client_of(adapter, ABSENT, timeout_s=0.3)
        with pytest.raises(BleakDeviceNotFoundError):
            await asyncio.wait_for(client.connect(), WAIT_S)
        async with adapter.connect(ADDRESS) as gatt:
            assert await gatt.read(PLAIN) == b"plain"


async def test_a_connect_that_was_cancelled_does_not_block_the_next_one() -> None:
    async with radio_space() as (space, port), scanning_adapter(port) as adapter:
        await gadget(space)
        client = await _client_of(adapter, ABSENT, timeout_s=60.0)
        attempt = asyncio.create_task(client.connect())
        await asyncio.sleep(0.05)
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        async with adapter.connect(ADDRESS) as gatt:
            assert await gatt.read(PLAIN) == b"plain"


async def _client_of(adapter: BleAdapter, address: str, *, timeout_s: float) -> Any:
    async with asyncio.timeout(WAIT_S):
        while adapter.health.adverts == 0:
            await asyncio.sleep(0.01)
    assert adapter._radio is not None
    target = BLEDevice(address, None, hci.Address(address, hci.Address.RANDOM_DEVICE_ADDRESS))
    return adapter._radio.client(target, lambda _client: None, timeout_s)


async def test_twenty_connections_one_after_the_other_leave_nothing_behind() -> None:
    async with radio_space() as (space, port), scanning_adapter(port) as adapter:
        peer = await gadget(space)
        for _ in range(20):
            async with adapter.connect(ADDRESS) as gatt:
                assert await gatt.read(PLAIN) == b"plain"
        assert adapter.health.connects == 20
        assert adapter.health.connected == set()
        async with asyncio.timeout(WAIT_S):
            while peer.connected:
                await asyncio.sleep(0.01)


async def test_garbage_on_the_hci_port_does_not_disturb_the_others() -> None:
    async with radio_space() as (space, port), scanning_adapter(port) as adapter:
        await gadget(space)
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(bytes(range(1, 256)) * 20)
        await writer.drain()
        writer.close()
        async with adapter.connect(ADDRESS) as gatt:
            assert await gatt.read(PLAIN) == b"plain"
