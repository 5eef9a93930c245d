"""bleak's own BlueZ backend and ours, against a fake bluetoothd on a private bus."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from dbus_fast.annotations import DBusObjectPath, DBusStr
from dbus_fast.service import ServiceInterface, dbus_method

from drivers.ble_link import BleAdapter, Cures, backend_bluez
from drivers.bluez_bus import restart_bluetoothd
from drivers.bluez_sockets import dbus_sockets
from gateway.core.clock import SystemClock
from gateway.core.errors import LinkError, PairingError
from tests.drivers.ble_ward import WAIT_S, running
from tests.drivers.fake_bluez import FakeBluez, advertising, fake_bluez
from tests.drivers.fake_bluez_objects import HANG, FakeDevice

ADDRESS = "F1:00:00:00:00:01"
PULSE = "00002a37-0000-1000-8000-00805f9b34fb"
OTHER = "00002a38-0000-1000-8000-00805f9b34fb"
IN_PROGRESS = "org.bluez.Error.InProgress|Operation already in progress"
ABORTED = "org.bluez.Error.Failed|le-connection-abort-by-local"  # bleak itself tries again
CANCELED = "org.bluez.Error.Failed|br-connection-canceled"


@pytest.fixture
async def bluez(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeBluez]:
    async with fake_bluez(tmp_path, monkeypatch) as fake:
        yield fake


@asynccontextmanager
async def ward(bluez: FakeBluez, device: FakeDevice) -> AsyncIterator[BleAdapter]:
    """The device advertises, the adapter scans."""
    adapter = BleAdapter("onboard", SystemClock(), backend_bluez("hci0"))
    async with running(adapter.run()), advertising(bluez, device), asyncio.timeout(WAIT_S):
        yield adapter


async def test_a_device_is_heard_connected_read_and_notifies_and_its_end_is_noticed(bluez: FakeBluez) -> None:
    device = bluez.add_device(ADDRESS, PULSE)
    async with ward(bluez, device) as adapter, adapter.connect(ADDRESS) as gatt:
        assert await gatt.read(PULSE) == b"value"
        await gatt.notify(PULSE)
        device.exported[0].notify(b"beat")
        assert (await gatt.next(5.0)).data == b"beat"
        device.drop()
        await gatt.gone()
    assert adapter.health.connected == set()


async def test_a_connect_that_bluez_still_has_pending_is_cleared_once_by_removing_the_device(bluez: FakeBluez) -> None:
    device = bluez.add_device(ADDRESS, PULSE)
    device.answers.append(IN_PROGRESS)
    async with ward(bluez, device) as adapter, adapter.connect(ADDRESS) as gatt:
        assert await gatt.read(PULSE) == b"value"
    assert (device.removals, device.connects) == (1, 2)


async def test_a_connect_that_stays_pending_is_met_with_patience_and_no_second_removal(bluez: FakeBluez) -> None:
    device = bluez.add_device(ADDRESS, PULSE)
    device.answers.extend([IN_PROGRESS] * 2)
    async with ward(bluez, device) as adapter:
        with pytest.raises(LinkError, match="InProgress") as caught:
            await _touch(adapter)
        assert "minutes" in caught.value.hint
        assert 20.0 < adapter._patience.rest_s(ADDRESS) <= 36.0
    assert (device.removals, device.connects) == (1, 2)


async def test_a_bond_is_never_dropped_to_clear_a_pending_connect(bluez: FakeBluez) -> None:
    device = bluez.add_device(ADDRESS, PULSE, bonded=True)
    device.answers.append(IN_PROGRESS)
    async with ward(bluez, device) as adapter:
        with pytest.raises(LinkError, match="InProgress"):
            await _touch(adapter)
    assert device.removals == 0
    assert device.bonded
    assert device.disconnects > 0


@pytest.mark.parametrize("answer", [ABORTED, CANCELED])
async def test_an_abort_by_the_radio_itself_is_tried_again_at_once(bluez: FakeBluez, answer: str) -> None:
    device = bluez.add_device(ADDRESS, PULSE)
    device.answers.extend([answer] * 2)
    async with ward(bluez, device) as adapter, adapter.connect(ADDRESS) as gatt:
        assert await gatt.read(PULSE) == b"value"
    assert (device.connects, device.removals) == (3, 0)


async def test_a_refused_authentication_is_a_pairing_error(bluez: FakeBluez) -> None:
    device = bluez.add_device(ADDRESS, PULSE)
    device.answers.append("org.bluez.Error.AuthenticationFailed|Authentication Failed")
    async with ward(bluez, device) as adapter:
        with pytest.raises(PairingError, match="AuthenticationFailed"):
            await _touch(adapter)
    assert device.connects == 1


async def test_a_stale_service_cache_is_dropped_once_and_the_characteristic_found_again(bluez: FakeBluez) -> None:
    device = bluez.add_device(ADDRESS, PULSE, remembered=(OTHER,))
    async with ward(bluez, device) as adapter:
        with pytest.raises(LinkError, match="not found"):
            async with adapter.connect(ADDRESS) as gatt:
                await gatt.read(PULSE)
        assert device.removals == 1
        async with adapter.connect(ADDRESS) as gatt:
            assert await gatt.read(PULSE) == b"value"


async def test_a_model_that_lacks_the_characteristic_is_not_removed_again_and_again(bluez: FakeBluez) -> None:
    device = bluez.add_device(ADDRESS, OTHER)
    async with ward(bluez, device) as adapter:
        for _ in range(3):
            with pytest.raises(LinkError, match="not found"):
                async with adapter.connect(ADDRESS) as gatt:
                    await gatt.read(PULSE)
    assert device.removals == 1


async def test_an_object_that_bluez_has_dropped_is_waited_for_until_it_is_heard_again(bluez: FakeBluez) -> None:
    device = bluez.add_device(ADDRESS, PULSE)
    device.answers.append("org.freedesktop.DBus.Error.UnknownObject|Method doesn't exist")
    adapter = BleAdapter("onboard", SystemClock(), backend_bluez("hci0"))
    async with running(adapter.run()), asyncio.timeout(WAIT_S):
        while not adapter.health.adverts:
            bluez.advertise(device)
            await asyncio.sleep(0.01)
        with pytest.raises(LinkError, match="not found"):
            await _touch(adapter)
        with pytest.raises(LinkError, match="not heard"):
            await _touch(adapter, 0.1)
        assert device.connects == 1
        async with advertising(bluez, device), adapter.connect(ADDRESS) as gatt:
            assert await gatt.read(PULSE) == b"value"


async def _touch(adapter: BleAdapter, timeout_s: float = 5.0) -> None:
    async with adapter.connect(ADDRESS, timeout_s):
        pass


async def test_an_encrypted_read_without_a_bond_is_a_pairing_error(bluez: FakeBluez) -> None:
    device = bluez.add_device(ADDRESS, PULSE, read_error="org.bluez.Error.NotPermitted|Not paired")
    async with ward(bluez, device) as adapter, adapter.connect(ADDRESS) as gatt:
        with pytest.raises(PairingError):
            await gatt.read(PULSE)


async def test_a_connect_that_never_answers_ends_in_time_and_the_next_one_works(
    bluez: FakeBluez, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drivers.ble_link.CONNECT_ATTEMPT_S", 0.2)
    device = bluez.add_device(ADDRESS, PULSE)
    device.answers.append(HANG)
    async with ward(bluez, device) as adapter:
        with pytest.raises(LinkError, match="no connection within"):
            await _touch(adapter)
        async with adapter.connect(ADDRESS) as gatt:
            assert await gatt.read(PULSE) == b"value"


async def test_the_adapters_power_is_cycled_and_scan_and_device_come_back(bluez: FakeBluez) -> None:
    device = bluez.add_device(ADDRESS, PULSE)
    async with ward(bluez, device) as adapter:
        async with adapter.connect(ADDRESS) as gatt:
            cycling = asyncio.create_task(adapter._power_cycle())
            await gatt.gone()
            await cycling
        assert bluez.hci0.power_cycles == 1
        assert adapter._radio is not None


async def test_an_adapter_that_somebody_switches_off_ends_its_run_and_is_switched_on_by_the_next(
    bluez: FakeBluez,
) -> None:
    device = bluez.add_device(ADDRESS, PULSE)
    adapter = BleAdapter("onboard", SystemClock(), backend_bluez("hci0"))
    async with advertising(bluez, device), asyncio.timeout(WAIT_S):
        scan = asyncio.create_task(adapter.run())
        async with adapter.connect(ADDRESS):
            await asyncio.sleep(0)
        bluez.hci0._set_powered = False
        with pytest.raises(LinkError, match="has gone"):
            await scan
        async with running(adapter.run()), adapter.connect(ADDRESS) as gatt:
            assert await gatt.read(PULSE) == b"value"


async def test_a_restarted_bluetoothd_ends_the_run_and_the_next_run_finds_it(bluez: FakeBluez) -> None:
    adapter = BleAdapter("onboard", SystemClock(), backend_bluez("hci0"))
    device = bluez.add_device(ADDRESS, PULSE)
    async with asyncio.timeout(WAIT_S):
        scan = asyncio.create_task(adapter.run())
        async with advertising(bluez, device), adapter.connect(ADDRESS):
            await asyncio.sleep(0)
        await bluez.stop()
        with pytest.raises(LinkError, match="has gone"):
            await scan
        await bluez.start()
        async with running(adapter.run()), advertising(bluez, device), adapter.connect(ADDRESS) as gatt:
            assert await gatt.read(PULSE) == b"value"


@pytest.mark.parametrize("end", ["stop", "crash"])
async def test_a_bluetoothd_that_ends_under_a_connection_leaves_no_socket_and_the_next_one_connects(
    bluez: FakeBluez, end: str
) -> None:
    adapter = BleAdapter("onboard", SystemClock(), backend_bluez("hci0"))
    device = bluez.add_device(ADDRESS, PULSE)
    sockets: list[int] = []
    async with asyncio.timeout(WAIT_S):
        for _ in range(3):
            scan = asyncio.create_task(adapter.run())
            async with advertising(bluez, device), adapter.connect(ADDRESS) as gatt:
                assert await gatt.read(PULSE) == b"value"
                await (bluez.stop() if end == "stop" else bluez.crash())
                await gatt.gone()
            with pytest.raises(LinkError, match="has gone"):
                await scan
            sockets.append(dbus_sockets())
            await bluez.start()
    assert len(set(sockets)) == 1


async def test_a_bus_that_dies_ends_run_and_connection_with_a_hint(bluez: FakeBluez) -> None:
    adapter = BleAdapter("onboard", SystemClock(), backend_bluez("hci0"))
    device = bluez.add_device(ADDRESS, PULSE)
    async with asyncio.timeout(WAIT_S):
        scan = asyncio.create_task(adapter.run())
        async with advertising(bluez, device), adapter.connect(ADDRESS) as gatt:
            bluez.daemon.kill()
            await bluez.daemon.wait()
            await gatt.gone()
        with pytest.raises(LinkError, match="has gone"):
            await scan
        with pytest.raises(LinkError) as caught:
            await adapter.run()
    assert caught.value.hint
    assert dbus_sockets() == 0


async def test_an_adapter_that_is_deaf_from_the_start_hears_again_after_its_power_was_cycled(
    bluez: FakeBluez, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("ble_link", "ble_ladder"):
        monkeypatch.setattr(f"drivers.{module}.SILENCE_S", 0.2)
    device = bluez.add_device(ADDRESS, PULSE)
    bluez.hci0.deaf = True
    async with ward(bluez, device) as adapter, adapter.connect(ADDRESS) as gatt:
        assert await gatt.read(PULSE) == b"value"
    assert bluez.hci0.power_cycles == 1


async def test_an_adapter_that_only_a_new_bluetoothd_heals_gets_one_through_systemd(
    bluez: FakeBluez, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("ble_link", "ble_ladder"):
        monkeypatch.setattr(f"drivers.{module}.SILENCE_S", 0.2)
    device = bluez.add_device(ADDRESS, PULSE)
    bluez.hci0.deaf, bluez.hci0.heals_by_power = True, False
    systemd = Systemd()
    bluez.on_bus.export("/org/freedesktop/systemd1", systemd)
    await bluez.on_bus.request_name("org.freedesktop.systemd1")
    cures = Cures(restart_service=restart_bluetoothd)
    adapter = BleAdapter("onboard", SystemClock(), backend_bluez("hci0"), cures=cures)
    async with running(adapter.run()), advertising(bluez, device), asyncio.timeout(WAIT_S):
        adapter.subscribe(ADDRESS, lambda _: None)
        while not systemd.restarted:
            await asyncio.sleep(0.01)
    assert systemd.restarted == ["bluetooth.service"]
    assert bluez.hci0.power_cycles >= 1


class Systemd(ServiceInterface):
    """org.freedesktop.systemd1.Manager, which only notes what it was asked."""

    def __init__(self) -> None:
        super().__init__("org.freedesktop.systemd1.Manager")
        self.restarted: list[str] = []

    @dbus_method(name="RestartUnit")
    def restart_unit(self, unit: DBusStr, _mode: DBusStr) -> DBusObjectPath:
        self.restarted.append(unit)
        return "/org/freedesktop/systemd1/job/1"


def test_the_link_layer_loads_no_d_bus_until_bluez_is_the_backend() -> None:
    program = (
        "import sys, drivers.ble_link, drivers.hrs.driver; drivers.ble_link.BleAdapter; "
        "sys.exit(any(name.startswith(('dbus_fast', 'drivers.bluez')) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
