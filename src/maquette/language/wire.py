"""The wire format of chat completions, purely: what a request becomes, what a reply says."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from maquette import net
from maquette.core.errors import BadProviderReply
from maquette.core.language import (
    ChatMessage,
    ChatReply,
    ChatRequest,
    Spent,
    ToolCall,
    Usage,
    receipt,
)
from maquette.core.scene import clean
from maquette.language import pricing
from maquette.language.config import LanguageConfig

_THOUGHTS = re.compile(r"\A\s*<think(?:ing)?>.*?(?:</think(?:ing)?>\s*|\Z)", re.DOTALL)
"""What some local models put in front of the answer."""
_MOST_TOKENS = 1_000_000_000
"""A count above this is a mistake of the server, not a price."""
_SEED_BITS = 0x7FFFFFFF
"""Some servers keep a seed in 32 bits."""
_LONGEST_NAME = 200
SCHEMA_IN_WORDS = (
    "Answer with one JSON document and nothing else: no heading, no explanation, no code fence. "
    "It must fit this JSON schema:\n"
)


def body(
    config: LanguageConfig,
    request: ChatRequest,
    pictures: Sequence[Sequence[str]],
    *,
    schema_in_words: bool = False,
) -> dict[str, Any]:
    """Write the request; `pictures` are the data URIs of each message."""
    document: dict[str, Any] = {
        "model": config.model,
        "messages": [
            _message(one, shown) for one, shown in zip(request.messages, pictures, strict=True)
        ],
        config.limit_name: pricing.output_limit(config, request),
    }
    if request.temperature is not None:
        document["temperature"] = request.temperature
    if request.seed is not None:
        document["seed"] = request.seed & _SEED_BITS
    if request.tools:
        document["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": one.name,
                    "description": one.description,
                    "parameters": dict(one.parameters),
                },
            }
            for one in request.tools
        ]
    if request.schema is not None and schema_in_words:
        asked = SCHEMA_IN_WORDS + json.dumps(request.schema, ensure_ascii=False)
        document["messages"] = _with_instruction(document["messages"], asked)
    elif request.schema is not None:
        # Never `json_object`: LM Studio answers it with 400.
        form = {"name": "answer", "strict": True, "schema": dict(request.schema)}
        document["response_format"] = {"type": "json_schema", "json_schema": form}
    return document


def _message(message: ChatMessage, pictures: Sequence[str]) -> dict[str, Any]:
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.answers or "", "content": message.text}
    if pictures:
        parts: list[dict[str, Any]] = [{"type": "text", "text": message.text}]
        parts += [{"type": "image_url", "image_url": {"url": one}} for one in pictures]
        return {"role": message.role, "content": parts}
    written: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.tool_calls:
        written["tool_calls"] = [
            {
                "id": one.id,
                "type": "function",
                "function": {"name": one.name, "arguments": json.dumps(dict(one.arguments))},
            }
            for one in message.tool_calls
        ]
    return written


def _with_instruction(messages: list[dict[str, Any]], said: str) -> list[dict[str, Any]]:
    """Add to the system message: many chat templates allow only one, and only in front."""
    if messages and messages[0]["role"] == "system":
        first = {**messages[0], "content": f"{messages[0]['content']}\n\n{said}"}
        return [first, *messages[1:]]
    return [{"role": "system", "content": said}, *messages]


class _Function(BaseModel, frozen=True):
    name: str = ""
    arguments: Any = None


class _Call(BaseModel, frozen=True):
    id: str | None = None
    function: _Function = _Function()


class _Answer(BaseModel, frozen=True):
    content: Any = None
    refusal: str | None = None
    tool_calls: tuple[_Call, ...] | None = None


class _Choice(BaseModel, frozen=True):
    message: _Answer
    finish_reason: str | None = None


class _Reply(BaseModel, frozen=True):
    choices: tuple[_Choice, ...] = ()
    model: Any = None
    usage: Any = None
    error: Any = None


def read(config: LanguageConfig, reply: bytes, key: str | None) -> ChatReply:
    """Parse a reply of status 200; raise `BadProviderReply` for what was not promised."""
    try:
        said = _Reply.model_validate_json(reply)
    except ValidationError:
        raise BadProviderReply(
            f"The answer of {config.base_url!r} ({len(reply)} bytes) is not what chat completions "
            f"promise.{_maybe_charged(config)} Check that base_url leads to the API; it usually "
            "ends with /v1."
        ) from None
    usage = _usage(said.usage)
    spent = Spent(usage, pricing.charge(config, usage), calls=1)
    if not said.choices:
        # LM Studio answers 200 with an error inside at addresses that it does not know.
        raise BadProviderReply(
            f"{config.base_url!r} answered without a message, {net.cleaned(said.error, key)}"
            f"{_maybe_charged(config)} Check base_url and the model.",
            **receipt(spent),
        )
    choice = said.choices[0]
    answer = choice.message
    calls = tuple(_call(one, index) for index, one in enumerate(answer.tool_calls or ()))
    text = _THOUGHTS.sub("", clean(_text(answer.content)))
    cut = choice.finish_reason == "length"
    refused = choice.finish_reason == "content_filter" or bool(answer.refusal)
    if not text and not calls and not refused:
        raise BadProviderReply(
            f"The model {config.model!r} answered with nothing"
            + (", since it used up max_output_tokens before." if cut else ".")
            + f"{_maybe_charged(config)} "
            + ("Raise max_output_tokens." if cut else "Ask again, or choose another model."),
            **receipt(spent),
        )
    return ChatReply(
        text=clean(answer.refusal or "") or text,
        model=clean(said.model)[:_LONGEST_NAME] if isinstance(said.model, str) else config.model,
        tool_calls=calls,
        spent=spent,
        cut=cut,
        refused=refused,
    )


def _maybe_charged(config: LanguageConfig) -> str:
    return "" if config.free else " The call may have been charged."


def _text(content: object) -> str:
    """Return the text of an answer: a string, or the text parts of a list."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [cast("dict[str, Any]", one) for one in cast("list[Any]", content) if _is_object(one)]
    return "".join(str(part["text"]) for part in parts if isinstance(part.get("text"), str))


