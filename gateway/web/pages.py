"""The pages people look at: ward, alarms, one alarm, devices, system. Each is complete without JavaScript."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from gateway.commands import OUTCOMES, Answer, Commands, Reason, Refused
from gateway.readmodel import ReadModel
from gateway.web.access import own_page, token_fits
from gateway.web.render import Renderer

LISTED_ALARMS = 50
SPOT = (
    "systolic", "diastolic", "mean_arterial", "pulse_rate", "spo2", "body_temperature", "glucose", "ketone",
    "uric_acid", "cholesterol", "haematocrit", "haemoglobin", "lactate", "weight",
)  # fmt: skip
STATUS = {
    Reason.ALARM_UNKNOWN: 404, Reason.REVISION_STALE: 409, Reason.ALREADY_CLOSED: 409, Reason.DEVICE_UNKNOWN: 404,
    Reason.PAIRING_BUSY: 409, Reason.PAIRING_ASKS_NOT: 409,
}  # fmt: skip
STATUS_ELSE = 422
DONE = ("acknowledge", "close")

Text = Annotated[str, Form()]


class Pages:
    """Handlers of the pages; `router` holds their routes."""

    def __init__(self, model: ReadModel, commands: Commands, renderer: Renderer) -> None:
        self._model = model
        self._commands = commands
        self._renderer = renderer
        self.router = APIRouter(include_in_schema=False)
        for name, handler in (
            ("ward", self.ward),
            ("alarms", self.alarms),
            ("devices", self.devices),
            ("system", self.system),
        ):
            self.router.add_api_route("/" if name == "ward" else f"/{name}", handler, methods=["GET"])
            self.router.add_api_route(f"/live/{name}", handler, methods=["GET"])
        self.router.add_api_route("/alarms/{alarm_id}", self.alarm, methods=["GET"])
        self.router.add_api_route("/live/alarms/{alarm_id}", self.alarm, methods=["GET"])
        self.router.add_api_route("/alarms/{alarm_id}/acknowledge", self.acknowledge, methods=["POST"])
        self.router.add_api_route("/alarms/{alarm_id}/close", self.close, methods=["POST"])

    async def ward(self, request: Request) -> Response:
        return self._page(request, "ward", ward=self._model.ward(), spot=SPOT)

    async def alarms(self, request: Request) -> Response:
        alarms = await self._model.alarms(LISTED_ALARMS)
        return self._page(request, "alarms", alarms=alarms)

    async def devices(self, request: Request) -> Response:
        return self._page(request, "devices", devices=self._model.devices(), blind=self._model.blind())

    async def system(self, request: Request) -> Response:
        health, uplinks = self._model.health(), await self._model.uplinks()
        return self._page(request, "system", health=health, uplinks=uplinks, rows=await self._model.history.counts())

    async def alarm(self, request: Request, alarm_id: str) -> Response:
        done = request.query_params.get("done", "")
        return await self._alarm_page(request, alarm_id, done=done if done in DONE else "")

    async def acknowledge(
        self, request: Request, alarm_id: str, by: Text = "", note: Text = "", token: Text = ""
    ) -> Response:
        if not (own_page(request) and token_fits(request, token)):
            return self._forged(request)
        answer = await self._commands.acknowledge(alarm_id, by, note, "page")
        return await self._answered(request, alarm_id, "acknowledge", answer, by)

    async def close(
        self, request: Request, alarm_id: str, by: Text = "", outcome: Text = "", token: Text = ""
    ) -> Response:
        if not (own_page(request) and token_fits(request, token)):
            return self._forged(request)
        answer = await self._commands.close(alarm_id, outcome, by, "page")
        return await self._answered(request, alarm_id, "close", answer, by)

    async def _answered(self, request: Request, alarm_id: str, verb: str, answer: Answer, by: str) -> Response:
        """After success a fresh page, so that a reload repeats nothing; after a refusal the form with the reason."""
        if not isinstance(answer, Refused):
            return RedirectResponse(f"/alarms/{quote(alarm_id, safe='')}?done={verb}", 303)
        reason = self._renderer.texts(request)(f"refused.{answer.reason.value}", **answer.values)
        status = STATUS.get(answer.reason, STATUS_ELSE)
        return await self._alarm_page(request, alarm_id, status=status, reason=reason, by=by)

    async def _alarm_page(
        self, request: Request, alarm_id: str, *, status: int = 200, done: str = "", reason: str = "", by: str = ""
    ) -> Response:
        alarm = self._model.alarm(alarm_id)
        if alarm is None:
            known = {older.id: older for older in await self._model.alarms(LISTED_ALARMS)}
            alarm = known.get(alarm_id)
        if alarm is None:
            text = self._renderer.texts(request)("refused.alarm_unknown", alarm=alarm_id)
            return self._page(request, "message", status=404, message=text)
        return self._page(
            request, "alarm", status=status, alarm=alarm, done=done, reason=reason, by=by, outcomes=OUTCOMES
        )

    def _forged(self, request: Request) -> Response:
        return self._page(request, "message", status=403, message=self._renderer.texts(request)("page.forged"))

    def _page(self, request: Request, name: str, *, status: int = 200, **values: object) -> Response:
        """With the number of open alarms, which every page shows."""
        return self._renderer.page(
            request,
            name,
            status=status,
            fragment=request.url.path.startswith("/live/"),
            open_alarms=len(self._model.open_alarms()),
            live=name != "message",
            **values,
        )
