"""TCP and TLS on a thread of its own, so that neither a slow name server nor a handshake ever holds up the loop."""

import asyncio
import logging
import socket
import threading

from paho.mqtt.client import Client

from gateway.upstream.endpoint import Endpoint


async def dial(endpoint: Endpoint, timeout_s: float) -> socket.socket:
    """A connected socket with TCP_NODELAY, inside TLS where it is asked for. OSError (ssl.SSLError is one), ValueError.

    timeout_s: real seconds for TCP and for TLS each. The thread is a daemon: it must not hold up a stop of the process.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[socket.socket] = loop.create_future()

    def finish(sock: socket.socket | None, error: Exception | None) -> None:
        if done.cancelled() and sock is not None:
            sock.close()
        elif sock is not None:
            done.set_result(sock)
        elif error is not None and not done.cancelled():
            done.set_exception(error)

    def run() -> None:
        sock, error = None, None
        try:
            sock = _connect(endpoint, timeout_s)
        except (OSError, ValueError) as caught:
            error = caught
        try:
            loop.call_soon_threadsafe(finish, sock, error)
        except RuntimeError:  # the loop is closed: nobody waits any more
            if sock is not None:
                sock.close()

    threading.Thread(target=run, name="mqtt-connect", daemon=True).start()
    return await done


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
