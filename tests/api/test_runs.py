"""Runs over HTTP: planned, begun on confirmation, worked by the server, cancelled, made again."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.api.conftest import Serve

from maquette.db.tables import IdempotencyKey
from maquette.services import keeping, people
from maquette.testing.scripted import Books
from maquette.testing.serving import Served

PAID: dict[str, Any] = {"model": "scripted:paid", "prompt": "dusk", "confirm_spend": True}


@pytest.fixture(autouse=True)
def home_scenes(tmp_path: Path, scenes: Path) -> Path:
    """The two scenes, where a project `p` of the server will look for them."""
    folder = tmp_path / "home" / "projects" / "p" / "scenes"
    shutil.copytree(scenes, folder)
    return folder


async def project(client: httpx2.AsyncClient, slug: str = "p") -> str:
    made = await client.post("/api/projects", json={"name": slug, "slug": slug})
    assert made.status_code == 201, made.text
    return f"/api/projects/{slug}"


async def ended(client: httpx2.AsyncClient, path: str, run_id: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            shown: dict[str, Any] = (await client.get(f"{path}/runs/{run_id}")).json()
            if shown["finished_at"] is not None and shown["state"] not in ("queued", "running"):
                return shown
            await asyncio.sleep(0.05)


async def test_a_run_is_planned_for_free_and_refused_without_confirmation(
    served: Served, books: Books
) -> None:
    path = await project(served.client)
    wanted = {**PAID, "confirm_spend": False}
    planned = await served.client.post(f"{path}/runs/dry", json=wanted)
    assert planned.status_code == 200, planned.text
    assert planned.json()["worst_case_usd"] == "0.08"
    assert planned.json()["needs_confirmation"]
    assert [one["scene"] for one in planned.json()["scenes"]] == ["coast", "dunes"]
    refused = await served.client.post(f"{path}/runs", json=wanted)
    assert refused.status_code == 402
    assert refused.json()["error"]["code"] == "spend-not-confirmed"
    assert books.paid_calls == 0


async def test_a_confirmed_run_is_worked_by_the_server_and_told_without_paths(
    served: Served, home_scenes: Path, books: Books
) -> None:
    path = await project(served.client)
    begun = await served.client.post(f"{path}/runs", json=PAID)
    assert begun.status_code == 201, begun.text
    shown = await ended(served.client, path, begun.json()["id"])
    assert shown["state"] == "succeeded"
    assert shown["spent_usd"] == "0.08"
    assert books.paid_calls == 2
    assert str(home_scenes.parent) not in str(shown)
    assert begun.json()["correlation_id"] == begun.headers["X-Correlation-ID"]
    job = (await served.client.get(f"{path}/jobs/{shown['jobs'][0]['id']}")).json()
    assert [one["settled_usd"] for one in job["attempts"]] == ["0.04"]
    assert job["candidates"][0]["selected"]
    page = (await served.client.get(f"{path}/jobs", params={"limit": 1})).json()
    rest = await served.client.get(f"{path}/jobs", params={"limit": 5, "before": page["next"]})
    assert len(rest.json()["items"]) == 1


async def test_the_same_key_begins_one_run_and_another_body_is_refused(
    served: Served, books: Books
) -> None:
    path = await project(served.client)
    key = {"Idempotency-Key": "one-click"}
    first = await served.client.post(f"{path}/runs", json=PAID, headers=key)
    again = await served.client.post(f"{path}/runs", json=PAID, headers=key)
    assert again.status_code == 201
    assert again.json() == first.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    other = await served.client.post(f"{path}/runs", json={**PAID, "prompt": "x"}, headers=key)
    assert other.status_code == 409
    assert other.json()["error"]["code"] == "idempotency-mismatch"
    await ended(served.client, path, first.json()["id"])
    assert books.paid_calls == 2


async def test_a_key_of_a_refused_request_is_free_again(served: Served) -> None:
    path = await project(served.client)
    key = {"Idempotency-Key": "k"}
    refused = await served.client.post(
        f"{path}/runs", json={**PAID, "confirm_spend": False}, headers=key
    )
    assert refused.status_code == 402
    assert (await served.client.post(f"{path}/runs", json=PAID, headers=key)).status_code == 201


async def test_a_run_that_was_made_before_the_answer_was_lost_is_not_made_twice(
    serve: Serve,
) -> None:
    """The process died after the run's commit and before the reply was kept."""
    async with serve(work=False) as served:
        path = await project(served.client)
        key = {"Idempotency-Key": "k"}
        first = await served.client.post(f"{path}/runs", json=PAID, headers=key)
        async with served.house.studio.shop.db.write() as session:
            row = await session.get_one(IdempotencyKey, (f"user:{await _user(served)}", "k"))
            row.state, row.status, row.reply = "working", None, None
        again = await served.client.post(f"{path}/runs", json=PAID, headers=key)
        assert again.status_code == 201, again.text
        assert again.json()["id"] == first.json()["id"]
        assert len((await served.client.get(f"{path}/runs")).json()["items"]) == 1


