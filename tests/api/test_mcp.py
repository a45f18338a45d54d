"""WEB-14: agents over HTTP, with the official client: plans, prices, words, pictures, doors."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import jsonschema
import mcp_types as t
import pytest
from mcp import Client
from mcp.client import ClientRequestContext
from mcp.shared.exceptions import MCPError
from sqlalchemy import update
from tests.api import people
from tests.api.agents import MODES, Progress, agent, key_of, pictures, refused, told
from tests.api.conftest import Serve
from tests.api.pictures import noise

from maquette.agent.tools import TOOLS
from maquette.core.people import Role, Scope
from maquette.db.tables import ApiKey, IdempotencyKey, Run
from maquette.services import spending
from maquette.testing.scripted import Act, Books
from maquette.testing.serving import Served

BOAT = {"prompt": "A red boat", "size": "96x64"}
FREE = {**BOAT, "model": "scripted:free"}
PAID = {**BOAT, "model": "scripted:paid"}
HELLO: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
HEADERS = {
    "Accept": "application/json, text/event-stream",
    "Content-Type": "application/json",
    "MCP-Protocol-Version": "2025-11-25",
}
OPENING: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


@pytest.fixture
async def multi(serve: Serve) -> AsyncGenerator[Served]:
    async with serve(auth="multi") as served:
        yield served


# --- what there is


async def test_the_manifest_is_the_tools(served: Served) -> None:
    """WEB-14: one set of tools, seen by MCP clients and by OpenAI's."""
    functions = (await served.client.get("/v1/functions")).json()
    async with agent(served) as client:
        tools = (await client.list_tools()).tools
    assert [one["name"] for one in functions] == [one.name for one in tools]
    assert [one["name"] for one in functions] == [one.name for one in TOOLS]
    for function, tool in zip(functions, tools, strict=True):
        assert function["type"] == "function"
        assert function["description"] == tool.description
        assert function["parameters"] == tool.input_schema
        jsonschema.Draft202012Validator.check_schema(tool.input_schema)
        assert tool.output_schema is not None
        jsonschema.Draft202012Validator.check_schema(tool.output_schema)
        assert tool.input_schema["type"] == "object"
        assert tool.input_schema["additionalProperties"] is False


@pytest.mark.parametrize("mode", MODES)
async def test_free_work_begins_at_once_and_comes_back_as_a_picture(
    serve: Serve, mode: str
) -> None:
    """WEB-14: the job's events are the call's progress, which only grows."""
    progress = Progress()
    async with serve(Act(partials=2)) as served, agent(served, mode=mode) as client:
        result = await client.call_tool("generate", FREE, progress_callback=progress)
        assert told(result)["state"] == "succeeded"
        assert [one.shape for one in pictures(result)] == [(64, 96, 3)]
        [made] = told(result)["pictures"]
        read = await client.read_resource(made["uri"])
        found = told(await client.call_tool("look_up", {"words": "boat"}))["found"]
    [blob] = read.contents
    assert isinstance(blob, t.BlobResourceContents)
    assert len(base64.b64decode(blob.blob)) == made["size_bytes"]
    assert [one["asset"] for one in found] == [made["asset"]]
    assert len(progress.seen) > 3
    assert progress.seen == sorted(set(progress.seen))


async def test_a_plan_is_free_and_tells_what_would_be_sent(served: Served, books: Books) -> None:
    async with agent(served) as client:
        wanted = {"tool": "generate", "arguments": {**PAID, "count": 3}}
        plan = told(await client.call_tool("plan", wanted))
        listed = told(await client.call_tool("list_models", {"provider": "scripted"}))["models"]
    assert (plan["price_usd"], plan["count"], plan["calls"]) == ("0.12", 3, 2)
    assert (plan["model"], plan["size"]) == ("scripted:paid", "96x64")
    prices = {one["model"]: one["price_usd"] for one in listed}
    assert prices["scripted:paid"] == "0.04"
    assert prices["scripted:unpriced"] is None
    assert not books.entries()


