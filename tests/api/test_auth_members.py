"""WEB-5: a project's owners say who is a member."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from tests.api.conftest import Serve
from tests.api.people import Browser, make, signed_in

from maquette.core.people import Role
from maquette.testing.serving import Served


@pytest.fixture
async def many(serve: Serve) -> AsyncGenerator[Served]:
    """A multi-user server with two creators, a viewer and an administrator."""
    async with serve(auth="multi", work=False, logins_per_minute=1000) as served:
        for name in ("ann", "bob"):
            await make(served.house.studio, name, Role.CREATOR)
        await make(served.house.studio, "vic", Role.VIEWER)
        await make(served.house.studio, "root", Role.ADMIN)
        yield served


@pytest.fixture
async def ann(many: Served) -> Browser:
    """The owner of the project `p`."""
    found = await signed_in(many, "ann")
    assert (await found.post("/api/projects", json={"name": "P", "slug": "p"})).status_code == 201
    return found


async def test_a_project_is_its_members(many: Served, ann: Browser) -> None:
    bob = await signed_in(many, "bob")
    hidden = await bob.get("/api/projects/p")
    assert (hidden.status_code, hidden.json()["error"]["code"]) == (404, "project-not-found")
    assert (await bob.get("/api/projects")).json() == []
    joined = await ann.put("/api/projects/p/members/bob", json={"role": "viewer"})
    assert (joined.status_code, joined.json()["role"]) == (200, "viewer")
    assert (await bob.get("/api/projects/p")).status_code == 200
    refused = await bob.put("/api/projects/p/members/vic", json={"role": "viewer"})
    assert refused.status_code == 403
    listed = (await bob.get("/api/projects/p/members")).json()
    assert [(one["name"], one["role"]) for one in listed["items"]] == [
        ("ann", "owner"),
        ("bob", "viewer"),
    ]
    assert (await ann.delete("/api/projects/p/members/bob")).status_code == 204
    assert (await bob.get("/api/projects/p")).status_code == 404
    assert (await ann.delete("/api/projects/p/members/bob")).status_code == 204


async def test_the_last_owner_stays(many: Served, ann: Browser) -> None:
    for reply in (
        await ann.put("/api/projects/p/members/ann", json={"role": "editor"}),
        await ann.delete("/api/projects/p/members/ann"),
    ):
        assert (reply.status_code, reply.json()["error"]["code"]) == (409, "wrong-state")
    await ann.put("/api/projects/p/members/bob", json={"role": "owner"})
    assert (await ann.delete("/api/projects/p/members/ann")).status_code == 204
    assert (await ann.get("/api/projects/p")).status_code == 404
    root = await signed_in(many, "root")
    assert (await root.delete("/api/projects/p/members/bob")).status_code == 409


async def test_a_viewer_of_the_installation_looks_only_whatever_the_project_says(
    many: Served, ann: Browser
) -> None:
    await ann.put("/api/projects/p/members/vic", json={"role": "owner"})
    vic = await signed_in(many, "vic")
    assert (await vic.get("/api/projects/p")).status_code == 200
    refused = await vic.delete("/api/projects/p/members/ann")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")


async def test_nobody_unknown_becomes_a_member(ann: Browser) -> None:
    unknown = await ann.put("/api/projects/p/members/nobody", json={"role": "viewer"})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "user-not-found")
    for body in ({"role": "king"}, {}, {"role": "viewer", "name": "x"}):
        assert (await ann.put("/api/projects/p/members/bob", json=body)).status_code == 422
