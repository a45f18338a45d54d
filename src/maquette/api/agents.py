"""The MCP server over HTTP, at `/mcp`: behind the same door as everything else.

It is no route of FastAPI, which knows nothing of this protocol's streams; who asks, how often and
how much is looked at here, for each message anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, cast

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from maquette.agent.call import Office
from maquette.api import credentials, multipart
from maquette.api.door import HouseDoor
from maquette.api.house import House
from maquette.api.middleware import again
from maquette.core.errors import BadParameter, RequestTimedOut, RequestTooLarge, ShuttingDown
from maquette.core.numerals import exceeds, is_whole
from maquette.core.people import Caller, Needs

if TYPE_CHECKING:
    from maquette.agent.http import Exchange

PATH = "/mcp"
_PROJECT = "X-Maquette-Project"
_MOST_PICTURE = 16 * 1024 * 1024
"""Larger ones are sent as files, not in base64 inside a message."""
_AROUND = 1024 * 1024
_DOOR = HouseDoor(Needs.SIGNED_IN)


class Agents:
    """Has agents answered, from the first message to the house's end."""

    def __init__(self, house: House) -> None:
        self._house = house
        most = min(house.rules.upload_bytes, _MOST_PICTURE)
        self._office = Office(
            house.studio, house.feed, house.thumbnails, most, waits=house.waiters.place
        )
        self.most_bytes = most * 4 // 3 + _AROUND
        self._exchange: Exchange | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        from maquette.agent.server import Who  # noqa: PLC0415 - see `agent.http`

        request = Request(scope, receive)
        exchange = await self._opened()

        async def look_again() -> Caller:
            credentials.forget(request)
            found = await credentials.identify(request, self._house)
            if found is None:
                raise credentials.nobody(request)
            return found

        who = Who(request.state.caller, look_again, request.headers.get(_PROJECT))
        await exchange.answer(who, scope, receive, send)

    async def _opened(self) -> Exchange:
        async with self._opening:
            if self._house.stopping.is_set():
                raise ShuttingDown("The server stops; ask again when it is back.")
            if self._exchange is None:
                made = await asyncio.to_thread(_loaded)
                self._exchange = made(self._office, self.most_bytes)
                keep = self._exchange.keep(self._house.stopping)
                self._keeping = asyncio.create_task(keep, name="mcp")
                await self._exchange.ready.wait()
            return self._exchange

    async def ended(self) -> None:
        """Wait until all streams are ended, after the house was told to stop."""
        async with self._opening:
            if self._keeping is not None:
                await self._keeping


def _loaded() -> type[Exchange]:
    from maquette.agent.http import Exchange  # noqa: PLC0415 - most servers never need it

    return Exchange


@asynccontextmanager
async def opened(app: FastAPI, house: House) -> AsyncGenerator[None]:
    """Answer agents until the block ends, which stops the house."""
    app.state.agents = Agents(house)
    try:
        yield
    finally:
        house.stop()
        await app.state.agents.ended()


class _Entrance:
    """Lets messages in."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = ROUTE  # for the figures
        house = cast("House", scope["app"].state.house)
        agents = cast("Agents", scope["app"].state.agents)
        await _DOOR(Request(scope, receive), house)
        if scope["method"] != "POST":
            await agents.answer(scope, receive, send)
            return
        async with multipart.slot(house) if _is_large(scope, house) else nullcontext():
            body = await _body(receive, agents.most_bytes, house.rules.request_timeout_s)
        await agents.answer(scope, again(body, receive), send)


def _is_large(scope: Scope, house: House) -> bool:
    """Tell messages that may bring a picture: only so many are read at the same time."""
    declared = Headers(scope=scope).get("content-length", "")
    return not is_whole(declared) or exceeds(declared, house.rules.body_bytes)


async def _body(receive: Receive, most: int, longest_s: float) -> bytes:
    """Read a message whole, which may neither be endless nor take for ever."""
    body = bytearray()
    try:
        async with asyncio.timeout(longest_s):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise BadParameter("The connection ended before the message did.")
                body += message.get("body", b"")
                if len(body) > most:
                    raise RequestTooLarge(
                        f"The message is larger than {most // 1024} KiB, so it was not read. Send "
                        "large pictures as files: POST /api/projects/{slug}/assets."
                    )
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise RequestTimedOut(
            f"The message did not come within {longest_s:g} s; nothing was done."
        ) from None


ROUTE = Route(PATH, endpoint=_Entrance(), name="mcp")


def mount(app: FastAPI) -> None:
    """Add the one address."""
    app.router.routes.append(ROUTE)
