"""Prompts written by a chat model."""

from __future__ import annotations

import json

import pytest

from maquette.core import money
from maquette.core.errors import BadParameter, BadProviderReply, RateLimited
from maquette.core.scene import Scene
from maquette.language.chat import CompatibleChat
from maquette.language.writer import ModelPromptWriter
from maquette.testing.standin_chat import Act, ChatStandIn


def answer(*prompts: str) -> Act:
    rows = [{"title": f"T {one}", "prompt": one, "negative_prompt": "blur"} for one in prompts]
    return Act(text=json.dumps({"prompts": rows}))


async def test_as_many_prompts_as_were_asked_for(
    model: CompatibleChat, server: ChatStandIn
) -> None:
    """ORC-3: N variations."""
    server.script(answer("one", "two", "three"))
    written = await ModelPromptWriter(model).write("a heron", 3, 7)
    assert [one.prompt for one in written.prompts] == ["one", "two", "three"]
    assert (written.prompts[0].title, written.prompts[0].negative_prompt) == ("T one", "blur")
    assert (written.source, written.embedded, written.note) == ("stand-in-vision", False, "")
    assert written.spent.cost is not None
    assert money.to_nano(written.spent.cost) == server.charged_nano


async def test_the_idea_and_the_seed_are_sent(model: CompatibleChat, server: ChatStandIn) -> None:
    await ModelPromptWriter(model).write("a heron, at dawn", 2, 7)
    assert "Write 2 prompts" in server.seen[0].texts[1]
    assert "a heron, at dawn" in server.seen[0].texts[1]
    assert server.seen[0].document["seed"] == 7


async def test_a_scene_is_sent_without_its_empty_members(
    model: CompatibleChat, server: ChatStandIn
) -> None:
    """ORC-3: from a scene JSON."""
    scene = Scene.model_validate({"subject": "a heron", "mood": "still", "palette": ["#102030"]})
    await ModelPromptWriter(model).write(scene, 1, 0)
    sent = server.seen[0].texts[1].partition("Scene:\n")[2]
    assert json.loads(sent) == {
        "subjects": [{"name": "a heron"}],
        "mood": "still",
        "palette": ["#102030"],
    }


async def test_too_few_are_asked_for_again_and_too_many_cut_off(
    model: CompatibleChat, server: ChatStandIn
) -> None:
    server.script(answer("one"), answer("one", "two", "three"))
    written = await ModelPromptWriter(model).write("a heron", 2, 0)
    assert [one.prompt for one in written.prompts] == ["one", "two"]
    assert "prompts" in server.seen[1].texts[3]


async def test_many_prompts_come_in_batches_that_know_of_each_other(
    model: CompatibleChat, server: ChatStandIn
) -> None:
    writer = ModelPromptWriter(model)
    bound = writer.estimate("a heron", 20)
    server.script(answer(*"abcdefgh"), answer(*"ijklmnop"), answer(*"qrst"))
    written = await writer.write("a heron", 20, 0)
    assert "".join(one.prompt for one in written.prompts) == "abcdefghijklmnopqrst"
    assert "T a; T b" in server.seen[1].texts[1]
    assert "Write 4 prompts" in server.seen[2].texts[1]
    assert len({one.document["seed"] for one in server.seen}) == 3
    assert money.to_nano(bound) >= server.charged_nano


@pytest.mark.parametrize("act", [Act("busy"), Act("cut-late"), Act("garbage")])
async def test_what_was_paid_for_is_kept_when_a_later_batch_fails(
    model: CompatibleChat, server: ChatStandIn, act: Act
) -> None:
    server.script(answer(*"abcdefgh"), act)
    written = await ModelPromptWriter(model).write("a heron", 9, 0)
    assert len(written.prompts) == 8
    assert "Only 8 of 9" in written.note
    cost = written.spent.cost
    if act.does == "busy":
        assert cost is not None and money.to_nano(cost) == server.charged_nano > 0
    else:
        assert cost is None, "the estimate stands"


async def test_a_first_batch_that_fails_is_an_error(
    model: CompatibleChat, server: ChatStandIn
) -> None:
    server.script(Act("busy"))
    with pytest.raises(RateLimited):
        await ModelPromptWriter(model).write("a heron", 9, 0)


async def test_the_estimate_covers_a_repair_of_every_batch(
    model: CompatibleChat, server: ChatStandIn
) -> None:
    writer = ModelPromptWriter(model)
    wrong = Act(text="wrong " * 2700)
    server.script(wrong, answer(*"abcdefgh"), wrong, wrong)
    written = await writer.write("a heron", 16, 0)
    assert len(server.seen) == 4 and written.note
    assert written.spent.cost is not None
    assert money.to_nano(written.spent.cost) == server.charged_nano
    assert money.to_nano(writer.estimate("a heron", 16)) >= server.charged_nano


@pytest.mark.parametrize(
    ("idea", "count"), [("", 1), (" \n", 1), ("x" * 8001, 1), ("a heron", 0), ("a heron", 201)]
)
async def test_what_cannot_be_asked_is_refused_before(
    model: CompatibleChat, server: ChatStandIn, idea: str, count: int
) -> None:
    with pytest.raises(BadParameter):
        await ModelPromptWriter(model).write(idea, count, 0)
    with pytest.raises(BadParameter):
        ModelPromptWriter(model).estimate(idea, count)
    assert server.seen == []


async def test_prompts_without_words_are_none(model: CompatibleChat, server: ChatStandIn) -> None:
    server.script(answer(" "), answer("\x00"))
    with pytest.raises(BadProviderReply, match="prompt"):
        await ModelPromptWriter(model).write("a heron", 1, 0)