async def test_a_mask_says_what_may_change_and_nothing_else_does(served: Served) -> None:
    """WEB-14, with a mask that is black where the picture is to be changed."""
    import numpy as np  # noqa: PLC0415 - of this test alone

    from maquette.imaging import codec, png  # noqa: PLC0415 - as above

    mask = np.full((32, 32), 255, np.uint8)
    mask[8:24, 8:24] = 0
    given = noise(3)
    async with agent(served) as client:
        sent = [
            told(await client.call_tool("upload_image", {"data": base64.b64encode(one).decode()}))
            for one in (given, png.write(mask))
        ]
        picture, marks = (one["picture"]["asset"] for one in sent)
        wanted = {"picture": picture, "mask": marks, "invert": True, "model": "scripted:free"}
        result = await client.call_tool("inpaint", {**wanted, "prompt": "a door"})
        made = told(result)["pictures"][0]["asset"]
        family = told(await client.call_tool("look_up", {"asset": made}))
        bigger = await client.call_tool(
            "post_process",
            {"picture": made, "step": "upscale", "backend": "resample", "scale": 2},
        )
    before = codec.decode(given, name="given").pixels
    [after] = pictures(result)
    changed = (before != after).any(axis=2)
    assert changed[12:20, 12:20].any()
    assert not changed[mask == 255].any()
    assert picture in [one["asset"] for one in family["made_from"]]
    assert [one.shape[:2] for one in pictures(bigger)] == [(64, 64)]


async def test_what_cannot_be_is_said_in_our_words(served: Served) -> None:
    """Errors are the tool's, so that the model reads them and can do better."""
    async with agent(served) as client:
        wrong = await client.call_tool("generate", {**FREE, "size": "huge"})
        unknown = await client.call_tool("generate", {**FREE, "colour": "red"})
        missing = await client.call_tool("look_up", {"project": "nowhere"})
        nul = await client.call_tool("generate", {**FREE, "prompt": "a\0b"})
        file = await client.call_tool("upload_image", {"path": "picture.png"})
        with pytest.raises(MCPError, match="no tool 'paint'"):
            await client.call_tool("paint", {})
    assert "'size'" in refused(wrong, "bad-parameter")
    assert "It takes: " in refused(unknown, "bad-parameter")
    assert "nowhere" in refused(missing, "project-not-found")
    assert "NUL" in refused(nul, "bad-parameter")
    assert "send the bytes" in refused(file, "forbidden")


# --- money


@pytest.mark.parametrize("mode", MODES)
async def test_what_is_confirmed_twice_is_paid_once(
    served: Served, books: Books, mode: str
) -> None:
    """WEB-14: nothing is sent before the word; the same word again is the same job."""
    async with agent(served, mode=mode) as client:
        asked = told(await client.call_tool("generate", PAID))
        assert asked["state"] == "awaiting_confirmation"
        assert asked["price_usd"] == "0.04"
        assert not books.entries()
        word = {"confirmation": asked["confirmation"]}
        both = await asyncio.gather(*(client.call_tool("confirm", word) for _ in range(3)))
        again = await client.call_tool("confirm", word)
        money = told(await client.call_tool("spending", {}))
    answers = [told(one) for one in (*both, again)]
    assert {one["state"] for one in answers} == {"succeeded"}
    assert len({one["job"] for one in answers}) == 1
    assert [one.shape for one in pictures(again)] == [(64, 96, 3)]
    assert books.paid_calls == 1
    assert {one["spent_usd"] for one in money["caps"]} == {"0.04"}


async def test_a_word_is_good_after_the_server_was_started_again(
    serve: Serve, books: Books
) -> None:
    async with serve() as served, agent(served) as client:
        word = {"confirmation": told(await client.call_tool("generate", PAID))["confirmation"]}
    async with serve() as served, agent(served) as client:
        first = told(await client.call_tool("confirm", word))
    async with serve() as served, agent(served) as client:
        again = told(await client.call_tool("confirm", word))
    assert (again["job"], again["state"]) == (first["job"], "succeeded")
    assert books.paid_calls == 1


