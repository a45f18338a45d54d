"""Answers of a form: found wherever they stand, checked here, and asked for again once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel, Field

from maquette.core import money
from maquette.core.errors import BadProviderReply, MaquetteError, OutcomeUnknown, ProviderRefused
from maquette.core.language import ChatMessage, ChatRequest, Usage, charged
from maquette.core.scene import Scene
from maquette.language import structured
from maquette.language.chat import CompatibleChat
from maquette.testing.standin_chat import Act, ChatStandIn

REQUEST = ChatRequest(messages=(ChatMessage("user", "Name a bird and its size."),))


class Bird(BaseModel, extra="forbid"):
    """A bird."""

    name: str = Field(min_length=2, title="A title", max_length=40)
    wings: int = Field(default=2, ge=0, le=2)


GOOD = '{"name": "heron", "wings": 2}'


async def ask(model: CompatibleChat) -> structured.Answered[Bird]:
    return await structured.ask(model, REQUEST, Bird)


async def failed(model: CompatibleChat) -> MaquetteError:
    with pytest.raises(MaquetteError) as caught:
        await ask(model)
    return caught.value


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"```json\n{GOOD}\n```",
        f"```\n{GOOD}\n```",
        f"Here you are:\n\n```json\n{GOOD}\n```\nAnything else?",
        f"Sure! {GOOD} Enjoy.",
        f'Not {{this}} and not {{"name": }} but {GOOD}',
        f'{{"name": "x"}} no, rather {GOOD}',
        f"<think>a bird {{}}</think>{GOOD}",
        f"```json\n{GOOD}",
    ],
)
async def test_the_document_is_found_wherever_it_stands(
    model: CompatibleChat, server: ChatStandIn, text: str
) -> None:
    """ORC-3: with a schema."""
    server.script(Act(text=text))
    answered = await ask(model)
    assert answered.value == Bird(name="heron")
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("A heron.", "no JSON"),
        ('{"name": "heron"', "no JSON"),
        ('{"name": "x"}', "name"),
        ('{"name": "heron", "wings": 7}', "wings"),
        ('{"name": "heron", "beak": 1}', "beak"),
        ("[" * 3000, "no JSON"),
        ("{" * 100_000, "no JSON"),
        ("```" * 50_000, "no JSON"),
        ('{"a":' * 5000, "no JSON"),
    ],
    ids=lambda text: text[:30],
)
async def test_a_wrong_answer_is_asked_for_again_with_the_reason(
    model: CompatibleChat, server: ChatStandIn, text: str, reason: str
) -> None:
    """ORC-3: one repair round."""
    server.script(Act(text=text), Act(text=GOOD))
    answered = await ask(model)
    assert answered.value.name == "heron"
    first, second = server.seen
    assert second.texts[0] == first.texts[0]
    assert second.texts[1] == text[:8000]
    assert reason in second.texts[2]
    assert second.document["response_format"] == first.document["response_format"]


async def test_both_rounds_are_paid_for(model: CompatibleChat, server: ChatStandIn) -> None:
    server.script(Act(text="no"), Act(text=GOOD))
    spent = (await ask(model)).spent
    assert spent.calls == 2
    assert spent.cost is not None and money.to_nano(spent.cost) == server.charged_nano
    assert isinstance(spent.usage, Usage) and spent.usage.output_tokens == 1 + 1 + len(GOOD) // 4


async def test_after_two_wrong_answers_the_problem_is_quoted_and_the_cost_told(
    model: CompatibleChat, server: ChatStandIn
) -> None:
    server.script(Act(text='{"wings": 1}'), Act(text='{"wings": 2}'), Act(text=GOOD))
    error = await failed(model)
    assert isinstance(error, BadProviderReply)
    assert "name: Field required" in str(error)
    assert len(server.seen) == 2, "never a third"
    assert money.to_nano(charged(error) or money.FREE) == server.charged_nano > 0


@pytest.mark.parametrize(
    "act",
    [
        Act("busy"),
        Act("error", status=400, message="no more"),
        Act("error", status=400, code="context_length_exceeded"),
    ],
    ids=lambda act: f"{act.does} {act.code}",
)
async def test_a_refusal_in_the_second_round_does_not_unmake_the_first(
    model: CompatibleChat, server: ChatStandIn, act: Act
) -> None:
    """By itself a refusal says that nothing was charged; the round before was."""
    server.script(Act(text="no"), act)
    error = await failed(model)
    assert isinstance(error, BadProviderReply)
    assert money.to_nano(charged(error) or money.FREE) == server.charged_nano > 0


async def test_a_lost_second_answer_leaves_the_outcome_unknown(
    model: CompatibleChat, server: ChatStandIn
) -> None:
    server.script(Act(text="no"), Act("cut-late"))
    error = await failed(model)
    assert isinstance(error, OutcomeUnknown)
    assert charged(error) is None


async def test_a_second_answer_of_unknown_cost_makes_the_sum_unknown(
    model: CompatibleChat, server: ChatStandIn
) -> None:
    server.script(Act(text="no"), Act("garbage"))
    error = await failed(model)
    assert isinstance(error, BadProviderReply)
    assert charged(error) is None, "the estimate stands"


async def test_a_first_refusal_passes_as_it_is(model: CompatibleChat, server: ChatStandIn) -> None:
    server.script(Act("error", status=400, message="no more"))
    assert type(await failed(model)) is ProviderRefused


async def test_a_model_that_declines_is_not_asked_again(
    model: CompatibleChat, server: ChatStandIn
) -> None:
    server.script(Act(refusal="I would rather not."))
    error = await failed(model)
    assert "I would rather not." in str(error)
    assert len(server.seen) == 1


async def test_a_cut_answer_is_asked_to_be_brief(
    model: CompatibleChat, server: ChatStandIn
) -> None:
    server.script(Act(text='{"name": "her', finish="length"), Act(text=GOOD))
    await ask(model)
    assert "briefer" in server.seen[1].texts[2]


@pytest.mark.parametrize("kind", [Bird, Scene])
async def test_the_worst_case_covers_both_rounds(
    model: CompatibleChat, server: ChatStandIn, kind: type[BaseModel]
) -> None:
    bound = structured.worst_case(model, REQUEST, kind)
    server.script(Act(text="wrong " * 3000), Act(text="wrong " * 2700))
    with pytest.raises(BadProviderReply):
        await structured.ask(model, REQUEST, kind)
    assert money.to_nano(bound) >= server.charged_nano > 0


@pytest.mark.parametrize("kind", [Bird, Scene])
async def test_strict_servers_take_the_schema(
    model: CompatibleChat, server: ChatStandIn, kind: type[BaseModel]
) -> None:
    """The stand-in refuses open objects, optional members, defaults and words beside `$ref`."""
    assert isinstance((await structured.ask(model, REQUEST, kind)).value, kind)
    schema = server.seen[0].document["response_format"]["json_schema"]["schema"]
    assert "maxLength" not in json.dumps(schema)


def test_a_member_may_be_called_like_a_keyword() -> None:
    schema: dict[str, Any] = structured.sent_schema(Scene)
    assert "title" in schema["properties"]
    assert "title" not in schema


async def test_what_the_model_wrote_is_not_repeated_in_errors(
    model: CompatibleChat, server: ChatStandIn
) -> None:
    text = '{"name": 5, "wings": "my very own words"}'
    server.script(Act(text=text), Act(text=text))
    assert "very own" not in str(await failed(model))


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"subject": "a cat"}, "a cat"),
        ({"subject": {"name": "a cat", "scale": None}}, "a cat"),
        ({"subjects": ["a cat", {"name": "a mat"}]}, "a cat"),
        ({"subjects": [{"name": " a\x00 cat "}], "lighting": "soft", "camera": None}, "a  cat"),
    ],
)
def test_a_scene_is_read_leniently(given: dict[str, Any], name: str) -> None:
    """ORC-4: all that people and models write for one thing."""
    scene = Scene.model_validate(given)
    assert scene.subjects[0].name == name
    assert Scene.model_validate_json(scene.model_dump_json()) == scene


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"subjects": []},
        {"subject": "  "},
        {"subject": "a cat", "weather": "fine"},
        {"subject": "a cat", "palette": ["red"]},
        {"subject": "a cat", "lighting": {"hardness": 60}},
        {"subject": "a cat", "lighting": {"hardness": float("nan")}},
        {"subject": "x" * 2001},
        {"subjects": ["x"] * 21},
    ],
    ids=lambda given: str(given)[:50],
)
def test_a_scene_that_is_none_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        Scene.model_validate(given)


def test_colours_are_written_in_one_form() -> None:
    scene = Scene.model_validate({"subject": "x", "palette": ["#ABC", "aabbcc", " #AaBbCc "]})
    assert scene.palette == ("#aabbcc",) * 3
