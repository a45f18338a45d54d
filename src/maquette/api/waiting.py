"""Replies that wait for a job, for as long as the caller wants and stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import AbstractContextManager, nullcontext
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query
from starlette.requests import Request

from maquette.api import credentials
from maquette.api.door import Entry, ProjectDoor
from maquette.api.house import House, TheHouse
from maquette.core.errors import RequestTimedOut
from maquette.core.people import Caller, Needs, Scope
from maquette.services import results
from maquette.services.outcome import Again
from maquette.services.results import Result

T = TypeVar("T")
LONGEST_S = 600
Wait = Annotated[
    float,
    Query(
        ge=0,
        le=LONGEST_S,
        allow_inf_nan=False,
        description="Seconds to wait for the end; then the job is told as it is.",
    ),
]


def place(house: House, caller: Caller, wait_s: float) -> AbstractContextManager[None]:
    """Hold a place among those who wait; to be taken before anything is begun."""
    return house.waiters.place(caller.user_id) if wait_s else nullcontext()


async def _placed(request: Request, house: TheHouse) -> AsyncGenerator[None]:
    caller = await credentials.identify(request, house)
    if caller is None:  # the door says so
        yield
        return
    with house.waiters.place(caller.user_id):
        yield


Placed = Depends(_placed)
"""Of routes whose answers always wait, some as streams: a place until all of it is sent."""


def looks_again(request: Request, house: House, entry: Entry, scope: Scope) -> Again:
    """Look whether whoever was let in may still see the project, with the scope they came with."""
    door = ProjectDoor(Needs.PROJECT_VIEWER, scope, counts=False)

    async def again() -> None:
        credentials.forget(request)
        await door(request, house, entry.slug)

    return again


async def waited(
    request: Request, house: House, entry: Entry, job_id: str, wait_s: float, scope: Scope
) -> Result:
    """Return a job when it has ended, or as it is when the time is over or the caller has gone.

    The job goes on in any case. Whoever may not see it any more then is told so instead.
    """
    since, project = house.feed.last, entry.project
    result = await results.of(house.studio, project.id, job_id)
    if result.ended or wait_s == 0:
        return result
    waiting = (
        asyncio.create_task(results.wait(house.feed, project.id, job_id, since)),
        asyncio.create_task(_gone(request)),
    )
    try:
        await asyncio.wait(waiting, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    await looks_again(request, house, entry, scope)()
    return await results.of(house.studio, project.id, job_id)


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Await an answer for as long as there is somebody to read it."""
    task, gone = asyncio.create_task(work), asyncio.create_task(_gone(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in (task, gone):
            one.cancel()
        await asyncio.wait((task, gone))
    if task.cancelled():
        raise RequestTimedOut("The connection ended before the answer came; the job goes on.")
    return task.result()


async def _gone(request: Request) -> None:
    """Return when the caller's connection has ended."""
    while (await request.receive())["type"] != "http.disconnect":
        continue
