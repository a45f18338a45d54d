"""The only place where an error becomes an HTTP status: RFC 9457, and what every surface expects.

One body serves all: `detail` for who reads problem documents, `success` and `correlation_id` for
the orchestrator's clients, `error` with the members that OpenAI's clients read.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, cast

from fastapi import FastAPI, Request, WebSocket
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import ExceptionHandler

from maquette.api import dialects
from maquette.core import correlation
from maquette.core import errors as e

MEDIA_TYPE = "application/problem+json"
log = logging.getLogger(__name__)

STATUS: Mapping[type[e.MaquetteError], int] = {
    e.MaquetteError: 500,
    e.InvalidInput: 422,
    e.ImageTooLarge: 413,
    e.RequestTooLarge: 413,
    e.UnsupportedMedia: 415,
    e.RangeOutside: 416,
    e.ProtocolUnsupported: 412,
    e.ChecksumMismatch: 460,  # tus 1.0 made it
    e.Denied: 403,
    e.Unauthenticated: 401,
    e.NotFound: 404,
    e.Conflict: 409,
    e.MethodNotAllowed: 405,
    e.Hurried: 503,
    e.TooManyRequests: 429,
    e.RequestTimedOut: 504,
    e.SpendRefused: 402,
    e.ProviderError: 502,
    e.ProviderRefused: 422,
    e.RateLimited: 503,
    e.ProviderUnavailable: 503,
    e.EndpointResting: 503,
    e.ConnectionRefused: 422,
    e.OperationFailed: 422,
    e.OperationCrashed: 503,
    e.StepCrashed: 503,
    e.OperationTimedOut: 504,
    e.Cancelled: 409,
    e.StorageUnavailable: 503,
    e.StorageFull: 507,
}

_OPENAI_TYPE: Mapping[int, str] = {
    401: "authentication_error",
    403: "permission_error",
    402: "insufficient_quota",
    429: "rate_limit_error",
}


class ProblemError(BaseModel):
    """The same problem in the words of OpenAI's and the orchestrator's clients."""

    code: str
    message: str
    type: str
    param: str | None = None
    details: dict[str, Any] = {}


class Problem(BaseModel):
    """What every error looks like."""

    type: str = Field(description="A page that explains the code.")
    title: str
    status: int
    detail: str
    instance: str
    success: bool = False
    correlation_id: str
    error: ProblemError


def status_of(kind: type[e.MaquetteError], path: str = "") -> int:
    """Return the status of the nearest class in the table, as it is said at that address."""
    table = {**STATUS, **dialects.of_path(path).status}
    return next(table[base] for base in kind.__mro__ if base in table)


def _nearest(table: Mapping[type[e.MaquetteError], str], kind: type[e.MaquetteError]) -> str | None:
    return next((table[base] for base in kind.__mro__ if base in table), None)


def title_of(kind: type[e.MaquetteError]) -> str:
    return (kind.__doc__ or "").partition("\n")[0].rstrip(".")


def document(error: e.MaquetteError, path: str, param: str | None = None) -> dict[str, Any]:
    """Describe an error for a reply or a stream."""
    status, dialect = status_of(type(error), path), dialects.of_path(path)
    facts = {name: value for name, value in error.facts.items() if value is not None}
    named = facts.pop("param", None)
    word = _OPENAI_TYPE.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return Problem(
        type=f"/problems/{error.code}",
        title=title_of(type(error)),
        status=status,
        detail=str(error),
        instance=path,
        correlation_id=correlation.current.get() or "",
        error=ProblemError(
            code=_nearest(dialect.code, type(error)) or error.code,
            message=str(error),
            type=_nearest(dialect.kind, type(error)) or word,
            param=param or (None if named is None else str(named)),
            details=facts,
        ),
    ).model_dump()


def response(error: e.MaquetteError, path: str, param: str | None = None) -> JSONResponse:
    """Render an error; what the client may do about it goes into the headers."""
    status, dialect = status_of(type(error), path), dialects.of_path(path)
    headers: dict[str, str] = {}
    wait_s = getattr(error, "retry_after", None)
    if wait_s is None and status == 503:
        wait_s = 5.0
    if wait_s is not None:
        headers["Retry-After"] = str(max(1, round(wait_s)))
        if dialect.milliseconds:
            headers["Retry-After-Ms"] = str(max(1, round(wait_s * 1000)))
    if isinstance(error, dialect.hopeless):
        headers["X-Should-Retry"] = "false"
    if status == 416:
        headers["Content-Range"] = f"bytes */{error.facts.get('size_bytes')}"
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="maquette"'
    return JSONResponse(document(error, path, param), status, headers, media_type=MEDIA_TYPE)


async def _ours(connection: HTTPConnection, error: Exception) -> JSONResponse | None:
    assert isinstance(error, e.MaquetteError)
    if status_of(type(error), connection.url.path) >= 500:
        log.warning("request failed: %s: %s", error.code, error)
    return await _answer(connection, response(error, connection.url.path))


async def _answer(connection: HTTPConnection, reply: JSONResponse) -> JSONResponse | None:
    """Answer a request; deny a WebSocket that was not accepted yet."""
    if not isinstance(connection, WebSocket):
        return reply
    await connection.send_denial_response(reply)
    return None


async def _invalid(connection: HTTPConnection, error: Exception) -> JSONResponse | None:
    assert isinstance(error, RequestValidationError | WebSocketRequestValidationError)
    first = error.errors()[0]
    where, *path = [str(part) for part in first["loc"]] or ["body"]
    name = ".".join(path) or where
    problem = e.BadParameter(f"{name} in the {where} cannot be used: {first['msg']}.")
    return await _answer(connection, response(problem, connection.url.path, name))


async def _http(request: Request, error: Exception) -> JSONResponse:
    """Give the framework's own refusals the same body."""
    assert isinstance(error, HTTPException)
    known: dict[int, e.MaquetteError] = {
        404: e.NoSuchRoute(f"Nothing answers at {request.url.path!r}. /docs lists what does."),
        405: e.MethodNotAllowed(
            f"{request.url.path!r} does not answer to {request.method}. /docs lists the methods."
        ),
        400: e.BadParameter(f"The request cannot be read: {error.detail}."),
        413: e.RequestTooLarge(str(error.detail)),
    }
    problem = known.get(error.status_code, e.MaquetteError(str(error.detail)))
    answer = response(problem, request.url.path)
    for name, value in (error.headers or {}).items():
        answer.headers[name] = value
    if error.status_code == 405:
        answer.headers["Allow"] = ", ".join(_methods(request))
    return answer


