"""A project leaves over HTTP, and arrives."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from tests.api.conftest import Serve

from maquette.imaging import png
from maquette.services import exporting, pictures, projects
from maquette.services.inputs import load
from maquette.testing.serving import Served


async def filled(served: Served, tmp_path: Path, slug: str = "demo") -> None:
    """Make a project with one picture."""
    made = await served.client.post("/api/projects", json={"name": "Demo", "slug": slug})
    assert made.status_code == 201, made.text
    studio = served.house.studio
    project = await projects.find(studio, slug)
    assert project.root is not None
    path = tmp_path / "given.png"
    rng = np.random.default_rng(1)
    path.write_bytes(png.write(rng.integers(0, 256, (24, 32, 3), np.uint8)))
    given = await load(studio.shop.pool, path, "picture")
    await pictures.take_in(studio, studio.shop.place(project.root), project, given, kind="source")


async def ended(client: httpx2.AsyncClient, export: dict[str, Any]) -> dict[str, Any]:
    """Ask until the export is no longer being made."""
    url = f"/api/projects/{export['project']}/exports/{export['id']}"
    while True:
        told = (await client.get(url)).json()
        if told["state"] != "running":
            return told
        await asyncio.sleep(0.02)


async def exported(served: Served) -> dict[str, Any]:
    begun = await served.client.post("/api/projects/demo/export")
    assert begun.status_code == 202, begun.text
    assert begun.json()["state"] == "running"
    return await ended(served.client, begun.json())


async def test_a_project_goes_out_and_comes_back_as_a_copy(served: Served, tmp_path: Path) -> None:
    """LAB-22, LAB-25: the seed's `POST …/export`."""
    await filled(served, tmp_path)
    told = await exported(served)
    assert told["state"] == "succeeded", told
    fetched = await served.client.get(told["file"])
    assert fetched.status_code == 200
    assert len(fetched.content) == told["size_bytes"]
    assert fetched.headers["content-type"] == "application/gzip"
    again = await served.client.post("/api/projects/import", content=fetched.content)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "already-exists")
    copy = await served.client.post(
        "/api/projects/import", params={"as": "copy"}, content=fetched.content
    )
    assert copy.status_code == 201, copy.text
    assert copy.json() == {
        "slug": "copy",
        "name": "Demo",
        "runs": 0,
        "assets": 1,
        "objects": 1,
        "files": 0,
        "missing": 0,
    }
    listed = (await served.client.get("/api/projects")).json()
    assert sorted(one["slug"] for one in listed) == ["copy", "demo"]


async def test_a_download_that_was_interrupted_goes_on(served: Served, tmp_path: Path) -> None:
    await filled(served, tmp_path)
    told = await exported(served)
    whole = (await served.client.get(told["file"])).content
    rest = await served.client.get(told["file"], headers={"Range": "bytes=100-"})
    assert (rest.status_code, rest.content) == (206, whole[100:])
    assert rest.headers["Content-Range"] == f"bytes 100-{len(whole) - 1}/{len(whole)}"
    outside = await served.client.get(told["file"], headers={"Range": f"bytes={len(whole)}-"})
    assert (outside.status_code, outside.json()["error"]["code"]) == (416, "range-outside")


async def test_exports_are_listed_and_deleted(served: Served, tmp_path: Path) -> None:
    await filled(served, tmp_path)
    told = await exported(served)
    page = (await served.client.get("/api/projects/demo/exports")).json()
    assert page == {"items": [told], "next": None}
    url = f"/api/projects/demo/exports/{told['id']}"
    assert (await served.client.delete(url)).status_code == 204
    assert (await served.client.get(url)).status_code == 404
    assert list((served.house.studio.home / "exports").iterdir()) == []


async def test_a_file_that_is_gone_is_no_surprise(served: Served, tmp_path: Path) -> None:
    await filled(served, tmp_path)
    told = await exported(served)
    for path in (served.house.studio.home / "exports").iterdir():
        path.unlink()
    reply = await served.client.get(told["file"])
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "file-missing")


async def test_what_a_dead_server_left_is_failed_when_the_next_one_starts(
    serve: Serve, tmp_path: Path
) -> None:
    async with serve() as served:
        await filled(served, tmp_path)
        left = await exporting.begin(served.house.studio, "demo")
    async with serve() as served:
        told = (await served.client.get(f"/api/projects/demo/exports/{left.id}")).json()
    assert told["state"] == "failed"
    assert "export again" in told["error"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [(b"no archive", 422, "archive-damaged"), (b"", 422, "archive-damaged")],
)
async def test_a_damaged_archive_is_refused(
    served: Served, body: bytes, status: int, code: str
) -> None:
    reply = await served.client.post("/api/projects/import", content=body)
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
    assert (await served.client.get("/api/projects")).json() == []


async def test_an_archive_over_the_limit_is_not_read_to_its_end(serve: Serve) -> None:
    async with serve(archive_mb=1) as served:
        reply = await served.client.post("/api/projects/import", content=bytes(2 * 1024 * 1024))
    assert (reply.status_code, reply.json()["error"]["code"]) == (413, "request-too-large")


async def test_snapshots_over_http(served: Served, tmp_path: Path) -> None:
    """LAB-21."""
    await filled(served, tmp_path)
    url = "/api/projects/demo/snapshots"
    made = await served.client.post(url, json={"name": "before the party"})
    assert made.status_code == 201, made.text
    assert made.json()["counts"]["assets"] == 1
    taken = await served.client.post(url, json={"name": "before the party"})
    assert taken.status_code == 409
    assert (await served.client.post(url, json={"name": "a\x00b"})).status_code == 422
    one = f"{url}/{made.json()['id']}"
    assert (await served.client.get(one)).json() == made.json()
    assert (await served.client.get(url)).json()["items"] == [made.json()]
    assert (await served.client.post(f"{one}/restore")).json() == []
    assert (await served.client.delete(one)).status_code == 204
    assert (await served.client.get(one)).status_code == 404


async def test_a_project_is_deleted(served: Served, tmp_path: Path) -> None:
    await filled(served, tmp_path)
    project = await projects.find(served.house.studio, "demo")
    assert project.root is not None
    gone = await served.client.delete("/api/projects/demo", params={"files": True})
    assert gone.status_code == 200, gone.text
    assert gone.json()["deleted"]
    assert not Path(project.root).exists()
    assert Path(gone.json()["moved_to"]).is_dir()
    assert (await served.client.get("/api/projects/demo")).status_code == 404
