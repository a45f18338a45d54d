"""The contact sheet of a run: before, candidates, winner, after the post chain."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from maquette import __version__
from maquette.core import money
from maquette.core.errors import InvalidInput, ObjectNotFound, OperationFailed
from maquette.core.findings import Verdict
from maquette.core.pipeline import JobSpec
from maquette.core.requests import Digest
from maquette.core.storage import object_key
from maquette.db import runs
from maquette.db.tables import Asset, Blob, Job
from maquette.folders import sheet_path
from maquette.imaging.sheet import Cell, Row, Sheet, render
from maquette.jobs.pixelwork import preview
from maquette.jobs.workshop import Place
from maquette.services.studio import Studio
from maquette.services.viewing import Summary

PREVIEW_PX = 560
"""Twice a tile's side: crisp on the sheet, small in memory."""


async def with_sheet(studio: Studio, told: Summary) -> Summary:
    """Draw the contact sheet beside the run log."""
    place = studio.shop.place(told.root)
    async with studio.shop.db.read() as session:
        jobs = await runs.jobs_of(session, told.run)
    rows = [await _row(studio, place, job) for job in jobs]
    candidates = sum(len(row.cells) for row in rows)
    sheet = Sheet(
        title=f"{told.project} · {told.run}",
        subtitle=(
            f"{len(rows)} scenes · {candidates} pictures · {money.show(told.spent)} · "
            f"{told.seconds:.1f} s"
        ),
        footer=await _footer(studio, jobs),
        rows=tuple(rows),
    )
    data = await studio.shop.pool.run(render, sheet)
    relative = sheet_path(told.run)
    await asyncio.to_thread(place.folders.write, relative, data)
    return replace(told, sheet=str(Path(told.root) / relative))


async def _row(studio: Studio, place: Place, job: Job) -> Row:
    spec = JobSpec.model_validate(job.spec)
    cells: list[Cell] = []
    if spec.source is not None:
        size = _size(spec.source.width_px, spec.source.height_px)
        cells.append(Cell("before", await _preview(studio, place, spec.source.digest), size))
    async with studio.shop.db.read() as session:
        candidates = await runs.candidates_of(session, job.id)
        made = {one.id: (one, blob) for one, blob in await _assets_of(session, job.id)}
    for one in candidates:
        verdict = Verdict.model_validate(one.verdict or {})
        cells.append(
            Cell(
                f"candidate {one.position + 1}" + (" · winner" if one.selected else ""),
                await _preview(studio, place, made[one.asset_id][0].digest),
                note=verdict.summary(),
                verdict="hard" if verdict.hard else "soft" if verdict.soft else "ok",
                chosen=one.selected,
            )
        )
    judged = {one.asset_id for one in candidates}
    cells += [
        await _post_cell(studio, place, asset, blob)
        for asset, blob in made.values()
        if asset.id not in judged
    ]
    return Row(spec.scene, spec.request.prompt if spec.request else "", job.state, tuple(cells))


_AFTER = {
    "background": "background removed",
    "inpainted": "as the model made it",
    "upscale": "upscaled",
    "colour": "colour",
}


async def _footer(studio: Studio, jobs: Sequence[Job]) -> str:
    """Mark proofs as what they are."""
    made = f"Maquette {__version__}"
    for job in jobs:
        request = JobSpec.model_validate(job.spec).request
        if request is None:
            continue
        profiles = studio.shop.providers[request.provider].models()
        if any(one.id == request.model and one.proof for one in profiles):
            return f"Proofs: drafts by classical means, not the pictures of a model. {made}"
    return made


def _size(width_px: int, height_px: int) -> str:
    return f"{width_px} x {height_px}"


async def _post_cell(studio: Studio, place: Place, asset: Asset, blob: Blob) -> Cell:
    made = dict(asset.made_by)
    params = dict(made.get("params", {}))
    detail = {
        "background": "",
        "upscale": f" {params.get('scale', 0):g}x",
        "colour": f": {params.get('profile', '')}",
    }
    findings = [str(one.get("code")) for one in made.get("findings", [])]
    confidence = dict(made.get("report", {})).get("confidence")
    note = ", ".join(findings) or _size(blob.width_px, blob.height_px)
    if confidence is not None:
        note += f" · confidence {confidence:.2f}"
    return Cell(
        _AFTER.get(asset.kind, asset.kind) + detail.get(asset.kind, ""),
        await _preview(studio, place, asset.digest),
        note=note,
        verdict="soft" if findings else "none",
    )


async def _assets_of(session: AsyncSession, job_id: str) -> Sequence[tuple[Asset, Blob]]:
    query = (
        select(Asset, Blob)
        .join(Blob, (Blob.project_id == Asset.project_id) & (Blob.digest == Asset.digest))
        .where(Asset.job_id == job_id)
        .order_by(Asset.created_at, Asset.id)
    )
    return (await session.execute(query)).all()


async def _preview(studio: Studio, place: Place, digest: str) -> bytes | None:
    """Shrink a picture for the sheet: a run of many large ones must not fill the memory."""
    try:
        data = await place.storage.read(object_key(Digest(digest)))
        return await studio.shop.pool.run(preview, data, PREVIEW_PX)
    except (ObjectNotFound, InvalidInput, OperationFailed):
        return None
