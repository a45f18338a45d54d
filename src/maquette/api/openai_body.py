"""What OpenAI's clients send for pictures, and what it comes to in our words."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Field, JsonValue, ValidationError

from maquette.core.errors import BadParameter, CapabilityMissing
from maquette.core.findings import GuardRules
from maquette.core.money import Usd
from maquette.core.numerals import whole
from maquette.core.pipeline import CompositeStep
from maquette.core.requests import Option, Size
from maquette.core.wanted import Wanted
from maquette.services.asking import Wish
from maquette.services.ordering import Amount

_OPTIONS = (
    "quality",
    "background",
    "output_format",
    "output_compression",
    "moderation",
    "input_fidelity",
    "style",
    "complexity",
    "frame_count",
    "frame_duration_ms",
)
"""Members that are a model's own affair: its profile says which it knows."""


def _size(value: object) -> object:
    if isinstance(value, str) and value != "auto":
        width, cross, height = value.partition("x")
        sides = whole(width), whole(height)
        if not cross or None in sides:
            raise ValueError("write a size as 'auto' or as WIDTHxHEIGHT, such as 1024x1024")
        return sides
    return value


def _from_text(value: object) -> object:
    """Read a number or a switch that came in a form, where all is text."""
    if not isinstance(value, str):
        return value
    if value in ("true", "false"):
        return value == "true"
    number = whole(value)
    return value if number is None else number


def _rules(value: object) -> object:
    return {"enabled": value} if isinstance(value, bool) else value


Short = Annotated[str, Field(max_length=64)]
Whole = Annotated[int, Field(ge=0, le=2**31)]


class Extras(Wanted):
    """What Maquette can besides; clients send it as `extra_body={"maquette": {…}}`."""

    project: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")] | None = None
    """Where the pictures go; without it, into the header's project or the caller's own."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    negative_prompt: Annotated[str, Field(max_length=32_000)] = ""
    composite: bool = True
    """With a mask: put the original back outside it."""
    feather_px: Annotated[float, Field(ge=0, le=256)] | None = None
    guard: Annotated[GuardRules, BeforeValidator(_rules)] = GuardRules()
    """The rules by which pictures are judged before they are handed out; false: they are not."""
    max_spend_usd: Amount | None = None
    """Refuse what may cost more."""
    store: bool = True
    """False: what was sent is forgotten when the pictures are made; of its bytes nothing stays, of
    its names and digests what the run's log says."""


class NewImages(Wanted):
    """What is sent to make pictures. What a model does not know is refused, never left out."""

    prompt: Annotated[str, Field(min_length=1, max_length=32_000)]
    model: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """`provider:model`, or a model's own name."""
    n: Annotated[int, Field(ge=1, le=10)] | None = None
    size: Annotated[Size | None, BeforeValidator(_size)] = None
    """`auto`, or WIDTHxHEIGHT."""
    quality: Short | None = None
    background: Literal["auto", "opaque", "transparent"] | None = None
    output_format: Literal["png", "jpeg", "webp"] | None = None
    output_compression: Annotated[int, Field(ge=0, le=100)] | None = None
    moderation: Literal["auto", "low"] | None = None
    input_fidelity: Literal["high", "low"] | None = None
    partial_images: Annotated[int, Field(ge=0, le=3)] | None = None
    stream: bool | None = None
    response_format: Literal["b64_json", "url"] | None = None
    user: Annotated[str, Field(max_length=1000)] | None = None
    safety_identifier: Annotated[str, Field(max_length=256)] | None = None
    style: Short | None = None
    complexity: Short | None = None
    frame_count: Whole | None = None
    frame_duration_ms: Whole | None = None
    svg: JsonValue = None
    maquette: Extras = Extras()

    @property
    def who(self) -> str | None:
        """Who the pictures are for, by a hash where the client gave no identifier."""
        if self.safety_identifier:
            return self.safety_identifier
        return hashlib.sha256(self.user.encode()).hexdigest() if self.user else None

    @property
    def partials(self) -> int:
        """How many unfinished pictures are shown at most."""
        return self.partial_images or 0

    @property
    def limit(self) -> Usd | None:
        most = self.maquette.max_spend_usd
        return None if most is None else Usd(most)

    def wish(self) -> Wish:
        """Say it in our words, without pictures; refuse what goes by no profile."""
        if self.svg is not None:
            raise CapabilityMissing(
                "No model here draws SVG, so nothing was sent; leave 'svg' out.", param="svg"
            )
        if self.partials and not self.stream:
            raise BadParameter(
                "Unfinished pictures are shown in a stream alone; add stream=true, or leave "
                "'partial_images' out.",
                param="partial_images",
            )
        extras = self.maquette
        step = CompositeStep()
        if extras.feather_px is not None:
            step = CompositeStep(feather_px=extras.feather_px)
        return Wish(
            prompt=self.prompt,
            model=self.model,
            negative_prompt=extras.negative_prompt,
            size=self.size or "auto",
            count=self.n or 1,
            seed=extras.seed,
            options=self._options(),
            composite=step if extras.composite else None,
            guard=extras.guard,
            store=extras.store,
            surface="openai-images",
        )

    def _options(self) -> dict[str, Option]:
        given = {name: getattr(self, name) for name in _OPTIONS}
        if self.stream:
            given["partial_images"] = self.partial_images
        given["safety_identifier"] = self.who
        return {name: value for name, value in given.items() if value is not None}


MEMBERS = frozenset(NewImages.model_fields)
_TEXT = frozenset({"prompt", "user", "safety_identifier", "model", "negative_prompt", "project"})


def from_form(fields: Mapping[str, Any], *, is_json: bool) -> NewImages:
    """Read the fields that came beside the pictures of an edit."""
    said = dict(fields) if is_json else _typed(fields)
    try:
        return NewImages.model_validate(said)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise BadParameter(
            f"{name or 'The body'} cannot be used: {first['msg']}.", param=name or None
        ) from None


def _typed(fields: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            found[name] = _typed(cast("dict[str, Any]", value))
        else:
            found[name] = value if name in _TEXT else _from_text(value)
    return found
