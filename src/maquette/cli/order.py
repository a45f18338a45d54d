"""From the flags of `dry` and `run` to a `RunOrder`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from maquette.core.errors import BadParameter, FileMissing
from maquette.core.findings import GuardRules
from maquette.core.pipeline import (
    BackgroundStep,
    ColourStep,
    PostChain,
    RefineStep,
    RunOrder,
    UpscaleStep,
)
from maquette.core.requests import Option, Size


def parse_size(text: str) -> Size:
    """Read `auto`, `source` or `1024x768`."""
    if text in ("auto", "source"):
        return text
    width, cross, height = text.lower().partition("x")
    if cross and all(side.isdecimal() and 0 < int(side) <= 65535 for side in (width, height)):
        return (int(width), int(height))
    raise BadParameter(
        f"--size {text!r} is not a size; write auto, source or WIDTHxHEIGHT, each 1 to 65535."
    )


def parse_options(pairs: list[str]) -> dict[str, Option]:
    """Read `name=value`; numbers and true/false become what they look like."""
    options: dict[str, Option] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not (name and equals):
            raise BadParameter(f"--option {pair!r} is not NAME=VALUE.")
        options[name] = _value(text)
    return options


def _value(text: str) -> Option:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def colour_step(profile: str, strength: float = 1.0) -> ColourStep:
    """Name a look, or read a `.cube` file."""
    if not profile.lower().endswith(".cube"):
        return ColourStep(profile=profile, strength=strength)
    path = Path(profile)
    if not path.is_file():
        raise FileMissing(
            f"There is no colour file {profile!r}; give a .cube file or a look's name."
        )
    text = path.read_text(encoding="utf-8", errors="replace")
    return ColourStep(profile=path.name, strength=strength, cube=text)


def post_chain(
    *,
    background: BackgroundStep | None,
    upscale: bool,
    upscale_backend: str | None,
    upscale_scale: float,
    colour: bool,
    colour_profile: str,
) -> PostChain:
    return PostChain(
        background=background,
        upscale=(
            UpscaleStep(backend=upscale_backend or "", scale=check_scale(upscale_scale))
            if upscale
            else None
        ),
        colour=colour_step(colour_profile) if colour else None,
    )


def background_step(
    backends: tuple[str, ...],
    *,
    refine: bool | None,
    required: bool,
    model: str | None,
    prompt: str | None,
) -> BackgroundStep:
    """Say how backgrounds are removed, and whether an edit model cleans the edges."""
    if required and refine is False:
        raise BadParameter("--bg-refine false and --bg-refine-required contradict each other.")
    said: dict[str, str] = {}
    if model is not None:
        if ":" not in model:
            raise BadParameter(f"--bg-refine-model {model!r}: write PROVIDER:MODEL.")
        said["model"] = model
    if prompt is not None:
        said["prompt"] = prompt
    step = RefineStep.model_validate({"wanted": refine, "required": required, **said})
    return BackgroundStep(backends=backends, refine=step)


def check_scale(scale: float) -> float:
    if not 1 <= scale <= 8:
        raise BadParameter(f"--upscale-scale {scale:g} is out of range; give 1 to 8.")
    return scale


def guard_rules(
    *, enabled: bool, grayscale: bool, max_chroma: float | None, fail: bool | None
) -> GuardRules:
    if max_chroma is not None and not 0 <= max_chroma <= 255:
        raise BadParameter(f"--max-chroma-delta {max_chroma:g} is out of range; give 0 to 255.")
    return GuardRules(
        enabled=enabled,
        enforce_grayscale=grayscale,
        max_chroma_delta=max_chroma,
        fail_on_chroma_exceed=fail,
    )


def run_order(**given: Any) -> RunOrder:
    """Keep only what was said, so that a manifest can fill in the rest."""
    said = {name: value for name, value in given.items() if value is not None}
    try:
        return RunOrder(**said)
    except ValidationError as error:
        first = error.errors()[0]
        flag = f"--{str(first['loc'][0]).replace('_', '-')}"
        raise BadParameter(f"{flag} {first['input']!r} cannot be used: {first['msg']}.") from None
