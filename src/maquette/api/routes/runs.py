"""Runs: listed, shown, planned, begun, cancelled."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from maquette.api.contract import raises
from maquette.api.door import Editing, Viewing
from maquette.api.house import TheStudio
from maquette.core.errors import RunNotFound
from maquette.services import running, viewing

router = APIRouter(prefix="/api/projects/{slug}/runs", tags=["runs"])

Before = Annotated[str | None, Query(max_length=40, description="The `next` of the page before.")]


class RunDocument(BaseModel):
    """A run in a list."""

    id: str
    state: str
    scenes: int
    spent_usd: str
    created_at: str


class RunPage(BaseModel):
    """A page of runs, newest first."""

    items: list[RunDocument]
    next: str | None = None
    """The cursor of the page after this one; null at the end."""


@router.get("", summary="List runs")
async def list_runs(
    entry: Viewing,
    studio: TheStudio,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[
        str | None, Query(max_length=40, description="The `next` of the page before.")
    ] = None,
) -> RunPage:
    """Return a page of the project's runs, newest first."""
    found = await viewing.listing(studio, entry.slug, limit, before)
    items = [
        RunDocument(
            id=one.run,
            state=one.state,
            scenes=one.scenes,
            spent_usd=str(one.spent),
            created_at=one.began.isoformat(),
        )
        for one in found
    ]
    return RunPage(items=items, next=items[-1].id if len(items) == limit else None)


@router.post(
    "/{run_id}/cancel", status_code=202, summary="Cancel a run", responses=raises(RunNotFound)
)
async def cancel_run(entry: Editing, studio: TheStudio, run_id: str) -> dict[str, str]:
    """Ask a run to end; calls that were paid are waited for and kept."""
    run = await viewing.run_in(studio, entry.project.id, run_id)
    await running.cancel(studio, run)
    return {"id": run, "state": "cancelling"}
