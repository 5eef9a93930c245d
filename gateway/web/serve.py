"""Serves the page on a TCP address and on a Unix socket, inside the daemon's own loop."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from gateway.core.errors import LinkError

log = logging.getLogger(__name__)

SOCKET_NAME = "page.sock"  # in the runtime directory
SOCKET_MODE = 0o660  # the service's user and group; root may anyway
FALLBACK_PORTS = 20  # tried above the wanted one, then any free port
GRACE_S = 2  # for answers under way when the server stops
BACKLOG = 64


class _Server(uvicorn.Server):
    """uvicorn without signal handlers: the daemon has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    app: FastAPI,
    *,
    host: str,
    port: int,
    uds: Path | None = None,
    fallback: bool = False,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until cancelled. on_ready is called with the page's address once it can be reached.

    fallback: take another port when the wanted one is in use (demonstrations); otherwise LinkError.
    """
    sockets = _listen(host, port, uds, fallback=fallback)
    url = _url(sockets[0])
    config = uvicorn.Config(
        app, lifespan="off", ws="none", access_log=False, log_config=None, server_header=False, proxy_headers=False,
        timeout_graceful_shutdown=GRACE_S, backlog=BACKLOG,
    )  # fmt: skip
    server = _Server(config)
    running = asyncio.create_task(server.serve(sockets=sockets), name="page")
    try:
        await _announce(server, running, url, on_ready)
        await asyncio.shield(running)
    finally:
        app.state.close_streams()
        server.should_exit = True
        # The server needs its shutdown to close sockets and answers under way, also when we are cancelled.
        await asyncio.shield(asyncio.wait([running]))
        _remove(uds)


async def _announce(
    server: uvicorn.Server, running: "asyncio.Task[None]", url: str, on_ready: Callable[[str], None] | None
) -> None:
    while not server.started and not running.done():
        await asyncio.wait([running], timeout=0.01)
    if server.started:
        log.info("page at %s", url)
        if on_ready is not None:
            on_ready(url)


def _listen(host: str, port: int, uds: Path | None, *, fallback: bool) -> list[socket.socket]:
    """Both sockets or, after LinkError, none."""
    with contextlib.ExitStack() as opened:
        sockets = [opened.enter_context(_tcp(host, port, fallback=fallback))]
        if uds is not None:
            sockets.append(opened.enter_context(_unix(uds)))
        opened.pop_all()
    return sockets


def _tcp(host: str, port: int, *, fallback: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    wanted = [port, *range(port + 1, min(port + FALLBACK_PORTS, 65_535)), 0] if fallback else [port]
    reason = ""
    for candidate in wanted:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host.strip("[]"), candidate))
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            reason = error.strerror or str(error)
        else:
            if candidate != port:
                log.warning("port %d is taken, the page is on port %d", port, listener.getsockname()[1])
            return listener
    raise LinkError(
        f"the page cannot listen on {host} port {port}: {reason}",
        hint=f"see who does: ss -ltnp 'sport = :{port}'; or choose another [page] port in carebed.toml",
    )


def _unix(path: Path) -> socket.socket:
    """A socket left behind by a daemon that was killed is removed; one that answers belongs to a running daemon."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_socket():
            if _answers(path):
                raise LinkError(f"another gateway is running at {path}", hint="stop it first: systemctl stop carebed")
            path.unlink()
        listener.bind(str(path))
        path.chmod(SOCKET_MODE)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise LinkError(
            f"the command line's socket {path} cannot be opened: {error.strerror or error}",
            hint="choose a [paths] runtime_dir that exists, belongs to this user and has a short name",
        ) from error
    except LinkError:
        listener.close()
        raise
    return listener


def _remove(path: Path | None) -> None:
    if path is not None:
        path.unlink(missing_ok=True)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(str(path)) == 0


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
