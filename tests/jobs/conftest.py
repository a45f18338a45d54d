"""Runs on the scripted provider, in a few words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from maquette.core.findings import GuardRules
from maquette.core.pipeline import PostChain, RunOrder
from maquette.core.states import JobState
from maquette.db import ledger, runs
from maquette.db.tables import Attempt, Candidate, Event, Job
from maquette.services import planning, running, starting
from maquette.services.studio import Studio


@dataclass(frozen=True)
class Seen:
    """A run that was worked, and its rows."""

    run: str
    state: JobState
    jobs: list[Job]
    candidates: dict[str, list[Candidate]]
    attempts: list[Attempt]
    events: list[Event]
    held: int
    settled: int


async def look(studio: Studio, run_id: str, events: list[Event] | None = None) -> Seen:
    async with studio.shop.db.read() as session:
        run = await runs.by_id(session, run_id)
        jobs = list(await runs.jobs_of(session, run_id))
        held, settled = await ledger.budget(session, "installation")
        return Seen(
            run=run_id,
            state=JobState(run.state),
            jobs=jobs,
            candidates={job.scene: list(await runs.candidates_of(session, job.id)) for job in jobs},
            attempts=[one for job in jobs for one in await runs.attempts_of(session, job.id)],
            events=events or [],
            held=held,
            settled=settled,
        )


async def see(studio: Studio, run_id: str) -> Seen:
    events: list[Event] = []

    async def tell(event: Event) -> None:
        events.append(event)

    await running.see_through(studio, run_id, tell)
    return await look(studio, run_id, events)


Begin = Callable[..., Awaitable[str]]


@pytest.fixture
def begin(scenes: Path, root: Path) -> Begin:
    """Plan and start a run over the two scenes."""

    async def begun(
        studio: Studio,
        *,
        model: str = "paid",
        post: PostChain | None = None,
        guard: GuardRules | None = None,
        input: Path | None = None,  # noqa: A002 - as the flag
        spending: starting.Spending | None = None,
        project: str = "demo",
        **more: Any,
    ) -> str:
        order = RunOrder(
            project=project,
            input=input or scenes,
            provider="scripted",
            model=model,
            prompt="a test",
            post=post or PostChain(),
            guard=guard or GuardRules(),
            **more,
        )
        plan = await planning.plan(
            studio, order, root if project == "demo" else root.with_name(project)
        )
        return await starting.start(studio, plan, spending or starting.Spending(confirmed=True))

    return begun
