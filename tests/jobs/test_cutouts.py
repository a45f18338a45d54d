"""Providers in the post chain: paid cutouts, falling back, the refine pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from maquette.core.errors import BadParameter, CapabilityMissing, NotConfirmed
from maquette.core.findings import Verdict
from maquette.core.money import parse_usd
from maquette.core.pipeline import BackgroundStep, PostChain, RefineStep
from maquette.core.states import AttemptState, JobState
from maquette.db import assets, runs
from maquette.db.tables import Asset, Step
from maquette.services import replaying, running, spending, starting, stepping
from maquette.services.starting import Spending
from maquette.services.studio import Studio
from maquette.testing.scripted import Act, Books, ScriptedCutter
from tests.conftest import Opener
from tests.jobs.conftest import Begin, Seen, see

CENTS_4 = 40_000_000
YES = Spending(confirmed=True)


def cut(*backends: str, **refine: Any) -> PostChain:
    step = RefineStep.model_validate({"wanted": False, **refine})
    return PostChain(background=BackgroundStep(backends=backends, refine=step))


@pytest.fixture
def other(tmp_path: Path) -> Books:
    return Books(tmp_path / "cutters-books")


@pytest.fixture
def one(scenes: Path) -> Path:
    return scenes / "coast.png"


async def step_of(studio: Studio, seen: Seen, name: str) -> Step:
    async with studio.shop.db.read() as session:
        found = await runs.step(session, seen.jobs[0].id, name)
    assert found is not None and found.result is not None
    return found


async def asset_of(studio: Studio, asset_id: str) -> Asset:
    async with studio.shop.db.read() as session:
        return (await assets.get(session, asset_id))[0]


async def test_a_service_cuts_out_and_its_price_is_the_pictures(
    open_studio: Opener, begin: Begin, books: Books, other: Books, one: Path
) -> None:
    """LAB-9: reserved with the run, settled with the step, and the cutout has its cost."""
    async with open_studio(more=[ScriptedCutter(other, price="0.02")]) as studio:
        seen = await see(studio, await begin(studio, post=cut("cutter"), input=one))
        assert (seen.state, seen.held) == (JobState.SUCCEEDED, 0)
        assert seen.settled == 60_000_000
        result = (await step_of(studio, seen, "post.background")).result or {}
        asset = await asset_of(studio, result["asset"])
    assert (asset.kind, asset.cost_nano) == ("background", 20_000_000)
    assert result["operation"] == "cutter:cutout"
    assert (books.paid_calls, other.paid_calls) == (1, 1)


async def test_a_paid_cutout_needs_confirmation_too(
    open_studio: Opener, begin: Begin, other: Books, one: Path
) -> None:
    """LAB-1: where any step costs money."""
    async with open_studio(more=[ScriptedCutter(other, price="0.02")]) as studio:
        with pytest.raises(NotConfirmed, match=r"\$0\.02"):
            await begin(studio, model="free", post=cut("cutter"), input=one, spending=Spending())
    assert not other.entries()


async def test_the_next_backend_is_tried_and_the_refused_one_costs_nothing(
    open_studio: Opener, begin: Begin, other: Books, one: Path
) -> None:
    """LAB-9."""
    cutter = ScriptedCutter(other, [Act("refuse")])
    async with open_studio(more=[cutter]) as studio:
        seen = await see(studio, await begin(studio, post=cut("cutter", "classical"), input=one))
        result = (await step_of(studio, seen, "post.background")).result or {}
    assert (seen.state, seen.settled, seen.held) == (JobState.SUCCEEDED, CENTS_4, 0)
    assert result["operation"] == "background.classical"
    assert "cutter:cutout: The script says: refused" in result["fallbacks"][0]


async def test_a_lost_answer_is_no_reason_to_pay_another(
    open_studio: Opener, begin: Begin, other: Books, one: Path
) -> None:
    """A person decides first; then the step is done again."""
    cutter = ScriptedCutter(other, [Act("lose")])
    async with open_studio(more=[cutter]) as studio:
        seen = await see(studio, await begin(studio, post=cut("cutter", "classical"), input=one))
        assert seen.state is JobState.OUTCOME_UNKNOWN
        assert seen.held == CENTS_4
        [lost] = [one for one in seen.attempts if one.state == AttemptState.UNKNOWN]
        await spending.decide(studio, lost.id, charged=True, amount=None)
        await running.resume(studio, seen.run, YES)
        seen = await see(studio, seen.run)
    assert (seen.state, seen.held, seen.settled) == (JobState.SUCCEEDED, 0, 3 * CENTS_4)
    assert other.paid_calls == 2


async def test_a_backend_that_is_not_ready_is_left_out_and_named(
    open_studio: Opener, begin: Begin, one: Path
) -> None:
    """LAB-9: never silently."""
    async with open_studio() as studio:
        seen = await see(studio, await begin(studio, post=cut("removebg", "classical"), input=one))
        with pytest.raises(CapabilityMissing, match="REMOVE_BG_API_KEY"):
            await begin(studio, post=cut("removebg"), input=one)
    assert seen.state is JobState.SUCCEEDED


async def test_refining_keeps_the_cutout_in_the_lineage(
    open_studio: Opener, begin: Begin, books: Books, one: Path
) -> None:
    """LAB-9: the run's own model cleans the edges; what it drew and what was kept are assets."""
    async with open_studio() as studio:
        seen = await see(studio, await begin(studio, post=cut("classical", wanted=True), input=one))
        result = (await step_of(studio, seen, "post.refine")).result or {}
        before = (await step_of(studio, seen, "post.background")).result or {}
        final = await asset_of(studio, seen.jobs[0].final_asset_id or "")
        async with studio.shop.db.read() as session:
            parents = {parent.kind for parent, _ in await assets.parents_of(session, final.id)}
    assert (seen.state, seen.held, seen.settled) == (JobState.SUCCEEDED, 0, 2 * CENTS_4)
    assert result["asset"] == final.id != before["asset"]
    assert parents == {"background", "edited"}
    assert books.paid_calls == 2


