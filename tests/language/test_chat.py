"""The chat client against servers of three dialects, and what their failures mean for the money."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import socket
import threading
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import SecretStr, ValidationError

from maquette.core import money
from maquette.core.errors import (
    BadParameter,
    BadProviderReply,
    CapabilityMissing,
    ConnectionRefused,
    OutcomeUnknown,
    PriceUnknown,
    ProviderError,
    ProviderRefused,
    ProviderUnavailable,
    RateLimited,
    UnsupportedImage,
)
from maquette.core.language import (
    ChatMessage,
    ChatRequest,
    Spent,
    ToolCall,
    ToolSpec,
    Usage,
    charged,
)
from maquette.core.requests import Encoded
from maquette.core.wire import WireRules
from maquette.imaging import codec
from maquette.language import chat, failures
from maquette.language.chat import CompatibleChat
from maquette.language.config import OPENAI_URL, LanguageConfig, TokenPrice
from maquette.testing.http_server import Exchange, LoopbackServer
from maquette.testing.standin_chat import Act, ChatStandIn

KEY = "sk-chat-77aa31"
PRICE = TokenPrice(
    input=Decimal("2.50"), output=Decimal(10), date=date(2026, 11, 20), source="the stand-in"
)
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"word": {"type": "string"}},
    "required": ["word"],
    "additionalProperties": False,
}
TOOL = ToolSpec("upscale", "Enlarge a picture.", {"type": "object", "properties": {}})


@pytest.fixture(params=["lm-studio", "ollama", "openai"])
def server(request: pytest.FixtureRequest) -> Iterator[ChatStandIn]:
    with ChatStandIn(request.param, key=KEY) as running:
        yield running


@pytest.fixture
def local() -> Iterator[ChatStandIn]:
    with ChatStandIn("lm-studio") as running:
        yield running


@pytest.fixture
def paid() -> Iterator[ChatStandIn]:
    with ChatStandIn("openai", key=KEY) as running:
        yield running


def no_key(name: str) -> SecretStr:
    raise AssertionError(f"{name} was asked for")


def free_model(url: str, **more: Any) -> CompatibleChat:
    config = LanguageConfig.model_validate(
        {"base_url": url, "model": "stand-in-7b", "free": True, **more}
    )
    return CompatibleChat(config, WireRules(paid_calls=False), no_key)


def paid_model(url: str, key: str = KEY, **more: Any) -> CompatibleChat:
    given = {
        "base_url": url,
        "model": "stand-in-7b",
        "key_name": "CHAT_KEY",
        "has_key": True,
        "price": PRICE,
        "vision": True,
        "output_limit_name": "max_completion_tokens",
        **more,
    }
    config = LanguageConfig.model_validate(given)
    return CompatibleChat(config, WireRules(paid_calls=False), lambda _name: SecretStr(key))


def said(text: str = "Good evening", **more: Any) -> ChatRequest:
    return ChatRequest(messages=(ChatMessage("user", text),), **more)


def photo(kind: Any = "png", width_px: int = 40, height_px: int = 30, channels: int = 3) -> Encoded:
    pixels = np.random.default_rng(3).integers(0, 256, (height_px, width_px, channels), np.uint8)
    return Encoded(codec.encode(pixels, format=kind), f"image/{kind}")


async def failure_of(server: ChatStandIn, act: Act, model: CompatibleChat) -> ProviderError:
    server.script(act)
    with pytest.raises(ProviderError) as caught:
        await model.chat(said())
    return caught.value


async def test_every_dialect_answers_with_text_and_usage(server: ChatStandIn) -> None:
    """ORC-3: LM Studio, Ollama, OpenAI."""
    reply = await paid_model(server.url, output_limit_name="max_completion_tokens").chat(said())
    assert reply.text == "Good morning."
    assert reply.model == "stand-in-7b"
    assert reply.spent.usage is not None
    assert reply.spent.usage.input_tokens > 0


async def test_what_was_charged_is_what_the_books_of_the_other_side_say(paid: ChatStandIn) -> None:
    reply = await paid_model(paid.url).chat(said("x" * 999, schema=SCHEMA))
    assert reply.spent.cost is not None
    assert money.to_nano(reply.spent.cost) == paid.charged_nano > 0


@pytest.mark.parametrize("text", ["", "hello", "日本語" * 400, "\ud800"])
@pytest.mark.parametrize("pictures", [0, 2])
async def test_the_estimate_is_never_less_than_the_charge(
    paid: ChatStandIn, text: str, pictures: int
) -> None:
    message = ChatMessage("user", text, images=(photo(),) * pictures)
    request = ChatRequest((message,), schema=SCHEMA, tools=(TOOL,), max_output_tokens=64)
    model = paid_model(paid.url)
    bound = model.estimate(request)
    await model.chat(request)
    assert money.to_nano(bound) >= paid.charged_nano > 0


async def test_cached_input_is_charged_at_its_own_price(paid: ChatStandIn) -> None:
    usage = {
        "prompt_tokens": 1000,
        "completion_tokens": 10,
        "prompt_tokens_details": {"cached_tokens": 400},
    }
    paid.script(Act(usage=usage))
    price = PRICE.model_copy(update={"input_cached": Decimal("0.25")})
    reply = await paid_model(paid.url, price=price).chat(said())
    assert reply.spent.cost == (600 * Decimal("2.5") + 400 * Decimal("0.25") + 10 * 10) / 10**6


@pytest.mark.parametrize(
    "usage",
    [
        None,
        "much",
        {},
        {"prompt_tokens": -1, "completion_tokens": 1},
        {"prompt_tokens": True, "completion_tokens": 1},
        {"prompt_tokens": 10**30, "completion_tokens": 1},
        {"prompt_tokens": 1.5, "completion_tokens": 1},
    ],
)
async def test_absurd_usage_costs_nobody_a_wrong_amount(paid: ChatStandIn, usage: Any) -> None:
    """The estimate stands then."""
    paid.script(Act(usage=usage))
    reply = await paid_model(paid.url).chat(said())
    assert reply.text
    assert reply.spent == Spent(usage=None, cost=None, calls=1)


async def test_a_free_model_costs_nothing_whatever_it_reports(local: ChatStandIn) -> None:
    model = free_model(local.url)
    assert model.estimate(said()) == 0
    assert (await model.chat(said())).spent.cost == 0


async def test_a_model_without_a_price_is_refused(local: ChatStandIn) -> None:
    """D5: never $0."""
    model = free_model(local.url, free=False)
    with pytest.raises(PriceUnknown, match="MAQUETTE_LANGUAGE__PRICE"):
        model.estimate(said())
    with pytest.raises(PriceUnknown):
        await model.chat(said())
    assert local.seen == []


async def test_without_a_model_nothing_is_sent() -> None:
    model = CompatibleChat(LanguageConfig(), WireRules(paid_calls=False), no_key)
    assert "MAQUETTE_LANGUAGE__MODEL" in (model.missing() or "")
    with pytest.raises(CapabilityMissing, match="nothing was sent"):
        await model.chat(said())


async def test_a_key_that_is_not_set_is_missed_before_anything_is_sent(paid: ChatStandIn) -> None:
    model = paid_model(paid.url, has_key=False)
    assert "CHAT_KEY" in (model.missing() or "")
    with pytest.raises(CapabilityMissing, match="CHAT_KEY"):
        await model.chat(said())
    assert paid.seen == []


async def test_the_key_is_sent_and_never_told(paid: ChatStandIn) -> None:
    model = paid_model(paid.url, key="sk-wrong-key")
    with pytest.raises(ProviderRefused, match="CHAT_KEY") as caught:
        await model.chat(said())
    assert paid.seen[0].headers["authorization"] == "Bearer sk-wrong-key"
    assert "sk-wrong-key" not in str(caught.value) + repr(caught.value.facts)


async def test_a_message_that_quotes_the_key_is_cleaned(paid: ChatStandIn) -> None:
    error = await failure_of(
        paid, Act("error", status=400, message=f"bad {KEY}"), paid_model(paid.url)
    )
    assert KEY not in str(error)
    assert "***" in str(error)


@pytest.mark.parametrize("key", ["", "  ", "ключ", "a\nb"])
async def test_a_key_that_is_no_key_is_never_sent(paid: ChatStandIn, key: str) -> None:
    with pytest.raises(CapabilityMissing, match="CHAT_KEY"):
        await paid_model(paid.url, key=key).chat(said())
    assert paid.seen == []


async def test_a_local_server_is_shown_no_key(local: ChatStandIn) -> None:
    await free_model(local.url).chat(said())
    assert "authorization" not in local.seen[0].headers


@pytest.mark.parametrize(
    "given",
    [
        {"base_url": "https://else.example/v1"},
        {"base_url": "https://user:pw@host/v1", "keyless": True},
        {"base_url": "ftp://host", "keyless": True},
        {"base_url": "http://localhost/v1?x=1"},
        {"free": True, "price": PRICE},
        {"wait_s": 5},
        {"price": {"input": "NaN", "output": "1", "date": "2026-11-20", "source": "x"}},
        {"price": {"input": "-1", "output": "1", "date": "2026-11-20", "source": "x"}},
    ],
)
def test_settings_that_cannot_be_right_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        LanguageConfig.model_validate(given)


def test_the_key_of_one_service_is_never_shown_to_another() -> None:
    assert LanguageConfig(base_url=OPENAI_URL).key_name == "OPENAI_API_KEY"
    assert LanguageConfig().sends_key is False
    assert LanguageConfig(base_url="https://else.example/v1", keyless=True).key_name is None
    with pytest.raises(ValidationError, match="key_name"):
        LanguageConfig(base_url="https://else.example/v1")


async def test_a_schema_is_sent_as_json_schema(server: ChatStandIn) -> None:
    """LM Studio answers `json_object` with 400."""
    reply = await paid_model(server.url).chat(said(schema=SCHEMA))
    assert json.loads(reply.text) == {"word": "made up"}
    form = server.seen[0].document["response_format"]
    assert (form["type"], form["json_schema"]["strict"]) == ("json_schema", True)


async def test_a_server_that_knows_no_schemas_is_given_it_in_words() -> None:
    with ChatStandIn("ollama", schemas=False) as older:
        older.script(Act(), Act(text='{"word": "yes"}'))
        reply = await free_model(older.url).chat(said(schema=SCHEMA))
    assert reply.text == '{"word": "yes"}'
    assert [("response_format" in one.document) for one in older.seen] == [True, False]
    assert json.dumps(SCHEMA) in older.seen[1].texts[0]
    assert [one["role"] for one in older.seen[1].document["messages"]] == ["system", "user"]


async def test_the_instruction_joins_a_system_message_that_is_there() -> None:
    messages = (ChatMessage("system", "Be brief."), ChatMessage("user", "Go."))
    with ChatStandIn("ollama", schemas=False) as older:
        await free_model(older.url).chat(ChatRequest(messages, schema=SCHEMA))
    system, user = older.seen[1].texts
    assert system.startswith("Be brief.") and json.dumps(SCHEMA) in system
    assert user == "Go."


async def test_any_other_complaint_is_not_asked_twice(local: ChatStandIn) -> None:
    local.script(Act("error", status=400, message="temperature must be 1"))
    with pytest.raises(ProviderRefused, match="temperature must be 1"):
        await free_model(local.url).chat(said(schema=SCHEMA))
    assert len(local.seen) == 1


async def test_the_bound_of_output_is_sent_and_never_exceeded(paid: ChatStandIn) -> None:
    model = paid_model(paid.url, max_output_tokens=100)
    for wanted in (None, 50, 5000):
        await model.chat(said(max_output_tokens=wanted))
    assert [one.document["max_completion_tokens"] for one in paid.seen] == [100, 50, 100]


def test_only_one_address_is_given_the_newer_word_for_the_bound_unasked() -> None:
    assert LanguageConfig().limit_name == "max_tokens"
    assert LanguageConfig(base_url=OPENAI_URL).limit_name == "max_completion_tokens"


async def test_what_nobody_set_is_not_sent(local: ChatStandIn) -> None:
    """Several models refuse any temperature of ours."""
    await free_model(local.url).chat(said())
    await free_model(local.url).chat(said(temperature=0.2, seed=2**40 + 5))
    assert set(local.seen[0].document) == {"model", "messages", "max_tokens"}
    assert (local.seen[1].document["temperature"], local.seen[1].document["seed"]) == (0.2, 5)


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "avif"])
async def test_pictures_go_out_as_png_or_jpeg(local: ChatStandIn, kind: str) -> None:
    """ORC-4: LM Studio refuses WebP and addresses."""
    model = free_model(local.url, vision=True)
    await model.chat(ChatRequest((ChatMessage("user", "What is it?", images=(photo(kind),)),)))
    ((media_type, data),) = local.seen[0].pictures
    assert media_type == ("image/jpeg" if kind == "jpeg" else "image/png")
    assert codec.sniff(data).media_type == media_type
    assert local.seen[0].texts == ["What is it?"]


async def test_a_large_picture_is_shrunk_and_a_transparent_one_laid_on_white(
    local: ChatStandIn,
) -> None:
    clear = Encoded(codec.encode(np.zeros((20, 3000, 4), np.uint8)), "image/png")
    model = free_model(local.url, vision=True)
    await model.chat(ChatRequest((ChatMessage("user", images=(clear,)),)))
    shown = codec.decode(local.seen[0].pictures[0][1]).pixels
    assert shown.shape == (14, 2048, 3)
    assert shown.min() == 255


async def test_no_picture_carries_where_it_was_taken(local: ChatStandIn) -> None:
    exif = Image.Exif()
    exif[0x010E] = "our house"
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.new("RGB", (40, 20), "red").save(file, "JPEG", exif=exif)
    model = free_model(local.url, vision=True)
    picture = Encoded(file.getvalue(), "image/jpeg")
    await model.chat(ChatRequest((ChatMessage("user", images=(picture,)),)))
    data = local.seen[0].pictures[0][1]
    assert b"our house" in file.getvalue() and b"our house" not in data
    assert codec.decode(data).pixels.shape == (40, 20, 3), "upright without the tag"


@pytest.mark.parametrize(
    ("message", "vision", "error"),
    [
        (ChatMessage("user", images=(photo(),)), False, CapabilityMissing),
        (ChatMessage("assistant", images=(photo(),)), True, BadParameter),
        (ChatMessage("user", images=(Encoded(b"no", "image/png"),)), True, UnsupportedImage),
    ],
)
async def test_a_picture_that_cannot_be_sent_is_refused_before(
    local: ChatStandIn, message: ChatMessage, *, vision: bool, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await free_model(local.url, vision=vision).chat(ChatRequest((message,)))
    assert local.seen == []


async def test_tool_calls_are_read_and_their_results_sent_back(server: ChatStandIn) -> None:
    """LAB-27: the assistant proposes."""
    call = {
        "id": "c1",
        "type": "function",
        "function": {"name": "upscale", "arguments": '{"scale": 2}'},
    }
    server.script(Act(tool_calls=(call,), finish="tool_calls"))
    model = paid_model(server.url)
    reply = await model.chat(said(tools=(TOOL,)))
    assert reply.tool_calls == (ToolCall("c1", "upscale", {"scale": 2}),)
    again = (
        ChatMessage("user", "Enlarge it."),
        ChatMessage("assistant", tool_calls=reply.tool_calls),
        ChatMessage("tool", "done", answers="c1"),
    )
    await model.chat(ChatRequest(again, tools=(TOOL,)))
    sent = server.seen[1].document["messages"]
    assert sent[1]["tool_calls"] == [call]
    assert sent[2] == {"role": "tool", "tool_call_id": "c1", "content": "done"}
    assert server.seen[0].document["tools"][0]["function"]["name"] == "upscale"


@pytest.mark.parametrize(
    ("arguments", "read", "unread"),
    [
        ('{"a": 1', {}, '{"a": 1'),
        ("[1]", {}, "[1]"),
        ("[" * 5000, {}, "[" * 2000),
        ("", {}, ""),
        (None, {}, ""),
        ({"a": 1}, {"a": 1}, ""),
    ],
    ids=["cut", "a list", "deep", "empty", "null", "an object"],
)
async def test_arguments_that_are_no_object_are_handed_on_as_text(
    local: ChatStandIn, arguments: object, read: dict[str, Any], unread: str
) -> None:
    local.script(Act(tool_calls=({"function": {"name": "x", "arguments": arguments}},)))
    (call,) = (await free_model(local.url).chat(said(tools=(TOOL,)))).tool_calls
    assert (call.id, dict(call.arguments), call.unread) == ("call_0", read, unread)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<think>hm, let me see</think>\n\nYes.", "Yes."),
        ("<thinking>\nno\n</thinking>Yes.", "Yes."),
        ("Yes, <think> is a tag.", "Yes, <think> is a tag."),
        ("a\x00b\x1b[31m", "a b [31m"),
    ],
)
async def test_thoughts_and_control_characters_are_taken_out(
    local: ChatStandIn, text: str, shown: str
) -> None:
    local.script(Act(text=text))
    assert (await free_model(local.url).chat(said())).text == shown


async def test_a_cut_and_a_declined_answer_say_so(paid: ChatStandIn) -> None:
    paid.script(Act(text="Once upon", finish="length"), Act(refusal="I cannot help with that."))
    cut = await paid_model(paid.url).chat(said())
    declined = await paid_model(paid.url).chat(said())
    assert (cut.text, cut.cut, cut.refused) == ("Once upon", True, False)
    assert (declined.text, declined.refused) == ("I cannot help with that.", True)


async def test_an_answer_of_nothing_but_thoughts_is_bad_and_its_cost_known(
    paid: ChatStandIn,
) -> None:
    error = await failure_of(paid, Act(text="<think>hm, hm", finish="length"), paid_model(paid.url))
    assert isinstance(error, BadProviderReply)
    assert "Raise max_output_tokens" in str(error)
    assert money.to_nano(charged(error) or money.FREE) == paid.charged_nano > 0


async def test_patience_is_asked_for_with_its_seconds(server: ChatStandIn) -> None:
    act = Act("busy", headers={"retry-after": "7"})
    error = await failure_of(server, act, paid_model(server.url))
    assert isinstance(error, RateLimited)
    assert error.retry_after == 7


async def test_an_empty_purse_is_no_matter_of_patience(paid: ChatStandIn) -> None:
    error = await failure_of(paid, Act("busy", code="insufficient_quota"), paid_model(paid.url))
    assert type(error) is ProviderRefused
    assert "credit" in str(error)


@pytest.mark.parametrize(
    "act", [Act("fail", status=500), Act("fail", status=503), Act("cut-late"), Act("cut-answer"),
            Act("cut-early")], ids=lambda act: f"{act.does}-{act.status}",
)  # fmt: skip
async def test_nobody_is_sure_of_a_paid_call_that_broke(paid: ChatStandIn, act: Act) -> None:
    error = await failure_of(paid, act, paid_model(paid.url))
    assert isinstance(error, OutcomeUnknown)
    assert len(paid.seen) == 1, "never sent twice"


@pytest.mark.parametrize(
    "act", [Act("fail", status=500), Act("cut-late"), Act("cut-answer"), Act("cut-early")],
    ids=lambda act: act.does,
)  # fmt: skip
async def test_a_free_call_that_broke_cost_nothing(local: ChatStandIn, act: Act) -> None:
    error = await failure_of(local, act, free_model(local.url))
    assert isinstance(error, ProviderUnavailable)
    assert len(local.seen) == 1, "never sent twice"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"[" * 100_000,
        b'{"choices": []}',
        b'{"choices": "x"}',
        b'{"choices": [{}]}',
        b'{"choices": [{"message": null}]}',
        b'{"choices": [{"message": {"content": ""}}]}',
        b'{"choices": [{"message": {"content": 7}}]}',
        b'{"choices": [{"message": {"content": "\\ud800"}}]}',
        b'{"error": "Unexpected endpoint or method."}',
        b"\xff\xfe",
    ],
    ids=lambda body: repr(body[:45]),
)
async def test_a_reply_that_is_none_is_bad(paid: ChatStandIn, body: bytes) -> None:
    error = await failure_of(paid, Act(body=body), paid_model(paid.url))
    assert isinstance(error, BadProviderReply)
    assert "may have been charged" in str(error)


async def test_a_page_instead_of_an_answer_is_bad(local: ChatStandIn) -> None:
    error = await failure_of(local, Act("garbage"), free_model(local.url))
    assert isinstance(error, BadProviderReply)
    assert "/v1" in str(error) and "charged" not in str(error)


async def test_text_in_parts_is_put_together(local: ChatStandIn) -> None:
    parts = [{"type": "text", "text": "Good "}, {"type": "other"}, {"type": "text", "text": "day"}]
    local.script(Act(body=json.dumps({"choices": [{"message": {"content": parts}}]}).encode()))
    assert (await free_model(local.url).chat(said())).text == "Good day"


async def test_a_reply_of_any_size_is_not_read_to_its_end(local: ChatStandIn) -> None:
    error = await failure_of(local, Act(text="x" * (17 * 1024 * 1024)), free_model(local.url))
    assert isinstance(error, BadProviderReply)
    assert "16 MiB" in str(error)


async def test_a_reply_that_could_unpack_to_any_size_is_not_unpacked() -> None:
    packed = gzip.compress(b" " * (64 * 1024 * 1024))

    def handle(exchange: Exchange) -> None:
        exchange.answer(200, packed, headers={"Content-Encoding": "gzip"})

    with LoopbackServer(handle) as server, pytest.raises(BadProviderReply, match="compressed"):
        await free_model(server.url).chat(said())


@pytest.mark.parametrize("does", ["answer", "trickle"])
async def test_a_paid_answer_that_does_not_come_in_time_is_an_unknown_outcome(
    does: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither one that is silent nor one that trickles in without an end."""
    monkeypatch.setattr(chat, "_GRACE_S", 0.2)
    over = threading.Event()

    def handle(exchange: Exchange) -> None:
        exchange.begin(200, "application/json", {"Content-Length": "1000000"})
        while not over.wait(0.05):
            exchange.send(b" " if does == "trickle" else b"")

    with LoopbackServer(handle) as server:
        config = LanguageConfig(base_url=f"{server.url}/v1", model="m", price=PRICE, keyless=True)
        rules = WireRules(paid_calls=False, longest_wait_s=0.4)
        with pytest.raises(OutcomeUnknown, match="may have been charged"):
            await CompatibleChat(config, rules, no_key).chat(said())
        over.set()


