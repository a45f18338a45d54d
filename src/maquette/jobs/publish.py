"""The last step: show the job's pictures in the project's folders.

`outputs/<scene>.png` is the winner, `<scene>.c2.png` … the others; each post step has its
folder; what the guard refused goes to `archive/bad/`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.requests import Digest, digest_of
from maquette.core.storage import object_key
from maquette.db import assets, runs
from maquette.db.tables import Candidate, Job
from maquette.folders import BAD, OUTPUTS, Placed
from maquette.imaging.files import SUFFIXES
from maquette.jobs.chainlink import Link
from maquette.jobs.job import Bench, Outcome


@dataclass(frozen=True)
class _Showing:
    """One asset on its way to a name."""

    asset_id: str
    stem: str
    """The path below the root, without the suffix."""


async def accepted(bench: Bench, chain: list[Link], *, passed: bool) -> Outcome:
    """Show the winner, the losers and the chain; a final that failed goes to the bad ones."""
    candidates = await _candidates(bench)
    shown = [_showing(bench, candidate) for candidate in candidates]
    for link in chain[1:]:
        last = link is chain[-1]
        if last and not passed:
            shown.append(_Showing(link.asset_id, _bad_stem(bench, "final")))
        else:
            folder = bench.spec.folder or link.folder
            shown.append(_Showing(link.asset_id, f"{folder}/{bench.spec.scene}"))
    return await _publish(bench, shown, final=chain[-1].asset_id if passed else None)


async def rejected(bench: Bench) -> Outcome:
    """Archive every candidate: none passed."""
    candidates = await _candidates(bench)
    return await _publish(bench, [_showing(bench, one) for one in candidates], final=None)


async def _candidates(bench: Bench) -> list[Candidate]:
    async with bench.shop.db.read() as session:
        return list(await runs.candidates_of(session, bench.job_id))


def _showing(bench: Bench, candidate: Candidate) -> _Showing:
    number = f"c{candidate.position + 1}"
    if candidate.state == "failed_output_guard":
        return _Showing(candidate.asset_id, _bad_stem(bench, number))
    scene = bench.spec.scene
    name = scene if candidate.selected else f"{scene}.{number}"
    return _Showing(candidate.asset_id, f"{OUTPUTS}/{name}")


def _bad_stem(bench: Bench, what: str) -> str:
    return f"{BAD}/{bench.spec.scene}.{bench.run_id}.{what}"


async def _publish(bench: Bench, shown: list[_Showing], *, final: str | None) -> Outcome:
    placed: list[tuple[str, Placed]] = []
    for one in shown:
        where = await _place(bench, one)
        if where.replaced is None and bench.spec.archive_replaced:
            told = {before.replaced for _, before in placed}
            where = replace(where, replaced=await _archived_before(bench, one, where.path, told))
        placed.append((one.asset_id, where))

    async def commit(session: AsyncSession) -> None:
        now = bench.shop.clock.now()
        for asset_id, where in placed:
            if where.replaced is not None:
                before = await assets.file_at(session, bench.project_id, where.path)
                if before is not None:
                    await assets.show_at(
                        session, bench.project_id, where.replaced, before.asset_id, now
                    )
            await assets.show_at(session, bench.project_id, where.path, asset_id, now)
        job = await session.get_one(Job, bench.job_id)
        job.final_asset_id = final

    files = [
        {"asset": asset_id, "path": where.path, "replaced": where.replaced}
        for asset_id, where in placed
    ]
    return {"files": files, "final": final}, commit


async def _archived_before(
    bench: Bench, one: _Showing, path: str, told: set[str | None]
) -> str | None:
    """Find the file that had this name until a crash came between archiving it and its row."""
    async with bench.shop.db.read() as session:
        before = await assets.file_at(session, bench.project_id, path)
        if before is None:
            return None
        old, _ = await assets.get(session, before.asset_id)
        new, _ = await assets.get(session, one.asset_id)
        if old.digest == new.digest:
            return None
        folders = bench.place.folders
        for name in await asyncio.to_thread(folders.archived, path):
            if name in told or await assets.file_at(session, bench.project_id, name) is not None:
                continue
            if await asyncio.to_thread(_digest, folders.inside(name)) == old.digest:
                return name
    return None


def _digest(path: Path) -> str:
    return digest_of(path.read_bytes())


async def _place(bench: Bench, one: _Showing) -> Placed:
    async with bench.shop.db.read() as session:
        asset, blob = await assets.get(session, one.asset_id)
    key = object_key(Digest(asset.digest))
    source = bench.place.storage.local_path(key) or await bench.place.storage.read(key)
    return await asyncio.to_thread(
        bench.place.folders.place,
        source,
        one.stem + SUFFIXES.get(blob.media_type, ".bin"),
        archive_replaced=bench.spec.archive_replaced,
        at=bench.shop.clock.now(),
    )
