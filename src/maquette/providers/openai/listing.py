"""What the server says of its models: which it has, and until when."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime

from pydantic import BaseModel, ValidationError

from maquette import net
from maquette.core.errors import (
    BadProviderReply,
    ProviderRefused,
    ProviderUnavailable,
    RateLimited,
)
from maquette.core.provider import Listed
from maquette.core.wire import WireRules
from maquette.providers.openai.config import OpenAIConfig
from maquette.providers.openai.profiles import ModelEntry

_PICTURES = re.compile(r"^(gpt-image|chatgpt-image|dall-e)")
"""How OpenAI names the models that make pictures; its list names no kind."""


class _Model(BaseModel, frozen=True):
    id: str
    shutdown_date: str | int | None = None
    """A day or a time; whether in words or in seconds is not confirmed, so both are read."""


class _Models(BaseModel, frozen=True):
    data: tuple[_Model, ...]


async def ask(config: OpenAIConfig, rules: WireRules, key: str | None) -> list[Listed]:
    """Ask for the models; it costs nothing."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    async with net.client(rules, headers=headers, wait_s=30) as client:
        with net.sending(config.base_url, paid=False):
            reply = await client.get(f"{config.base_url}/models")
    if reply.status_code in (401, 403):
        raise ProviderRefused(
            f"The server refused the key {config.key_name} ({reply.status_code}). Check that it is "
            "right and belongs to this address."
        )
    if reply.status_code == 429:
        raise RateLimited(
            "The server asks for patience (429).", retry_after=net.retry_after(reply.headers)
        )
    if reply.status_code >= 500:
        raise ProviderUnavailable(f"{config.base_url} failed ({reply.status_code}).")
    if reply.status_code != 200:
        raise ProviderRefused(f"{config.base_url} has no list of models ({reply.status_code}).")
    return read(reply.content)


def read(reply: bytes) -> list[Listed]:
    """Parse the list; raise `BadProviderReply` for anything else."""
    try:
        models = _Models.model_validate_json(reply).data
    except ValidationError:
        raise BadProviderReply("The server's list of models is none. Check base_url.") from None
    return [Listed(id=one.id, shutdown=_day(one.shutdown_date)) for one in models if one.id]


def _day(said: str | int | None) -> date | None:
    try:
        if isinstance(said, int):
            return datetime.fromtimestamp(said, UTC).date()
        return None if said is None else datetime.fromisoformat(said).date()
    except (ValueError, OverflowError, OSError):
        return None


def learnt(
    entries: Mapping[str, ModelEntry], listed: Sequence[Listed], *, own: bool
) -> dict[str, ModelEntry]:
    """Take over the days of shutdown, and those picture models that the table does not know.

    A new model has no price here, so it is shown and refused until it gets one. `own`: the server
    is OpenAI's, whose names tell which models make pictures.
    """
    found = dict(entries)
    for one in listed:
        entry = found.get(one.id)
        if entry is not None and one.shutdown is not None:
            found[one.id] = entry.model_copy(update={"shutdown": one.shutdown})
        elif entry is None and own and _PICTURES.match(one.id):
            found[one.id] = ModelEntry(id=one.id, title=one.title, shutdown=one.shutdown)
    return found
