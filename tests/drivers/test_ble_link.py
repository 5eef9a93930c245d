"""The adapter's promises: listeners, slots, deadlines, sorted errors, a scan that never stays dead."""

import asyncio
import subprocess
import sys
from collections.abc import Callable

import pytest
from bleak import BleakClient
from bleak.exc import BleakBluetoothNotAvailableError, BleakBluetoothNotAvailableReason, BleakDBusError, BleakError
from bleak.exc import BleakGATTProtocolError as GattError

from drivers.ble_gatt import Gatt, deadline, is_transient, sorted_error
from drivers.ble_link import SILENCE_S, Advert, BleAdapter, backend_bluez
from drivers.polar_pmd.peer import PolarBand
from gateway.core.clock import ManualClock, ScaledClock, SystemClock
from gateway.core.errors import LinkError, PairingError
from tests.drivers.ble_ward import (
    SilentRadio,
    adapter_with,
    adapter_without_radio,
    lying_still,
    pulse_of,
    radio_space,
    running,
    scanning_adapter,
)


async def test_a_silent_scan_is_started_anew_again_and_again_also_when_dead_from_the_start() -> None:
    clock, radio = ManualClock(), SilentRadio()
    adapter = adapter_with(radio, clock)
    async with running(adapter.run()):
        await clock.advance(3.5 * SILENCE_S)
        assert radio.starts == 4
        assert adapter.health.scan_restarts == 3


async def test_a_scan_that_hears_something_is_left_alone() -> None:
    clock, radio = ManualClock(), SilentRadio()
    async with running(adapter_with(radio, clock).run()):
        for _ in range(10):
            await clock.advance(SILENCE_S / 2)
            radio.advert("F1:00:00:00:00:01")
        assert radio.starts == 1


async def test_a_listener_that_fails_is_dropped_and_its_owner_told_while_the_next_still_hears() -> None:
    clock, radio = ManualClock(), SilentRadio()
    adapter = adapter_with(radio, clock)
    heard: list[Advert] = []

    def fails(_: Advert) -> None:
        raise ValueError("a bug in one driver")

    async with running(adapter.run()):
        await clock.advance(0)
        failing = adapter.subscribe("f1:00:00:00:00:01", fails)
        adapter.subscribe("F1:00:00:00:00:01", heard.append)
        adapter.subscribe(None, heard.append)
        radio.advert("f1:00:00:00:00:01")
        radio.advert("F1:00:00:00:00:01")
        radio.advert("F1:00:00:00:00:02")
    assert len(heard) == 5
    with pytest.raises(ValueError, match="a bug in one driver"):
        await failing.failed


async def test_a_closed_subscription_hears_nothing_more() -> None:
    clock, radio = ManualClock(), SilentRadio()
    adapter = adapter_with(radio, clock)
    heard: list[Advert] = []
    async with running(adapter.run()):
        await clock.advance(0)
        subscription = adapter.subscribe(None, heard.append)
        radio.advert("F1:00:00:00:00:01")
        subscription.close()
        subscription.close()
        radio.advert("F1:00:00:00:00:01")
    assert len(heard) == 1
    assert heard[0].at == clock.now()


async def test_devices_remembered_are_bounded() -> None:
    clock, radio = ManualClock(), SilentRadio()
    adapter = adapter_with(radio, clock)
    async with running(adapter.run()):
        await clock.advance(0)
        for number in range(2000):
            radio.advert(f"F1:00:00:00:{number >> 8:02X}:{number & 255:02X}")
        assert len(adapter._known) == 512


async def test_an_absent_device_is_an_error_within_the_time_out_and_gives_its_slot_back() -> None:
    clock = ManualClock()
    adapter = adapter_without_radio(clock)
    async with running(adapter.run()):
        for _ in range(10):
            attempt = asyncio.create_task(_connect(adapter, "F1:00:00:00:00:77", 3.0))
            await clock.advance(3.0)
            with pytest.raises(LinkError, match="not heard by silent within 3 s") as caught:
                await attempt
            assert caught.value.hint
    assert adapter.health.connect_failures == 10
    assert adapter.health.connected == set()


async def test_a_connection_that_fails_is_a_link_error_with_its_cause() -> None:
    clock, radio = ManualClock(), SilentRadio()
    adapter = adapter_with(radio, clock)
    async with running(adapter.run()):
        await clock.advance(0)
        radio.advert("F1:00:00:00:00:01")
        with pytest.raises(LinkError, match="a silent radio connects to nothing"):
            await _connect(adapter, "F1:00:00:00:00:01", 3.0)


async def test_an_adapter_that_never_opened_says_so() -> None:
    clock = ManualClock()
    attempt = asyncio.create_task(_connect(adapter_without_radio(clock), "F1:00:00:00:00:01", 3.0))
    await clock.advance(3.0)
    with pytest.raises(LinkError, match="adapter silent is not open"):
        await attempt


async def _connect(adapter: BleAdapter, address: str, timeout_s: float) -> None:
    async with adapter.connect(address, timeout_s):
        return


