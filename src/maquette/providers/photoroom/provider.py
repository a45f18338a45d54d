"""Photoroom: cuts the subject of a picture out, for money."""

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
from maquette.providers.photoroom import checks, failures, wire
from maquette.providers.photoroom.config import KEY_NAME, PRICE_READ, PhotoroomConfig


class PhotoroomProvider(Provider):
    """Sends each call once, on a connection of its own.

    A kept-alive connection that the server closes just as a call goes out looks like an answer
    that was lost, and that is an outcome nobody knows; a fresh one costs a tenth of a second.
    """

    id = "photoroom"
    config = PhotoroomConfig
    tool = Tool(
        name="photoroom",
        purpose="cuts the subject out, on Photoroom's servers; says how sure it is",
        licence="a service under Photoroom's own terms; pictures are sent to it",
        size="about $0.02 a picture, nothing to download",
        source="https://www.photoroom.com/api (terms: https://www.photoroom.com/legal/terms-and-conditions)",
        advice=f"set the key {KEY_NAME}; Photoroom's API dashboard makes one",
    )

    def __init__(self, config: PhotoroomConfig, rules: WireRules) -> None:
        self._config = config
        self.key_name = config.key_name
        self._rules = rules

    @classmethod
    def build(cls, config: PhotoroomConfig, rules: WireRules) -> PhotoroomProvider:
        return cls(config, rules)

    def models(self) -> Sequence[ModelProfile]:
        return [
            ModelProfile(
                id=checks.MODEL,
                title="Photoroom background removal",
                modes=frozenset({"cutout"}),
                max_pixels=checks.LONGEST_PX**2,
            )
        ]

    def missing(self, keys: Collection[str] = ()) -> str | None:
        if self._config.has_key or self._config.key_name in keys:
            return None
        return f"Set the key {self._config.key_name}, for {self._config.base_url}."

    def limits(self) -> Limits:
        return self._config.limits

    def check(self, request: ImageRequest) -> None:
        checks.check(request)

    def estimate(self, request: ImageRequest) -> Usd:
        return Usd(self._config.price_usd * request.count)

    def priced_by(self, request: ImageRequest) -> Mapping[str, Any] | None:
        own = "price_usd" in self._config.model_fields_set
        said = {"as_of": None, "source": "settings"} if own else PRICE_READ
        return {**said, "per_image": str(self._config.price_usd)}

    async def generate(self, request: ImageRequest, run: Run) -> Generated:
        self.check(request)
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
        score = wire.uncertainty(kept.headers)
        return Generated(
            images=[one],
            effective=wire.effective(request),
            cost=None,
            details=wire.looks(one, request) | wire.scored(kept.headers),
            findings=wire.findings(score, self._config.doubtful_above),
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
        headers = {"x-api-key": key, "Accept-Encoding": "identity"}
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
