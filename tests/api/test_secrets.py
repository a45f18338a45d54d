"""Secrets over HTTP: kept, shown by their ends only, removed; a canary never comes out."""

from __future__ import annotations

import logging
import os
import subprocess
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import select

from maquette.core.people import Caller, Needs, ProjectRole, Role, may
from maquette.db.tables import IdempotencyKey
from maquette.testing.serving import Served

CANARY = "sk-CANARY-never-to-be-seen-k3Qz"
SECRETS = "/api/projects/p/secrets"
BODY = {"provider_code": "openai", "secret_name": "api_key", "secret_value": CANARY}


@pytest.fixture
async def client(served: Served) -> httpx2.AsyncClient:
    made = await served.client.post("/api/projects", json={"name": "P", "slug": "p"})
    assert made.status_code == 201
    return served.client


async def test_a_secret_is_kept_listed_masked_replaced_and_removed(
    client: httpx2.AsyncClient,
) -> None:
    """LAB-20: as the seed's routes."""
    first = await client.post(SECRETS, json=BODY)
    assert first.status_code == 201, first.text
    again = await client.post(SECRETS, json=BODY | {"secret_value": "sk-another-value-9Xyz"})
    assert again.status_code == 200
    listed = (await client.get(SECRETS)).json()
    assert listed["next"] is None
    [one] = listed["items"]
    assert one.pop("updated_at")
    assert one == {
        "provider_code": "openai",
        "secret_name": "api_key",
        "environment_name": "OPENAI_API_KEY",
        "masked": "…9Xyz",
        "problem": None,
    }
    gone = await client.delete(f"{SECRETS}/openai/api_key")
    assert (gone.status_code, gone.content) == (204, b"")
    twice = await client.delete(f"{SECRETS}/openai/api_key")
    assert (twice.status_code, twice.json()["error"]["code"]) == (404, "secret-not-found")
    assert (await client.get(SECRETS)).json()["items"] == []


@pytest.mark.parametrize(("value", "shown"), [("12345678901", "…"), ("123456789012", "…9012")])
async def test_of_a_short_secret_nothing_is_shown(
    client: httpx2.AsyncClient, value: str, shown: str
) -> None:
    made = await client.post(SECRETS, json=BODY | {"secret_value": value})
    assert made.json()["masked"] == shown


async def test_a_long_list_comes_in_pages(client: httpx2.AsyncClient) -> None:
    for provider in ("b", "a"):
        for name in ("y", "x"):
            body = BODY | {"provider_code": provider, "secret_name": name}
            assert (await client.post(SECRETS, json=body)).status_code == 201
    found: list[str] = []
    after: str | None = None
    for _ in range(3):
        params = {"limit": "2"} | ({} if after is None else {"after": after})
        page = (await client.get(SECRETS, params=params)).json()
        found += [f"{one['provider_code']}{one['secret_name']}" for one in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert found == ["ax", "ay", "bx", "by"]
    assert after is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"provider_code": "Open AI"},
        {"provider_code": "a" * 65},
        {"secret_name": ""},
        {"secret_name": "a\x00b"},
        {"secret_value": ""},
        {"secret_value": " \n "},
        {"secret_value": f"{CANARY}\x00"},
        {"secret_value": CANARY + "x" * 8192},
        {"secret_value": [CANARY]},
        {"more": CANARY},
    ],
)
async def test_what_cannot_be_a_secret_is_refused_and_not_repeated(
    client: httpx2.AsyncClient, wrong: dict[str, object]
) -> None:
    reply = await client.post(SECRETS, json=BODY | wrong)
    assert reply.status_code == 422, reply.text
    assert "CANARY" not in reply.text
    assert (await client.get(SECRETS)).json()["items"] == []


def test_a_viewer_sees_no_secret_and_an_editor_sets_none() -> None:
    person = Caller("u", "U", Role.CREATOR)
    assert not may(person, Needs.PROJECT_EDITOR, ProjectRole.VIEWER)
    assert not may(person, Needs.PROJECT_OWNER, ProjectRole.EDITOR)


