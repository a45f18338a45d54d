"""What the tools want: their arguments, as whoever calls them is told."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator

from maquette.core.masks import MOST_GROWN_PX, Polarity
from maquette.core.requests import Option, Size
from maquette.core.wanted import Wanted
from maquette.services.asking import MOST_PICTURES

LONGEST_WAIT_S = 600
WAIT_S = 45
"""Many clients give a call up after a minute."""


def _plain(value: str) -> str:
    if "\0" in value:
        raise ValueError("a NUL character is no text; leave it out")
    return value


Text = Annotated[str, AfterValidator(_plain)]
SLUG = r"^[a-z0-9][a-z0-9_-]{0,63}$"
ASSET = r"^[0-9A-Za-z-]{1,64}$"
Slug = Annotated[
    str,
    Field(
        pattern=SLUG,
        description="The project's slug, as `list_projects` names it; without it, your own.",
    ),
]
Asset = Annotated[
    str,
    Field(
        pattern=ASSET,
        description="An asset's id, as `look_up`, `upload_image` and finished jobs name it.",
    ),
]
Job = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,48}$", description="A job's id.")]
Wait = Annotated[
    int,
    Field(
        ge=0,
        le=LONGEST_WAIT_S,
        description="Seconds to wait for the end; then the job goes on and `follow_job` waits on.",
    ),
]
Prompt = Annotated[Text, Field(min_length=1, max_length=32_000, description="What is wanted.")]
SizeText = Annotated[
    str,
    Field(
        pattern=r"^(auto|source|[1-9][0-9]{0,4}x[1-9][0-9]{0,4})$",
        description="`auto`, `source` (as the first picture) or WIDTHxHEIGHT, such as 1024x1024.",
    ),
]


class Nothing(Wanted):
    """No arguments."""


class Making(Wanted):
    """What every tool that asks a model takes."""

    project: Slug | None = None
    model: Annotated[
        Text | None,
        Field(
            max_length=200,
            description="`provider:model`, as `list_models` names it; without it, the only one.",
        ),
    ] = None
    size: SizeText = "auto"
    count: Annotated[int, Field(ge=1, le=MOST_PICTURES, description="How many pictures.")] = 1
    seed: Annotated[int | None, Field(ge=0, lt=2**63)] = None
    negative_prompt: Annotated[Text, Field(max_length=32_000)] = ""
    options: Annotated[
        dict[Annotated[str, Field(max_length=64)], Option],
        Field(
            default_factory=dict,
            max_length=64,
            description="Options of the model, as `list_models` names them.",
        ),
    ]
    wait_s: Wait = WAIT_S

    @field_validator("options")
    @classmethod
    def _plain_options(cls, value: dict[str, Option]) -> dict[str, Option]:
        for name, one in value.items():
            _plain(name)
            _plain(one if isinstance(one, str) else "")
        return value

    @property
    def measure(self) -> Size:
        """The size as requests have it."""
        if self.size in ("auto", "source"):
            return "auto" if self.size == "auto" else "source"
        width, _, height = self.size.partition("x")
        return int(width), int(height)


class Generate(Making):
    """Pictures from words."""

    prompt: Prompt


class Edit(Making):
    """Pictures from a picture and words."""

    prompt: Prompt
    pictures: Annotated[
        list[Asset],
        Field(min_length=1, max_length=16, description="The first is edited; others are examples."),
    ]


class Inpaint(Making):
    """A picture that is changed inside a mask only."""

    prompt: Prompt
    picture: Asset
    mask: Asset
    mask_edits: Annotated[
        Polarity,
        Field(
            description="What marks the part to change: `white` of a grey mask, or what is "
            "`transparent` or `opaque` in one with alpha."
        ),
    ] = "white"
    invert: Annotated[bool, Field(description="Change what the mask keeps, and keep the rest.")] = (
        False
    )
    grow_px: Annotated[int, Field(ge=0, le=MOST_GROWN_PX)] = 0
    feather_px: Annotated[
        float, Field(ge=0, le=256, description="Width of the soft edge, inside the mask.")
    ] = 4.0


class PostProcess(Wanted):
    """One step over a picture that is there."""

    project: Slug | None = None
    picture: Asset
    step: Literal["remove_background", "upscale", "colour"]
    backend: Annotated[
        Text,
        Field(max_length=200, description="Who does it, for the first two; without it, the best."),
    ] = ""
    scale: Annotated[float, Field(ge=1, le=8, description="Of `upscale`.")] = 2.0
    look: Annotated[
        Text, Field(min_length=1, max_length=200, description="Of `colour`: a look's name.")
    ] = "cinematic_warm"
    strength: Annotated[float, Field(ge=0, le=1, description="Of `colour`.")] = 1.0
    wait_s: Wait = WAIT_S


class Plan(Wanted):
    """A call that is looked at and not made."""

    tool: Literal["generate", "edit", "inpaint", "post_process"]
    arguments: Annotated[
        dict[str, Any], Field(description="The arguments that the tool would be called with.")
    ]


class Confirm(Wanted):
    """A word that money may be spent."""

    confirmation: Annotated[
        Text,
        Field(min_length=1, max_length=200, description="From the plan that a person agreed to."),
    ]
    wait_s: Wait = WAIT_S


class ListModels(Wanted):
    """Which models are wanted."""

    project: Slug | None = None
    provider: Annotated[Text | None, Field(max_length=64)] = None
    only_ready: bool = True


class LookUp(Wanted):
    """A search of the library, or one of its pictures."""

    project: Slug | None = None
    asset: Asset | None = None
    words: Annotated[
        Text | None, Field(max_length=400, description="Words of prompts, names and tags.")
    ] = None
    kind: Annotated[Text | None, Field(max_length=32)] = None
    tag: Annotated[Text | None, Field(max_length=64)] = None
    limit: Annotated[int, Field(ge=1, le=50)] = 20
    cursor: Annotated[Text | None, Field(max_length=200)] = None


class FollowJob(Wanted):
    """A job that is waited for."""

    project: Slug | None = None
    job: Job
    wait_s: Wait = WAIT_S


class CancelJob(Wanted):
    """A job that is to end."""

    project: Slug | None = None
    job: Job


class UploadImage(Wanted):
    """A picture that becomes an asset."""

    project: Slug | None = None
    name: Annotated[Text, Field(min_length=1, max_length=200)] = "picture.png"
    data: Annotated[
        str | None, Field(description="The file's bytes in base64, or a data URL of them.")
    ] = None
    path: Annotated[
        Text | None,
        Field(
            max_length=1000,
            description="A file below the project's root, where this server is a local program.",
        ),
    ] = None
    kind: Literal["source", "reference"] = "source"
    consent: Annotated[
        Text | None,
        Field(max_length=2000, description="What people who are shown have agreed to."),
    ] = None


class Spending(Wanted):
    """Whose money is asked about."""

    project: Slug | None = None
