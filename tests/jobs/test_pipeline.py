"""The life of a job on the scripted provider: candidates, guard, post chain, folders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from maquette.core.findings import GuardRules
from maquette.core.operation import Operation
from maquette.core.pipeline import BackgroundStep, ColourStep, PostChain, UpscaleStep
from maquette.core.states import JobState
from maquette.db import runs
from maquette.db.tables import Asset
from maquette.imaging import codec
from maquette.testing.scripted import Act, Books
from tests.conftest import Opener
from tests.jobs.conftest import Begin, see

CHAIN = PostChain(background=BackgroundStep(), upscale=UpscaleStep(scale=2), colour=ColourStep())


async def test_a_run_fills_the_folders(open_studio: Opener, begin: Begin, root: Path) -> None:
    """LAB-4, LAB-6, LAB-8: winner, losers and every post step under their names."""
    async with open_studio() as studio:
        seen = await see(studio, await begin(studio, candidates=2, post=CHAIN))
    assert seen.state is JobState.SUCCEEDED
    for scene in ("coast", "dunes"):
        for name in (
            f"outputs/{scene}.png",
            f"outputs/{scene}.c2.png",
            f"background_removed/{scene}.png",
            f"upscaled/{scene}.png",
            f"color_corrected/{scene}.png",
        ):
            assert (root / name).is_file(), name
    final = codec.decode((root / "color_corrected" / "coast.png").read_bytes())
    assert final.pixels.shape == (48, 64, 4), "LAB-8: cut out, then twice as large, then graded"


async def test_nothing_is_held_when_all_is_done(
    open_studio: Opener, begin: Begin, books: Books
) -> None:
    """LAB-14: what was settled is what the provider charged."""
    async with open_studio() as studio:
        seen = await see(studio, await begin(studio, candidates=3))
    assert books.paid_calls == 4, "two scenes, two calls each: 2 + 1 pictures"
    assert seen.settled == int(books.charged * 10**9) == 6 * 40_000_000
    assert seen.held == 0


async def test_the_winner_has_fewest_failures(
    open_studio: Opener, begin: Begin, root: Path, scenes: Path
) -> None:
    """LAB-6, LAB-7: a blank candidate is archived as bad, the other one wins."""
    async with open_studio(Act(blank=True)) as studio:
        run = await begin(studio, candidates=3, input=scenes / "coast.png")
        seen = await see(studio, run)
    states = [one.state for one in seen.candidates["coast"]]
    assert states == ["failed_output_guard", "failed_output_guard", "passed"]
    assert seen.jobs[0].selected_position == 2
    assert seen.state is JobState.SUCCEEDED
    bad = sorted(path.name for path in (root / "archive" / "bad").iterdir())
    assert bad == [f"coast.{run}.c1.png", f"coast.{run}.c2.png"]
    assert [path.name for path in (root / "outputs").iterdir()] == ["coast.png"]


async def test_ties_keep_the_order(open_studio: Opener, begin: Begin) -> None:
    """LAB-6: candidates alike in everything, the first wins."""
    async with open_studio() as studio:
        seen = await see(studio, await begin(studio, candidates=2))
    assert [job.selected_position for job in seen.jobs] == [0, 0]


async def test_no_candidate_passes(open_studio: Opener, begin: Begin, root: Path) -> None:
    """LAB-7: only then the job has that state; the log is written and nothing is in outputs."""
    rules = GuardRules(enforce_grayscale=True)
    async with open_studio() as studio:
        seen = await see(studio, await begin(studio, guard=rules))
    assert {job.state for job in seen.jobs} == {"failed_output_guard"}
    assert seen.state is JobState.FAILED_OUTPUT_GUARD
    assert (root / "runs" / f"{seen.run}.json").is_file()
    assert not list((root / "outputs").iterdir())
    assert len(list((root / "archive" / "bad").iterdir())) == 2


async def test_the_guard_can_be_turned_off(open_studio: Opener, begin: Begin) -> None:
    """LAB-7."""
    rules = GuardRules(enabled=False, enforce_grayscale=True)
    async with open_studio() as studio:
        seen = await see(studio, await begin(studio, guard=rules))
    assert seen.state is JobState.SUCCEEDED


@pytest.mark.parametrize("archive", [True, False])
async def test_what_had_the_name_is_archived(
    open_studio: Opener,
    begin: Begin,
    root: Path,
    archive: bool,  # noqa: FBT001 - parametrised
) -> None:
    """LAB-5: and not, where that is turned off."""
    (root / "outputs").mkdir(parents=True)
    (root / "outputs" / "coast.png").write_bytes(b"an older picture")
    async with open_studio() as studio:
        await see(studio, await begin(studio, archive_replaced=archive))
    kept = list((root / "archive" / "replaced").iterdir())
    assert [path.read_bytes() for path in kept] == ([b"an older picture"] if archive else [])
    assert (root / "outputs" / "coast.png").read_bytes() != b"an older picture"


async def test_the_next_background_backend_is_tried(
    open_studio: Opener, begin: Begin, scenes: Path
) -> None:
    """LAB-8: a backend that fails is noted, the next one does the step."""
    async with open_studio() as studio:
        broken = _failing(studio.shop.operations["background.classical"])
        studio.shop.operations.add({"background.broken": broken})
        post = PostChain(background=BackgroundStep(backends=("broken", "classical")))
        run = await begin(studio, post=post, input=scenes / "coast.png")
        seen = await see(studio, run)
        async with studio.shop.db.read() as session:
            step = await runs.step(session, seen.jobs[0].id, "post.background")
    assert step is not None
    assert step.result is not None
    assert step.result["operation"] == "background.classical"
    assert "broken" in step.result["fallbacks"][0]


def _failing(operation: Operation[Any]) -> Operation[Any]:
    """An operation that the worker processes do not know: every call of it fails."""
    return replace(operation, id="background.broken")


async def test_a_known_result_is_not_computed_again(
    open_studio: Opener, begin: Begin, scenes: Path
) -> None:
    """Design, life of a job: the second run takes the same post steps from the store."""
    async with open_studio() as studio:
        given: dict[str, Any] = {"post": CHAIN, "input": scenes / "coast.png", "seed": 5}
        await see(studio, await begin(studio, **given))
        seen = await see(studio, await begin(studio, **given))
        async with studio.shop.db.read() as session:
            query = select(func.count(), func.count(func.distinct(Asset.digest))).where(
                Asset.kind == "upscale"
            )
            total, distinct = (await session.execute(query)).one()
    assert seen.state is JobState.SUCCEEDED
    assert (total, distinct) == (2, 1)
