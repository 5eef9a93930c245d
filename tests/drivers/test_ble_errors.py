"""Each kind of failure has its own class, its own rest and its own cure."""

import asyncio
import random
from collections.abc import Callable

import pytest
from bleak import BleakClient
from bleak.backends.device import BLEDevice
from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakBluetoothNotAvailableReason,
    BleakCharacteristicNotFoundError,
    BleakDBusError,
    BleakDeviceNotFoundError,
    BleakError,
    BleakGATTProtocolError,
)

from drivers.ble_errors import BACKOFF, REMEMBERED, Cause, Patience, cause_of, sorted_error
from drivers.ble_link import BleAdapter
from gateway.core.clock import ManualClock
from gateway.core.errors import LinkError, PairingError
from tests.drivers.ble_ward import SilentRadio, adapter_with, running

ADDRESS = "F1:00:00:00:00:01"


def dbus(name: str, text: str = "") -> BleakDBusError:
    return BleakDBusError(f"org.bluez.Error.{name}", [text])


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (dbus("Failed", "le-connection-abort-by-local"), Cause.ABORTED),
        (dbus("Failed", "br-connection-canceled"), Cause.ABORTED),
        (dbus("InProgress"), Cause.BUSY),
        (dbus("AuthenticationFailed"), Cause.AUTHENTICATION),
        (dbus("AuthenticationCanceled"), Cause.AUTHENTICATION),
        (dbus("Failed", "le-connection-key-missing"), Cause.AUTHENTICATION),
        (dbus("NotPermitted", "Not paired"), Cause.AUTHENTICATION),
        (BleakError("HCI_Error(hci/PIN_OR_KEY_MISSING_ERROR [0x6])"), Cause.AUTHENTICATION),
        (BleakGATTProtocolError(0x05), Cause.AUTHENTICATION),
        (BleakDBusError("org.freedesktop.DBus.Error.UnknownObject", ["x"]), Cause.STALE),
        (BleakCharacteristicNotFoundError("2a37"), Cause.STALE),
        (dbus("Failed", "le-connection-concurrent-connection-limit"), Cause.NO_SLOT),
        (BleakError("CONNECTION_REJECTED_DUE_TO_LIMITED_RESOURCES_ERROR"), Cause.NO_SLOT),
        (BleakDeviceNotFoundError("x", "gone"), Cause.ABSENT),
        (dbus("NotReady"), Cause.RADIO_OFF),
        (BleakDBusError("org.freedesktop.DBus.Error.ServiceUnknown", ["x"]), Cause.RADIO_OFF),
        (
            BleakBluetoothNotAvailableError("off", BleakBluetoothNotAvailableReason.POWERED_OFF),
            Cause.RADIO_OFF,
        ),
        (dbus("Failed", "le-connection-timeout"), Cause.OTHER),
        (BleakError("anything"), Cause.OTHER),
        (OSError(9, "Bad file descriptor"), Cause.OTHER),
    ],
)
def test_each_failure_has_its_class(error: Exception, cause: Cause) -> None:
    assert cause_of(error) is cause


@pytest.mark.parametrize("cause", list(Cause))
def test_each_class_has_a_back_off(cause: Cause) -> None:
    assert BACKOFF[cause].attempts >= 1
    assert BACKOFF[cause].first_s <= BACKOFF[cause].longest_s


def test_only_a_matter_of_keys_needs_a_person() -> None:
    for error in (dbus("InProgress"), dbus("Failed", "le-connection-abort-by-local"), BleakError("limited resources")):
        assert type(sorted_error(error, ADDRESS)) is LinkError
    assert type(sorted_error(dbus("Failed", "le-connection-key-missing"), ADDRESS)) is PairingError


class _NoJitter(random.Random):
    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


def test_a_pending_connect_is_given_longer_each_time_up_to_five_minutes() -> None:
    clock = ManualClock()
    patience = Patience(clock, _NoJitter())
    rests = []
    for _ in range(6):
        patience.failed(ADDRESS, Cause.BUSY)
        rests.append(patience.rest_s(ADDRESS))
    assert rests == [30, 60, 120, 240, 300, 300]


