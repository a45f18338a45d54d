"""WEB-9: caps hold to the cent through the real server, under a crowd, on both databases."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select
from tests.api.conftest import Serve
from tests.api.people import Browser, make, signed_in
from tests.db.conftest import postgres_template, sqlite_template, url

from maquette.core.people import Role
from maquette.db import ledger
from maquette.db.tables import Attempt, Budget, CapAlert, Event, Job
from maquette.services import people
from maquette.testing.scripted import Books
from maquette.testing.serving import Served

__all__ = ["postgres_template", "sqlite_template", "url"]

CROWD, FITS, PRICE = 500, 100, 40_000_000
WISH = {"prompt": "a lighthouse", "model": "scripted:paid", "size": "64x48"}


def impatient(served: Served) -> httpx2.AsyncClient:
    """Return a client that lets hundreds ask at once."""
    limits = httpx2.Limits(max_connections=CROWD, max_keepalive_connections=0)
    return httpx2.AsyncClient(base_url=served.url, timeout=240, limits=limits)


async def asked_at_once(served: Served, path: str, count: int, body: Any) -> Counter[int]:
    async with impatient(served) as client:
        replies = await asyncio.gather(*(client.post(path, json=body) for _ in range(count)))
    refusals = {one.json()["error"]["code"] for one in replies if one.status_code == 402}
    assert refusals <= {"budget-exceeded"}
    return Counter(one.status_code for one in replies)


async def counted(served: Served, key: str, period: str = "") -> tuple[int, int]:
    async with served.house.studio.shop.db.read() as session:
        return await ledger.budget(session, key, period)


@pytest.mark.timeout(300)
async def test_500_at_once_against_a_cap_for_100(serve: Serve, url: str) -> None:
    """Exactly 100 are accepted, whoever asks first; nothing of the others is left behind."""
    async with serve(url=url, work=False, per_minute=100_000, request_timeout_s=240) as served:
        client = served.client
        assert (await client.get("/api/projects")).status_code == 200
        body = {"limit_usd": "4.00"}
        assert (await client.put("/api/caps/installation", json=body)).status_code == 200
        first = await client.post("/v1/generate", json={**WISH, "max_spend_usd": 0.01})
        assert first.status_code == 402, "its own ceiling; this also makes the project"
        statuses = await asked_at_once(served, "/v1/generate", CROWD, WISH)
        assert statuses == {202: FITS, 402: CROWD - FITS}
        assert await counted(served, "installation") == (FITS * PRICE, 0)
        async with served.house.studio.shop.db.read() as session:
            assert (await session.execute(select(func.count(Job.id)))).scalar_one() == FITS
            most = select(func.max(Budget.held_nano + Budget.settled_nano))
            assert (await session.execute(most)).scalar_one() == FITS * PRICE
            alerts = (await session.execute(select(CapAlert.percent))).scalars().all()
            assert alerts == [100], "noted once, by the one that filled it"
            told = select(func.count(Event.id)).where(Event.kind == "cap_alert")
            assert (await session.execute(told)).scalar_one() == 1
        meter = (await client.get("/api/caps")).json()["items"][0]
        assert (meter["scope"], meter["percent"], meter["alerts"]) == ("installation", 100.0, [100])


async def test_what_is_spent_is_what_the_provider_charged(serve: Serve, books: Books) -> None:
    """The same, worked to the end: the books of both sides are equal, and the cap is full."""
    async with serve(per_minute=100_000) as served:
        await served.client.put("/api/caps/installation", json={"limit_usd": "0.12"})
        wish = {"prompt": "a lighthouse", "model": "scripted:paid"}
        statuses = await asked_at_once(served, "/v1/images/generations", 12, wish)
        assert statuses == {200: 3, 429: 9}, "in OpenAI's words, an empty purse is a 429"
        assert books.paid_calls == 3
        assert await counted(served, "installation") == (0, 3 * PRICE)
        alerts = (await served.client.get("/api/caps")).json()["items"][0]["alerts"]
        assert alerts == [50, 80, 100]
        line = (await served.client.get("/api/costs?group_by=model")).json()["items"][0]
        assert (line["calls"], line["actual_usd"]) == (3, "0.12")
        calls = (await served.client.get("/api/costs/calls")).json()["items"]
        assert [one["state"] for one in calls] == ["settled"] * 3


@pytest.fixture
async def many(serve: Serve) -> AsyncGenerator[Served]:
    async with serve(auth="multi", work=False, logins_per_minute=1000) as served:
        for name in ("ann", "bob"):
            await make(served.house.studio, name, Role.CREATOR)
        await make(served.house.studio, "root", Role.ADMIN)
        yield served


async def refused(person: Browser) -> str:
    """Ask for a picture; return the cap that was in the way, or nothing."""
    reply = await person.post("/v1/generate", json=WISH)
    if reply.status_code == 202:
        return ""
    assert (reply.status_code, reply.json()["error"]["code"]) == (402, "budget-exceeded")
    return str(reply.json()["error"]["message"]).partition(" under the ")[2].partition(" of ")[0]


@pytest.mark.parametrize(
    ("scope", "others"),
    [
        ("user:ann", False),
        ("user-day:ann", False),
        ("user-day", True),
        ("project:personal-ann", False),
        ("project-day:personal-ann", False),
        ("project-day", True),
        ("day", True),
    ],
)
async def test_each_cap_stops_whom_it_is_for(many: Served, scope: str, *, others: bool) -> None:
    """A person's, a project's, the day's, and those for all that have none of their own."""
    root, ann, bob = [await signed_in(many, name) for name in ("root", "ann", "bob")]
    assert await refused(ann) == await refused(bob) == ""
    body = {"limit_usd": "0.05"}
    assert (await root.put(f"/api/caps/{scope}", json=body)).status_code == 200
    kind = scope.partition(":")[0]
    assert await refused(ann) == f"{kind} cap"
    assert await refused(bob) == (f"{kind} cap" if others else "")
    assert (await root.delete(f"/api/caps/{scope}")).status_code == 204
    assert await refused(ann) == ""


