"""Live events: nothing missed, nothing twice, across reconnects, restarts and processes."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.api.conftest import Serve
from tests.api.test_runs import PAID, ended, project
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from maquette.testing.scripted import Books
from maquette.testing.serving import Served

Told = dict[str, Any]


@pytest.fixture(autouse=True)
def home_scenes(tmp_path: Path, scenes: Path) -> None:
    shutil.copytree(scenes, tmp_path / "home" / "projects" / "p" / "scenes")


async def stream(
    client: httpx2.AsyncClient, path: str, last: int | None = None
) -> AsyncGenerator[Told]:
    """Read a stream as a browser does; ends when the server ends it."""
    headers = {} if last is None else {"Last-Event-ID": str(last)}
    async with client.stream("GET", path, headers=headers, timeout=60) as reply:
        assert reply.status_code == 200
        async for line in reply.aiter_lines():
            if line.startswith("data:"):
                yield json.loads(line.removeprefix("data:"))


async def until(events: AsyncGenerator[Told], kind: str) -> list[Told]:
    found: list[Told] = []
    async with asyncio.timeout(60):
        async for event in events:
            found.append(event)
            if event.get("kind") == kind:
                break
    await events.aclose()
    return found


async def begun(client: httpx2.AsyncClient) -> tuple[str, str]:
    path = await project(client)
    run = await client.post(f"{path}/runs", json=PAID)
    return path, run.json()["id"]


async def test_a_stream_tells_a_run_from_its_beginning_to_its_end(served: Served) -> None:
    path, run = await begun(served.client)
    told = await until(stream(served.client, f"{path}/events", 0), "run_ended")
    kinds = [one.get("kind") for one in told[1:]]
    assert kinds[0] == "run_queued"
    assert {"job_started", "sent", "settled", "step_done", "guarded", "job_ended"} <= set(kinds)
    assert {one["run"] for one in told[1:]} == {run}
    ids = [one["id"] for one in told[1:]]
    assert ids == sorted(set(ids))


async def test_reconnecting_at_any_event_misses_nothing_and_repeats_nothing(
    served: Served,
) -> None:
    path, run = await begun(served.client)
    await ended(served.client, path, run)
    whole = await until(stream(served.client, f"{path}/events", 0), "run_ended")
    ids = [one["id"] for one in whole[1:]]
    for position in (0, 1, len(ids) // 2, len(ids) - 2):
        rest = await until(stream(served.client, f"{path}/events", ids[position]), "run_ended")
        assert [one["id"] for one in rest[1:]] == ids[position + 1 :]


async def test_a_job_and_a_run_are_followed_by_themselves(served: Served) -> None:
    path, run = await begun(served.client)
    shown = await ended(served.client, path, run)
    job = shown["jobs"][1]["id"]
    told = await until(stream(served.client, f"{path}/jobs/{job}/events", 0), "job_ended")
    assert {one["job"] for one in told[1:]} == {job}
    told = await until(stream(served.client, f"{path}/runs/{run}/events", 0), "run_ended")
    assert {one["run"] for one in told[1:]} == {run}
    gone = await served.client.get(f"{path}/jobs/nothing/events")
    assert gone.json()["error"]["code"] == "job-not-found"


async def test_a_socket_tells_the_same(served: Served) -> None:
    path, run = await begun(served.client)
    await ended(served.client, path, run)
    whole = await until(stream(served.client, "/api/events", 0), "run_ended")
    address = f"{served.url.replace('http', 'ws')}/api/ws?last_event_id=0"
    async with connect(address) as socket:
        told = [json.loads(await socket.recv()) for _ in whole]
    assert told[0] == {"kind": "ready", "id": 0}
    assert told[1:] == whole[1:]


@pytest.mark.parametrize(
    ("path", "origin", "status"),
    [
        ("/api/ws", "http://evil.example", 403),
        ("/api/projects/nowhere/ws", None, 404),
        ("/api/ws?last_event_id=x", None, 422),
    ],
)
async def test_a_socket_is_denied_with_the_same_words(
    served: Served, path: str, origin: str | None, status: int
) -> None:
    headers = {} if origin is None else {"Origin": origin}
    with pytest.raises(InvalidStatus) as denied:
        async with connect(served.url.replace("http", "ws") + path, additional_headers=headers):
            pass
    assert denied.value.response.status_code == status


async def test_a_stopping_server_lets_its_followers_go(serve: Serve) -> None:
    async with serve() as served:
        path = await project(served.client)
        client = httpx2.AsyncClient(base_url=served.url)
        events = stream(client, f"{path}/events")
        await anext(events)
        following = asyncio.create_task(until(events, "never"))
    assert await following == []
    await client.aclose()


async def test_events_of_another_process_are_told_too(serve: Serve, books: Books) -> None:
    """Two servers on one home: the second works the run, the first tells of it."""
    async with serve(work=False) as first, serve() as second:
        path, run = await begun(first.client)
        told = await until(stream(first.client, f"{path}/events", 0), "run_ended")
        assert told[-1]["run"] == run
        assert books.paid_calls == 2
        await ended(second.client, path, run)


@pytest.mark.timeout(900)
async def test_two_hundred_followers_see_fifty_jobs_once_each_across_a_restart(
    serve: Serve, tmp_path: Path, scenes: Path
) -> None:
    picture = (scenes / "coast.png").read_bytes()
    folder = tmp_path / "home" / "projects" / "p" / "scenes"
    for number in range(48):
        (folder / f"scene{number:02}.png").write_bytes(picture)
    seen: list[list[int]] = [[] for _ in range(200)]
    over, enough = asyncio.Event(), asyncio.Event()

    async def follow(client: httpx2.AsyncClient, mine: list[int], path: str) -> None:
        async for event in stream(client, f"{path}/events", mine[-1] if mine else 0):
            if event["kind"] == "ready":
                continue
            mine.append(event["id"])
            if len(mine) == 40:
                enough.set()
            if event["kind"] == "run_ended":
                over.set()
                return

    async def all_follow(served: Served, path: str) -> None:
        limits = httpx2.Limits(max_connections=None)
        async with httpx2.AsyncClient(base_url=served.url, limits=limits, timeout=120) as client:
            await asyncio.gather(*(follow(client, mine, path) for mine in seen))

    async with serve(per_minute=10_000) as served:
        path = await project(served.client)
        run = await served.client.post(f"{path}/runs", json={**PAID, "model": "scripted:free"})
        assert run.status_code == 201, run.text
        following = asyncio.create_task(all_follow(served, path))
        async with asyncio.timeout(60):
            await enough.wait()
    await following
    assert not over.is_set()
    async with serve(per_minute=10_000) as served:
        async with asyncio.timeout(500):
            await all_follow(served, path)
        whole = await until(stream(served.client, f"{path}/events", 0), "run_ended")
    ids = [one["id"] for one in whole[1:]]
    assert sum(one["kind"] == "job_ended" for one in whole[1:]) == 50
    assert all(mine == ids for mine in seen)
