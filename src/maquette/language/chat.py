"""Chat completions of any OpenAI-compatible server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import httpx2
from pydantic import SecretStr, ValidationError

from maquette import net
from maquette.core.errors import (
    BadParameter,
    BadProviderReply,
    CapabilityMissing,
    MaquetteError,
    ProviderError,
)
from maquette.core.language import ChatModel, ChatReply, ChatRequest
from maquette.core.money import Usd
from maquette.core.provider import Listed
from maquette.core.wire import WireRules
from maquette.language import failures, pictures, pricing, wire
from maquette.language.config import LanguageConfig

_MOST_BYTES = 16 * 1024 * 1024
_LISTING_WAIT_S = 15.0
_GRACE_S = 30.0
"""Beyond the wait for the answer, before one that trickles in is given up."""


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class CompatibleChat(ChatModel):
    """Sends each call once, on a connection of its own.

    `secret` hands out the project's key just before a call. A kept-alive connection that the
    server closes as a call goes out looks like an answer that was lost; a fresh one never does.
    """

    def __init__(
        self, config: LanguageConfig, rules: WireRules, secret: Callable[[str], SecretStr]
    ) -> None:
        self._config = config
        self._rules = replace(rules, most_bytes=min(rules.most_bytes, _MOST_BYTES))
        self._secret = secret
        self.id = config.model
        self.title = f"{config.model} at {urlsplit(config.base_url).netloc}"
        self.sees = config.vision
        self.paid = not config.free

    def missing(self) -> str | None:
        config = self._config
        if not config.model:
            return (
                "Set MAQUETTE_LANGUAGE__MODEL to a model of LM Studio, Ollama, OpenAI or another "
                "server, and MAQUETTE_LANGUAGE__BASE_URL to its address."
            )
        if config.sends_key and not config.has_key:
            return f"Set the key {config.key_name}, for {config.base_url}."
        return None

    def estimate(self, request: ChatRequest) -> Usd:
        return pricing.upper_bound(self._config, request)

    def priced_by(self) -> Mapping[str, Any] | None:
        return pricing.told(self._config)

    async def chat(self, request: ChatRequest) -> ChatReply:
        self._check(request)
        key = self._key()
        shown = [
            [await asyncio.to_thread(pictures.data_uri, one) for one in message.images]
            for message in request.messages
        ]
        document = wire.body(self._config, request, shown)
        answer = await self._post(document, key)
        if request.schema is not None and failures.knows_no_schemas(answer.status, answer.body):
            # The refusal cost nothing, and the estimate counts the schema wherever it stands.
            document = wire.body(self._config, request, shown, schema_in_words=True)
            answer = await self._post(document, key)
        if answer.status != 200:
            raise await self._failure(answer, key)
        return wire.read(self._config, answer.body, key)

    async def listing(self) -> Sequence[Listed]:
        key = self._key()
        answer = await self._send("GET", "models", None, key, _LISTING_WAIT_S, paid=False)
        if answer.status != 200:
            free = self._config.model_copy(update={"free": True, "price": None})
            raise failures.translate(free, answer.status, answer.headers, answer.body, key)
        try:
            return [Listed(id=one) for one in wire.read_models(answer.body)]
        except ValidationError:
            raise BadProviderReply(
                f"{self._config.base_url!r} answered with something that is no list of models; "
                "nothing was charged. Check that base_url leads to the API."
            ) from None

    def _check(self, request: ChatRequest) -> None:
        """Refuse what cannot be right; nothing has been sent yet."""
        lack = self.missing()
        if lack is not None:
            raise CapabilityMissing(f"No language model can be asked, so nothing was sent. {lack}")
        if not request.messages:
            raise BadParameter("The conversation has no message, so nothing was sent; add one.")
        pricing.upper_bound(self._config, request)  # no price: refused here too
        if any(message.images and message.role != "user" for message in request.messages):
            raise BadParameter(
                "A picture stands in a message that is not the user's, so nothing was sent; put it "
                "into a user message."
            )
        if any(message.images for message in request.messages) and not self.sees:
            raise CapabilityMissing(
                f"The language model {self.id!r} takes no pictures, so nothing was sent. Choose "
                "one that does, and set MAQUETTE_LANGUAGE__VISION=true."
            )

    def _key(self) -> str | None:
        name = self._config.key_name
        if not self._config.sends_key or name is None:
            return None
        key = self._secret(name).get_secret_value().strip()
        if not key or not key.isascii() or not key.isprintable():
            raise CapabilityMissing(
                f"The key {name} is empty or has characters that no key has, so nothing was sent. "
                "Set it again."
            )
        return key

    async def _post(self, document: dict[str, Any], key: str | None) -> _Answer:
        return await self._send(
            "POST", "chat/completions", document, key, self._config.wait_s, paid=self.paid
        )

    async def _send(
        self,
        method: str,
        path: str,
        document: dict[str, Any] | None,
        key: str | None,
        wait_s: float,
        *,
        paid: bool,
    ) -> _Answer:
        """Send once and read the whole answer, whatever its status."""
        config = self._config
        headers = {"Accept": "application/json"}
        content: bytes | None = None
        if document is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(document).encode()
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        most_s = min(wait_s, self._rules.longest_wait_s) + _GRACE_S
        async with net.client(self._rules, headers=headers, wait_s=wait_s) as http:
            with net.sending(config.base_url, paid=paid):
                try:
                    async with asyncio.timeout(most_s):
                        reply = await http.request(
                            method, f"{config.base_url}/{path}", content=content
                        )
                except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                    raise failures.not_reached(config, error) from None
        return _Answer(reply.status_code, reply.headers, reply.content)

    async def _failure(self, answer: _Answer, key: str | None) -> ProviderError:
        if answer.status != 404:
            return failures.translate(self._config, answer.status, answer.headers, answer.body, key)
        try:
            models = [one.id for one in await self.listing()]
        except MaquetteError:  # it only helps to word the error that there is already
            models = []
        return failures.no_such_model(self._config, answer.body, key, models)
