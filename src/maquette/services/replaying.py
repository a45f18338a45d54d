"""`replay`: the same frozen jobs again, and what came out differently."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core import money
from maquette.core.money import Usd
from maquette.core.pipeline import JobSpec
from maquette.db import assets, runs
from maquette.db.tables import Job, Project
from maquette.services import pricing, projects, running, starting
from maquette.services.secrets import seen_by
from maquette.services.studio import Studio


async def replay(studio: Studio, run_id: str, spending: starting.Spending) -> str:
    """Begin a run with the same frozen jobs; the inputs come from the store."""
    async with studio.shop.db.read() as session:
        run = await runs.by_id(session, run_id)
        specs = [JobSpec.model_validate(job.spec) for job in await runs.jobs_of(session, run.id)]
        project = await session.get_one(Project, run.project_id)
    studio = await seen_by(studio, project.slug)
    priced = [(spec, _price(studio, spec)) for spec in specs]
    starting.check_spending(Usd(sum((worst for _, worst in priced), start=money.FREE)), spending)
    await projects.ready_root(studio, run.project_id, run.root)
    return await starting.write_run(
        studio, project, run.root, dict(run.settings), priced, spending, replay_of=run.id
    )


def _price(studio: Studio, spec: JobSpec) -> Usd:
    running.checked(studio, spec)
    return pricing.worst_case(studio, spec)


_FINAL = -1
"""Where the end of a post chain stands among a job's candidates."""


@dataclass(frozen=True)
class Difference:
    """One picture of a replay that is not what it was."""

    scene: str
    candidate: int
    before: str | None
    after: str | None
    why: str

    @property
    def what(self) -> str:
        return f"candidate {self.candidate}" if self.candidate else "end of the post chain"


async def differences(studio: Studio, replayed: str) -> list[Difference]:
    """Compare a replay with its original, picture by picture."""
    async with studio.shop.db.read() as session:
        run = await runs.by_id(session, replayed)
        original = await runs.by_id(session, run.replay_of or run.id)
        old = {job.scene: job for job in await runs.jobs_of(session, original.id)}
        new = {job.scene: job for job in await runs.jobs_of(session, run.id)}
        found: list[Difference] = []
        for scene, job in new.items():
            before = await _digests(session, old[scene].id)
            after = await _digests(session, job.id)
            why = _why(studio, job, dict(original.versions), dict(run.versions))
            for position in sorted(before.keys() | after.keys()):
                pair = before.get(position), after.get(position)
                if pair[0] != pair[1]:
                    found.append(Difference(scene, position + 1, pair[0], pair[1], why))
    return found


async def _digests(session: AsyncSession, job_id: str) -> dict[int, str]:
    found: dict[int, str] = {}
    job = await session.get_one(Job, job_id)
    chain = JobSpec.model_validate(job.spec).post.names()
    if chain and job.final_asset_id is not None:
        final, _ = await assets.get(session, job.final_asset_id)
        found[_FINAL] = final.digest
    for candidate in await runs.candidates_of(session, job_id):
        asset, _ = await assets.get(session, candidate.asset_id)
        found[candidate.position] = asset.digest
    return found


def _why(studio: Studio, job: Job, old: dict[str, str], new: dict[str, str]) -> str:
    request = JobSpec.model_validate(job.spec).request
    if request is not None:
        profiles = studio.shop.providers[request.provider].models()
        profile = next((one for one in profiles if one.id == request.model), None)
        if profile is None or not profile.deterministic:
            return f"{request.model!r} does not give the same picture twice"
    changed = [name for name in new if old.get(name) != new[name]]
    if changed:
        return "versions differ: " + ", ".join(
            f"{name} {old.get(name, 'unknown')} → {new[name]}" for name in changed
        )
    return "unexpected: the model is deterministic and the versions are the same"
