"""The page of unclaimed readings and their part of /api/v1: looked at, checked, then given to somebody by name."""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Form, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import JSONResponse, RedirectResponse, Response

from gateway.commands import Commands, Reason
from gateway.readmodel import ReadModel
from gateway.unassigned import OpenReading
from gateway.web.access import own_page, token_fits
from gateway.web.pages import STATUS_ELSE
from gateway.web.render import Renderer

STATUS = {Reason.READING_UNKNOWN: 404}

Text = Annotated[str, Form()]


class Assign(BaseModel):
    """bed or resident: whose it is, as the registry knows them. by: who says so."""

    model_config = ConfigDict(extra="forbid")
    by: str
    bed: str = ""
    resident: str = ""


class Readings:
    """Handlers of both; `router` holds their routes."""

    def __init__(self, model: ReadModel, commands: Commands, renderer: Renderer) -> None:
        self._model = model
        self._commands = commands
        self._renderer = renderer
        self.router = APIRouter()
        pages: dict[str, Callable[..., Any]] = {
            "/readings": self.page, "/live/readings": self.page, "/readings/{reading}": self.one,
        }  # fmt: skip
        for path, handler in pages.items():
            self.router.add_api_route(path, handler, methods=["GET"], include_in_schema=False)
        self.router.add_api_route("/readings/{reading}", self.assign, methods=["POST"], include_in_schema=False)
        answer: dict[int | str, dict[str, object]] = {200: {"model": list[OpenReading]}}
        self.router.add_api_route("/api/v1/readings/unassigned", self.listed, methods=["GET"], responses=answer)
        self.router.add_api_route("/api/v1/readings/{reading}/assign", self.order, methods=["POST"])

    async def page(self, request: Request) -> Response:
        """All that nobody has claimed."""
        done = request.query_params.get("done") == "assign"
        return self._shown(request, "readings", readings=self._model.unassigned(), done=done)

    async def one(self, request: Request, reading: str) -> Response:
        """One of them, with the form."""
        return self._form(request, reading)

    async def assign(
        self, request: Request, reading: str, bed: Text = "", by: Text = "", sure: Text = "", token: Text = ""
    ) -> Response:
        """First shows what would be done; only the form that then says `sure` does it."""
        if not (own_page(request) and token_fits(request, token)):
            forged = self._renderer.texts(request)("page.forged")
            return self._shown(request, "message", status=403, message=forged)
        if sure != "yes":
            known = bed in {one.id for one in self._model.ward().beds} and by.strip()
            return self._form(request, reading, bed=bed, by=by, check=bool(known))
        refused = await self._commands.assign(reading, by, "page", bed=bed)
        if refused is None:
            return RedirectResponse("/readings?done=assign", 303)
        reason = self._renderer.texts(request)(f"refused.{refused.reason.value}", **refused.values)
        status = STATUS.get(refused.reason, STATUS_ELSE)
        return self._form(request, reading, status=status, reason=reason, bed=bed, by=by)

    async def listed(self) -> Response:
        """Readings of shared devices that nobody has claimed, newest first."""
        return Response(msgspec.json.encode(self._model.unassigned()), media_type="application/json")

    async def order(self, request: Request, reading: str, body: Assign) -> Response:
        """A named person says whose it is. This cannot be taken back."""
        if not request.headers.get("content-type", "").startswith("application/json"):
            return JSONResponse({"error": "the body is no JSON", "hint": "send Content-Type: application/json"}, 415)
        if not own_page(request):
            hint = "send it from this gateway's own page or socket"
            return JSONResponse({"error": "the request came from another site", "hint": hint}, 403)
        refused = await self._commands.assign(reading, body.by, "api", bed=body.bed, resident=body.resident)
        if refused is None:
            return JSONResponse({"reading": reading})
        content = {"error": refused.reason.value, "hint": "GET /api/v1/readings/unassigned", **refused.values}
        return JSONResponse(content, STATUS.get(refused.reason, STATUS_ELSE))

    def _form(
        self, request: Request, reading: str, *, status: int = 200, reason: str = "", bed: str = "", by: str = "",
        check: bool = False,
    ) -> Response:  # fmt: skip
        found = next((one for one in self._model.unassigned() if one.id == reading), None)
        if found is None:
            text = reason or self._renderer.texts(request)("refused.reading_unknown")
            return self._shown(request, "message", status=404, message=text)
        return self._shown(
            request, "reading", status=status, reading=found, beds=self._model.ward().beds, bed=bed, by=by,
            check=check, reason=reason,
        )  # fmt: skip

    def _shown(self, request: Request, name: str, *, status: int = 200, **values: object) -> Response:
        return self._renderer.page(
            request, name, status=status, fragment=request.url.path.startswith("/live/"),
            open_alarms=len(self._model.open_alarms()), live=name == "readings", **values,
        )  # fmt: skip
