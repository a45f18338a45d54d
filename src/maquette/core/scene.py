"""A picture in words: what the scene editor shows, and what was measured in a picture."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, model_validator

_CONTROLS = {code: " " for code in (*range(32), 127) if chr(code) not in "\n\t"}
_HEX = re.compile(r"#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})")


def clean(text: str) -> str:
    """Take out control characters, which databases and terminals choke on."""
    return text.translate(_CONTROLS).strip()


def _colour(value: object) -> object:
    """Write a hex colour in the one form `#rrggbb`."""
    found = _HEX.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError("write a colour as #rrggbb")
    digits = found[1].lower()
    return "#" + (digits if len(digits) == 6 else "".join(2 * digit for digit in digits))


Words = Annotated[str, AfterValidator(clean), Field(max_length=2000)]
Share = Annotated[float, Field(ge=0, le=1)]
Hex = Annotated[str, BeforeValidator(_colour), Field(description="A colour as #rrggbb")]


class _Part(BaseModel, frozen=True, extra="forbid"):
    """A part of a scene: null stands for what was left out, as models write it."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        given = cast("Mapping[str, Any]", data)
        return {name: value for name, value in given.items() if value is not None}


class Subject(_Part, frozen=True):
    """A person, creature or thing that the picture is about."""

    name: Annotated[Words, Field(min_length=1, description="What it is, in a few words")]
    description: Words = Field(default="", description="How it looks and what it does")
    placement: Words = Field(default="", description="Where it stands in the picture")
    scale: Share | None = Field(default=None, description="Its share of the picture's height")


class Lighting(_Part, frozen=True):
    """The light of a scene."""

    description: Words = Field(default="", description="The light in words")
    direction: Words = Field(default="", description="Where the main light comes from")
    hardness: Share | None = Field(default=None, description="0 is diffuse, 1 casts hard shadows")
    colour: Hex | None = None


class Camera(_Part, frozen=True):
    """How the scene is looked at."""

    shot: Words = Field(default="", description="Such as close-up, full figure or wide shot")
    angle: Words = Field(default="", description="Such as eye level, low angle or from above")
    lens: Words = Field(default="", description="Such as 35 mm")
    focus: Words = Field(default="", description="What is sharp, and the depth of field")


class Scene(_Part, frozen=True):
    """A picture described member by member; everything but the subjects may be left out."""

    title: Words = Field(default="", description="A short name")
    subjects: tuple[Subject, ...] = Field(
        min_length=1, max_length=20, description="The most important first"
    )
    setting: Words = Field(default="", description="Place, time of day and surroundings")
    lighting: Lighting = Lighting()
    mood: Words = ""
    style: Words = Field(default="", description="Medium and manner, such as oil painting")
    composition: Words = Field(default="", description="How the picture is arranged")
    camera: Camera = Camera()
    palette: tuple[Hex, ...] = Field(
        default=(), max_length=16, description="The main colours, the largest first"
    )
    details: tuple[Words, ...] = Field(
        default=(), max_length=40, description="Further things that should be seen"
    )
    negative: Words = Field(default="", description="What must not be in the picture")

    @model_validator(mode="before")
    @classmethod
    def _shorthands(cls, data: Any) -> Any:
        """Read what people and models write: one `subject`, a name alone, light as mere words."""
        if not isinstance(data, Mapping):
            return data
        given = dict(cast("Mapping[str, Any]", data))
        if "subject" in given and "subjects" not in given:
            given["subjects"] = [given.pop("subject")]
        many: Any = given.get("subjects")
        if isinstance(many, list | tuple):
            rows = cast("list[Any]", many)
            given["subjects"] = [{"name": one} if isinstance(one, str) else one for one in rows]
        for name, member in (("lighting", "description"), ("camera", "shot")):
            if isinstance(given.get(name), str):
                given[name] = {member: given[name]}
        return given


class Swatch(BaseModel, frozen=True):
    """One colour of a palette."""

    colour: Hex
    name: str
    """The nearest of a table of common names."""
    share: Share
    """Of the picture's area; the shares of a palette add up to 1."""


class Light(BaseModel, frozen=True):
    """What can be measured of the light."""

    key: Literal["low", "middle", "high"]
    brightness: Share
    """Median lightness; 0.5 is middle grey."""
    contrast: Literal["flat", "soft", "normal", "strong"]
    spread: Share
    """Lightness between the darkest and the lightest twentieth."""
    temperature: Literal["warm", "neutral", "cool"]
    warmth: float
    """How many times red light outweighs blue, as a power of two; negative is cool."""
    direction: str
    """A guess at where the light comes from, by the brighter side; `even` where none is."""
    direction_confidence: Share


class Box(BaseModel, frozen=True):
    """A rectangle in shares of the picture's sides, from its upper left corner."""

    left: Share
    top: Share
    right: Share
    bottom: Share


class Region(BaseModel, frozen=True):
    """A part of the picture: the likely subject, where most goes on, or where little does."""

    kind: Literal["subject", "busy", "calm"]
    where: str
    box: Box
    measure: Share
    """For the subject the confidence; else the share of pixels that carry detail."""


class Composition(BaseModel, frozen=True):
    """What can be measured of the arrangement."""

    aspect: str
    """The nearest usual ratio and the orientation, such as `3:2 landscape`."""
    ratio: float
    """Width by height."""
    layout: str
    """Where the weight lies: `centred`, or by thirds."""
    symmetry: Share
    """How alike the left half and the mirrored right half are."""
    horizon: Share | None
    """Height of a level line across the picture, from the top; None: there is none."""


class Measured(BaseModel, frozen=True):
    """What was computed from the pixels and read from the file, with no model involved."""

    width_px: int
    height_px: int
    media_type: str
    monochrome: bool
    palette: tuple[Swatch, ...]
    light: Light
    composition: Composition
    regions: tuple[Region, ...]
    exif: dict[str, str] = {}
    """The camera's words; never the place where it was taken."""
