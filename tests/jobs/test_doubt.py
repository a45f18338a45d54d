"""What may have been charged is neither paid again nor forgotten, whatever comes between."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import update

from maquette.core.errors import BudgetExceeded, CapabilityMissing, NotResumable
from maquette.core.money import parse_usd
from maquette.core.states import AttemptState, JobState
from maquette.db.tables import Attempt, Job, Run
from maquette.services import running, spending, starting
from maquette.services.studio import Studio
from maquette.testing.scripted import Act, Books, ScriptedProvider
from tests.conftest import Opener
from tests.jobs.conftest import Begin, Seen, look, see


def scripted(studio: Studio) -> ScriptedProvider:
    return cast("ScriptedProvider", studio.shop.providers["scripted"])


async def resumed(studio: Studio, run: str) -> Seen:
    allowed = starting.Spending(confirmed=True)
    return await see(studio, await running.resume(studio, run, allowed))


async def test_accepted_work_is_asked_for_not_paid_again(
    open_studio: Opener, begin: Begin, books: Books, scenes: Path
) -> None:
    """D2: the connection goes after the ticket; the same run collects the work by it."""
    async with open_studio(Act("detach")) as studio:
        scripted(studio).deaf = 2
        run = await begin(studio, model="ticketed", input=scenes / "coast.png")
        seen = await see(studio, run)
    assert seen.state is JobState.SUCCEEDED
    assert books.paid_calls == 1
    assert (seen.held, seen.settled) == (0, 40_000_000)


async def test_a_ticket_outlives_the_patience(
    open_studio: Opener, begin: Begin, books: Books, scenes: Path
) -> None:
    """D2: the job fails, the money stays counted, and resuming pays nothing."""
    async with open_studio(Act("detach")) as studio:
        scripted(studio).deaf = 99
        run = await begin(studio, model="ticketed", input=scenes / "coast.png")
        seen = await see(studio, run)
        assert [job.error_code for job in seen.jobs] == ["not-collected"]
        assert (seen.held, seen.settled) == (40_000_000, 0)
        scripted(studio).deaf = 0
        again = await resumed(studio, run)
    assert again.state is JobState.SUCCEEDED
    assert books.paid_calls == 1
    assert (again.held, again.settled) == (0, 40_000_000)


async def test_a_key_that_is_gone_refunds_no_accepted_work(
    open_studio: Opener, begin: Begin, books: Books, scenes: Path
) -> None:
    """D2: asking by the ticket fails for a reason of ours; the work is paid all the same."""
    async with open_studio(Act("detach")) as studio:
        scripted(studio).deaf = 99
        scripted(studio).deaf_with = CapabilityMissing("The key is not set.")
        run = await begin(studio, model="ticketed", input=scenes / "coast.png")
        seen = await see(studio, run)
        assert (seen.held, seen.settled) == (40_000_000, 0)
        scripted(studio).deaf = 0
        again = await resumed(studio, run)
    assert again.state is JobState.SUCCEEDED
    assert books.paid_calls == 1


async def test_nothing_is_in_doubt_where_nothing_was_sent(
    open_studio: Opener, begin: Begin, books: Books, scenes: Path
) -> None:
    """A missing key is no lost answer: its money is free again, nobody is asked."""
    async with open_studio(Act("no-key")) as studio:
        seen = await see(studio, await begin(studio, input=scenes / "coast.png"))
        assert [job.error_code for job in seen.jobs] == ["capability-missing"]
        assert not await spending.undecided(studio)
    assert (seen.held, books.paid_calls) == (0, 0)


@pytest.mark.parametrize(
    ("state", "ends"), [("reserved", "cancelled"), ("sent", "outcome_unknown")]
)
async def test_cancelling_an_interrupted_run_leaves_no_money_behind(
    open_studio: Opener, begin: Begin, scenes: Path, state: str, ends: str
) -> None:
    """D2: what a dead process reserved is freed; what it sent is put before a person."""
    async with open_studio() as studio:
        run = await begin(studio, input=scenes / "coast.png")
        await _as_if_killed(studio, run, state)
        await running.cancel(studio, run)
        seen = await see(studio, run)
        undecided = await spending.undecided(studio)
    assert seen.state == ends
    assert seen.held == (0 if state == "reserved" else 40_000_000)
    assert len(undecided) == (0 if state == "reserved" else 1)


async def _as_if_killed(studio: Studio, run: str, state: str) -> None:
    """Write the rows that a kill -9 leaves after an attempt was reserved, or sent."""
    from maquette.db import ledger  # noqa: PLC0415 - only here

    now = datetime.now(UTC)
    async with studio.shop.db.write() as session:
        attempt = Attempt(
            id="left-behind",
            job_id=f"{run}-001",
            call="generate.0",
            number=1,
            state="reserved",
            provider="scripted",
            endpoint="default",
            model="paid",
            paid=True,
            request={},
            reserved_nano=40_000_000,
            settled_nano=0,
            created_at=now,
        )
        await ledger.reserve(session, attempt)
        if state == "sent":
            await ledger.mark_sent(session, attempt.id, paid=True, at=now)
        await session.execute(update(Job).values(state="running"))
        await session.execute(update(Run).values(state="running"))


@pytest.mark.parametrize("pictures", [1, 3])
async def test_other_than_asked_is_stored_as_it_came(
    open_studio: Opener, begin: Begin, scenes: Path, pictures: int
) -> None:
    """A paid answer with fewer or more pictures is never lost, and the winner is the winner."""
    async with open_studio(Act(pictures=pictures, blank=True)) as studio:
        run = await begin(studio, candidates=4, input=scenes / "coast.png")
        seen = await see(studio, run)
    candidates = seen.candidates["coast"]
    assert [one.position for one in candidates] == list(range(pictures + 2))
    assert seen.state is JobState.SUCCEEDED
    assert seen.jobs[0].selected_position == pictures
    assert [one.selected for one in candidates].index(True) == pictures


async def test_an_answer_without_a_picture_is_for_a_person_to_decide(
    open_studio: Opener, begin: Begin, scenes: Path
) -> None:
    async with open_studio(Act(pictures=0)) as studio:
        seen = await see(studio, await begin(studio, input=scenes / "coast.png"))
    assert seen.state is JobState.OUTCOME_UNKNOWN
    assert seen.held == 40_000_000


@pytest.mark.parametrize("cost", ["NaN", "-1", "Infinity"])
async def test_a_cost_that_is_none_counts_as_reserved(
    open_studio: Opener, begin: Begin, scenes: Path, cost: str
) -> None:
    async with open_studio(Act(cost=cost)) as studio:
        seen = await see(studio, await begin(studio, input=scenes / "coast.png"))
    assert seen.state is JobState.SUCCEEDED
    assert (seen.held, seen.settled) == (0, 40_000_000)


async def test_patience_has_a_ceiling(
    open_studio: Opener, begin: Begin, books: Books, scenes: Path
) -> None:
    """A provider that asks to wait for years does not keep the desk."""
    async with open_studio(Act("busy", retry_after_s=1e8)) as studio:
        seen = await see(studio, await begin(studio, input=scenes / "coast.png"))
    assert [job.error_code for job in seen.jobs] == ["provider-rate-limited"]
    assert (seen.held, books.paid_calls) == (0, 0)


async def test_a_raised_max_spend_lets_a_run_go_on(
    open_studio: Opener, begin: Begin, scenes: Path
) -> None:
    """LAB-14: after a charge without a picture the run's own cap would be too small."""
    allowed = starting.Spending(confirmed=True, max_spend=parse_usd("0.05"))
    async with open_studio(Act("lose")) as studio:
        seen = await see(studio, await begin(studio, input=scenes / "coast.png", spending=allowed))
        (lost,) = await spending.undecided(studio)
        await spending.decide(studio, lost.attempt, charged=True, amount=None)
        with pytest.raises(BudgetExceeded):
            await running.resume(studio, seen.run, starting.Spending(confirmed=True))
        more = starting.Spending(confirmed=True, max_spend=parse_usd("0.10"))
        again = await see(studio, await running.resume(studio, seen.run, more))
    assert again.state is JobState.SUCCEEDED


async def test_a_run_whose_rows_cannot_be_read_stops_nobody_else(
    open_studio: Opener, begin: Begin
) -> None:
    """A spec of another version: that run is told of, the next one works."""
    async with open_studio() as studio:
        broken = await begin(studio, model="free")
        async with studio.shop.db.write() as session:
            await session.execute(update(Job).where(Job.run_id == broken).values(spec={"odd": 1}))
        seen = await see(studio, await begin(studio, model="free"))
        left = await look(studio, broken)
    assert seen.state is JobState.SUCCEEDED
    assert not left.state.final


async def test_a_stopping_run_is_not_resumed(open_studio: Opener, begin: Begin) -> None:
    async with open_studio() as studio:
        run = await begin(studio)
        await running.cancel(studio, run)
        with pytest.raises(NotResumable, match="is stopping"):
            await running.resume(studio, run, starting.Spending())


async def test_a_cancelled_attempt_is_freed(open_studio: Opener, begin: Begin) -> None:
    async with open_studio() as studio:
        run = await begin(studio)
        await running.cancel(studio, run)
        seen = await see(studio, run)
    assert seen.state is JobState.CANCELLED
    assert seen.held == 0
    assert not [one for one in seen.attempts if one.state != AttemptState.RELEASED]