def test_rests_are_spread_so_that_many_devices_do_not_come_back_together() -> None:
    clock = ManualClock()
    patience = Patience(clock, random.Random(1))
    addresses = [f"F1:00:00:00:00:{number:02X}" for number in range(20)]
    for address in addresses:
        patience.failed(address, Cause.NO_SLOT)
    rests = [patience.rest_s(address) for address in addresses]
    assert len(set(rests)) == 20
    assert min(rests) >= 12.0
    assert max(rests) <= 18.0


def test_a_rest_ends_and_a_success_forgets_the_failures() -> None:
    clock = ManualClock()
    patience = Patience(clock, _NoJitter())
    patience.failed(ADDRESS, Cause.BUSY)
    clock.shift(30.0)
    assert patience.rest_s(ADDRESS) == 0.0
    patience.failed(ADDRESS, Cause.BUSY)
    patience.connected(ADDRESS)
    assert patience.rest_s(ADDRESS) == 0.0
    patience.failed(ADDRESS, Cause.BUSY)
    assert patience.rest_s(ADDRESS) == 30.0


def test_an_absent_device_rests_no_longer_than_its_supervisor_says() -> None:
    patience = Patience(ManualClock())
    patience.failed(ADDRESS, Cause.ABSENT)
    assert patience.rest_s(ADDRESS) == 0.0


def test_a_device_is_forgotten_once_for_a_pending_connect_and_again_only_after_it_worked() -> None:
    patience = Patience(ManualClock())
    assert patience.may_mend(ADDRESS, Cause.BUSY)
    assert not patience.may_mend(ADDRESS, Cause.BUSY)
    patience.connected(ADDRESS)
    assert patience.may_mend(ADDRESS, Cause.BUSY)


def test_a_cache_is_dropped_once_a_day_however_often_the_device_connects() -> None:
    clock = ManualClock()
    patience = Patience(clock)
    assert patience.may_mend(ADDRESS, Cause.STALE)
    patience.connected(ADDRESS)
    assert not patience.may_mend(ADDRESS, Cause.STALE)
    clock.shift(86_400.0)
    assert patience.may_mend(ADDRESS, Cause.STALE)


def test_a_class_without_a_cure_is_never_mended() -> None:
    assert not Patience(ManualClock()).may_mend(ADDRESS, Cause.ABORTED)


def test_failures_remembered_are_bounded() -> None:
    patience = Patience(ManualClock())
    for number in range(3 * REMEMBERED):
        patience.failed(f"F1:00:00:00:{number >> 8:02X}:{number & 255:02X}", Cause.BUSY)
    assert len(patience._records) == REMEMBERED


class BusyRadio(SilentRadio):
    """Every connection is answered with InProgress."""

    def __init__(self) -> None:
        super().__init__()
        self.attempts = 0

    def client(self, device: BLEDevice, lost: Callable[[BleakClient], None], timeout_s: float) -> BleakClient:
        self.attempts += 1
        raise dbus("InProgress")


async def test_a_device_that_rests_is_not_tried_before_its_time_and_holds_no_slot_meanwhile() -> None:
    clock, radio = ManualClock(), BusyRadio()
    adapter = adapter_with(radio, clock)
    async with running(adapter.run()):
        await clock.advance(0)
        radio.advert(ADDRESS)
        with pytest.raises(LinkError, match="InProgress"):
            await _touch(adapter)
        again = asyncio.create_task(_touch(adapter))
        await clock.advance(23.0)
        assert (radio.attempts, adapter.slots.free) == (1, adapter.slots.count)
        await clock.advance(14.0)
        radio.advert(ADDRESS)
        with pytest.raises(LinkError, match="InProgress"):
            await again
    assert radio.attempts == 2


async def _touch(adapter: BleAdapter) -> None:
    async with adapter.connect(ADDRESS):
        pass
