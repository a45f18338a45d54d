"""WEB-5: API keys are hashed, scoped and revocable."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from tests.api.conftest import Serve
from tests.api.people import Client, bearer, make, signed_in

from maquette.core.clock import Clock
from maquette.core.people import Role
from maquette.db.tables import ApiKey
from maquette.services import keys, people
from maquette.services.people import Change
from maquette.testing.serving import Served


@pytest.fixture
async def many(serve: Serve) -> AsyncGenerator[Served]:
    """A multi-user server with an administrator `root` and a creator `ann`."""
    async with serve(auth="multi", work=False, logins_per_minute=1000) as served:
        await make(served.house.studio, "root", Role.ADMIN)
        await make(served.house.studio, "ann", Role.CREATOR)
        yield served


async def _made(client: Client, *scopes: str, **more: object) -> tuple[str, str]:
    body = {"name": "backup", "scopes": list(scopes), **more}
    reply = await client.post("/api/keys", json=body)
    assert reply.status_code == 201, reply.text
    return reply.json()["id"], reply.json()["key"]


async def _row(served: Served, key_id: str) -> ApiKey:
    async with served.house.studio.shop.db.read() as session:
        return (await session.execute(select(ApiKey).where(ApiKey.id == key_id))).scalar_one()


async def test_a_key_is_shown_once_and_stored_as_its_hash(many: Served) -> None:
    ann = await signed_in(many, "ann")
    key_id, text = await _made(ann, "read", "write")
    assert text.startswith("mq_")
    assert len(text) == 46
    row = await _row(many, key_id)
    assert len(row.hash) == 64
    assert text not in (row.hash, row.prefix)
    assert text.startswith(row.prefix)
    listed = await ann.get("/api/keys")
    assert text not in listed.text
    (shown,) = listed.json()["items"]
    assert (shown["prefix"], shown["scopes"]) == (text[:11], ["read", "write"])
    me = await bearer(many, text).get("/api/auth/session")
    assert me.json()["via"] == f"key:{key_id}"


async def test_a_key_does_what_its_scopes_allow_and_its_owner_may(many: Served) -> None:
    ann = await signed_in(many, "ann")
    _, reads = await _made(ann, "read")
    _, writes = await _made(ann, "read", "write", "admin")
    body = {"name": "P", "slug": "p"}
    refused = await bearer(many, reads).post("/api/projects", json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
    assert (await bearer(many, writes).post("/api/projects", json=body)).status_code == 201
    assert (await bearer(many, writes).get("/api/users")).status_code == 403


async def test_a_key_makes_no_key_that_allows_more(many: Served) -> None:
    ann = await signed_in(many, "ann")
    _, writes = await _made(ann, "read", "write")
    _, rules = await _made(ann, "read", "admin")
    body = {"name": "child", "scopes": ["read"]}
    assert (await bearer(many, writes).post("/api/keys", json=body)).status_code == 403
    more = {"name": "child", "scopes": ["read", "spend"]}
    beyond = await bearer(many, rules).post("/api/keys", json=more)
    assert (beyond.status_code, beyond.json()["error"]["code"]) == (403, "forbidden")
    assert "'spend'" in beyond.json()["detail"]
    assert (await bearer(many, rules).post("/api/keys", json=body)).status_code == 201


async def test_a_revoked_key_is_nobodys(many: Served) -> None:
    ann = await signed_in(many, "ann")
    key_id, text = await _made(ann, "read")
    assert (await bearer(many, text).get("/api/projects")).status_code == 200
    assert (await ann.delete(f"/api/keys/{key_id}")).status_code == 204
    after = await bearer(many, text).get("/api/projects")
    assert (after.status_code, after.json()["error"]["code"]) == (401, "unauthenticated")
    assert (await ann.get("/api/keys")).json()["items"] == []


async def test_nobody_but_an_administrator_revokes_anothers_key(many: Served) -> None:
    await make(many.house.studio, "bob", Role.CREATOR)
    ann, bob, root = [await signed_in(many, name) for name in ("ann", "bob", "root")]
    key_id, text = await _made(ann, "read")
    hidden = await bob.delete(f"/api/keys/{key_id}")
    unknown = await bob.delete("/api/keys/nothing")
    assert hidden.status_code == unknown.status_code == 404
    assert hidden.json()["error"]["code"] == unknown.json()["error"]["code"] == "not-found"
    assert (await bearer(many, text).get("/api/projects")).status_code == 200
    listed = (await root.get("/api/users/ann/keys")).json()["items"]
    assert [one["id"] for one in listed] == [key_id]
    assert (await root.delete(f"/api/keys/{key_id}")).status_code == 204
    assert (await bearer(many, text).get("/api/projects")).status_code == 401


async def test_a_key_expires(many: Served) -> None:
    ann = await signed_in(many, "ann")
    key_id, text = await _made(ann, "read", days=1)
    async with many.house.studio.shop.db.write() as session:
        row = await session.get_one(ApiKey, key_id)
        assert row.expires_at is not None
        assert timedelta(hours=23) < row.expires_at - datetime.now(UTC) <= timedelta(days=1)
        row.expires_at = datetime.now(UTC)
    assert (await bearer(many, text).get("/api/projects")).status_code == 401


async def test_a_key_rests_while_its_owner_is_disabled(many: Served) -> None:
    _, text = await _made(await signed_in(many, "ann"), "read")
    await people.change(many.house.studio, "ann", Change(disabled=True))
    assert (await bearer(many, text).get("/api/projects")).status_code == 401
    await people.change(many.house.studio, "ann", Change(disabled=False))
    assert (await bearer(many, text).get("/api/projects")).status_code == 200


async def test_when_a_key_was_used_is_written_once_a_minute(
    many: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_id, text = await _made(await signed_in(many, "ann"), "read")
    assert (await _row(many, key_id)).last_used_at is None
    began = moment = datetime.now(UTC)

    def now(_clock: Clock) -> datetime:
        return moment

    monkeypatch.setattr(Clock, "now", now)
    used: list[datetime | None] = []
    for seconds in (0, 59, 61, 100):
        moment = began + timedelta(seconds=seconds)
        assert await keys.known(many.house.studio, text) is not None
        used.append((await _row(many, key_id)).last_used_at)
    later = began + timedelta(seconds=61)
    assert used == [began, began, later, later]


async def test_keys_are_listed_in_pages_newest_first(many: Served) -> None:
    ann = await signed_in(many, "ann")
    made = [(await _made(ann, "read"))[0] for _ in range(5)]
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = (await ann.get("/api/keys", params={"limit": 2, **after})).json()
        seen += [one["id"] for one in page["items"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert seen == made[::-1]


@pytest.mark.parametrize(
    "body",
    [
        {"name": "", "scopes": ["read"]},
        {"name": "a\0b", "scopes": ["read"]},
        {"name": "a", "scopes": []},
        {"name": "a", "scopes": ["everything"]},
        {"name": "a", "scopes": ["read"], "days": 0},
        {"name": "a", "scopes": ["read"], "days": 10**9},
        {"name": "a", "scopes": ["read"], "user": "root"},
    ],
)
async def test_what_no_key_can_be_is_refused(many: Served, body: dict[str, object]) -> None:
    ann = await signed_in(many, "ann")
    assert (await ann.post("/api/keys", json=body)).status_code == 422
