"""The server starts, says how it is, and refuses what a page of another site sends."""

from __future__ import annotations

import asyncio
import time

import pytest
from tests.api.conftest import Serve

from maquette.api.server import check_host
from maquette.core.errors import BadParameter
from maquette.settings import ServerSettings, load
from maquette.testing.serving import Served


async def test_health_names_what_every_surface_looks_for(served: Served) -> None:
    told = (await served.client.get("/health")).json()
    assert told["status"] == "ok"
    assert told["live"]
    assert told["ready"]
    assert told["queue"]["queued"] == 0


async def test_a_correlation_id_comes_back_and_a_wild_one_is_replaced(served: Served) -> None:
    kept = await served.client.get("/health", headers={"X-Correlation-ID": "job-7"})
    assert kept.headers["X-Correlation-ID"] == "job-7"
    wild = await served.client.get("/health", headers={"X-Correlation-ID": 'a"b c'})
    assert len(wild.headers["X-Correlation-ID"]) == 36


async def test_every_error_has_the_one_body(served: Served) -> None:
    reply = await served.client.get("/api/projects/nowhere")
    assert reply.status_code == 404
    assert reply.headers["content-type"] == "application/problem+json"
    body = reply.json()
    assert body["type"] == "/problems/project-not-found"
    assert body["error"]["code"] == "project-not-found"
    assert body["detail"] == body["error"]["message"]
    assert body["success"] is False
    assert body["correlation_id"] == reply.headers["X-Correlation-ID"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 201),
        ({"Origin": "http://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "evil.example"}, 403),
    ],
)
async def test_only_our_own_pages_may_change_anything(
    served: Served, headers: dict[str, str], status: int
) -> None:
    body = {"name": "P", "slug": "p"}
    reply = await served.client.post("/api/projects", json=body, headers=headers)
    assert reply.status_code == status, reply.text


async def test_a_project_is_made_listed_and_shown(served: Served) -> None:
    body = {"name": "Eugenia Prod", "slug": "eugenia_prod"}
    made = await served.client.post("/api/projects", json=body)
    assert made.status_code == 201, made.text
    assert made.json()["slug"] == "eugenia_prod"
    listed = (await served.client.get("/api/projects")).json()
    assert [one["slug"] for one in listed] == ["eugenia_prod"]
    again = await served.client.post("/api/projects", json=body)
    assert again.status_code == 409


async def test_what_is_not_there_and_wrong_methods_are_problems_too(served: Served) -> None:
    nowhere = await served.client.get("/nowhere")
    assert (nowhere.status_code, nowhere.json()["error"]["code"]) == (404, "no-such-route")
    wrong = await served.client.delete("/health")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method-not-allowed")
    assert wrong.headers["Allow"]


def test_strangers_are_not_let_in_where_nobody_signs_in() -> None:
    with pytest.raises(BadParameter, match="MAQUETTE_SERVER__AUTH=multi"):
        check_host("0.0.0.0", load())  # noqa: S104 - that is what is refused
    check_host("0.0.0.0", load(server=ServerSettings(auth="multi")))  # noqa: S104 - as above
    check_host("::1", load())


async def test_pages_of_an_allowed_site_may_call_and_read_the_headers(serve: Serve) -> None:
    site = "https://studio.example"
    async with serve(origins=frozenset({site})) as served:
        asked = {"Origin": site, "Access-Control-Request-Method": "POST"}
        before = await served.client.options("/api/projects", headers=asked)
        assert before.headers["Access-Control-Allow-Origin"] == site
        body = {"name": "P", "slug": "p"}
        made = await served.client.post("/api/projects", json=body, headers={"Origin": site})
        assert made.status_code == 201
        assert "X-Correlation-ID" in made.headers["Access-Control-Expose-Headers"]
        other = {**asked, "Origin": "https://evil.example"}
        refused = await served.client.options("/api/projects", headers=other)
        assert "Access-Control-Allow-Origin" not in refused.headers


async def test_a_body_over_the_limit_is_refused_unread(served: Served) -> None:
    body = {"name": "x" * 2_000_000, "slug": "p"}
    reply = await served.client.post("/api/projects", json=body)
    assert (reply.status_code, reply.json()["error"]["code"]) == (413, "request-too-large")


async def test_over_the_limit_of_requests_one_is_told_how_long_to_wait(serve: Serve) -> None:
    async with serve(per_minute=3) as served:
        told = [await served.client.get("/api/projects") for _ in range(4)]
        assert [one.status_code for one in told] == [200, 200, 200, 429]
        assert [one.headers["X-RateLimit-Remaining"] for one in told[:3]] == ["2", "1", "0"]
        assert 1 <= int(told[3].headers["Retry-After"]) <= 60
        assert (await served.client.get("/health")).status_code == 200


async def test_an_answer_that_takes_too_long_is_given_up(serve: Serve) -> None:
    async with serve(request_timeout_s=0.000001) as served:
        reply = await served.client.get("/api/projects")
        assert (reply.status_code, reply.json()["error"]["code"]) == (504, "request-timed-out")


@pytest.mark.parametrize("origin", ["http://[", "null", "https://evil.example"])
async def test_what_is_no_origin_of_ours_is_refused(served: Served, origin: str) -> None:
    body = {"name": "P", "slug": "p"}
    reply = await served.client.post("/api/projects", json=body, headers={"Origin": origin})
    assert (reply.status_code, reply.json()["error"]["code"]) == (403, "cross-site")


async def test_a_body_that_is_nested_without_end_is_refused(served: Served) -> None:
    body = '{"name": "\\u0041", "slug": ' + "[" * 100_000
    headers = {"Content-Type": "application/json"}
    reply = await served.client.post("/api/projects", content=body, headers=headers)
    assert reply.status_code == 422


def port_of(served: Served) -> int:
    return int(served.url.rpartition(":")[2])


async def test_a_body_that_never_comes_is_given_up(serve: Serve) -> None:
    async with serve(request_timeout_s=0.5) as served:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", int(served.url[-5:].lstrip(":"))
        )
        writer.write(
            b"POST /api/projects HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{"
        )
        async with asyncio.timeout(10):
            assert b" 504 " in await reader.readline()
        writer.close()


async def test_half_a_request_is_not_a_smaller_one(served: Served) -> None:
    """Its connection was closed before the body came: nothing is done."""
    await served.client.post("/api/projects", json={"name": "P", "slug": "p"})
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(served))
    writer.write(
        b"POST /api/projects/p/export HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: 50\r\n\r\n"
    )
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert await reader.read() == b""
    exports = (await served.client.get("/api/projects/p/exports")).json()
    assert exports["items"] == []


async def test_the_feed_goes_on_after_whatever_the_database_says(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = served.house.feed
    failed = asyncio.Event()

    async def fail() -> None:
        failed.set()
        raise RuntimeError("no such connection")

    with monkeypatch.context() as patched:
        patched.setattr(feed, "_read", fail)
        await asyncio.wait_for(failed.wait(), 10)
    assert feed.alive
    assert (await served.client.get("/health")).status_code == 200


async def test_an_answer_does_not_wait_for_an_acknowledgement(served: Served) -> None:
    """Headers and body go out in two packets; the second must not wait for the first's receipt."""
    taken: list[float] = []
    for _ in range(20):
        began = time.perf_counter()
        await served.client.get("/health/live")
        taken.append(time.perf_counter() - began)
    assert min(taken) < 0.03