@pytest.mark.parametrize("required", [True, False])
async def test_a_refine_pass_that_fails(
    open_studio: Opener, begin: Begin, one: Path, *, required: bool
) -> None:
    """LAB-9: the cutout stays as it was, or the scene fails where it is required."""
    post = cut("classical", wanted=True, required=required)
    async with open_studio(Act(), Act("refuse")) as studio:
        seen = await see(studio, await begin(studio, post=post, input=one))
        assert (seen.held, seen.settled) == (0, CENTS_4)
        if required:
            assert seen.state is JobState.FAILED
            return
        result = (await step_of(studio, seen, "post.refine")).result or {}
        final = (await step_of(studio, seen, "final_guard")).result or {}
    assert seen.state is JobState.SUCCEEDED
    assert "refused" in result["skipped"]
    codes = [found.code for found in Verdict.model_validate(final["verdict"]).findings]
    assert "not_refined" in codes


async def test_a_refined_picture_that_is_none_is_paid_and_skipped(
    open_studio: Opener, begin: Begin, one: Path
) -> None:
    async with open_studio(Act(), Act(junk=True)) as studio:
        seen = await see(studio, await begin(studio, post=cut("classical", wanted=True), input=one))
        result = (await step_of(studio, seen, "post.refine")).result or {}
    assert "skipped" in result
    assert (seen.state, seen.held, seen.settled) == (JobState.SUCCEEDED, 0, 2 * CENTS_4)


async def test_refining_is_left_out_where_nobody_confirmed(
    open_studio: Opener, begin: Begin, one: Path
) -> None:
    """LAB-9: on by default only where it may cost something."""
    post = PostChain(background=BackgroundStep(backends=("classical",)))
    async with open_studio() as studio:
        seen = await see(studio, await begin(studio, post=post, input=one))
        assert seen.settled == 2 * CENTS_4
        with pytest.raises(NotConfirmed):
            await begin(studio, post=post, input=one, spending=Spending())


async def test_refining_wants_a_model_that_edits(
    open_studio: Opener, begin: Begin, other: Books, one: Path
) -> None:
    async with open_studio(more=[ScriptedCutter(other)]) as studio:
        for model in ("cutter:cutout", "scripted:none"):
            with pytest.raises(BadParameter, match="no edit model"):
                await begin(studio, post=cut("classical", wanted=True, model=model), input=one)


async def test_a_resume_prices_only_what_is_left(
    open_studio: Opener, begin: Begin, books: Books, other: Books, one: Path
) -> None:
    cutter = ScriptedCutter(other, [Act("refuse")])
    async with open_studio(more=[cutter]) as studio:
        seen = await see(studio, await begin(studio, post=cut("cutter"), input=one))
        assert (seen.state, seen.held, seen.settled) == (JobState.FAILED, 0, CENTS_4)
        await running.resume(studio, seen.run, Spending(max_spend=parse_usd("0.08")))
        seen = await see(studio, seen.run)
    assert (seen.state, seen.held, seen.settled) == (JobState.SUCCEEDED, 0, 2 * CENTS_4)
    assert (books.paid_calls, other.paid_calls) == (1, 1)