async def test_a_word_is_its_callers_for_ten_minutes(multi: Served, books: Books) -> None:
    """Forged, another's and old ones are refused alike, and nothing is sent."""
    studio = multi.house.studio
    ann = await people.make(studio, "ann", Role.CREATOR)
    keys = [await key_of(multi, ann, "ann", Role.CREATOR, *_ALL) for _ in range(2)]
    async with agent(multi, keys[0]) as client, agent(multi, keys[1]) as other:
        plan = told(await client.call_tool("generate", PAID))
        word = {"confirmation": plan["confirmation"]}
        refused(await other.call_tool("confirm", word), "spend-not-confirmed")
        forged = {"confirmation": plan["confirmation"][:-1] + "."}
        refused(await client.call_tool("confirm", forged), "spend-not-confirmed")
        async with studio.shop.db.write() as session:
            past = studio.shop.clock.now() - timedelta(seconds=1)
            await session.execute(update(IdempotencyKey).values(expires_at=past))
        refused(await client.call_tool("confirm", word), "spend-not-confirmed")
    assert not books.entries()


async def test_a_word_is_for_the_price_that_was_told(serve: Serve, books: Books) -> None:
    async with serve(price="0.04") as served, agent(served) as client:
        word = {"confirmation": told(await client.call_tool("generate", PAID))["confirmation"]}
    async with serve(price="0.05") as served, agent(served) as client:
        said = refused(await client.call_tool("confirm", word), "spend-not-confirmed")
    assert "$0.05 now, more than the $0.04" in said
    assert not books.entries()


async def test_caps_and_the_kill_switch_hold_for_agents(served: Served, books: Books) -> None:
    studio = served.house.studio
    async with agent(served) as client:
        word = {"confirmation": told(await client.call_tool("generate", PAID))["confirmation"]}
        await spending.set_cap(studio, "day", spending.Usd(spending.money.parse_usd("0.03")))
        refused(await client.call_tool("confirm", word), "budget-exceeded")
        left = told(await client.call_tool("spending", {}))["caps"]
        await spending.set_cap(studio, "day", None)
        assert told(await client.call_tool("confirm", word))["state"] == "succeeded"
    assert {one["scope"]: one["left_usd"] for one in left}["day"] == "0.03"
    assert books.paid_calls == 1


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_that_can_ask_its_person_does(
    served: Served, books: Books, mode: str
) -> None:
    """WEB-14: elicitation, as both protocols have it; only a yes is one."""
    asked: list[str] = []
    answers: list[t.ElicitResult] = [
        t.ElicitResult(action="decline"),
        t.ElicitResult(action="accept", content={"pay": False}),
        t.ElicitResult(action="accept", content={"pay": True}),
    ]

    async def ask(_context: ClientRequestContext, params: Any) -> t.ElicitResult:
        asked.append(params.message)
        return answers[len(asked) - 1]

    async with agent(served, mode=mode, elicitation_callback=ask) as client:
        results = [await client.call_tool("generate", PAID) for _ in answers]
    assert [told(one)["state"] for one in results] == ["declined", "declined", "succeeded"]
    assert books.paid_calls == 1
    assert len(asked) == 3
    assert all("$0.04" in one for one in asked)


async def test_a_yes_to_one_call_is_none_to_another(served: Served, books: Books) -> None:
    """The state that a client brings back is for the very call that it was given for."""

    async def never(_context: ClientRequestContext, _params: Any) -> t.ElicitResult:
        raise AssertionError

    async with agent(served, elicitation_callback=never) as client:
        first = await client.session.call_tool("generate", PAID, allow_input_required=True)
        assert isinstance(first, t.InputRequiredResult)
        assert first.input_requests is not None
        yes: dict[str, t.InputResponse] = {
            name: t.ElicitResult(action="accept", content={"pay": True})
            for name in first.input_requests
        }
        other = await client.call_tool(
            "generate",
            {**PAID, "count": 4},
            input_responses=yes,
            request_state=first.request_state,
        )
        same = await client.call_tool(
            "generate", PAID, input_responses=yes, request_state=first.request_state
        )
    assert "another call" in refused(other, "spend-not-confirmed")
    assert told(same)["state"] == "succeeded"
    assert books.paid_calls == 1


