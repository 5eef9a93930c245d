"""Templates to responses: language of the reader, local time, escaped text.

Everything that is put into a page is escaped by the template engine; nothing is marked as safe anywhere.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from gateway.core.model import Mode
from gateway.texts import LANGUAGES, Texts, load, preferred
from gateway.web.access import form_token, remember_token

LANGUAGE_COOKIE = "carebed_language"
YEAR_S = 365 * 86_400
HTML_LANGUAGE = {"zh": "zh-Hans", "en": "en", "fr": "fr"}
PAGES = ("ward", "alarms", "readings", "devices", "system")

_environment = Environment(
    loader=PackageLoader("gateway.web"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every page needs to know. signed: the thresholds come from a signed bundle.

    language None follows the browser (nobody could read the configuration that says one).
    """

    mode: Mode
    zone: ZoneInfo
    language: str | None = None
    signed: bool = False
    pages: Collection[str] = PAGES


class Renderer:
    """One for the application."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings

    def texts(self, request: Request) -> Texts:
        """In the language chosen in the address, else remembered, else the site's, else the browser's."""
        for wanted in (request.query_params.get("lang"), request.cookies.get(LANGUAGE_COOKIE)):
            if wanted in LANGUAGES:
                return load(wanted)
        default = self._surroundings.language
        return load(default or preferred(request.headers.get("accept-language", ""), "en"))

    def page(
        self, request: Request, name: str, *, status: int = 200, fragment: bool = False, **values: object
    ) -> HTMLResponse:
        """The template `name` in the reader's language; fragment: only the part that is kept current."""
        texts = self.texts(request)
        token = form_token(request)
        body = _environment.get_template(f"{name}.html").render(
            t=texts,
            page=name,
            pages=self._surroundings.pages,
            frame="fragment.html" if fragment else "frame.html",
            mode=self._surroundings.mode.value,
            signed=self._surroundings.signed,
            languages=[(language, load(language)("language.name")) for language in LANGUAGES],
            html_language=HTML_LANGUAGE[texts.language],
            token=token,
            path=request.url.path,
            local=self.local,
            **values,
        )
        response = HTMLResponse(body, status)
        if request.query_params.get("lang") == texts.language:
            response.set_cookie(LANGUAGE_COOKIE, texts.language, max_age=YEAR_S, samesite="lax", httponly=True)
        if not fragment:
            remember_token(response, token)
        return response

    def local(self, utc_ms: int) -> datetime:
        """A moment in the site's time zone."""
        return datetime.fromtimestamp(utc_ms / 1000, tz=UTC).astimezone(self._surroundings.zone)
