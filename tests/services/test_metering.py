"""Calls of language and speech models go through the same ledger as pictures."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
from sqlalchemy import func, select

from maquette.core.errors import (
    BadParameter,
    BadProviderReply,
    BudgetExceeded,
    NotConfirmed,
    OutcomeUnknown,
    ProviderRefused,
    RunNotFound,
    SpendStopped,
    StorageFull,
)
from maquette.core.money import FREE, Nano, Usd, parse_usd
from maquette.core.people import Role
from maquette.core.states import JobState
from maquette.db import ledger, people, runs
from maquette.db.tables import Attempt, Budget, Hold, Job, Project, Run
from maquette.services import housekeeping, metering, projects, spending, status, viewing
from maquette.services.metering import Bill, Commit, Priced
from maquette.services.starting import Spending
from maquette.services.studio import Studio
from tests.conftest import Opener
from tests.db.conftest import postgres_template, sqlite_template, url

__all__ = ["postgres_template", "sqlite_template", "url"]

CALL = Priced("chat", "language", "stand-in-7b", parse_usd("0.50"))
YES = Spending(confirmed=True)


async def answered() -> tuple[str, Bill]:
    return "an answer", Bill(parse_usd("0.20"), {"input_tokens": 12})


def failing(error: Exception) -> Callable[[], Awaitable[tuple[str, Bill]]]:
    async def send() -> tuple[str, Bill]:
        raise error

    return send


async def never() -> tuple[str, Bill]:
    raise AssertionError("this call must not be made")


@asynccontextmanager
async def demo(open_studio: Opener, url: str | None = None):
    async with open_studio(url=url) as studio:
        await projects.create(studio, "demo", name=None, root=None, default_root=True)
        yield studio, await projects.find(studio, "demo")


async def counted(studio: Studio, project: Project) -> set[tuple[Usd, Usd]]:
    """Return what is held and spent on every counter of the project's money."""
    async with studio.shop.db.read() as session:
        day = studio.shop.clock.today()
        keys = (("installation", ""), ("day", day), (f"project:{project.id}", ""))
        found = {await ledger.budget(session, *key) for key in keys}
    return {(Usd(Decimal(one) / 10**9), Usd(Decimal(two) / 10**9)) for one, two in found}


async def rows(studio: Studio) -> tuple[int, ...]:
    async with studio.shop.db.read() as session:
        return tuple(
            [
                (await session.execute(select(func.count()).select_from(table))).scalar_one()
                for table in (Run, Job, Attempt, Hold, Budget)
            ]
        )


async def ends(studio: Studio) -> list[str]:
    """Return how the calls' runs and jobs ended."""
    async with studio.shop.db.read() as session:
        states = [*(await session.execute(select(Run.state))).scalars()]
        assert states == [*(await session.execute(select(Job.state))).scalars()]
        return states


async def test_a_free_call_writes_no_row(open_studio: Opener) -> None:
    free = Priced("chat", "language", "local", FREE)
    async with demo(open_studio) as (studio, project):
        assert await metering.metered(studio, project, free, Spending(), answered) == "an answer"
        assert await rows(studio) == (0, 0, 0, 0, 0)


async def test_a_paid_call_is_held_sent_and_settled(open_studio: Opener, url: str) -> None:
    """LAB-14, WEB-8: on every counter, and the rest of the worst case is free again."""
    seen: list[set[tuple[Usd, Usd]]] = []
    async with demo(open_studio, url) as (studio, project):

        async def send() -> tuple[str, Bill]:
            seen.append(await counted(studio, project))
            return await answered()

        assert await metering.metered(studio, project, CALL, YES, send) == "an answer"
        assert seen == [{(parse_usd("0.50"), FREE)}]
        assert await counted(studio, project) == {(FREE, parse_usd("0.20"))}
        assert await ends(studio) == ["succeeded"]
        line = (await spending.report(studio, "demo"))[0]
    assert (line.provider, line.model, line.calls) == ("language", "stand-in-7b", 1)
    assert (line.estimated, line.actual) == (parse_usd("0.50"), parse_usd("0.20"))


async def test_where_the_cost_is_not_told_the_estimate_stands(open_studio: Opener) -> None:
    async def send() -> tuple[str, Bill]:
        return "an answer", Bill(None)

    async with demo(open_studio) as (studio, project):
        await metering.metered(studio, project, CALL, YES, send)
        assert await counted(studio, project) == {(FREE, parse_usd("0.50"))}