def _methods(request: Request) -> list[str]:
    """Return all methods of an address: the framework names those of its first route alone.

    Where a name of ours stands in the place of a parameter, it is that which was meant.
    """
    routes: Sequence[APIRoute] = request.app.state.routes
    found = [route for route in routes if route.path_regex.match(request.url.path)]
    fewest = min((len(route.param_convertors) for route in found), default=0)
    meant = (route for route in found if len(route.param_convertors) == fewest)
    return sorted({one for route in meant for one in route.methods or ()})


async def _unforeseen(request: Request, error: Exception) -> JSONResponse:
    """Tell nothing of a bug but its correlation id; the log has the rest."""
    log.error("a request failed in an unforeseen way", exc_info=error)
    problem = e.MaquetteError(
        "Something went wrong that nobody foresaw; nothing more was done. The server's log has "
        "the reason under this correlation id."
    )
    return response(problem, request.url.path)


def install(app: FastAPI, routes: Sequence[APIRoute]) -> None:
    """Teach the app to render every error."""
    app.state.routes = routes
    for kind, handler in (
        (e.MaquetteError, _ours),
        (RequestValidationError, _invalid),
        (WebSocketRequestValidationError, _invalid),
        (HTTPException, _http),
        (Exception, _unforeseen),
    ):
        app.add_exception_handler(kind, cast("ExceptionHandler", handler))
