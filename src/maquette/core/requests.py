"""What we ask of a provider and what it answers: plain data, fully serialisable."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Any, Literal, NewType

from pydantic import BaseModel, Field

from maquette.core.findings import Finding
from maquette.core.money import Usd

Digest = NewType("Digest", str)
"""SHA-256 of stored bytes, 64 hex digits."""

Mode = Literal["generate", "edit", "inpaint", "cutout", "upscale"]
"""What kind of picture is wanted; a model profile lists the modes it serves."""

Side = Annotated[int, Field(ge=1, le=65535)]
Size = Literal["auto", "source"] | tuple[Side, Side]
"""`auto`: the model decides; `source`: as the first input; else (width_px, height_px)."""

Option = str | int | float | bool


def digest_of(data: bytes) -> Digest:
    return Digest(hashlib.sha256(data).hexdigest())


def canonical(value: object) -> str:
    """Write JSON in the one form that digests and cache keys are made of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def derived_seed(seed: int, index: int) -> int:
    """Give picture number `index` a seed of its own; the first keeps the given one."""
    if index == 0:
        return seed
    return int.from_bytes(hashlib.sha256(f"{seed}/{index}".encode()).digest()[:8]) >> 1


class Input(BaseModel, frozen=True):
    """A picture the request refers to; the bytes stay in the store."""

    role: Literal["init", "mask", "reference"]
    digest: Digest
    name: str = ""
    media_type: str
    width_px: int
    height_px: int
    size_bytes: int


class ImageRequest(BaseModel, frozen=True, extra="forbid"):
    """Everything that decides the result; lineage, cache, replay and price all read it."""

    provider: str
    model: str
    mode: Mode = "generate"
    prompt: str = ""
    negative_prompt: str = ""
    size: Size = "auto"
    count: int = Field(default=1, ge=1)
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    inputs: tuple[Input, ...] = ()
    options: dict[str, Option] = {}

    def key(self) -> Digest:
        """Name the picture that is asked for, however many are asked for at once."""
        body = self.model_dump(mode="json", exclude={"count"})
        return digest_of(canonical(body).encode())

    def by_role(self, role: Literal["init", "mask", "reference"]) -> tuple[Input, ...]:
        return tuple(given for given in self.inputs if given.role == role)


class NoOptions(BaseModel, frozen=True, extra="forbid"):
    """A model without options of its own."""


@dataclass(frozen=True)
class ModelProfile:
    """What one model can do, as data: the API, the CLI and the web form all read this."""

    id: str
    title: str
    modes: frozenset[Mode]
    options: type[BaseModel] = NoOptions
    max_pixels: int = 64_000_000
    max_count: int = 1
    max_references: int = 0
    supports_seed: bool = False
    supports_negative_prompt: bool = False
    deterministic: bool = False
    """The same request gives the same bytes."""
    paid: bool = True
    proof: bool = False
    """Its pictures are marked as proofs: it is not a model."""
    shutdown: date | None = None
    """From that day on it is refused; before, a plan warns."""
    successor: str | None = None
    """What to use instead."""
    price_as_of: date | None = None
    """The day on which its price was looked up; None: it is set, or asked for, each time."""
    price_source: str | None = None


@dataclass(frozen=True)
class Encoded:
    """An image file exactly as the provider sent it."""

    data: bytes
    media_type: str


@dataclass(frozen=True)
class Generated:
    """What came back, and what was really asked for after clamping and defaults."""

    images: Sequence[Encoded]
    effective: ImageRequest
    cost: Usd | None
    """What the provider charged; None: it does not say, the estimate stands."""
    clamped: Sequence[str] = ()
    details: Mapping[str, str] = field(default_factory=dict[str, str])
    findings: Sequence[Finding] = ()
    """What the provider itself thinks of the pictures; it counts like the guard's own."""
    usage: Mapping[str, Any] | None = None
    """What the call used, as the provider counts it: tokens by kind."""