async def test_a_call_is_no_run_of_pictures(open_studio: Opener) -> None:
    """No list shows it, nothing resumes it, and no desk works it."""
    async with demo(open_studio) as (studio, project):

        async def send() -> tuple[str, Bill]:
            async with studio.shop.db.read() as session:
                assert not await runs.open_jobs(session, 10)
                assert not await runs.open_runs_done(session)
                assert await runs.open_in_project(session, project.id) is None
            assert (await status.status(studio)).queue.running == 0
            return await answered()

        await metering.metered(studio, project, CALL, YES, send)
        assert await viewing.listing(studio, "demo", 10, None) == []
        assert (await projects.show(studio, "demo")).runs == 0
        async with studio.shop.db.read() as session:
            with pytest.raises(RunNotFound):
                await runs.by_id(session, "latest")


async def test_nothing_is_sent_unconfirmed_or_without_a_project(open_studio: Opener) -> None:
    async with demo(open_studio) as (studio, project):
        with pytest.raises(NotConfirmed, match=r"\$0\.50.*--confirm-spend"):
            await metering.metered(studio, project, CALL, Spending(), never)
        with pytest.raises(BadParameter, match="--project"):
            await metering.metered(studio, None, CALL, YES, never)
        little = Spending(confirmed=True, max_spend=parse_usd("0.49"))
        with pytest.raises(BudgetExceeded, match="max-spend"):
            await metering.metered(studio, project, CALL, little, never)
        assert await rows(studio) == (0, 0, 0, 0, 0)


@pytest.mark.parametrize("scope", ["installation", "day", "project:demo", "user"])
async def test_every_cap_holds(open_studio: Opener, url: str, scope: str) -> None:
    """WEB-9."""
    async with demo(open_studio, url) as (studio, project):
        async with studio.shop.db.write() as session:
            at = studio.shop.clock.now()
            person = await people.make_missing(session, "eve", Role.CREATOR, at)
            if scope == "user":
                await ledger.set_cap(session, f"user:{person.id}", 499_999_999)
        if scope != "user":
            await spending.set_cap(studio, scope, parse_usd("0.499999999"))
        with pytest.raises(BudgetExceeded):
            await metering.metered(
                studio, project, CALL, Spending(confirmed=True, by=person.id), never
            )
        assert await rows(studio) == (0, 0, 0, 0, 0)


async def test_a_crowd_never_gets_over_a_cap(open_studio: Opener, url: str) -> None:
    async with demo(open_studio, url) as (studio, project):
        await spending.set_cap(studio, "day", parse_usd("2.00"))
        gate = asyncio.Event()
        inside: list[int] = []

        async def send() -> tuple[str, Bill]:
            inside.append(1)
            await gate.wait()
            return "an answer", Bill(None)

        async def one() -> str:
            try:
                return await metering.metered(studio, project, CALL, YES, send)
            except BudgetExceeded:
                gate.set()  # the others have all been let in or refused by their own commit
                return "refused"

        said = await asyncio.gather(*(one() for _ in range(12)))
        assert said.count("an answer") == 4 == len(inside)
        assert await counted(studio, project) == {(FREE, parse_usd("2.00"))}


async def test_the_kill_switch_stops_words_too(open_studio: Opener) -> None:
    async with demo(open_studio) as (studio, project):
        await spending.stop(studio, "enough")
        with pytest.raises(SpendStopped):
            await metering.metered(studio, project, CALL, YES, never)
        assert await rows(studio) == (0, 0, 0, 0, 0)


async def test_the_switch_thrown_at_the_last_moment_frees_the_money(
    open_studio: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with demo(open_studio) as (studio, project):
        really = ledger.mark_sent

        async def late(*given: object) -> None:
            await ledger.stop_spending(given[0], studio.shop.clock.now(), None)  # pyright: ignore[reportArgumentType] - passed on as it came
            await really(*given)  # pyright: ignore[reportArgumentType] - as above

        monkeypatch.setattr(ledger, "mark_sent", late)
        with pytest.raises(SpendStopped):
            await metering.metered(studio, project, CALL, YES, never)
        assert await counted(studio, project) == {(FREE, FREE)}
        assert await ends(studio) == ["failed"]


async def test_a_refused_call_costs_nothing(open_studio: Opener) -> None:
    refused = failing(ProviderRefused("no", status=400))
    async with demo(open_studio) as (studio, project):
        with pytest.raises(ProviderRefused):
            await metering.metered(studio, project, CALL, YES, refused)
        assert await counted(studio, project) == {(FREE, FREE)}
        assert await ends(studio) == ["failed"]


async def test_an_answer_that_cannot_be_used_is_settled_where_its_cost_is_known(
    open_studio: Opener,
) -> None:
    wrong = failing(BadProviderReply("no JSON", cost_usd="0.07"))
    async with demo(open_studio) as (studio, project):
        with pytest.raises(BadProviderReply):
            await metering.metered(studio, project, CALL, YES, wrong)
        assert await counted(studio, project) == {(FREE, parse_usd("0.07"))}
        assert await ends(studio) == ["failed"]


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OutcomeUnknown("the answer was lost"), OutcomeUnknown),
        (BadProviderReply("of unknown cost"), OutcomeUnknown),
        (ZeroDivisionError("a bug"), ZeroDivisionError),
    ],
)
@pytest.mark.parametrize("charged", [True, False])
async def test_a_lost_answer_is_put_before_a_person(
    open_studio: Opener, error: Exception, raised: type[Exception], *, charged: bool
) -> None:
    async with demo(open_studio) as (studio, project):
        with pytest.raises(raised):
            await metering.metered(studio, project, CALL, YES, failing(error))
        assert await counted(studio, project) == {(parse_usd("0.50"), FREE)}
        assert await ends(studio) == ["outcome_unknown"]
        (found,) = await spending.undecided(studio)
        assert (found.scene, found.provider, found.reserved) == ("chat", "language", CALL.estimate)
        await spending.decide(studio, found.attempt, charged=charged, amount=None)
        spent = parse_usd("0.50") if charged else FREE
        assert await counted(studio, project) == {(FREE, spent)}


