"""Jobs as the images API tells of them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel

from maquette.core import money
from maquette.core.pipeline import JobSpec
from maquette.core.requests import ImageRequest, Option, Size
from maquette.core.states import JobState
from maquette.db.tables import Job
from maquette.services import delivering, outcome
from maquette.services.asking import Asked
from maquette.services.delivering import Delivery
from maquette.services.results import Picture, Result
from maquette.services.studio import Studio

Status = Literal["queued", "in_progress", "succeeded", "failed", "cancelled"]

_STATUS: Mapping[JobState, Status] = {
    JobState.QUEUED: "queued",
    JobState.AWAITING_CONFIRMATION: "queued",
    JobState.RUNNING: "in_progress",
    JobState.SUCCEEDED: "succeeded",
    JobState.CANCELLED: "cancelled",
}
"""All others failed, each with an error code of its own."""


class JobProblem(BaseModel):
    """Why a job ended without what was asked for."""

    code: str
    message: str


class PictureMade(BaseModel):
    """A picture that was made."""

    index: int
    """Its place among the job's pictures."""
    asset: str
    url: str
    """Where its bytes are, in the format that was asked for."""
    width: int
    height: int
    media_type: str
    sha256: str | None
    """Of the bytes at `url`; null where they are converted on the way."""
    selected: bool
    """Whether the guard chose it."""
    final: bool
    """Whether it is what the job was for; the others are kept beside it."""
    verdict: dict[str, Any] | None
    """What the guard found."""
    clamped: list[str]
    """What the model could not do as it was asked for."""
    data_uri: str | None = None


class PictureRequest(BaseModel):
    """What was asked of the model, with the defaults that were filled in."""

    mode: str
    prompt: str
    negative_prompt: str
    size: str
    n: int
    seed: int | None
    options: dict[str, Option]
    pictures: list[str]
    """Assets, in their order."""
    mask: str | None


class PictureJobLine(BaseModel):
    """A job in a list."""

    id: str
    object: Literal["job"] = "job"
    status: Status
    model: str | None
    provider: str | None
    prompt: str
    error: JobProblem | None
    url: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, job: Job) -> Self:
        """Describe a row."""
        request = JobSpec.model_validate(job.spec).request
        return cls.model_validate(_line(job, request))


class PictureJobPage(BaseModel):
    """A page of jobs, newest first."""

    object: Literal["list"] = "list"
    data: list[PictureJobLine]
    next: str | None = None
    """The cursor of the page after this one; null at the end."""


class PictureJob(PictureJobLine):
    """A job, and what it has made so far."""

    project: str
    urls: list[str]
    """Of the final pictures, when the job has ended."""
    images: list[PictureMade]
    cost: str
    """The same as `cost_usd`."""
    cost_usd: str
    reserved_usd: str
    """What is held for calls to come, or for those whose end is open."""
    worst_case_usd: str
    usage: dict[str, int]
    seed: int | None
    request: PictureRequest | None
    """None: a job that only works on a picture."""
    notes: list[str]
    events_url: str


class PicturePlan(BaseModel):
    """What a request would do and the most it can cost; nothing was sent, written or paid."""

    object: Literal["plan"] = "plan"
    dry: Literal[True] = True
    provider: str
    model: str
    calls: int
    worst_case_usd: str
    request: PictureRequest
    steps: list[str]
    notes: list[str]

    @classmethod
    def of(cls, asked: Asked) -> Self:
        """Describe a request that can be granted."""
        return cls(
            provider=asked.provider.id,
            model=asked.profile.id,
            calls=len(asked.spec.calls),
            worst_case_usd=str(asked.worst_case),
            request=_request(asked.spec, asked.spec.asked),
            steps=list(asked.spec.post.names()),
            notes=list(asked.notes),
        )


async def document(
    studio: Studio, slug: str, result: Result, held: money.Usd, *, data_uri: bool = False
) -> PictureJob:
    """Describe a job with its pictures; with `data_uri`, the final ones' bytes too."""
    spec = JobSpec.model_validate(result.job.spec)
    delivery = delivering.of_run(result.run.settings)
    final = [one.asset.id for one in result.final] if result.ended else []
    images = [
        _made(slug, result, place, delivery, final=one.asset.id in final)
        for place, one in enumerate(result.pictures)
    ]
    if data_uri:
        for told, one in zip(images, result.pictures, strict=True):
            if told.final:
                told.data_uri = await _data_uri(studio, result, one)
    notes = result.run.settings.get("notes", [])
    return PictureJob.model_validate(
        {
            **_line(result.job, spec.request),
            "error": _problem(result),
            "project": slug,
            "urls": [one.url for one in images if one.final],
            "images": images,
            "cost": str(result.cost),
            "cost_usd": str(result.cost),
            "reserved_usd": str(held),
            "worst_case_usd": str(money.from_nano(result.job.worst_case_nano)),
            "usage": result.usage,
            "seed": None if spec.request is None else spec.request.seed,
            "request": None if spec.request is None else _request(spec, spec.request),
            "notes": notes,
            "events_url": f"/api/projects/{slug}/jobs/{result.job.id}/events",
        }
    )


def _line(job: Job, request: ImageRequest | None) -> dict[str, Any]:
    error = None
    if job.error_code is not None:
        error = JobProblem(code=job.error_code, message=job.error_message or "")
    return {
        "id": job.id,
        "status": _STATUS.get(JobState(job.state), "failed"),
        "model": None if request is None else request.model,
        "provider": None if request is None else request.provider,
        "prompt": "" if request is None else request.prompt,
        "error": error,
        "url": f"/v1/jobs/{job.id}",
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
    }


def _problem(result: Result) -> JobProblem | None:
    if not result.ended:
        return None
    problem = outcome.problem_of(result)
    return None if problem is None else JobProblem(code=problem.code, message=str(problem))


def _request(spec: JobSpec, request: ImageRequest) -> PictureRequest:
    given = [asset for asset, role in spec.parents if role != "mask"]
    masks = [asset for asset, role in spec.parents if role == "mask" and asset]
    return PictureRequest(
        mode=request.mode,
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        size=_written(request.size),
        n=spec.candidates,
        seed=request.seed,
        options=request.options,
        pictures=given,
        mask=masks[0] if masks else None,
    )


def _written(size: Size) -> str:
    return size if isinstance(size, str) else f"{size[0]}x{size[1]}"


def _made(slug: str, result: Result, place: int, delivery: Delivery, *, final: bool) -> PictureMade:
    one = result.pictures[place]
    kind = delivering.media_type(one, delivery)
    at = f"/api/projects/{slug}"
    where = f"{at}/assets/{one.asset.id}/file"
    if kind is not None:
        where = f"{at}/jobs/{result.job.id}/pictures/{place}"
    clamped: Sequence[str] = one.asset.made_by.get("clamped", ())
    return PictureMade(
        index=place,
        asset=one.asset.id,
        url=where,
        width=one.blob.width_px,
        height=one.blob.height_px,
        media_type=kind or one.blob.media_type,
        sha256=one.asset.digest if kind is None else None,
        selected=one.selected,
        final=final,
        verdict=one.verdict,
        clamped=list(clamped),
    )


async def _data_uri(studio: Studio, result: Result, one: Picture) -> str:
    found = await delivering.picture(studio, result, one)
    return f"data:{found.media_type};base64,{base64.b64encode(found.data).decode()}"
