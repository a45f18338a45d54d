"""What a person asks about runs: lists, summaries, the contact sheet, the next commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from maquette.core import money
from maquette.core.errors import FileMissing
from maquette.core.findings import Verdict
from maquette.core.money import Usd
from maquette.core.pipeline import JobSpec
from maquette.core.states import JobState
from maquette.db import projects, runs
from maquette.db.engine import Database
from maquette.db.tables import Asset, Attempt, Blob, File, Job, Project, Run
from maquette.folders import log_path, sheet_path
from maquette.services import replaying, runlog
from maquette.services.projects import root_of
from maquette.services.studio import Studio


@dataclass(frozen=True)
class RunLine:
    """A run in a list."""

    run: str
    project: str
    state: str
    scenes: int
    spent: Usd
    began: datetime

    @property
    def spent_text(self) -> str:
        return money.show(self.spent)


async def listing(
    studio: Studio, project: str | None, limit: int, before: str | None
) -> list[RunLine]:
    """Return a page of runs, newest first."""
    async with studio.shop.db.read() as session:
        only = None if project is None else (await projects.by_slug(session, project)).id
        found = await runs.listing(session, project_id=only, limit=limit, before=before)
        slugs = {one.id: one.slug for one in await projects.everyone(session)}
        return [
            RunLine(
                one.id,
                slugs[one.project_id],
                one.state,
                len(await runs.jobs_of(session, one.id)),
                await _spent(session, one.id),
                one.created_at,
            )
            for one in found
        ]


async def run_in(studio: Studio, project_id: str, run_id: str) -> str:
    """Return the whole id of a project's run."""
    async with studio.shop.db.read() as session:
        return (await runs.by_id(session, run_id, project_id)).id


@dataclass(frozen=True)
class RunStory:
    """A run with its jobs and what it has cost."""

    run: Run
    jobs: Sequence[Job]
    spent: Usd


async def story(studio: Studio, project_id: str, run_id: str) -> RunStory:
    async with studio.shop.db.read() as session:
        run = await runs.by_id(session, run_id, project_id)
        jobs = await runs.jobs_of(session, run.id)
        return RunStory(run, jobs, await _spent(session, run.id))


_PATHS = ("input", "manifest", "scene_refs", "style_refs")


def order_words(run: Run) -> dict[str, Any]:
    """Return a run's order with the names of its files, not where they lie on this machine."""
    order = dict(run.settings)
    for name in _PATHS:
        said = order.get(name)
        if isinstance(said, str):
            order[name] = Path(said).name
        elif isinstance(said, list):
            order[name] = [Path(str(one)).name for one in said]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] - JSON
    return order


async def ingest_from_root(studio: Studio, project: Project, relative: str) -> tuple[str, bool]:
    """Ingest a log that lies below the project's root; return the run's id and if it was new."""
    place = studio.shop.place(await root_of(studio, project.slug, None))
    path = place.folders.inside(relative)
    if not path.is_file() or path.is_symlink():
        raise FileMissing(f"There is no run log {relative!r} below the project's root.")
    new = await runlog.ingest_file(studio, project, path)
    return runlog.read(path).run, new


async def _spent(session: AsyncSession, run_id: str) -> Usd:
    query = (
        select(func.coalesce(func.sum(Attempt.settled_nano), 0))
        .join(Job, Job.id == Attempt.job_id)
        .where(Job.run_id == run_id)
    )
    return money.from_nano(int((await session.execute(query)).scalar_one()))


@dataclass(frozen=True)
class AssetLine:
    """An asset in a run's summary."""

    id: str
    scene: str
    kind: str
    size: str
    sha256: str
    file: str


@dataclass(frozen=True)
class JobLine:
    """A scene in a run's summary."""

    scene: str
    state: str
    winner: str
    guard: str
    final: str | None
    problem: str | None


@dataclass(frozen=True)
class Summary:
    """A run as it is told at its end."""

    run: str
    project: str
    root: str
    state: str
    spent: Usd
    seconds: float
    jobs: tuple[JobLine, ...]
    assets: tuple[AssetLine, ...]
    log: str
    sheet: str | None
    differences: tuple[str, ...]
    next_commands: tuple[tuple[str, str], ...]

    @property
    def made(self) -> bool:
        """Whether there is any picture to look at."""
        return any(one.kind not in ("source", "reference") for one in self.assets)


def document(summary: Summary) -> dict[str, Any]:
    """Return the summary as programs read it."""
    fields = asdict(summary)
    fields["spent_usd"] = str(fields.pop("spent"))
    fields["next_commands"] = [command for command, _ in summary.next_commands]
    return fields


async def size_of(studio: Studio, run_id: str) -> int:
    """Return how many steps the run's jobs have together."""
    async with studio.shop.db.read() as session:
        specs = [JobSpec.model_validate(job.spec) for job in await runs.jobs_of(session, run_id)]
    return sum(steps_of(spec) for spec in specs)


