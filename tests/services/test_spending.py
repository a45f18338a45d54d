"""What people do about money: caps, the report, decisions on lost calls."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from maquette.core.clock import Clock
from maquette.core.errors import (
    BadParameter,
    BudgetExceeded,
    Conflict,
    NotFound,
    OutcomeUnknown,
    ProjectNotFound,
)
from maquette.core.money import Usd, parse_usd
from maquette.core.states import JobState
from maquette.db import ledger
from maquette.db.tables import Run, User
from maquette.services import projects, running, spending, starting
from maquette.services.spending import Meter
from maquette.services.studio import Studio
from maquette.testing.scripted import Act, Books
from tests.conftest import Opener
from tests.services.conftest import Begin, see

ZERO = Usd(Decimal(0))


async def meter(studio: Studio, scope: str) -> Meter:
    return next(one for one in await spending.meters(studio) if one.scope.startswith(scope))


@pytest.mark.parametrize("scope", ["installation", "day", "project:demo"])
async def test_a_cap_is_set_shown_and_taken_away(open_studio: Opener, scope: str) -> None:
    """LAB-14, WEB-9."""
    async with open_studio() as studio:
        await projects.create(studio, "demo", name=None, root=None, default_root=False)
        await spending.set_cap(studio, scope, parse_usd("12.50"))
        shown = await meter(studio, scope.partition(":")[0])
        assert shown.limit == parse_usd("12.50")
        await spending.set_cap(studio, scope, None)
        assert (await meter(studio, scope.partition(":")[0])).limit is None


@pytest.mark.parametrize("scope", ["month", "project", "project:", "run:x", ""])
async def test_a_cap_on_nothing_known_is_refused(open_studio: Opener, scope: str) -> None:
    async with open_studio() as studio:
        with pytest.raises(BadParameter, match="installation, day or project:SLUG"):
            await spending.set_cap(studio, scope, parse_usd("1"))


async def test_a_cap_needs_its_project(open_studio: Opener) -> None:
    async with open_studio() as studio:
        with pytest.raises(ProjectNotFound):
            await spending.set_cap(studio, "project:nobody", parse_usd("1"))


async def test_meters_show_what_is_held_and_then_spent(open_studio: Opener, begin: Begin) -> None:
    async with open_studio() as studio:
        run = await begin(studio)
        held = await meter(studio, "project:demo")
        await see(studio, run)
        spent = await meter(studio, "project:demo")
    assert (held.held, held.spent) == (parse_usd("0.08"), ZERO)
    assert (spent.held, spent.spent) == (ZERO, parse_usd("0.08"))


async def test_the_report_sums_by_day_project_and_model(open_studio: Opener, begin: Begin) -> None:
    """WEB-8: free calls are not in it."""
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        await see(studio, await begin(studio))
        await see(studio, await begin(studio, model="free"))
        await see(studio, await begin(studio, project="other", model="ticketed"))
        lines = await spending.report(studio)
        today = studio.shop.clock.today()
    assert [(line.day, line.project, line.model, line.calls) for line in lines] == [
        (today, "other", "ticketed", 2),
        (today, "demo", "paid", 4),
    ]
    assert lines[1].actual == lines[1].estimated == parse_usd("0.16")


async def test_the_report_of_one_project(open_studio: Opener, begin: Begin) -> None:
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        await see(studio, await begin(studio, project="other"))
        lines = await spending.report(studio, "other")
    assert [line.project for line in lines] == ["other"]


async def test_the_report_is_what_the_provider_charged(
    open_studio: Opener, begin: Begin, books: Books
) -> None:
    async with open_studio(Act("down"), Act("refuse")) as studio:
        await see(studio, await begin(studio))
        lines = await spending.report(studio)
    assert lines[0].actual == books.charged == parse_usd("0.04")


async def test_a_lost_call_waits_for_a_person(open_studio: Opener, begin: Begin) -> None:
    """D2: listed, counted, never sent again unasked."""
    async with open_studio(Act("lose")) as studio:
        seen = await see(studio, await begin(studio))
        waiting = await spending.undecided(studio)
        lines = await spending.report(studio)
    assert [(one.run, one.reserved, one.model) for one in waiting] == [
        (seen.run, parse_usd("0.04"), "paid")
    ]
    assert lines[0].unknown == parse_usd("0.04")
    assert seen.held == 40_000_000


@pytest.mark.parametrize(
    ("charged", "amount", "spent"),
    [(True, None, "0.08"), (True, "0.03", "0.07"), (False, None, "0.04")],
)
async def test_a_decision_settles_it(
    open_studio: Opener, begin: Begin, *, charged: bool, amount: str | None, spent: str
) -> None:
    async with open_studio(Act("lose")) as studio:
        await see(studio, await begin(studio))
        lost = (await spending.undecided(studio))[0]
        found = None if amount is None else parse_usd(amount)
        await spending.decide(studio, lost.attempt, charged=charged, amount=found)
        assert await spending.undecided(studio) == []
        total = await meter(studio, "installation")
    assert (total.held, total.spent) == (ZERO, parse_usd(spent))


async def test_a_run_goes_on_after_the_decision_only(
    open_studio: Opener, begin: Begin, books: Books
) -> None:
    """D2."""
    async with open_studio(Act("lose")) as studio:
        seen = await see(studio, await begin(studio))
        assert seen.state is JobState.OUTCOME_UNKNOWN
        with pytest.raises(OutcomeUnknown, match="maquette spend decide"):
            await running.resume(studio, seen.run, starting.Spending())
        lost = (await spending.undecided(studio))[0]
        await spending.decide(studio, lost.attempt, charged=True, amount=None)
        allowed = starting.Spending(confirmed=True)
        again = await see(studio, await running.resume(studio, seen.run, allowed))
    assert again.state is JobState.SUCCEEDED
    assert books.paid_calls == 3


async def test_nothing_is_decided_twice(open_studio: Opener, begin: Begin) -> None:
    async with open_studio(Act("lose")) as studio:
        await see(studio, await begin(studio))
        lost = (await spending.undecided(studio))[0]
        await spending.decide(studio, lost.attempt[:8], charged=False, amount=None)
        with pytest.raises(Conflict, match="nothing to decide"):
            await spending.decide(studio, lost.attempt, charged=True, amount=None)


async def test_a_decision_needs_a_known_attempt(open_studio: Opener) -> None:
    async with open_studio() as studio:
        with pytest.raises(NotFound, match="maquette spend unknown"):
            await spending.decide(studio, "nobody", charged=True, amount=None)


async def test_the_kill_switch_says_since_when(open_studio: Opener) -> None:
    """LAB-14."""
    async with open_studio() as studio:
        assert await spending.stopped_since(studio) is None
        await spending.stop(studio, "enough")
        assert await spending.stopped_since(studio) is not None
        await spending.allow(studio)
        assert await spending.stopped_since(studio) is None


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("Pacific/Kiritimati", "2026-03-02"),
        ("UTC", "2026-03-01"),
        ("Pacific/Pago_Pago", "2026-02-28"),
    ],
)
async def test_a_caps_day_is_the_installations(
    open_studio: Opener,
    begin: Begin,
    monkeypatch: pytest.MonkeyPatch,
    zone: str,
    day: str,
) -> None:
    """WEB-9: the date in the installation's timezone, whatever this machine's is."""

    def held_still(_clock: Clock) -> datetime:
        return datetime(2026, 3, 1, 10, 30, tzinfo=UTC)

    monkeypatch.setattr(Clock, "now", held_still)
    monkeypatch.setenv("MAQUETTE_TIMEZONE", zone)
    async with open_studio() as studio:
        await begin(studio)
        async with studio.shop.db.read() as session:
            assert await ledger.budget(session, "day", day) == (80_000_000, 0)


async def test_whoever_goes_on_with_a_run_pays_from_their_own_allowance(
    open_studio: Opener, begin: Begin
) -> None:
    """A cap of one's own is not passed by with somebody else's run."""
    async with open_studio() as studio:
        async with studio.shop.db.write() as session:
            for name in ("ann", "bob"):
                made = studio.shop.clock.now()
                session.add(User(id=name, name=name, role="creator", created_at=made))
            await ledger.set_cap(session, "user:bob", 0)
        run = await begin(studio)
        async with studio.shop.db.write() as session:
            (await session.get_one(Run, run)).creator_id = "ann"
        await running.cancel(studio, run)
        await see(studio, run)
        with pytest.raises(BudgetExceeded):
            await running.resume(studio, run, starting.Spending(confirmed=True, by="bob"))
        async with studio.shop.db.write() as session:
            await ledger.set_cap(session, "user:bob", None)
        await running.resume(studio, run, starting.Spending(confirmed=True, by="bob"))
        await see(studio, run)
        async with studio.shop.db.read() as session:
            assert await ledger.budget(session, "user:bob") == (0, 80_000_000)
            assert await ledger.budget(session, "user:ann") == (0, 0)
