"""The post steps by themselves: each picture is a job that begins with what is already there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maquette.core import money
from maquette.core.errors import MaquetteError
from maquette.core.findings import Finding, GuardRules
from maquette.core.money import Usd
from maquette.core.pipeline import JobSpec, PostChain, RunOrder
from maquette.db import runs
from maquette.db.tables import Job
from maquette.jobs.backends import Step
from maquette.services import chain, pictures, policy, pricing, projects, starting
from maquette.services.inputs import GivenPicture, find_pictures, load, scene_names
from maquette.services.pictures import Made
from maquette.services.secrets import seen_by
from maquette.services.starting import Spending
from maquette.services.studio import Studio


@dataclass(frozen=True)
class PostOrder:
    """A standalone step over a file or a folder."""

    project: str
    root: Path
    input: Path
    output: str
    """A folder below the root."""
    step: Step
    archive_replaced: bool = True


@dataclass(frozen=True)
class Planned:
    """What a standalone step would do."""

    order: PostOrder
    post: PostChain
    notes: tuple[str, ...]
    given: Mapping[str, GivenPicture]
    """By scene; what could not be read is in `unreadable`."""
    unreadable: tuple[Made, ...]
    worst_case: Usd


async def plan(studio: Studio, order: PostOrder, spending: Spending) -> Planned:
    """Check the step and look at every picture; nothing is written, sent or paid."""
    studio = await seen_by(studio, order.project)
    resolved = chain.resolved(
        studio, _chain_of(order.step), chain.Own(confirmed=spending.confirmed)
    )
    studio.shop.place(order.root).folders.inside(f"{order.output}/x")
    given: dict[str, GivenPicture] = {}
    unreadable: list[Made] = []
    for name, path in scene_names(find_pictures(order.input)).items():
        try:
            given[name] = await load(studio.shop.pool, path, "input picture")
        except MaquetteError as error:
            unreadable.append(Made(str(path), None, None, error=str(error)))
    specs = [_spec(order, resolved.post, name, one, None) for name, one in given.items()]
    await policy.check(studio, spending.by, specs)
    prices = [pricing.worst_case(studio, spec) for spec in specs]
    total = Usd(sum(prices, start=money.FREE))
    return Planned(order, resolved.post, resolved.notes, given, tuple(unreadable), total)


async def start(studio: Studio, planned: Planned, spending: Spending) -> str | None:
    """Begin the work; None where no picture could be read."""
    order = planned.order
    starting.check_spending(planned.worst_case, spending)
    place = studio.shop.place(order.root)
    project = await projects.at_root(studio, order.project, place)
    specs: list[tuple[JobSpec, Usd]] = []
    for name, given in planned.given.items():
        asset = await pictures.take_in(studio, place, project, given)
        spec = _spec(order, planned.post, name, given, asset)
        specs.append((spec, pricing.worst_case(studio, spec)))
    if not specs:
        return None
    whole = RunOrder(project=order.project, input=order.input, post=planned.post)
    return await starting.write_run(
        studio, project, str(order.root), whole.model_dump(mode="json"), specs, spending
    )


async def made(studio: Studio, planned: Planned, run_id: str | None) -> list[Made]:
    """Tell what became of every picture, those that could not be read too."""
    told = list(planned.unreadable)
    if run_id is not None:
        async with studio.shop.db.read() as session:
            jobs = list(await runs.jobs_of(session, run_id))
            results = {
                job.id: {one.name: one.result or {} for one in await runs.steps_of(session, job.id)}
                for job in jobs
            }
        told += [_told(planned, job, results[job.id]) for job in jobs]
    return sorted(told, key=lambda one: one.source)


def _chain_of(step: Step) -> PostChain:
    kind = type(step).__name__.removesuffix("Step").lower()
    return PostChain.model_validate({kind: step})


def _spec(
    order: PostOrder, post: PostChain, name: str, given: GivenPicture, asset: str | None
) -> JobSpec:
    return JobSpec(
        scene=name,
        source=given.as_input("init"),
        begins_with=asset or "",
        request=None,
        candidates=0,
        calls=(),
        guard=GuardRules(enabled=False),
        post=post,
        folder=order.output,
        archive_replaced=order.archive_replaced,
    )


def _told(planned: Planned, job: Job, results: Mapping[str, Mapping[str, Any]]) -> Made:
    source = str(planned.given[job.scene].path)
    if job.error_message is not None or job.final_asset_id is None:
        why = job.error_message or _flaws(results) or f"The job {job.state}."
        return Made(source, None, None, error=why)
    files: list[Mapping[str, Any]] = results["publish"]["files"]
    shown = next(one for one in files if one["asset"] == job.final_asset_id)
    steps = [results[name] for name in results if name.startswith("post.")]
    return Made(
        source,
        shown["path"],
        " then ".join(one["operation"] for one in steps if "operation" in one),
        shown["replaced"],
        tuple(Finding.model_validate(found) for one in steps for found in one["findings"]),
        steps[0].get("report"),
    )


def _flaws(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Say what the steps themselves found wrong."""
    told = (one for step in results.values() for one in step.get("findings", ()))
    found = [Finding.model_validate(one) for one in told]
    return " ".join(one.message for one in found if one.severity == "hard")
