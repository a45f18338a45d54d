"""WEB-5: administrators keep accounts; there is always one who can sign in."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from tests.api.conftest import Serve
from tests.api.people import PASSWORD, Browser, Client, make, signed_in

from maquette.core.people import Role
from maquette.db import ledger
from maquette.db.ledger import Scope
from maquette.services import people
from maquette.services.people import Change
from maquette.testing.serving import Served


@pytest.fixture
async def many(serve: Serve) -> AsyncGenerator[Served]:
    """A multi-user server with the administrator `root`."""
    async with serve(auth="multi", work=False, logins_per_minute=1000) as served:
        await make(served.house.studio, "root", Role.ADMIN)
        yield served


@pytest.fixture
async def root(many: Served) -> Browser:
    return await signed_in(many, "root")


async def test_an_account_is_made_shown_changed_and_disabled(many: Served, root: Browser) -> None:
    body = {"name": "ann", "role": "creator", "password": PASSWORD, "spend_cap_usd": "2.5"}
    made = await root.post("/api/users", json=body)
    assert made.status_code == 201, made.text
    told = made.json()
    assert (told["name"], told["role"], told["has_password"]) == ("ann", "creator", True)
    assert (told["spend_cap_usd"], told["spent_usd"]) == ("2.50", "0.00")
    assert PASSWORD not in made.text
    assert "password_hash" not in made.text
    assert (await root.post("/api/users", json=body)).status_code == 409
    change = {"role": "viewer", "verified": True, "quota_bytes": 5_000_000, "spend_cap_usd": None}
    changed = (await root.patch("/api/users/ann", json=change)).json()
    assert (changed["role"], changed["verified"]) == ("viewer", True)
    assert (changed["quota_bytes"], changed["spend_cap_usd"]) == (5_000_000, None)
    same = (await root.patch("/api/users/ann", json={"verified": False})).json()
    assert (same["role"], same["quota_bytes"]) == ("viewer", 5_000_000)
    await signed_in(many, "ann")
    gone = await root.delete("/api/users/ann")
    assert (gone.status_code, gone.json()["disabled"]) == (200, True)
    tried = await Client(many).post("/api/auth/login", json={"name": "ann", "password": PASSWORD})
    assert tried.status_code == 401
    assert (await root.get("/api/users/nobody")).json()["error"]["code"] == "user-not-found"


async def test_a_cap_of_a_person_is_the_ledgers_cap(many: Served, root: Browser) -> None:
    await root.post("/api/users", json={"name": "ann", "role": "creator", "spend_cap_usd": "0.07"})
    ann = await people.show(many.house.studio, "ann")
    counters = Scope("p", "r", "2026-01-01", ann.id).counters()
    (key,) = (one for one, _ in counters if one.startswith("user:"))
    async with many.house.studio.shop.db.read() as session:
        assert (await ledger.caps(session))[key] == 70_000_000


async def test_accounts_are_listed_by_name_in_pages(many: Served, root: Browser) -> None:
    for name in ("cy", "ann", "bob"):
        await make(many.house.studio, name, Role.VIEWER)
    first = (await root.get("/api/users", params={"limit": 3})).json()
    assert [one["name"] for one in first["items"]] == ["ann", "bob", "cy"]
    rest = (await root.get("/api/users", params={"limit": 3, "after": first["next"]})).json()
    assert [one["name"] for one in rest["items"]] == ["root"]
    assert rest["next"] is None


async def test_an_administrator_resets_a_password(many: Served, root: Browser) -> None:
    await make(many.house.studio, "ann", Role.CREATOR)
    there = await signed_in(many, "ann")
    new = "some other long words"
    assert (await root.patch("/api/users/ann", json={"password": new})).status_code == 200
    assert (await there.raw.get("/api/auth/session")).status_code == 401
    await signed_in(many, "ann", new)


@pytest.mark.parametrize("change", [{"role": "creator"}, {"disabled": True}, None])
async def test_the_last_administrator_stays(
    many: Served, root: Browser, change: dict[str, object] | None
) -> None:
    await people.create(many.house.studio, "mute", Role.ADMIN, Change())  # nobody can sign in so
    await make(many.house.studio, "gone", Role.ADMIN)
    await people.change(many.house.studio, "gone", Change(disabled=True))

    async def leave() -> int:
        if change is None:
            return (await root.delete("/api/users/root")).status_code
        return (await root.patch("/api/users/root", json=change)).status_code

    assert await leave() == 409
    assert (await root.get("/api/users/root")).json()["role"] == "admin"
    await make(many.house.studio, "other", Role.ADMIN)
    assert await leave() == 200


@pytest.mark.parametrize(
    "body",
    [
        {"name": "Ann", "role": "viewer"},
        {"name": "me", "role": "viewer"},
        {"name": "a" * 41, "role": "viewer"},
        {"name": "a\nb", "role": "viewer"},
        {"name": "ann", "role": "king"},
        {"name": "ann", "role": "viewer", "password": "too short"},
        {"name": "ann", "role": "viewer", "spend_cap_usd": "-1"},
        {"name": "ann", "role": "viewer", "quota_bytes": 2**63},
        {"name": "ann", "role": "viewer", "epoch": 1},
    ],
)
async def test_what_no_account_can_be_is_refused(root: Browser, body: dict[str, object]) -> None:
    assert (await root.post("/api/users", json=body)).status_code == 422


async def test_a_name_in_an_address_that_none_can_have_is_refused(root: Browser) -> None:
    for name in ("A", "a%00b", "é", "-a"):
        assert (await root.get(f"/api/users/{name}")).status_code == 422
