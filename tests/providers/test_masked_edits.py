"""One mask, three ways to send it, and what each upstream is shown: whole runs, pair by pair.

The mask has no symmetry, so that a flip, an inversion or a confused polarity shows.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.services.masking import (
    DEEP,
    MARKS,
    OUTSIDE,
    SCENE,
    SCENE_PIXELS,
    bytes_of,
    codes,
    made,
    parents_of,
    pixels_of,
    pool,
    project_at,
    sent_as,
    uploaded,
    with_pool,
)

from maquette import bootstrap
from maquette.core.masks import Polarity
from maquette.core.pipeline import CompositeStep
from maquette.core.provider import Provider
from maquette.core.states import JobState
from maquette.core.wire import WireRules
from maquette.db.tables import Project
from maquette.imaging import codec
from maquette.jobs.workers import PixelPool
from maquette.pixels import mask as pixels
from maquette.pixels import resample
from maquette.providers.a1111.config import A1111Config
from maquette.providers.a1111.provider import A1111Provider
from maquette.providers.diffusers import pictures
from maquette.providers.openai.config import OpenAIConfig
from maquette.providers.openai.profiles import ModelEntry
from maquette.providers.openai.provider import OpenAIProvider
from maquette.services import asking, masks
from maquette.services.results import Result
from maquette.services.studio import Studio
from maquette.settings import load
from maquette.testing.standin_a1111 import A1111StandIn, edited
from maquette.testing.standin_openai import StandIn

__all__ = ["pool"]

KEY = "sk-masks-77"
POLARITIES: tuple[Polarity, ...] = ("transparent", "opaque", "white")
MODELS = (
    ModelEntry(id="any-size", sizes="any", free=True),
    ModelEntry(id="one-size", sizes=((120, 80),), free=True),
)


@pytest.fixture
def images(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """Changes every pixel, whatever the mask says."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with StandIn(key=KEY) as running:
        yield running


@pytest.fixture
def webui() -> Iterator[A1111StandIn]:
    with A1111StandIn() as running:
        yield running


@dataclass(frozen=True)
class Room:
    """A project with the scene in it."""

    studio: Studio
    project: Project
    scene: asking.Given

    async def mask(self, polarity: Polarity = "opaque") -> asking.Given:
        return await masks.keep(
            self.studio, self.project, None, sent_as(polarity), self.scene, polarity=polarity
        )

    async def edit(self, model: str, polarity: Polarity = "opaque", **wish: Any) -> Result:
        mask = await self.mask(polarity)
        result = await made(self.studio, self.project, self.scene, mask, model=model, **wish)
        assert result.job.state == JobState.SUCCEEDED, result.job.error_message
        return result

    async def pixels(self, result: Result, index: int = 0) -> Any:
        return await pixels_of(self.studio, self.project, result.pictures[index].asset.digest)


@asynccontextmanager
async def room(
    tmp_path: Path, root: Path, pool: PixelPool, *providers: Provider
) -> AsyncGenerator[Room]:
    settings = load(home=tmp_path / "home", plugins="proof")
    more = {one.id: one for one in providers} or None
    async with bootstrap.open_studio(settings, providers=more) as opened:
        studio = with_pool(opened, pool)
        project = await project_at(studio, root)
        yield Room(studio, project, await uploaded(studio, project))


def openai_at(server: StandIn) -> OpenAIProvider:
    config = OpenAIConfig(base_url=server.url, models=MODELS, has_key=True)
    return OpenAIProvider.build(config, WireRules(paid_calls=False))


