"""/api/v1: the read model as JSON, two commands, and the stream that keeps pages current."""

from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import JSONResponse, Response, StreamingResponse

from gateway.air import AirState
from gateway.commands import Answer, Commands, Done, Refused
from gateway.core.night import Night
from gateway.pair_state import WINDOW_S, PairState
from gateway.readmodel import ReadModel
from gateway.texts import load
from gateway.views import (
    AlarmState,
    BedState,
    BlindRule,
    DeviceState,
    Health,
    Inventory,
    UplinkState,
    Ward,
    alarm_summary,
)
from gateway.web.access import own_page
from gateway.web.live import LiveStream
from gateway.web.pages import STATUS, STATUS_ELSE

MAX_LISTED = 500


class Acknowledge(BaseModel):
    """rev: the revision the person saw; left out, any is accepted."""

    model_config = ConfigDict(extra="forbid")
    by: str
    note: str = ""
    rev: int | None = None


class Close(BaseModel):
    """outcome: one of gateway.commands.OUTCOMES."""

    model_config = ConfigDict(extra="forbid")
    by: str
    outcome: str
    rev: int | None = None


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def _refused(status: int, error: str, hint: str) -> Response:
    return JSONResponse({"error": error, "hint": hint}, status)


def _documented(model: Any) -> dict[int | str, dict[str, Any]]:
    return {200: {"model": model}}


class Identity(BaseModel):
    """station: id of the shared device. bed or resident: whose card it is, as the registry knows them."""

    model_config = ConfigDict(extra="forbid")
    station: str
    by: Literal["card", "qr", "badge"]
    bed: str = ""
    resident: str = ""


class Pair(BaseModel):
    """by: who stands before the device. window_s: so long it may take, at most 300."""

    model_config = ConfigDict(extra="forbid")
    by: str
    window_s: float = WINDOW_S


class PairAnswer(BaseModel):
    """passkey: the six digits that the device shows; agrees: whether it shows the same ones as this gateway."""

    model_config = ConfigDict(extra="forbid")
    passkey: int | None = None
    agrees: bool | None = None


@dataclass(frozen=True, slots=True)
class NightTold:
    """notes: the night's caveats in the language asked for."""

    night: Night
    notes: tuple[str, ...]