async def test_a_redirect_is_never_followed(local: ChatStandIn) -> None:
    error = await failure_of(local, Act("redirect"), free_model(local.url))
    assert isinstance(error, ProviderRefused)
    assert "base_url" in str(error)


@pytest.mark.parametrize(
    "act",
    [
        Act("error", status=400, code="context_length_exceeded", message="too many tokens"),
        Act(
            "error",
            status=400,
            message="Trying to keep the first 9000 tokens when context the overflows.",
        ),
        Act("error", status=413, message="too large"),
    ],
    ids=["by code", "by words", "by status"],
)
async def test_a_conversation_that_is_too_long_comes_with_advice(
    paid: ChatStandIn, act: Act
) -> None:
    error = await failure_of(paid, act, paid_model(paid.url))
    assert isinstance(error, ProviderRefused)
    assert "longer context" in str(error)


async def test_an_unknown_model_is_answered_with_those_there_are(server: ChatStandIn) -> None:
    with pytest.raises(ProviderRefused, match="Did you mean 'stand-in-7b'"):
        await paid_model(server.url, model="stand-in-7c").chat(said())
    with pytest.raises(ProviderRefused, match="stand-in-vision"):
        await paid_model(server.url, model="qwerty").chat(said())


async def test_a_wrong_address_is_said_plainly() -> None:
    with ChatStandIn("ollama") as server, pytest.raises(ProviderRefused, match="ends with /v1"):
        await free_model(server.url.removesuffix("/v1")).chat(said())


