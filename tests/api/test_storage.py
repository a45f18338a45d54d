"""LAB-25: where a project's files are and where they are mirrored to, over HTTP."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.api.conftest import Serve
from tests.api.people import make, signed_in

from maquette.core.people import Role
from maquette.services import projects
from maquette.testing.http_server import Exchange, LoopbackServer
from maquette.testing.s3_server import KEYS, S3Server
from maquette.testing.serving import Served

AT = "/api/projects/eugenia_prod"


async def made(served: Served) -> None:
    body = {"name": "Eugenia Prod", "slug": "eugenia_prod"}
    reply = await served.client.post("/api/projects", json=body)
    assert reply.status_code == 201, reply.text


async def put(served: Served, part: str, **body: Any) -> Any:
    reply = await served.client.put(f"{AT}/storage/{part}", json=body)
    assert reply.status_code == 200, reply.text
    return reply.json()


async def test_the_seeds_root_is_written_though_it_is_not_there(served: Served) -> None:
    """§8.8: `PUT …/storage/local` with a path that cannot even be made."""
    await made(served)
    told = await put(served, "local", project_root="/data/iat/eugenia_prod")
    assert told["local"] == {"project_root": "/data/iat/eugenia_prod", "exists": False}
    assert (await served.client.get(f"{AT}/storage")).json() == told
    shown = (await served.client.get(AT)).json()
    assert shown["project_root"] == "/data/iat/eugenia_prod"


async def test_a_root_is_made_when_it_is_first_needed(served: Served, tmp_path: Path) -> None:
    await made(served)
    goal = tmp_path / "deep" / "root"
    await put(served, "local", project_root=str(goal))
    assert not goal.exists()
    studio = served.house.studio
    await projects.at_root(studio, "eugenia_prod", studio.shop.place(goal))
    assert (await served.client.get(f"{AT}/storage")).json()["local"]["exists"] is True


@pytest.mark.parametrize(
    ("root", "code"),
    [
        ("relative/path", "bad-parameter"),
        ("/data/../etc", "unsafe-path"),
        ("/data/\0", "bad-parameter"),
        ("", "bad-parameter"),
    ],
)
async def test_a_root_that_is_none_is_refused(served: Served, root: str, code: str) -> None:
    await made(served)
    reply = await served.client.put(f"{AT}/storage/local", json={"project_root": root})
    assert (reply.status_code, reply.json()["error"]["code"]) == (422, code)


async def test_a_file_is_no_root(served: Served, tmp_path: Path) -> None:
    await made(served)
    (tmp_path / "a-file").write_text("x")
    body = {"project_root": str(tmp_path / "a-file")}
    reply = await served.client.put(f"{AT}/storage/local", json=body)
    assert reply.status_code == 422
    assert "is a file" in reply.json()["detail"]


async def test_two_projects_do_not_share_a_root_that_is_not_there_yet(served: Served) -> None:
    await made(served)
    await put(served, "local", project_root="/data/iat/common")
    await served.client.post("/api/projects", json={"name": "Other", "slug": "other"})
    body = {"project_root": "/data/iat/common/"}
    reply = await served.client.put("/api/projects/other/storage/local", json=body)
    assert reply.status_code == 409
    assert "eugenia_prod" in reply.json()["detail"]


async def test_a_root_of_another_project_is_refused(served: Served) -> None:
    await made(served)
    mine = (await served.client.get(AT)).json()["project_root"]
    await served.client.post("/api/projects", json={"name": "Other", "slug": "other"})
    reply = await served.client.put(
        "/api/projects/other/storage/local", json={"project_root": mine}
    )
    assert reply.status_code == 409


async def test_a_mirror_is_written_and_shown_without_keys(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    await made(served)
    assert (await served.client.get(f"{AT}/storage")).json()["s3"] is None
    told = await put(
        served,
        "s3",
        enabled=True,
        bucket="my-art-bucket",
        prefix="iat-prod",
        region="us-east-1",
        endpoint="https://s3.example",
    )
    assert told["s3"] == {
        "enabled": True,
        "bucket": "my-art-bucket",
        "prefix": "iat-prod",
        "region": "us-east-1",
        "endpoint": "https://s3.example",
        "path_style": None,
        "has_keys": True,
    }
    assert not any(value in json.dumps(told) for value in KEYS.values())


@pytest.mark.parametrize(
    "body",
    [
        {"enabled": True},
        {"bucket": "No Bucket"},
        {"bucket": "bucket", "prefix": "a/../b"},
        {"bucket": "bucket", "prefix": "a//b"},
        {"bucket": "bucket", "region": "nowhere at all"},
        {"bucket": "bucket", "endpoint": "ftp://host"},
        {"bucket": "bucket", "endpoint": "https://user:secret@host"},
        {"bucket": "bucket", "endpoint": "https://host/path"},
        {"bucket": "bucket", "endpoint": "https://host:port"},
        {"bucket": "bucket", "endpoint": "https://[::1"},
        {"bucket": "bucket", "secret_access_key": "x"},
    ],
)
async def test_a_mirror_that_is_none_is_refused(served: Served, body: dict[str, Any]) -> None:
    await made(served)
    reply = await served.client.put(f"{AT}/storage/s3", json=body)
    assert (reply.status_code, reply.json()["error"]["code"]) == (422, "bad-parameter")
    assert (await served.client.get(f"{AT}/storage")).json()["s3"] is None


async def test_a_project_is_synced(
    served: Served, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    await made(served)
    bucket = s3_server.bucket()
    await put(served, "s3", bucket=bucket.bucket, endpoint=bucket.endpoint)
    root = Path((await served.client.get(AT)).json()["project_root"])
    (root / "scenes").mkdir()
    (root / "scenes/a.txt").write_text("mine")
    dry = (await served.client.post(f"{AT}/sync-s3", json={"dry_run": True})).json()
    done = (await served.client.post(f"{AT}/sync-s3", json={"dry_run": False})).json()
    again = (await served.client.post(f"{AT}/sync-s3")).json()
    assert (dry["uploaded"], done["uploaded"], again["uploaded"]) == (2, 2, 0)
    assert again["skipped"] == 2
    assert {one["path"] for one in done["items"]} == {".maquette/owner.json", "scenes/a.txt"}
    assert await s3_server.client(bucket.below("eugenia_prod")).get("scenes/a.txt") == b"mine"


async def test_without_a_mirror_a_sync_says_what_to_do(served: Served) -> None:
    await made(served)
    reply = await served.client.post(f"{AT}/sync-s3", json={"dry_run": False, "delete": False})
    assert reply.status_code == 422
    assert "has no S3 mirror" in reply.json()["detail"]


async def test_a_server_that_is_away_is_said_to_be_away(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    await made(served)
    await put(served, "s3", bucket="some-bucket", endpoint="http://127.0.0.1:9")
    reply = await served.client.post(f"{AT}/sync-s3", json={})
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "storage-unavailable")
    assert not any(value in reply.text for value in KEYS.values())


async def test_where_people_sign_in_only_an_administrator_may_and_below_the_roots(
    serve: Serve, tmp_path: Path
) -> None:
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (allowed / "way-out").symlink_to(tmp_path)
    async with serve(auth="multi", work=False, roots=frozenset({allowed})) as served:
        for name, role in (("boss", Role.ADMIN), ("ann", Role.CREATOR)):
            await make(served.house.studio, name, role)
        ann, boss = await signed_in(served, "ann"), await signed_in(served, "boss")
        body = {"name": "Eugenia Prod", "slug": "eugenia_prod"}
        assert (await ann.post("/api/projects", json=body)).status_code == 201
        good = {"project_root": str(allowed / "new")}
        mirror = {"bucket": "some-bucket"}
        assert (await ann.put(f"{AT}/storage/local", json=good)).status_code == 403
        assert (await ann.put(f"{AT}/storage/s3", json=mirror)).status_code == 403
        for outside in (tmp_path / "new", allowed / "way-out" / "new"):
            given = {"project_root": str(outside)}
            reply = await boss.put(f"{AT}/storage/local", json=given)
            assert reply.status_code == 403, reply.text
            assert "MAQUETTE_SERVER__ROOTS" in reply.json()["detail"]
        assert (await boss.put(f"{AT}/storage/local", json=good)).status_code == 200
        assert (await boss.put(f"{AT}/storage/s3", json=mirror)).status_code == 200
        shown = (await ann.get(f"{AT}/storage")).json()
        assert shown["local"]["project_root"] == good["project_root"]


async def test_a_sync_that_takes_too_long_goes_on(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    go_on, asked = threading.Event(), list[str]()

    def answer(exchange: Exchange) -> None:
        go_on.wait(30)
        asked.append(exchange.path)
        is_list = "list-type" in exchange.path
        exchange.answer(200 if is_list else 404, b"<ListBucketResult></ListBucketResult>")

    with LoopbackServer(answer) as slow:
        async with serve() as served:
            await made(served)
            await put(served, "s3", bucket="some-bucket", endpoint=slow.url)
        async with serve(request_timeout_s=2) as served:
            reply = await served.client.post(f"{AT}/sync-s3", json={"dry_run": True})
            assert (reply.status_code, reply.json()["error"]["code"]) == (504, "request-timed-out")
            assert asked == []
            go_on.set()
            await served.house.studio.errands.all_done()
    assert len(asked) == 3, "two lists, and whose mirror it is"


async def test_a_server_that_stops_gives_a_sync_up(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would never end: the bucket takes the request and does not answer."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    asked, go_on = threading.Event(), threading.Event()

    def answer(exchange: Exchange) -> None:
        asked.set()
        go_on.wait(60)
        exchange.answer(503, b"")

    with LoopbackServer(answer) as stuck:
        async with serve() as served:
            await made(served)
            await put(served, "s3", bucket="some-bucket", endpoint=stuck.url)
            waiting = asyncio.create_task(served.client.post(f"{AT}/sync-s3"))
            assert await asyncio.to_thread(asked.wait, 30)
            served.house.stop()
            reply = await waiting
            assert (reply.status_code, reply.json()["error"]["code"]) == (503, "shutting-down")
            await served.house.studio.errands.all_done()
        go_on.set()
