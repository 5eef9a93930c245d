"""Where a broker is and what it says of a connection: addresses, TLS, reason codes with hints, and inbound messages."""

import ipaddress
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gateway.core.errors import UpstreamError
from gateway.core.model import Stamp

LOST = -1  # stands in a reason code's place when the connection went before an answer came
NO_SUBSCRIBERS = 0x10
TAKEN_OVER = 0x8E
QUOTA_EXCEEDED = 0x97
USE_ANOTHER_SERVER, SERVER_MOVED = 0x9C, 0x9D
SESSION_EXPIRY_S = 24 * 3600
WILL_DELAY_S = 10  # a reconnect within it is no death
OUR_RECEIVE_MAXIMUM = 16  # requests the broker may have open with us
OUR_MAX_PACKET_BYTES = 256 * 1024  # what is longer the broker drops; up to here an answer says 413
PACKET_OVERHEAD_BYTES = 256  # of topic and properties around a payload, generous

HINTS = {
    0x84: "the broker must speak MQTT 5",
    0x85: "the broker refuses this gateway's id: check [site] gateway",
    0x86: "check user name and password, or the client certificate, against the broker's",
    0x87: "the broker's access list must allow this gateway its own node cb/1/{tenant}/{gateway}/#",
    0x88: "the broker is starting or stopping: nothing to do here",
    0x89: "the broker is busy: nothing to do here",
    0x8A: "the platform has banned this gateway: call its operator",
    0x8E: "another box uses this gateway's id and key: look for a copied SD card, then enrol this box again",
    0x97: "the broker's quota is used up: ask its operator",
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a broker is. tls None is plaintext, refused except on loopback; see `tls_context`."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.tls is None and not _is_loopback(self.host):
            raise UpstreamError(
                f"plaintext to {self.host}:{self.port} is refused: only loopback may be reached without TLS",
                hint="set ca_file (and cert_file, key_file) of this upstream",
            )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def tls_context(ca_file: str, cert_file: str | None = None, key_file: str | None = None) -> ssl.SSLContext:
    """TLS 1.2 or newer, that CA alone, host name checked; own certificate when given. UpstreamError names the file."""
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_verify_locations(ca_file)
        if cert_file:
            context.load_cert_chain(cert_file, key_file)
    except (OSError, ssl.SSLError) as error:
        raise UpstreamError(
            f"TLS files {ca_file}, {cert_file}, {key_file}: {error}", hint="check that they exist, are PEM and match"
        ) from None
    return context


def elsewhere(endpoint: Endpoint, reference: str | None) -> Endpoint | None:
    """Where a server reference ("host" or "host:port") sends this endpoint; None for none or one that is refused."""
    host, _, port = (reference or "").strip().split(" ")[0].rpartition(":")
    if not host:
        host, port = port, str(endpoint.port)
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        return None
    try:
        return replace(endpoint, host=host, port=int(port))
    except UpstreamError:
        return None


@dataclass(frozen=True, slots=True)
class Granted:
    """What the broker allows on this connection."""

    session_present: bool
    window: int
    max_packet_bytes: int | None

    def payload_bytes(self, wish_bytes: int) -> int:
        """The longest payload, at most `wish_bytes`."""
        if self.max_packet_bytes is None:
            return wish_bytes
        return max(1, min(wish_bytes, self.max_packet_bytes - PACKET_OVERHEAD_BYTES))


@dataclass(frozen=True, slots=True)
class Closed:
    """Why a connection ended. code: MQTT 5 reason code, LOST for a broken socket; clean: we ended it."""

    code: int
    text: str
    clean: bool = False
    server_reference: str | None = None

    def error(self, endpoint: Endpoint) -> "BrokerError":
        """The same as an error with a hint."""
        return BrokerError(endpoint, self)


class BrokerError(UpstreamError):
    """The broker refused, went away or never answered; `closed` says which."""

    def __init__(self, endpoint: Endpoint, closed: Closed) -> None:
        hint = HINTS.get(closed.code, "check the network and the broker; the box goes on trying by itself")
        super().__init__(f"broker {endpoint.host}:{endpoint.port}: {closed.text}", hint=hint)
        self.closed = closed


@dataclass(frozen=True, slots=True)
class Inbound:
    """A message from the broker. mid: for `ack`; expiry_s: what was left of its life when it came."""

    topic: str
    payload: bytes
    at: Stamp
    real_ns: int
    mid: int
    qos: int
    retain: bool
    dup: bool
    response_topic: str | None = None
    correlation: bytes | None = None
    expiry_s: int | None = None
    user: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Will:
    """Retained, QoS 1, after WILL_DELAY_S."""

    topic: str
    payload: bytes
