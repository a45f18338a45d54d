"""Instructions over HTTP: given, priced, confirmed, done, cancelled, dispatched, reported."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.api.conftest import Serve
from tests.services.conftest import noise

from maquette.testing.scripted import Act, Books
from maquette.testing.serving import Served
from maquette.testing.standin_agent import Act as AgentAct
from maquette.testing.standin_agent import AgentStandIn

HERE = "/api/projects/p/agent/instructions"
PAID = {"model": "scripted:paid", "prompt": "dusk"}


async def project(served: Served, *scenes: str) -> Path:
    """Make a project `p` with noise for scenes; return its root."""
    made = await served.client.post("/api/projects", json={"name": "P", "slug": "p"})
    assert made.status_code == 201, made.text
    root = Path(made.json()["project_root"])
    for seed, name in enumerate(scenes):
        (root / "scenes").mkdir(exist_ok=True)
        (root / "scenes" / f"{name}.png").write_bytes(noise(seed))
    return root


async def give(
    served: Served, kind: str = "pipeline_run", status: int = 201, /, **more: Any
) -> dict[str, Any]:
    payload = more.pop("payload", {})
    body = {"instruction_type": kind, "payload_json": payload, **more}
    reply = await served.client.post(HERE, json=body)
    assert reply.status_code == status, reply.text
    return reply.json()


async def until(served: Served, made: dict[str, Any], *states: str) -> dict[str, Any]:
    """Follow the instruction until it is in one of the states."""
    async with asyncio.timeout(60):
        while True:
            found = (await served.client.get(f"{HERE}/{made['id']}")).json()
            if found["state"] in states:
                return found
            assert found["state"] not in {"succeeded", "failed", "cancelled"}, found
            await asyncio.sleep(0.05)


async def told(served: Served, made: dict[str, Any], change: str) -> None:
    """Follow the project's events until the instruction had that change."""
    head = {"Last-Event-ID": "0"}
    async with (
        asyncio.timeout(60),
        served.client.stream("GET", "/api/projects/p/events", headers=head) as stream,
    ):
        async for line in stream.aiter_lines():
            about = line.startswith("data:") and made["id"] in line
            if about and json.loads(line.removeprefix("data:"))["change"] == change:
                return


async def changes(served: Served, made: dict[str, Any]) -> list[str]:
    page = (await served.client.get(f"{HERE}/{made['id']}/events")).json()
    return [one["kind"] for one in page["items"]]


async def test_the_seeds_example_is_taken_and_fails_in_words_where_there_is_nothing(
    served: Served,
) -> None:
    """LAB-26: the seed's own curl line, on an empty project."""
    await project(served)
    body = (
        '{"instruction_type":"pipeline_run","dispatch_to_agent":false,'
        '"payload_json":{"stage":"style","candidates":3}}'
    )
    reply = await served.client.post(
        HERE, content=body, headers={"Content-Type": "application/json"}
    )
    assert reply.status_code == 201, reply.text
    assert reply.json()["payload_json"] == {"stage": "style", "candidates": 3}
    # A second provider is ready here, so the model has to be named before the scenes count.
    ended = await until(served, reply.json(), "failed")
    assert ended["error"]["code"] == "bad-parameter"
    named = await give(served, payload={"stage": "style", "candidates": 3, "model": "proof"})
    ended = await until(served, named, "failed")
    assert ended["error"]["code"] == "nothing-to-do"
    assert "scenes" in ended["error"]["message"]


async def test_what_is_free_is_queued_at_once_and_really_makes_pictures(served: Served) -> None:
    """LAB-26: without named scenes it takes `<root>/scenes`."""
    root = await project(served, "coast", "dunes")
    made = await give(served, payload={"model": "proof", "candidates": 2})
    assert (made["state"], made["worst_case_usd"]) == ("queued", "0")
    done = await until(served, made, "succeeded")
    assert min(path.name for path in (root / "outputs").glob("*.png")).startswith("coast")
    assert done["result"]["scenes"] == 2
    assert {one["scene"] for one in done["result"]["pictures"]} == {"coast", "dunes"}
    run = (await served.client.get(f"/api/projects/p/runs/{done['run_id']}")).json()
    assert run["state"] == "succeeded"
    assert await changes(served, made) == ["created", "started", "run_started", "ended"]


