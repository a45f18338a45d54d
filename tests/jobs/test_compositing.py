"""The composite step: its money, its lineage, its log, and a crash in the middle of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maquette.core.errors import AssetNotFound
from maquette.core.findings import GuardRules
from maquette.core.states import JobState
from maquette.db import runs
from maquette.imaging import codec, png
from maquette.jobs.maskwork import CompositeCall, fitted, put_back
from maquette.jobs.workers import PixelPool
from maquette.services import keeping, masks, projects, replaying, runlog, running, starting
from maquette.testing.scripted import Act, Books
from tests.conftest import Opener
from tests.services.masking import (
    OUTSIDE,
    SCENE,
    SCENE_PIXELS,
    codes,
    ignored,
    made,
    parents_of,
    pixels_of,
    pool,
    project_at,
    sent_as,
    uploaded,
    with_pool,
)

__all__ = ["pool"]

SCRIPT = "tests.jobs.killing_composite"
MARKS = np.where(OUTSIDE, 0, 255).astype(np.uint8)


@pytest.mark.timeout(300)
def test_a_crash_inside_the_step_neither_pays_nor_composites_twice(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", SCRIPT, str(tmp_path / "k")],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr[-3000:]
    whole, *crashes = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(crashes) == whole["boundaries"] >= 6
    as_it_should_be = {
        "state": "succeeded", "paid_calls": 1, "held": 0, "inpainted": 4, "shown": 2, "flaws": 0,
        "charged": whole["charged"], "settled": whole["charged"],
    }  # fmt: skip
    for crash in crashes:
        assert crash["killed"], crash
        found: dict[str, Any] = crash["second"]
        assert {name: found[name] for name in as_it_should_be} == as_it_should_be, crash


async def test_money_lineage_log_and_replay(
    open_studio: Opener, pool: PixelPool, root: Path, books: Books, tmp_path: Path
) -> None:
    """STU-5, LAB-12: what was paid stays with the provider's own bytes, which stay as they came."""
    async with open_studio(price="0.05") as opened:
        studio = with_pool(opened, pool)
        project = await project_at(studio, root)
        scene = await uploaded(studio, project)
        mask = await masks.keep(studio, project, None, sent_as("white"), scene, polarity="white")
        result = await made(studio, project, scene, mask, model="scripted:paid", count=3, seed=5)
        assert result.job.state == JobState.SUCCEEDED
        for one in result.pictures:
            shown = await pixels_of(studio, project, one.asset.digest)
            np.testing.assert_array_equal(shown[OUTSIDE], SCENE_PIXELS[OUTSIDE])
            parents = await parents_of(studio, one.asset.id)
            assert {role: asset.id for role, asset in parents.items() if role != "init"} == {
                "original": scene.asset,
                "mask": mask.asset,
            }
            own = parents["init"]
            assert (own.cost_nano, one.asset.cost_nano) == (50_000_000, 0)
            assert "request" in own.made_by
            assert (await parents_of(studio, own.id))["init"].id == scene.asset
        assert result.cost == books.charged
        assert result.job.final_asset_id == next(
            one.asset.id for one in result.pictures if one.selected
        )
        path = root / runlog.log_path(result.run.id)
        assert (await keeping.verify(studio, "demo", root))[1] == []
        again = await replaying.replay(studio, result.run.id, starting.Spending(confirmed=True))
        await running.see_through(studio, again, ignored)
        assert await replaying.differences(studio, again) == []
    async with open_studio(url=f"sqlite:///{tmp_path / 'elsewhere.db'}") as other:
        await runlog.ingest_file(other, await projects.find_or_make(other, "demo"), path)
        async with other.shop.db.read() as session:
            there = await runlog.build(session, await runs.by_id(session, result.run.id))
    assert there == runlog.read(path)


async def test_a_log_of_a_run_without_pictures_names_what_was_given(
    open_studio: Opener, pool: PixelPool, root: Path
) -> None:
    async with open_studio(Act("refuse")) as opened:
        studio = with_pool(opened, pool)
        project = await project_at(studio, root)
        scene = await uploaded(studio, project)
        mask = await masks.keep(studio, project, None, sent_as("white"), scene, polarity="white")
        result = await made(studio, project, scene, mask, model="scripted:paid")
        log = runlog.read(root / runlog.log_path(result.run.id))
    assert result.job.state == JobState.FAILED
    assert {one.asset for one in log.pictures} == {scene.asset, mask.asset}


