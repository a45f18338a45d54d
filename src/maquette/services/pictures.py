"""The post steps by themselves: upscale, background removal, colour, audit, rejecting."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from maquette.core.errors import BadParameter, InvalidInput, MaquetteError, OperationFailed
from maquette.core.findings import Finding, GuardRules, Verdict
from maquette.core.pipeline import BackgroundStep, ColourStep, UpscaleStep
from maquette.core.requests import digest_of
from maquette.core.storage import object_key
from maquette.db import assets
from maquette.db.tables import Project
from maquette.jobs.pixelwork import OperationCall, OperationReply, perform
from maquette.jobs.post import Choice, choices_of
from maquette.jobs.workshop import Place
from maquette.services import chain, projects
from maquette.services.inputs import GivenPicture, clean_name, find_pictures, load
from maquette.services.studio import Studio


@dataclass(frozen=True)
class Made:
    """What became of one input picture."""

    source: str
    output: str | None
    operation: str | None
    replaced: str | None = None
    findings: tuple[Finding, ...] = ()
    report: Mapping[str, float | str | None] | None = None
    error: str | None = None


@dataclass(frozen=True)
class PostOrder:
    """A standalone step over a file or a folder."""

    project: str
    root: Path
    input: Path
    output: str
    """A folder below the root."""
    step: BackgroundStep | UpscaleStep | ColourStep
    archive_replaced: bool = True
    seed: int = 0


async def post(studio: Studio, order: PostOrder) -> list[Made]:
    """Apply one step to every picture; one that fails does not stop the others."""
    choices = choices_of(chain.resolved_step(studio, order.step))
    place = studio.shop.place(order.root)
    place.folders.inside(f"{order.output}/x")
    paths = find_pictures(order.input)
    project = await projects.at_root(studio, order.project, place)
    return [await _one(studio, order, choices, place, project, path) for path in paths]


async def _one(
    studio: Studio,
    order: PostOrder,
    choices: Sequence[Choice],
    place: Place,
    project: Project,
    path: Path,
) -> Made:
    try:
        given = await load(studio.shop.pool, path, "input picture")
        data = await asyncio.to_thread(given.read)
        choice, reply = await _first_that_works(studio, order, choices, data)
        return await _keep(studio, order, place, project, given, choice, reply)
    except MaquetteError as error:
        return Made(str(path), None, None, error=str(error))


async def _first_that_works(
    studio: Studio, order: PostOrder, choices: Sequence[Choice], data: bytes
) -> tuple[Choice, OperationReply]:
    failures: list[str] = []
    for choice in choices:
        call = OperationCall(
            choice.operation, choice.params, {"image": data}, order.seed, studio.shop.weights
        )
        try:
            return choice, await studio.shop.pool.run(perform, call)
        except MaquetteError as error:
            failures.append(f"{choice.operation}: {error}")
    raise OperationFailed("; ".join(failures))


async def _keep(
    studio: Studio,
    order: PostOrder,
    place: Place,
    project: Project,
    given: GivenPicture,
    choice: Choice,
    reply: OperationReply,
) -> Made:
    if reply.data is None or reply.facts is None:
        raise OperationFailed(f"{choice.operation!r} returned no picture.")
    digest = digest_of(reply.data)
    await place.storage.put(object_key(digest), reply.data)
    relative = f"{order.output}/{clean_name(given.path.stem)}.png"
    source_id = await take_in(studio, place, project, given)
    now = studio.shop.clock.now()
    stored = place.storage.local_path(object_key(digest)) or reply.data
    placed = await asyncio.to_thread(
        place.folders.place, stored, relative, archive_replaced=order.archive_replaced, at=now
    )
    new = assets.NewAsset(
        blob=assets.NewBlob(digest, size_bytes=len(reply.data), **vars(reply.facts)),
        kind=choice.operation.partition(".")[0],
        name=given.path.stem,
        made_by={
            "operation": choice.operation,
            "version": studio.shop.operations[choice.operation].version,
            "params": dict(choice.params),
            "report": dict(reply.report),
        },
        parents=[(source_id, "init")],
    )
    async with studio.shop.db.write() as session:
        asset_id = await assets.add(session, project.id, new, now)
        before = await assets.file_at(session, project.id, relative)
        if placed.replaced is not None and before is not None:
            await assets.show_at(session, project.id, placed.replaced, before.asset_id, now)
        await assets.show_at(session, project.id, relative, asset_id, now)
    return Made(
        str(given.path),
        relative,
        choice.operation,
        placed.replaced,
        reply.findings,
        dict(reply.report),
    )


async def take_in(
    studio: Studio, place: Place, project: Project, given: GivenPicture, kind: str = "source"
) -> str:
    """Return the asset that a file shows; a file nobody knew becomes a source."""
    relative = place.folders.relative(given.path)
    digest = given.digest
    async with studio.shop.db.read() as session:
        if relative is not None:
            known = await assets.file_at(session, project.id, relative)
            if known is not None:
                asset, _ = await assets.get(session, known.asset_id)
                if asset.digest == digest:
                    return asset.id
        same = await assets.with_digest(session, project.id, digest, kind)
    if same is not None:
        return same.id
    await place.storage.put(object_key(digest), await asyncio.to_thread(given.read))
    new = assets.NewAsset(
        blob=assets.NewBlob(digest, size_bytes=given.size_bytes, **vars(given.facts)),
        kind=kind,
        name=given.path.name,
        made_by={"file": relative or given.path.name},
    )
    async with studio.shop.db.write() as session:
        return await assets.add(session, project.id, new, studio.shop.clock.now())


@dataclass(frozen=True)
class Audit:
    """The guard's word on one file."""

    path: str
    verdict: Verdict


async def qa(studio: Studio, place: Path, rules: GuardRules) -> list[Audit]:
    """Let the guard look at existing pictures; nothing is made or moved."""
    return [await _audit(studio, path, rules) for path in find_pictures(place)]


async def _audit(studio: Studio, path: Path, rules: GuardRules) -> Audit:
    params = {"rules": rules.model_dump(), "expected": {"alpha": None}}
    try:
        given = await load(studio.shop.pool, path, "picture")
        call = OperationCall("guard.output", params, {"image": await asyncio.to_thread(given.read)})
        reply = await studio.shop.pool.run(perform, call)
    except InvalidInput as error:
        found = Finding(code="undecodable", severity="hard", message=str(error))
        return Audit(str(path), Verdict(findings=(found,)))
    excess = reply.report.get("mean_chroma_excess")
    verdict = Verdict(
        findings=reply.findings, mean_chroma_excess=excess if isinstance(excess, float) else 0.0
    )
    return Audit(str(path), verdict)


async def archive_bad(studio: Studio, project: str, root: Path, place: Path) -> list[Made]:
    """Move rejected pictures of the project into `archive/bad/`."""
    where = studio.shop.place(root)
    wanted: list[str] = []
    for path in find_pictures(place):
        relative = where.folders.relative(path)
        if relative is None:
            raise BadParameter(
                f"{str(path)!r} is not inside the project's root {str(root)!r}; only the project's "
                "own pictures are moved."
            )
        wanted.append(relative)
    found = await projects.at_root(studio, project, where)
    moved: list[Made] = []
    for relative in wanted:
        now = studio.shop.clock.now()
        goal = await asyncio.to_thread(where.folders.move_to_bad, relative, now)
        async with studio.shop.db.write() as session:
            await assets.rename(session, found.id, relative, goal, now)
        moved.append(Made(relative, goal, None))
    return moved