async def test_what_may_cost_money_waits_for_a_persons_word(served: Served, books: Books) -> None:
    await project(served, "coast", "dunes")
    made = await give(served, payload=PAID)
    assert made["state"] == "awaiting_confirmation"
    assert made["worst_case_usd"] == "0.08"
    assert books.paid_calls == 0
    other = await served.client.post(f"{HERE}/{made['id']}/confirm", json={"worst_case_usd": "1"})
    assert other.status_code == 409
    sure = await served.client.post(f"{HERE}/{made['id']}/confirm", json={"worst_case_usd": "0.08"})
    assert sure.json()["confirmed"] is True
    done = await until(served, made, "succeeded")
    assert done["result"]["spent_usd"] == "0.08"
    assert books.paid_calls == 2
    again = await served.client.post(f"{HERE}/{made['id']}/confirm")
    assert (again.status_code, again.json()["state"]) == (200, "succeeded")
    assert books.paid_calls == 2


async def test_a_draft_waits_whatever_it_costs(served: Served) -> None:
    await project(served, "coast")
    made = await give(served, payload={"model": "proof"}, draft=True)
    assert made["state"] == "draft"
    await served.client.post(f"{HERE}/{made['id']}/confirm")
    await until(served, made, "succeeded")


@pytest.mark.parametrize(
    ("kind", "payload", "words"),
    [
        ("pipeline_run", {"stage": "x", "colour": 1, "zoom": 2}, "'colour', 'zoom'"),
        ("pipeline_run", {"candidates": 0}, "'candidates'"),
        ("pipeline_run", {"scene_refs": ["../../etc/passwd"]}, "out of the project's root"),
        ("pipeline_run", {"style_refs": ["/etc/passwd"]}, "out of the project's root"),
        ("pipeline_run", {"scene_refs": [".maquette/owner.json"]}, "store's own folder"),
        ("pipeline_run", {"scene_refs": ["x" * 300]}, "longer than"),
        ("upscale", {"input": "../x"}, "out of the project's root"),
        ("bgremove", {"output": "../x"}, "out of the project's root"),
        ("color", {"strength": 2}, "'strength'"),
        ("pipeline_run", {"max_spend_usd": "NaN"}, "'max_spend_usd'"),
    ],
)
async def test_a_wrong_payload_is_refused_in_words(
    served: Served, kind: str, payload: dict[str, Any], words: str
) -> None:
    await project(served)
    refused = await give(served, kind, 422, payload=payload)
    assert words in refused["detail"]


async def test_a_number_that_is_none_is_refused(served: Served) -> None:
    await project(served)
    body = '{"instruction_type":"pipeline_run","payload_json":{"guard":{"max_chroma_delta":NaN}}}'
    reply = await served.client.post(HERE, content=body)
    assert reply.status_code == 422, reply.text


async def test_more_than_its_own_ceiling_is_refused_before_anything_is_kept(
    served: Served,
) -> None:
    await project(served, "coast")
    await give(served, "pipeline_run", 402, payload={**PAID, "max_spend_usd": "0.01"})
    assert (await served.client.get(HERE)).json()["items"] == []


async def test_what_waits_is_cancelled_at_once(served: Served) -> None:
    await project(served, "coast")
    made = await give(served, payload=PAID)
    gone = await served.client.post(f"{HERE}/{made['id']}/cancel")
    assert (gone.status_code, gone.json()["state"]) == (202, "cancelled")
    assert (await served.client.post(f"{HERE}/{made['id']}/cancel")).status_code == 202
    assert (await served.client.post(f"{HERE}/{made['id']}/confirm")).status_code == 409


async def test_a_running_one_is_cancelled_with_its_run(serve: Serve) -> None:
    async with serve(Act(delay_s=60), Act(delay_s=60)) as served:
        await project(served, "coast")
        made = await give(served, payload={"model": "scripted:free", "prompt": "dusk"})
        await told(served, made, "run_started")
        asked = await served.client.post(f"{HERE}/{made['id']}/cancel")
        assert asked.json()["cancel_requested"] is True
        ended = await until(served, made, "cancelled")
        run = (await served.client.get(f"/api/projects/p/runs/{ended['run_id']}")).json()
        assert run["state"] == "cancelled"


