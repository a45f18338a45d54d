"""What streams of events have in common: who may see what, and how an event is written."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from functools import lru_cache

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.requests import HTTPConnection

from maquette.api.credentials import forget
from maquette.api.door import Entry, HouseDoor, ProjectDoor
from maquette.api.house import House
from maquette.core.errors import MaquetteError
from maquette.core.people import Caller, Needs
from maquette.db.tables import Event
from maquette.services import members
from maquette.services.feed import Wanted

LOOK_AGAIN_S = 5.0
"""How long a stream goes on telling somebody who may not see it any more."""

Sight = Callable[[], Awaitable[Wanted]]
"""Says what the follower may see now; raises when they may nothing any more."""


def everything(connection: HTTPConnection, house: House, caller: Caller) -> Sight:
    """Let a person follow all projects that they are a member of."""
    door = HouseDoor(Needs.SIGNED_IN)

    async def look() -> Wanted:
        forget(connection)
        again = await door(connection, house)
        return Wanted(await members.projects_of(house.studio, again))

    async def first() -> Wanted:
        return Wanted(await members.projects_of(house.studio, caller))

    return _cached(first, look)


def within(
    connection: HTTPConnection,
    house: House,
    entry: Entry,
    *,
    run_id: str | None = None,
    job_id: str | None = None,
) -> Sight:
    """Let a member follow one project, or a part of it."""
    door = ProjectDoor(Needs.PROJECT_VIEWER)
    wanted = Wanted(frozenset({entry.project.id}), run_id, job_id)

    async def look() -> Wanted:
        forget(connection)
        await door(connection, house, entry.slug)
        return wanted

    async def first() -> Wanted:
        return wanted

    return _cached(first, look)


def _cached(first: Sight, look: Sight) -> Sight:
    known: Wanted | None = None
    since = 0.0

    async def sight() -> Wanted:
        nonlocal known, since
        now = time.monotonic()
        if known is None:
            known, since = await first(), now
        elif now - since > LOOK_AGAIN_S:
            known, since = await look(), now
        return known

    return sight


async def told(house: House, sight: Sight, start: int) -> AsyncGenerator[list[Event]]:
    """Tell events until the server stops, or the follower may see no more."""
    async with aclosing(house.feed.after(start, sight)) as news:
        try:
            async for events in news:
                yield events
        except MaquetteError:  # signed out, or not a member any more
            return


async def streamed(house: House, sight: Sight, last_id: int | None) -> AsyncGenerator[bytes]:
    """Write a stream: first from which id on it tells, so that who then asks misses nothing."""
    start = house.feed.last if last_id is None else last_id
    ready = json.dumps({"kind": "ready", "id": start})
    yield format_sse_event(data_str=ready, event="ready", id=str(start), retry=1000)
    async with aclosing(told(house, sight, start)) as news:
        async for events in news:
            yield b"".join(map(encoded, events)) if events else KEEPALIVE_COMMENT


@lru_cache(maxsize=4096)
def document(event: Event) -> str:
    """Write an event as JSON; followers share what was written once."""
    known = {
        "id": event.id,
        "kind": event.kind,
        "project": event.project_id,
        "run": event.run_id,
        "job": event.job_id,
        "at": event.at.isoformat(),
    }
    return json.dumps({**event.data, **known}, separators=(",", ":"), ensure_ascii=False)


@lru_cache(maxsize=4096)
def encoded(event: Event) -> bytes:
    """Make an event ready for the wire; followers share that too."""
    return format_sse_event(data_str=document(event), event=event.kind, id=str(event.id))
