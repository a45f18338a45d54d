"""The bytes of assets: whole, in part, and small."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BeforeValidator

from maquette.api import files
from maquette.api.contract import raises
from maquette.api.door import Glancing, Viewing
from maquette.api.house import TheHouse, TheStudio
from maquette.api.routes.assets import AssetId
from maquette.core import errors as e
from maquette.services import library
from maquette.services.thumbs import Format, Side

router = APIRouter(prefix="/api/projects/{slug}/assets", tags=["assets"])

_NO_BYTES = (e.AssetNotFound, e.ObjectNotFound, e.RangeOutside, e.StorageUnavailable)


@router.head(
    "/{asset_id}/file",
    summary="Ask about an asset's bytes",
    response_class=Response,
    responses={**files.SENT, **raises(*_NO_BYTES)},
)
@router.get(
    "/{asset_id}/file",
    summary="Download an asset",
    response_class=Response,
    responses={**files.SENT, **raises(*_NO_BYTES)},
)
async def asset_file(
    request: Request,
    entry: Viewing,
    studio: TheStudio,
    asset_id: AssetId,
    *,
    download: Annotated[bool, Query(description="To be saved, under its name.")] = False,
    if_none_match: files.IfNoneMatch = None,
    if_range: files.IfRange = None,
    range: files.Range = None,  # noqa: A002 - the header's name
) -> Response:
    """Send the bytes as they were made; the ETag is their SHA-256, and they never change."""
    found = await library.bytes_of(studio, entry.project.id, asset_id)
    name = library.file_name(found.name, found.media_type) if download else None
    what = files.Sending(found.digest, found.media_type, name)
    asked = files.Asked(if_none_match, if_range, range, head=request.method == "HEAD")
    return await files.send(
        asked, what, lambda: library.located(studio, entry.project, found.digest)
    )


@router.get(
    "/{asset_id}/thumbnail",
    summary="Show an asset small",
    response_class=Response,
    responses={
        **files.SENT,
        **raises(*_NO_BYTES, e.UnsupportedImage, e.ImageTooLarge, e.OperationFailed),
        **raises(e.OperationTimedOut, e.StorageFull),
    },
)
async def asset_thumbnail(
    entry: Glancing,
    house: TheHouse,
    asset_id: AssetId,
    *,
    side: Annotated[
        Side, BeforeValidator(int), Query(description="The longer side in pixels, at most.")
    ] = 256,
    format: Annotated[Format, Query()] = "webp",  # noqa: A002 - the word every caller knows
    if_none_match: files.IfNoneMatch = None,
) -> Response:
    """Send a small picture; it is made when it is asked for first, and never again."""
    found = await library.bytes_of(house.studio, entry.project.id, asset_id)
    what = files.Sending(f"{found.digest}.{side}.{format}", f"image/{format}")
    return await files.send(
        files.Asked(if_none_match),
        what,
        lambda: house.thumbnails.get(entry.project, found, side, format),
    )
