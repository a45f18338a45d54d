"""The flags of `dry` and `run`: declared once, shared by both."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from maquette.cli import arguments as a

SceneRefs = Annotated[
    str | None,
    typer.Option("--scene-refs", metavar="A,B,C", help="Scenes, as paths or names in scenes/."),
]
StyleRefs = Annotated[
    str | None,
    typer.Option("--style-refs", metavar="X,Y,Z", help="Pictures to take the style from."),
]
ManifestFile = Annotated[
    Path | None,
    typer.Option("--manifest", metavar="FILE.json", help="Prompts and overrides per scene."),
]
Prompt = Annotated[str | None, typer.Option("--prompt", help="What to make of each scene.")]
Negative = Annotated[
    str | None, typer.Option("--negative-prompt", help="What must not be in the picture.")
]
ProviderName = Annotated[
    str | None, typer.Option("--provider", metavar="ID", help="Who makes the pictures.")
]
Model = Annotated[
    str | None, typer.Option("--model", metavar="MODEL", help="A model, or PROVIDER:MODEL.")
]
SizeText = Annotated[
    str | None,
    typer.Option("--size", metavar="SIZE", help="source (default), auto or WIDTHxHEIGHT."),
]
Seed = Annotated[
    int | None, typer.Option("--seed", min=0, help="Same seed, same picture, where a model can.")
]
Options = Annotated[
    list[str] | None,
    typer.Option("--option", metavar="NAME=VALUE", help="An option of the model; repeatable."),
]
Candidates = Annotated[
    int | None, typer.Option("--candidates", min=1, help="Pictures per scene to choose from (1).")
]
MaxCandidates = Annotated[
    int, typer.Option("--max-candidates", min=1, help="Ceiling for --candidates.")
]
ManyCandidates = Annotated[
    bool,
    typer.Option("--allow-many-candidates/--no-allow-many-candidates", help="Go over the ceiling."),
]
GuardEnabled = Annotated[
    bool,
    typer.Option("--output-guard-enabled/--no-output-guard-enabled", help="Check every candidate."),
]
Grayscale = Annotated[
    bool,
    typer.Option("--enforce-grayscale/--no-enforce-grayscale", help="Colour fails a candidate."),
]
MaxChroma = Annotated[
    float | None,
    typer.Option(
        "--max-chroma-delta", metavar="0..255", help="Most a pixel's channels may differ."
    ),
]
FailChroma = Annotated[
    bool | None,
    typer.Option(
        "--fail-on-chroma-exceed/--no-fail-on-chroma-exceed",
        help="Too much chroma fails instead of counting against.",
    ),
]
BgRemove = Annotated[
    bool | None,
    typer.Option("--post-bg-remove/--no-post-bg-remove", help="Remove the background."),
]
BgBackends = Annotated[
    str | None,
    typer.Option(
        "--bg-remove-backends",
        metavar="A,B,…",
        help="Tried in this order; default: the first that is ready.",
    ),
]
Refine = Annotated[
    bool | None,
    typer.Option(
        "--bg-refine/--no-bg-refine",
        "--bg-refine-openai/--no-bg-refine-openai",
        help="An edit model cleans the cutout's edges; default: where one is ready and confirmed.",
    ),
]
RefineRequired = Annotated[
    bool,
    typer.Option(
        "--bg-refine-required/--no-bg-refine-required",
        "--bg-refine-openai-required/--no-bg-refine-openai-required",
        help="Where refining fails, the scene fails.",
    ),
]
RefineModel = Annotated[
    str | None,
    typer.Option(
        "--bg-refine-model", metavar="PROVIDER:MODEL", help="Default: the run's own, if it can."
    ),
]
RefinePrompt = Annotated[
    str | None, typer.Option("--bg-refine-prompt", metavar="TEXT", help="What it is told.")
]
Upscale = Annotated[
    bool | None, typer.Option("--post-upscale/--no-post-upscale", help="Enlarge the winner.")
]
UpscaleBackend = Annotated[
    str | None,
    typer.Option(
        "--upscale-backend", metavar="NAME", help="What enlarges; default: the first that is ready."
    ),
]
UpscaleScale = Annotated[
    float, typer.Option("--upscale-scale", metavar="1..8", help="By how much.")
]
Colour = Annotated[
    bool | None, typer.Option("--post-color/--no-post-color", help="Grade the colours.")
]
ColourProfile = Annotated[
    str,
    typer.Option("--post-color-profile", metavar="LOOK|FILE.cube", help="A look, or a .cube file."),
]
DbIngest = Annotated[
    bool,
    typer.Option(
        "--backend-db-ingest/--no-backend-db-ingest", help="Ingest the run log into --backend-db."
    ),
]
DbRequired = Annotated[
    bool,
    typer.Option(
        "--backend-db-required/--no-backend-db-required", help="Failing to ingest fails the run."
    ),
]
OtherDb = Annotated[
    Path | None,
    typer.Option("--backend-db", metavar="FILE", help="Another database to ingest the log into."),
]
StorageResolve = Annotated[
    bool,
    typer.Option(
        "--backend-storage-resolve/--no-backend-storage-resolve",
        help="Take the root from the project's setting.",
    ),
]
StorageRequired = Annotated[
    bool,
    typer.Option(
        "--backend-storage-required/--no-backend-storage-required",
        help="Fail where the project has no such setting.",
    ),
]
SyncS3 = Annotated[
    bool, typer.Option("--storage-sync-s3/--no-storage-sync-s3", help="Mirror to S3 afterwards.")
]
SyncDry = Annotated[
    bool,
    typer.Option(
        "--storage-sync-dry-run/--no-storage-sync-dry-run", help="Only say what would be mirrored."
    ),
]
SyncDelete = Annotated[
    bool,
    typer.Option(
        "--storage-sync-delete/--no-storage-sync-delete", help="Delete what is gone here."
    ),
]
SyncRequired = Annotated[
    bool,
    typer.Option(
        "--storage-sync-required/--no-storage-sync-required",
        help="A failed sync fails the command.",
    ),
]
IgnoredPython = Annotated[str | None, typer.Option(hidden=True)]


@dataclass(frozen=True)
class PlanFlags:
    """What a plan is made from."""

    project: a.Project
    project_root: a.ProjectRoot = None
    input: a.Input = None
    scene_refs: SceneRefs = None
    style_refs: StyleRefs = None
    manifest: ManifestFile = None
    prompt: Prompt = None
    negative_prompt: Negative = None
    provider: ProviderName = None
    model: Model = None
    size: SizeText = None
    seed: Seed = None
    option: Options = None
    candidates: Candidates = None
    max_candidates: MaxCandidates = 6
    allow_many_candidates: ManyCandidates = False
    output_guard_enabled: GuardEnabled = True
    enforce_grayscale: Grayscale = False
    max_chroma_delta: MaxChroma = None
    fail_on_chroma_exceed: FailChroma = None
    post_bg_remove: BgRemove = None
    bg_remove_backends: BgBackends = None
    bg_refine: Refine = None
    bg_refine_required: RefineRequired = False
    bg_refine_model: RefineModel = None
    bg_refine_prompt: RefinePrompt = None
    post_upscale: Upscale = None
    upscale_backend: UpscaleBackend = None
    upscale_scale: UpscaleScale = 2.0
    post_color: Colour = None
    post_color_profile: ColourProfile = "cinematic_warm"
    archive_replaced: a.ArchiveReplaced = True
    backend_storage_resolve: StorageResolve = True
    backend_storage_required: StorageRequired = False
    qa_python_bin: IgnoredPython = None
    backend_python_bin: IgnoredPython = None


@dataclass(frozen=True)
class RunFlags:
    """What only a run that is really made needs."""

    confirm_spend: a.ConfirmSpend = False
    max_spend: a.MaxSpend = None
    backend_db_ingest: DbIngest = True
    backend_db_required: DbRequired = False
    backend_db: OtherDb = None
    storage_sync_s3: SyncS3 = False
    storage_sync_dry_run: SyncDry = False
    storage_sync_delete: SyncDelete = False
    storage_sync_required: SyncRequired = False


def takes(*groups: type[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Let Typer see the fields of the groups as the command's own options."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = [
            parameter
            for parameter in inspect.signature(command).parameters.values()
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY
        ]
        hints = get_type_hints(command, globalns=_names(command), include_extras=True)

        @wraps(command)
        def collected(**given: Any) -> None:
            made = [
                group(**{one.name: given.pop(one.name) for one in fields(group)})
                for group in groups
            ]
            command(*made, **given)

        shared = [
            _parameter(group, one.name, one.default) for group in groups for one in fields(group)
        ]
        parameters = [*shared, *(one.replace(annotation=hints[one.name]) for one in own)]
        collected.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportAttributeAccessIssue] - Typer reads it
        collected.__annotations__ = {one.name: one.annotation for one in parameters}
        return collected

    return decorate


def _names(command: Callable[..., None]) -> dict[str, Any]:
    return getattr(command, "__globals__", {})


def _parameter(group: type[Any], name: str, default: object) -> inspect.Parameter:
    hints = get_type_hints(group, include_extras=True)
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if default is MISSING else default,
        annotation=hints[name],
    )
