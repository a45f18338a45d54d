"""Runs that are ordered from afar: pictures by asset or by name, never by a path of the server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated
from uuid import UUID

from pydantic import Field

from maquette.core.errors import AssetNotFound, BadParameter, FileMissing
from maquette.core.findings import GuardRules
from maquette.core.pipeline import Count, Manifest, PostChain, RunOrder, SceneOverride
from maquette.core.requests import Digest, Option, Size
from maquette.core.storage import object_key
from maquette.core.wanted import Wanted
from maquette.db import assets
from maquette.db.tables import Project
from maquette.disk import write_durably
from maquette.folders import PRIVATE
from maquette.imaging.files import SUFFIXES
from maquette.jobs.workshop import Place
from maquette.services import planning, policy
from maquette.services.inputs import PICTURES, clean_name, given_path
from maquette.services.planning import Plan
from maquette.services.projects import root_of
from maquette.services.studio import Studio

Words = Annotated[str, Field(max_length=32_000)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Options = Annotated[dict[str, Option], Field(max_length=64)]
Picture = Annotated[str, Field(min_length=1, max_length=400, examples=["coast"])]
"""An asset's id, a name in `<root>/scenes`, or a path below the project's root."""
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Amount = Annotated[Decimal, Field(ge=0, le=1_000_000, max_digits=16, decimal_places=9)]


class SceneWanted(Wanted):
    """What is different for one scene."""

    prompt: Words | None = None
    negative_prompt: Words | None = None
    size: Size | None = None
    seed: Seed | None = None
    candidates: Count | None = None
    styles: Annotated[list[Picture], Field(max_length=64)] | None = None
    guard: GuardRules | None = None
    post: PostChain | None = None
    options: Options | None = None


class RunWanted(Wanted):
    """A run to be planned or begun."""

    scenes: list[Picture] = Field([], max_length=10_000)
    """Empty: every picture in `<root>/scenes`."""
    styles: list[Picture] = Field([], max_length=64)
    prompt: Words | None = None
    negative_prompt: Words = ""
    model: Name | None = None
    """`provider:model`, or a model's own name."""
    size: Size = "source"
    seed: Seed | None = None
    options: dict[str, Option] = Field({}, max_length=64)
    candidates: Count = 1
    max_candidates: Count = 6
    allow_many_candidates: bool = False
    guard: GuardRules = GuardRules()
    post: PostChain = PostChain()
    archive_replaced: bool = True
    by_scene: dict[Name, SceneWanted] = Field({}, max_length=10_000)
    confirm_spend: bool = False
    max_spend_usd: Amount | None = None


async def plan(studio: Studio, project: Project, wanted: RunWanted, by: str | None = None) -> Plan:
    """Plan a run; nothing is sent or paid.

    `by`: the id of the person who plans it; what their role does not allow is refused.
    """
    root = await root_of(studio, project.slug, None)
    place = studio.shop.place(root)
    refs = await _paths(studio, project, place, wanted.scenes)
    styles = await _paths(studio, project, place, wanted.styles)
    overrides = {
        name: await _override(studio, project, place, one) for name, one in wanted.by_scene.items()
    }
    said = wanted.model_dump(exclude={"scenes", "styles", "by_scene", *_SPENDING})
    order = RunOrder.model_validate(
        {**said, "project": project.slug, "scene_refs": refs, "style_refs": styles}
    )
    sheet = Manifest(scenes=overrides)
    found = await planning.plan(
        studio, order, Path(root), confirmed=wanted.confirm_spend, sheet=sheet
    )
    await policy.check(studio, by, [one.spec for one in found.jobs])
    return found


_SPENDING = frozenset({"confirm_spend", "max_spend_usd"})


async def _override(
    studio: Studio, project: Project, place: Place, one: SceneWanted
) -> SceneOverride:
    said = one.model_dump(exclude={"styles"}, exclude_none=True)
    if one.styles is not None:
        said["refs"] = await _paths(studio, project, place, one.styles)
    return SceneOverride.model_validate(said)


async def _paths(
    studio: Studio, project: Project, place: Place, given: Sequence[str]
) -> tuple[Path, ...]:
    return tuple([await picture_path(studio, project, place, one) for one in given])


async def picture_path(studio: Studio, project: Project, place: Place, given: str) -> Path:
    """Return a readable file for an asset's id, a scene's name or a path below the root."""
    asset_id = _asset_id(given)
    if asset_id is not None:
        return await _written_out(studio, project, place, asset_id)
    names = [given, f"scenes/{given}"]
    names += [f"scenes/{given}{suffix}" for suffix in sorted(PICTURES)]
    for name in names:
        path = place.folders.inside(name)
        if path.is_file() and not path.is_symlink() and PRIVATE not in path.parts:
            return path
    raise FileMissing(
        f"{given!r} is no asset of the project, no picture in its folder `scenes` and no file "
        "below its root; upload it, or put it there."
    )


def _asset_id(given: str) -> str | None:
    try:
        return str(UUID(given))
    except ValueError:
        return None


async def _written_out(studio: Studio, project: Project, place: Place, asset_id: str) -> Path:
    """Give an asset's bytes a name that scenes can be called by, in the private folder."""
    async with studio.shop.db.read() as session:
        asset, blob = await assets.get(session, asset_id)
    if asset.project_id != project.id or asset.deleted_at is not None:
        raise AssetNotFound(f"There is no asset {asset_id!r} in this project; it may be trashed.")
    suffix = SUFFIXES.get(blob.media_type)
    if suffix is None:
        raise BadParameter(f"The asset {asset_id!r} is {blob.media_type}, not a picture.")
    stem = asset.name.rpartition(".")[0] if Path(asset.name).suffix in PICTURES else asset.name
    path = given_path(place.folders, asset.id, f"{clean_name(stem)}{suffix}")
    if not (path.is_file() and path.stat().st_size == blob.size_bytes):
        data = await place.storage.read(object_key(Digest(asset.digest)))
        scratch = place.folders.root / PRIVATE / "tmp"
        await asyncio.to_thread(write_durably, path, data, scratch=scratch, mode=0o444)
    return path
