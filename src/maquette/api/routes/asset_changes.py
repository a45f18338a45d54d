"""What people do with assets: tags, favourites, the trash."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from maquette.api.contract import raises
from maquette.api.door import Editing, Liking
from maquette.api.house import TheStudio
from maquette.api.routes.assets import AssetDetail, AssetId, Tag, shown
from maquette.core import errors as e
from maquette.core.wanted import Wanted
from maquette.services import library, trash

router = APIRouter(prefix="/api/projects/{slug}/assets", tags=["assets"])


class TagSet(Wanted):
    """All tags of an asset."""

    tags: Annotated[list[Tag], Field(max_length=library.MOST_TAGS, examples=[["cover", "final"]])]


@router.put(
    "/{asset_id}/favourite",
    status_code=204,
    summary="Like an asset",
    responses=raises(e.AssetNotFound),
)
async def like_asset(entry: Liking, studio: TheStudio, asset_id: AssetId) -> None:
    """Note that the caller likes it; others see their own favourites only."""
    await library.favour(studio, entry.project.id, asset_id, entry.caller.user_id, liked=True)


@router.delete(
    "/{asset_id}/favourite",
    status_code=204,
    summary="Like an asset no more",
    responses=raises(e.AssetNotFound),
)
async def unlike_asset(entry: Liking, studio: TheStudio, asset_id: AssetId) -> None:
    """Take the caller's favourite back."""
    await library.favour(studio, entry.project.id, asset_id, entry.caller.user_id, liked=False)


@router.put("/{asset_id}/tags", summary="Set an asset's tags", responses=raises(e.AssetNotFound))
async def tag_asset(entry: Editing, studio: TheStudio, asset_id: AssetId, wanted: TagSet) -> TagSet:
    """Give it these tags and no others; they are kept in lower case."""
    kept = await library.set_tags(studio, entry.project.id, asset_id, wanted.tags)
    return TagSet(tags=list(kept))


@router.post(
    "/{asset_id}/trash", summary="Put an asset into the trash", responses=raises(e.AssetNotFound)
)
async def trash_asset(entry: Editing, studio: TheStudio, asset_id: AssetId) -> AssetDetail:
    """Hide it in all lists; its bytes, its history and the project's folders stay as they are."""
    await trash.put(studio, entry.project.id, asset_id)
    return await shown(entry, studio, asset_id)


@router.post(
    "/{asset_id}/restore",
    summary="Take an asset out of the trash",
    responses=raises(e.AssetNotFound),
)
async def restore_asset(entry: Editing, studio: TheStudio, asset_id: AssetId) -> AssetDetail:
    """Show it again in all lists."""
    await trash.restore(studio, entry.project.id, asset_id)
    return await shown(entry, studio, asset_id)


@router.delete(
    "/{asset_id}",
    status_code=204,
    summary="Purge an asset that is in the trash",
    responses=raises(e.AssetNotFound, e.WrongState),
)
async def purge_asset(entry: Editing, studio: TheStudio, asset_id: AssetId) -> None:
    """Take it away for good, unless something was made from it or a run needs it."""
    await trash.purge(studio, entry.project.id, asset_id)