async def test_steps_by_themselves_and_the_guard_run_here(served: Served) -> None:
    root = await project(served)
    (root / "outputs" / "a.png").write_bytes(noise(1))
    for kind, payload in (
        ("upscale", {"backend": "resample", "scale": 2}),
        ("bgremove", {"backends": ["classical"]}),
        ("color", {"profile": "cinematic_warm"}),
        ("qa", {}),
    ):
        done = await until(served, await give(served, kind, payload=payload), "succeeded")
        assert done["worst_case_usd"] == "0"
    assert done["result"]["passed"] == 1
    for folder in ("upscaled", "background_removed", "color_corrected"):
        assert (root / folder / "a.png").is_file()


async def test_a_folder_with_a_link_that_leads_out_is_refused(
    served: Served, tmp_path: Path
) -> None:
    root = await project(served)
    (tmp_path / "secret.png").write_bytes(noise(1))
    (root / "mine").mkdir()
    (root / "mine" / "a.png").symlink_to(tmp_path / "secret.png")
    reply = await give(served, "upscale", 422, payload={"input": "mine"})
    assert reply["error"]["code"] == "unsafe-path"


async def test_instructions_are_paged_newest_first(served: Served) -> None:
    await project(served)
    made = [(await give(served, "qa", draft=True))["id"] for _ in range(5)]
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = (await served.client.get(HERE, params=query)).json()
        seen += [one["id"] for one in page["items"]]
        if page["next"] is None:
            break
        query["before"] = page["next"]
    assert seen == made[::-1]
    only = (await served.client.get(HERE, params={"state": "queued"})).json()
    assert only["items"] == []


async def test_the_same_key_gives_one_instruction(served: Served) -> None:
    """WEB-7."""
    await project(served)
    body = {"instruction_type": "qa", "draft": True}
    key = {"Idempotency-Key": "once-and-for-all"}
    first = await served.client.post(HERE, json=body, headers=key)
    second = await served.client.post(HERE, json=body, headers=key)
    assert first.json()["id"] == second.json()["id"]
    assert len((await served.client.get(HERE)).json()["items"]) == 1


async def test_an_instruction_of_another_project_is_not_found(served: Served) -> None:
    await project(served)
    made = await give(served, "qa", draft=True)
    await served.client.post("/api/projects", json={"name": "O", "slug": "o"})
    other = f"/api/projects/o/agent/instructions/{made['id']}"
    for path in (other, f"{other}/events"):
        assert (await served.client.get(path)).status_code == 404
    assert (await served.client.post(f"{other}/confirm")).status_code == 404
    assert (await served.client.post(f"{other}/cancel")).status_code == 404


async def test_without_an_agent_nothing_is_dispatched(served: Served) -> None:
    await project(served)
    refused = await give(served, "qa", 422, dispatch_to_agent=True)
    assert refused["error"]["code"] == "capability-missing"


@pytest.mark.parametrize(
    "names",
    [
        ("MAQUETTE_AGENT_URL", "MAQUETTE_AGENT_TOKEN"),
        ("MAQUETTE_AGENT_API_URL", "MAQUETTE_AGENT_API_TOKEN"),
        ("IAT_AGENT_API_URL", "IAT_AGENT_API_TOKEN"),
    ],
)
async def test_an_agent_gets_the_instruction_with_its_token_and_the_callers_id(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, names: tuple[str, str]
) -> None:
    """LAB-26: unset means the agent, where one is configured."""
    with AgentStandIn() as agent:
        monkeypatch.setenv(names[0], agent.url)
        monkeypatch.setenv(names[1], "s3cret")
        async with serve() as served:
            await project(served)
            served.client.headers["X-Correlation-ID"] = "job-7"
            made = await give(served, "qa", payload={"stage": "style"})
            assert made["dispatch_to_agent"] is True
            done = await until(served, made, "succeeded")
        [seen] = agent.seen
    assert seen.headers["authorization"] == "Bearer s3cret"
    assert seen.headers["idempotency-key"] == made["id"]
    assert seen.headers["x-correlation-id"] == "job-7"
    assert seen.body["instruction_type"] == "qa"
    assert seen.body["payload_json"] == {"stage": "style"}
    assert done["result"]["agent"] == {"state": "succeeded"}


