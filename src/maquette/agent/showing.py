"""Pictures in an answer: as they are where they are small, else smaller."""

from __future__ import annotations

import re
from collections.abc import Sequence

from maquette.agent.call import Call, Shown
from maquette.agent.tells import PictureTold
from maquette.agent.wants import ASSET, SLUG
from maquette.core.errors import MaquetteError, RequestTooLarge
from maquette.db.library import Bytes
from maquette.db.tables import Asset, Blob, Project
from maquette.services import library, thumbs

MOST_BYTES = 600_000
"""All pictures of an answer together; in base64 they stay below the megabyte that clients take."""
MOST_PX = 1568
"""Models that look at pictures shrink longer sides themselves."""
LARGEST_BYTES = 16 * 1024 * 1024
"""Of a picture that is asked for whole."""
_MOST_SHOWN = 10
_READABLE = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})
SCHEME = "maquette://projects/"


def uri_of(slug: str, asset_id: str) -> str:
    return f"{SCHEME}{slug}/assets/{asset_id}"


def asset_at(uri: str) -> tuple[str, str] | None:
    """Return project and asset that an address names, where both are written as ours are."""
    slug, _, asset_id = uri.removeprefix(SCHEME).partition("/assets/")
    known = uri.startswith(SCHEME) and re.fullmatch(SLUG, slug) and re.fullmatch(ASSET, asset_id)
    return (slug, asset_id) if known else None


def picture_told(
    project: Project, asset: Asset, blob: Blob, *, selected: bool = False, state: str | None = None
) -> PictureTold:
    """Describe a picture."""
    return PictureTold(
        asset=asset.id,
        uri=uri_of(project.slug, asset.id),
        name=asset.name,
        kind=asset.kind,
        media_type=blob.media_type,
        width_px=blob.width_px,
        height_px=blob.height_px,
        size_bytes=blob.size_bytes,
        selected=selected,
        state=state,
    )


async def shown(call: Call, project: Project, pictures: Sequence[PictureTold]) -> list[Shown]:
    """Return pictures to look at, the first ones; one whose bytes are gone is left out."""
    few = list(pictures)[:_MOST_SHOWN]
    found: list[Shown] = []
    for one in few:
        try:
            found.append(await _shown(call, project, one, MOST_BYTES // len(few)))
        except MaquetteError:  # it is told of all the same
            continue
    return found


async def _shown(call: Call, project: Project, one: PictureTold, most_bytes: int) -> Shown:
    of = await library.bytes_of(call.studio, project.id, one.asset)
    small = one.size_bytes <= most_bytes and max(one.width_px, one.height_px) <= MOST_PX
    if small and one.media_type in _READABLE:
        data, kind = await whole(call, project, of), one.media_type
    else:
        data, kind = await _thumbnail(call, project, of, most_bytes), "image/webp"
    return Shown(
        one.asset, project.slug, one.name, one.media_type, one.size_bytes, data, data_type=kind
    )


async def whole(call: Call, project: Project, of: Bytes) -> bytes:
    """Return all bytes of a picture."""
    storage, stored = await library.located(call.studio, project, of.digest)
    if stored.size_bytes > LARGEST_BYTES:
        raise RequestTooLarge(
            f"The picture has {stored.size_bytes} bytes, too many for one message; fetch it from "
            "the project's folder, or over HTTP."
        )
    return await storage.read(stored.key)


async def _thumbnail(call: Call, project: Project, of: Bytes, most_bytes: int) -> bytes:
    """Return the largest thumbnail that fits; the smallest always does."""
    data = b""
    for side in sorted(thumbs.SIDES, reverse=True):
        storage, stored = await call.office.thumbnails.get(project, of, side, "webp")
        data = await storage.read(stored.key)
        if len(data) <= most_bytes:
            break
    return data
