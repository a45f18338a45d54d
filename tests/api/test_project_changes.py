"""Changing a project: its name, whom it notifies, how much it may hold."""

from __future__ import annotations

from typing import Any

import pytest
from tests.conftest import Opener

from maquette.core.errors import Forbidden
from maquette.core.people import Caller, Role
from maquette.services import projects
from maquette.services.projects import Changes
from maquette.testing.serving import Served


async def _made(served: Served) -> None:
    made = await served.client.post("/api/projects", json={"name": "P", "slug": "p"})
    assert made.status_code == 201, made.text


async def test_what_is_left_out_stays_as_it_is(served: Served) -> None:
    await _made(served)
    hook = "https://hooks.example:8443/services/T0/secret"
    body = {"name": "Posters", "notify_url": hook, "quota_bytes": 10**9}
    first = (await served.client.patch("/api/projects/p", json=body)).json()
    assert (first["name"], first["quota_bytes"]) == ("Posters", 10**9)
    assert first["notifies"] == "https://hooks.example:8443/…"
    same = (await served.client.patch("/api/projects/p", json={})).json()
    assert same == first
    off = {"notify_url": None, "quota_bytes": None}
    last = (await served.client.patch("/api/projects/p", json=off)).json()
    assert (last["name"], last["notifies"], last["quota_bytes"]) == ("Posters", None, None)
    assert "secret" not in (await served.client.get("/api/projects")).text


@pytest.mark.parametrize(
    "body",
    [
        {"name": None},
        {"name": ""},
        {"notify_url": "ftp://example.org"},
        {"notify_url": "https://user:word@example.org"},
        {"notify_url": "https://"},
        {"notify_url": "https://[::1"},
        {"notify_url": "https://example.org:99999"},
        {"notify_url": "https://example.org/a b"},
        {"notify_url": f"https://{'x' * 64}.example.org"},
        {"notify_url": "https://example..org"},
        {"quota_bytes": -1},
        {"slug": "q"},
    ],
)
async def test_a_change_that_cannot_be_is_refused(served: Served, body: dict[str, Any]) -> None:
    await _made(served)
    reply = await served.client.patch("/api/projects/p", json=body)
    assert reply.status_code == 422, reply.text


async def test_only_an_administrator_says_how_much_a_project_may_hold(open_studio: Opener) -> None:
    ann = Caller("ann", "ann", Role.CREATOR)
    async with open_studio() as studio:
        await projects.create(studio, "p", name="P", root=None, default_root=True)
        changed = await projects.change(studio, "p", Changes(name="Q"), ann)
        assert changed.name == "Q"
        with pytest.raises(Forbidden, match="administrator"):
            await projects.change(studio, "p", Changes(quota_bytes=1), ann)
