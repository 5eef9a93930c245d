"""The virtual backend: bleak's scanner and client classes over bumble, for tests and demonstrations.

The host side runs here, in the daemon; the controller and its radio space live in another process behind an HCI
transport (`drivers.ble_virtual_ward`). Loaded by name only, so that a real box never imports bumble.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from uuid import UUID

from bleak import BleakClient, BleakScanner
from bleak.args import SizedBuffer
from bleak.assigned_numbers import gatt_char_props_to_strs
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient, NotifyCallback
from bleak.backends.descriptor import BleakGATTDescriptor
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, AdvertisementDataCallback, BaseBleakScanner
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import BleakDBusError, BleakDeviceNotFoundError, BleakError, BleakGATTProtocolError
from bleak.uuids import normalize_uuid_str
from bumble import att, core, hci
from bumble.device import Device, DeviceConfiguration, Peer
from bumble.keys import MemoryKeyStore
from bumble.pairing import PairingConfig, PairingDelegate
from bumble.transport import open_transport

from drivers.ble_link import BleBackend, Heard, Radio

MTU = 247  # what BlueZ and a Pi agree on with most bands
OPEN_S = 10.0  # real seconds: connect to the controller and reset it

_TYPES = core.AdvertisingData.Type
_UUID_LISTS = (
    _TYPES.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS,
    _TYPES.INCOMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS,
    _TYPES.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS,
    _TYPES.INCOMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS,
)
_SERVICE_DATA = (_TYPES.SERVICE_DATA_16_BIT_UUID, _TYPES.SERVICE_DATA_128_BIT_UUID)


def _text(uuid: core.UUID) -> str:
    return normalize_uuid_str(str(UUID(bytes=bytes(reversed(uuid.to_bytes(force_128=True))))))


def _parsed(advertisement: Any) -> AdvertisementData:
    """bumble 0.0.236 reports the same uuid twice where a scan response repeats the advert: doubles are dropped."""
    fields = advertisement.data

    def all_of(types: tuple[Any, ...]) -> list[Any]:
        return [value for kind in types for value in fields.get_all(kind)]

    names = all_of((_TYPES.COMPLETE_LOCAL_NAME, _TYPES.SHORTENED_LOCAL_NAME))
    powers = all_of((_TYPES.TX_POWER_LEVEL,))
    return AdvertisementData(
        local_name=names[0] if names else None,
        manufacturer_data={company: bytes(data) for company, data in all_of((_TYPES.MANUFACTURER_SPECIFIC_DATA,))},
        service_data={_text(uuid): bytes(data) for uuid, data in all_of(_SERVICE_DATA)},
        service_uuids=list(dict.fromkeys(_text(uuid) for uuids in all_of(_UUID_LISTS) for uuid in uuids)),
        tx_power=powers[0] if powers else None,
        rssi=advertisement.rssi,
        platform_data=(advertisement,),
    )


@contextmanager
def _bleak_errors() -> Iterator[None]:
    """bumble's errors as bleak's. A request whose connection ends is *cancelled* by bumble 0.0.236: that is an error of
    the link, told from the cancellation of our own task by the task's own count."""
    try:
        yield
    except att.ATT_Error as error:
        raise BleakGATTProtocolError(int(error.error_code)) from error
    except core.ProtocolError as error:
        if error.error_namespace == "smp":  # as BlueZ says it: whatever the cause, the kernel knows one word for it
            raise BleakDBusError("org.bluez.Error.AuthenticationFailed", [str(error.error_name)]) from error
        raise BleakError(str(error)) from error
    except (core.BaseBumbleError, TimeoutError) as error:
        raise BleakError(str(error) or type(error).__name__) from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise BleakError("the connection ended during the call") from error


class BumbleScanner(BaseBleakScanner):
    """Passive scan on the given central."""

    def __init__(
        self,
        detection_callback: AdvertisementDataCallback | None,
        service_uuids: list[str] | None,
        scanning_mode: str,
        *,
        central: Any,
        **_: Any,
    ) -> None:
        super().__init__(detection_callback, service_uuids)
        self._active = scanning_mode != "passive"
        self._central = central

    async def start(self) -> None:
        self.seen_devices = {}
        self._central.on("advertisement", self._on_advertisement)
        with _bleak_errors():
            await self._central.start_scanning(active=self._active, filter_duplicates=False)

    async def stop(self) -> None:
        self._central.remove_listener("advertisement", self._on_advertisement)
        with _bleak_errors():
            await self._central.stop_scanning()

    def _on_advertisement(self, advertisement: Any) -> None:
        data = _parsed(advertisement)
        if not self.is_allowed_uuid(data.service_uuids):
            return
        address = advertisement.address.to_string(False)
        device = self.create_or_update_device(address, address, data.local_name, advertisement.address, data)
        self.call_detection_callbacks(device, data)


