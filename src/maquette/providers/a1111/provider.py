"""The API of the Stable Diffusion web UI, and of the servers that speak it too."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import httpx2
from pydantic import SecretStr

from maquette import net
from maquette.core.errors import CapabilityMissing, ProviderError
from maquette.core.money import FREE, Usd
from maquette.core.provider import Listed, Provider, Run
from maquette.core.requests import Generated, ImageRequest, ModelProfile
from maquette.core.tools import Tool
from maquette.core.wire import Limits, WireRules
from maquette.providers.a1111 import answers, checks, failures, pictures, wire
from maquette.providers.a1111.config import CURRENT, SECTION, A1111Config
from maquette.providers.a1111.profiles import profiles
from maquette.providers.a1111.watch import GLANCE_S, MOST_GLANCE_BYTES, Watch

_EXAMPLE = f"{SECTION}BASE_URL=http://127.0.0.1:7860"
_LISTING_WAIT_S = 30.0


class A1111Provider(Provider):
    """Sends each call once; it costs nothing, so one that is lost may simply be made again."""

    id = "a1111"
    config = A1111Config
    tool = Tool(
        name="a1111",
        purpose="makes and edits pictures on a server of your own: Stable Diffusion web UI, "
        "SD.Next, Forge, Draw Things, stable-diffusion.cpp",
        licence="AGPL-3.0 (AUTOMATIC1111 web UI), MIT (stable-diffusion.cpp), the others their "
        "own; each checkpoint has terms of its own",
        size="a program of several gigabytes and 2 to 24 GB a checkpoint; a GPU, really",
        source="https://github.com/AUTOMATIC1111/stable-diffusion-webui (terms: LICENSE.txt there)",
        advice=f"start such a server with its API (the web UI: --api) and set {_EXAMPLE}",
    )

    def __init__(self, config: A1111Config, rules: WireRules, *, look_s: float = 1.0) -> None:
        self._config = config
        self.key_name = config.key_name
        self._rules = rules
        self._look_s = look_s
        self._profiles = profiles(config, ())

    @classmethod
    def build(cls, config: A1111Config, rules: WireRules) -> A1111Provider:
        return cls(config, rules)

    def models(self) -> Sequence[ModelProfile]:
        return list(self._profiles.values())

    def missing(self, keys: Collection[str] = ()) -> str | None:
        config = self._config
        if config.base_url is None:
            return f"Start a server with its API and write its address: {_EXAMPLE}, for example."
        if config.user is not None and not config.has_key and config.key_name not in keys:
            return f"Set the key {config.key_name}, the password of {config.user!r} there."
        return None

    def limits(self) -> Limits:
        return self._config.limits

    async def listing(self, secret: Callable[[str], SecretStr]) -> Sequence[Listed] | None:
        config = self._config
        if config.base_url is None:
            return None
        password = self._password(secret)
        async with self._client(config.base_url, password, _LISTING_WAIT_S) as client:
            with net.sending(config.base_url, paid=False):
                answer = await client.get(wire.MODELS)
        if answer.status_code == 404:  # Draw Things lists nothing, and works all the same
            return [Listed(id=CURRENT)]
        if not answer.is_success:
            raise self._failure(answer, password)
        return wire.listed(answer.content)

    def learn(self, listed: Sequence[Listed]) -> None:
        self._profiles = profiles(self._config, listed)

    def check(self, request: ImageRequest) -> None:
        checks.check(self._profile(request), request)

    def estimate(self, request: ImageRequest) -> Usd:
        self._profile(request)
        return FREE

    async def generate(self, request: ImageRequest, run: Run) -> Generated:
        self.check(request)
        base_url = self._config.base_url
        if base_url is None:
            raise CapabilityMissing(f"{self.id!r} has no server; nothing was sent. Set {_EXAMPLE}.")
        password = self._password(run.secret)
        asked = wire.ask(request, self._config.default_size)
        body = {**asked.body, **await _pictures(request, asked, run)}
        data = await self._send(base_url, asked.path, body, password, run)
        await run.raw(data)
        return await asyncio.to_thread(self.read_reply, data, request)

    def read_reply(self, reply: bytes, request: ImageRequest) -> Generated:
        return answers.read(reply, request, wire.ask(request, self._config.default_size))

    def _profile(self, request: ImageRequest) -> ModelProfile:
        profile = self._profiles.get(request.model)
        if profile is None:
            raise CapabilityMissing(
                f"{self.id!r} knows no checkpoint {request.model!r}, so nothing was sent. Use "
                f"{CURRENT!r}, or name it in {SECTION}MODELS."
            )
        return profile

    def _password(self, secret: Callable[[str], SecretStr]) -> str | None:
        if self._config.user is None:
            return None
        password = secret(self._config.key_name).get_secret_value().strip()
        if not password or not password.isprintable():
            raise CapabilityMissing(
                f"The key {self._config.key_name} is empty or has characters that no password "
                "has, so nothing was sent. Set it again."
            )
        return password

    def _client(
        self, base_url: str, password: str | None, wait_s: float, *, most_bytes: int | None = None
    ) -> httpx2.AsyncClient:
        # A picture does not shrink on the way, and a packed answer could grow past the limit.
        headers = {"Accept-Encoding": "identity"}
        if password is not None:
            pair = f"{self._config.user}:{password}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode('ascii')}"
        rules = self._rules
        if most_bytes is not None:
            rules = replace(rules, most_bytes=min(rules.most_bytes, most_bytes))
        return net.client(rules, base_url=base_url, headers=headers, wait_s=wait_s)

    def _failure(self, answer: httpx2.Response, password: str | None) -> ProviderError:
        return failures.failure(
            answer.status_code, answer.headers, answer.content, self._config, password
        )

    async def _send(
        self, base_url: str, path: str, body: Mapping[str, Any], password: str | None, run: Run
    ) -> bytes:
        """Send once, telling of the progress; return the reply's bytes, or raise."""
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(
                self._client(base_url, password, self._config.wait_s)
            )
            side = await stack.enter_async_context(
                self._client(base_url, password, GLANCE_S, most_bytes=MOST_GLANCE_BYTES)
            )
            watch = Watch(side, base_url, self._look_s)
            ours = await self._will_be_ours(watch, run)
            following = asyncio.create_task(watch.follow(run)) if ours else None
            try:
                with net.sending(base_url, paid=False):
                    try:
                        answer = await client.post(path, json=body)
                    except (asyncio.CancelledError, httpx2.ReadTimeout):
                        if ours:  # nobody waits for it any more, and the next call should not
                            await watch.interrupt()
                        raise
            finally:
                if following is not None:
                    following.cancel()
                    await asyncio.wait([following])
        if not answer.is_success:
            raise self._failure(answer, password)
        return answer.content

    async def _will_be_ours(self, watch: Watch, run: Run) -> bool:
        """Tell whether the work that begins now can only be ours."""
        if self._config.limits.concurrent != 1:
            return False
        before = await watch.look()
        if before is not None and not before.idle:
            await run.progress(0.0, "the server is at other work; this waits its turn")
        return before is not None and before.idle


async def _pictures(request: ImageRequest, asked: wire.Asked, run: Run) -> dict[str, Any]:
    """Read and prepare the source and its mask; nothing has been sent yet."""
    found: dict[str, Any] = {}
    for given in request.by_role("init"):
        stored = await run.read(given.digest)
        text = await run.compute(pictures.source, stored.data, asked.size)
        found["init_images"] = [text]
        for mask in request.by_role("mask"):
            drawn = await run.read(mask.digest)
            of = (given.width_px, given.height_px)
            found["mask"] = await run.compute(pictures.mask, drawn.data, of, asked.size)
    return found