def steps_of(spec: JobSpec) -> int:
    chain = len(spec.post.names())
    own = 0 if spec.request is None else len(spec.calls) + 1
    return own + chain + (2 if chain else 1)


async def summary(studio: Studio, run_id: str) -> Summary:
    """Collect what there is to say of a run."""
    async with studio.shop.db.read() as session:
        run = await runs.by_id(session, run_id)
        project = await session.get_one(Project, run.project_id)
        jobs = await runs.jobs_of(session, run.id)
        lines = [await _job_line(session, job) for job in jobs]
        pictures = await _asset_lines(session, jobs)
        spent = await _spent(session, run.id)
    differences: tuple[str, ...] = ()
    if run.replay_of is not None and JobState(run.state).final:
        differences = tuple(await _difference_lines(studio, run))
    ended = run.finished_at or studio.shop.clock.now()
    sheet = Path(run.root) / sheet_path(run.id)
    return Summary(
        run=run.id,
        project=project.slug,
        root=run.root,
        state=run.state,
        spent=spent,
        seconds=(ended - (run.started_at or ended)).total_seconds(),
        jobs=tuple(lines),
        assets=tuple(pictures),
        log=str(Path(run.root) / log_path(run.id)),
        sheet=str(sheet) if sheet.is_file() else None,
        differences=differences,
        next_commands=tuple(_next(run, JobState(run.state), pictures)),
    )


async def _job_line(session: AsyncSession, job: Job) -> JobLine:
    candidates = await runs.candidates_of(session, job.id)
    winner = "-" if job.selected_position is None else f"candidate {job.selected_position + 1}"
    guard = "; ".join(
        f"{one.position + 1}: {Verdict.model_validate(one.verdict).summary()}"
        for one in candidates
        if one.verdict is not None
    )
    final = await _final_path(session, job)
    problem = job.error_message
    if problem is None and job.state == JobState.FAILED_OUTPUT_GUARD:
        problem = "no picture passed the output guard; they are in archive/bad/."
    return JobLine(job.scene, job.state, winner, guard or "-", final, problem)


async def _final_path(session: AsyncSession, job: Job) -> str | None:
    """Return the name that the job gave its last picture."""
    published = await runs.step(session, job.id, "publish")
    if published is None or published.result is None:
        return None
    files: list[dict[str, str]] = published.result["files"]
    return next((one["path"] for one in files if one["asset"] == job.final_asset_id), None)


async def _asset_lines(session: AsyncSession, jobs: Sequence[Job]) -> list[AssetLine]:
    scenes = {job.id: job.scene for job in jobs}
    # The same bytes made again keep their name, so a file may show them for an older asset too.
    same = aliased(Asset)
    path_of = (
        select(func.min(File.path))
        .join(same, same.id == File.asset_id)
        .where(same.project_id == Asset.project_id, same.digest == Asset.digest)
        .scalar_subquery()
    )
    query = (
        select(Asset, Blob, path_of)
        .join(Blob, (Blob.project_id == Asset.project_id) & (Blob.digest == Asset.digest))
        .where(Asset.job_id.in_(scenes))
        .order_by(Asset.job_id, Asset.created_at, Asset.id)
    )
    return [
        AssetLine(
            asset.id,
            scenes[asset.job_id or ""],
            asset.kind,
            f"{blob.width_px}x{blob.height_px}",
            asset.digest,
            path or "-",
        )
        for asset, blob, path in (await session.execute(query))
    ]


async def _difference_lines(studio: Studio, run: Run) -> list[str]:
    found = await replaying.differences(studio, run.id)
    if not found:
        return [f"replay of {run.replay_of}: every picture has the same bytes."]
    lines = [f"replay of {run.replay_of}: {len(found)} pictures differ."]
    return lines + [f"  {one.scene} {one.what}: {one.why}." for one in found]


def _next(run: Run, state: JobState, pictures: Sequence[AssetLine]) -> list[tuple[str, str]]:
    short = run.id
    commands: list[tuple[str, str]] = []
    if state is JobState.OUTCOME_UNKNOWN:
        commands.append(("maquette spend unknown", "calls that may have been charged: decide"))
    if state not in {JobState.SUCCEEDED, JobState.FAILED_OUTPUT_GUARD}:
        commands.append((f"maquette resume {short}", "go on where it stopped"))
    if pictures:
        commands.append((f"maquette show {pictures[-1].id[:8]}", "where that picture came from"))
    commands += [
        (f"maquette replay {short}", "make it again, and compare"),
        (f"maquette show {short}", "all pictures and files of the run"),
    ]
    return commands[:3]


async def copy_run(studio: Studio, run_id: str, other: Database) -> bool:
    """Ingest a run of this installation into another database; False where it was there."""
    async with studio.shop.db.read() as session:
        run = await runs.by_id(session, run_id)
        log = await runlog.build(session, run)
        project = await session.get_one(Project, run.project_id)
    async with other.write() as session:
        project = await projects.adopt_row(session, project)
    return await runlog.ingest(other, project, run.root, log)
