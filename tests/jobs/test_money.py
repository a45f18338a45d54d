"""The money path: confirmation, caps, retries, refusals, lost answers, decisions."""

from __future__ import annotations

import pytest

from maquette.core.errors import (
    BudgetExceeded,
    NotConfirmed,
    OutcomeUnknown,
    PriceUnknown,
    SpendStopped,
)
from maquette.core.money import parse_usd
from maquette.core.states import AttemptState, JobState
from maquette.services import running, spending, starting
from maquette.testing.scripted import Act, Books
from tests.conftest import Opener
from tests.jobs.conftest import Begin, see


async def test_money_needs_confirmation(open_studio: Opener, begin: Begin, books: Books) -> None:
    """LAB-1: refused, and nothing is written or sent."""
    async with open_studio() as studio:
        with pytest.raises(NotConfirmed, match=r"\$0\.08.*Confirm"):
            await begin(studio, spending=starting.Spending())
    assert not books.entries()


async def test_free_work_needs_none(open_studio: Opener, begin: Begin) -> None:
    """LAB-1: an embedded, free provider holds nothing and asks nothing."""
    async with open_studio() as studio:
        seen = await see(studio, await begin(studio, model="free", spending=starting.Spending()))
    assert seen.state is JobState.SUCCEEDED
    assert (seen.held, seen.settled) == (0, 0)


async def test_max_spend_is_checked_before(open_studio: Opener, begin: Begin, books: Books) -> None:
    """LAB-14."""
    allowed = starting.Spending(confirmed=True, max_spend=parse_usd("0.07"))
    async with open_studio() as studio:
        with pytest.raises(BudgetExceeded, match=r"its limit of \$0\.07"):
            await begin(studio, spending=allowed)
    assert not books.entries()


@pytest.mark.parametrize("scope", ["installation", "day", "project:demo"])
async def test_a_cap_refuses_the_whole_run(
    open_studio: Opener, begin: Begin, books: Books, scope: str
) -> None:
    """LAB-14, WEB-9: no half-started run, no hold left behind."""
    async with open_studio() as studio:
        await see(studio, await begin(studio, model="free"))
        await spending.set_cap(studio, scope, parse_usd("0.07"))
        with pytest.raises(BudgetExceeded, match="cap"):
            await begin(studio)
        assert all(meter.held == 0 for meter in await spending.meters(studio))
        await spending.set_cap(studio, scope, parse_usd("0.08"))
        seen = await see(studio, await begin(studio))
    assert seen.state is JobState.SUCCEEDED
    assert books.paid_calls == 2


async def test_a_model_without_a_price_is_refused(
    open_studio: Opener, begin: Begin, books: Books
) -> None:
    """D5: never taken as free."""
    async with open_studio() as studio:
        with pytest.raises(PriceUnknown, match="no price"):
            await begin(studio, model="unpriced")
    assert not books.entries()


async def test_the_kill_switch_stops_what_is_queued(
    open_studio: Opener, begin: Begin, books: Books
) -> None:
    """LAB-14: a run that was accepted before sends nothing after; resuming pays once."""
    async with open_studio() as studio:
        run = await begin(studio)
        await spending.stop(studio, "holiday")
        seen = await see(studio, run)
        assert {job.error_code for job in seen.jobs} == {"spend-stopped"}
        assert not books.entries()
        assert seen.held == 0
        with pytest.raises(SpendStopped):
            await begin(studio)
        await spending.allow(studio)
        again = await see(studio, await running.resume(studio, run, starting.Spending()))
    assert again.state is JobState.SUCCEEDED
    assert books.paid_calls == 2


async def test_calls_that_were_not_charged_are_made_again(
    open_studio: Opener, begin: Begin, books: Books
) -> None:
    """busy and down are free of charge: tried again with patience."""
    script = [Act("busy", retry_after_s=0.02), Act("down"), Act("busy")]
    async with open_studio(*script) as studio:
        seen = await see(studio, await begin(studio))
    assert seen.state is JobState.SUCCEEDED
    assert books.paid_calls == 2
    assert sum(event.kind == "waiting" for event in seen.events) == 3


async def test_patience_ends(open_studio: Opener, begin: Begin, books: Books) -> None:
    async with open_studio(*[Act("down")] * 10) as studio:
        seen = await see(studio, await begin(studio))
    assert {job.error_code for job in seen.jobs} == {"provider-unavailable"}
    assert seen.held == 0
    assert books.paid_calls == 0


async def test_a_refusal_is_never_tried_again(
    open_studio: Opener, begin: Begin, books: Books
) -> None:
    """Moderation says no once; the other scene goes on."""
    async with open_studio(Act("refuse")) as studio:
        seen = await see(studio, await begin(studio))
    assert sorted(job.state for job in seen.jobs) == ["failed", "succeeded"]
    assert books.paid_calls == 1
    assert seen.settled == 40_000_000


@pytest.mark.parametrize("does", ["lose", "garbage", "crash"])
async def test_a_lost_answer_is_never_sent_again_unasked(
    open_studio: Opener, begin: Begin, books: Books, does: str
) -> None:
    """D2: the money stays counted until a person decides."""
    async with open_studio(Act(does), Act(does)) as studio:  # pyright: ignore[reportArgumentType] - the words of Does
        seen = await see(studio, await begin(studio))
        assert seen.state is JobState.OUTCOME_UNKNOWN
        assert (books.paid_calls, seen.held) == (2, 80_000_000)
        with pytest.raises(OutcomeUnknown, match="spend decide"):
            await running.resume(studio, seen.run, starting.Spending())
        assert books.paid_calls == 2
        first, second = await spending.undecided(studio)
        await spending.decide(studio, first.attempt, charged=True, amount=None)
        await spending.decide(studio, second.attempt, charged=False, amount=None)
        with pytest.raises(NotConfirmed):  # more than was confirmed: three calls for two scenes
            await running.resume(studio, seen.run, starting.Spending())
        allowed = starting.Spending(confirmed=True)
        again = await see(studio, await running.resume(studio, seen.run, allowed))
    assert again.state is JobState.SUCCEEDED
    assert (again.held, again.settled) == (0, 3 * 40_000_000)
    states = sorted(one.state for one in again.attempts)
    assert states == [
        AttemptState.RELEASED,
        AttemptState.SETTLED,
        AttemptState.SETTLED,
        AttemptState.WRITTEN_OFF,
    ]


async def test_the_report_compares_estimate_and_actual(open_studio: Opener, begin: Begin) -> None:
    """LAB-14."""
    async with open_studio() as studio:
        await see(studio, await begin(studio, candidates=2))
        lines = await spending.report(studio)
    assert [(one.calls, one.actual, one.estimated) for one in lines] == [
        (2, parse_usd("0.16"), parse_usd("0.16"))
    ]


async def test_partial_pictures_are_told(open_studio: Opener, begin: Begin) -> None:
    async with open_studio(Act(partials=2)) as studio:
        seen = await see(studio, await begin(studio))
    assert sum(event.kind == "partial" for event in seen.events) == 2