async def test_an_error_inside_a_good_answer_is_quoted(local: ChatStandIn) -> None:
    """As LM Studio answers at addresses that it does not know."""
    with pytest.raises(BadProviderReply, match="Unexpected endpoint"):
        await free_model(local.url.removesuffix("/v1")).chat(said())


async def test_the_listing_names_the_models(server: ChatStandIn) -> None:
    """ORC-4: `GET /api/models`."""
    listed = await paid_model(server.url).listing()
    assert [one.id for one in listed] == ["stand-in-7b", "stand-in-vision"]


async def test_a_server_without_models_lists_none() -> None:
    with ChatStandIn("ollama", models=None) as empty:
        assert list(await free_model(empty.url).listing()) == []


async def test_a_listing_that_fails_never_looks_like_money(paid: ChatStandIn) -> None:
    with pytest.raises(ProviderRefused, match="nothing was charged"):
        await paid_model(paid.url, key="sk-wrong").listing()


async def test_a_server_that_is_not_running_is_named() -> None:
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        with pytest.raises(ProviderUnavailable, match="nothing was sent") as caught:
            await free_model(url).chat(said())
    assert url in str(caught.value)


@pytest.mark.parametrize(("port", "hint"), [(1234, "Is LM Studio running"), (11434, "Is Ollama")])
def test_a_usual_port_says_whose_server_is_missing(port: int, hint: str) -> None:
    config = LanguageConfig(base_url=f"http://localhost:{port}/v1")
    assert hint in str(failures.not_reached(config, OSError("refused")))


async def test_another_machine_is_not_called_where_calls_are_switched_off() -> None:
    with pytest.raises(ConnectionRefused):
        await free_model("http://192.0.2.7:1234/v1", keyless=True).chat(said())


async def test_a_cancelled_call_is_let_go(local: ChatStandIn) -> None:
    local.script(Act(delay_s=60))
    task = asyncio.create_task(free_model(local.url).chat(said()))
    assert await asyncio.to_thread(local.arrived.wait, 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_sums_know_what_they_do_not_know() -> None:
    known = Spent(Usage(10, 2, 1), money.parse_usd("0.5"), calls=1)
    unknown = Spent(None, None, calls=1)
    assert (Spent() + known) == known
    assert (known + known).usage == Usage(20, 4, 2)
    assert (known + known).cost == 1
    assert (known + unknown).cost is None
    assert (known + unknown).usage is None