async def test_what_is_no_picture_is_the_guards_to_refuse(
    open_studio: Opener, pool: PixelPool, root: Path
) -> None:
    async with open_studio(Act(junk=True), Act()) as opened:
        studio = with_pool(opened, pool)
        project = await project_at(studio, root)
        scene = await uploaded(studio, project)
        mask = await masks.keep(studio, project, None, sent_as("white"), scene, polarity="white")
        broken = await made(studio, project, scene, mask, model="scripted:paid")
        assert (broken.job.state, codes(broken)) == (
            JobState.FAILED_OUTPUT_GUARD,
            [{"undecodable"}],
        )
        unjudged = await made(
            studio, project, scene, mask, model="scripted:paid", guard=GuardRules(enabled=False)
        )
        assert codes(unjudged) == [{"composite-drift"}]


async def test_a_mask_that_is_not_to_be_kept_is_forgotten_with_its_job(
    open_studio: Opener, pool: PixelPool, root: Path
) -> None:
    async with open_studio() as opened:
        studio = with_pool(opened, pool)
        project = await project_at(studio, root)
        scene = await uploaded(studio, project)
        mask = await masks.keep(
            studio, project, None, sent_as("white"), scene, polarity="white", forget=True
        )
        result = await made(studio, project, scene, mask, model="scripted:free")
        with pytest.raises(AssetNotFound):
            await masks.named(studio, project, mask.asset)
        shown = await pixels_of(studio, project, result.pictures[0].asset.digest)
        np.testing.assert_array_equal(shown[OUTSIDE], SCENE_PIXELS[OUTSIDE])
        assert set(await parents_of(studio, result.pictures[0].asset.id)) == {"init", "original"}
        assert (await keeping.verify(studio, "demo", root))[1] == []


@pytest.mark.parametrize(
    ("asked", "model_px", "fit"),
    [
        ("source", (96, 64), "source"),
        ("source", (120, 80), "source"),
        ("auto", (1024, 1024), "source"),
        ((96, 64), (48, 48), "source"),
        ((192, 128), (192, 128), "model"),
        ((193, 128), (193, 128), "model"),
        ((192, 132), (192, 132), None),
        ((64, 96), (64, 96), None),
        ((64, 64), (96, 64), "source"),
    ],
)
def test_whose_size_a_composite_has(asked: Any, model_px: tuple[int, int], fit: str | None) -> None:
    assert fitted(asked, (96, 64), model_px) == fit


def test_transparency_of_source_and_model_is_kept_sane() -> None:
    clear = np.dstack([SCENE_PIXELS, np.full((64, 96), 0, np.uint8)])
    white = png.write(np.full((64, 96, 3), 255, np.uint8))
    cutout = put_back(CompositeCall(png.write(clear), white, png.write(MARKS), "source", 0))
    assert cutout.data is not None and cutout.facts is not None and cutout.facts.has_alpha
    shown = codec.decode(cutout.data).pixels
    np.testing.assert_array_equal(shown[OUTSIDE], clear[OUTSIDE])
    np.testing.assert_array_equal(shown[~OUTSIDE], 255)
    opaque = np.full((64, 96, 4), 255, np.uint8)
    plain = put_back(CompositeCall(SCENE, png.write(opaque), png.write(MARKS), "source", 0))
    assert plain.facts is not None and not plain.facts.has_alpha


def test_outside_is_the_decoded_source_whatever_its_file() -> None:
    """A JPEG would lose it again, so the composite is PNG; a turned photograph stays upright."""
    photograph = codec.encode(SCENE_PIXELS, format="jpeg", quality=60)
    upright = codec.decode(photograph).pixels
    black = png.write(np.zeros((64, 96, 3), np.uint8))
    done = put_back(CompositeCall(photograph, black, png.write(MARKS), "source", 4))
    assert done.data is not None and done.facts is not None
    assert done.facts.media_type == "image/png"
    np.testing.assert_array_equal(codec.decode(done.data).pixels[OUTSIDE], upright[OUTSIDE])
    assert done.drift == pytest.approx(upright[OUTSIDE].mean())