async def test_a_caller_that_leaves_does_not_lose_the_answer(open_studio: Opener) -> None:
    """What was sent is waited for and settled; closing the studio waits too."""
    began, go = asyncio.Event(), asyncio.Event()
    kept: list[str] = []

    async def send() -> tuple[str, Bill]:
        began.set()
        await go.wait()
        return await answered()

    async def keep(answer: str, _nano: Nano) -> Commit:
        async def commit(_session: object) -> None:
            kept.append(answer)

        return commit

    async with demo(open_studio) as (studio, project):
        asking = asyncio.create_task(metering.metered(studio, project, CALL, YES, send, keep))
        await began.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        go.set()
    async with open_studio() as studio:
        assert kept == ["an answer"]
        assert await counted(studio, project) == {(FREE, parse_usd("0.20"))}


async def test_what_cannot_be_kept_is_paid_all_the_same(open_studio: Opener) -> None:
    async def keep(_answer: str, _nano: Nano) -> Commit:
        raise StorageFull("no room")

    async with demo(open_studio) as (studio, project):
        with pytest.raises(StorageFull):
            await metering.metered(studio, project, CALL, YES, answered, keep)
        assert await counted(studio, project) == {(FREE, parse_usd("0.20"))}
        assert await ends(studio) == ["failed"]


_CHILD = """
import asyncio, os, sys
from maquette import bootstrap
from maquette.db import ledger
from maquette.services import metering, projects
from maquette.services.metering import Priced
from maquette.core.money import parse_usd
from maquette.services.starting import Spending
from maquette.settings import load

async def send():
    print("sent", flush=True)
    await asyncio.Event().wait()

async def stop(*_):
    print("reserved", flush=True)
    await asyncio.Event().wait()

async def main():
    if sys.argv[1] == "reserved":
        ledger.mark_sent = stop
    async with bootstrap.open_studio(load()) as studio:
        project = await projects.find(studio, "demo")
        call = Priced("chat", "language", "stand-in-7b", parse_usd("0.50"))
        await metering.metered(studio, project, call, Spending(confirmed=True), send)

asyncio.run(main())
"""


@pytest.mark.parametrize("point", ["reserved", "sent"])
async def test_after_a_kill_the_rows_say_what_may_have_been_charged(
    open_studio: Opener, url: str, point: str
) -> None:
    """Only once the process is gone; before that its call is under way."""
    async with demo(open_studio, url) as (studio, project):
        environment = {**os.environ, "MAQUETTE_DATABASE_URL": url}
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _CHILD,
            point,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
        )
        assert child.stdout is not None
        assert (await child.stdout.readline()).decode().strip() == point
        assert await spending.undecided(studio) == []
        assert await ends(studio) == ["running"]
        child.send_signal(signal.SIGKILL)
        await child.wait()
        found = await _undecided_soon(studio)
        assert await ends(studio) == ["outcome_unknown" if point == "sent" else "failed"]
        held = parse_usd("0.50") if point == "sent" else FREE
        assert await counted(studio, project) == {(held, FREE)}
        assert [one.why for one in found] == (
            ["The program stopped after the call was sent."] if point == "sent" else []
        )


async def _undecided_soon(studio: Studio) -> list[spending.Undecided]:
    """Do what a server does each minute until the database has noticed that the process is gone.

    A file lock tells at once.
    """
    often = [one for one in housekeeping.CHORES if one.every_s <= 60]
    async with asyncio.timeout(30):
        while await ends(studio) == [JobState.RUNNING.value]:
            for chore in often:
                await chore.do(studio)
            await asyncio.sleep(0.01)
    return [*await spending.undecided(studio)]
