"""The post steps by themselves, the audit, and rejecting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import pytest

from maquette.core.errors import (
    BadParameter,
    Conflict,
    FileMissing,
    NothingToDo,
    OperationCrashed,
    UnknownPlugin,
    UnsafePath,
)
from maquette.core.findings import GuardRules
from maquette.core.pipeline import BackgroundStep, ColourStep, UpscaleStep
from maquette.imaging import codec
from maquette.jobs.pixelwork import OperationCall
from maquette.jobs.workers import PixelPool
from maquette.services import keeping, pictures, stepping
from maquette.services.pictures import Made
from maquette.services.starting import Spending
from maquette.services.stepping import PostOrder
from maquette.services.studio import Studio
from tests.conftest import Opener
from tests.services.conftest import Begin, made_in, noise, see

P = ParamSpec("P")
R = TypeVar("R")

STEPS: dict[str, tuple[str, BackgroundStep | UpscaleStep | ColourStep]] = {
    "upscale": ("upscaled", UpscaleStep(scale=2.0)),
    "background": ("background_removed", BackgroundStep()),
    "colour": ("color_corrected", ColourStep(profile="cinematic_warm")),
}


def order(root: Path, given: Path, name: str = "upscale", **more: Any) -> PostOrder:
    folder, step = STEPS[name]
    values: dict[str, Any] = {
        "project": "demo",
        "root": root,
        "input": given,
        "output": folder,
        "step": step,
    }
    return PostOrder(**{**values, **more})


async def post(studio: Studio, order: PostOrder) -> list[Made]:
    """Do a free step from plan to end."""
    planned = await stepping.plan(studio, order, Spending())
    run_id = await stepping.start(studio, planned, Spending())
    if run_id is not None:
        await see(studio, run_id)
    return await stepping.made(studio, planned, run_id)


@pytest.mark.parametrize("name", STEPS)
async def test_each_step_stands_alone(
    open_studio: Opener, root: Path, scenes: Path, name: str
) -> None:
    """LAB-8: over a folder, into the step's own folder, with lineage."""
    async with open_studio() as studio:
        made = await post(studio, order(root, scenes, name))
        shown = dict(await made_in(studio))
        family = await keeping.lineage(studio, shown[f"{STEPS[name][0]}/coast.png"].id)
    assert [one.output for one in made] == [f"{STEPS[name][0]}/{s}.png" for s in ("coast", "dunes")]
    assert all((root / str(one.output)).is_file() and one.error is None for one in made)
    assert str(family.asset.made_by["operation"]).startswith(name)
    assert [one.asset.kind for one in family.parents] == ["source"]


async def test_upscaling_makes_it_larger(open_studio: Opener, root: Path, picture: Path) -> None:
    """LAB-8, LAB-10."""
    async with open_studio() as studio:
        await post(studio, order(root, picture))
    assert codec.decode((root / "upscaled" / "given.png").read_bytes()).pixels.shape == (48, 64, 3)


async def test_background_removal_leaves_alpha(
    open_studio: Opener, root: Path, picture: Path
) -> None:
    """LAB-8, LAB-9."""
    async with open_studio() as studio:
        made = await post(studio, order(root, picture, "background"))
    pixels = codec.decode((root / "background_removed" / "given.png").read_bytes()).pixels
    assert pixels.shape == (24, 32, 4)
    assert made[0].report is not None and "confidence" in made[0].report


async def test_the_input_stays_as_it_was(open_studio: Opener, root: Path, picture: Path) -> None:
    before = picture.read_bytes()
    async with open_studio() as studio:
        await post(studio, order(root, picture, "colour"))
    assert picture.read_bytes() == before


async def test_another_root_of_the_project_has_a_store_of_its_own(
    open_studio: Opener, root: Path, picture: Path
) -> None:
    """What one root has made already is made again in the other."""
    other = root.with_name("other-root")
    async with open_studio() as studio:
        await post(studio, order(root, picture))
        made = await post(studio, order(other, picture))
    assert made[0].error is None
    assert (other / "upscaled" / "given.png").is_file()


async def test_a_step_on_an_output_is_made_from_that_asset(
    open_studio: Opener, begin: Begin, root: Path
) -> None:
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        source = dict(await made_in(studio))["outputs/coast.png"]
        await post(studio, order(root, root / "outputs" / "coast.png"))
        made = dict(await made_in(studio))["upscaled/coast.png"]
        family = await keeping.lineage(studio, made.id)
    assert [one.asset.id for one in family.parents] == [source.id]


