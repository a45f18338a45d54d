"""Edits with a mask that no flip and no inversion leaves as it is, asked for in a few words."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from maquette.core.masks import Polarity
from maquette.core.people import Caller
from maquette.core.requests import Digest
from maquette.core.storage import object_key
from maquette.db import assets
from maquette.db.tables import Asset, Event, Project
from maquette.imaging import codec, png
from maquette.jobs.workers import PixelPool
from maquette.services import asking, people, projects, results, running, uploading
from maquette.services.results import Result
from maquette.services.starting import Spending
from maquette.services.studio import Studio

SCENE_PIXELS = np.random.default_rng(7).integers(0, 256, (64, 96, 3), np.uint8)
SCENE = png.write(SCENE_PIXELS)
MARKS = np.zeros((64, 96), np.uint8)
MARKS[:20, :36] = 255
MARKS[20, :36] = 140
"""The top left corner is to be edited, with one soft row."""
OUTSIDE = MARKS == 0
DEEP = (slice(0, 12), slice(0, 28))
"""Farther inside than any soft edge of these tests reaches."""


def sent_as(polarity: Polarity, marks: NDArray[np.uint8] = MARKS) -> bytes:
    """Write a mask as a surface sends it, with colours that nobody may look at."""
    if polarity == "white":
        return png.write(marks)
    alpha = marks if polarity == "opaque" else np.uint8(255) - marks
    noise = np.random.default_rng(1).integers(0, 256, (*marks.shape, 3), np.uint8)
    return png.write(np.dstack([noise, alpha]))


@pytest.fixture(scope="module")
def pool() -> Iterator[PixelPool]:
    """Start worker processes once for a file of tests."""
    started = PixelPool(workers=1)
    yield started
    asyncio.run(started.close())


def with_pool(studio: Studio, pool: PixelPool) -> Studio:
    return replace(studio, shop=replace(studio.shop, pool=pool))


async def project_at(studio: Studio, root: Path) -> Project:
    await projects.create(studio, "demo", name=None, root=root, default_root=False)
    return await projects.find(studio, "demo")


async def uploaded(studio: Studio, project: Project, data: bytes = SCENE) -> asking.Given:
    caller: Caller = await people.local(studio)
    async with uploading.intake(studio, project, caller, 10**8) as taking:
        await taking.begin("scene")
        await taking.write(data)
        (made,) = await taking.finish(uploading.Wishes())
    return await asking.given(studio, project, made.id)


async def made(
    studio: Studio, project: Project, picture: asking.Given, mask: asking.Given, **wish: Any
) -> Result:
    """Ask for an edit, begin it, and see it through."""
    words: dict[str, Any] = {"size": "source", **wish}
    wanted = asking.Wish("a red door", pictures=(picture,), mask=mask, **words)
    asked = await asking.ask(studio, project, wanted)
    job = await asking.begin(studio, project, asked, Spending(confirmed=True))
    await running.see_through(studio, job.removesuffix("-001"), ignored)
    return await results.of(studio, project.id, job)


async def ignored(_event: Event) -> None:
    return None


async def bytes_of(studio: Studio, project: Project, digest: str) -> bytes:
    assert project.root is not None
    return await studio.shop.place(project.root).storage.read(object_key(Digest(digest)))


async def pixels_of(studio: Studio, project: Project, digest: str) -> NDArray[np.uint8]:
    return codec.decode(await bytes_of(studio, project, digest)).pixels


async def parents_of(studio: Studio, asset_id: str) -> dict[str, Asset]:
    """Return an asset's parents by their roles."""
    async with studio.shop.db.read() as session:
        return {role: asset for asset, role in await assets.parents_of(session, asset_id)}


def codes(result: Result) -> list[set[str]]:
    """Return what the verdicts of a job's pictures found."""
    return [{one["code"] for one in (found.verdict or {})["findings"]} for found in result.pictures]