async def test_a_cap_of_ones_own_wins_over_that_for_all(many: Served) -> None:
    root, ann, bob = [await signed_in(many, name) for name in ("root", "ann", "bob")]
    await root.put("/api/caps/user-day", json={"limit_usd": "0"})
    await root.put("/api/caps/user-day:ann", json={"limit_usd": "0.04"})
    assert await refused(bob) == "user-day cap"
    assert await refused(ann) == ""
    assert await refused(ann) == "user-day cap"


async def test_people_see_their_own_caps_and_set_none(many: Served) -> None:
    root, ann, bob = [await signed_in(many, name) for name in ("root", "ann", "bob")]
    assert await refused(ann) == ""
    await root.put("/api/caps/user:bob", json={"limit_usd": "9"})
    await root.put("/api/caps/day", json={"limit_usd": "7"})
    seen = {one["scope"] for one in (await ann.get("/api/caps")).json()["items"]}
    assert seen == {
        "user:ann",
        "user-day:ann",
        "project:personal-ann",
        "project-day:personal-ann",
    }
    bobs = (await bob.get("/api/caps")).json()["items"]
    assert ("user:bob", "9") in [(one["scope"], one["limit_usd"]) for one in bobs]
    for reply in (
        await ann.put("/api/caps/user:ann", json={"limit_usd": "100"}),
        await ann.delete("/api/caps/day"),
        await ann.put("/api/spending", json={"stopped": True}),
    ):
        assert (reply.status_code, reply.json()["error"]["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    ("scope", "status", "code"),
    [
        ("month", 422, "bad-parameter"),
        ("user", 422, "bad-parameter"),
        ("project", 422, "bad-parameter"),
        ("user:nobody", 404, "user-not-found"),
        ("project:nothing", 404, "project-not-found"),
    ],
)
async def test_a_cap_on_nothing_known_is_refused(
    served: Served, scope: str, status: int, code: str
) -> None:
    reply = await served.client.put(f"/api/caps/{scope}", json={"limit_usd": "1"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)


async def test_the_kill_switch_is_thrown_and_taken_back(serve: Serve) -> None:
    async with serve(work=False) as served:
        stopped = await served.client.put(
            "/api/spending", json={"stopped": True, "why": "the key leaked"}
        )
        assert (stopped.json()["stopped"], stopped.json()["why"]) == (True, "the key leaked")
        reply = await served.client.post("/v1/generate", json=WISH)
        assert (reply.status_code, reply.json()["error"]["code"]) == (402, "spend-stopped")
        await served.client.put("/api/spending", json={"stopped": False})
        assert (await served.client.get("/api/spending")).json()["since"] is None
        assert (await served.client.post("/v1/generate", json=WISH)).status_code == 202


async def test_a_person_counts_where_the_account_says(many: Served) -> None:
    """The caps of accounts and those of this address are the same ones."""
    root, ann = [await signed_in(many, name) for name in ("root", "ann")]
    await root.patch("/api/users/ann", json={"spend_cap_usd": "0.03"})
    assert await refused(ann) == "user cap"
    await root.put("/api/caps/user:ann", json={"limit_usd": "0.04"})
    assert str((await people.show(many.house.studio, "ann")).spend_cap) == "0.04"
    assert await refused(ann) == ""
    async with many.house.studio.shop.db.read() as session:
        assert (await session.execute(select(func.count(Attempt.id)))).scalar_one() == 0
