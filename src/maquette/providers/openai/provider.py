"""The Images API of OpenAI, and of any server that speaks it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing, suppress
from datetime import UTC, date, datetime
from typing import Any

import httpx2
from pydantic import SecretStr, ValidationError

from maquette import net
from maquette.core.errors import (
    BadProviderReply,
    CapabilityMissing,
    MaquetteError,
    OutcomeUnknown,
)
from maquette.core.money import Usd
from maquette.core.provider import Listed, Provider, Run
from maquette.core.requests import Generated, ImageRequest, ModelProfile
from maquette.core.tools import Tool
from maquette.core.wire import Limits, WireRules
from maquette.providers.openai import checks, failures, listing, masks, pricing, wire
from maquette.providers.openai.config import OPENAI_URL, OpenAIConfig
from maquette.providers.openai.profiles import ModelEntry, entries, profile

log = logging.getLogger(__name__)

_REST_S = 2.0
_EVENT_STREAM = "text/event-stream"


def _today() -> date:
    return datetime.now(UTC).date()


class OpenAIProvider(Provider):
    """Sends each call once, on a connection of its own.

    A kept-alive connection that the server closes just as a call goes out looks like an answer
    that was lost, and that is an outcome nobody knows; a fresh one costs a tenth of a second.
    """

    id = "openai"
    config = OpenAIConfig
    tool = Tool(
        name="openai",
        purpose="makes and edits pictures, on OpenAI's servers or any that speak its Images API",
        licence="a service under OpenAI's own terms; prompts and pictures are sent to it",
        size="some cents a picture: `maquette dry` says how many; nothing to download",
        source="https://openai.com/api (terms: https://openai.com/policies)",
        advice="set the key OPENAI_API_KEY; platform.openai.com makes one",
    )

    def __init__(
        self,
        config: OpenAIConfig,
        rules: WireRules,
        *,
        today: Callable[[], date] = _today,
    ) -> None:
        self._config = config
        self.key_name = config.key_name
        self._rules = rules
        self._today = today
        self._entries = entries(config.models, shipped=config.offers_shipped)

    @classmethod
    def build(cls, config: OpenAIConfig, rules: WireRules) -> OpenAIProvider:
        return cls(config, rules)

    def models(self) -> Sequence[ModelProfile]:
        """List all names, those that are gone too: a plan answers them with the successor."""
        return [profile(entry) for entry in self._entries.values()]

    def missing(self, keys: Collection[str] = ()) -> str | None:
        config = self._config
        has_key = config.has_key or config.key_name in keys
        if has_key or (config.keyless and config.is_loopback):
            return None
        return f"Set the key {config.key_name}, for {config.base_url}."

    async def listing(self, secret: Callable[[str], SecretStr]) -> Sequence[Listed]:
        key = None if self._config.keyless else self._checked(secret(self._config.key_name))
        return await listing.ask(self._config, self._rules, key)

    def learn(self, listed: Sequence[Listed]) -> None:
        own = self._config.base_url == OPENAI_URL
        self._entries = listing.learnt(self._entries, listed, own=own)

    def limits(self) -> Limits:
        return self._config.limits

    def check(self, request: ImageRequest) -> None:
        checks.check(self._entry(request), request, self._today())

    def estimate(self, request: ImageRequest) -> Usd:
        entry = self._entry(request)
        size = request.size
        if size == "source" and request.by_role("init"):
            size, _ = wire.sent_size(entry, request)
        return pricing.upper_bound(entry, request, size=size)

    def priced_by(self, request: ImageRequest) -> Mapping[str, Any] | None:
        return pricing.told(self._entry(request))

    async def generate(self, request: ImageRequest, run: Run) -> Generated:
        self.check(request)
        key = self._key(run)
        asked = wire.ask(self._entry(request), request)
        params = {**asked.params, **await _pictures(request, run)}
        reply = await self._send(asked, params, key, run)
        await run.raw(reply)
        return self.read_reply(reply, request)

    def read_reply(self, reply: bytes, request: ImageRequest) -> Generated:
        try:
            entry = self._entry(request)
            asked = wire.ask(entry, request)
        except (CapabilityMissing, ValidationError):
            # This reply may have been paid for: that the settings have changed is no refusal.
            raise BadProviderReply(
                f"The settings no longer say what {request.model!r} is, so its answer (kept) "
                "cannot be read. Put its entry back under `models`."
            ) from None
        said = wire.read(reply)
        pictures = said.pictures()
        if len(pictures) != request.count:
            raise BadProviderReply(
                f"The answer (kept) holds {len(pictures)} pictures instead of {request.count}."
            )
        return Generated(
            images=pictures,
            effective=asked.effective,
            cost=pricing.charge(entry, said.usage, request.count),
            clamped=asked.clamped,
            details=said.told(),
            usage=None if said.usage is None else said.usage.counted(),
        )

    def _entry(self, request: ImageRequest) -> ModelEntry:
        entry = self._entries.get(request.model)
        if entry is None:
            raise CapabilityMissing(
                f"{self.id!r} has no model {request.model!r}, so nothing was sent; it has: "
                f"{', '.join(self._entries)}."
            )
        return entry

    def _key(self, run: Run) -> str | None:
        if self._config.keyless:
            return None
        return self._checked(run.secret(self._config.key_name))

    def _checked(self, secret: SecretStr) -> str:
        key = secret.get_secret_value().strip()
        if not key or not key.isascii() or not key.isprintable():
            raise CapabilityMissing(
                f"The key {self._config.key_name} is empty or has characters that no key has, so "
                "nothing was sent. Set it again."
            )
        return key

    async def _send(
        self, asked: wire.Asked, params: Mapping[str, Any], key: str | None, run: Run
    ) -> bytes:
        """Send once; return the reply's bytes, or raise what became of the call."""
        import openai  # noqa: PLC0415 - 0.4 s that only calls need

        config = self._config
        sdk = openai.AsyncOpenAI(
            api_key=key or "none",
            base_url=config.base_url,
            max_retries=0,
            http_client=net.client(self._rules, wait_s=config.wait_s),
        )
        # The SDK fills these from the environment, which may be about another server.
        sdk.organization = config.organization
        sdk.project = config.project
        # The overloads of the SDK cannot be met by parameters that are data.
        images: Any = sdk.images.with_raw_response
        call = images.edit if asked.edits else images.generate
        if key is None:
            params = {**params, "extra_headers": {"Authorization": openai.Omit()}}
        async with sdk:
            try:
                if asked.streamed:
                    return await _streamed(await call(stream=True, **params), run)
                response = await call(**params)
            except openai.APIError as error:
                raise failures.translate(error, key_name=config.key_name, key=key) from None
            except MaquetteError:
                raise
            except (httpx2.HTTPError, httpx2.StreamError, OSError, ValueError) as error:
                raise OutcomeUnknown(
                    f"The answer of {config.base_url} was cut off ({type(error).__name__}); the "
                    "call may have been charged."
                ) from None
        return response.content


