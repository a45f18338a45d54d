"""Instructions: the types there are, and what each may be told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, Field, ValidationError

from maquette.core.errors import BadParameter
from maquette.core.findings import GuardRules
from maquette.core.pipeline import Count, PostChain, RefineStep
from maquette.core.requests import Option, Size


class InstructionKind(StrEnum):
    """What can be instructed."""

    PIPELINE_RUN = "pipeline_run"
    UPSCALE = "upscale"
    BGREMOVE = "bgremove"
    COLOR = "color"
    QA = "qa"
    LAYERS = "layers"
    EXPORT = "export"
    SYNC_S3 = "sync_s3"

    @property
    def may_spend(self) -> bool:
        return self in _SPENDING

    @property
    def is_run(self) -> bool:
        """Whether it is done by a run of jobs."""
        return self in _RUNS


_SPENDING = frozenset({InstructionKind.PIPELINE_RUN, InstructionKind.BGREMOVE})
_RUNS = _SPENDING | {InstructionKind.UPSCALE, InstructionKind.COLOR}

Words = Annotated[str, Field(max_length=32_000)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Picture = Annotated[str, Field(min_length=1, max_length=400)]
"""An asset's id, a name in `<root>/scenes`, or a path below the project's root."""
Amount = Annotated[Decimal, Field(ge=0, le=1_000_000, max_digits=16, decimal_places=9)]


class Payload(BaseModel, frozen=True, extra="forbid"):
    """What every instruction may be told."""

    stage: Name | None = None
    """A label for people; nothing depends on it."""
    priority: Annotated[int, Field(ge=-100, le=100)] = 0
    max_spend_usd: Amount | None = None


class PipelineRun(Payload, frozen=True):
    """Make pictures of scenes; without named ones, of all in `<root>/scenes`."""

    candidates: Count = 1
    allow_many_candidates: bool = False
    prompt: Words | None = None
    negative_prompt: Words = ""
    model: Name | None = None
    provider: Name | None = None
    scene_refs: Annotated[tuple[Picture, ...], Field(max_length=10_000)] = ()
    style_refs: Annotated[tuple[Picture, ...], Field(max_length=64)] = ()
    size: Size = "source"
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    options: Annotated[dict[Name, Option], Field(max_length=64)] = {}
    guard: GuardRules = GuardRules()
    post: PostChain = PostChain()
    archive_replaced: bool = True


class _Step(Payload, frozen=True):
    """A post step by itself."""

    input: Picture = "outputs"
    """A picture or a folder below the root, or an asset's id."""
    output: Picture | None = None
    """A folder below the root; unset: the step's own."""
    archive_replaced: bool = True


class Upscale(_Step, frozen=True):
    """Enlarge pictures."""

    backend: Annotated[str, Field(max_length=200)] = ""
    scale: Annotated[float, Field(ge=1, le=8)] = 2.0


class BgRemove(_Step, frozen=True):
    """Remove backgrounds."""

    backends: Annotated[tuple[Name, ...], Field(max_length=16)] = ()
    refine: RefineStep = RefineStep()


class Color(_Step, frozen=True):
    """Grade colours, with a look's name or a `.cube` file below the root."""

    profile: Name = "cinematic_warm"
    strength: Annotated[float, Field(ge=0, le=1)] = 1.0


class Qa(Payload, frozen=True):
    """Let the guard judge pictures; changes nothing."""

    input: Picture = "outputs"
    guard: GuardRules = GuardRules()


class Layers(Payload, frozen=True):
    """Turn a picture into layers."""

    input: Picture
    mode: Literal["photo-realistic", "painterly"] = "photo-realistic"
    num_layers: Annotated[int, Field(ge=2, le=5)] = 3
    painterly_style: Name | None = None
    painterly_strength: Annotated[float, Field(ge=0, le=1)] = 0.7
    painterly_seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None


class Export(Payload, frozen=True):
    """Write the project into one archive."""

    all_files: bool = False
    """Also files below the root that no asset is shown by."""


class SyncS3(Payload, frozen=True):
    """Mirror the project's root to its bucket."""

    dry_run: bool = False
    delete: bool = False


PAYLOADS: Mapping[InstructionKind, type[Payload]] = {
    InstructionKind.PIPELINE_RUN: PipelineRun,
    InstructionKind.UPSCALE: Upscale,
    InstructionKind.BGREMOVE: BgRemove,
    InstructionKind.COLOR: Color,
    InstructionKind.QA: Qa,
    InstructionKind.LAYERS: Layers,
    InstructionKind.EXPORT: Export,
    InstructionKind.SYNC_S3: SyncS3,
}


def read(kind: InstructionKind, given: Mapping[str, Any]) -> Payload:
    """Check a payload; name a member that is unknown or wrong."""
    model = PAYLOADS[kind]
    try:
        found = model.model_validate(given)
        json.dumps(dumped(found), allow_nan=False)
        _check_text(dumped(found))
    except ValidationError as error:
        raise BadParameter(_said(kind, model, error)) from None
    except ValueError:
        raise BadParameter(
            "payload_json has a number that is none (NaN or infinite); write a finite one."
        ) from None
    return found


def _check_text(value: object) -> None:
    """Refuse text that no database can keep."""
    if isinstance(value, str):
        if "\0" in value:
            raise BadParameter("payload_json has a NUL character; leave it out.")
    elif isinstance(value, dict):
        for pair in cast("dict[str, object]", value).items():
            _check_text(list(pair))
    elif isinstance(value, list):
        for one in cast("list[object]", value):
            _check_text(one)


def dumped(payload: Payload) -> dict[str, Any]:
    """Write a payload as it is kept: what was said, and nothing else."""
    return payload.model_dump(mode="json", exclude_unset=True)


def _said(kind: InstructionKind, model: type[Payload], error: ValidationError) -> str:
    flaws = error.errors()
    unknown = [_path(one["loc"]) for one in flaws if one["type"] == "extra_forbidden"]
    if unknown:
        known = ", ".join(sorted(model.model_fields))
        return (
            f"payload_json of {kind.value!r} has members that it does not know: "
            f"{', '.join(unknown[:8])}. It knows: {known}."
        )
    first = flaws[0]
    return f"payload_json member {_path(first['loc'])} cannot be used: {first['msg']}."


def _path(where: tuple[int | str, ...]) -> str:
    return repr(".".join(str(part) for part in where)[:100])
