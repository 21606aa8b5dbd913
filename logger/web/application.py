"""The addresses and what they answer. The only importer of starlette."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from logger.domain.errors import LoggerError
from logger.texts import shown
from logger.web import answers
from logger.web.access import COOKIE, Access, Asgi
from logger.web.description import description
from logger.web.desk import BusyError, Desk
from logger.web.parts import Parts
from logger.web.past import BUFFER, Past
from logger.web.stream import Stream

log = logging.getLogger(__name__)

_KEEP_STATE_S = 1.0
_LOGIN_S, _LOGIN_BYTES = 10.0, 4096
_WRONG_S = 1.0  # a wrong token is answered after this long
_COOKIE_S = 30 * 86_400
_AGAIN_S = "5"  # who is sent away may come back after so many seconds
_PAGE = {
    "": ("page.html", "text/html"),
    "page.css": ("page.css", "text/css"),
    "page.js": ("page.js", "text/javascript"),
    "draw.js": ("draw.js", "text/javascript"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
    "flow.js": ("flow.js", "text/javascript"),
    "charts.js": ("charts.js", "text/javascript"),
}
Answer = Callable[[Request], Awaitable[Response]]


def application(parts: Parts, token: str, stream: Stream, reports: Desk, states: Desk) -> Asgi:
    """Return the application in terms of ASGI."""
    handlers = _Handlers(parts, stream, reports, states)
    get = {
        "/api/status": handlers.status,
        "/api/site": handlers.site,
        "/api/meters": handlers.meters,
        "/api/meters/{name:path}": handlers.meter,
        "/api/energy": handlers.energy,
        "/api/events": handlers.events,
        "/api/today": handlers.today,
        "/api/stream": handlers.stream,
        "/api/openapi.json": handlers.openapi,
        **{f"/{name}": _page(*source) for name, source in _PAGE.items()},
    }
    if parts.metrics is not None:
        get["/metrics"] = handlers.metrics
    routes = [Route(path, _safe(answer), methods=["GET"]) for path, answer in get.items()]
    routes.append(Route("/login", _safe(handlers.login), methods=["POST"]))
    inner = Starlette(routes=routes, exception_handlers={HTTPException: _http_error})
    access = Access(inner, token, parts.config.http.names if parts.config.http else ())
    handlers.access = access
    if parts.config.http is not None and parts.config.http.origins:
        return CORSMiddleware(
            access,
            allow_origins=parts.config.http.origins,
            allow_methods=["GET"],
            allow_headers=["authorization"],
        )
    return access


class _Handlers:
    access: Access

    def __init__(self, parts: Parts, stream: Stream, reports: Desk, states: Desk) -> None:
        self._parts, self._stream, self._states = parts, stream, states
        self._past = Past(parts.config, parts.now_ms, reports)

    async def status(self, request: Request) -> Response:
        answers.known(request.query_params)
        state = await self._states.ask("state", self._parts.state, _KEEP_STATE_S)
        return _json(state, 200 if state["healthy"] else 503)

    async def site(self, request: Request) -> Response:
        answers.known(request.query_params)
        parts = self._parts
        return _json(answers.site(parts.config, parts.latest, parts.now_ms()))

    async def meters(self, request: Request) -> Response:
        answers.known(request.query_params)
        parts = self._parts
        return _json(answers.meters(parts.config, parts.latest, parts.now_ms()))

    async def meter(self, request: Request) -> Response:
        answers.known(request.query_params)
        name, parts = request.path_params["name"], self._parts
        if name not in parts.latest.meters:
            raise HTTPException(404, f"no meter {name[:64]!r}: /api/meters lists them")
        return _json(answers.meter(parts.config, parts.latest, name, parts.now_ms()))

    async def energy(self, request: Request) -> Response:
        asked, parts = request.query_params, self._parts
        answers.known(asked, "from", "to", "by", "source")
        by, periods = answers.periods(asked, parts.config, parts.now_ms())
        return _json(await self._past.energy(by, periods, _from_buffer(asked)))

    async def events(self, request: Request) -> Response:
        asked, parts = request.query_params, self._parts
        answers.known(asked, "from", "to", "kind", "meter", "source")
        span = answers.span(asked, parts.config, parts.now_ms())
        return _json(await self._past.events(span, answers.tags(asked), _from_buffer(asked)))

    async def today(self, request: Request) -> Response:
        answers.known(request.query_params)
        return _json(await self._past.today())

    async def stream(self, request: Request) -> Response:
        answers.known(request.query_params)
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        self._stream.enter()
        return StreamingResponse(
            self._stream.follow(),
            media_type="text/event-stream",
            headers={"x-accel-buffering": "no"},
        )

    async def openapi(self, request: Request) -> Response:
        answers.known(request.query_params)
        metrics = self._parts.metrics is not None
        return _json(description(token=self.access.needed, metrics=metrics))

    async def metrics(self, _request: Request) -> Response:
        assert self._parts.metrics is not None
        text = await self._states.ask("metrics", self._parts.metrics, _KEEP_STATE_S)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def login(self, request: Request) -> Response:
        """Give a browser the cookie for the token: it has no other place that is safe."""
        try:
            body = await asyncio.wait_for(_body(request), _LOGIN_S)
            data = json.loads(body)
            token = data["token"] if isinstance(data, dict) else None
            str(token).encode()  # JSON can hold halves of characters, which are no text
        except TimeoutError:
            raise HTTPException(408, "the body did not come") from None
        except (ValueError, KeyError, ClientDisconnect, RecursionError):
            token = None
        if not isinstance(token, str):
            raise HTTPException(400, 'expected {"token": "..."}')
        if not self.access.needed:
            raise HTTPException(404, "no token is needed here")
        if not self.access.right(token.strip()):
            await asyncio.sleep(_WRONG_S)
            raise HTTPException(403, "this is not the token")
        answer = Response(status_code=204)
        answer.set_cookie(
            COOKIE, self.access.cookie(), _COOKIE_S, httponly=True, samesite="strict",
            secure=request.url.scheme == "https",
        )  # fmt: skip
        return answer


async def _body(request: Request) -> bytes:
    found = b""
    async for part in request.stream():
        found += part
        if len(found) > _LOGIN_BYTES:
            raise HTTPException(413, f"more than {_LOGIN_BYTES} bytes")
    return found


def _from_buffer(asked: Mapping[str, str]) -> bool:
    return answers.one_of(asked, "source", (BUFFER, "store"), "store") == BUFFER


def _page(name: str, kind: str) -> Answer:
    text = files("logger.web").joinpath(name).read_bytes()

    async def answer(_request: Request) -> Response:
        return Response(text, media_type=kind)

    return answer


def _safe(answer: Answer) -> Answer:
    """Turn whatever goes wrong into an answer that says so."""

    async def safe(request: Request) -> Response:
        try:
            return await answer(request)
        except answers.QuestionError as err:
            return _error(400, str(err))
        except answers.ConflictError as err:
            return _error(409, str(err))
        except BusyError:
            return _error(503, "too many are asking: try again")
        except LoggerError as err:
            return _error(503, f"{err.message}; {err.hint}" if err.hint else err.message)
        except HTTPException:
            raise
        except Exception:
            log.exception("http: %s failed", request.url.path[:100])
            return _error(500, "this failed here; the log says why")

    return safe


async def _http_error(_request: Request, err: Exception) -> Response:
    assert isinstance(err, HTTPException)
    return _error(err.status_code, err.detail, dict(err.headers or {}))


def _error(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    more = {"retry-after": _AGAIN_S} if status == 503 else {}
    return _json({"error": text}, status, {**(headers or {}), **more})


def _json(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    text = json.dumps(shown(data), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Response(text, status, headers, "application/json")
