"""The virtual radio space: controllers that hear each other, one served over TCP to the gateway, the rest to peers.

Runs in the ward's process. bumble 0.0.236 is bent where its controller differs from a real one; each class says what
would let us delete it.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from bumble import core, hci, ll
from bumble.controller import Controller
from bumble.device import Device, DeviceConfiguration
from bumble.gatt import Service
from bumble.keys import MemoryKeyStore
from bumble.link import LocalLink
from bumble.transport.common import StreamPacketSource

log = logging.getLogger(__name__)

ADVERTISING_MS = 100.0  # a connectable peer's interval; bands use 100 to 1000 ms


class AirLink(LocalLink):  # type: ignore[misc]  # bumble is not type-checked
    """A link bus that carries what a radio would carry.

    Replaces three behaviours of bumble 0.0.236 (delete each when upstream has it): ACL data are tagged with the
    connection's own address, not always the random one; a control PDU to a peer out of range is lost, not an error;
    adverts are handed only to controllers that scan or want to connect.
    """

    def send_acl_data(self, sender_controller: Any, destination_address: Any, transport: Any, data: bytes) -> None:
        if transport != core.PhysicalTransport.LE:
            super().send_acl_data(sender_controller, destination_address, transport, data)
            return
        receiver = self.find_le_controller(destination_address)
        connection = sender_controller.le_connections.get(destination_address)
        if receiver is None or connection is None or sender_controller not in self.controllers:
            return
        asyncio.get_running_loop().call_soon(receiver.on_link_acl_data, connection.self_address, transport, data)

    def send_ll_control_pdu(self, sender_address: Any, receiver_address: Any, packet: Any) -> None:
        if self.find_le_controller(receiver_address) is not None:
            super().send_ll_control_pdu(sender_address, receiver_address, packet)

    def send_advertising_pdu(self, sender_controller: Any, packet: Any) -> None:
        if sender_controller not in self.controllers:
            return
        loop = asyncio.get_running_loop()
        connect = isinstance(packet, ll.ConnectInd)
        for controller in self.controllers:
            listens = connect or controller.le_scan_enable or controller.pending_le_connection
            if controller is not sender_controller and listens:
                loop.call_soon(controller.on_ll_advertising_pdu, packet)


class AirController(Controller):  # type: ignore[misc]  # bumble is not type-checked
    """bumble 0.0.236 answers LE Create Connection Cancel with success and keeps the request for ever: an absent device
    then hangs its caller. Here it ends with Unknown Connection Identifier, as Core 5.4 Vol 4 E 7.8.13 has it."""

    pending_le_connection: Any = None

    def on_hci_le_create_connection_cancel_command(self, _command: Any) -> Any:
        pending = self.pending_le_connection
        if pending is None:
            return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.COMMAND_DISALLOWED_ERROR)
        self.pending_le_connection = None
        ended = hci.HCI_LE_Connection_Complete_Event(
            status=hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR,
            connection_handle=0,
            role=0,
            peer_address_type=pending.peer_address_type,
            peer_address=pending.peer_address,
            connection_interval=0,
            peripheral_latency=0,
            supervision_timeout=0,
            central_clock_accuracy=0,
        )
        asyncio.get_running_loop().call_soon(self.send_hci_packet, ended)
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)

    def lose_links(self) -> None:
        """What the supervision time-out does at both ends when one of them is no longer heard (error 0x08)."""
        for connection in list(self.le_connections.values()):
            other = self.link.find_le_controller(connection.peer_address)
            if other is not None and (theirs := other.le_connections.get(connection.self_address)) is not None:
                other.on_le_disconnected(theirs, hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR)
            self.on_le_disconnected(connection, hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR)


class _HciServer(StreamPacketSource):  # type: ignore[misc]  # bumble is not type-checked
    """One TCP connection of a gateway's host: a controller of its own, fresh, for as long as it lasts."""

    def __init__(self, space: "RadioSpace") -> None:
        super().__init__()
        self._space = space
        self._wire: asyncio.WriteTransport | None = None
        self._controller: AirController | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._wire = transport
        self._controller = self._space.controller("gateway", self, self)
        self._space.hosts.add(self)

    def on_packet(self, packet: bytes) -> None:
        """From the controller to the host."""
        if self._wire is not None and not self._wire.is_closing():
            self._wire.write(packet)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wire = None
        self._space.hosts.discard(self)
        if self._controller is not None:
            self._space.silence(self._controller)

    def close(self) -> None:
        """Drop the host, as a pulled USB adapter would."""
        if self._wire is not None:
            self._wire.abort() if isinstance(self._wire, asyncio.Transport) else self._wire.close()


