"""WEB-1, WEB-3: pictures from words, as a job, with and without waiting for it."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest
from tests.api.asked import PAID, WAIT, ended, own, rows, told
from tests.api.conftest import Serve
from tests.api.people import Client, access_token, bearer, make
from tests.api.pictures import project

from maquette.core.people import Role
from maquette.core.wire import WireRules
from maquette.providers.openai.config import OpenAIConfig
from maquette.providers.openai.provider import OpenAIProvider
from maquette.settings import load
from maquette.testing.scripted import Act, Books
from maquette.testing.serving import Served, serving
from maquette.testing.standin_openai import StandIn

SEED = {
    "prompt": "a lighthouse",
    "size": "1024x1536",
    "n": 2,
    "quality": "high",
    "background": "transparent",
    "format": "png",
}
"""The body of the first web app, as its plan has it."""
SMALL: dict[str, Any] = {"prompt": "a red house", "size": "64x48", "model": PAID}


async def test_a_request_is_answered_with_its_pictures(served: Served, books: Books) -> None:
    reply = await served.client.post("/v1/generate", params=WAIT, json={**SMALL, "n": 3})
    assert reply.status_code == 200, reply.text
    job = reply.json()
    assert (job["status"], job["error"], job["project"]) == ("succeeded", None, "personal-local")
    assert job["cost"] == job["cost_usd"] == "0.12"
    assert (job["reserved_usd"], job["worst_case_usd"]) == ("0", "0.12")
    assert (job["provider"], job["model"], job["seed"] >= 0) == ("scripted", "paid", True)
    assert job["request"]["n"] == 3 and job["request"]["size"] == "64x48"
    assert len(job["urls"]) == 3 and sum(one["selected"] for one in job["images"]) == 1
    for url, told_of in zip(job["urls"], job["images"], strict=True):
        picture = await served.client.get(url)
        assert (picture.status_code, picture.headers["content-type"]) == (200, "image/png")
        assert picture.headers["etag"] == f'"{told_of["sha256"]}"'
        assert (told_of["width"], told_of["height"], told_of["final"]) == (64, 48, True)
    assert str(books.charged) == "0.12"


async def test_without_waiting_the_reply_is_a_job_that_can_be_asked_for(served: Served) -> None:
    reply = await served.client.post("/generate", json=SMALL)
    assert (reply.status_code, reply.json()["status"]) in ((202, "queued"), (202, "in_progress"))
    assert reply.json()["urls"] == [] and reply.json()["reserved_usd"] == "0.04"
    at = reply.headers["location"]
    assert at == reply.json()["url"] == f"/v1/jobs/{reply.json()['id']}"
    job = await ended(served, reply.json()["id"])
    assert (job["status"], len(job["urls"])) == ("succeeded", 1)
    stream = await served.client.get(f"{job['events_url'].removesuffix('/events')}")
    assert stream.json()["state"] == "succeeded"


async def test_the_seeds_own_body_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names no model: the only provider that is ready has one that is still there."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-seed-51d0")
    with StandIn(key="sk-seed-51d0") as server:
        config = OpenAIConfig(base_url=server.url, shipped_models=True, has_key=True)
        provider = OpenAIProvider.build(config, WireRules(paid_calls=False))
        settings = load(home=tmp_path / "home", plugins="proof")
        async with serving(settings, providers={"openai": provider}) as served:
            reply = await served.client.post("/generate", params=WAIT, json=SEED)
            job = reply.json()
            assert (reply.status_code, job["status"]) == (200, "succeeded"), job
            assert len(job["urls"]) == 2 and job["usage"]["output_tokens"] > 0
            picture = await served.client.get(job["urls"][0])
            assert picture.headers["content-type"] == "image/png"
        (seen,) = server.seen
        asked = {name: seen.fields[name] for name in ("size", "n", "quality", "background")}
        assert asked == {
            "size": "1024x1536",
            "n": 2,
            "quality": "high",
            "background": "transparent",
        }
        assert seen.fields["output_format"] == "png"


async def test_a_proof_says_that_it_is_one(served: Served) -> None:
    small = {"prompt": "a lighthouse", "model": "proof", "size": "96\u00d764", "background": "auto"}
    job = (await served.client.post("/v1/generate", params=WAIT, json=small)).json()
    assert (job["status"], job["cost"], len(job["urls"])) == ("succeeded", "0", 1), job
    assert any("drafts" in one for one in job["notes"])


FORMATS: list[tuple[dict[str, Any], str]] = [
    ({"format": "jpeg", "compression": 40}, "image/jpeg"),
    ({"output_format": "webp"}, "image/webp"),
    ({"format": "jpg"}, "image/jpeg"),
]


async def test_a_format_is_converted_where_the_model_has_none(served: Served) -> None:
    for wanted, kind in FORMATS:
        body = {**SMALL, **wanted, "data_uri": True}
        job = (await served.client.post("/v1/generate", params=WAIT, json=body)).json()
        (image,) = job["images"]
        assert (image["media_type"], image["sha256"]) == (kind, None)
        head, _, text = image["data_uri"].partition(",")
        assert head == f"data:{kind};base64"
        for at in (image["url"], f"/v1/jobs/{job['id']}/pictures/0"):
            picture = await served.client.get(at)
            assert picture.headers["content-type"] == kind
            assert picture.content == base64.b64decode(text)
            known = {"If-None-Match": picture.headers["etag"]}
            assert (await served.client.get(at, headers=known)).status_code == 304
        again = await served.client.get(f"/v1/jobs/{job['id']}", params={"data_uri": "true"})
        assert again.json()["images"][0]["data_uri"] == image["data_uri"]
        asset = f"/api/projects/personal-local/assets/{image['asset']}/file"
        assert (await served.client.get(asset)).headers["content-type"] == "image/png"


async def test_a_picture_as_it_was_made_is_sent_in_parts(served: Served) -> None:
    job = (await served.client.post("/v1/generate", params=WAIT, json=SMALL)).json()
    at = f"/v1/jobs/{job['id']}/pictures/0"
    whole = await served.client.get(at)
    part = await served.client.get(at, headers={"Range": "bytes=1-3"})
    assert (part.status_code, part.content) == (206, b"PNG")
    assert whole.headers["etag"] == f'"{job["images"][0]["sha256"]}"'
    beyond = await served.client.get(f"/v1/jobs/{job['id']}/pictures/1")
    assert told(beyond) == (404, "asset-not-found")


async def test_a_dry_request_prices_and_leaves_nothing(served: Served, books: Books) -> None:
    await own(served)
    before = await rows(served)
    for key in ({}, {"Idempotency-Key": "dry"}):
        body = {**SMALL, "n": 3, "dry": True}
        reply = await served.client.post("/v1/generate", params=WAIT, json=body, headers=key)
        plan = reply.json()
        assert (reply.status_code, plan["dry"], plan["worst_case_usd"]) == (200, True, "0.12")
        assert (plan["calls"], plan["request"]["n"]) == (2, 3)
    assert await rows(served) == before
    assert books.entries() == []


REFUSED: list[tuple[dict[str, Any], tuple[int, str]]] = [
    ({"size": "4000x4000"}, (422, "capability-missing")),
    ({"size": "large"}, (422, "bad-parameter")),
    ({"negative_prompt": "rain"}, (422, "capability-missing")),
    ({"quality": "high"}, (422, "bad-parameter")),
    ({"n": 11}, (422, "bad-parameter")),
    ({"n": True}, (422, "bad-parameter")),
    ({"prompt": ""}, (422, "bad-parameter")),
    ({"colour": "red"}, (422, "bad-parameter")),
    ({"image": "data:image/png;base64,AA=="}, (422, "bad-parameter")),
    ({"format": "png", "output_format": "webp"}, (422, "bad-parameter")),
    ({"format": "gif"}, (422, "bad-parameter")),
    ({"format": "png", "compression": 5}, (422, "bad-parameter")),
    ({"quality": "low", "options": {"quality": "high"}}, (422, "bad-parameter")),
    ({"model": "scripted:unpriced"}, (402, "price-unknown")),
    ({"model": "nobody:nothing"}, (404, "unknown-plugin")),
    ({"max_spend_usd": "0.01"}, (402, "budget-exceeded")),
    ({"post": {"upscale": {"backend": "nothing"}}}, (404, "unknown-plugin")),
]


async def test_what_cannot_be_is_refused_before_anything_is_written(
    served: Served, books: Books
) -> None:
    await own(served)
    before = await rows(served)
    for wanted, said in REFUSED:
        reply = await served.client.post("/v1/generate", json={**SMALL, **wanted})
        assert told(reply) == said, wanted
    assert await rows(served) == before
    assert books.entries() == []


async def test_a_post_chain_is_done_on_the_chosen_picture(served: Served) -> None:
    post = {"upscale": {"scale": 2}, "colour": {"profile": "cinematic_warm"}}
    body = {**SMALL, "n": 2, "post": post}
    job = (await served.client.post("/v1/generate", params=WAIT, json=body)).json()
    assert job["status"] == "succeeded", job
    (final,) = [one for one in job["images"] if one["final"]]
    assert (final["width"], final["height"], job["urls"]) == (128, 96, [final["url"]])
    assert len(job["images"]) == 3


async def test_what_no_picture_passed_is_a_failure_with_its_reasons(serve: Serve) -> None:
    async with serve(Act(blank=True)) as served:
        job = (await served.client.post("/v1/generate", params=WAIT, json=SMALL)).json()
        assert (job["status"], job["error"]["code"]) == ("failed", "nothing-passed")
        assert job["urls"] == [] and not job["images"][0]["final"]
        assert job["cost"] == "0.04", "it was paid all the same"
        free = {**SMALL, "guard": False}
        again = (await served.client.post("/v1/generate", params=WAIT, json=free)).json()
        assert again["status"] == "succeeded"


async def test_a_lost_answer_holds_its_money(serve: Serve) -> None:
    async with serve(Act(does="lose")) as served:
        job = (await served.client.post("/v1/generate", params=WAIT, json=SMALL)).json()
        assert (job["status"], job["error"]["code"]) == ("failed", "outcome-unknown")
        assert (job["cost"], job["reserved_usd"]) == ("0", "0.04")


async def test_the_same_key_pays_once(served: Served, books: Books) -> None:
    """WEB-7."""
    key = {"Idempotency-Key": "1"}
    replies = [
        await served.client.post("/v1/generate", params=WAIT, json=SMALL, headers=key)
        for _ in range(3)
    ]
    assert len({one.json()["id"] for one in replies}) == 1
    assert [one.headers.get("idempotency-replayed") for one in replies] == [None, "true", "true"]
    assert replies[0].json() == replies[2].json()
    other = {**SMALL, "prompt": "another"}
    reply = await served.client.post("/v1/generate", json=other, headers=key)
    assert told(reply) == (409, "idempotency-mismatch")
    assert len(books.entries()) == 1


async def test_the_same_key_means_another_thing_in_another_project(served: Served) -> None:
    await project(served, "p")
    key = {"Idempotency-Key": "1"}
    mine = await served.client.post("/v1/generate", json=SMALL, headers=key)
    assert mine.status_code == 202
    there = {**key, "X-Maquette-Project": "p"}
    reply = await served.client.post("/v1/generate", json=SMALL, headers=there)
    assert told(reply) == (409, "idempotency-mismatch")


async def test_a_key_outlives_the_server(serve: Serve, books: Books) -> None:
    """What was begun is noted with it, so an answer that was lost is no reason to begin again."""
    key = {"Idempotency-Key": "1"}
    async with serve(work=False) as served:
        first = await served.client.post("/v1/generate", json=SMALL, headers=key)
        assert (first.status_code, first.json()["status"]) == (202, "queued")
    async with serve() as served:
        again = await served.client.post("/v1/generate", params=WAIT, json=SMALL, headers=key)
        assert (again.status_code, again.json()["status"]) == (200, "succeeded")
        assert again.json()["id"] == first.json()["id"]
    assert len(books.entries()) == 1


async def test_many_with_one_key_at_once_pay_once(served: Served, books: Books) -> None:
    key = {"Idempotency-Key": "1"}
    asked = (served.client.post("/v1/generate", json=SMALL, headers=key) for _ in range(5))
    replies = await asyncio.gather(*asked)
    assert {one.status_code for one in replies} <= {202, 409}
    (job,) = {one.json()["id"] for one in replies if one.status_code == 202}
    await ended(served, job)
    assert len(books.entries()) == 1


async def test_a_key_is_free_again_where_the_request_was_refused(served: Served) -> None:
    key = {"Idempotency-Key": "1"}
    poor = {**SMALL, "max_spend_usd": "0.01"}
    refused = await served.client.post("/v1/generate", json=poor, headers=key)
    assert told(refused) == (402, "budget-exceeded")
    reply = await served.client.post("/v1/generate", json=SMALL, headers=key)
    assert reply.status_code == 202


async def test_who_waits_a_short_while_is_told_how_far_it_is(serve: Serve) -> None:
    async with serve(work=False) as served:
        reply = await served.client.post("/v1/generate", params={"wait": "0.05"}, json=SMALL)
        assert (reply.status_code, reply.json()["status"]) == (202, "queued")
        for wrong in ("601", "-1", "nan", "long"):
            reply = await served.client.post("/v1/generate", params={"wait": wrong}, json=SMALL)
            assert told(reply) == (422, "bad-parameter")


async def test_jobs_are_listed_shown_and_cancelled(serve: Serve) -> None:
    async with serve(work=False) as served:
        made = [
            (await served.client.post("/v1/generate", json=SMALL)).json()["id"] for _ in range(3)
        ]
        first = (await served.client.get("/v1/jobs", params={"limit": 2})).json()
        assert first["object"] == "list" and len(first["data"]) == 2
        after = {"limit": 2, "before": first["next"]}
        rest = (await served.client.get("/v1/jobs", params=after)).json()
        listed = [one["id"] for one in first["data"] + rest["data"]]
        assert (sorted(listed), rest["next"]) == (sorted(made), None)
        assert {one["status"] for one in first["data"]} == {"queued"}
        for way in ("delete", "post"):
            at = f"/v1/jobs/{made[0]}" + ("/cancel" if way == "post" else "")
            reply = await served.client.request(way, at, headers={"Idempotency-Key": "c"})
            assert (reply.status_code, reply.json()["id"]) == (202, made[0])
        again = await served.client.post(
            f"/v1/jobs/{made[0]}/cancel", headers={"Idempotency-Key": "c"}
        )
        assert again.headers["idempotency-replayed"] == "true"
        missing = await served.client.get("/v1/jobs/nothing", params=WAIT)
        assert told(missing) == (404, "job-not-found")


async def test_a_cancelled_job_says_so_to_who_waits(serve: Serve) -> None:
    async with serve(Act(delay_s=0.3)) as served:
        busy = (await served.client.post("/v1/generate", json=SMALL)).json()["id"]
        await served.client.delete(f"/v1/jobs/{busy}")
        job = await ended(served, busy)
        assert job["status"] in ("cancelled", "succeeded")
        late = await served.client.delete(f"/v1/jobs/{busy}")
        assert told(late) == (409, "wrong-state")


async def test_a_project_of_the_header_is_worked_in(served: Served) -> None:
    await project(served, "p")
    there = {"X-Maquette-Project": "p"}
    reply = await served.client.post("/v1/generate", json=SMALL, headers=there)
    job = await ended(served, reply.json()["id"], **there)
    assert job["project"] == "p" and job["urls"][0].startswith("/api/projects/p/assets/")
    assert told(await served.client.get(job["url"])) == (404, "job-not-found")
    nowhere = {"X-Maquette-Project": "nowhere"}
    reply = await served.client.post("/v1/generate", json=SMALL, headers=nowhere)
    assert told(reply) == (404, "project-not-found")


async def test_everybody_works_in_their_own_project(serve: Serve) -> None:
    """A viewer may not; what belongs to somebody else is not there."""
    async with serve(auth="multi", work=False) as served:
        studio = served.house.studio
        for name, role in (("ada", Role.CREATOR), ("bob", Role.CREATOR), ("eve", Role.VIEWER)):
            await make(studio, name, role)
        ada, bob, eve = [
            bearer(served, await access_token(served, name)) for name in ("ada", "bob", "eve")
        ]
        mine = await ada.post("/v1/generate", json=SMALL)
        assert (mine.status_code, mine.json()["project"]) == (202, "personal-ada")
        assert told(await bob.get(mine.json()["url"])) == (404, "job-not-found")
        there = {"X-Maquette-Project": "personal-ada"}
        assert told(await bob.post("/v1/generate", json=SMALL, headers=there)) == (
            404,
            "project-not-found",
        )
        assert told(await eve.post("/v1/generate", json=SMALL)) == (403, "forbidden")
        assert told(await Client(served).post("/v1/generate", json=SMALL)) == (
            401,
            "unauthenticated",
        )
