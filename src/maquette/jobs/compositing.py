"""The step between generating and judging: the original is put back outside the mask.

Models take a mask for a hint and change what lies outside it as well. A candidate then shows a new
asset; what the model made stays an asset of its own, byte for byte, with its share of the cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.findings import Finding
from maquette.core.pipeline import JobSpec
from maquette.core.requests import Digest, digest_of
from maquette.core.storage import object_key
from maquette.db import assets, runs
from maquette.db.tables import Asset, Candidate
from maquette.jobs.job import Bench, Outcome
from maquette.jobs.maskwork import Composite, CompositeCall, put_back

STEP = "composite"
KIND = "inpainted"
ORIGINAL = "original"
"""The role of the picture that was put back; `init` is the model's, which lies inside the mask."""


@dataclass(frozen=True)
class Composited:
    """What the step says of one candidate."""

    findings: tuple[Finding, ...] = ()
    as_source: bool = False
    """Whether the candidate now has the source's size."""


def is_ordered(spec: JobSpec) -> bool:
    """Tell whether the original is to be put back."""
    return spec.composite is not None and bool(spec.asked.by_role("mask"))


async def run(bench: Bench, *, then: str) -> Mapping[int, Composited]:
    """Do the step where it is ordered; return what it says, by the candidates' positions."""
    if not is_ordered(bench.spec):
        return {}
    result = await bench.step(STEP, lambda: _all(bench), then=then)
    return {
        int(one["position"]): Composited(
            tuple(Finding.model_validate(found) for found in one["findings"]),
            one["asset"] is not None and one["fit"] == "source",
        )
        for one in result["candidates"]
    }


async def _all(bench: Bench) -> Outcome:
    """Make every composite, then let the candidates show them, in the commit of the step."""
    async with bench.shop.db.read() as session:
        candidates = list(await runs.candidates_of(session, bench.job_id))
    made = [await _one(bench, candidate) for candidate in candidates]

    async def commit(session: AsyncSession) -> None:
        for candidate, (_, asset) in zip(candidates, made, strict=True):
            if asset is None:
                continue
            await assets.add(session, bench.project_id, asset, bench.shop.clock.now())
            await session.execute(
                update(Candidate).where(Candidate.id == candidate.id).values(asset_id=asset.id)
            )

    return {"candidates": [said for said, _ in made]}, commit


async def _one(bench: Bench, candidate: Candidate) -> tuple[dict[str, Any], assets.NewAsset | None]:
    async with bench.shop.db.read() as session:
        model, _ = await assets.get(session, candidate.asset_id)
        given = await assets.parents_of(session, model.id)
    done = await _computed(bench, model)
    told = findings_of(done)
    said: dict[str, Any] = {
        "position": candidate.position,
        "model_asset": model.id,
        "asset": None,
        "fit": done.fit,
        "drift": None,
        "findings": [one.model_dump(mode="json") for one in told],
    }
    if done.data is None or done.facts is None:
        return said, None
    digest = digest_of(done.data)
    await bench.place.storage.put(object_key(digest), done.data)
    own = [Finding.model_validate(one) for one in model.made_by.get("findings", ())]
    said["findings"] = [one.model_dump(mode="json") for one in (*own, *told)]
    blob = assets.NewBlob(digest, size_bytes=len(done.data), **vars(done.facts))
    asset = assets.NewAsset(
        blob=blob,
        kind=KIND,
        name=model.name,
        made_by=_made_by(bench, done, said),
        parents=_parents(model, given),
        job_id=bench.job_id,
    )
    return said | {"asset": asset.id, "drift": done.drift}, asset


async def _computed(bench: Bench, model: Asset) -> Composite:
    step, asked = bench.spec.composite, bench.spec.asked
    assert step is not None
    storage = bench.place.storage
    call = CompositeCall(
        original=await storage.read(object_key(asked.by_role("init")[0].digest)),
        made=await storage.read(object_key(Digest(model.digest))),
        mask=await storage.read(object_key(asked.by_role("mask")[0].digest)),
        asked=asked.size,
        feather_px=step.feather_px,
    )
    return await bench.compute(put_back, call)


def _parents(model: Asset, given: Sequence[tuple[Asset, str]]) -> list[tuple[str, str]]:
    roles = {"init": ORIGINAL, "mask": "mask"}
    return [
        (model.id, "init"),
        *((asset.id, roles[role]) for asset, role in given if role in roles),
    ]


def _made_by(bench: Bench, done: Composite, said: Mapping[str, Any]) -> dict[str, Any]:
    """Say what made it, as an operation does."""
    step = bench.spec.composite
    return {
        "operation": "mask.composite",
        "version": 1,
        "params": {} if step is None else step.model_dump(mode="json"),
        "findings": said["findings"],
        "report": {
            "drift": round(done.drift, 3),
            "fit": done.fit,
            "source_px": _wide(done.source_px),
            "model_px": _wide(done.made_px),
        },
        "losses": list(done.losses),
    }


def findings_of(done: Composite) -> list[Finding]:
    """Say in words what was done; a picture that cannot be read is the guard's to refuse."""
    source, model = _wide(done.source_px), _wide(done.made_px)
    if done.data is None:
        if not done.made_px[0]:
            return []
        message = (
            f"The model's picture has {model} px and the source {source}, another shape, so the "
            "original could not be put back outside the mask: it may have changed there. Leave the "
            "size out, or ask for one of the source's shape."
        )
        return [Finding(code="composite-skipped", severity="soft", message=message)]
    told = [
        Finding(
            code="composite-drift",
            severity="info",
            message=f"Outside the mask the model had changed the picture by {done.drift:.2f} of "
            "255 on average; the original was put back there.",
            measured=round(done.drift, 3),
        )
    ]
    if done.fit == "model":
        message = (
            f"You asked for {model} px of a source of {source}: outside the mask lies the source, "
            "resized, so not pixel for pixel."
        )
        told.append(Finding(code="composite-resized", severity="info", message=message))
    elif done.stretched:
        message = (
            f"The model's picture has {model} px, another shape than the source's {source}, and "
            "was stretched to it; look whether the edges of the mask meet."
        )
        told.append(Finding(code="composite-stretched", severity="soft", message=message))
    elif done.resized:
        message = (
            f"The model's picture has {model} px and was resized to the source's {source}; outside "
            "the mask nothing was."
        )
        told.append(Finding(code="composite-resized", severity="info", message=message))
    return told


def _wide(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
