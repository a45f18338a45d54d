"""Live events, resumable by their id."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable
from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.sse import EventSourceResponse, ServerSentEvent

from maquette.api.door import Viewing
from maquette.api.house import House, TheHouse
from maquette.db.tables import Event
from maquette.services.feed import Wanted

router = APIRouter(tags=["events"])

LastId = Annotated[int | None, Header(alias="Last-Event-ID", ge=0, le=2**63 - 1)]


@router.get(
    "/api/projects/{slug}/events",
    summary="Follow a project",
    response_class=EventSourceResponse,
)
async def follow_project(
    entry: Viewing, house: TheHouse, last_event_id: LastId = None
) -> AsyncIterable[ServerSentEvent]:
    """Stream what happens in the project; `Last-Event-ID` resumes without a gap."""
    async for event in _stream(house, Wanted(frozenset({entry.project.id})), last_event_id):
        yield event


async def _stream(
    house: House, wanted: Wanted, last_id: int | None
) -> AsyncIterable[ServerSentEvent]:
    start = house.feed.last if last_id is None else last_id
    async for event in house.feed.after(start, wanted):
        if event is None:
            yield ServerSentEvent(comment="still here")
        else:
            yield ServerSentEvent(id=str(event.id), event=event.kind, raw_data=_data(event))


def _data(event: Event) -> str:
    return json.dumps(
        {
            "id": event.id,
            "kind": event.kind,
            "run": event.run_id,
            "job": event.job_id,
            "at": event.at.isoformat(),
            **event.data,
        }
    )
