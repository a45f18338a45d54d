"""The output guard: what must not be in a picture that is handed over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import BaseModel

from maquette.core.findings import Expected, Finding, GuardRules, Severity
from maquette.core.operation import Needs, Operation, Result, Work
from maquette.core.raster import Raster
from maquette.pixels.guard import Measurement, measure

BLANK_RANGE = 2
"""A picture whose luma spans at most this many of 255 levels is blank."""
NEAR_UNIFORM_STD = 3.0
"""Below this standard deviation of luma a picture is suspiciously flat."""


class OutputGuardParams(BaseModel, frozen=True, extra="forbid"):
    """The rules of the run, and what the steps before should have left."""

    rules: GuardRules = GuardRules()
    expected: Expected = Expected()


def judge(rasters: Mapping[str, Raster], params: OutputGuardParams, _work: Work) -> Result:
    """Measure a picture in one pass and turn the measurement into findings.

    Parameters
    ----------
    rasters : `image` of shape (H, W, 3 | 4), uint8, sRGB, straight alpha
        Pixels under alpha 0 do not count: their colour has no meaning.
    params : OutputGuardParams

    Returns
    -------
    Result
        No image; findings, and in `data` the figures they rest on: `max_chroma` and
        `mean_chroma` in 0..255, `over_threshold` as a share, `mean_chroma_excess`,
        `luma_std`.
    """
    image = rasters["image"]
    limit = params.rules.chroma_limit
    seen = measure(image.pixels, chroma_threshold=255 if limit is None else int(limit))
    findings = [
        *_size(image, params.expected),
        *_flatness(seen),
        *_chroma(seen, params.rules),
        *_alpha(seen, params.expected),
    ]
    data: dict[str, float | str | None] = {
        "max_chroma": float(seen.max_chroma),
        "mean_chroma": seen.mean_chroma,
        "over_threshold": seen.over_threshold,
        "mean_chroma_excess": seen.mean_chroma_excess,
        "luma_std": seen.luma_std,
    }
    return Result(None, tuple(findings), data)


def _size(image: Raster, expected: Expected) -> Iterator[Finding]:
    due = (expected.width_px, expected.height_px)
    found = (image.width_px, image.height_px)
    if None not in due and found != due:
        yield Finding(
            code="wrong_size",
            severity="hard",
            message=f"The picture is {found[0]} x {found[1]} px, asked for {due[0]} x {due[1]}.",
            measured=float(found[0] * found[1]),
        )


def _flatness(seen: Measurement) -> Iterator[Finding]:
    span = seen.luma_max - seen.luma_min
    if span <= BLANK_RANGE and seen.max_chroma <= BLANK_RANGE:
        yield Finding(
            code="blank",
            severity="hard",
            message="The picture is blank: all its pixels are alike.",
            measured=float(span),
            limit=float(BLANK_RANGE),
        )
    elif seen.luma_std < NEAR_UNIFORM_STD:
        yield Finding(
            code="near_uniform",
            severity="soft",
            message="The picture is nearly uniform.",
            measured=seen.luma_std,
            limit=NEAR_UNIFORM_STD,
        )


def _chroma(seen: Measurement, rules: GuardRules) -> Iterator[Finding]:
    limit = rules.chroma_limit
    if limit is not None and seen.max_chroma > limit:
        yield Finding(
            code="not_grayscale" if rules.enforce_grayscale else "chroma_exceeded",
            severity=rules.chroma_severity,
            message=(
                f"Chroma reaches {seen.max_chroma} of 255, allowed {limit:g}; "
                f"{seen.over_threshold:.1%} of the pixels are over."
            ),
            measured=float(seen.max_chroma),
            limit=limit,
        )


def _alpha(seen: Measurement, expected: Expected) -> Iterator[Finding]:
    transparent = seen.alpha is not None and seen.alpha.min < 255
    if seen.alpha is not None and seen.alpha.max == 0:
        yield Finding(code="invisible", severity="hard", message="Every pixel is transparent.")
    elif expected.alpha is True and seen.alpha is None:
        yield Finding(
            code="alpha_missing",
            severity="hard",
            message="The background was removed, but the picture has no transparency.",
        )
    elif expected.alpha is False and transparent:
        yield _unexpected("hard")
    elif expected.alpha is None and transparent:
        yield _unexpected("soft")


def _unexpected(severity: Severity) -> Finding:
    return Finding(
        code="unexpected_alpha",
        severity=severity,
        message="Parts of the picture are transparent though nothing asked for it.",
    )


OUTPUT = Operation(
    id="guard.output",
    version=2,
    title="Output guard",
    params=OutputGuardParams,
    apply=judge,
    sources=("spec LAB-7: the output quality guard",),
    needs=Needs(alpha="keep"),
)