async def _pictures(request: ImageRequest, run: Run) -> dict[str, Any]:
    """Read the input pictures and the mask; nothing has been sent yet."""
    first = (*request.by_role("init"), *request.by_role("reference"))
    if not first:
        return {}
    files: list[tuple[str, bytes, str]] = []
    for index, given in enumerate(first):
        stored = await run.read(given.digest)
        name = f"picture-{index}.{given.media_type.partition('/')[2]}"
        files.append((name, stored.data, given.media_type))
    found: dict[str, Any] = {"image": files[0] if len(files) == 1 else files}
    for mask in request.by_role("mask"):
        stored = await run.read(mask.digest)
        alpha = await run.compute(
            masks.to_alpha, stored.data, first[0].width_px, first[0].height_px
        )
        found["mask"] = ("mask.png", alpha, "image/png")
    return found


async def _streamed(response: Any, run: Run) -> bytes:
    """Show the unfinished pictures; return the last event as a JSON document."""
    http: httpx2.Response = response.http_response
    if _EVENT_STREAM not in http.headers.get("content-type", ""):
        # A compatible server that knows no streams has answered plainly.
        return await http.aread()
    async with aclosing(aiter(response.parse())) as events:
        async for event in events:
            kind = str(getattr(event, "type", ""))
            if kind.endswith(".partial_image"):
                await _show(event, run)
            elif kind.endswith(".completed"):
                await _rest(events)
                return event.to_json(indent=None).encode()
    raise OutcomeUnknown(
        "The stream ended before the picture was complete; the call may have been charged."
    )


async def _rest(events: AsyncIterator[Any]) -> None:
    """Read to the end, so that the connection closes in order; the picture is here already."""
    with suppress(Exception):
        async with asyncio.timeout(_REST_S):
            async for _ in events:
                continue


async def _show(event: Any, run: Run) -> None:
    """Pass an unfinished picture on; a hitch in showing it must not lose the paid one."""
    try:
        await run.partial(int(event.partial_image_index), wire.decoded(event.b64_json))
    except Exception:
        log.exception("an unfinished picture could not be shown")
