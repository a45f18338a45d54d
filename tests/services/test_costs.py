"""WEB-8: what calls cost, by any combination of day, person, project and model."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from maquette.core import money
from maquette.core.errors import BadParameter, Forbidden, NotFound, UserNotFound
from maquette.core.money import Usd, parse_usd
from maquette.core.people import Caller, ProjectRole, Role
from maquette.db import ledger
from maquette.db import people as db_people
from maquette.db.costs import DIMENSIONS, Which
from maquette.db.tables import PastSpending
from maquette.services import (
    costs,
    deleting,
    exporting,
    importing,
    people,
    projects,
    spending,
)
from maquette.services.costs import Line
from maquette.services.people import Change
from maquette.services.starting import Spending
from maquette.services.studio import Studio
from maquette.testing.scripted import Act
from tests.conftest import Opener
from tests.services.conftest import Begin, see


async def person(studio: Studio, name: str, role: Role = Role.CREATOR) -> Caller:
    made = await people.create(studio, name, role, Change())
    return Caller(made.id, name, role)


async def spend(studio: Studio, begin: Begin, who: Caller | None, **order: Any) -> str:
    """Work a run of two pictures for somebody; return its id."""
    allowed = Spending(confirmed=True, by=None if who is None else who.user_id)
    run = await begin(studio, spending=allowed, **order)
    await see(studio, run)
    return run


async def join(studio: Studio, slug: str, who: Caller, role: ProjectRole) -> None:
    project = await projects.find(studio, slug)
    async with studio.shop.db.write() as session:
        await db_people.join(session, project.id, who.user_id, role, studio.shop.clock.now())


def told(lines: Sequence[Line], *names: str) -> list[tuple[Any, ...]]:
    return [(*(getattr(one, name) for name in names), one.calls) for one in lines]


async def test_reports_group_by_any_combination(open_studio: Opener, begin: Begin) -> None:
    async with open_studio() as studio:
        ann, bob = await person(studio, "ann"), await person(studio, "bob")
        await spend(studio, begin, ann)
        await spend(studio, begin, bob)
        await spend(studio, begin, bob, project="other", model="ticketed")
        await spend(studio, begin, None, model="free")
        today = studio.shop.clock.today()
        by = {words: await costs.report(studio, costs.dimensions(words)) for words in (
            "day", "user", "project", "model", "user,project", "day,user,project,model"
        )}  # fmt: skip
    assert told(by["day"], "day", "user") == [(today, None, 6)]
    assert told(by["user"], "user", "day") == [("ann", None, 2), ("bob", None, 4)]
    assert told(by["project"], "project") == [("demo", 4), ("other", 2)]
    assert told(by["model"], "provider", "model") == [
        ("scripted", "paid", 4),
        ("scripted", "ticketed", 2),
    ]
    assert told(by["user,project"], "user", "project") == [
        ("ann", "demo", 2),
        ("bob", "demo", 2),
        ("bob", "other", 2),
    ]
    assert len(by["day,user,project,model"]) == 3
    for lines in by.values():
        assert sum(one.actual for one in lines) == parse_usd("0.24")


async def test_the_sum_of_a_day_is_what_its_cap_counts(open_studio: Opener, begin: Begin) -> None:
    async with open_studio(Act(cost="0.01")) as studio:
        ann = await person(studio, "ann")
        await spend(studio, begin, ann)
        (line,) = await costs.report(studio, ("day",))
        today = studio.shop.clock.today()
        async with studio.shop.db.read() as session:
            assert await ledger.budget(session, "day", today) == (0, 50_000_000)
            assert await ledger.budget(session, f"user-day:{ann.user_id}", today) == (0, 50_000_000)
    assert (line.day, line.actual, line.estimated) == (
        today,
        parse_usd("0.05"),
        parse_usd("0.08"),
    )


async def test_reports_of_some_calls_alone(open_studio: Opener, begin: Begin) -> None:
    async with open_studio() as studio:
        ann = await person(studio, "ann")
        await spend(studio, begin, ann)
        await spend(studio, begin, None, project="other", model="ticketed")
        today = studio.shop.clock.today()
        for which, calls in (
            (Which(user="ann"), 2),
            (Which(project="other"), 2),
            (Which(model="scripted:paid"), 2),
            (Which(first_day=today, last_day=today), 4),
            (Which(last_day="2020-01-01"), 0),
            (Which(first_day="2999-01-01"), 0),
            (Which(user="ann", project="other"), 0),
        ):
            lines = await costs.report(studio, ("project",), which)
            assert sum(one.calls for one in lines) == calls, which
        with pytest.raises(UserNotFound):
            await costs.report(studio, ("day",), Which(user="nobody"))
        with pytest.raises(BadParameter, match="swap"):
            await costs.report(studio, ("day",), Which("2026-02-02", "2026-02-01"))


async def test_others_see_their_own_and_their_projects(open_studio: Opener, begin: Begin) -> None:
    async with open_studio() as studio:
        ann, bob = await person(studio, "ann"), await person(studio, "bob")
        root = await person(studio, "root", Role.ADMIN)
        await spend(studio, begin, ann)
        await spend(studio, begin, bob, project="other")
        await spend(studio, begin, bob)
        seen = {
            who.name: told(await costs.report(studio, ("user", "project"), None, who), "user")
            for who in (ann, bob, root)
        }
        assert [one[0] for one in seen["ann"]] == ["ann"]
        assert [one[0] for one in seen["bob"]] == ["bob", "bob"]
        assert [one[0] for one in seen["root"]] == ["ann", "bob", "bob"]
        await join(studio, "demo", ann, ProjectRole.VIEWER)
        lines = await costs.report(studio, ("user", "project"), None, ann)
        assert told(lines, "user", "project") == [("ann", "demo", 2), ("bob", "demo", 2)]


async def test_a_deleted_projects_spending_stays_its_spenders(
    open_studio: Opener, begin: Begin
) -> None:
    async with open_studio() as studio:
        ann, bob = await person(studio, "ann"), await person(studio, "bob")
        await spend(studio, begin, ann)
        before = await costs.report(studio, DIMENSIONS)
        await deleting.delete(studio, "demo")
        assert await costs.report(studio, DIMENSIONS) == before
        assert await costs.report(studio, DIMENSIONS, None, ann) == before
        assert await costs.report(studio, DIMENSIONS, None, bob) == []
        async with studio.shop.db.read() as session:
            assert (await session.execute(select(PastSpending.user_id))).scalar_one() == ann.user_id


async def test_single_calls_come_page_by_page(open_studio: Opener, begin: Begin) -> None:
    async with open_studio(Act(cost="0.03")) as studio:
        ann = await person(studio, "ann")
        for _ in range(3):
            await spend(studio, begin, ann)
        pages: list[str] = []
        before: str | None = None
        while found := await costs.calls(studio, Which(), None, 4, before):
            pages += [one.id for one in found]
            before = found[-1].id
        everything = await costs.calls(studio, Which(), None, 100, None)
        assert pages == [one.id for one in everything]
        assert len(set(pages)) == 6
        first = next(one for one in everything if one.actual == parse_usd("0.03"))
    assert (first.user, first.project, first.kind, first.state) == (
        "ann",
        "demo",
        "pictures",
        "settled",
    )
    assert first.estimated == parse_usd("0.04")


async def test_an_owner_decides_and_a_stranger_does_not(open_studio: Opener, begin: Begin) -> None:
    async with open_studio(Act("lose")) as studio:
        ann, bob, eve = [await person(studio, name) for name in ("ann", "bob", "eve")]
        run = await spend(studio, begin, bob)
        await join(studio, "demo", ann, ProjectRole.OWNER)
        await join(studio, "demo", bob, ProjectRole.EDITOR)
        (lost,) = await spending.undecided(studio, ann)
        assert (lost.run, lost.kind, lost.user) == (run, "pictures", "bob")
        assert await spending.undecided(studio, bob) == []
        for who, refusal in ((eve, NotFound), (bob, Forbidden)):
            with pytest.raises(refusal):
                await spending.decide(studio, lost.attempt, charged=True, amount=None, caller=who)
        decided = await spending.decide(
            studio, lost.attempt, charged=True, amount=parse_usd("0.04"), caller=ann
        )
        assert decided.attempt == lost.attempt
        assert await spending.undecided(studio, ann) == []


async def test_only_an_administrator_says_another_sum_than_was_reserved(
    open_studio: Opener, begin: Begin
) -> None:
    """An owner could else take from, or give back to, whose money it is."""
    async with open_studio(Act("lose"), Act("lose")) as studio:
        ann, root = await person(studio, "ann"), await person(studio, "root", Role.ADMIN)
        await spend(studio, begin, ann)
        await join(studio, "demo", ann, ProjectRole.OWNER)
        first, second = await spending.undecided(studio, ann)

        async def decide(who: Caller | None, lost: str, amount: str | None) -> None:
            found = None if amount is None else parse_usd(amount)
            charged = amount is not None
            await spending.decide(studio, lost, charged=charged, amount=found, caller=who)

        for amount in (None, "0", "0.039", "0.041", "999999"):
            with pytest.raises(Forbidden, match=r"as reserved, \$0\.04"):
                await decide(ann, first.attempt, amount)
        for who in (root, None):
            with pytest.raises(BadParameter, match=r"at most \$1000\.00"):
                await decide(who, first.attempt, "1000.01")
        await decide(root, first.attempt, "999")
        await decide(None, second.attempt, None)
        (line,) = await costs.report(studio, ("day",))
        assert line.actual == parse_usd("999")


async def test_money_that_was_spent_here_counts_once_however_it_comes_back(
    open_studio: Opener, begin: Begin, root: Path, tmp_path: Path
) -> None:
    """A copy beside the project, and the project itself after it was deleted."""
    archive = tmp_path / "demo.tar.gz"
    async with open_studio(Act("lose")) as studio:
        await spend(studio, begin, None)
        (lost,) = await spending.undecided(studio)
        await exporting.export(studio, "demo", root=root, output=archive)
        await spending.decide(studio, lost.attempt, charged=True, amount=None)

        async def check() -> None:
            today = studio.shop.clock.today()
            (line,) = await costs.report(studio, ("day",))
            async with studio.shop.db.read() as session:
                counted = await ledger.budget(session, "day", today)
            assert (0, money.to_nano(line.actual)) == counted == (0, 80_000_000)
            assert (line.calls, line.unknown) == (2, 0)

        await importing.import_archive(studio, archive, slug="copy")
        await check()
        assert await spending.undecided(studio) == []
        copies = await costs.calls(studio, Which(project="copy"), None, 10, None)
        assert copies == []
        for slug in ("copy", "demo"):
            await deleting.delete(studio, slug)
            await check()
        await importing.import_archive(studio, archive, root=root)
        await check()
        with pytest.raises(NotFound):
            await spending.decide(studio, lost.attempt, charged=True, amount=None)
        await spend(studio, begin, None)
        await deleting.delete(studio, "demo")
        (line,) = await costs.report(studio, ("project",))
        assert (line.project, line.calls, line.actual) == ("demo", 4, parse_usd("0.16"))


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_a_table_holds_no_formula(cell: str) -> None:
    line = Line("2026-03-01", None, cell, "x", 'a "b",\r\nc', 1, *([Usd(Decimal("0.04"))] * 3))
    text = costs.as_csv(("day", "project", "model"), [line])
    header, row = list(csv.reader(io.StringIO(text, newline="")))
    assert header[:4] == ["day", "project", "provider", "model"]
    assert row == ["2026-03-01", f"'{cell}", "x", 'a "b",\r\nc', "1", "0.04", "0.04", "0.04"]
    assert text.startswith("day,project,provider,model,calls,") and text.endswith("0.04\r\n")


@pytest.mark.parametrize("words", ["", "month", "day,week", ","])
def test_a_report_by_nothing_known_is_refused(words: str) -> None:
    with pytest.raises(BadParameter, match="day, user, project, model"):
        costs.dimensions(words)
