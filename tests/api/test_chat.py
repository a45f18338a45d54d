"""Chats: nothing said is lost, nothing proposed is done, nothing is paid unasked."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.api.conftest import Serve

from maquette.core.money import FREE, parse_usd
from maquette.services import projects, spending
from maquette.testing.serving import Served
from maquette.testing.standin_chat import Act, ChatStandIn

CHATS = "/api/projects/demo/chat/sessions"


@pytest.fixture
def model() -> Iterator[ChatStandIn]:
    with ChatStandIn("lm-studio") as running:
        yield running


@pytest.fixture
def local(model: ChatStandIn, monkeypatch: pytest.MonkeyPatch) -> ChatStandIn:
    """A free model on this machine."""
    for name, value in (("BASE_URL", model.url), ("MODEL", "stand-in-7b"), ("FREE", "true")):
        monkeypatch.setenv(f"MAQUETTE_LANGUAGE__{name}", value)
    return model


@pytest.fixture
def paid(local: ChatStandIn, monkeypatch: pytest.MonkeyPatch) -> ChatStandIn:
    """One that charges, and says what."""
    price = {"input": "2.50", "output": "10", "date": "2026-11-20", "source": "the stand-in"}
    monkeypatch.setenv("MAQUETTE_LANGUAGE__FREE", "false")
    monkeypatch.setenv("MAQUETTE_LANGUAGE__PRICE", json.dumps(price))
    return local


def call(name: str, arguments: object, number: int = 1) -> dict[str, Any]:
    said = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {
        "id": f"call_{number}",
        "type": "function",
        "function": {"name": name, "arguments": said},
    }


@asynccontextmanager
async def talk(serve: Serve, **server: Any) -> AsyncGenerator[tuple[Served, str]]:
    """Serve a project with a chat; the address of its messages comes along."""
    async with serve(work=False, **server) as served:
        await served.client.post("/api/projects", json={"name": "Demo", "slug": "demo"})
        made = await served.client.post(CHATS, json={"title": "Scene planning"})
        assert made.status_code == 201, made.text
        yield served, f"{CHATS}/{made.json()['id']}/messages"


async def say(served: Served, where: str, content: str = "Hello", **more: Any) -> dict[str, Any]:
    reply = await served.client.post(where, json={"content": content, **more})
    assert reply.status_code == 201, reply.text
    return reply.json()


async def written(served: Served, where: str) -> list[tuple[str, str]]:
    items = (await served.client.get(where)).json()["items"]
    return [(one["role"], one["content"]) for one in items]


async def instructions(served: Served) -> list[dict[str, Any]]:
    return (await served.client.get("/api/projects/demo/agent/instructions")).json()["items"]


async def test_without_a_model_it_says_so_and_how_to_get_one(serve: Serve) -> None:
    """LAB-27: no answer is made up."""
    async with talk(serve) as (served, where):
        said = await say(served, where)
        assert said["answer"]["role"] == "system"
        assert "MAQUETTE_LANGUAGE__MODEL" in said["answer"]["content"]
        assert said["answer"]["error_code"] == "capability-missing"
        assert [role for role, _ in await written(served, where)] == ["user", "system"]


async def test_a_model_answers_with_the_history_and_the_facts(
    serve: Serve, local: ChatStandIn
) -> None:
    local.script(Act(text="Three."), Act(text="Dusk."))
    async with talk(serve) as (served, where):
        first = await say(served, where, "How many scenes?")
        assert first["answer"]["content"] == "Three."
        assert first["answer"]["model"] == "stand-in-7b"
        await say(served, where, "Which light?")
        assert await written(served, where) == [
            ("user", "How many scenes?"),
            ("assistant", "Three."),
            ("user", "Which light?"),
            ("assistant", "Dusk."),
        ]
    system, *told = local.seen[1].texts
    assert told == ["How many scenes?", "Three.", "Which light?"]
    assert "cannot do anything yourself" in system
    facts = json.loads(system[system.rindex('\n{"project"') :])
    assert facts["project"] == {"name": "Demo", "slug": "demo"}
    assert {"model": "proof:proof", "costs": False} in facts["models"]
    offered = [one["function"]["name"] for one in local.seen[1].document["tools"]]
    assert offered == [
        "pipeline_run", "upscale", "bgremove", "color", "qa", "layers", "export", "sync_s3",
    ]  # fmt: skip


async def test_what_it_proposes_waits_for_a_person(serve: Serve, local: ChatStandIn) -> None:
    """LAB-27: even what costs nothing; and it is said in words where the model has none."""
    tools = [call("qa", {"input": "outputs"}), call("export", {}, 2)]
    local.script(Act(tool_calls=tools))
    async with talk(serve) as (served, where):
        answer = (await say(served, where, "Check the outputs, then export."))["answer"]
        assert "Nothing is done before you confirm it" in answer["content"]
        assert [one["instruction_type"] for one in answer["proposals"]] == ["qa", "export"]
        found = await instructions(served)
        assert {one["state"] for one in found} == {"awaiting_confirmation"}
        assert {one["id"] for one in found} == {one["id"] for one in answer["proposals"]}
        again = (await served.client.get(where)).json()["items"][1]
        assert again["proposals"] == answer["proposals"]


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("delete_everything", {}, "There is no tool 'delete_everything'"),
        ("qa", {"inputt": "outputs"}, "inputt"),
        ("qa", "outputs, please", "no JSON object"),
        ("qa", {"input": "../../etc"}, "etc"),
        ("pipeline_run", {"prompt": "a\0b"}, "NUL"),
        ("pipeline_run", {"candidates": 0}, "candidates"),
    ],
)
async def test_a_wrong_proposal_is_shown_to_the_model_once(
    serve: Serve, local: ChatStandIn, name: str, arguments: object, why: str
) -> None:
    local.script(
        Act(tool_calls=[call(name, arguments)]),
        Act(text="Now it is right.", tool_calls=[call("qa", {})]),
    )
    async with talk(serve) as (served, where):
        answer = (await say(served, where))["answer"]
        assert answer["content"] == "Now it is right."
        assert [one["instruction_type"] for one in await instructions(served)] == ["qa"]
    assert len(local.seen) == 2
    told = local.seen[1].document["messages"][-1]
    assert told["role"] == "tool"
    assert why in told["content"]


async def test_what_stays_wrong_is_told_and_not_proposed(serve: Serve, local: ChatStandIn) -> None:
    wrong = Act(text="I delete it.", tool_calls=[call("delete", {})])
    local.script(wrong, wrong)
    async with talk(serve) as (served, where):
        answer = (await say(served, where))["answer"]
        assert answer["proposals"] == []
        assert "There is no tool 'delete'" in answer["problems"][0]
        assert await instructions(served) == []
    assert len(local.seen) == 2


async def test_a_repair_that_fails_keeps_what_was_right(serve: Serve, local: ChatStandIn) -> None:
    local.script(
        Act(text="Both.", tool_calls=[call("qa", {}), call("nothing", {}, 2)]),
        Act(does="error", status=400, code="no", message="no more"),
    )
    async with talk(serve) as (served, where):
        answer = (await say(served, where))["answer"]
        assert (answer["content"], len(answer["proposals"])) == ("Both.", 1)
        assert "Asking again failed" in answer["note"]


async def test_a_model_without_tools_still_talks(serve: Serve, local: ChatStandIn) -> None:
    refusal = "stand-in-7b does not support tools"
    local.script(Act(does="error", status=400, message=refusal), Act(text="Hello."))
    async with talk(serve) as (served, where):
        answer = (await say(served, where))["answer"]
        assert answer["content"] == "Hello."
        assert "knows no tools" in answer["note"]
    assert "tools" not in local.seen[1].document


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (Act(does="fail"), "provider-unavailable"),
        (Act(does="busy"), "provider-rate-limited"),
        (Act(does="garbage"), "bad-provider-reply"),
        (Act(does="error", status=403, code="no"), "provider-refused"),
    ],
)
async def test_when_the_model_fails_the_message_is_kept_with_the_reason(
    serve: Serve, local: ChatStandIn, act: Act, code: str
) -> None:
    local.script(act)
    async with talk(serve) as (served, where):
        answer = (await say(served, where, "Remember this"))["answer"]
        assert (answer["role"], answer["error_code"]) == ("system", code)
        assert (await written(served, where))[0] == ("user", "Remember this")
        local.script(Act(text="Yes."))
        assert (await say(served, where, "Again"))["answer"]["content"] == "Yes."
    assert local.seen[-1].texts[1:] == ["Remember this\n\nAgain"]


async def test_nothing_is_paid_unconfirmed(serve: Serve, paid: ChatStandIn) -> None:
    """LAB-14: and nothing was kept, so the same words can be sent again."""
    async with talk(serve) as (served, where):
        reply = await served.client.post(where, json={"content": "Hello"})
        assert (reply.status_code, reply.json()["error"]["code"]) == (402, "spend-not-confirmed")
        little = {"content": "Hello", "confirm_spend": True, "max_spend_usd": "0.000001"}
        reply = await served.client.post(where, json=little)
        assert (reply.status_code, reply.json()["error"]["code"]) == (402, "budget-exceeded")
        assert await written(served, where) == []
    assert not paid.seen


async def test_a_paid_answer_is_settled_to_the_cent(serve: Serve, paid: ChatStandIn) -> None:
    """WEB-8: what the stand-in charged is what the ledger and the message say."""
    tools = [call("nothing", {})]
    paid.script(Act(tool_calls=tools), Act(text="An answer."))
    async with talk(serve) as (served, where):
        answer = (await say(served, where, confirm_spend=True))["answer"]
        assert answer["content"] == "An answer."
        assert len(paid.seen) == 2
        charged = paid.charged_nano
        assert round(float(answer["cost_usd"]) * 10**9) == charged
        (line,) = await spending.report(served.house.studio, "demo")
        assert (line.calls, round(float(line.actual) * 10**9)) == (1, charged)
        assert line.estimated > line.actual
        meters = await spending.meters(served.house.studio)
        spent = {one.scope.partition(":")[0]: (one.held, one.spent) for one in meters if one.spent}
        assert {"installation", "day", "project", "user"} <= spent.keys()
        assert set(spent.values()) == {(FREE, line.actual)}


async def test_a_full_cap_is_the_answer(serve: Serve, paid: ChatStandIn) -> None:
    async with talk(serve) as (served, where):
        await spending.set_cap(served.house.studio, "day", parse_usd("0.000001"))
        answer = (await say(served, where, confirm_spend=True))["answer"]
        assert (answer["role"], answer["error_code"]) == ("system", "budget-exceeded")
    assert not paid.seen


async def test_a_lost_paid_answer_is_put_before_a_person(serve: Serve, paid: ChatStandIn) -> None:
    paid.script(Act(does="cut-late"))
    async with talk(serve) as (served, where):
        answer = (await say(served, where, confirm_spend=True))["answer"]
        assert answer["error_code"] == "outcome-unknown"
        assert "maquette spend decide" in answer["content"]
        assert len(await spending.undecided(served.house.studio)) == 1


async def test_an_answer_that_takes_too_long_still_comes(serve: Serve, local: ChatStandIn) -> None:
    """The request ends in time; the answer is kept when it is there, and the stream tells."""
    go = threading.Event()
    local.script(Act(text="At last.", until=go))
    async with talk(serve, request_timeout_s=4.0) as (served, where):
        reply = await served.client.post(where, json={"content": "Hello"})
        assert (reply.status_code, reply.json()["error"]["code"]) == (504, "request-timed-out")
        go.set()
        url = "/api/projects/demo/events?last_event_id=0"
        async with asyncio.timeout(20), served.client.stream("GET", url) as stream:
            async for line in stream.aiter_lines():
                if line.startswith("data:") and '"assistant"' in line:
                    break
        assert await written(served, where) == [("user", "Hello"), ("assistant", "At last.")]


async def test_the_same_key_asks_once(serve: Serve, local: ChatStandIn) -> None:
    """WEB-7."""
    async with talk(serve) as (served, where):
        headers = {"Idempotency-Key": "7"}
        replies = [
            await served.client.post(where, json={"content": "Hello"}, headers=headers)
            for _ in range(2)
        ]
        assert [one.status_code for one in replies] == [201, 201]
        assert replies[0].json() == replies[1].json()
        assert len(await written(served, where)) == 2
    assert len(local.seen) == 1


async def test_long_histories_are_cut(serve: Serve, local: ChatStandIn) -> None:
    long = "words " * 1600
    async with talk(serve) as (served, where):
        for number in range(4):
            await say(served, where, f"{number} {long}")
    told = local.seen[-1].texts[1:]
    assert told[-1].startswith("3 ")
    assert sum(len(one) for one in told) < 26 * 1024
    assert local.seen[-1].document["messages"][1]["role"] == "user"


@pytest.mark.parametrize(
    "content", ["", "x" * 16_385, "é" * 8193, "a\0b"], ids=["empty", "long", "bytes", "nul"]
)
async def test_messages_that_cannot_be_are_refused(serve: Serve, content: str) -> None:
    async with talk(serve) as (served, where):
        reply = await served.client.post(where, json={"content": content})
        assert (reply.status_code, reply.json()["error"]["code"]) == (422, "bad-parameter")


async def test_chats_are_listed_in_pages_and_belong_to_their_project(serve: Serve) -> None:
    async with talk(serve) as (served, where):
        for number in range(3):
            await served.client.post(CHATS, json={"title": f"chat {number}"})
        first = (await served.client.get(CHATS, params={"limit": 3})).json()
        rest = (await served.client.get(CHATS, params={"limit": 3, "before": first["next"]})).json()
        titles = [one["title"] for one in first["items"] + rest["items"]]
        assert titles == ["chat 2", "chat 1", "chat 0", "Scene planning"]
        assert rest["next"] is None
        for number in range(3):
            await say(served, where, str(number))
        page = (await served.client.get(where, params={"limit": 4})).json()
        rest = (await served.client.get(where, params={"after": page["next"]})).json()
        assert len(page["items"]) + len(rest["items"]) == 6
        await served.client.post("/api/projects", json={"name": "Other", "slug": "other"})
        for method, url in (("GET", where), ("POST", where), ("GET", f"{CHATS}/none/messages")):
            elsewhere = url.replace("demo", "other")
            reply = await served.client.request(
                method, elsewhere, json={"content": "x"} if method == "POST" else None
            )
            assert reply.json()["error"]["code"] == "chat-not-found"


async def test_a_project_that_is_closed_again_still_has_its_answer(
    serve: Serve, local: ChatStandIn
) -> None:
    """Stopping the server waits for an answer that was asked for."""
    local.script(Act(text="In the end.", delay_s=0.5))
    async with talk(serve, grace_s=0) as (served, where):
        asking = asyncio.create_task(served.client.post(where, json={"content": "Hello"}))
        await asyncio.to_thread(local.arrived.wait, 20)
        served.app.state.house.stop()
        asking.cancel()
    async with serve(work=False) as served:
        assert await projects.find(served.house.studio, "demo")
        assert (await written(served, where))[-1] == ("assistant", "In the end.")