class BumbleClient(BaseBleakClient):
    """One connection of the given central."""

    def __init__(self, address_or_ble_device: BLEDevice | str, *, central: Any, **kwargs: Any) -> None:
        super().__init__(
            address_or_ble_device,
            disconnected_callback=kwargs["disconnected_callback"],
            timeout=kwargs["timeout"],
        )
        details = address_or_ble_device.details if isinstance(address_or_ble_device, BLEDevice) else None
        self._target = details or hci.Address(self.address, hci.Address.RANDOM_DEVICE_ADDRESS)
        self._central = central
        self._connection: Any = None
        self._peer: Any = None
        self._subscriptions: dict[int, Callable[[bytes], None]] = {}

    @property
    def name(self) -> str:
        return str(self.address)

    @property
    def mtu_size(self) -> int:
        return int(self._peer.gatt_client.mtu) if self._peer else 23

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

    async def connect(self, pair: bool, **_: Any) -> None:
        self._connection = await self._linked()
        self._connection.once("disconnection", self._on_disconnection)
        self._peer = Peer(self._connection)
        try:
            if pair:
                await self.pair()
            with _bleak_errors():
                if await self._bonded():
                    await self._connection.encrypt()
                await self._peer.request_mtu(MTU)
                self.services = await self._discovered()
        except BaseException:
            await self.disconnect()
            raise

    async def _linked(self) -> Any:
        """The link, or BleakDeviceNotFoundError. bumble 0.0.236 leaves the request pending when its caller is
        cancelled, which would block every later connection: it is therefore withdrawn here."""
        attempt = asyncio.ensure_future(self._central.connect(self._target, timeout=self._timeout))
        try:
            with _bleak_errors():
                return await asyncio.shield(attempt)
        except asyncio.CancelledError:
            await self._withdraw(attempt)
            raise
        except BleakError as error:
            if isinstance(error.__cause__, TimeoutError | core.TimeoutError):
                raise BleakDeviceNotFoundError(self.address, f"{self.address} did not answer") from error
            raise

    async def _withdraw(self, attempt: "asyncio.Future[Any]") -> None:
        if not attempt.done():
            await self._central.cancel_connection()
            await asyncio.wait({attempt}, timeout=1.0)
        if attempt.done() and not attempt.cancelled() and attempt.exception() is None:
            await attempt.result().disconnect()

    def _on_disconnection(self, _reason: int) -> None:
        self._connection = None
        self._peer = None
        self._subscriptions.clear()
        if self._disconnected_callback:
            self._disconnected_callback()

    async def _discovered(self) -> BleakGATTServiceCollection:
        collection = BleakGATTServiceCollection()
        await self._peer.discover_services()
        for found in self._peer.services:
            service = BleakGATTService(found, found.handle, _text(found.uuid))
            collection.add_service(service)
            await found.discover_characteristics()
            for proxy in found.characteristics:
                await self._add(collection, service, proxy)
        return collection

    async def _add(self, collection: BleakGATTServiceCollection, service: BleakGATTService, proxy: Any) -> None:
        properties = list(gatt_char_props_to_strs(int(proxy.properties)))
        characteristic = BleakGATTCharacteristic(
            proxy, proxy.handle, _text(proxy.uuid), properties, lambda: self.mtu_size - 3, service
        )
        collection.add_characteristic(characteristic)
        for descriptor in await proxy.discover_descriptors():
            collection.add_descriptor(
                BleakGATTDescriptor(descriptor, descriptor.handle, _text(descriptor.type), characteristic)
            )

    async def disconnect(self) -> None:
        """When both ends hang up at once, bumble 0.0.236 returns although the caller was cancelled: told again here."""
        if self._connection is not None:
            task = asyncio.current_task()
            before = task.cancelling() if task is not None else 0
            with _bleak_errors():
                await self._connection.disconnect()
            if task is not None and task.cancelling() > before:
                raise asyncio.CancelledError

    async def pair(self, *_: Any, **__: Any) -> None:
        """With a bond it returns at once, as BlueZ's does."""
        connection = self._connected()
        with _bleak_errors():
            if not await self._bonded():
                await connection.pair()

    async def _bonded(self) -> bool:
        return await self._central.keystore.get(str(self._connection.peer_address)) is not None

    async def unpair(self) -> None:
        await self._central.keystore.delete(str(self._connected().peer_address))

    def _connected(self) -> Any:
        if self._connection is None:
            raise BleakError("not connected")
        return self._connection

    def _gatt(self) -> Any:
        self._connected()
        return self._peer.gatt_client

    async def read_gatt_char(
        self, characteristic: BleakGATTCharacteristic, *, use_cached: bool = False, **_: Any
    ) -> bytearray:
        with _bleak_errors():
            return bytearray(await self._gatt().read_value(characteristic.handle))

    async def read_gatt_descriptor(
        self, descriptor: BleakGATTDescriptor, *, use_cached: bool = False, **_: Any
    ) -> bytearray:
        with _bleak_errors():
            return bytearray(await self._gatt().read_value(descriptor.handle))

    async def write_gatt_char(self, characteristic: BleakGATTCharacteristic, data: SizedBuffer, response: bool) -> None:
        with _bleak_errors():
            await self._gatt().write_value(characteristic.handle, bytes(data), with_response=response)

    async def write_gatt_descriptor(self, descriptor: BleakGATTDescriptor, data: SizedBuffer) -> None:
        with _bleak_errors():
            await self._gatt().write_value(descriptor.handle, bytes(data), with_response=True)

    async def start_notify(self, characteristic: BleakGATTCharacteristic, callback: NotifyCallback, **_: Any) -> None:
        def arrived(value: bytes) -> None:
            callback(bytearray(value))

        with _bleak_errors():
            await self._gatt().subscribe(characteristic.obj, arrived)
        self._subscriptions[characteristic.handle] = arrived

    async def stop_notify(self, characteristic: BleakGATTCharacteristic) -> None:
        arrived = self._subscriptions.pop(characteristic.handle, None)
        if arrived is not None:
            with _bleak_errors():
                await self._gatt().unsubscribe(characteristic.obj, arrived)


