"""Answers of a given form: a schema is sent, the answer checked, and asked for again once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeVar, cast

from pydantic import BaseModel, ValidationError

from maquette.core.errors import BadProviderReply, MaquetteError, OutcomeUnknown
from maquette.core.language import (
    ChatMessage,
    ChatModel,
    ChatReply,
    ChatRequest,
    Spent,
    charged,
    receipt,
)
from maquette.core.money import Usd

M = TypeVar("M", bound=BaseModel)

_BACK_BYTES: Final = 8000
"""How much of a wrong answer is shown to the model again."""
_COMPLAINT_BYTES: Final = 2000
_PROBLEM_BYTES: Final = 1000
_MOST_CHARS: Final = 1_000_000
_MOST_STARTS: Final = 50
"""How many places of an answer are tried as the beginning of a document."""
_MOST_PROBLEMS: Final = 8
_LEFT_OUT: Final = frozenset(
    {"default", "title", "minLength", "maxLength", "minimum", "maximum", "pattern", "format"}
)
"""Refused by strict servers, or made into grammars of thousands of rules; we check it ourselves."""


@dataclass(frozen=True)
class Answered(Generic[M]):
    """An answer that fits, and what all rounds together used and cost."""

    value: M
    model: str
    spent: Spent


def sent_schema(kind: type[BaseModel]) -> dict[str, Any]:
    """Return the strict schema of a type: nothing may be left out, nothing added."""
    return cast("dict[str, Any]", _strict(kind.model_json_schema()))


def _strict(node: Any) -> Any:
    if isinstance(node, list):
        return [_strict(one) for one in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    fields = cast("dict[str, Any]", node)
    if "$ref" in fields:  # strict servers allow nothing beside it
        return {"$ref": fields["$ref"]}
    kept = {name: _strict(one) for name, one in fields.items() if name not in _LEFT_OUT}
    for name in ("properties", "$defs"):  # here the members' names are ours, not keywords
        if isinstance(fields.get(name), dict):
            members = cast("dict[str, Any]", fields[name])
            kept[name] = {member: _strict(one) for member, one in members.items()}
    if "properties" in kept:
        kept["required"] = list(kept["properties"])
        kept["additionalProperties"] = False
    return kept


def worst_case(model: ChatModel, request: ChatRequest, kind: type[BaseModel]) -> Usd:
    """Return the most that `ask` can cost: both rounds."""
    first = replace(request, schema=sent_schema(kind))
    second = _again(first, "x" * _BACK_BYTES, "x" * _COMPLAINT_BYTES)
    return Usd(model.estimate(first) + model.estimate(second))


async def ask(model: ChatModel, request: ChatRequest, kind: type[M]) -> Answered[M]:
    """Ask for an answer of type `kind`; where it does not fit, ask once more with the reasons.

    Raise `BadProviderReply` where the second does not fit either, or could not be got: what was
    spent until then is in its facts. `OutcomeUnknown` of any round passes through.
    """
    first = replace(request, schema=sent_schema(kind))
    reply = await model.chat(first)
    spent = reply.spent
    found = _read(reply, kind)
    if isinstance(found, str) and not reply.refused:
        problem = found
        try:
            reply = await model.chat(_again(first, reply.text, problem))
        except OutcomeUnknown:
            raise
        except MaquetteError as error:
            # By itself it may say that nothing was charged; the round before was.
            if isinstance(error, BadProviderReply):
                spent += Spent(None, charged(error), calls=1)
            raise _failed(model, f"{problem} Asking again failed: {error}", spent) from error
        spent += reply.spent
        found = _read(reply, kind)
    if isinstance(found, str):
        raise _failed(model, found, spent)
    return Answered(found, reply.model, spent)


def _failed(model: ChatModel, problem: str, spent: Spent) -> BadProviderReply:
    """Return the error of a conversation whose first round at least was answered, and paid."""
    charge = " What it answered is charged." if model.paid else ""
    return BadProviderReply(
        f"The model {model.id!r} gave no answer of the form that was asked for. {problem}{charge} "
        "Ask again, or choose another model.",
        **receipt(spent),
    )


def _again(request: ChatRequest, answer: str, problem: str) -> ChatRequest:
    said = (
        f"That answer cannot be used. {problem}\nAnswer again with the whole corrected JSON "
        "document and nothing else."
    )
    further = (
        ChatMessage("assistant", _cut(answer, _BACK_BYTES)),
        ChatMessage("user", _cut(said, _COMPLAINT_BYTES)),
    )
    return replace(request, messages=(*request.messages, *further))


def _cut(text: str, most_bytes: int) -> str:
    return text.encode("utf-8", "replace")[:most_bytes].decode("utf-8", "ignore")


def _read(reply: ChatReply, kind: type[M]) -> M | str:
    """Return the value, or what is wrong with the answer."""
    if reply.refused:
        return f"The model declined: {_cut(reply.text, _PROBLEM_BYTES)!r}."
    problem = "It holds no JSON document."
    for index, text in enumerate(candidates(reply.text)):
        try:
            return kind.model_validate_json(text)
        except ValidationError as error:
            problem = problem if index else _problem(error)
    if reply.cut:
        return "It was cut off at the limit of tokens; it must be much briefer."
    return problem


def candidates(text: str) -> Iterator[str]:
    """Yield what may be the JSON document: all of it, else fenced blocks, else objects within.

    The work is bounded whatever the text: it may be anything.
    """
    if len(text) > _MOST_CHARS:
        return
    blocks = [text, *(_inside(block) for block in text.split("```")[1 : 2 * _MOST_STARTS : 2])]
    whole = [one.strip() for one in blocks if one.lstrip().startswith("{") and _is_json(one)]
    yield from whole
    start, tried = (-1 if whole else text.find("{")), 0
    while start >= 0 and tried < _MOST_STARTS:
        tried += 1
        try:
            _, end = json.JSONDecoder().raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            yield text[start:end]
        start = text.find("{", end)


def _inside(block: str) -> str:
    """Take the language's name off the first line of a fenced block."""
    first, _, rest = block.partition("\n")
    return block if "{" in first else rest


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _problem(error: ValidationError) -> str:
    """Name the members that are wrong; never repeat what was in them."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    told = [
        f"{'.'.join(str(part) for part in one['loc']) or 'the document'}: {one['msg']}"
        for one in found[:_MOST_PROBLEMS]
    ]
    more = f" and {len(found) - _MOST_PROBLEMS} more" if len(found) > _MOST_PROBLEMS else ""
    return f"Wrong in it: {_cut('; '.join(told), _PROBLEM_BYTES)}{more}."