@pytest.mark.parametrize("mode", MODES)
async def test_who_stops_waiting_stops_nothing_that_was_paid(
    serve: Serve, books: Books, mode: str
) -> None:
    async with serve(Act(delay_s=0.5)) as served, agent(served, mode=mode) as client:
        word = {"confirmation": told(await client.call_tool("generate", PAID))["confirmation"]}
        progress = Progress()
        waiting = asyncio.create_task(client.call_tool("confirm", word, progress_callback=progress))
        await asyncio.wait_for(progress.sent.wait(), 30)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        job = told(await client.call_tool("confirm", {**word, "wait_s": 0}))["job"]
        end = told(await client.call_tool("follow_job", {"job": job}))
    assert (end["state"], end["cost_usd"]) == ("succeeded", "0.04")
    assert books.paid_calls == 1


async def test_a_job_that_waits_can_be_cancelled(serve: Serve) -> None:
    async with serve(work=False) as served, agent(served) as client:
        begun = told(await client.call_tool("generate", {**FREE, "wait_s": 0}))
        assert begun["state"] == "queued"
        assert "follow_job" in begun["words"]
        told(await client.call_tool("cancel_job", {"job": begun["job"]}))
    async with serve() as served, agent(served) as client:
        end = told(await client.call_tool("follow_job", {"job": begun["job"]}))
    assert end["state"] == "cancelled"


# --- doors

_ALL = (Scope.READ, Scope.WRITE, Scope.SPEND)


async def test_a_stranger_is_told_to_sign_in(multi: Served) -> None:
    reply = await multi.client.post("/mcp", json=HELLO, headers=HEADERS)
    assert reply.status_code == 401
    assert reply.json()["error"]["code"] == "unauthenticated"
    assert (await multi.client.get("/mcp", headers=HEADERS)).status_code == 401
    assert (await multi.client.get("/v1/functions")).status_code == 401


async def test_each_tool_asks_for_its_scope(multi: Served, books: Books) -> None:
    ann = await people.make(multi.house.studio, "ann", Role.CREATOR)
    reader = await key_of(multi, ann, "ann", Role.CREATOR, Scope.READ)
    writer = await key_of(multi, ann, "ann", Role.CREATOR, Scope.READ, Scope.WRITE)
    async with agent(multi, reader) as client:
        assert told(await client.call_tool("list_models", {}))["models"]
        plan = {"tool": "generate", "arguments": PAID}
        assert told(await client.call_tool("plan", plan))["price_usd"] == "0.04"
        for name, wanted in (("generate", FREE), ("upload_image", {}), ("cancel_job", {})):
            refused(await client.call_tool(name, wanted), "forbidden")
        assert "'spend'" in refused(
            await client.call_tool("confirm", {"confirmation": "x"}), "forbidden"
        )
    async with agent(multi, writer) as client:
        assert told(await client.call_tool("generate", FREE))["state"] == "succeeded"
        assert "'spend'" in refused(await client.call_tool("generate", PAID), "forbidden")
        assert not told(await client.call_tool("spending", {}))["may_spend"]
    assert books.paid_calls == 0


async def test_another_persons_project_is_not_there(multi: Served) -> None:
    studio = multi.house.studio
    ann = await people.make(studio, "ann", Role.CREATOR)
    bob = await people.make(studio, "bob", Role.CREATOR)
    async with agent(multi, await key_of(multi, ann, "ann", Role.CREATOR, *_ALL)) as client:
        made = told(await client.call_tool("generate", FREE))
    async with agent(multi, await key_of(multi, bob, "bob", Role.CREATOR, *_ALL)) as client:
        theirs = {"project": "personal-ann"}
        for name, wanted in (
            ("look_up", theirs),
            ("follow_job", {**theirs, "job": made["job"]}),
            ("generate", {**FREE, **theirs}),
            ("spending", theirs),
        ):
            refused(await client.call_tool(name, wanted), "project-not-found")
        refused(await client.call_tool("follow_job", {"job": made["job"]}), "job-not-found")
        refused(
            await client.call_tool("look_up", {"asset": made["pictures"][0]["asset"]}),
            "asset-not-found",
        )
        with pytest.raises(MCPError, match="no project"):
            await client.read_resource(made["pictures"][0]["uri"])
        listed = told(await client.call_tool("list_projects", {}))["projects"]
        assert [one["slug"] for one in listed] == ["personal-bob"]


