"""What a run is made of: the order a person gives, and the frozen spec of each job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, model_validator

from maquette.core.findings import GuardRules
from maquette.core.requests import ImageRequest, Input, Option, Size

Count = Annotated[int, Field(ge=1, le=1000)]


REFINE_PROMPT = (
    "Keep the subject exactly as it is: same shape, same colours, same place in the frame. Clean "
    "up its edges, above all hair, fur and fine structures, and take away what is left of the old "
    "background. Keep everything around the subject fully transparent."
)


class RefineStep(BaseModel, frozen=True, extra="forbid"):
    """Let an edit model clean the edges of a cutout."""

    wanted: bool | None = None
    """None in an order: where an edit model is ready and spending is confirmed."""
    required: bool = False
    """Failing fails the job; else the cutout stays as it was."""
    model: str = ""
    """`provider:model`; empty in an order: the run's own model, if it can."""
    prompt: str = REFINE_PROMPT
    options: dict[str, Option] = {}
    """The run's own, where its own model refines: cheap runs are refined cheaply."""


class BackgroundStep(BaseModel, frozen=True, extra="forbid"):
    """Remove the background with the first backend that succeeds."""

    backends: tuple[str, ...] = ()
    """Each `name` or `name:model`: an operation or a provider. Empty in an order: the plan takes
    the first that is installed or configured."""
    refine: RefineStep = RefineStep()


class UpscaleStep(BaseModel, frozen=True, extra="forbid"):
    """Enlarge."""

    backend: str = ""
    """Empty in an order: the plan takes the first that is installed or configured."""
    scale: float = Field(default=2.0, ge=1.0, le=8.0)


class ColourStep(BaseModel, frozen=True, extra="forbid"):
    """Grade with a named look or a `.cube` file's content."""

    profile: str = "cinematic_warm"
    strength: float = Field(default=1.0, ge=0.0, le=1.0)
    cube: str | None = None
    """The text of the `.cube` file, so that a replay does not need the file."""


class PostChain(BaseModel, frozen=True, extra="forbid"):
    """The steps after the winner is picked, always in this order."""

    background: BackgroundStep | None = None
    upscale: UpscaleStep | None = None
    colour: ColourStep | None = None

    def names(self) -> tuple[str, ...]:
        refine = self.background.refine if self.background is not None else None
        steps = {
            "background": self.background,
            "refine": refine if refine is not None and refine.wanted else None,
            "upscale": self.upscale,
            "colour": self.colour,
        }
        return tuple(name for name, step in steps.items() if step is not None)


class CompositeStep(BaseModel, frozen=True, extra="forbid"):
    """Put the original back outside the mask: models take a mask for a hint."""

    feather_px: float = Field(default=4.0, ge=0.0, le=256.0)
    """Width of the soft edge, which lies inside the mask."""


class JobSpec(BaseModel, frozen=True, extra="forbid"):
    """One scene of a run, complete: nothing else is read when it is worked or replayed."""

    scene: str
    source: Input | None = None
    request: ImageRequest | None
    """None: no new picture is made, the asset `begins_with` goes into the post chain."""
    begins_with: str = ""
    candidates: int = Field(default=1, ge=0, le=1000)
    calls: tuple[int, ...]
    """Pictures asked for in each provider call; they add up to `candidates`."""
    composite: CompositeStep | None = None
    """For an edit with a mask; None: the pictures stay as the model made them."""
    guard: GuardRules = GuardRules()
    post: PostChain = PostChain()
    parents: tuple[tuple[str, str], ...] = ()
    """(asset, role) of what is given, where it was chosen by its asset; else found by its bytes."""
    archive_replaced: bool = True
    folder: str | None = None
    """Where the end of the chain is shown; None: in its step's own folder."""

    @property
    def asked(self) -> ImageRequest:
        """The request of a job that makes new pictures."""
        if self.request is None:
            raise ValueError(f"the job of scene {self.scene!r} asks for no new picture")
        return self.request

    @property
    def pictures(self) -> tuple[Input, ...]:
        """Everything that the job begins with."""
        if self.request is not None:
            return self.request.inputs
        return () if self.source is None else (self.source,)

    @property
    def seed(self) -> int:
        """What the steps of this machine are seeded with."""
        return 0 if self.request is None else self.request.seed or 0

    @model_validator(mode="after")
    def _calls_add_up(self) -> JobSpec:
        if sum(self.calls) != self.candidates:
            raise ValueError("calls must add up to candidates")
        if (self.request is None) != (not self.calls):
            raise ValueError("a job has calls exactly where it has a request")
        return self


class SceneOverride(BaseModel, frozen=True, extra="forbid"):
    """What a manifest may say of one scene; what it leaves out comes from the run."""

    input: Path | None = None
    prompt: str | None = None
    negative_prompt: str | None = None
    size: Size | None = None
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    candidates: Count | None = None
    refs: tuple[Path, ...] | None = None
    guard: GuardRules | None = None
    post: PostChain | None = None
    options: dict[str, Option] | None = None


class Manifest(BaseModel, frozen=True, extra="forbid"):
    """`--manifest FILE.json`: defaults for the run, and overrides by scene name."""

    prompt: str | None = None
    negative_prompt: str | None = None
    size: Size | None = None
    candidates: Count | None = None
    refs: tuple[Path, ...] | None = None
    post: PostChain | None = None
    scenes: dict[str, SceneOverride] = {}


class RunOrder(BaseModel, frozen=True, extra="forbid"):
    """A run as a person orders it, before any file was looked at."""

    project: str
    input: Path | None = None
    scene_refs: tuple[Path, ...] = ()
    style_refs: tuple[Path, ...] = ()
    manifest: Path | None = None
    prompt: str | None = None
    negative_prompt: str = ""
    provider: str | None = None
    model: str | None = None
    size: Size = "source"
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    options: dict[str, Option] = {}
    candidates: Count = 1
    max_candidates: Count = 6
    allow_many_candidates: bool = False
    guard: GuardRules = GuardRules()
    post: PostChain = PostChain()
    archive_replaced: bool = True