def _call(given: _Call, index: int) -> ToolCall:
    """Read a tool call; small models write arguments that are no JSON, and are told so later."""
    raw = given.function.arguments
    arguments: object = raw
    if isinstance(raw, str):
        try:
            arguments = json.loads(raw or "{}")
        except (ValueError, RecursionError):
            arguments = None
    elif raw is None:
        arguments = {}
    name = clean(given.function.name)[:_LONGEST_NAME]
    label = clean(given.id or "")[:_LONGEST_NAME] or f"call_{index}"
    if not _is_object(arguments):
        return ToolCall(label, name, unread=clean(str(raw))[:2000])
    return ToolCall(label, name, cast("dict[str, Any]", arguments))


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _usage(given: object) -> Usage | None:
    """Read the count of tokens; None where it is missing or absurd: the estimate stands then."""
    if not isinstance(given, Mapping):
        return None
    fields = cast("Mapping[str, Any]", given)
    details: Any = fields.get("prompt_tokens_details")
    cached: Any = details.get("cached_tokens") if _is_object(details) else None
    counts: tuple[Any, Any, Any] = (
        fields.get("prompt_tokens"),
        fields.get("completion_tokens"),
        cached or 0,
    )
    if not all(type(one) is int and 0 <= one <= _MOST_TOKENS for one in counts):
        return None
    return Usage(*counts)


class _Model(BaseModel, frozen=True):
    id: str


class _Models(BaseModel, frozen=True):
    data: tuple[_Model, ...] | None = None


def read_models(reply: bytes) -> list[str]:
    """Return the ids of a list of models; raise `ValidationError` for anything else."""
    found = _Models.model_validate_json(reply).data or ()
    return [clean(one.id)[:_LONGEST_NAME] for one in found if clean(one.id)]


class Complaint(BaseModel, frozen=True):
    """What an answer of another status says."""

    message: str = ""
    code: str = ""


def read_complaint(reply: bytes) -> Complaint:
    """Find the message in any of the forms that servers use; never raise."""
    try:
        document: object = json.loads(reply)
    except (ValueError, RecursionError):
        return Complaint(message=reply[:2000].decode("utf-8", "replace"))
    if not isinstance(document, dict):
        return Complaint(message=str(document)[:2000])
    fields = cast("dict[str, Any]", document)
    error: object = fields.get("error", fields.get("message", fields.get("detail", "")))
    if isinstance(error, dict):
        inner = cast("dict[str, Any]", error)
        code = inner.get("code") or inner.get("type") or ""
        return Complaint(message=str(inner.get("message", ""))[:2000], code=str(code)[:200])
    return Complaint(message=str(error)[:2000])
