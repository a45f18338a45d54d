"""The post steps by themselves: upscale, background removal, colour, audit, rejecting."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from maquette.core.errors import BadParameter, InvalidInput
from maquette.core.findings import Finding, GuardRules, Verdict
from maquette.core.storage import object_key
from maquette.db import assets
from maquette.db.tables import Project
from maquette.jobs.pixelwork import OperationCall, perform
from maquette.jobs.workshop import Place
from maquette.services import projects
from maquette.services.inputs import GivenPicture, find_pictures, load
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


async def take_in(
    studio: Studio, place: Place, project: Project, given: GivenPicture, kind: str = "source"
) -> str:
    """Return the asset that a file shows; a file nobody knew becomes a source."""
    relative = place.folders.relative(given.path)
    digest = given.digest
    # Also where the asset is known: it may be known from another root of the project.
    await place.storage.put(object_key(digest), await asyncio.to_thread(given.read))
    async with studio.shop.db.write() as session:
        if relative is not None:
            known = await assets.file_at(session, project.id, relative)
            if known is not None:
                asset, _ = await assets.get(session, known.asset_id)
                if asset.digest == digest:
                    asset.deleted_at = None
                    return asset.id
        same = await assets.used_again(session, project.id, digest, kind)
    if same is not None:
        return same.id
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