async def test_what_it_replaces_is_archived(open_studio: Opener, root: Path, picture: Path) -> None:
    """LAB-5."""
    async with open_studio() as studio:
        await post(studio, order(root, picture))
        first = (root / "upscaled" / "given.png").read_bytes()
        picture.write_bytes(noise(1))
        made = await post(studio, order(root, picture))
    assert made[0].replaced is not None
    assert (root / made[0].replaced).read_bytes() == first


async def test_an_archived_file_still_shows_its_asset(
    open_studio: Opener, root: Path, picture: Path
) -> None:
    """LAB-5: as a run does, a step that replaces a file keeps track of the old one."""
    async with open_studio() as studio:
        await post(studio, order(root, picture))
        before = dict(await made_in(studio))["upscaled/given.png"]
        picture.write_bytes(noise(1))
        made = await post(studio, order(root, picture))
        shown = dict(await made_in(studio))
    assert shown[str(made[0].replaced)].id == before.id


async def test_archiving_can_be_turned_off(open_studio: Opener, root: Path, picture: Path) -> None:
    """LAB-5: --no-archive-replaced."""
    async with open_studio() as studio:
        await post(studio, order(root, picture))
        picture.write_bytes(noise(1))
        made = await post(studio, order(root, picture, archive_replaced=False))
    assert made[0].replaced is None
    assert list((root / "archive" / "replaced").iterdir()) == []


async def test_one_bad_picture_does_not_stop_the_others(
    open_studio: Opener, root: Path, scenes: Path
) -> None:
    (scenes / "broken.png").write_bytes(b"no picture")
    async with open_studio() as studio:
        made = await post(studio, order(root, scenes))
    assert [(Path(one.source).name, one.error is None) for one in made] == [
        ("broken.png", False),
        ("coast.png", True),
        ("dunes.png", True),
    ]


class FlakyPool(PixelPool):
    """A pool whose workers die of some operations."""

    def __init__(self, pool: PixelPool, *deadly: str) -> None:
        self._sound = pool
        self._deadly = deadly

    async def run_patiently(
        self, patience: float, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        if any(isinstance(one, OperationCall) and one.operation in self._deadly for one in args):
            raise OperationCrashed("The worker process died.")
        return await self._sound.run_patiently(patience, work, *args, **kwargs)


def flaky(studio: Studio, *deadly: str) -> Studio:
    pool = FlakyPool(studio.shop.pool, *deadly)
    return replace(studio, shop=replace(studio.shop, pool=pool))


def with_second(studio: Studio) -> Studio:
    """Offer another background backend, one that the worker processes do not know."""
    known = studio.shop.operations["background.classical"]
    studio.shop.operations.add({"background.second": replace(known, id="background.second")})
    return studio


async def test_the_next_backend_is_tried_when_one_fails(
    open_studio: Opener, root: Path, picture: Path
) -> None:
    """LAB-9: in order of preference, and the one that worked is named."""
    async with open_studio() as studio:
        step = BackgroundStep(backends=("second", "classical"))
        made = await post(with_second(studio), order(root, picture, step=step))
    assert [(one.operation, one.error) for one in made] == [("background.classical", None)]


async def test_the_first_backend_that_works_is_enough(
    open_studio: Opener, root: Path, picture: Path
) -> None:
    """LAB-9."""
    async with open_studio() as studio:
        step = BackgroundStep(backends=("classical", "second"))
        made = await post(with_second(studio), order(root, picture, step=step))
    assert [one.operation for one in made] == ["background.classical"]


async def test_when_every_backend_fails_each_is_named(
    open_studio: Opener, root: Path, picture: Path
) -> None:
    async with open_studio() as studio:
        broken = flaky(with_second(studio), "background.classical", "background.second")
        step = BackgroundStep(backends=("classical", "second"))
        made = await post(broken, order(root, picture, step=step))
    assert made[0].output is None
    assert "background.classical: The worker" in str(made[0].error)
    assert "background.second: The worker" in str(made[0].error)


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (UpscaleStep(backend="magic"), UnknownPlugin),
        (ColourStep(profile="no_such_look"), BadParameter),
        (ColourStep(cube="LUT_3D_SIZE x"), BadParameter),
    ],
)
async def test_a_wrong_step_is_refused_before_any_work(
    open_studio: Opener, root: Path, picture: Path, step: Any, error: type[Exception]
) -> None:
    async with open_studio() as studio:
        with pytest.raises(error):
            await post(studio, order(root, picture, step=step))
    assert not root.exists()