async def test_who_is_locked_out_meanwhile_is_told_nothing(serve: Serve, books: Books) -> None:
    """A call may wait for minutes; what its caller may is looked at again when it ends."""
    async with serve(Act(delay_s=0.5), auth="multi") as served:
        studio = served.house.studio
        ann = await people.make(studio, "ann", Role.CREATOR)
        key = await key_of(served, ann, "ann", Role.CREATOR, *_ALL)
        async with agent(served, key) as client:
            progress = Progress()
            waiting = asyncio.create_task(
                client.call_tool("generate", FREE, progress_callback=progress)
            )
            await asyncio.wait_for(progress.sent.wait(), 30)
            async with studio.shop.db.write() as session:
                await session.execute(update(ApiKey).values(revoked_at=studio.shop.clock.now()))
            refused(await waiting, "unauthenticated")
    assert len(books.entries()) == 1


async def test_a_session_is_its_owners(multi: Served) -> None:
    """Who learns the name of another's session is told that there is none."""
    headers: list[dict[str, str]] = []
    for name in ("ann", "bob"):
        who = await people.make(multi.house.studio, name, Role.CREATOR)
        key = await key_of(multi, who, name, Role.CREATOR, *_ALL)
        headers.append({**HEADERS, "Authorization": f"Bearer {key}"})
    ann, bob = headers
    opened = await multi.client.post("/mcp", json=OPENING, headers=ann)
    session = {"Mcp-Session-Id": opened.headers["mcp-session-id"]}
    assert (await multi.client.post("/mcp", json=HELLO, headers=ann | session)).is_success
    theirs = await multi.client.post("/mcp", json=HELLO, headers=bob | session)
    assert theirs.status_code == 404


async def test_pages_of_other_sites_and_strange_names_are_refused(served: Served) -> None:
    """DNS rebinding and cross-site requests are refused here as everywhere."""
    for strange in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
        reply = await served.client.post("/mcp", json=HELLO, headers=HEADERS | strange)
        assert reply.status_code == 403
        assert reply.json()["error"]["code"] == "cross-site"


async def test_messages_are_counted_and_have_an_end(serve: Serve) -> None:
    async with serve(per_minute=3, upload_mb=1) as served:
        large = json.dumps({**HELLO, "params": {"x": "y" * 3 * 1024 * 1024}})
        reply = await served.client.post("/mcp", content=large, headers=HEADERS)
        assert reply.status_code == 413
        assert reply.json()["error"]["code"] == "request-too-large"
        statuses = [
            (await served.client.post("/mcp", json=OPENING, headers=HEADERS)).status_code
            for _ in range(3)
        ]
    assert statuses == [200, 200, 429]


async def test_an_open_stream_does_not_hold_the_server(serve: Serve) -> None:
    """The older protocol keeps a stream open for the server's words, which ends with it."""
    async with asyncio.timeout(20), serve(grace_s=15) as served:
        opened = await served.client.post("/mcp", json=OPENING, headers=HEADERS)
        session = {"Mcp-Session-Id": opened.headers["mcp-session-id"]}
        began = asyncio.get_running_loop().time()
        async with served.client.stream("GET", "/mcp", headers=HEADERS | session) as stream:
            assert stream.status_code == 200
            served.house.stop()
            assert [one async for one in stream.aiter_bytes()] in ([], [b""])
    assert asyncio.get_running_loop().time() - began < 10


async def test_messages_are_figures_of_one_address(served: Served) -> None:
    await served.client.post("/mcp", json=OPENING, headers=HEADERS)
    told = (await served.client.get("/metrics")).text
    assert 'route="/mcp"' in told


async def test_the_header_names_the_project(served: Served) -> None:
    reply = await served.client.post("/api/projects", json={"name": "Lab", "slug": "lab"})
    assert reply.status_code == 201
    served.client.headers["X-Maquette-Project"] = "lab"
    from mcp.client.streamable_http import (  # noqa: PLC0415 - of this test alone
        streamable_http_client,
    )

    transport = streamable_http_client(f"{served.url}/mcp", http_client=served.client)
    async with Client(transport) as client:
        made = told(await client.call_tool("generate", FREE))
    assert made["project"] == "lab"
    async with served.house.studio.shop.db.read() as session:
        run = await session.get_one(Run, made["run"])
    assert run.settings["surface"] == "agent"