async def test_openai_is_shown_transparency_where_it_is_to_edit(
    tmp_path: Path, root: Path, pool: PixelPool, images: StandIn
) -> None:
    """Conflicts 3 and 4: and outside the mask not a byte changes, though it changes them all."""
    async with room(tmp_path, root, pool, openai_at(images)) as here:
        for polarity in POLARITIES:
            result = await here.edit("openai:any-size", polarity)
            seen = images.seen[-1]
            wire = codec.decode(seen.file("mask").data).pixels
            np.testing.assert_array_equal(wire[..., 3] == 0, MARKS > 0, polarity)
            np.testing.assert_array_equal(wire[..., 3] == 255, MARKS == 0, polarity)
            assert seen.file("image").data == SCENE
            shown = await here.pixels(result)
            parents = await parents_of(here.studio, result.pictures[0].asset.id)
            own = await pixels_of(here.studio, here.project, parents["init"].digest)
            assert (own != SCENE_PIXELS).any(axis=2)[OUTSIDE].mean() > 0.99
            np.testing.assert_array_equal(shown[OUTSIDE], SCENE_PIXELS[OUTSIDE], polarity)
            np.testing.assert_array_equal(shown[DEEP], own[DEEP], polarity)


async def test_the_web_ui_is_shown_white_where_it_is_to_edit(
    tmp_path: Path, root: Path, pool: PixelPool, webui: A1111StandIn
) -> None:
    """Conflict 3: one channel; any transparency would turn it round."""
    config = A1111Config(base_url=webui.url)
    provider = A1111Provider(config, WireRules(paid_calls=False), look_s=0.01)
    async with room(tmp_path, root, pool, provider) as here:
        for polarity in POLARITIES:
            result = await here.edit("a1111:current", polarity, options={"mask_blur": 0})
            sent = webui.seen[-1].picture("mask")
            assert (codec.sniff(sent).mode, codec.sniff(sent).has_alpha) == ("L", False)
            np.testing.assert_array_equal(codec.decode(sent).pixels[..., 0], MARKS, polarity)
            np.testing.assert_array_equal(edited(sent), MARKS >= 128, polarity)
            shown = await here.pixels(result)
            np.testing.assert_array_equal(shown[OUTSIDE], SCENE_PIXELS[OUTSIDE], polarity)
            assert (shown[DEEP] != SCENE_PIXELS[DEEP]).any(axis=2).mean() > 0.99


async def test_proofs_change_only_what_is_marked(
    tmp_path: Path, root: Path, pool: PixelPool
) -> None:
    async with room(tmp_path, root, pool) as here:
        for polarity in POLARITIES:
            result = await here.edit("proof:proof", polarity, seed=4)
            shown = await here.pixels(result)
            np.testing.assert_array_equal(shown[OUTSIDE], SCENE_PIXELS[OUTSIDE], polarity)
            assert (shown[DEEP] != SCENE_PIXELS[DEEP]).any(axis=2).mean() > 0.9, polarity
            found = result.pictures[0].verdict or {}
            assert [one["measured"] for one in found["findings"]] == [0.0]


async def test_a_model_on_this_machine_is_shown_white_where_it_is_to_edit(
    tmp_path: Path, root: Path, pool: PixelPool
) -> None:
    """As far as goes without torch: what the pipeline is handed, and what comes of its picture."""
    async with room(tmp_path, root, pool) as here:
        for polarity in POLARITIES:
            kept = await here.mask(polarity)
            data = await bytes_of(here.studio, here.project, kept.input.digest)
            marks = pictures.mask(data, 96, 64)
            np.testing.assert_array_equal(marks, MARKS, polarity)
            np.testing.assert_array_equal(pictures.whole(marks), np.where(OUTSIDE, 0, 255))
            back = pictures.put_back(255 - SCENE_PIXELS, SCENE_PIXELS, marks)
            np.testing.assert_array_equal(back[OUTSIDE], SCENE_PIXELS[OUTSIDE])
            np.testing.assert_array_equal(back[DEEP], 255 - SCENE_PIXELS[DEEP])