class VirtualRadio:
    """A bumble host on an open HCI transport."""

    def __init__(self, central: Any, transport: Any) -> None:
        self._central = central
        self._transport = transport

    def scanner(self, heard: Heard) -> BleakScanner:
        return BleakScanner(heard, scanning_mode="passive", backend=BumbleScanner, central=self._central)

    def client(self, device: BLEDevice, lost: Callable[[BleakClient], None], timeout_s: float) -> BleakClient:
        return BleakClient(device, lost, timeout=timeout_s, backend=BumbleClient, central=self._central)

    async def gone(self) -> None:
        await asyncio.shield(self._transport.source.terminated)


def _just_works(_connection: Any) -> Any:
    """LE Secure Connections without display or keys, as the agent of a box has neither."""
    delegate = PairingDelegate(PairingDelegate.NO_OUTPUT_NO_INPUT)
    return PairingConfig(sc=True, mitm=False, bonding=True, delegate=delegate)


def backend(hci_transport: str) -> BleBackend:
    """hci_transport: a bumble transport name; what listens there must be a controller. Bonds last as long as this."""
    # A random static address of its own, so that two boxes in one radio space are two devices.
    own_address, keystore = hci.Address.generate_static_address(), MemoryKeyStore()

    @asynccontextmanager
    async def opened() -> AsyncIterator[Radio]:
        async with asyncio.timeout(OPEN_S):
            with _bleak_errors():
                transport = await open_transport(hci_transport)
        try:
            configuration = DeviceConfiguration(name="carebed", address=own_address)
            central = Device.from_config_with_hci(configuration, transport.source, transport.sink)
            central.keystore = keystore
            central.pairing_config_factory = _just_works
            async with asyncio.timeout(OPEN_S):
                with _bleak_errors():
                    await central.power_on()
            yield VirtualRadio(central, transport)
        finally:
            await transport.close()

    return opened
