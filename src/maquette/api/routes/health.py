"""Is it alive, is it ready, what waits."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from maquette import __version__
from maquette.api.contract import Responses
from maquette.api.door import Probing
from maquette.api.house import TheHouse
from maquette.services import status

router = APIRouter(tags=["service"], dependencies=[Probing])


class QueueState(BaseModel):
    """Jobs that wait and that are worked, and the processes that do it."""

    queued: int
    running: int
    workers: int


class Health(BaseModel):
    """One document with the members that every surface's clients look for."""

    status: Literal["ok", "unavailable", "stopping"]
    live: bool
    ready: bool
    service: str = "maquette"
    version: str
    database: str
    queue: QueueState


_NOT_READY: Responses = {503: {"model": Health, "description": "It cannot serve now."}}


@router.get("/health", summary="Tell how the server is", responses=_NOT_READY)
@router.get("/health/ready", summary="Tell whether requests can be served", responses=_NOT_READY)
async def health(house: TheHouse, response: Response) -> Health:
    """Answer 503 where the database does not answer, or while the server stops."""
    found = await status.status(house.studio)
    stopping = house.stopping.is_set()
    ready = found.ready and house.feed.alive and not stopping
    response.status_code = 200 if ready else 503
    return Health(
        status="stopping" if stopping else "ok" if ready else "unavailable",
        live=True,
        ready=ready,
        version=__version__,
        database=found.database,
        queue=QueueState(**vars(found.queue)),
    )


@router.get("/health/live", summary="Tell that the process answers")
async def live() -> dict[str, bool]:
    """Answer without looking at anything."""
    return {"live": True}