async def test_what_was_undone_is_said_everywhere(
    tmp_path: Path, root: Path, pool: PixelPool, images: StandIn
) -> None:
    """Conflict 4: the drift, as anybody can compute it, in finding, lineage and step."""
    async with room(tmp_path, root, pool, openai_at(images)) as here:
        result = await here.edit("openai:any-size", count=2)
        assert len(result.pictures) == 2
        for one in result.pictures:
            parents = await parents_of(here.studio, one.asset.id)
            own = await pixels_of(here.studio, here.project, parents["init"].digest)
            undone = np.abs(own[OUTSIDE].astype(int) - SCENE_PIXELS[OUTSIDE]).mean()
            (found,) = (one.verdict or {})["findings"]
            assert (found["code"], found["severity"]) == ("composite-drift", "info")
            assert found["measured"] == pytest.approx(undone, abs=0.001)
            assert one.asset.made_by["report"]["drift"] == found["measured"]
            assert one.asset.made_by["operation"] == "mask.composite"
            assert one.asset.prompt == "a red door"
            assert parents["original"].id == here.scene.asset
            assert (parents["mask"].kind, parents["init"].kind) == ("mask", "inpainted")


async def test_without_the_composite_the_picture_is_the_models(
    tmp_path: Path, root: Path, pool: PixelPool, images: StandIn
) -> None:
    async with room(tmp_path, root, pool, openai_at(images)) as here:
        result = await here.edit("openai:any-size", composite=None)
        shown = await here.pixels(result)
        assert (shown != SCENE_PIXELS).any(axis=2)[OUTSIDE].mean() > 0.99
        assert codes(result) == [set()]
        assert "request" in result.pictures[0].asset.made_by


async def test_sizes(tmp_path: Path, root: Path, pool: PixelPool, images: StandIn) -> None:
    """What was not asked for is undone; what was asked for is not pixel-exact and says so."""
    async with room(tmp_path, root, pool, openai_at(images)) as here:
        clamped = await here.edit("openai:one-size")
        assert images.seen[-1].fields["size"] == "120x80"
        np.testing.assert_array_equal((await here.pixels(clamped))[OUTSIDE], SCENE_PIXELS[OUTSIDE])
        assert codes(clamped) == [{"composite-drift", "composite-resized"}]

        square = await here.edit("openai:any-size", size="auto")
        np.testing.assert_array_equal((await here.pixels(square))[OUTSIDE], SCENE_PIXELS[OUTSIDE])
        assert codes(square) == [{"composite-drift", "composite-stretched"}]

        twice = await here.edit("openai:any-size", size=(192, 128))
        shown = await here.pixels(twice)
        large = resample.resize(SCENE_PIXELS, width_px=192, height_px=128)
        outside = pixels.resized(MARKS, width_px=192, height_px=128) == 0
        np.testing.assert_array_equal(shown[outside], large[outside])
        assert (shown[:24, :56] != large[:24, :56]).any(axis=2).mean() > 0.99
        (drift, resized) = (twice.pictures[0].verdict or {})["findings"]
        assert "not pixel for pixel" in resized["message"] and drift["measured"] > 0

        other = await here.edit("openai:any-size", size=(64, 64))
        assert (await here.pixels(other)).shape == (64, 64, 3)
        (skipped,) = (other.pictures[0].verdict or {})["findings"]
        assert (skipped["code"], skipped["severity"]) == ("composite-skipped", "soft")
        assert "request" in other.pictures[0].asset.made_by


async def test_a_wider_soft_edge_stays_inside(
    tmp_path: Path, root: Path, pool: PixelPool, images: StandIn
) -> None:
    async with room(tmp_path, root, pool, openai_at(images)) as here:
        hard = await here.edit("openai:any-size", composite=CompositeStep(feather_px=0))
        soft = await here.edit("openai:any-size", composite=CompositeStep(feather_px=8))
        sharp, faded = await here.pixels(hard), await here.pixels(soft)
        parents = await parents_of(here.studio, hard.pictures[0].asset.id)
        own = await pixels_of(here.studio, here.project, parents["init"].digest)
        np.testing.assert_array_equal(sharp[MARKS == 255], own[MARKS == 255])
        np.testing.assert_array_equal(faded[OUTSIDE], SCENE_PIXELS[OUTSIDE])
        rim = (slice(19, 20), slice(0, 34))
        away = [np.abs(one[rim].astype(int) - SCENE_PIXELS[rim]).mean() for one in (sharp, faded)]
        assert away[1] < 0.2 * away[0]
