"""Masks of what words name: an edit model shows where it is, and that is read as a mask.

The answer is a paid picture like any other: it runs as a job, under the caps, and stays an asset.
Whatever goes wrong behind it, another mask of the same answer costs nothing.
"""

from __future__ import annotations

from typing import Literal

from maquette.core.errors import CapabilityMissing, Forbidden
from maquette.core.findings import GuardRules
from maquette.core.people import Caller, Scope
from maquette.core.pipeline import JobSpec
from maquette.db.tables import Project
from maquette.services import asking, automask, outcome, results
from maquette.services.asking import Asked, Given, Wish
from maquette.services.automask import Found, Order, Source
from maquette.services.studio import Studio

Way = Literal["paint", "erase"]

_PROMPTS: dict[Way, str] = {
    "paint": (
        "Make a segmentation mask of this picture: paint {words} pure white (#FFFFFF) and "
        "everything else pure black (#000000). Keep the exact framing, size and outlines of the "
        "picture. No grey, no colours, no shading, no text."
    ),
    "erase": (
        "Remove {words} from this picture and show the background behind it. Change nothing else: "
        "keep every other pixel, the framing, the colours and the light as they are."
    ),
}


def check_scope(caller: Caller) -> None:
    """Refuse who may not spend: clicks are free, words are not."""
    if Scope.SPEND not in caller.scopes:
        raise Forbidden(
            f"A mask by words asks a model, which may cost money, and this key lacks the scope "
            f"{Scope.SPEND.value!r}. Make one that has it, or click on the thing instead."
        )


def wish(words: str, model: str | None, way: Way, pictures: tuple[Given, ...] = ()) -> Wish:
    """Ask a model to show where something is."""
    return Wish(
        prompt=_PROMPTS[way].format(words=" ".join(words.split())),
        model=model,
        size="source",
        pictures=pictures,
        guard=GuardRules(enabled=False),
        surface="mask",
    )


def check(asked: Asked) -> Asked:
    """Refuse a model that does not understand pictures, before anything is kept or sent."""
    if asked.profile.proof:
        raise CapabilityMissing(
            f"{asked.provider.id!r} makes proofs and cannot find things by words; nothing was "
            "sent. Name a model that edits pictures, or click on the thing instead."
        )
    return asked


async def of_job(studio: Studio, order: Order, job_id: str, way: Way) -> Found:
    """Make a mask of what the job's model answered; raise why there is no answer."""
    result = outcome.checked(await results.of(studio, order.project.id, job_id))
    picture = result.final[0]
    answer = await asking.given(studio, order.project, picture.asset.id, "reference")
    spec = JobSpec.model_validate(result.job.spec)
    method = f"{spec.asked.provider}:{spec.asked.model}"
    source = Source(method, {"job": job_id, "way": way}, cost=result.cost)
    return await automask.of_answer(studio, order, answer, way, source)


async def picture_of(studio: Studio, project: Project, job_id: str) -> Given:
    """Return the picture that a job's model was asked about."""
    result = await results.of(studio, project.id, job_id)
    [first, *_] = JobSpec.model_validate(result.job.spec).parents
    return await asking.given(studio, project, first[0])
