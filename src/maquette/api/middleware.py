"""What happens around every request: its id, who may address us, its size, its time, its log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maquette.api import jsontext, problems
from maquette.api.house import Rules
from maquette.core import correlation, numerals
from maquette.core.errors import (
    BadParameter,
    CrossSite,
    MaquetteError,
    RequestTimedOut,
    RequestTooLarge,
)

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
log = structlog.stdlib.get_logger("maquette.requests")


class Correlated:
    """Gives each request an id, and each reply the headers that every reply has."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        following = correlation.accepted(Headers(scope=scope).get(correlation.HEADER))
        token = correlation.current.set(following)
        began, status = time.perf_counter(), 0
        scope.setdefault("state", {})

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[correlation.HEADER] = following
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("Referrer-Policy", "same-origin")
                headers.setdefault("Cache-Control", "no-store")
                allowance = scope["state"].get("allowance")
                if allowance is not None:
                    headers.update(allowance.headers())
            await send(message)

        try:
            with structlog.contextvars.bound_contextvars(correlation_id=following):
                await self._app(scope, receive, told)
                caller = scope["state"].get("caller")
                log.info(
                    "request",
                    method=scope.get("method", "WS"),
                    path=scope["path"],
                    status=status,
                    ms=round((time.perf_counter() - began) * 1000, 1),
                    who=None if caller is None else caller.name,
                )
        finally:
            correlation.current.reset(token)


class Addressed:
    """Refuses requests that a page of another site made through somebody's browser.

    A name that a stranger's DNS server points at this machine is not ours (DNS rebinding), and a
    change that another origin's page sends is nobody's wish (cross-site request forgery).
    """

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            problem = self._problem(scope)
            if problem is not None:
                await _refuse(problem, scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _problem(self, scope: Scope) -> MaquetteError | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if not self._rules.multi_user and name.lower() not in _LOOPBACK | self._rules.hosts:
            return CrossSite(
                f"This studio does not answer under the name {name!r}. Open it at localhost, or "
                "add the name to MAQUETTE_SERVER__HOSTS."
            )
        if "\0" in scope["path"] or b"%00" in scope["query_string"]:
            return BadParameter("The address contains a NUL character, which no name has.")
        unsafe = scope["type"] == "websocket" or scope["method"] not in _SAFE
        origin = headers.get("origin")
        if not unsafe:
            return None
        if origin is None:
            if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
                return None
            origin = headers["sec-fetch-site"]
        elif _site(origin) == host.lower() or origin in self._rules.origins:
            return None
        return CrossSite(
            f"A page of {origin!r} made this request; only the studio's own pages may. "
            "MAQUETTE_SERVER__ORIGINS lists others that are allowed."
        )


def _site(origin: str) -> str:
    """Return host and port of an origin; nothing for what is none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


class Bounded:
    """Reads no body over the limit, and answers in time; streams and uploads have limits of theirs.

    What an upload or a stream is, `exempt` says; `patient` says whose answer may take its time.
    """

    def __init__(
        self,
        app: ASGIApp,
        rules: Rules,
        exempt: Callable[[Scope], bool],
        patient: Callable[[Scope], bool],
    ) -> None:
        self._app = app
        self._rules = rules
        self._exempt = exempt
        self._patient = patient

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._exempt(scope):
            await self._app(scope, receive, send)
            return
        most = self._rules.body_bytes
        declared = Headers(scope=scope).get("content-length", "")
        if numerals.exceeds(declared, most):
            await _refuse(_too_large(most), scope, receive, send)
            return
        began = False
        longest_s = self._rules.request_timeout_s
        try:
            async with asyncio.timeout(longest_s):
                body = await _whole(receive, most)
            _check_text(body)
        except TimeoutError:
            await _refuse(_too_slow(longest_s), scope, receive, send)
            return
        except MaquetteError as error:
            await _refuse(error, scope, receive, send)
            return
        try:
            async with asyncio.timeout(None if self._patient(scope) else longest_s) as limit:

                async def noted(message: Message) -> None:
                    nonlocal began
                    began = True
                    limit.reschedule(None)  # an answer that has begun may take its time
                    await send(message)

                await self._app(scope, again(body, receive), noted)
        except TimeoutError:
            if began:
                raise
            problem = RequestTimedOut(
                f"No answer within {longest_s:g} s. What was begun goes on; look at it before you "
                "ask again."
            )
            await _refuse(problem, scope, receive, send)


def _too_slow(longest_s: float) -> RequestTimedOut:
    return RequestTimedOut(f"The body did not come within {longest_s:g} s; nothing was done.")


async def _whole(receive: Receive, limit: int) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":  # half a body is not a shorter one
            raise BadParameter("The connection ended before the body did; send it again.")
        body += message.get("body", b"")
        if len(body) > limit:
            raise _too_large(limit)
        if not message.get("more_body", False):
            return bytes(body)


def again(body: bytes, receive: Receive) -> Receive:
    """Let the application read a body that was read already, then what comes after it."""
    told = False

    async def replayed() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def _check_text(body: bytes) -> None:
    """Refuse JSON text that no database can keep: NUL characters and halves of surrogates."""
    if b"\\u" not in body:
        return
    with suppress(ValueError):  # no JSON: whoever reads it says so
        jsontext.read(body)


def _too_large(limit: int) -> RequestTooLarge:
    return RequestTooLarge(f"The body is larger than {limit // 1024} KiB, so it was not read.")


async def _refuse(problem: MaquetteError, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": problem.code})
        return
    await problems.response(problem, scope["path"])(scope, receive, send)