async def test_one_absent_device_does_not_hold_up_the_connection_to_another() -> None:
    clock = SystemClock()
    async with radio_space() as (space, port), scanning_adapter(port) as adapter:
        band = PolarBand(space, clock, "F1:00:00:00:00:01", lying_still, pulse_of(60))
        await band.start()
        absent = running(_connect(adapter, "F1:00:00:00:00:77", 60.0))
        async with absent, asyncio.timeout(10), adapter.connect("F1:00:00:00:00:01") as gatt:
            assert gatt.address == "F1:00:00:00:00:01"


async def test_no_free_slot_is_an_error_that_names_who_holds_them() -> None:
    clock = SystemClock()
    async with radio_space() as (space, port), scanning_adapter(port, slots=1) as adapter:
        band = PolarBand(space, clock, "F1:00:00:00:00:01", lying_still, pulse_of(60))
        await band.start()
        async with adapter.connect("F1:00:00:00:00:01"):
            with pytest.raises(LinkError, match=r"all 1 connection slots are in use by .*F1:00:00:00:00:01"):
                await _connect(adapter, "F1:00:00:00:00:02", 0.05)


async def test_a_deadline_is_real_time_however_fast_the_clock_runs() -> None:
    real = SystemClock()
    fast = ScaledClock(1000.0, origin_real_ns=real.real_ns(), origin_utc_ns=0)
    started = real.now()
    with pytest.raises(LinkError, match="late"):
        async with deadline(fast, 0.2, "late", hint="wait"):
            await asyncio.Event().wait()
    assert real.now().since_s(started) >= 0.2


async def test_a_deadline_that_was_kept_leaves_no_timer_behind() -> None:
    clock = ManualClock()
    async with deadline(clock, 5.0, "late", hint="wait"):
        await asyncio.sleep(0)
    await clock.advance(10.0)
    assert len(asyncio.all_tasks()) == 1


async def test_a_full_inbox_drops_the_newest_and_counts_it() -> None:
    gatt = Gatt("F1:00:00:00:00:01", ManualClock())
    gatt.client = _EagerClient(300)
    await gatt.notify("uuid")
    first = await gatt.next(1.0)
    assert first.data == (0).to_bytes(2, "little")
    assert gatt.dropped == 300 - 256


async def test_what_found_the_inbox_full_is_told_once_for_each_run() -> None:
    told: list[tuple[str, int]] = []
    gatt = Gatt("F1:00:00:00:00:01", ManualClock(), lambda address, count: told.append((address, count)))
    gatt.client = _EagerClient(300)
    await gatt.notify("uuid")
    assert told == []  # the run is not over
    for _ in range(10):
        await gatt.next(1.0)
    gatt.client = _EagerClient(1)
    await gatt.notify("uuid")
    assert told == [("F1:00:00:00:00:01", 44)]
    await gatt.notify("uuid")
    assert len(told) == 1


class _EagerClient(BleakClient):
    """Notifies `count` times the moment it is subscribed to."""

    def __init__(self, count: int) -> None:
        self._count = count

    async def start_notify(self, char_specifier: object, callback: Callable[..., object], **_: object) -> None:
        for number in range(self._count):
            callback(None, bytearray(number.to_bytes(2, "little")))


@pytest.mark.parametrize(
    ("error", "kind", "hint"),
    [
        (GattError(0x05), PairingError, "pair the device again"),
        (GattError(0x0F), PairingError, "pair the device again"),
        (GattError(0x0E), LinkError, "wait"),
        (BleakDBusError("org.bluez.Error.AuthenticationFailed", ["x"]), PairingError, "pair the device again"),
        (BleakDBusError("org.bluez.Error.InProgress", ["x"]), LinkError, "still busy"),
        (
            BleakBluetoothNotAvailableError("off", BleakBluetoothNotAvailableReason.POWERED_OFF),
            LinkError,
            "rfkill",
        ),
        (BleakError("anything"), LinkError, "wait"),
        (ConnectionRefusedError("refused"), LinkError, "running"),
        (FileNotFoundError(2, "No such file or directory"), LinkError, "systemctl start dbus bluetooth"),
        (EOFError(), LinkError, "wait"),
    ],
)
def test_errors_are_sorted_by_what_to_do_next(error: Exception, kind: type[LinkError], hint: str) -> None:
    sorted_one = sorted_error(error, "F1:00:00:00:00:01")
    assert type(sorted_one) is kind
    assert str(sorted_one).startswith("F1:00:00:00:00:01: ")
    assert hint in sorted_one.hint


def test_an_abort_by_the_radio_itself_is_worth_a_second_attempt() -> None:
    assert is_transient(BleakDBusError("org.bluez.Error.Failed", ["le-connection-abort-by-local"]))
    assert not is_transient(BleakError("not found"))


async def test_a_bluez_adapter_that_does_not_exist_is_a_link_error_with_a_hint() -> None:
    adapter = BleAdapter("none", SystemClock(), backend_bluez("hci99"))
    async with asyncio.timeout(20):
        with pytest.raises(LinkError) as caught:
            await adapter.run()
    assert caught.value.hint


def test_the_link_layer_and_the_drivers_do_not_load_bumble() -> None:
    program = (
        "import sys, drivers.ble_link, drivers.ble_bluez, drivers.hrs.driver, drivers.polar_pmd.driver, "
        "drivers.bthome.driver; sys.exit(any(name.split('.')[0] == 'bumble' for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
