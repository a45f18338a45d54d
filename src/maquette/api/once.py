"""A request that carries an idempotency key is done once, however often it is sent."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import cast

from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maquette.api import credentials, problems
from maquette.api.door import PROJECT, HouseDoor, OwnDoor, ProjectDoor, door_of
from maquette.api.house import House
from maquette.api.middleware import again
from maquette.core.errors import BadParameter, MaquetteError
from maquette.db.idempotency import Claim
from maquette.services import once

HEADER = "Idempotency-Key"
KEPT = timedelta(hours=24)
_LONGEST = 255
_MOST_BYTES = 256 * 1024


class Once:
    """Keeps the answers of requests with a key for a day, by caller.

    What was refused (a status of 400 or more) did nothing, so its key is free again. What a
    request makes is noted under the key in the commit that makes it: even if the process dies
    before it has answered, the next try is told of that and makes nothing new.
    """

    def __init__(self, app: ASGIApp, exempt: Callable[[Scope], bool]) -> None:
        self._app = app
        self._exempt = exempt

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = None
        if scope["type"] == "http" and scope["method"] == "POST" and not self._exempt(scope):
            key = Headers(scope=scope).get(HEADER)
        if key is None:
            await self._app(scope, receive, send)
            return
        try:
            await self._keyed(key, scope, receive, send)
        except MaquetteError as error:
            await problems.response(error, scope["path"])(scope, receive, send)

    async def _keyed(self, key: str, scope: Scope, receive: Receive, send: Send) -> None:
        _check(key)
        house = cast("House", scope["app"].state.house)
        request = Request(scope, receive)
        caller = await credentials.identify(request, house)
        if caller is None:
            await self._app(scope, receive, send)
            return
        body = await request.body()
        claim = Claim(caller.key, key)
        before = await _begun(house, claim, scope["path"], _digest(scope, body))
        if before.status is not None:
            await _ask_door(request, house)
            await _replayed(before.reply, before.status)(scope, receive, send)
            return
        scope["state"]["claim"] = claim
        scope["state"]["made_before"] = before.resource
        answer = _Kept(send)
        try:
            await self._app(scope, again(body, receive), answer)
        except BaseException:
            await once.refused(house.studio, claim)
            raise
        if answer.status >= 400:
            await once.refused(house.studio, claim)
        elif answer.body is not None and before.resource is None:
            await once.answered(house.studio, claim, answer.status, answer.body.decode())


async def answer(
    request: Request,
    house: House,
    claim: Claim,
    digest: str,
    make: Callable[[str | None], Awaitable[BaseModel]],
) -> Response:
    """Do once what a route was asked that reads its body by itself, behind its door.

    `digest` is that of what was asked; `make` gets the name of what an earlier try has made.
    """
    _check(claim.key)
    before = await _begun(house, claim, request.url.path, digest)
    if before.status is not None:
        return _replayed(before.reply, before.status)
    try:
        reply = (await make(before.resource)).model_dump_json()
    except BaseException:
        await once.refused(house.studio, claim)
        raise
    # What an earlier try has made may be under way still: whoever asks again is shown it anew.
    if before.resource is None and len(reply.encode()) <= _MOST_BYTES:
        await once.answered(house.studio, claim, 201, reply)
    return Response(reply, 201, media_type="application/json")


async def taken(request: Request, house: House, claim: Claim, digest: str) -> str | None:
    """Take a key for a route that answers by itself; return what an earlier try has made.

    The route notes what it makes under the key, and frees the key where it is refused.
    """
    _check(claim.key)
    return (await _begun(house, claim, request.url.path, digest)).resource


async def made(
    request: Request, house: House, claim: Claim, digest: str, make: Callable[[], Awaitable[str]]
) -> tuple[str, bool]:
    """Let a route that reads its body by itself make a thing once; return its name.

    `make` notes the name under the claim in the commit that makes the thing. No answer is kept:
    whoever asks again (the second value) is to be shown it as it is then.
    """
    before = await taken(request, house, claim, digest)
    if before is not None:
        return before, True
    try:
        return await make(), False
    except BaseException:
        await once.refused(house.studio, claim)
        raise


def _check(key: str) -> None:
    if not (key.isascii() and key.isprintable() and 0 < len(key) <= _LONGEST):
        raise BadParameter(
            f"{HEADER} must be 1 to {_LONGEST} printable ASCII characters; a UUID is good."
        )


async def _begun(house: House, claim: Claim, path: str, digest: str) -> once.Before:
    asked = once.Asked(f"POST {path}", digest)
    return await once.begin(house.studio, claim, asked, KEPT, house.rules.request_timeout_s)


def _replayed(reply: str, status: int) -> Response:
    headers = {"Idempotency-Replayed": "true"}
    return Response(reply, status, headers, media_type="application/json")


async def _ask_door(request: Request, house: House) -> None:
    """Let the route's door decide again: who asks may have lost what they had then."""
    routes: Sequence[APIRoute] = request.app.state.routes
    for route in routes:
        found = route.path_regex.match(request.url.path)
        if found is not None and "POST" in (route.methods or ()):
            door = door_of(route.dependant)
            if isinstance(door, OwnDoor):
                await door(request, house, request.headers.get(PROJECT))
            elif isinstance(door, ProjectDoor):
                await door(request, house, found["slug"])
            elif isinstance(door, HouseDoor):
                await door(request, house)
            return


class _Kept:
    """Passes a reply on and remembers it, if it is small and whole."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 500
        self.body: bytes | None = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            kind = MutableHeaders(scope=message).get("content-type", "")
            if not kind.startswith("application/json"):
                self.body = None
        elif self.body is not None:
            body: bytes = self.body + message.get("body", b"")
            self.body = body if len(body) <= _MOST_BYTES else None
        await self._send(message)


def _digest(scope: Scope, body: bytes) -> str:
    """Tell what is asked, and of which project where a header names it."""
    named = Headers(scope=scope).get(PROJECT, "").encode()
    return hashlib.sha256(b"\0".join([named, scope["query_string"], body])).hexdigest()
