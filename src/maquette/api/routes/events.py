"""Live events, by Server-Sent Events and WebSocket; an id resumes without a gap or a repeat."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Response, WebSocket
from fastapi.responses import StreamingResponse
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocketDisconnect

from maquette.api import follow
from maquette.api.contract import Responses, raises
from maquette.api.door import SignedIn, Viewing
from maquette.api.house import House, TheHouse, TheStudio
from maquette.core.errors import JobNotFound, ObjectNotFound, RunNotFound, StorageUnavailable
from maquette.services import jobs, partials, viewing

router = APIRouter(tags=["events"])

_Id = Annotated[int | None, Header(alias="Last-Event-ID", ge=0, le=2**63 - 1)]
_Query = Annotated[
    int | None,
    Query(alias="last_event_id", ge=0, le=2**63 - 1, description="For clients that set no header."),
]


class EventStream(StreamingResponse):
    """Events that were written already: the framework's own writer works for each follower."""

    media_type = "text/event-stream"


_UNBUFFERED = {"X-Accel-Buffering": "no"}
_STREAM: Responses = {
    200: {
        "description": "A stream; it ends when the server stops.",
        "content": {
            "text/event-stream": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "id": {"type": "string"},
                        "event": {"type": "string"},
                        "data": {"type": "string", "description": "A JSON document."},
                    },
                }
            }
        },
    }
}


def _last(header: _Id = None, query: _Query = None) -> int | None:
    return query if header is None else header


async def _run(
    entry: Viewing,
    studio: TheStudio,
    run_id: Annotated[str, Path(max_length=40, pattern=r"^[A-Za-z0-9-]+$")],
) -> str:
    return await viewing.run_in(studio, entry.project.id, run_id)


async def _job(
    entry: Viewing,
    studio: TheStudio,
    job_id: Annotated[str, Path(max_length=48, pattern=r"^[A-Za-z0-9-]+$")],
) -> str:
    return (await jobs.story(studio, entry.project.id, job_id)).job.id


Last = Annotated[int | None, Depends(_last)]
TheRun = Annotated[str, Depends(_run)]
TheJob = Annotated[str, Depends(_job)]


@router.get(
    "/api/events",
    summary="Follow all that one may see",
    response_class=EventStream,
    responses=_STREAM,
)
async def follow_all(
    connection: HTTPConnection, caller: SignedIn, house: TheHouse, last: Last
) -> EventStream:
    """Stream the events of every project that the caller is a member of."""
    return _stream(house, follow.everything(connection, house, caller), last)


@router.get(
    "/api/projects/{slug}/events",
    summary="Follow a project",
    response_class=EventStream,
    responses=_STREAM,
)
async def follow_project(
    connection: HTTPConnection, entry: Viewing, house: TheHouse, last: Last
) -> EventStream:
    """Stream what happens in the project."""
    return _stream(house, follow.within(connection, house, entry), last)


@router.get(
    "/api/projects/{slug}/runs/{run_id}/events",
    summary="Follow a run",
    response_class=EventStream,
    responses=_STREAM | raises(RunNotFound),
)
async def follow_run(
    connection: HTTPConnection, entry: Viewing, house: TheHouse, run: TheRun, last: Last
) -> EventStream:
    """Stream what happens in one run."""
    sight = follow.within(connection, house, entry, run_id=run)
    return _stream(house, sight, last)


@router.get(
    "/api/projects/{slug}/jobs/{job_id}/events",
    summary="Follow a job",
    response_class=EventStream,
    responses=_STREAM | raises(JobNotFound),
)
async def follow_job(
    connection: HTTPConnection, entry: Viewing, house: TheHouse, job: TheJob, last: Last
) -> EventStream:
    """Stream what happens in one job: its steps, progress, partial pictures, cost and end."""
    sight = follow.within(connection, house, entry, job_id=job)
    return _stream(house, sight, last)


@router.get(
    "/api/projects/{slug}/jobs/{job_id}/partials/{sha256}",
    summary="Look at a picture in the making",
    response_class=Response,
    responses={
        200: {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}},
        **raises(JobNotFound, ObjectNotFound, StorageUnavailable),
    },
)
async def show_partial(
    studio: TheStudio,
    job: TheJob,
    sha256: Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")],
) -> Response:
    """Return a partial picture that an event of the job named; it is swept away some day."""
    found = await partials.read(studio, job, sha256)
    headers = {"Cache-Control": "private, max-age=3600, immutable"}
    return Response(found.data, media_type=found.media_type, headers=headers)


def _stream(house: House, sight: follow.Sight, last: int | None) -> EventStream:
    return EventStream(follow.streamed(house, sight, last), headers=_UNBUFFERED)


@router.websocket("/api/ws")
async def all_by_socket(
    socket: WebSocket, caller: SignedIn, house: TheHouse, last: _Query = None
) -> None:
    """Tell the events of every project that the caller is a member of."""
    await _tell(socket, house, follow.everything(socket, house, caller), last)


@router.websocket("/api/projects/{slug}/ws")
async def project_by_socket(
    socket: WebSocket, entry: Viewing, house: TheHouse, last: _Query = None
) -> None:
    """Tell what happens in the project."""
    await _tell(socket, house, follow.within(socket, house, entry), last)


@router.websocket("/api/projects/{slug}/jobs/{job_id}/ws")
async def job_by_socket(
    socket: WebSocket, entry: Viewing, house: TheHouse, job: TheJob, last: _Query = None
) -> None:
    """Tell what happens in one job."""
    await _tell(socket, house, follow.within(socket, house, entry, job_id=job), last)


async def _tell(socket: WebSocket, house: House, sight: follow.Sight, last: int | None) -> None:
    """Send one JSON document an event; what the client says is not listened to."""
    await socket.accept()
    telling = asyncio.create_task(_send_all(socket, house, sight, last))
    hearing = asyncio.create_task(_until_gone(socket))
    try:
        await asyncio.wait([telling, hearing], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (telling, hearing):
            task.cancel()
        await asyncio.gather(telling, hearing, return_exceptions=True)
        with suppress(RuntimeError):  # the client was quicker
            await socket.close(1001, "come back later")


async def _send_all(socket: WebSocket, house: House, sight: follow.Sight, last: int | None) -> None:
    start = house.feed.last if last is None else last
    await socket.send_text(json.dumps({"kind": "ready", "id": start}))
    async for events in follow.told(house, sight, start):
        for event in events:
            await socket.send_text(follow.document(event))


async def _until_gone(socket: WebSocket) -> None:
    with suppress(WebSocketDisconnect):
        while True:
            await socket.receive_text()