async def test_a_replay_pays_for_the_chain_again(
    open_studio: Opener, begin: Begin, other: Books, one: Path
) -> None:
    async with open_studio(more=[ScriptedCutter(other)]) as studio:
        first = await begin(studio, post=cut("cutter", wanted=True), input=one)
        await see(studio, first)
        with pytest.raises(NotConfirmed, match=r"\$0\.12"):
            await replaying.replay(studio, first, Spending())
        seen = await see(studio, await replaying.replay(studio, first, YES))
    assert (seen.state, seen.held, seen.settled) == (JobState.SUCCEEDED, 0, 6 * CENTS_4)


@pytest.mark.parametrize("confirmed", [True, False])
async def test_a_service_cuts_out_single_pictures_too(
    open_studio: Opener, root: Path, scenes: Path, other: Books, *, confirmed: bool
) -> None:
    """LAB-8, LAB-9: `maquette bgremove` is planned, confirmed and logged like a run."""
    order = stepping.PostOrder(
        project="demo",
        root=root,
        input=scenes,
        output="background_removed",
        step=BackgroundStep(backends=("cutter",)),
    )
    allowed = Spending(confirmed=confirmed)
    async with open_studio(more=[ScriptedCutter(other)]) as studio:
        planned = await stepping.plan(studio, order, allowed)
        assert planned.worst_case == parse_usd("0.08")
        if not confirmed:
            with pytest.raises(NotConfirmed):
                await stepping.start(studio, planned, allowed)
            assert not root.exists()
            return
        run_id = await stepping.start(studio, planned, allowed)
        assert run_id is not None
        seen = await see(studio, run_id)
        made = await stepping.made(studio, planned, run_id)
    assert (seen.state, seen.held, seen.settled) == (JobState.SUCCEEDED, 0, 2 * CENTS_4)
    assert [Path(str(one.output)).name for one in made] == ["coast.png", "dunes.png"]
    assert (root / "runs" / f"{run_id}.json").is_file()


async def test_a_cap_holds_for_the_chain(
    open_studio: Opener, begin: Begin, other: Books, one: Path
) -> None:
    """WEB-9: the chain's worst case is held with the job's."""
    async with open_studio(more=[ScriptedCutter(other)]) as studio:
        await see(studio, await begin(studio, model="free", input=one))
        await spending.set_cap(studio, "installation", parse_usd("0.07"))
        with pytest.raises(starting.BudgetExceeded):
            await begin(studio, post=cut("cutter"), input=one)
    assert not other.entries()


@pytest.mark.parametrize("act", [Act(junk=True), Act(opaque=True)])
async def test_a_paid_cutout_that_is_none_is_kept_and_fails(
    open_studio: Opener, root: Path, one: Path, other: Books, act: Act
) -> None:
    """LAB-7: settled, archived, and never shown as a success, the guard's rules on or off."""
    order = stepping.PostOrder(
        project="demo",
        root=root,
        input=one,
        output="background_removed",
        step=BackgroundStep(backends=("cutter",)),
    )
    async with open_studio(more=[ScriptedCutter(other, [act])]) as studio:
        planned = await stepping.plan(studio, order, YES)
        run_id = await stepping.start(studio, planned, YES)
        assert run_id is not None
        seen = await see(studio, run_id)
        [made] = await stepping.made(studio, planned, run_id)
    assert (seen.state, seen.held) == (JobState.FAILED_OUTPUT_GUARD, 0)
    assert seen.settled == CENTS_4
    assert made.output is None
    assert "The cutout" in str(made.error)
    assert len(list((root / "archive" / "bad").iterdir())) == 1
    assert not (root / "background_removed" / "coast.png").exists()


async def test_what_is_done_needs_nothing_when_a_run_is_resumed(
    open_studio: Opener, begin: Begin, other: Books, one: Path
) -> None:
    """A step that is done is neither priced nor asked for again, whoever is ready today."""
    post = cut("cutter", "classical", wanted=True, required=True)
    script = [Act(), Act("refuse")]
    async with open_studio(*script, more=[ScriptedCutter(other, [Act("refuse")])]) as studio:
        seen = await see(studio, await begin(studio, post=post, input=one))
        assert (seen.state, seen.settled) == (JobState.FAILED, CENTS_4)
        await running.resume(studio, seen.run, Spending(max_spend=parse_usd("0.08")))
        seen = await see(studio, seen.run)
    assert (seen.state, seen.held, seen.settled) == (JobState.SUCCEEDED, 0, 2 * CENTS_4)
    assert not other.paid_calls


async def test_another_models_sizes_are_in_the_price(
    open_studio: Opener, begin: Begin, one: Path
) -> None:
    """A generator may clamp the size: the refine pass has to be held for what may come."""
    async with open_studio() as studio:
        post = cut("classical", wanted=True, model="scripted:ticketed")
        seen = await see(studio, await begin(studio, post=post, input=one))
    assert (seen.state, seen.held, seen.settled) == (JobState.SUCCEEDED, 0, 2 * CENTS_4)