class Api:
    """Handlers of /api/v1; `router` holds their routes."""

    def __init__(self, model: ReadModel, commands: Commands, stream: LiveStream) -> None:
        self._model = model
        self._commands = commands
        self._stream = stream
        self.router = APIRouter(prefix="/api/v1")
        for path, handler, answer in (
            ("/ward", self.ward, Ward),
            ("/beds/{bed}", self.bed, BedState),
            ("/beds/{bed}/night", self.night, NightTold),
            ("/alarms", self.alarms, list[AlarmState]),
            ("/alarms/{alarm_id}", self.alarm, AlarmState),
            ("/devices", self.devices, list[DeviceState]),
            ("/health", self.health, Health),
            ("/uplinks", self.uplinks, list[UplinkState]),
            ("/inventory", self.inventory, Inventory),
            ("/blind", self.blind, list[BlindRule]),
            ("/ble/seen", self.seen, AirState),
            ("/pairing", self.pairing, PairState),
        ):
            self.router.add_api_route(path, handler, methods=["GET"], responses=_documented(answer))
        self.router.add_api_route("/stream", self.stream, methods=["GET"])
        self.router.add_api_route("/alarms/{alarm_id}/acknowledge", self.acknowledge, methods=["POST"])
        self.router.add_api_route("/devices/{device}/pair", self.pair, methods=["POST"])
        self.router.add_api_route("/pairing/answer", self.pair_answer, methods=["POST"])
        self.router.add_api_route("/identities", self.identify, methods=["POST"])
        self.router.add_api_route("/alarms/{alarm_id}/close", self.close, methods=["POST"])

    async def ward(self) -> Response:
        """All beds, live."""
        return _json(self._model.ward())

    async def bed(self, bed: str) -> Response:
        """One bed, live."""
        found = self._model.bed(bed)
        return _json(found) if found else _refused(404, f"no bed {bed}", "GET /api/v1/ward lists them")

    async def night(self, bed: str, language: Literal["zh", "en", "fr"] = "zh") -> Response:
        """The last night in one bed, with what has to be said beside its numbers."""
        found = self._model.night(bed)
        if found is None:
            return _refused(404, f"no night of {bed}", "a night is summed up after 09:00 when the bed has measured")
        texts = load(language)
        return _json(NightTold(found, tuple(texts(f"night.caveat.{key}") for key in found.caveats)))

    async def alarms(self, limit: int = 50, bed: str | None = None) -> Response:
        """Open alarms first, then the newest closed ones; limit 1 to 500."""
        return _json(await self._model.alarms(min(max(limit, 1), MAX_LISTED), bed))

    async def alarm(self, alarm_id: str) -> Response:
        """One alarm in its newest state."""
        found = self._model.alarm(alarm_id)
        return _json(found) if found else _refused(404, f"no alarm {alarm_id}", "GET /api/v1/alarms lists them")

    async def devices(self) -> Response:
        """All devices with state, losses and rejections."""
        return _json(self._model.devices())

    async def health(self) -> Response:
        """The box itself."""
        return _json(self._model.health())

    async def uplinks(self) -> Response:
        """Each platform with state and what waits for it."""
        return _json(await self._model.uplinks())

    async def inventory(self) -> Response:
        """Beds and devices of the registry."""
        return _json(self._model.inventory())

    async def blind(self) -> Response:
        """Rules that see nothing in a bed, because no device there reports what they look at."""
        return _json(self._model.blind())

    async def seen(self) -> Response:
        """Each Bluetooth radio, and who was heard lately with the models it may be."""
        return _json(self._model.air())

    async def pairing(self) -> Response:
        """How far the newest pairing is, and what it asks of the person before the device."""
        return _json(self._model.pairing())

    async def stream(self) -> Response:
        """Server-sent events `changed` with revision and number of open alarms."""
        if self._stream.full:
            return _refused(503, "too many open pages", "close some of them")
        return StreamingResponse(self._stream.events(), media_type="text/event-stream")

    async def acknowledge(self, request: Request, alarm_id: str, body: Acknowledge) -> Response:
        """A named person has seen the alarm."""
        if refusal := _from_elsewhere(request):
            return refusal
        return _answer(await self._commands.acknowledge(alarm_id, body.by, body.note, "api", body.rev))

    async def close(self, request: Request, alarm_id: str, body: Close) -> Response:
        """Help has come to an end, with an outcome."""
        if refusal := _from_elsewhere(request):
            return refusal
        return _answer(await self._commands.close(alarm_id, body.outcome, body.by, "api", body.rev))

    async def pair(self, request: Request, device: str, body: Pair) -> Response:
        """Somebody stands before the device: pair it. GET /api/v1/pairing tells how it goes."""
        if refusal := _from_elsewhere(request):
            return refusal
        return self._paired(await self._commands.pair(device, body.by, "api", body.window_s))

    async def pair_answer(self, request: Request, body: PairAnswer) -> Response:
        """The passkey, or whether the digits are the same."""
        if refusal := _from_elsewhere(request):
            return refusal
        return self._paired(self._commands.pair_answer(body.passkey, agrees=body.agrees))

    def _paired(self, refused: Refused | None) -> Response:
        return _json(self._model.pairing(), 202) if refused is None else _told(refused)

    async def identify(self, request: Request, body: Identity) -> Response:
        """Somebody showed a card, QR code or badge at a shared device."""
        if refusal := _from_elsewhere(request):
            return refusal
        refused = self._commands.present(body.station, body.by, bed=body.bed, resident=body.resident)
        return _json({"station": body.station}) if refused is None else _told(refused)


def _from_elsewhere(request: Request) -> Response | None:
    """Another site's script cannot send this type of content without asking first, and nobody here answers that."""
    if not request.headers.get("content-type", "").startswith("application/json"):
        return _refused(415, "the body is no JSON", "send Content-Type: application/json")
    if not own_page(request):
        return _refused(403, "the request came from another site", "send it from this gateway's own page or socket")
    return None


def _answer(answer: Answer) -> Response:
    return _json(alarm_summary(answer.alarm)) if isinstance(answer, Done) else _told(answer)


def _told(answer: Refused) -> Response:
    content = {"error": answer.reason.value, "hint": "", **answer.values}
    return JSONResponse(content, STATUS.get(answer.reason, STATUS_ELSE))
