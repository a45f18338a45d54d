"""Masks are kept as one thing, whichever way they were sent."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import numpy as np
import pytest

from maquette.core.errors import (
    AssetNotFound,
    BadParameter,
    ImageTooLarge,
    QuotaExceeded,
    UnsupportedImage,
)
from maquette.core.masks import Adjust, Polarity
from maquette.db import assets
from maquette.db.tables import Project
from maquette.imaging import codec, png
from maquette.jobs.workers import PixelPool
from maquette.pixels import mask as pixels
from maquette.services import asking, library, masks, people, projects
from maquette.services.library import Filters
from maquette.services.studio import Studio
from tests.conftest import Opener
from tests.services.masking import (
    MARKS,
    SCENE,
    bytes_of,
    parents_of,
    pixels_of,
    pool,
    project_at,
    sent_as,
    uploaded,
    with_pool,
)

__all__ = ["pool"]

POLARITIES: tuple[Polarity, ...] = ("transparent", "opaque", "white")


@pytest.fixture
async def studio(open_studio: Opener, pool: PixelPool) -> AsyncGenerator[Studio]:
    async with open_studio() as opened:
        yield with_pool(opened, pool)


@pytest.fixture
async def project(studio: Studio, root: Path) -> Project:
    return await project_at(studio, root)


async def test_all_polarities_are_kept_as_the_same_bytes(studio: Studio, project: Project) -> None:
    """Conflict 3: one 8-bit mask inside, 255 = edit; and its history says how it came."""
    caller = await people.local(studio)
    of = await uploaded(studio, project)
    kept = [
        await masks.keep(studio, project, caller.user_id, sent_as(one), of, polarity=one)
        for one in POLARITIES
    ]
    assert len({one.input.digest for one in kept}) == 1
    assert {one.input.role for one in kept} == {"mask"}
    data = await bytes_of(studio, project, kept[0].input.digest)
    header = codec.sniff(data)
    assert (header.media_type, header.mode, header.bit_depth) == ("image/png", "L", 8)
    np.testing.assert_array_equal(codec.decode(data).pixels[..., 0], MARKS)
    for one, polarity in zip(kept, POLARITIES, strict=True):
        shown = await library.show(studio, project.id, one.asset, None)
        assert (shown.line.kind, shown.line.creator) == ("mask", caller.user_id)
        assert (shown.line.width_px, shown.line.height_px) == (96, 64)
        assert shown.made_by == {
            "uploaded": True,
            "polarity": polarity,
            "coverage": pytest.approx(MARKS.mean() / 255, abs=1e-6),
        }
        assert (await parents_of(studio, one.asset))["init"].id == of.asset


async def test_a_mask_is_adjusted_on_its_way_in_and_afterwards(
    studio: Studio, project: Project
) -> None:
    adjust = Adjust(grow_px=5, feather_px=3)
    of = await uploaded(studio, project)
    here = (studio, project, None)
    at_once = await masks.keep(*here, sent_as("opaque"), of, polarity="opaque", adjust=adjust)
    plain = await masks.keep(*here, sent_as("white"), of, polarity="white")
    later = await masks.adjusted(*here, plain, of, adjust)
    assert later.input.digest == at_once.input.digest
    expected = pixels.adjusted(MARKS, adjust)
    kept = await pixels_of(studio, project, later.input.digest)
    np.testing.assert_array_equal(kept[..., 0], expected)
    found = await parents_of(studio, later.asset)
    assert {role: asset.id for role, asset in found.items()} == {
        "init": of.asset,
        "mask": plain.asset,
    }
    shown = await library.show(studio, project.id, later.asset, None)
    assert shown.made_by["adjusted"] == {"grow_px": 5, "feather_px": 3.0}
    assert await masks.adjusted(*here, plain, of, Adjust()) == plain


async def test_what_is_wrong_with_a_mask_is_said_and_nothing_is_kept(
    studio: Studio, project: Project
) -> None:
    of = await uploaded(studio, project)

    async def refused(data: bytes, polarity: Polarity, adjust: Adjust = masks.AS_SENT) -> str:
        with pytest.raises((BadParameter, UnsupportedImage, ImageTooLarge)) as caught:
            await masks.keep(studio, project, None, data, of, polarity=polarity, adjust=adjust)
        return str(caught.value)

    nothing, everything = np.zeros((64, 96), np.uint8), np.full((64, 96), 255, np.uint8)
    assert "make transparent what" in await refused(sent_as("transparent", nothing), "transparent")
    assert "paint what is to be edited" in await refused(sent_as("opaque", nothing), "opaque")
    assert "paint white what" in await refused(sent_as("white", nothing), "white")
    assert "once it was inverted" in await refused(
        sent_as("white", everything), "white", Adjust(invert=True)
    )
    assert "once it was shrunk" in await refused(sent_as("white"), "white", Adjust(shrink_px=200))
    assert "96x32 px and the picture 96x64" in await refused(
        sent_as("opaque", MARKS[:32]), "opaque"
    )
    assert "no transparency" in await refused(SCENE, "transparent")
    assert "has colours" in await refused(SCENE, "white")
    assert "not a picture" in await refused(b"%PDF-1.7 no picture", "white")
    found = await library.page(studio, Filters(project.id, kind="mask"))
    assert found.items == ()


async def test_a_mask_of_everything_is_fine(studio: Studio, project: Project) -> None:
    of = await uploaded(studio, project)
    everything = png.write(np.full((64, 96), 255, np.uint8))
    kept = await masks.keep(studio, project, None, everything, of, polarity="white")
    assert (await library.show(studio, project.id, kept.asset, None)).made_by["coverage"] == 1
    found = await masks.named(studio, project, kept.asset)
    assert found == kept


async def test_a_picture_is_not_taken_for_a_mask(studio: Studio, project: Project) -> None:
    of = await uploaded(studio, project)
    with pytest.raises(BadParameter, match="no mask but of the kind 'source'"):
        await masks.named(studio, project, of.asset)


async def test_a_mask_counts_in_the_quotas(studio: Studio, project: Project) -> None:
    caller = await people.local(studio)
    of = await uploaded(studio, project)
    room = projects.Changes(quota_bytes=len(SCENE) + 20)
    await projects.change(studio, project.slug, room)
    with pytest.raises(QuotaExceeded, match="the project's quota"):
        await masks.keep(studio, project, caller.user_id, sent_as("white"), of, polarity="white")


async def test_a_mask_of_a_picture_that_is_gone_is_refused(
    studio: Studio, project: Project
) -> None:
    of = await uploaded(studio, project)
    gone = asking.Given("gone", of.input)
    with pytest.raises(AssetNotFound):
        await masks.keep(studio, project, None, sent_as("white"), gone, polarity="white")
    async with studio.shop.db.read() as session:
        assert all(
            blob.size_bytes == len(SCENE) for blob in await assets.blobs(session, project.id)
        )