async def _user(served: Served) -> str:
    return (await people.local(served.house.studio)).user_id


async def test_a_waiting_job_is_hurried_cancelled_and_tried_again(
    serve: Serve, books: Books
) -> None:
    async with serve(work=False) as served:
        path = await project(served.client)
        run = (await served.client.post(f"{path}/runs", json=PAID)).json()
        first, second = (job["id"] for job in run["jobs"])
        hurried = await served.client.patch(f"{path}/jobs/{second}", json={"priority": 9})
        assert hurried.json()["priority"] == 9
        cancelled = await served.client.post(f"{path}/jobs/{first}/cancel")
        assert cancelled.status_code == 202
    async with serve() as served:
        shown = await ended(served.client, path, run["id"])
        states = {job["id"]: job["state"] for job in shown["jobs"]}
        assert states == {first: "cancelled", second: "succeeded"}
        assert books.paid_calls == 1
        again = await served.client.post(f"{path}/jobs/{first}/retry", json={"confirm_spend": True})
        assert again.status_code == 202, again.text
        shown = await ended(served.client, path, run["id"])
        assert shown["state"] == "succeeded"
        assert books.paid_calls == 2
        twice = await served.client.post(f"{path}/jobs/{first}/retry", json={})
        assert twice.status_code == 409


async def test_scenes_are_named_by_assets_and_lineage_goes_on(served: Served) -> None:
    path = await project(served.client)
    run = (await served.client.post(f"{path}/runs", json=PAID)).json()
    shown = await ended(served.client, path, run["id"])
    asset = shown["jobs"][0]["final_asset"]
    wanted = {**PAID, "scenes": [asset]}
    second = await served.client.post(f"{path}/runs", json=wanted)
    assert second.status_code == 201, second.text
    done = await ended(served.client, path, second.json()["id"])
    assert done["state"] == "succeeded"
    family = await keeping.lineage(served.house.studio, done["jobs"][0]["final_asset"])
    grand = [one.asset.id for parent in family.parents for one in parent.further]
    assert grand == [asset]


@pytest.mark.parametrize("scene", ["/etc/passwd", "../../app.db", ".maquette/owner.json", "nope"])
async def test_no_path_leads_out_of_the_root(served: Served, scene: str) -> None:
    path = await project(served.client)
    refused = await served.client.post(f"{path}/runs/dry", json={**PAID, "scenes": [scene]})
    assert refused.status_code in (404, 422), refused.text
    assert refused.json()["error"]["code"] in ("unsafe-path", "file-missing")


@pytest.mark.parametrize("text", ["\\u0000", "\\ud800"])
async def test_text_that_no_database_keeps_is_refused(served: Served, text: str) -> None:
    path = await project(served.client)
    reply = await served.client.post(
        f"{path}/runs/dry",
        content=f'{{"prompt": "{text}"}}',
        headers={"Content-Type": "application/json"},
    )
    assert (reply.status_code, reply.json()["error"]["code"]) == (422, "bad-parameter")
