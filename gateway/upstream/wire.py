"""One MQTT 5 connection: paho's protocol engine inside the asyncio loop, one object for each connection.

paho 2.2 leaves to its caller: the broker's Receive Maximum (see `lanes.Window`), TCP_NODELAY and a connect that does
not block (see `dial`), reconnecting with jitter (see `link`), and bytes that TLS has already decrypted when the socket
looks quiet.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable, Mapping

from paho.mqtt import MQTTException
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from gateway.core.clock import Clock
from gateway.upstream.dial import LastFault, SocketClient, dial, only_faults
from gateway.upstream.endpoint import (
    LOST,
    OUR_MAX_PACKET_BYTES,
    OUR_RECEIVE_MAXIMUM,
    SESSION_EXPIRY_S,
    WILL_DELAY_S,
    Closed,
    Endpoint,
    Granted,
    Inbound,
    Will,
)
from gateway.upstream.lanes import MAX_IN_FLIGHT, TICK_S, Pace

# What paho's decoders raise on bytes that are no MQTT: the connection is given up, the process is not.
_WIRE_FAULTS = (MQTTException, ValueError, IndexError, KeyError, TypeError, struct.error, OSError)


class Connection:
    """Open once, close once. Every method runs on the loop and returns at once except the coroutines."""

    def __init__(
        self,
        endpoint: Endpoint,
        client_id: str,
        clock: Clock,
        on_message: Callable[[Inbound], None],
        *,
        pace: Pace,
        will: Will | None = None,
        manual_ack: bool = True,
        clean_start: bool = False,
    ) -> None:
        self.endpoint = endpoint
        self.closed: asyncio.Future[Closed] = asyncio.get_running_loop().create_future()
        self._loop = asyncio.get_running_loop()
        self._clock = clock
        self._pace = pace
        self._on_message_here = on_message
        self._clean_start = clean_start
        self._sock: socket.socket | None = None
        self._connack: asyncio.Future[Granted] = self._loop.create_future()
        self._pending: dict[int, tuple[asyncio.Future[int], int]] = {}  # mid -> answer, real ns; bounded by the window
        self._subscribing: dict[int, asyncio.Future[list[int]]] = {}
        self._disconnecting = False
        self._ticking: asyncio.Task[None] | None = None
        self._last_fault = LastFault()
        self._client = self._make_client(client_id, will, manual_ack)

    def _make_client(self, client_id: str, will: Will | None, manual_ack: bool) -> SocketClient:
        client = SocketClient(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
            manual_ack=manual_ack,
        )
        client.enable_logger(only_faults(self._last_fault))
        client.max_inflight_messages_set(0)  # the window is ours: paho must never queue
        if self.endpoint.username is not None:
            client.username_pw_set(self.endpoint.username, self.endpoint.password)
        if will is not None:
            delayed = _properties(PacketTypes.WILLMESSAGE)
            delayed.WillDelayInterval = WILL_DELAY_S
            client.will_set(will.topic, will.payload, qos=1, retain=True, properties=delayed)
        client.on_socket_open = self._socket_opened
        client.on_socket_close = self._socket_closing
        client.on_socket_register_write = self._want_write
        client.on_socket_unregister_write = self._no_write
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_publish = self._published
        client.on_subscribe = self._subscribed
        client.on_message = self._received
        return client

    async def open(self) -> Granted:
        """Connect and wait for CONNACK. BrokerError with the reason and a hint."""
        wishes = _properties(PacketTypes.CONNECT)
        wishes.SessionExpiryInterval = 0 if self._clean_start else SESSION_EXPIRY_S
        wishes.ReceiveMaximum = OUR_RECEIVE_MAXIMUM
        wishes.MaximumPacketSize = OUR_MAX_PACKET_BYTES
        try:
            self._client.ready = await dial(self.endpoint, self._pace.connect_s)
        except (OSError, ValueError) as error:
            raise Closed(LOST, f"cannot connect: {error}").error(self.endpoint) from None
        self._client.connect(
            self.endpoint.host,
            self.endpoint.port,
            keepalive=self._pace.keepalive_s,
            clean_start=self._clean_start,
            properties=wishes,
        )
        self._ticking = self._loop.create_task(self._tick())
        return await self._await_connack()

    async def _await_connack(self) -> Granted:
        waits = asyncio.ensure_future(self._clock.sleep(self._pace.connect_s * self._clock.speed))
        try:
            await asyncio.wait((self._connack, self.closed, waits), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waits.cancel()
        if self._connack.done():
            return self._connack.result()
        if self.closed.done():
            raise self.closed.result().error(self.endpoint)
        self.abort("no CONNACK came")
        raise Closed(LOST, f"no CONNACK within {self._pace.connect_s:g} s").error(self.endpoint)

    # The socket: paho asks, the loop watches

    def _socket_opened(self, _client: Client, _userdata: object, sock: object) -> None:
        assert isinstance(sock, socket.socket)
        self._sock = sock
        self._loop.add_reader(sock, self._readable)

    def _socket_closing(self, _client: Client, _userdata: object, sock: object) -> None:
        assert isinstance(sock, socket.socket)
        if sock.fileno() >= 0:
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)
        self._sock = None

    def _want_write(self, _client: Client, _userdata: object, sock: object) -> None:
        if isinstance(sock, socket.socket):
            self._loop.add_writer(sock, self._writable)

    def _no_write(self, _client: Client, _userdata: object, sock: object) -> None:
        if isinstance(sock, socket.socket) and sock.fileno() >= 0:
            self._loop.remove_writer(sock)

    def _readable(self) -> None:
        self._guarded(self._read)

    def _writable(self) -> None:
        self._guarded(self._client.loop_write)

    def _read(self) -> None:
        rc = self._client.loop_read()
        while rc == MQTTErrorCode.MQTT_ERR_SUCCESS and isinstance(self._sock, ssl.SSLSocket) and self._sock.pending():
            rc = self._client.loop_read()

    def _guarded(self, step: Callable[[], object]) -> None:
        try:
            step()
        except _WIRE_FAULTS as error:
            self._drop_socket()
            self._finish(Closed(LOST, f"the broker sent what is no MQTT 5: {error}"))

    def _drop_socket(self) -> None:
        sock = self._client.socket()
        if isinstance(sock, socket.socket):
            if sock.fileno() >= 0:
                self._loop.remove_reader(sock)
                self._loop.remove_writer(sock)
            sock.close()
        self._sock = None

    async def _tick(self) -> None:
        """Keep-alive, and the age of the oldest message without PUBACK; real time, as the network's is."""
        while not self.closed.done():
            await self._clock.sleep(TICK_S * self._clock.speed)
            self._guarded(self._client.loop_misc)
            if self._pending:
                age_s = (self._clock.real_ns() - next(iter(self._pending.values()))[1]) / 1e9
                if age_s > self._pace.puback_s:
                    self.abort(f"no PUBACK within {self._pace.puback_s:g} s")

    # paho's callbacks, on the loop

    def _connected(
        self, _client: Client, _userdata: object, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._finish(Closed(reason.value, f"refused: {reason}", server_reference=_reference(properties)))
            return
        window = max(1, min(MAX_IN_FLIGHT, int(getattr(properties, "ReceiveMaximum", MAX_IN_FLIGHT))))
        largest = getattr(properties, "MaximumPacketSize", None)
        if not self._connack.done():
            self._connack.set_result(Granted(flags.session_present, window, largest))

    def _disconnected(
        self, _client: Client, _userdata: object, flags: DisconnectFlags, reason: ReasonCode, why: Properties | None
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            self._finish(Closed(reason.value, f"closed by the broker: {reason}", server_reference=_reference(why)))
        else:
            text = f"connection lost: {self._last_fault.text or reason}"
            self._finish(Closed(LOST, text, clean=self._disconnecting))

    def _published(
        self, _client: Client, _userdata: object, mid: int, reason: ReasonCode, _properties: Properties
    ) -> None:
        answer, _ = self._pending.pop(mid, (None, 0))
        if answer is not None and not answer.done():
            answer.set_result(reason.value)

    def _subscribed(
        self, _client: Client, _userdata: object, mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        answer = self._subscribing.pop(mid, None)
        if answer is not None and not answer.done():
            answer.set_result([reason.value for reason in reasons])

    def _received(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        properties = message.properties
        user = getattr(properties, "UserProperty", [])
        self._on_message_here(
            Inbound(
                topic=message.topic,
                payload=bytes(message.payload),
                at=self._clock.now(),
                real_ns=self._clock.real_ns(),
                mid=message.mid,
                qos=message.qos,
                retain=message.retain,
                dup=message.dup,
                response_topic=getattr(properties, "ResponseTopic", None),
                correlation=getattr(properties, "CorrelationData", None),
                expiry_s=getattr(properties, "MessageExpiryInterval", None),
                user=dict(user),
            )
        )

    def _finish(self, closed: Closed) -> None:
        if self.closed.done():
            return
        self.closed.set_result(closed)
        if self._ticking is not None:
            self._ticking.cancel()
        pending, self._pending = self._pending, {}
        for answer, _ in pending.values():
            if not answer.done():
                answer.set_result(LOST)
        for subscription in self._subscribing.values():
            if not subscription.done():
                subscription.set_result([])

    # What the owner calls

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        expiry_s: int | None = None,
        response_topic: str | None = None,
        correlation: bytes | None = None,
        user: Mapping[str, str] | None = None,
    ) -> asyncio.Future[int]:
        """Send now; the future holds PUBACK's reason code (0 at once for QoS 0), or LOST."""
        answer: asyncio.Future[int] = self._loop.create_future()
        if self.closed.done():
            answer.set_result(LOST)
            return answer
        properties = _publish_properties(expiry_s, response_topic, correlation, user)
        sent = self._client.publish(topic, payload, qos=qos, retain=retain, properties=properties)
        if sent.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            answer.set_result(LOST)
        elif qos == 0:
            answer.set_result(0)
        else:
            self._pending[sent.mid] = (answer, self._clock.real_ns())
        return answer

    async def subscribe(self, *filters: tuple[str, bool]) -> None:
        """(filter, wants the retained message too). BrokerError when one is refused."""
        wanted = [
            (topic, SubscribeOptions(qos=1, retainHandling=0 if retained else 2)) for topic, retained in filters
        ]
        rc, mid = self._client.subscribe(wanted)
        if rc != MQTTErrorCode.MQTT_ERR_SUCCESS or mid is None:
            raise Closed(LOST, "connection lost while subscribing").error(self.endpoint)
        answer: asyncio.Future[list[int]] = self._loop.create_future()
        self._subscribing[mid] = answer
        codes = await answer
        refused = [f"{filters[i][0]} (0x{code:02X})" for i, code in enumerate(codes) if code >= 0x80]
        if refused or not codes:
            text = f"subscription refused: {', '.join(refused)}" if refused else "connection lost while subscribing"
            raise Closed(0x87 if refused else LOST, text).error(self.endpoint)

    def ack(self, mid: int) -> None:
        """PUBACK of an inbound message, once it has been dealt with."""
        if not self.closed.done():
            self._client.ack(mid, 1)

    def abort(self, why: str) -> None:
        """Break the connection without DISCONNECT: the broker sends the will if we do not come back."""
        self._finish(Closed(LOST, why))
        self._drop_socket()

    async def close(self, timeout_s: float = 2.0) -> None:
        """DISCONNECT: the broker forgets the will. Ends at latest after `timeout_s` (real time)."""
        if not self.closed.done() and self._sock is not None:
            self._disconnecting = True
            self._client.disconnect()
            waits = asyncio.ensure_future(self._clock.sleep(timeout_s * self._clock.speed))
            await asyncio.wait((self.closed, waits), return_when=asyncio.FIRST_COMPLETED)
            waits.cancel()
        self._finish(Closed(LOST, "closed by this side", clean=True))
        self._drop_socket()


def _publish_properties(
    expiry_s: int | None, response_topic: str | None, correlation: bytes | None, user: Mapping[str, str] | None
) -> Properties | None:
    if expiry_s is None and response_topic is None and correlation is None and not user:
        return None
    properties = _properties(PacketTypes.PUBLISH)
    if expiry_s is not None:
        properties.MessageExpiryInterval = expiry_s
    if response_topic is not None:
        properties.ResponseTopic = response_topic
    if correlation is not None:
        properties.CorrelationData = correlation
    if user:
        properties.UserProperty = list(user.items())
    return properties


def _properties(packet: int) -> Properties:
    return Properties(packet)  # type: ignore[no-untyped-call] # paho annotates all but this constructor


def _reference(properties: Properties | None) -> str | None:
    return getattr(properties, "ServerReference", None)
