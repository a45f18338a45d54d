"""Masks: taken in as somebody sent them, kept as one channel of the picture's size, adjusted.

Whatever comes in, what is kept is one thing: an 8-bit PNG of one channel, 255 = edit. Every surface
says how its masks mark, every provider turns them into what its server reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.errors import BadParameter
from maquette.core.masks import Adjust, Polarity
from maquette.core.requests import digest_of
from maquette.core.storage import object_key
from maquette.db import assets, borrowed, events, uploads
from maquette.db.tables import Project
from maquette.jobs.maskwork import MadeMask, MaskCall, read_mask
from maquette.services import asking, library
from maquette.services.inputs import clean_name
from maquette.services.studio import Studio
from maquette.services.uploading import check_room, place_of

KIND: Final = "mask"
AS_SENT: Final = Adjust()


async def keep(  # noqa: PLR0913 - whose, of what, and how it is to be read
    studio: Studio,
    project: Project,
    caller_id: str | None,
    data: bytes,
    of: asking.Given,
    *,
    polarity: Polarity,
    adjust: Adjust = AS_SENT,
    name: str = "mask",
    forget: bool = False,
) -> asking.Given:
    """Take in the bytes of a mask of a picture; raise what is wrong with it.

    `forget`: it is purged when the job that it is for has ended.
    """
    call = MaskCall(data, polarity, _size(of), adjust, name)
    made = await studio.shop.pool.run(read_mask, call)
    how = {"uploaded": True, "polarity": polarity, **_told(adjust)}
    return await store(studio, project, caller_id, made, of, made_by=how, name=name, forget=forget)


async def adjusted(
    studio: Studio,
    project: Project,
    caller_id: str | None,
    mask: asking.Given,
    of: asking.Given,
    adjust: Adjust,
) -> asking.Given:
    """Make another mask of one that is kept; that one stays. Neutral values give itself."""
    if adjust.neutral:
        return mask
    storage, _ = await library.located(studio, project, mask.input.digest)
    data = await storage.read(object_key(mask.input.digest))
    call = MaskCall(data, "white", _size(of), adjust, mask.input.name)
    made = await studio.shop.pool.run(read_mask, call)
    return await store(
        studio,
        project,
        caller_id,
        made,
        of,
        made_by=_told(adjust),
        name=mask.input.name,
        parents=[(mask.asset, "mask")],
    )


async def named(studio: Studio, project: Project, asset_id: str) -> asking.Given:
    """Refer to a mask that is kept; another picture is none, whatever it shows."""
    found = await asking.given(studio, project, asset_id, "mask")
    async with studio.shop.db.read() as session:
        asset, _ = await assets.get(session, asset_id)
    if asset.kind != KIND:
        raise BadParameter(
            f"The asset {asset_id!r} is no mask but of the kind {asset.kind!r}. Send the mask's "
            "bytes and say what it marks by: transparent, opaque or white."
        )
    return found


async def store(  # noqa: PLR0913 - a mask that was made has a history
    studio: Studio,
    project: Project,
    caller_id: str | None,
    made: MadeMask,
    of: asking.Given,
    *,
    made_by: Mapping[str, Any],
    name: str = "mask",
    parents: Sequence[tuple[str, str]] = (),
    forget: bool = False,
) -> asking.Given:
    """Keep a mask that was made: its bytes, then its rows; `of` is the picture that it belongs to.

    It counts in the quotas like an upload; with `forget` it goes when its job has ended.
    """
    place = await place_of(studio, project)
    digest = digest_of(made.data)
    blob = assets.NewBlob(digest, size_bytes=len(made.data), **vars(made.facts))
    new = assets.NewAsset(
        blob=blob,
        kind=KIND,
        name=clean_name(name),
        made_by={**made_by, "coverage": round(made.coverage, 6)},
        parents=[(of.asset, "init"), *parents],
        creator_id=caller_id,
    )
    await place.storage.put(object_key(digest), made.data)
    async with studio.shop.db.write() as session:
        await _check_room(session, project.id, caller_id, blob)
        for parent, _ in new.parents:
            await assets.get(session, parent)  # it may have been purged meanwhile
        now = studio.shop.clock.now()
        await assets.add(session, project.id, new, now)
        if forget:
            await borrowed.lend(session, new.id, project.id, now)
        events.record(
            session,
            "asset_uploaded",
            project_id=project.id,
            at=now,
            asset=new.id,
            asset_kind=KIND,
        )
    return asking.Given.model(
        new.id,
        "mask",
        digest=digest,
        name=new.name,
        media_type=blob.media_type,
        width_px=blob.width_px,
        height_px=blob.height_px,
        size_bytes=blob.size_bytes,
    )


async def _check_room(
    session: AsyncSession, project_id: str, caller_id: str | None, blob: assets.NewBlob
) -> None:
    if caller_id is None:
        return
    held, own, _ = await uploads.known(session, project_id, caller_id, blob.digest)
    room = await uploads.room(session, project_id, caller_id, lock=True)
    check_room(room, 0 if held else blob.size_bytes, 0 if own else blob.size_bytes)


def _size(of: asking.Given) -> tuple[int, int]:
    return of.input.width_px, of.input.height_px


def _told(adjust: Adjust) -> dict[str, Any]:
    return {} if adjust.neutral else {"adjusted": adjust.model_dump(exclude_defaults=True)}
