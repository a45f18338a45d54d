"""What people and programs send to the images API, and what it comes to as a wish."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self, cast

from pydantic import BeforeValidator, Field, model_validator

from maquette.core.findings import GuardRules
from maquette.core.masks import MOST_GROWN_PX, Adjust, Polarity
from maquette.core.money import Usd
from maquette.core.pipeline import CompositeStep, PostChain
from maquette.core.requests import Option, Size
from maquette.core.wanted import Wanted
from maquette.db.idempotency import Claim
from maquette.services.asking import MOST_PICTURES, Wish
from maquette.services.ordering import Amount, Name, Seed, Words
from maquette.services.placing import MaskWords
from maquette.services.starting import Spending

_SIZE = re.compile(r"([0-9]{1,5})\s*[x\u00d7*]\s*([0-9]{1,5})", re.IGNORECASE)
_AS_OPTIONS = (
    "quality",
    "background",
    "moderation",
    "input_fidelity",
    "partial_images",
)
Format = Literal["png", "jpeg", "jpg", "webp"]
Percent = Annotated[int, Field(ge=0, le=100)]
Grown = Annotated[int, Field(ge=0, le=MOST_GROWN_PX)]
Word = Annotated[str, Field(min_length=1, max_length=64)]


def _size(value: object) -> object:
    """Read a size as any of our surfaces writes it."""
    if isinstance(value, dict):
        sides = cast("dict[str, Any]", value)
        if set(sides) != {"width", "height"}:
            raise ValueError('write {"width": 1024, "height": 1024}')
        return sides["width"], sides["height"]
    if not isinstance(value, str) or value in ("auto", "source"):
        return value
    found = _SIZE.fullmatch(value.strip())
    if found is None:
        raise ValueError("write 'auto', 'source' or WIDTHxHEIGHT, such as 1024x1024")
    return int(found[1]), int(found[2])


_SIZES: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "pattern": "^(auto|source|[1-9][0-9]{0,3}[x\u00d7][1-9][0-9]{0,3})$"},
        {
            "type": "object",
            "required": ["width", "height"],
            "additionalProperties": False,
            "properties": {
                "width": {"type": "integer", "minimum": 1, "maximum": 65535},
                "height": {"type": "integer", "minimum": 1, "maximum": 65535},
            },
        },
    ],
    "default": "auto",
}


class PictureWanted(Wanted):
    """Pictures that are wanted of a model; members that it does not know are refused."""

    prompt: Annotated[Words, Field(min_length=1, examples=["a red lighthouse at dusk"])]
    model: Name | None = None
    """`provider:model`, or a model's own name."""
    negative_prompt: Words = ""
    size: Annotated[Size, BeforeValidator(_size), Field(json_schema_extra=_SIZES)] = "auto"
    """`auto`, `source`, WIDTHxHEIGHT, or an object with width and height."""
    n: Annotated[int, Field(ge=1, le=MOST_PICTURES)] = 1
    seed: Seed | None = None
    quality: Word | None = None
    background: Word | None = None
    moderation: Word | None = None
    input_fidelity: Word | None = None
    partial_images: Annotated[int, Field(ge=0, le=3)] | None = None
    format: Format | None = None
    """The same as `output_format`."""
    output_format: Format | None = None
    compression: Percent | None = None
    """The same as `output_compression`."""
    output_compression: Percent | None = None
    options: dict[Word, Option] = Field({}, max_length=64)
    """The model's others; `GET /v1/models` shows them."""
    mask_polarity: Polarity = "transparent"
    """What marks the part to edit: transparent, opaque, or white pixels."""
    invert: bool = False
    grow_px: Grown = 0
    shrink_px: Grown = 0
    feather_px: Annotated[float, Field(ge=0, le=256, allow_inf_nan=False)] = 0.0
    composite: bool = True
    """With a mask: put the original back outside it, since models take a mask for a hint."""
    guard: bool | GuardRules = True
    """Whether, or by which rules, pictures are judged before they are handed out."""
    post: PostChain = PostChain()
    """Background removal, upscaling and grading of the picture that is chosen."""
    store: bool = True
    """False: what is sent is forgotten when the job has ended; of its bytes nothing stays, of its
    names and digests what the run's log says."""
    data_uri: bool = False
    """Also give the pictures as data URIs, where the reply waits for them."""
    max_spend_usd: Amount | None = None
    """Refuse what may cost more."""
    priority: Annotated[int, Field(ge=-100, le=100)] = 0
    dry: bool = False
    """Only check and price it: nothing is sent, written or paid."""

    @model_validator(mode="after")
    def _says_it_once(self) -> Self:
        for short in ("format", "compression"):
            mine, theirs = getattr(self, short), getattr(self, f"output_{short}")
            if None not in (mine, theirs) and mine != theirs:
                raise ValueError(f"{short} and output_{short} differ; send one of them")
        for name, value in self._named().items():
            if self.options.get(name, value) != value:
                raise ValueError(f"{name} and options.{name} differ; send one of them")
        return self

    def _named(self) -> dict[str, Option]:
        found = {name: getattr(self, name) for name in _AS_OPTIONS}
        kind = self.output_format or self.format
        found["output_format"] = "jpeg" if kind == "jpg" else kind
        own = self.compression
        found["output_compression"] = (
            own if self.output_compression is None else (self.output_compression)
        )
        return {name: value for name, value in found.items() if value is not None}

    def wish(self) -> Wish:
        """Say it as the services do, without the pictures."""
        guard = self.guard if isinstance(self.guard, GuardRules) else GuardRules(enabled=self.guard)
        return Wish(
            prompt=self.prompt,
            model=self.model,
            negative_prompt=self.negative_prompt,
            size=self.size,
            count=self.n,
            seed=self.seed,
            options={**self.options, **self._named()},
            composite=CompositeStep() if self.composite else None,
            guard=guard,
            post=self.post,
            store=self.store,
        )

    def mask_words(self) -> MaskWords:
        return MaskWords(
            self.mask_polarity,
            Adjust(
                invert=self.invert,
                grow_px=self.grow_px,
                shrink_px=self.shrink_px,
                feather_px=self.feather_px,
            ),
        )

    def spending(self, user_id: str, claim: Claim | None) -> Spending:
        """Return what it may cost: on this surface, calling is the confirmation."""
        limit = None if self.max_spend_usd is None else Usd(self.max_spend_usd)
        return Spending(True, limit, self.priority, user_id, claim)
