"""Replies that wait for a job, for as long as the caller wants and stays."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import Query
from starlette.requests import Request

from maquette.api.house import House
from maquette.db.tables import Project
from maquette.services import results
from maquette.services.results import Result

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


async def waited(
    request: Request, house: House, project: Project, job_id: str, wait_s: float
) -> Result:
    """Return a job when it has ended, or as it is when the time is over or the caller has gone.

    The job goes on in any case.
    """
    since = house.feed.last
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
    return await results.of(house.studio, project.id, job_id)


async def _gone(request: Request) -> None:
    """Return when the caller's connection has ended."""
    while (await request.receive())["type"] != "http.disconnect":
        continue
