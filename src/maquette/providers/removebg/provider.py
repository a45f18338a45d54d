"""remove.bg: cuts the subject of a picture out, for credits."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from maquette import net
from maquette.core.errors import CapabilityMissing
from maquette.core.money import Usd
from maquette.core.provider import Provider, Run
from maquette.core.requests import Generated, ImageRequest, ModelProfile
from maquette.core.tools import Tool
from maquette.core.wire import Limits, WireRules
from maquette.providers.removebg import checks, failures, pricing, wire
from maquette.providers.removebg.config import KEY_NAME, PRICE_SETTING, RemoveBgConfig


class RemoveBgProvider(Provider):
    """Sends each call once, on a connection of its own.

    A kept-alive connection that the server closes just as a call goes out looks like an answer
    that was lost, and that is an outcome nobody knows; a fresh one costs a tenth of a second.
    """

    id = "removebg"
    config = RemoveBgConfig
    tool = Tool(
        name="removebg",
        purpose="cuts the subject out, on the servers of remove.bg",
        licence="a service under the own terms of remove.bg; pictures are sent to it",
        size="one credit a picture, whose price depends on the plan; nothing to download",
        source="https://www.remove.bg/api (its terms are linked there)",
        advice=f"set the key {KEY_NAME} (your account there has it) and {PRICE_SETTING}",
    )

    def __init__(self, config: RemoveBgConfig, rules: WireRules) -> None:
        self._config = config
        self.key_name = config.key_name
        self._rules = rules

    @classmethod
    def build(cls, config: RemoveBgConfig, rules: WireRules) -> RemoveBgProvider:
        return cls(config, rules)

    def models(self) -> Sequence[ModelProfile]:
        return [
            ModelProfile(
                id=checks.MODEL,
                title="remove.bg",
                modes=frozenset({"cutout"}),
                max_pixels=checks.MOST_PIXELS,
            )
        ]

    def missing(self, keys: Collection[str] = ()) -> str | None:
        config = self._config
        needs: list[str] = []
        if not config.has_key and config.key_name not in keys:
            needs.append(f"Set the key {config.key_name}, for {config.base_url}.")
        if config.usd_per_credit is None:
            needs.append(f"Write what a credit of your plan costs, in dollars: {PRICE_SETTING}.")
        return " ".join(needs) or None

    def limits(self) -> Limits:
        return self._config.limits

    def check(self, request: ImageRequest) -> None:
        checks.check(request)

    def estimate(self, request: ImageRequest) -> Usd:
        return pricing.upper_bound(self._config.usd_per_credit, request.count)

    def priced_by(self, request: ImageRequest) -> Mapping[str, Any] | None:
        return pricing.told(self._config.usd_per_credit)

    async def generate(self, request: ImageRequest, run: Run) -> Generated:
        self.check(request)
        self.estimate(request)
        key = self._key(run)
        source = request.by_role("init")[0]
        stored = await run.read(source.digest)
        checks.check_bytes(stored.data)
        reply = await self._send(wire.upload(source, stored.data), key)
        await run.raw(reply)
        return self.read_reply(reply, request)

    def read_reply(self, reply: bytes, request: ImageRequest) -> Generated:
        kept = net.unpack(reply)
        one = wire.picture(kept.body)
        return Generated(
            images=[one],
            effective=wire.effective(request),
            cost=pricing.charge(self._config.usd_per_credit, kept.headers),
            details=wire.looks(one, request) | wire.told(kept.headers),
            usage=pricing.usage(kept.headers),
        )

    def _key(self, run: Run) -> str:
        key = run.secret(self._config.key_name).get_secret_value().strip()
        if not key or not key.isascii() or not key.isprintable():
            raise CapabilityMissing(
                f"The key {self._config.key_name} is empty or has characters that no key has, so "
                "nothing was sent. Set it again."
            )
        return key

    async def _send(self, file: tuple[str, bytes, str], key: str) -> bytes:
        """Send once; return the reply to keep, or raise what became of the call."""
        config = self._config
        # A picture does not shrink on the way, and a packed answer could grow past the limit.
        headers = {"X-Api-Key": key, "Accept-Encoding": "identity"}
        async with net.client(
            self._rules, base_url=config.base_url, headers=headers, wait_s=config.wait_s
        ) as client:
            with net.sending(config.base_url, paid=True):
                answer = await client.post(
                    wire.PATH, data=dict(wire.FIELDS), files={"image_file": file}
                )
        if not answer.is_success:
            raise failures.failure(
                answer.status_code,
                answer.headers,
                answer.content,
                key_name=config.key_name,
                key=key,
            )
        return net.pack(answer.headers, answer.content, keep=wire.KEPT)