@pytest.mark.parametrize("output", ["../outside", "/outside", "up/../../outside"])
async def test_nothing_is_written_outside_the_root(
    open_studio: Opener, root: Path, picture: Path, output: str
) -> None:
    """LAB-4."""
    async with open_studio() as studio:
        with pytest.raises(UnsafePath):
            await post(studio, order(root, picture, output=output))


async def test_a_missing_input_is_named(open_studio: Opener, root: Path, tmp_path: Path) -> None:
    async with open_studio() as studio:
        with pytest.raises(FileMissing, match=r"gone\.png"):
            await post(studio, order(root, tmp_path / "gone.png"))


async def test_a_folder_without_pictures_is_said_to_be_one(
    open_studio: Opener, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    async with open_studio() as studio:
        with pytest.raises(NothingToDo, match="no pictures"):
            await post(studio, order(root, tmp_path / "empty"))


async def test_two_inputs_of_one_name_do_not_hide_each_other(
    open_studio: Opener, root: Path, scenes: Path
) -> None:
    """LAB-5: `coast.png` and `coast.bmp` both come out, or the older one is archived."""
    (scenes / "coast.webp").write_bytes(codec.encode(codec.decode(noise(7)).pixels, format="webp"))
    async with open_studio() as studio:
        made = await post(studio, order(root, scenes))
    kept = [root / name for one in made for name in (one.output, one.replaced) if name is not None]
    assert len(set(kept)) == 3 and all(path.is_file() for path in kept)


async def test_the_audit_judges_and_moves_nothing(
    open_studio: Opener, scenes: Path, root: Path
) -> None:
    """LAB-8: `maquette qa`, LAB-7's findings on files."""
    (scenes / "broken.png").write_bytes(b"no picture")
    before = {path.name: path.read_bytes() for path in scenes.iterdir()}
    async with open_studio() as studio:
        audits = await pictures.qa(studio, scenes, GuardRules(enforce_grayscale=True))
    told = {Path(one.path).name: one.verdict.summary() for one in audits}
    assert told == {
        "broken.png": "undecodable",
        "coast.png": "not_grayscale",
        "dunes.png": "not_grayscale",
    }
    assert {path.name: path.read_bytes() for path in scenes.iterdir()} == before
    assert not root.exists()


async def test_a_rejected_picture_moves_and_keeps_its_history(
    open_studio: Opener, begin: Begin, root: Path
) -> None:
    """LAB-8: `maquette archivebad`."""
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        before = dict(await made_in(studio))["outputs/coast.png"]
        moved = await pictures.archive_bad(studio, "demo", root, root / "outputs" / "coast.png")
        shown = dict(await made_in(studio))
        _, flaws = await keeping.verify(studio, "demo", root)
    goal = str(moved[0].output)
    assert goal.startswith("archive/bad/coast.")
    assert not (root / "outputs" / "coast.png").exists() and (root / goal).is_file()
    assert shown[goal].id == before.id
    assert flaws == []


async def test_only_the_projects_own_pictures_are_rejected(
    open_studio: Opener, root: Path, picture: Path
) -> None:
    """LAB-4."""
    async with open_studio() as studio:
        with pytest.raises(BadParameter, match="not inside the project's root"):
            await pictures.archive_bad(studio, "demo", root, picture)
    assert picture.is_file()


async def test_nothing_is_made_or_moved_in_anothers_root(
    open_studio: Opener, root: Path, picture: Path
) -> None:
    async with open_studio() as studio:
        await post(studio, order(root, picture))
        before = sorted(path for path in root.rglob("*") if path.is_file())
        with pytest.raises(Conflict, match="belongs to the project 'demo'"):
            await post(studio, order(root, picture, project="other"))
        with pytest.raises(Conflict, match="belongs to the project 'demo'"):
            await pictures.archive_bad(studio, "other", root, root / "upscaled" / "given.png")
    assert sorted(path for path in root.rglob("*") if path.is_file()) == before
