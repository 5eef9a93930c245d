"""Puts the page together: the application of a working box, and the one of a box whose configuration is broken."""

from collections.abc import Collection
from pathlib import Path
from zoneinfo import ZoneInfo

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.staticfiles import StaticFiles

from gateway.commands import Commands
from gateway.core.clock import Clock
from gateway.core.errors import ConfigError
from gateway.core.model import Mode
from gateway.readmodel import ReadModel
from gateway.web.access import Guard
from gateway.web.api import Api
from gateway.web.live import LiveStream
from gateway.web.pages import Pages
from gateway.web.readings import Readings
from gateway.web.render import Renderer, Surroundings

STATIC = Path(__file__).with_name("static")
ALL_ADDRESSES = ("0.0.0.0", "::")  # noqa: S104 - recognised here, bound only where the configuration says so


def create_app(
    model: ReadModel,
    commands: Commands,
    surroundings: Surroundings,
    clock: Clock,
    *,
    host: str = "127.0.0.1",
    hosts: Collection[str] = (),
) -> FastAPI:
    """The page and /api/v1. host: what the page listens on; hosts: further names under which it may be reached."""
    app = _bare(surroundings.mode)
    renderer = Renderer(surroundings)
    stream = LiveStream(model, clock)
    app.state.close_streams = stream.close
    app.include_router(Pages(model, commands, renderer).router)
    app.include_router(Readings(model, commands, renderer).router)
    app.include_router(Api(model, commands, stream).router)
    _guard(app, host, hosts)

    async def refused(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        if request.url.path.startswith("/api/"):
            return JSONResponse({"error": "no such thing here", "hint": "see /api/v1/openapi.json"}, status)
        text = renderer.texts(request)("page.not_found")
        return renderer.page(
            request, "message", status=status, open_alarms=len(model.open_alarms()), live=False, message=text
        )

    app.add_exception_handler(HTTPException, refused)
    return app


def fault_app(error: ConfigError, *, host: str = "127.0.0.1", hosts: Collection[str] = ()) -> FastAPI:
    """One page under every address that lists what is wrong with the file; /api/v1 says the same as JSON.

    Everything is answered with 503: whoever watches the box must not take it for a working one.
    """
    app = _bare(Mode.REAL)
    renderer = Renderer(Surroundings(Mode.REAL, ZoneInfo("UTC"), pages=()))
    app.state.close_streams = lambda: None

    async def explain(request: Request) -> Response:
        if request.url.path.startswith("/api/"):
            faults = [
                {"line": fault.line, "key": fault.key, "message": fault.message, "hint": fault.hint}
                for fault in error.faults
            ]
            return JSONResponse({"error": "configuration", "path": error.path, "faults": faults}, 503)
        return renderer.page(
            request, "fault", status=503, open_alarms=0, live=False, path_of_file=error.path, faults=error.faults
        )

    app.add_route("/{path:path}", explain, include_in_schema=False)
    _guard(app, host, hosts)
    return app


def _bare(mode: Mode) -> FastAPI:
    """No generated documentation pages: they would fetch scripts from elsewhere."""
    app = FastAPI(
        title="carebed", description=f"Gateway beside the bed, mode {mode.value}", docs_url=None, redoc_url=None,
        openapi_url="/api/v1/openapi.json", redirect_slashes=False,
    )  # fmt: skip
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app


def _guard(app: FastAPI, host: str, hosts: Collection[str]) -> None:
    app.add_middleware(Guard, hosts=(host, *hosts), any_address=host in ALL_ADDRESSES)
