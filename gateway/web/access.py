"""Who may talk to the page, before anything is looked at: hosts, sizes, origins and form tokens.

There is no login yet. What comes over the Unix socket (no client address) has passed the file's permissions and is not
a browser; everything else is treated as one.
"""

import hmac
import ipaddress
import re
import secrets
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 16_384  # the largest form holds a name and a note
FORM_COOKIE = "carebed_form"
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # "no-referrer" would make browsers send `Origin: null` with our own forms
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")


class Guard:
    """ASGI layer in front of the application. hosts: names accepted beside the loopback ones.

    any_address: also accept every IP literal, for a page that listens on all addresses. A rebinding attack needs a
    name; an address typed by hand is none.
    """

    def __init__(self, app: ASGIApp, *, hosts: Collection[str] = (), any_address: bool = False) -> None:
        self._app = app
        written = (f"[{host}]" if ":" in host and not host.startswith("[") else host for host in hosts)
        self._hosts = frozenset(host.lower() for host in (*LOOPBACK_NAMES, *written))
        self._any_address = any_address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal: Response | None = None
        if is_browser(scope) and not self._known(headers.get("host", "")):
            refusal = PlainTextResponse("this host name is not accepted here\n", 421)
        body = await _body(receive, headers) if scope["method"] not in ("GET", "HEAD") else b""
        if refusal is None and body is None:
            refusal = PlainTextResponse(f"a request holds at most {MAX_BODY_BYTES} bytes\n", 413)
        hardened = _Hardened(send, static=scope["path"].startswith("/static/"))
        if refusal is not None:
            await refusal(scope, receive, hardened)
            return
        await self._app(scope, receive if not body else _Replay(body, receive), hardened)

    def _known(self, header: str) -> bool:
        found = _HOST.fullmatch(header)
        if found is None:
            return False
        name = found.group(1).lower()
        return name in self._hosts or (self._any_address and _is_address(name.strip("[]")))


class _Hardened:
    """Adds the protective headers to a response on its way out."""

    def __init__(self, send: Send, *, static: bool) -> None:
        self._send = send
        self._static = static

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-cache" if self._static else "no-store")
        await self._send(message)


class _Replay:
    """Hands on a body that has already been read, then whatever the server says next (a disconnect)."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        return await self._receive()


async def _body(receive: Receive, headers: Headers) -> bytes | None:
    """The whole body, None when it is larger than MAX_BODY_BYTES (whatever its header claims)."""
    claimed = headers.get("content-length", "0")
    if not claimed.isdigit() or int(claimed) > MAX_BODY_BYTES:
        return None
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message["type"] == "http.request" and message.get("more_body", False)
        if len(body) > MAX_BODY_BYTES:
            return None
    return body


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_browser(scope: Scope) -> bool:
    """True for everything that came over TCP; False for the Unix socket."""
    return scope.get("client") is not None


def own_page(connection: HTTPConnection) -> bool:
    """False when the browser says that another site sent the request (Fetch metadata, Origin)."""
    if not is_browser(connection.scope):
        return True
    site = connection.headers.get("sec-fetch-site", "same-origin")
    origin = connection.headers.get("origin")
    if site not in ("same-origin", "none"):
        return False
    here = connection.headers.get("host", "").lower()
    return origin is None or origin.lower() in (f"http://{here}", f"https://{here}")


def form_token(request: Request) -> str:
    """The browser's own token, a fresh one where it has none yet; `remember_token` sends it along."""
    token = request.cookies.get(FORM_COOKIE, "")
    return token if len(token) >= 32 and token.isalnum() and token.isascii() else secrets.token_hex(16)


def remember_token(response: Response, token: str) -> None:
    """SameSite=Strict: no other site's form brings it along."""
    response.set_cookie(FORM_COOKIE, token, httponly=True, samesite="strict", path="/")


def token_fits(request: Request, given: str) -> bool:
    """The token in the form is the one in the cookie."""
    known = request.cookies.get(FORM_COOKIE, "")
    return bool(known) and hmac.compare_digest(known.encode(), given.encode())