class Beacon:
    """A device that only advertises: no host, no connection."""

    def __init__(self, space: "RadioSpace", address: str) -> None:
        self._space = space
        self._controller = space.controller(address, None, None)
        self._address = hci.Address(address, hci.Address.RANDOM_DEVICE_ADDRESS)

    def advertise(self, data: bytes) -> None:
        """Send one advertising PDU; data: the AD structures, at most 31 bytes."""
        if len(data) > 31:
            raise ValueError(f"an advert holds at most 31 bytes, not {len(data)}")
        self._controller.send_advertising_pdu(ll.AdvInd(advertiser_address=self._address, data=data))

    def disappear(self) -> None:
        self._space.silence(self._controller)

    def reappear(self) -> None:
        self._space.link.add_controller(self._controller)


class Peripheral:
    """A connectable device with its own host; `device` is bumble's."""

    def __init__(self, space: "RadioSpace", controller: AirController, device: Any) -> None:
        self._space = space
        self._controller = controller
        self.device = device

    @property
    def connected(self) -> bool:
        return bool(self.device.connections)

    @property
    def mtu(self) -> int:
        """ATT MTU of the present connection, 23 without one."""
        return min((int(connection.att_mtu) for connection in self.device.connections.values()), default=23)

    def disappear(self) -> None:
        """Go out of range: both ends lose the link as by supervision time-out, adverts are no longer heard."""
        self._space.silence(self._controller)

    def reappear(self) -> None:
        self._space.link.add_controller(self._controller)

    async def notify(self, characteristic: Any, value: bytes) -> None:
        """Notify whoever has subscribed."""
        await self.device.notify_subscribers(characteristic, value)

    async def hang_up(self) -> None:
        """Disconnect from the device's side."""
        for connection in list(self.device.connections.values()):
            await connection.disconnect()


class RadioSpace:
    """Everything within range of one gateway."""

    def __init__(self) -> None:
        self.link = AirLink()
        self.hosts: set[_HciServer] = set()
        self._server: asyncio.Server | None = None

    async def serve(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen for gateways' hosts (HCI over TCP); each connection gets a fresh controller. Returns the port."""
        self._server = await asyncio.get_running_loop().create_server(lambda: _HciServer(self), host, port)
        return int(self._server.sockets[0].getsockname()[1])

    def controller(self, name: str, source: Any, sink: Any) -> AirController:
        """A controller in this space, wired to a host's source and sink."""
        return AirController(name, host_source=source, host_sink=sink, link=self.link)

    def silence(self, controller: AirController) -> None:
        """Take a controller out of range. Its links end at both sides."""
        if controller in self.link.controllers:
            controller.lose_links()
            self.link.remove_controller(controller)

    def add_beacon(self, address: str) -> Beacon:
        return Beacon(self, address)

    async def add_peripheral(
        self, address: str, name: str, services: Sequence[Service], advertised: Sequence[core.UUID]
    ) -> Peripheral:
        """A device that advertises and waits for a connection.

        address: random static (first octet 0xC0 or above). advertised: service uuids in its advert.
        """
        controller = self.controller(name, None, None)
        configuration = DeviceConfiguration(
            name=name,
            address=hci.Address(address, hci.Address.RANDOM_DEVICE_ADDRESS),
            advertising_interval_min=ADVERTISING_MS,
            advertising_interval_max=ADVERTISING_MS,
        )
        device = Device.from_config_with_hci(configuration, controller, controller)
        device.keystore = MemoryKeyStore()
        device.add_services(list(services))
        device.advertising_data = bytes(_connectable_advert(name, advertised))
        await device.power_on()
        await device.start_advertising(auto_restart=True)
        return Peripheral(self, controller, device)

    def drop_hosts(self) -> None:
        """Cut every gateway's HCI connection, as a pulled adapter would."""
        for host in list(self.hosts):
            host.close()

    async def close(self) -> None:
        self.drop_hosts()
        for controller in list(self.link.controllers):
            controller.le_legacy_advertiser.stop()
            for advertising_set in controller.advertising_sets.values():
                advertising_set.stop()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()


def _connectable_advert(name: str, advertised: Sequence[core.UUID]) -> Any:
    flags = bytes([0x06])  # LE general discoverable, no BR/EDR
    kinds = core.AdvertisingData.Type
    uuids = b"".join(uuid.to_bytes() for uuid in advertised)
    return core.AdvertisingData(
        [
            (kinds.FLAGS, flags),
            (kinds.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS, uuids),
            (kinds.COMPLETE_LOCAL_NAME, name.encode()),
        ]
    )