async def test_the_doors_are_those(served: Served) -> None:
    paths = (await served.client.get("/openapi.json")).json()["paths"]
    many, one = f"{SECRETS}".replace("/p/", "/{slug}/"), "/{provider_code}/{secret_name}"
    assert paths[many]["get"]["x-needs"] == "project_editor"
    assert paths[many]["post"]["x-needs"] == "project_owner"
    assert paths[many + one]["delete"]["x-needs"] == "project_owner"


async def test_a_lost_master_key_is_named_and_nothing_is_overwritten(
    client: httpx2.AsyncClient, served: Served
) -> None:
    assert (await client.post(SECRETS, json=BODY)).status_code == 201
    home = served.house.studio.home
    known = served.house.studio.vault.current().id
    aside = (home / "master.key").rename(home / "aside")
    [one] = (await client.get(SECRETS)).json()["items"]
    assert one["masked"] == "…"
    assert known in one["problem"]
    aside.replace(home / "master.key")
    [one] = (await client.get(SECRETS)).json()["items"]
    assert (one["masked"], one["problem"]) == ("…k3Qz", None)


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
async def test_a_key_file_that_others_can_read_stops_the_setting(
    client: httpx2.AsyncClient, served: Served
) -> None:
    served.house.studio.vault.current()
    (served.house.studio.home / "master.key").chmod(0o644)
    reply = await client.post(SECRETS, json=BODY)
    assert (reply.status_code, reply.json()["error"]["code"]) == (409, "secrets-locked")
    assert "chmod 600" in reply.json()["detail"]


async def test_the_canary_is_nowhere(
    client: httpx2.AsyncClient,
    served: Served,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Not in replies, events, logs, the database's files, or any process's arguments."""
    caplog.set_level(logging.DEBUG)
    said = [
        await client.post(SECRETS, json=BODY),
        await client.post(SECRETS, json=BODY),
        await client.post(SECRETS, json=BODY | {"secret_name": "BAD"}),
        await client.get(SECRETS),
        await client.post(SECRETS, content=f'{{"secret_value": "{CANARY}'.encode()),
    ]
    studio = served.house.studio
    project = (await client.get("/api/projects/p")).json()
    assert CANARY not in str(project)
    assert all("CANARY" not in one.text and "CANARY" not in str(one.headers) for one in said)
    from maquette.services import projects  # noqa: PLC0415 - beside its only use

    keys = await studio.keys_of((await projects.find(studio, "p")).id)
    assert keys.get("OPENAI_API_KEY").get_secret_value() == CANARY
    assert "CANARY" not in repr(keys) + repr(studio)
    assert "CANARY" not in caplog.text
    assert "CANARY" not in "".join(capfd.readouterr())
    for path in Path(studio.home).rglob("*"):
        if path.is_file():
            assert CANARY.encode() not in path.read_bytes(), path
    assert CANARY not in _arguments()


def _arguments() -> str:
    """Return how every process of this machine was called."""
    return subprocess.run(
        ["ps", "-eo", "args"], capture_output=True, text=True, check=False, timeout=30
    ).stdout


async def test_the_master_key_is_replaced_and_every_secret_stays_readable(
    client: httpx2.AsyncClient,
) -> None:
    await client.post(SECRETS, json=BODY)
    first = await client.post("/api/secrets/rotate-key")
    assert first.status_code == 200, first.text
    assert first.json()["secrets"] == 1
    second = (await client.post("/api/secrets/rotate-key")).json()
    assert second["key_id"] != first.json()["key_id"]
    [one] = (await client.get(SECRETS)).json()["items"]
    assert (one["masked"], one["problem"]) == ("…k3Qz", None)
    assert CANARY not in first.text


async def test_no_digest_of_a_secret_is_kept_under_an_idempotency_key(
    client: httpx2.AsyncClient, served: Served
) -> None:
    kept = await client.post(SECRETS, json=BODY, headers={"Idempotency-Key": "once"})
    assert kept.status_code == 201
    async with served.house.studio.shop.db.read() as session:
        assert (await session.execute(select(IdempotencyKey))).first() is None
