"""WEB-9: whoever runs an installation hears of caps that fill up, once each."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from sqlalchemy import select

from maquette.core.errors import BadParameter
from maquette.core.money import parse_usd
from maquette.db import ledger
from maquette.db.engine import Database
from maquette.db.ledger import Scope
from maquette.db.tables import CapAlert, Event, User
from maquette.services import caps, notifying, spending
from maquette.settings import load
from maquette.testing.http_server import Exchange, LoopbackServer
from tests.conftest import Opener
from tests.db.conftest import postgres_template, sqlite_template, url
from tests.db.rows import NOW, attempt, job, project, run
from tests.services.conftest import Begin, see

__all__ = ["postgres_template", "sqlite_template", "url"]

DAY, NEXT = "2026-03-01", "2026-03-02"


@pytest.fixture
async def db(url: str) -> AsyncGenerator[Database]:
    """A database of either kind, with a run of two jobs."""
    found = Database(url)
    async with found.write() as session:
        ann = User(id="ann", name="ann", role="creator", created_at=NOW)
        for row in (ann, project(), run(), job("j"), job("k", position=1)):
            session.add(row)
            await session.flush()
    yield found
    await found.close()


async def cap(db: Database, key: str, limit: int | None, today: str = DAY) -> None:
    async with db.write() as session:
        await ledger.set_cap(session, key, limit, today)


async def paid(db: Database, amount: int, name: str = "j", day: str = DAY, call: str = "c") -> None:
    """Hold, send and settle a call."""
    made = attempt(job_id=name, call=call, reserved_nano=amount)
    async with db.write() as session:
        await ledger.place_hold(session, name, amount, Scope("p", "r", day, "ann"))
        await ledger.reserve(session, made)
    async with db.write() as session:
        await ledger.settle(session, made, amount, NOW)
        await ledger.close_hold(session, name)


async def noted(db: Database, *, standing: bool = True) -> list[tuple[str, str, int]]:
    query = select(CapAlert).order_by(CapAlert.id)
    if standing:
        query = query.where(CapAlert.rearmed_at.is_(None))
    async with db.read() as session:
        rows = (await session.execute(query)).scalars().all()
    return [(one.cap_key, one.period, one.percent) for one in rows]


@pytest.mark.parametrize(
    ("key", "period"),
    [("installation", ""), ("project:p", ""), ("user-day", DAY), ("day", DAY)],
)
async def test_each_share_is_noted_once(db: Database, key: str, period: str) -> None:
    await cap(db, key, 100)
    name = "user-day:ann" if key == "user-day" else key
    steps: tuple[tuple[int, list[int]], ...] = (
        (49, []),
        (1, [50]),
        (29, [50]),
        (21, [50, 80, 100]),
    )
    for number, (amount, shares) in enumerate(steps):
        await paid(db, amount, call=f"c{number}")
        assert sorted(await noted(db)) == [(name, period, one) for one in shares]
    async with db.read() as session:
        query = select(Event.data, Event.project_id).where(Event.kind == "cap_alert")
        told = (await session.execute(query)).all()
    assert sorted(data["percent"] for data, _ in told) == [50, 80, 100]
    assert {whose for _, whose in told} == {"p" if key == "project:p" else ""}


async def test_what_is_held_alone_fills_a_cap_but_is_not_spent(db: Database) -> None:
    """A worst case mostly comes back: it raises no early alarm, and at the whole it does."""
    await cap(db, "installation", 100)
    async with db.write() as session:
        await ledger.place_hold(session, "j", 99, Scope("p", "r", DAY))
    assert await noted(db) == []
    async with db.write() as session:
        await ledger.place_hold(session, "k", 1, Scope("p", "r", DAY))
    assert await noted(db) == [("installation", "", 100)]


async def test_an_alert_commits_with_what_it_tells_of(db: Database) -> None:
    """A crash before the commit leaves neither the money nor the alert."""
    await cap(db, "installation", 100)

    async def killed() -> None:
        async with db.write() as session:
            await ledger.place_hold(session, "j", 100, Scope("p", "r", DAY))
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        await killed()
    assert await noted(db) == []
    await paid(db, 100)
    assert len(await noted(db)) == 3


async def test_a_new_day_begins_anew(db: Database) -> None:
    await cap(db, "day", 100)
    await paid(db, 60)
    await paid(db, 60, "k", NEXT)
    assert await noted(db) == [("day", DAY, 50), ("day", NEXT, 50)]


async def test_raising_a_cap_arms_it_again(db: Database) -> None:
    await cap(db, "installation", 100)
    await paid(db, 80)
    assert [one[2] for one in await noted(db)] == [50, 80]
    await cap(db, "installation", 150)
    assert [one[2] for one in await noted(db)] == [50], "80 is 53 % of 150"
    await paid(db, 40, "k")
    assert [one[2] for one in await noted(db)] == [50, 80]
    assert [one[2] for one in await noted(db, standing=False)] == [50, 80, 80]
    await cap(db, "installation", None)
    assert await noted(db) == []


async def test_lowering_a_cap_below_what_is_spent_is_noted(db: Database) -> None:
    await paid(db, 80)
    await cap(db, "installation", 100)
    await cap(db, "user-day", 80)
    assert [one[2] for one in await noted(db)] == [50, 80, 50, 80, 100]


async def test_the_ceiling_of_one_run_is_nobodys_alarm(db: Database) -> None:
    await cap(db, "run:r", 100)
    await paid(db, 100)
    assert await noted(db) == []


class Hook:
    """An address that is told."""

    def __init__(self, *statuses: int) -> None:
        self.heard: list[dict[str, Any]] = []
        self._statuses = list(statuses)
        self._server = LoopbackServer(self._handle)

    def __enter__(self) -> str:
        return self._server.__enter__().url

    def __exit__(self, *exc: object) -> None:
        self._server.__exit__(*exc)

    def _handle(self, exchange: Exchange) -> None:
        self.heard.append(json.loads(exchange.body()))
        exchange.answer(self._statuses.pop(0) if self._statuses else 204, b"")


async def test_the_installations_address_is_told_once_each(
    open_studio: Opener, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after the process that noted it is gone."""
    hook = Hook()
    with hook as address:
        monkeypatch.setenv("MAQUETTE_ALERT_URL", f"{address}/hooks/secret")
        async with open_studio() as studio:
            await begin(studio)
            await spending.set_cap(studio, "project:demo", parse_usd("0.08"))
        async with open_studio() as studio:
            await notifying.tell_due(studio)
            await notifying.tell_due(studio)
            assert [(one["cap"], one["percent"]) for one in hook.heard] == [("project:demo", 100)]
            run = (await begin(studio, project="other"), "other")[0]
            await spending.set_cap(studio, "day", parse_usd("0.16"))
            await see(studio, run)
            await notifying.tell_due(studio)
            meters = {one.scope: one for one in await caps.meters(studio)}
    said = {(one["cap"], one["percent"]) for one in hook.heard}
    assert said >= {("project:demo", 100), ("day", 100), ("day", 50)}
    assert len({one["alert"] for one in hook.heard}) == len(hook.heard)
    assert hook.heard[0]["limit_usd"] == hook.heard[0]["used_usd"] == "0.08"
    assert 100 in meters["project:demo"].alerts
    assert meters["day"].percent == 100.0


async def test_nobody_is_told_where_there_is_no_address(
    open_studio: Opener, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was noted meanwhile is not told when an address is set one day."""
    async with open_studio() as studio:
        await begin(studio)
        await spending.set_cap(studio, "installation", parse_usd("0.08"))
        await notifying.tell_due(studio)
    hook = Hook()
    with hook as address:
        monkeypatch.setenv("MAQUETTE_ALERT_URL", address)
        async with open_studio() as studio:
            await notifying.tell_due(studio)
    assert hook.heard == []


def test_an_address_that_cannot_be_told_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAQUETTE_ALERT_URL", "ftp://example.org/hush")
    with pytest.raises(BadParameter, match="MAQUETTE_ALERT_URL") as caught:
        load()
    assert "hush" not in str(caught.value)