@pytest.fixture
def agents(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Start an agent and configure it."""

    def started(*script: AgentAct) -> AgentStandIn:
        agent = AgentStandIn(*script)
        monkeypatch.setenv("MAQUETTE_AGENT_URL", agent.url)
        monkeypatch.setenv("MAQUETTE_AGENT_TOKEN", "s3cret")
        return agent

    return started


async def test_a_dispatched_one_that_may_spend_waits_for_confirmation_too(
    serve: Serve, agents: Any
) -> None:
    with agents() as agent:
        async with serve() as served:
            await project(served)
            made = await give(served)
            assert made["state"] == "awaiting_confirmation"
            assert not agent.seen
            await served.client.post(f"{HERE}/{made['id']}/confirm")
            await until(served, made, "succeeded")
        assert agent.seen[0].body["confirmed"] is True


async def test_an_agent_that_fails_is_asked_again_with_the_same_key(
    serve: Serve, agents: Any
) -> None:
    script = (AgentAct(status=503), AgentAct("cut"), AgentAct(status=429))
    with agents(*script) as agent:
        async with serve() as served:
            await project(served)
            made = await give(served, "qa")
            await until(served, made, "succeeded")
            assert (await changes(served, made)).count("dispatch_failed") == 3
        assert list(agent.keys) == [made["id"]] * 4


async def test_an_agent_that_stays_down_is_given_up_in_words(serve: Serve, agents: Any) -> None:
    with agents(*[AgentAct(status=500, body={"error": "out of paint"})] * 9) as agent:
        async with serve() as served:
            await project(served)
            ended = await until(served, await give(served, "qa"), "failed")
        assert "out of paint" in ended["error"]["message"]
        assert len(agent.seen) == 5


async def test_an_agents_refusal_is_quoted_without_the_token(serve: Serve, agents: Any) -> None:
    refusal = AgentAct(status=400, body={"error": {"message": "bad key s3cret\nsorry"}})
    with agents(refusal) as agent:
        async with serve() as served:
            await project(served)
            ended = await until(served, await give(served, "qa"), "failed")
        assert len(agent.seen) == 1
    assert ended["error"]["code"] == "provider-refused"
    assert "bad key *** sorry" in ended["error"]["message"]


async def test_a_redirect_is_not_followed(serve: Serve, agents: Any) -> None:
    with agents(AgentAct(status=307, headers={"Location": "http://127.0.0.1:1/"})):
        async with serve() as served:
            await project(served)
            ended = await until(served, await give(served, "qa"), "failed")
    assert "leads elsewhere" in ended["error"]["message"]


async def test_an_agent_that_takes_its_time_reports_back(serve: Serve, agents: Any) -> None:
    with agents(AgentAct(body={"state": "running", "ticket": 7})) as agent:
        async with serve() as served:
            await project(served)
            made = await give(served, "qa")
            await told(served, made, "accepted")
            report = f"{HERE}/{made['id']}/report"
            going = await served.client.post(report, json={"state": "running", "result": {"n": 1}})
            assert going.json()["state"] == "running"
            body = {"state": "succeeded", "result": {"pictures": 3}}
            ended = await served.client.post(report, json=body)
            assert ended.json()["state"] == "succeeded"
            assert ended.json()["result"] == {"pictures": 3}
            assert (await served.client.post(report, json=body)).status_code == 200
            late = await served.client.post(report, json={"state": "failed"})
            assert late.status_code == 409
        assert len(agent.seen) == 1


async def test_nobody_reports_on_what_is_done_here(served: Served) -> None:
    await project(served)
    made = await give(served, "qa", draft=True)
    reply = await served.client.post(f"{HERE}/{made['id']}/report", json={"state": "succeeded"})
    assert reply.status_code == 409


async def test_every_change_is_an_event_of_the_project(served: Served) -> None:
    await project(served)
    made = await give(served, "qa", draft=True)
    await served.client.post(f"{HERE}/{made['id']}/cancel")
    head = {"Last-Event-ID": "0"}
    lines: list[str] = []
    async with (
        asyncio.timeout(20),
        served.client.stream("GET", "/api/projects/p/events", headers=head) as stream,
    ):
        async for line in stream.aiter_lines():
            if line.startswith("data:") and made["id"] in line:
                lines.append(line)
            if len(lines) == 2:
                break
    assert '"draft"' in lines[0]
    assert '"cancelled"' in lines[1]
